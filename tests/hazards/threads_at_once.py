"""Checks from many Python threads at once: ``python -m hazards.threads_at_once LAYER`` says "NAME right" if they were.

Each scenario NAME is a function of `SCENARIOS`. It fails by an exception, or by taking the process with it.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import naive
import numba as nb
import numpy as np

import fastgrad
from fastgrad import GradientChecker, Verdict, check_gradient, numerical_gradient, python_objective, relative_error

THREADS, ROUNDS = 6, 15
STEP = 2.0**-10


def make_objective(k):
    """An njit function of its own, and its gradient."""

    @nb.njit
    def f(x, shift):
        total = 0.0
        for i in range(x.size - 1):
            total += (k + 1.0) * (x[i + 1] - x[i] * x[i]) ** 2 + (shift[i] - x[i]) ** 2
        return total

    def gradient(x, shift):
        inner, out = x[1:] - x[:-1] ** 2, np.zeros_like(x)
        out[:-1] += -4.0 * (k + 1.0) * x[:-1] * inner - 2.0 * (shift[:-1] - x[:-1])
        out[1:] += 2.0 * (k + 1.0) * inner
        return out

    return f, gradient


@nb.njit(parallel=True)
def parallel_sum(x, shift):
    total = 0.0
    for i in nb.prange(x.size):
        total += (x[i] - shift[i]) ** 4
    return total


@nb.njit
def raises(x, shift):
    if x[3] > 0.25:
        raise ArithmeticError("out of the domain")
    return x[0] * shift[0]


def at_once(*tasks):
    """Run tasks(round) in threads of their own, all beginning together; the first exception arrives."""
    barrier = threading.Barrier(len(tasks))

    def repeat(task):
        barrier.wait()
        for k in range(ROUNDS):
            task(k)

    with ThreadPoolExecutor(len(tasks)) as pool:
        for future in [pool.submit(repeat, task) for task in tasks]:
            future.result()


def point(k, n=33):
    return np.random.default_rng(k).uniform(-1.5, 1.5, (2, n))


def single_task(k):
    """Check a right and a wrong gradient of one more objective, compiled by the thread that runs this."""
    f, gradient = make_objective(k)

    def task(seed):
        x, shift = point(100 * k + seed)
        right = gradient(x, shift)
        result = check_gradient(f, x, right, STEP, args=(shift,))
        assert result.verdict is Verdict.MATCH, result
        expected = naive.central_difference(f.py_func, x, STEP, (shift,))
        np.testing.assert_allclose(result.numerical_grad, expected, rtol=1e-8, atol=1e-8)
        serial = numerical_gradient(f, x, STEP, args=(shift,), threads=1)
        np.testing.assert_array_equal(result.numerical_grad, serial)
        wrong = right.copy()
        wrong[seed] += 1.0 + abs(right[seed])
        result = check_gradient(f, x, wrong, args=(shift,))
        assert result.verdict is Verdict.MISMATCH, result
        assert result.worst[0].index == (seed,), result

    return task


def different_objectives():
    at_once(*map(single_task, range(THREADS)))


def different_kinds():
    """A parallel loop inside f, an exception, plain Python, a large norm, and two ordinary checks."""

    def inside_f(seed):
        x, shift = point(seed)
        assert check_gradient(parallel_sum, x, 4.0 * (x - shift) ** 3, args=(shift,)).verdict is Verdict.MATCH

    def exception(seed):
        x, shift = point(seed)
        x[3] = 0.25
        try:
            numerical_gradient(raises, x, args=(shift,))
        except ArithmeticError as error:
            assert "x[3] = 0.25" in error.__notes__[0]
        else:
            raise AssertionError("the exception is lost")

    def python(seed):
        x, _ = point(seed)
        assert check_gradient(python_objective(lambda x: float(x @ x)), x, 2.0 * x).verdict is Verdict.MATCH

    large = np.random.default_rng(0).normal(size=1 << 21)  # summed by several threads

    def norm(_):
        assert relative_error(large, -large) == 1.0

    at_once(inside_f, exception, python, norm, single_task(0), single_task(1))


def one_objective():
    """Compiled for the first time by all threads at once, in both precisions."""
    f, gradient = make_objective(7)

    def task(seed):
        for dtype in (np.float64, np.float32):
            x, shift = point(seed).astype(dtype)
            expected = numerical_gradient(f, x, STEP, args=(shift,), threads=1)
            np.testing.assert_array_equal(numerical_gradient(f, x, STEP, args=(shift,)), expected)
            assert check_gradient(f, x, gradient(x, shift), args=(shift,)).verdict is Verdict.MATCH

    at_once(*[task] * THREADS)


def one_checker():
    """Each thread at points of its own, with one checker for all."""
    f, gradient = make_objective(3)
    _, shift = point(0)
    checker = GradientChecker(f, np.zeros(33), args=(shift,))

    def make_task(k):
        def task(seed):
            x, _ = point(1000 * k + seed)
            expected = numerical_gradient(f, x, args=(shift,), threads=1)
            for _ in range(20):
                numerical, error = checker(x, gradient)
                np.testing.assert_array_equal(numerical, expected)
                np.testing.assert_array_equal(checker.gradient(x), expected)
                assert error < 1e-6

        return task

    at_once(*map(make_task, range(THREADS)))


def another_library():
    """One thread of the user keeps running a parallel kernel of its own."""
    work = np.ones(100_000)
    ended = threading.Event()

    def keep_running():
        while not ended.is_set():
            assert parallel_sum(work, 0.5 * work) > 0.0

    thread = threading.Thread(target=keep_running)
    thread.start()
    try:
        at_once(single_task(0), single_task(1))
    finally:
        ended.set()
        thread.join()


@nb.njit(parallel=True)
def parallel_gradient(x, shift):
    out = np.empty_like(x)
    for i in nb.prange(x.size):
        out[i] = 4.0 * (x[i] - shift[i]) ** 3
    return out


def gradients_in_parallel():
    """Compiled gradients with parallel loops of their own, in single checks and in a checker."""
    _, shift = point(0)
    checker = GradientChecker(parallel_sum, np.zeros(33), args=(shift,))

    def single(seed):
        x, _ = point(seed)
        assert check_gradient(parallel_sum, x, parallel_gradient, args=(shift,)).verdict is Verdict.MATCH

    def many(seed):
        for k in range(20):
            x, _ = point(1000 * k + seed)
            assert checker(x, parallel_gradient).relative_error < 1e-6

    at_once(*[single] * (THREADS // 2), *[many] * (THREADS // 2))


# The first meets a process in which nothing has been compiled and no kernel launched.
SCENARIOS = (different_objectives, different_kinds, one_objective, one_checker, gradients_in_parallel, another_library)


if __name__ == "__main__":
    for scenario in SCENARIOS:
        scenario()
        assert fastgrad._threads._threading_layer() == sys.argv[1], fastgrad._threads._threading_layer()
        print(scenario.__name__, "right", flush=True)
