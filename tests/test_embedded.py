"""Gradients and relative errors inside the user's own compiled code."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import naive
import numba as nb
import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys
from problems import example

import fastgrad
from fastgrad import make_gradient, make_relative_error, numerical_gradient


@nb.njit
def rosenbrock(x, weight):
    total = 0.0
    for i in range(x.size - 1):
        total += weight * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


@nb.njit
def plane(x):
    """x and its shape matter: x[i, j] weighs 10 i + j."""
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total += (10 * i + j) * x[i, j]
    return total


gradient = make_gradient(rosenbrock)
relative_error = make_relative_error()


def start(n, dtype=np.float64):
    return np.random.default_rng(n).uniform(-1.5, 1.5, n).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [2, 3, 50])
def test_it_has_the_bits_of_numerical_gradient_and_leaves_x_alone(n, dtype):
    x, out = start(n, dtype), np.empty(n, dtype)
    before = x.tobytes()
    gradient(x, out, 100.0)
    np.testing.assert_array_equal(out, numerical_gradient(rosenbrock, x, args=(100.0,)))
    assert x.tobytes() == before


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_given_step_is_that_of_the_naive_twin(dtype):
    x, out = start(7, dtype), np.empty(7)
    make_gradient(rosenbrock, 2.0**-9)(x, out, 100.0)
    np.testing.assert_array_equal(out, naive.central_difference(rosenbrock, x, 2.0**-9, (100.0,)))


def test_where_the_default_step_vanishes_it_is_relative():
    x, out = np.array([1e12, 1.0, -3e10]), np.empty(3)
    gradient(x, out, 1.0)
    np.testing.assert_array_equal(out, numerical_gradient(rosenbrock, x, args=(1.0,)))


def test_it_works_in_the_users_compiled_loop():
    @nb.njit
    def descend(x, steps, rate, weight):
        slope, worst = np.empty_like(x), 0.0
        for _ in range(steps):
            gradient(x, slope, weight)
            for i in range(x.size):
                x[i] -= rate * slope[i]
            worst = max(worst, relative_error(slope, 1.0001 * slope))
        return worst

    x = start(4)
    expected = x.copy()
    for _ in range(20):
        expected -= 1e-3 * numerical_gradient(rosenbrock, expected, args=(5.0,))
    assert descend(x, 20, 1e-3, 5.0) == pytest.approx(0.0001 / 2.0001, rel=1e-9)
    np.testing.assert_array_equal(x, expected)


def test_each_thread_of_a_parallel_loop_differentiates_at_its_own_point():
    @nb.njit(parallel=True)
    def rows(points, out):
        for k in nb.prange(points.shape[0]):
            gradient(points[k], out[k], 100.0)

    points, out = start(40).reshape(8, 5), np.empty((8, 5))
    expected = [numerical_gradient(rosenbrock, point, args=(100.0,)) for point in points]
    rows(points, out)
    np.testing.assert_array_equal(out, expected)


def test_a_matrix_keeps_its_shape():
    x, out = np.ones((2, 3)), np.empty((2, 3))
    make_gradient(plane)(x, out)
    np.testing.assert_allclose(out, [[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]], rtol=0.0, atol=1e-6)


def test_arguments_of_every_kind_are_passed_on():
    @nb.njit
    def f(x, pair, inner, name, table):
        return inner(x[0]) * pair[1] + len(name) * x[1] + table[1] * x[2]

    @nb.njit
    def square(value):
        return value * value

    out = np.empty(3)
    make_gradient(f)(np.array([3.0, 0.0, 0.0]), out, (1, 2.0), square, "four", np.array([0.0, 7.0]))
    np.testing.assert_allclose(out, [12.0, 4.0, 7.0], rtol=0.0, atol=1e-6)


def test_a_c_function_can_be_embedded():
    function = nb.cfunc(nb.float64(nb.types.CPointer(nb.float64), nb.int64, nb.types.voidptr))(first_squared)
    out = np.empty(2)
    make_gradient(fastgrad.c_objective(function))(np.array([3.0, 1.0]), out)
    np.testing.assert_allclose(out, [6.0, 0.0], rtol=0.0, atol=1e-6)


def first_squared(x, n, data):
    return x[0] * x[0]


def allocations(call):
    _nrt_python.memsys_enable_stats()
    call()  # compiles
    before = rtsys.get_allocation_stats()
    call()
    return rtsys.get_allocation_stats().alloc - before.alloc


def test_nothing_is_allocated():
    @nb.njit
    def loop(x, out, times):
        for _ in range(times):
            gradient(x, out, 100.0)
            relative_error(x, out)

    @nb.njit
    def allocating(x, out, times):
        for _ in range(times):
            out[:] = x + 1.0

    x, out = start(100), np.empty(100)
    entering = 2  # of x and out, handed over by Python
    assert allocations(lambda: loop(x, out, 50)) == entering
    assert allocations(lambda: allocating(x, out, 50)) == entering + 50


def test_an_exception_of_f_arrives_and_x_is_as_it_was():
    @nb.njit
    def f(x):
        if x[1] > 2.0:
            raise ArithmeticError("out of the domain")
        return x[0] * x[1]

    x, out = np.array([1.0, 2.0]), np.empty(2)
    with pytest.raises(ArithmeticError, match="out of the domain"):
        make_gradient(f)(x, out)
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_an_exception_that_does_not_come_again_is_named():
    @nb.njit
    def f(x, count):
        count[0] += 1
        if count[0] == 2:
            raise ArithmeticError("once")
        return x[0]

    with pytest.raises(RuntimeError, match="f raised near x, but not when called there again"):
        make_gradient(f)(np.ones(1), np.empty(1), np.zeros(1))


UNUSABLE = {
    "shape of out": (np.ones(3), np.empty(2), None, "out is not shaped like x"),
    "epsilon too small": (np.full(2, 1e10), np.empty(2), 1e-7, "epsilon vanishes against an entry of x"),
    "not finite": (np.array([1.0, np.nan]), np.empty(2), None, "or x is not finite"),
    "integers": (np.arange(2), np.empty(2), None, "x does not hold floats"),
    "integers for out": (np.ones(2), np.arange(2), None, "out does not hold floats"),
    "infinite": (np.array([1.0, np.inf]), np.empty(2), None, "or x is not finite"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_arguments_that_do_not_fit_are_refused(case):
    x, out, epsilon, message = UNUSABLE[case]
    with pytest.raises(ValueError, match=message):
        (gradient if epsilon is None else make_gradient(rosenbrock, epsilon))(x, out, 1.0)


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_memory_of_x_is_no_place_for_the_gradient(shift):
    buffer = np.ones(10)
    for x, out in ((buffer[:5], buffer[shift : shift + 5]), (buffer[shift : shift + 5], buffer[:5])):
        with pytest.raises(ValueError, match="out shares memory with x; need another array"):
            gradient(x, out, 1.0)


def test_x_and_out_may_lie_side_by_side():
    buffer, apart = np.tile(start(5), 2), np.empty(5)
    gradient(start(5), apart, 1.0)
    gradient(buffer[:5], buffer[5:], 1.0)
    np.testing.assert_array_equal(buffer[5:], apart)


def read_only():
    x = np.ones(6)
    x.setflags(write=False)
    return x


@pytest.mark.parametrize("array", [np.ones(12)[::2], read_only(), np.ones((2, 3), order="F"), [1.0, 2.0]])
def test_arrays_that_compiled_code_cannot_take_are_named(array):
    other = np.empty(np.shape(array))
    for name, arguments in (("x", (array, other)), ("out", (other, array))):
        with pytest.raises(nb.core.errors.TypingError) as caught:
            make_gradient(plane)(*arguments)
        text = str(caught.value)
        assert re.search(rf"{name} is .*need a C-contiguous array that can be written to: {name}\.copy", text), text


def test_what_cannot_be_embedded_is_refused():
    for f, kind in ((first_squared, "a function"), (fastgrad.python_objective(first_squared), "a PythonObjective")):
        with pytest.raises(TypeError) as caught:
            make_gradient(f)
        assert str(caught.value).startswith(f"f is {kind}, which compiled code cannot call; need a function compiled")
        assert "python_objective" not in str(caught.value)
    with pytest.raises(ValueError, match=r"epsilon is 0\.0; need a positive"):
        make_gradient(rosenbrock, 0.0)
    with pytest.raises(TypeError, match="epsilon is 'tiny'; need a positive number"):
        make_gradient(rosenbrock, "tiny")


# --- relative error --------------------------------------------------------------------------------------------

LARGEST = np.finfo(np.float64).max
PAIRS = {
    "equal": ([3.0, 4.0], [3.0, 4.0]),
    "opposite": ([1.0, 0.0], [-1.0, 0.0]),
    "zeros": ([0.0, 0.0], [0.0, 0.0]),
    "one zero": ([0.0, 0.0], [1.0, 2.0]),
    "ordinary": ([1.0, -2.0, 3.0], [1.0, -2.0, 3.1]),
    "huge": ([2e200, 1e10], [1e200, -1e10]),
    "overflowing": ([LARGEST, LARGEST], [-LARGEST, LARGEST]),
    "tiny": ([2e-200], [1e-200]),
    "subnormal": ([5e-324, 1e-323], [5e-324, 5e-324]),
    "tiny difference": ([1e200, 1.0], [1e200, 2.0]),
    "nan": ([np.nan, 1.0], [1.0, 1.0]),
    "nan alone": ([np.nan], [np.nan]),
    "infinite": ([np.inf, 1.0], [np.inf, 1.0]),
}


@pytest.mark.parametrize("case", PAIRS)
def test_it_is_the_relative_error_of_the_naive_twin(case):
    numerical, analytical = map(np.array, PAIRS[case])
    expected = naive.relative_error(numerical, analytical)
    assert relative_error(numerical, analytical) == pytest.approx(expected, rel=1e-14, abs=0.0, nan_ok=True)


def test_it_agrees_with_the_metric_on_large_and_on_mixed_arrays():
    rng = np.random.default_rng(0)
    numerical, analytical = rng.normal(size=(2, 300, 400))
    expected = fastgrad.relative_error(numerical, analytical)
    assert relative_error(numerical, analytical) == pytest.approx(expected, rel=1e-13)
    single = analytical.astype(np.float32)
    assert relative_error(numerical, single) == pytest.approx(fastgrad.relative_error(numerical, single), rel=1e-13)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        relative_error(np.ones((2, 3)), np.ones((3, 2)))


# --- the example -----------------------------------------------------------------------------------------------


def test_the_time_stepping_example_watches_its_forces():
    module = example("time_stepping")
    result = module.simulate(module.force, *module.problem())
    assert result.worst_error < 1e-6
    assert abs(result.energy_drift) < 1e-4


def test_the_time_stepping_example_sees_the_planted_bug_once_the_chain_moves():
    module = example("time_stepping")
    result = module.simulate(module.force_with_bug, *module.problem())
    assert result.first_error < 1e-6 < 1e-3 < result.worst_error


def test_the_factories_work_without_compilation():
    script = """
import numba, numpy as np, fastgrad
@numba.njit
def f(x, a):
    return a * x[0] * x[1]
out = np.empty(2)
fastgrad.make_gradient(f)(np.array([3.0, 4.0]), out, 2.0)
print(out.round(5).tolist(), fastgrad.make_relative_error()(out, out))
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout == "[8.0, 6.0] 0.0\n", done.stderr
