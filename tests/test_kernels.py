"""The kernels: the same bits on every route, steps as they really are, and norms that no size of number upsets."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import naive
import numba as nb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastgrad
from fastgrad import _threads, numerical_gradient, relative_error
from fastgrad._compiled import kernels
from fastgrad._compiled.kernels import NORM_BLOCK
from fastgrad._inputs import point_array
from fastgrad._objective import prepare
from fastgrad._schedule import Evaluator
from fastgrad.metric import error_norms

ALL_THREADS = range(1, nb.config.NUMBA_NUM_THREADS + 1)
deterministic = settings(derandomize=True, deadline=None, max_examples=200, database=None)


@nb.njit
def rosenbrock(x):
    """Not separable: a coordinate that is not restored spoils the derivatives of its neighbours."""
    total = 0.0
    for i in range(x.size - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def start(n, dtype=np.float64):
    return np.random.default_rng(n).uniform(-1.5, 1.5, n).astype(dtype)


def plain_threads_only(monkeypatch):
    monkeypatch.setattr(_threads, "layer_is_safe", lambda: False)


def evaluator_at(x, threads):
    point = point_array(x)
    return Evaluator(prepare(rosenbrock, point, ()), point, threads=threads, seconds=1e-6)


# --- the same bits everywhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [2, 3, 16, 257])
def test_every_route_gives_the_bits_of_the_naive_difference(n, dtype, monkeypatch):
    """Also that every coordinate is restored before the next one is changed, by each of the routes."""
    x, step = start(n, dtype), 2.0**-9
    expected = naive.central_difference(rosenbrock, x, step).astype(dtype)
    for threads in ALL_THREADS:
        np.testing.assert_array_equal(numerical_gradient(rosenbrock, x, step, threads=threads), expected)
    plain_threads_only(monkeypatch)
    for threads in ALL_THREADS:
        np.testing.assert_array_equal(numerical_gradient(rosenbrock, x, step, threads=threads), expected)


def test_the_routes_are_the_ones_meant(monkeypatch):
    threads = min(2, nb.config.NUMBA_NUM_THREADS)
    monkeypatch.setattr(_threads, "layer_is_safe", lambda: True)  # whatever threads other tests have left
    routes = [evaluator_at(start(8), 1).route, evaluator_at(start(8), threads).route]
    plain_threads_only(monkeypatch)
    routes.append(evaluator_at(start(8), threads).route)
    assert routes == (["serial", "prange", "threads"] if threads > 1 else ["serial"] * 3)


@pytest.mark.parametrize("lanes", [1, 2, 3, 7])
def test_parallel_kernels_give_the_bits_of_the_serial_ones(lanes):
    """Directly, with more rows than threads, and for all three kernels."""
    x = start(23)
    objective = prepare(rosenbrock, point_array(x), ())
    head = (objective.function, objective.block_address)
    rows = np.empty((lanes, 32))
    rows[:, :23] = x
    index, step = np.arange(23), np.full(23, 1e-7)
    coordinate, direction, multiple = x + 1e-3, np.linspace(-1.0, 1.0, 23), np.arange(23) * 1e-3

    def run(kernel, shared, arguments, outputs):
        found = [np.full(23, np.nan) for _ in range(outputs)]
        status = np.full(23, 9, np.uint8)
        kernel(*head, rows, *shared, *arguments, *found, status)
        assert not status.any()
        np.testing.assert_array_equal(rows[:, :23], np.tile(x, (lanes, 1)))
        return found

    for name, shared, arguments, outputs in (
        ("differences", (23,), (index, step), 3),
        ("displaced", (23,), (index, coordinate), 1),
        ("along", (x, direction), (multiple,), 1),
    ):
        serial = run(getattr(kernels, f"{name}_serial"), shared, arguments, outputs)
        parallel = run(getattr(kernels, f"{name}_parallel"), shared, arguments, outputs)
        np.testing.assert_array_equal(parallel, serial)
        assert np.isfinite(serial).all()


def test_displaced_values_are_those_of_the_function():
    x = start(9)
    evaluator = evaluator_at(x, None)
    index, coordinate = np.array([3, 3, 0, 8]), np.array([0.5, -0.5, 7.0, x[8]])
    values, status = evaluator.displaced(index, coordinate)
    expected = []
    for i, value in zip(index, coordinate, strict=True):
        place = x.copy()
        place[i] = value
        expected.append(rosenbrock(place))
    np.testing.assert_array_equal(values, expected)
    assert not status.any()


def test_values_along_a_direction_are_those_of_the_function():
    x, direction, multiple = start(9), start(9)[::-1].copy(), np.array([0.0, 0.25, -3.0])
    values, _ = evaluator_at(x, None).along(direction, multiple)
    np.testing.assert_array_equal(values, [rosenbrock(x + m * direction) for m in multiple])


def test_results_do_not_depend_on_the_sizes_of_the_slices(monkeypatch):
    x = start(200)
    expected = numerical_gradient(rosenbrock, x, threads=1)
    monkeypatch.setattr("fastgrad._schedule.SLICE_SECONDS", 1e-9)
    monkeypatch.setattr("fastgrad._schedule._GROWTH", 1)
    for threads in ALL_THREADS:
        np.testing.assert_array_equal(numerical_gradient(rosenbrock, x, threads=threads), expected)


FOUR_THREADS = """
import json, sys
import numba as nb, numpy as np
from fastgrad import numerical_gradient, relative_error
from test_kernels import rosenbrock, start

x, found = start(101), []
rng = np.random.default_rng(5)
a, b = rng.standard_normal((2, (1 << 20) + 4097))
for threads in (1, 2, 3, 4):
    found.append(numerical_gradient(rosenbrock, x, threads=threads).tobytes().hex())
    nb.set_num_threads(threads)
    found.append(numerical_gradient(rosenbrock, x).tobytes().hex())
    found.append(relative_error(a, b).hex())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def results_on_four_threads():
    """(gradient by threads=k, gradient under set_num_threads(k), relative error) for k = 1 ... 4."""
    here = [str(Path(__file__).parent), str(Path(fastgrad.__file__).parent.parent)]
    path = os.pathsep.join([*here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", FOUR_THREADS], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return np.reshape(json.loads(done.stdout), (4, 3))


def test_gradients_have_the_same_bits_on_any_number_of_threads(results_on_four_threads):
    here = numerical_gradient(rosenbrock, start(101), threads=1).tobytes().hex()
    assert set(results_on_four_threads[:, :2].ravel()) == {here}


def test_norms_of_large_arrays_have_the_same_bits_on_any_number_of_threads(results_on_four_threads):
    assert len(set(results_on_four_threads[:, 2])) == 1
    a, b = np.random.default_rng(5).standard_normal((2, (1 << 20) + 4097))
    assert float.fromhex(results_on_four_threads[0, 2]) == exactly(naive.relative_error(a, b))


@pytest.mark.parametrize("n", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_norms_are_right_where_they_become_parallel(n):
    a = np.zeros(n)
    a[[0, n // 2, n - 1]] = 3.0, -4.0, 12.0
    norms = error_norms(a, np.zeros(n))
    assert (norms.numerical, norms.analytical, norms.difference, norms.relative_error) == (13.0, 0.0, 13.0, 1.0)


# --- one compilation for all objectives -----------------------------------------------------------------------


def test_kernels_are_compiled_once_per_precision_whatever_the_objective(monkeypatch):
    monkeypatch.setattr(_threads, "layer_is_safe", lambda: True)  # whatever threads other tests have left
    all_kernels = (kernels.differences_serial, kernels.differences_parallel, kernels.value_at)

    def signatures():  # the complex step of other tests compiles value_at once more, for complex points
        return [{s for s in kernel.signatures if "complex" not in str(s)} for kernel in all_kernels]

    plain = nb.njit(lambda x: x[0] * x[1])
    of_tuple = nb.njit(lambda x, t: x[0] * t[0][0] + x[1] * t[1])
    for dtype in (np.float64, np.float32):
        for threads in (1, 2):
            numerical_gradient(plain, np.ones(2, dtype), threads=threads)
    before = signatures()
    assert [len(known) for known in before] == [2, 2, 2]
    for dtype in (np.float64, np.float32):
        for threads in (1, 2):
            numerical_gradient(of_tuple, np.ones(2, dtype), args=((np.ones(1), 2),), threads=threads)
            numerical_gradient(rosenbrock, np.ones(3, dtype), threads=threads)
    assert signatures() == before


# --- steps ----------------------------------------------------------------------------------------------------


@nb.njit
def twice(x):
    return 2.0 * x[0]


def test_the_quotient_divides_by_the_step_really_taken():
    """At x = 1.5e6 a step of 1.1e-9 is rounded by 6 %; the slope of a line shows no trace of it."""
    x, step = 1.5 * 2.0**20, 1.1e-9
    taken = (x + step) - (x - step)
    assert abs(taken - 2 * step) > 0.05 * 2 * step
    assert numerical_gradient(twice, [x], step) == 2.0


def test_points_of_single_precision_are_rounded_to_it():
    x, step = np.float32([1000.0]), 1e-4
    point = point_array(x)
    evaluator = Evaluator(prepare(twice, point, ()), point, threads=1, seconds=1e-6)
    found = evaluator.differences(np.arange(1), np.array([step]))
    assert found.above == 2.0 * float(np.float32(1000.0 + step)) != 2.0 * (1000.0 + step)
    assert found.quotient == 2.0


@pytest.mark.parametrize("threads", [1, None])
def test_a_vanished_step_gives_nan_and_raises_nothing(threads):
    """The gates never let one through; Python's error model would raise and skip the rest of a prange's share."""
    step = np.full(8, 1e-6)
    step[[0, 4]] = 1e-30
    found = evaluator_at(start(8), threads).differences(np.arange(8), step)
    np.testing.assert_array_equal(np.isnan(found.quotient), step == 1e-30)


def test_values_above_and_below_are_returned_as_they_are():
    x, step = start(5), np.full(5, 1e-3)
    found = evaluator_at(x, None).differences(np.arange(5), step)
    for i in range(5):
        shift = step[i] * (np.arange(5) == i)
        assert found.above[i] == rosenbrock(x + shift)
        assert found.below[i] == rosenbrock(x - shift)


# --- norms ----------------------------------------------------------------------------------------------------


def exactly(expected, roundings=1e-13):
    """Up to a few roundings, and nothing absolute: pytest.approx alone forgives 1e-12."""
    return pytest.approx(expected, rel=roundings, abs=0.0)


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
pairs = hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(1, 40)), elements=finite)


@deterministic
@given(pairs)
@example(np.array([[1e200, 1e200], [-1e200, 1e200]]))
@example(np.array([[1e-200, 0.0], [2e-200, 1e-310]]))
@example(np.array([[1e308, 1.7e308], [-1.7e308, 1e308]]))
@example(np.array([[5e-324, 0.0], [0.0, 0.0]]))
@example(np.array([[1e300, 1e-300], [1e300, 2e-300]]))
@example(np.array([[1.0, 1.0 + 2.0**-52], [1.0, 1.0]]))
def test_relative_error_agrees_with_exact_sums(pair):
    numerical, analytical = pair
    expected = naive.relative_error(numerical, analytical)
    assert relative_error(numerical, analytical) == pytest.approx(expected, rel=1e-13, abs=5e-324)


@deterministic
@given(pairs, st.sampled_from([2.0**-40, 2.0**40, 2.0**-600, 2.0**600]))
def test_relative_error_does_not_depend_on_units(pair, scale):
    """To the bit, as long as nothing over- or underflows: rescaling is by powers of two."""
    numerical, analytical = np.where(np.abs(pair) < 1e-3, 0.0, np.clip(pair, -1e3, 1e3))
    here = relative_error(numerical, analytical)
    assert relative_error(scale * numerical, scale * analytical) == exactly(here, 1e-15)


@deterministic
@given(pairs)
def test_relative_error_is_symmetric_and_between_0_and_1(pair):
    error = relative_error(*pair)
    assert 0.0 <= error <= 1.0
    assert error == exactly(relative_error(*pair[::-1]), 1e-15)
    assert relative_error(pair[0], pair[0]) == 0.0


@deterministic
@given(pairs, st.data(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_number_that_is_not_finite_is_never_hidden(pair, data, value):
    row, column = data.draw(st.integers(0, 1)), data.draw(st.integers(0, pair.shape[1] - 1))
    pair[row, column] = value
    assert math.isnan(relative_error(*pair))


def test_the_same_infinity_on_both_sides_is_no_agreement():
    assert math.isnan(relative_error([np.inf, 1.0], [np.inf, 1.0]))


@pytest.mark.parametrize("size", [1, NORM_BLOCK - 1, NORM_BLOCK, NORM_BLOCK + 1, 3 * NORM_BLOCK + 5])
@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_norms_agree_with_exact_sums_across_blocks(size, scale, dtype):
    if dtype == np.float32:
        scale = {1.0: 1.0, 1e200: 1e30, 1e-200: 1e-30}[scale]
    rng = np.random.default_rng(size)
    numerical, analytical = (scale * rng.standard_normal((2, size))).astype(dtype)
    norms = error_norms(numerical, analytical)
    a, b = numerical.astype(np.float64), analytical.astype(np.float64)
    assert norms.numerical == exactly(naive.norm(a.tolist()))
    assert norms.analytical == exactly(naive.norm(b.tolist()))
    assert norms.difference == exactly(naive.norm((a - b).tolist()))
    assert norms.relative_error == exactly(naive.relative_error(a, b))


def test_small_numbers_beside_large_ones_are_counted_in_the_difference():
    """The difference has a scale of its own: values of 1e200 do not drown differences of 1e-150."""
    numerical, analytical = np.array([1e200, 3e-150, 0.0]), np.array([1e200, 0.0, 4e-150])
    norms = error_norms(numerical, analytical)
    assert norms.difference == exactly(5e-150)
    assert norms.numerical == 1e200


def test_mixed_precisions_are_compared_in_double():
    third = np.array([1.0 / 3.0])
    assert relative_error(third.astype(np.float32), third) == naive.relative_error(third.astype(np.float32), third) > 0


def test_customary_normalisations():
    norms = error_norms(np.array([3.0, 4.0]), np.array([0.0, 0.0]))
    assert (norms.by_larger, norms.by_analytical, norms.by_twice_analytical) == (1.0, math.inf, math.inf)
    assert norms.root_mean_square == 5.0 / math.sqrt(2.0)
    norms = error_norms(np.array([3.0, 4.0]), np.array([3.0, 1.0]))
    assert norms.by_analytical == 3.0 / math.sqrt(10.0)
    assert norms.by_twice_analytical == 3.0 / (2.0 * math.sqrt(10.0))
    assert norms.by_larger == 3.0 / 5.0
    same = error_norms(np.zeros(2), np.zeros(2))
    assert (same.relative_error, same.by_larger, same.by_analytical, same.by_twice_analytical) == (0.0,) * 4
