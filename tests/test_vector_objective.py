"""The gate for vector functions, and their evaluation: what is refused, and that every evaluation sees x to the bit."""

# ruff: noqa: NPY002  (of NumPy's random numbers, compiled code can make only the legacy ones by itself)

import os
import subprocess
import sys

import naive
import numba as nb
import numpy as np
import pytest

from fastgrad import check_jacobian, numerical_jacobian, python_objective
from fastgrad._calls import Named
from fastgrad._inputs import point_array
from fastgrad._vector_objective import prepare_vector
from fastgrad._vector_schedule import Groups, VectorEvaluator, single_columns
from fastgrad._vector_trial import try_vector

X = np.array([0.5, -1.5, 2.0])


@nb.njit
def chained(x, shift):
    """Not separable: a coordinate that is not restored shows in the next column."""
    values = np.empty(x.size + 1)
    for i in range(x.size):
        values[i] = np.sin(x[i]) * x[i - 1] + shift
    values[x.size] = (x * x).sum()
    return values


@nb.njit
def filling(x, out, shift):
    out[:] = chained(x, shift)


def refusal(kind, text, F, x=X, **options):
    """F is refused with exactly this kind of exception and, in a single line, this text."""
    with pytest.raises(kind, match=text) as caught:
        numerical_jacobian(F, x, **options)
    assert caught.type is kind
    assert "\n" not in str(caught.value)


# --- kinds and results ---------------------------------------------------------------------------------------


def test_a_python_function_is_refused_and_runs_if_that_is_meant():
    refusal(TypeError, "the Python function .*not compiled; .*decorate it with @numba.njit", lambda x: x)
    J = numerical_jacobian(python_objective(lambda x: np.outer(x, x)), X, 2.0**-20)
    np.testing.assert_array_equal(J, naive.central_jacobian(lambda x: np.outer(x, x), X, 2.0**-20))


NEED = "need an array of floats"
RESULTS = {
    "number": (lambda x: x[0], rf"returns float64; {NEED}: for one number use check_gradient"),
    "zero-dimensional array": (lambda x: np.array(1.0), rf"{NEED}: for one number use check_gradient"),
    "whole numbers": (lambda x: np.zeros(2, np.int64), rf"returns array\(int64.*; {NEED}: whole numbers have no"),
    "truth values": (lambda x: x > 0.0, rf"{NEED}: whole numbers have no derivative"),
    "complex": (lambda x: x * 1j, rf"{NEED}: return real and imaginary part as separate entries"),
    "tuple": (lambda x: (x, x), rf"returns UniTuple.*; {NEED}: return the values as one array"),
    "list": (lambda x: [1.0, 2.0], rf"returns .*list.*; {NEED}: return the values as one array"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_result_that_is_no_array_of_floats(case):
    F, text = RESULTS[case]
    refusal(TypeError, text, nb.njit(F))


@nb.njit
def nothing(x):
    x.sum()


@nb.njit
def sometimes_nothing(x):
    if x[0] > 9.0:
        return None
    return x * 2.0


def test_result_that_is_none_on_some_path():
    text = rf"returns .*[nN]one.*; {NEED}: return one on every path, or take the array to fill as the second argument"
    refusal(TypeError, text, nothing)
    refusal(TypeError, r"OptionalType.*return one on every path", sometimes_nothing)


SHAPES = {
    "two dimensions": lambda x: np.outer(x, x),
    "Fortran order": lambda x: np.asfortranarray(np.outer(x, x * x)),
    "transposed": lambda x: np.outer(x, x * x).T,
    "a stride": lambda x: np.outer(x, x * x)[::2, 1:],
    "x itself": lambda x: x,
    "single precision": lambda x: np.array([x[0], x[1] * x[2]], dtype=np.float32),
    "one value": lambda x: x[:1] * x[1],
}


@pytest.mark.parametrize("case", SHAPES)
def test_arrays_of_any_layout(case):
    F = SHAPES[case]
    np.testing.assert_array_equal(numerical_jacobian(nb.njit(F), X, 2.0**-8), naive.central_jacobian(F, X, 2.0**-8))


def test_x_may_be_a_number():
    square = nb.njit(lambda x: np.array([x * x, 3.0 * x]))
    np.testing.assert_array_equal(numerical_jacobian(square, 2.0, 2.0**-8), [[4.0], [3.0]])


@pytest.mark.parametrize("x", [X, X.reshape(3, 1), X.astype(np.float32), np.array([1, 2, 3])])
def test_shapes_and_dtypes_of_x(x):
    def F(x, a):
        return np.stack((x * a, x**2))

    @nb.njit
    def compiled(x, a):
        return np.stack((x * a, x**2))

    expected = naive.central_jacobian(F, x, 2.0**-8, args=(2.0,))
    found = numerical_jacobian(compiled, x, 2.0**-8, args=(2.0,))
    assert found.dtype == (np.float32 if np.asarray(x).dtype == np.float32 else np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-12 if found.dtype == np.float64 else 1e-3)


# --- functions that fill an array --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_array_to_fill_gives_the_same(dtype):
    x = X.astype(dtype)
    returned = numerical_jacobian(chained, x, 2.0**-7, args=(0.25,))
    filled = numerical_jacobian(filling, x, 2.0**-7, args=(0.25,), out_shape=4)
    np.testing.assert_allclose(filled, returned, rtol=1e-15 if dtype == np.float64 else 1e-3, atol=1e-6)
    assert (filled == returned).all() or dtype == np.float32


def test_an_array_to_fill_may_have_any_shape():
    @nb.njit
    def F(x, out):
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = x[i] * x[j]

    expected = naive.central_jacobian(lambda x: np.outer(x[:2], x), X, 2.0**-8)
    np.testing.assert_array_equal(numerical_jacobian(F, X, 2.0**-8, out_shape=(2, 3)), expected)


def test_an_array_to_fill_needs_a_shape():
    text = r"F is filling\(x, out, shift\), which takes one argument more than x and args; need the shape .* out_shape="
    refusal(TypeError, text, filling, args=(0.0,))


@nb.njit
def fills_some(x, out):
    out[0] = x[0]


@nb.njit
def adds(x, out):
    for i in range(out.size):
        out[i] += x[i]


def test_entries_that_are_not_assigned_are_found():
    refusal(
        ValueError, r"F leaves out\[1\] and 1 more as it was, or adds to it; need every entry", fills_some, out_shape=3
    )
    refusal(ValueError, r"F leaves out\[0\] and 2 more as it was, or adds to it", adds, out_shape=3)


def test_nan_that_was_assigned_is_no_entry_left_out():
    @nb.njit
    def F(x, out):
        out[0], out[1] = np.nan, x[1]

    J = numerical_jacobian(F, X, 2.0**-8, out_shape=2)
    np.testing.assert_array_equal(J, [[np.nan] * 3, [0.0, 1.0, 0.0]])


# --- functions that misbehave ---------------------------------------------------------------------------------------


@nb.njit
def writes_to_x(x):
    x[0] += 1e-3
    return x * x


@nb.njit
def writes_to_work(x, work):
    work[:] = x * x
    return work * 1.0


@nb.njit
def writes_to_x_later(x):
    values = x * x
    if x[1] > 0.0:
        x[2] = 7.0
    return values


def test_writing_to_arguments():
    refusal(ValueError, r"F writes to x; need an F that only reads", writes_to_x)
    refusal(ValueError, r"F writes to args\[0\]; need an F that only reads", writes_to_work, args=(np.zeros(3),))
    refusal(ValueError, r"F writes to x; need", writes_to_x_later, x=np.array([1.0, 0.0, 2.0]))


@nb.njit
def random(x):
    return x + 1e-6 * np.random.normal()


def test_random_values():
    refusal(
        ValueError, r"F is not deterministic: two calls at x gave F\[\d\] = .*; need a function that repeats", random
    )


@nb.njit
def raises_above(x):
    values = x * x
    if x[1] > 1.0:
        raise ValueError("the second coordinate is too large")
    return values


@nb.njit
def raises_always(x):
    if x[0] < 9.0:
        raise ArithmeticError("no")
    return x * x


@pytest.mark.parametrize("threads", [1, 2])
def test_what_f_raises_in_a_parallel_loop_arrives_with_the_column(threads):
    x = np.linspace(0.5, 1.0, 40)
    x[1] = 1.0
    with pytest.raises(ValueError, match="the second coordinate is too large") as caught:
        numerical_jacobian(raises_above, x, threads=threads)
    assert caught.value.__notes__ == ["F raised at x + h, x[1] = 1.0000001 (h = 1e-07)"]


def test_what_f_raises_at_x_arrives():
    with pytest.raises(ArithmeticError, match="no") as caught:
        numerical_jacobian(raises_always, X)
    assert caught.value.__notes__ == ["F raised at x itself"]


@nb.njit
def longer_beyond(x):
    return np.zeros(3 + int(x[1] > 0.0))


@nb.njit
def longer_each_time(x, count):
    count[0] += 1
    return np.zeros(count[0])


def test_varying_length_is_said_in_one_line():
    text = r"F returns 3 values at x and 4 at x \+ h, x\[1\] = 1e-07 \(h = 1e-07\); need the same number everywhere"
    refusal(ValueError, text, longer_beyond, x=np.zeros(3))
    with pytest.raises(ValueError, match="F returns 3 values at x and 4 at"):
        check_jacobian(longer_beyond, np.zeros(3), np.zeros((3, 3)))
    refusal(ValueError, "F writes to args", longer_each_time, args=(np.zeros(1, np.int64),))


def test_no_values_at_all():
    refusal(ValueError, "F returns no values", nb.njit(lambda x: np.empty(0)))


@nb.njit(parallel=True)
def parallel_inside(x):
    values = np.empty(5)
    for i in nb.prange(5):
        values[i] = np.sin(x[i % x.size] * i)
    return values


def test_a_parallel_f_keeps_the_threads():
    J = np.zeros((5, 3))
    for i in range(5):
        J[i, i % 3] = i * np.cos(X[i % 3] * i)
    check = check_jacobian(parallel_inside, X, J)
    assert check.passed and check.executor == "inside f" and check.threads == 1


# --- evaluation: bits ------------------------------------------------------------------------------------------------


def evaluator(F, x, args, threads):
    point = point_array(x)
    objective = prepare_vector(Named(F, "F"), point, args)
    trial = try_vector(objective, point)
    return VectorEvaluator(objective, point, trial.size, threads=threads, seconds=1.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results_are_the_same_to_the_bit_for_any_number_of_threads(dtype):
    x = np.linspace(-1.0, 2.0, 23).astype(dtype)
    groups = Groups(np.random.default_rng(1).permutation(23), np.array([0, 4, 5, 11, 12, 20, 23]))
    step = np.logspace(-7, -2, 23)
    found = []
    for threads in (1, 2):
        work = evaluator(chained, x, (0.5,), threads)
        differences = work.group_differences(groups, step)
        displaced, _ = work.group_displaced(groups, np.linspace(-2.0, 2.0, 23))
        along, _ = work.along(np.sin(np.arange(23.0)), np.array([0.0, 0.5, -3.0]))
        work.require_intact()
        found.append((differences.above, differences.below, displaced, along))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_groups_of_columns_move_together():
    x = np.linspace(-1.0, 2.0, 7)
    groups = Groups(np.array([0, 3, 6, 1, 5]), np.array([0, 3, 4, 5]))
    step, coordinate = np.array([1e-3, 2e-3, 3e-3, 4e-3, 5e-3]), np.array([5.0, 6.0, 7.0, 8.0, 9.0])
    work = evaluator(chained, x, (0.5,), 2)
    differences = work.group_differences(groups, step)
    displaced, status = work.group_displaced(groups, coordinate)
    assert status.tolist() == [0, 0, 0] == differences.status.tolist()
    for k, here in enumerate((slice(0, 3), slice(3, 4), slice(4, 5))):
        above, below, place = x.copy(), x.copy(), x.copy()
        above[groups.index[here]] += step[here]
        below[groups.index[here]] -= step[here]
        place[groups.index[here]] = coordinate[here]
        for row, point in ((differences.above[k], above), (differences.below[k], below), (displaced[k], place)):
            np.testing.assert_array_equal(row, chained(point, 0.5))


def test_a_line_through_x():
    x, direction = np.linspace(-1.0, 2.0, 7), np.cos(np.arange(7.0))
    values, _ = evaluator(chained, x, (0.5,), 2).along(direction, np.array([0.0, 2.0]))
    np.testing.assert_array_equal(values, [chained(x, 0.5), chained(x + 2.0 * direction, 0.5)])


def test_groups_without_some_columns():
    groups = Groups(np.array([4, 2, 0, 1, 3]), np.array([0, 2, 3, 5]))
    left = groups.only(np.array([False, True, False, True, True]))
    assert (left.index.tolist(), left.start.tolist()) == ([2, 1, 3], [0, 1, 3])
    assert groups.of_columns(6).tolist() == [1, 2, 0, 2, 0, -1]
    assert single_columns(np.array([3, 1])).start.tolist() == [0, 1, 2]


def test_a_second_check_compiles_nothing():
    numerical_jacobian(chained, X, args=(0.5,))
    before = nb.core.event.RecordingListener()
    with nb.core.event.install_recorder("numba:compile") as recorder:
        numerical_jacobian(chained, 2.0 * X, args=(0.75,))
    assert recorder.buffer == [] and before.buffer == []


def test_without_compilation_everything_runs_as_python():
    code = (
        "import numba as nb, numpy as np, fastgrad\n"
        "F = nb.njit(lambda x: np.array([x[0] * x[1], x[0] ** 2]))\n"
        "print(fastgrad.check_jacobian(F, [3.0, 4.0], [[4.0, 3.0], [6.0, 0.0]]).verdict.value)\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "match\n"
