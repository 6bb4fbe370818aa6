"""What can go wrong in a process of its own: ``python -m hazards.scenarios NAME`` says "NAME survived" if it did not.

Each scenario is a function. It fails by an exception, or by taking the process with it. Several that leave nothing
behind may share a process, as NAME,NAME.
"""

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba as nb
import numpy as np

import fastgrad

X = np.linspace(-1.5, 1.5, 41)


class Pair(NamedTuple):
    scale: float
    offsets: np.ndarray


@nb.njit
def rosenbrock(x):
    total = 0.0
    for i in range(x.size - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def rosenbrock_gradient(x):
    gradient = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    gradient[:-1] += -400.0 * x[:-1] * inner - 2.0 * (1.0 - x[:-1])
    gradient[1:] += 200.0 * inner
    return gradient


@nb.njit(parallel=True)
def parallel_loop(x):
    total = 0.0
    for i in nb.prange(x.size):
        total += x[i] ** 4
    return total


@nb.njit
def parallel_callee(x):
    return parallel_loop(x) + 0.0


@nb.njit(parallel=True)
def parallel_expression(x):
    return (x * x * x * x).sum()


@nb.njit
def parallel_argument(x, f):
    return f(x)


@nb.njit
def with_pair(x, pair):
    return pair.scale * (x * pair.offsets).sum()


@nb.njit
def with_nest(x, nest):
    return nest[0] * (x * nest[1][0][1]).sum()


@nb.njit
def with_bytes(x, raw):
    return raw[1] * x.sum()


@nb.njit
def fails_beyond(x, index, limit):
    if x[index] > limit:
        raise ArithmeticError("diverged")
    return x.sum()


@nb.njit
def fails_below(x, index, limit):
    if x[index] < limit:
        raise LookupError("below the table")
    return x.sum()


@nb.njit
def divides_by_zero_beyond(x, index, limit):
    return x.sum() / (0.0 if x[index] > limit else 1.0)


@nb.njit
def slow(x):
    """About a millisecond."""
    total = 0.0
    for i in range(1_000_000):
        total += x[i % x.size] * 1e-6
    return total


def require_rosenbrock(gradient):
    np.testing.assert_allclose(gradient, rosenbrock_gradient(X), rtol=1e-4, atol=1e-4)


def parallel_objectives():
    """f keeps its own parallel loops, wherever they are, and the coordinates run one by one."""
    objectives = {
        "direct": (parallel_loop, ()),
        "callee": (parallel_callee, ()),
        "expression": (parallel_expression, ()),
        "argument": (parallel_argument, (parallel_loop,)),
    }
    x = X[:9]
    for name, (f, args) in objectives.items():
        result = fastgrad.check_gradient(f, x, 4.0 * x**3, 1e-4, args=args)
        np.testing.assert_allclose(result.numerical_grad, 4.0 * x**3, rtol=1e-5, atol=1e-6, err_msg=name)
        assert (result.verdict.value, result.executor, result.threads) == ("match", "inside f", 1), name
    assert fastgrad.check_gradient(rosenbrock, X, rosenbrock_gradient, threads=2).executor == "prange"


def exceptions():
    """An exception at one coordinate, above or below, arrives as itself, with the coordinate, at any place."""
    cases = (
        (fails_beyond, 1.0, "+", ArithmeticError, "diverged"),
        (fails_below, -1.0, "-", LookupError, "below the table"),
        (divides_by_zero_beyond, 1.0, "+", ZeroDivisionError, "division by zero"),
    )
    x, h = np.ones(64), 2.0**-20
    for f, limit, sign, kind, message in cases:
        for index in (0, 31, 32, 63):
            for threads in (1, 2):
                place = np.where(sign == "+", x, -x)
                try:
                    fastgrad.numerical_gradient(f, place, h, args=(index, limit), threads=threads)
                except kind as error:
                    assert type(error) is kind
                    assert error.args == (message,)
                    moved = place[index] + h if sign == "+" else place[index] - h
                    assert error.__notes__ == [f"f raised at x {sign} h, x[{index}] = {moved} (h = {h:.3g})"], error
                else:
                    raise AssertionError(f"{f} at {index} on {threads} threads raised nothing")
    # The kernels are as good as new.
    require_rosenbrock(fastgrad.numerical_gradient(rosenbrock, X))


def argument_tuples():
    """Kinds of arguments that prange rejects arrive in parallel all the same."""
    offsets = np.arange(41.0)
    for f, args, expected in (
        (with_pair, (Pair(2.0, offsets),), 2.0 * offsets),
        (with_nest, ((3.0, ((1, offsets), 2)),), 3.0 * offsets),
        (with_bytes, (b"\x00\x05",), np.full(41, 5.0)),
    ):
        np.testing.assert_allclose(fastgrad.numerical_gradient(f, X, 1e-3, args=args), expected, rtol=1e-9, atol=1e-9)
        result = fastgrad.check_gradient(f, X, expected, args=args, threads=2)
        assert (result.verdict.value, result.executor, result.threads) == ("match", "prange", 2)


def two_python_threads():
    """Checks from several Python threads at once, of objectives with and without parallel loops."""
    expected = [fastgrad.numerical_gradient(rosenbrock, X), fastgrad.numerical_gradient(parallel_loop, X, 1e-4)]
    barrier = threading.Barrier(3)

    def work(kind):
        barrier.wait()
        for _ in range(30):
            if kind == 0:
                np.testing.assert_array_equal(fastgrad.numerical_gradient(rosenbrock, X), expected[0])
            else:
                gradient = fastgrad.numerical_gradient(parallel_loop, X, 1e-4)
                np.testing.assert_allclose(gradient, expected[1], rtol=1e-9, atol=1e-9)

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(work, kind) for kind in (0, 1, 1)]:
            future.result()


def norms_and_gradient(_=None):
    """What a child is asked to do: everything that would be parallel."""
    a, b = np.random.default_rng(0).standard_normal((2, 1 << 20))
    result = fastgrad.check_gradient(rosenbrock, X, rosenbrock_gradient, threads=2)
    return result.numerical_grad.tobytes(), result.executor, fastgrad.relative_error(a, b)


def forks():
    """Children forked after a parallel run compute the same, by os.fork and in a multiprocessing pool."""
    gradient, executor, error = norms_and_gradient()
    assert executor == "prange"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        found = norms_and_gradient()
        os.write(writer, repr(found == (gradient, "threads", error)).encode())
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 100)
    assert os.waitpid(child, 0)[1] == 0
    assert answer == b"True", answer
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(norms_and_gradient, range(4)) == [(gradient, "threads", error)] * 4
    # The parent goes on; under workqueue its own plain threads now keep it from prange.
    assert norms_and_gradient()[::2] == (gradient, error)


def interruption(*, beside_a_thread=False):
    """Ctrl-C long before the end; the parent sends it when it sees "started"."""
    bystander = threading.Event()
    if beside_a_thread:
        threading.Thread(target=bystander.wait, daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fastgrad.numerical_gradient(slow, np.ones(2))
    try:
        print("started", flush=True)
        fastgrad.numerical_gradient(slow, np.ones(3_000_000))  # an hour on two threads
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    np.testing.assert_allclose(fastgrad.numerical_gradient(slow, np.ones(4), 0.5), np.full(4, 0.25), rtol=1e-9)


def interruption_on_plain_threads():
    """The same where another Python thread keeps workqueue from being used."""
    interruption(beside_a_thread=True)


def quiet_import():
    """Neither the import nor a check on one thread starts the threading layer, which cannot be forked."""
    fastgrad.numerical_gradient(rosenbrock, X, threads=1)
    fastgrad.check_gradient(rosenbrock, X, rosenbrock_gradient, threads=1)
    try:
        nb.threading_layer()
    except ValueError:
        return
    raise AssertionError(f"{nb.threading_layer()} was started")


def without_compilation():
    """NUMBA_DISABLE_JIT=1: f is a Python function, and everything still works."""
    assert nb.config.DISABLE_JIT
    assert not hasattr(rosenbrock, "py_func")
    require_rosenbrock(fastgrad.numerical_gradient(rosenbrock, X))
    result = fastgrad.check_gradient(rosenbrock, X, rosenbrock_gradient)
    assert result.passed, result
    wrong = rosenbrock_gradient(X)
    wrong[7] *= -1.0
    result = fastgrad.check_gradient(rosenbrock, X, wrong)
    assert result.verdict.value == "mismatch"
    assert result.worst[0].index == (7,)
    np.testing.assert_allclose(
        fastgrad.numerical_gradient(with_pair, X, 1e-3, args=(Pair(2.0, np.arange(41.0)),)),
        2.0 * np.arange(41.0),
        atol=1e-9,
    )
    assert fastgrad.relative_error([3.0, 4.0], [3.0, 4.0]) == 0.0
    for f, kind in ((lambda x: 3, TypeError), (fails_beyond, ArithmeticError)):
        try:
            fastgrad.numerical_gradient(f, np.ones(2), args=() if kind is TypeError else (0, 1.0))
        except kind:
            continue
        raise AssertionError(f"{kind} expected")


def serial_check():
    """The smallest use of the kernels: two of them, and none that are parallel."""
    require_rosenbrock(fastgrad.numerical_gradient(rosenbrock, X, threads=1))


def every_kernel():
    """All routes and kernels for float64, with and without arguments; argv makes the objective another one."""
    variant = float(sys.argv[2])

    @nb.njit
    def f(x, pair, names):
        return variant * pair[0] * (x * pair[1]).sum() + names[0] * rosenbrock(x)

    for threads in (1, 2):
        require_rosenbrock(fastgrad.numerical_gradient(rosenbrock, X, threads=threads))
        args = ((0.5 * variant, np.arange(41.0) * variant), (1, 2))
        wrong = np.ones(41)
        assert not fastgrad.check_gradient(f, X, wrong, args=args, threads=threads).passed
    print(len(X), nb.config.NUMBA_NUM_THREADS)


if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        globals()[name]()
        print(name, "survived", flush=True)
