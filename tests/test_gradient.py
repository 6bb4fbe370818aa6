"""check_gradient from end to end: compiled objectives in every kind of trouble."""

from __future__ import annotations

import math
import subprocess
import sys

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad import Verdict, _threads, check_gradient, numerical_gradient, relative_error
from fastgrad._inputs import point_array
from fastgrad._judge.verdict import Flag
from fastgrad._objective import try_objective
from fastgrad.steps import Absolute, Automatic, Relative

MATCH, MISMATCH, INCONCLUSIVE = Verdict.MATCH, Verdict.MISMATCH, Verdict.INCONCLUSIVE

(POWERS, SINES, DISTANCES, RELU, FLOOR, LOG, AT_X_ONLY, CLIPPED, HASH, RANDOM, OFFSET, CONSTANT, EXP, SINGLE) = range(
    14
)


@nb.njit
def uniform(x):
    """A number in [-1, 1) that depends on every bit of x and looks random."""
    key = np.uint64(0x9E3779B97F4A7C15)
    for value in x:
        fraction, exponent = math.frexp(np.float64(value))
        key ^= np.uint64(np.int64(fraction * 2.0**53)) ^ (np.uint64(exponent) << np.uint64(54))
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        key ^= key >> np.uint64(31)
    return np.float64(key >> np.uint64(11)) * 2.0**-52 - 1.0


@nb.njit
def term(value, kind, c):
    """What one coordinate adds."""
    if kind == POWERS:
        return value**c
    if kind == DISTANCES:
        return abs(value - c)
    if kind == RELU:
        return max(value - c, 0.0) + value
    if kind == FLOOR:
        return math.floor(value * c) + 0.0
    if kind == LOG:
        return math.log(value - c)
    if kind == OFFSET:
        return value * value
    if kind == CONSTANT:
        return 0.0
    if kind == EXP:
        return math.exp(value)
    return math.sin(value)


@nb.njit
def objective(x, kind, c):
    """A sum over the coordinates, in trouble of one kind, to the degree c. One compilation serves them all."""
    total = 0.0
    if kind == SINGLE:
        single = np.float32(0.0)
        for value in x:
            single += np.float32(math.sin(np.float32(value)))
        return np.float64(single)
    for value in x:
        if kind == CLIPPED and value > c:
            return math.nan
        if kind == AT_X_ONLY and value != c:
            raise ValueError("only at x")
        total += term(value, kind, c)
    if kind == HASH:
        total += c * uniform(x)
    if kind == RANDOM:
        total += c * np.random.standard_normal()  # noqa: NPY002 (all that Numba compiles without a Generator)
    if kind in (OFFSET, CONSTANT):
        total += c
    return total


@nb.njit
def weighted_sines(x, scale, weight):
    total = 0.0
    for i in range(x.size):
        total += math.sin(x[i] / scale[i])
    return weight * total


@nb.njit
def coupled(x, kink):
    """Not separable: a coordinate that is not restored shows. Absolute values have their kink at `kink`."""
    total = 0.0
    for i in range(x.size - 1):
        total += math.sin(x[i] * x[i + 1]) + abs(x[i] - kink)
    return total


def coupled_gradient(x, kink):
    total = np.zeros_like(x)
    total[:-1] = np.cos(x[:-1] * x[1:]) * x[1:] + np.sign(x[:-1] - kink)
    total[1:] += np.cos(x[:-1] * x[1:]) * x[:-1]
    return total


@nb.njit("float64(float32[::1])")
def single_only(x):
    total = np.float32(0.0)
    for value in x:
        total += value * value
    return np.float64(total)


def check(kind, x, gradient, c=1.0, epsilon=None, **options):
    return check_gradient(objective, x, gradient, epsilon, args=(kind, float(c)), **options)


X = np.array([0.3, -1.2, 2.0, 0.7, -0.4, 1.1, 1.9, -2.6, 0.05, 3.0])

BOTH = pytest.mark.parametrize("epsilon", [None, Automatic()], ids=["default", "automatic"])


# -------------------------------------------------------------------------------------------- the worked examples


@pytest.mark.parametrize(
    ("x", "power", "gradient", "error"),
    [
        ([3.0, 4.0], 2, [6.0, 8.0], 1e-9),
        ([1.0, 2.0, 3.0], 1, [1.0, 1.0, 1.0], 1.9e-9),
        ([2.0, -1.0], 3, [12.0, 3.0], 3e-10),
    ],
)
def test_worked_examples(x, power, gradient, error):
    result = check(POWERS, x, gradient, power, epsilon=1e-7)
    numerical, found = result
    assert found < 10 * error
    assert found == relative_error(numerical, gradient)
    np.testing.assert_allclose(numerical, gradient, rtol=1e-7)
    assert numerical.dtype == np.float64
    assert result.verdict is MATCH
    assert result.passed
    for wrong in (np.array(gradient) * 1.001, np.zeros(len(x)), -np.array(gradient)):
        result = check(POWERS, x, wrong, power, epsilon=1e-7)
        assert result.verdict is MISMATCH
        assert not result.passed
        np.testing.assert_array_equal(result.numerical_grad, numerical)


def test_the_numerical_gradient_is_that_of_the_given_step():
    for epsilon in (1e-3, Absolute(1e-3), Relative(1e-3), np.full(10, 1e-3), None):
        result = check(SINES, X, np.cos(X), epsilon=epsilon)
        np.testing.assert_array_equal(
            result.numerical_grad, numerical_gradient(objective, X, epsilon, args=(SINES, 1.0))
        )
        if epsilon is not None:
            step = epsilon if not callable(epsilon) else epsilon(X)
            np.testing.assert_array_equal(result.step, np.broadcast_to(step, (10,)))
            np.testing.assert_allclose(result.numerical_grad, np.cos(X) * (1 - np.asarray(step) ** 2 / 6), rtol=1e-9)
        assert result.verdict is MATCH


def test_the_best_estimates_are_returned_with_automatic_steps():
    result = check(SINES, X, np.cos(X), epsilon=Automatic())
    np.testing.assert_array_equal(result.numerical_grad, result.estimate)
    assert result.relative_error < 1e-9


def test_a_right_gradient_is_a_match_even_where_the_error_at_the_given_step_is_large():
    result = check(SINES, X, np.cos(X), epsilon=0.5)
    assert result.relative_error > 1e-3
    assert result.verdict is MATCH
    assert np.all(np.abs(result.estimate - np.cos(X)) <= result.uncertainty)


def test_a_wrong_gradient_is_a_mismatch_even_where_it_agrees_at_the_given_step():
    wrong = check(SINES, X, np.cos(X), epsilon=0.5).numerical_grad
    result = check(SINES, X, wrong, epsilon=0.5)
    assert result.relative_error == 0.0
    assert result.verdict is MISMATCH


# ------------------------------------------------------------------------------------------------------ evaluations


@pytest.mark.parametrize("n", [16, 100])
def test_evaluations_of_a_right_gradient(n):
    x = np.linspace(0.1, 3.0, n)
    assert check(SINES, x, np.cos(x)).evaluations == 2 * n + 2
    assert check(SINES, x[:15], np.cos(x[:15])).evaluations == 2 * 15 + 2 + 24
    assert check(SINES, x[:15], np.cos(x[:15]), noise=1e-15).evaluations == 2 * 15 + 2


def test_evaluations_with_automatic_steps():
    x = np.linspace(0.1, 3.0, 100)
    assert check(SINES, x, np.cos(x), epsilon=Automatic()).evaluations <= 2.2 * 100 + 26


# --------------------------------------------------------------------------------- what nobody's tolerance can judge


@BOTH
def test_two_zeros_are_no_error(epsilon):
    result = check(CONSTANT, X, 0 * X, 7.0, epsilon=epsilon)
    assert result.relative_error == 0.0
    assert result.verdict is MATCH
    assert check(CONSTANT, X, 0 * X, 0.0, epsilon=epsilon).verdict is MATCH
    result = check(CONSTANT, X, 0 * X + 1e-6, 7.0, epsilon=epsilon)
    assert result.relative_error == 1.0
    assert result.verdict is MISMATCH


@BOTH
@pytest.mark.parametrize("weight", [1.0, 1e-300, 1e290])
def test_scales_from_1e_minus_12_to_1e12(epsilon, weight):
    scale = np.logspace(-12, 12, 25)
    x = scale * np.linspace(0.2, 1.2, 25)
    right = weight * np.cos(x / scale) / scale
    result = check_gradient(weighted_sines, x, right, epsilon, args=(scale, weight))
    assert result.verdict is MATCH
    for position in (0, 11, 24):
        wrong = right.copy()
        wrong[position] *= 1.001
        result = check_gradient(weighted_sines, x, wrong, epsilon, args=(scale, weight))
        assert result.verdict is MISMATCH
        assert np.flatnonzero(result.verdicts == MISMATCH).tolist() == [position]
        assert result.worst[0].index == (position,)


def test_the_default_step_where_1e_minus_7_vanishes():
    x, scale = np.array([1.0, 1e12]), np.array([1.0, 1e12])
    result = check_gradient(weighted_sines, x, np.cos(1.0) / scale, args=(scale, 1.0))
    assert result.verdict is MATCH
    assert result.step[0] == 1e-7
    assert result.step[1] == pytest.approx(2.0 ** (-52 / 3) * 1e12)
    assert check_gradient(weighted_sines, x, [np.cos(1.0), 0.0], args=(scale, 1.0)).verdict is MISMATCH


@BOTH
def test_an_offset_of_1e10(epsilon):
    result = check(OFFSET, X, 2 * X, 1e10, epsilon=epsilon)
    assert result.verdict is not MISMATCH
    assert np.all(np.abs(result.estimate - 2 * X) <= result.uncertainty)
    assert check(OFFSET, X, 2 * X, 1e10, epsilon=epsilon, rtol=1e-2).verdict is MATCH
    wrong = np.where(np.arange(10) == 4, -1.0, 1.0) * 2 * X
    result = check(OFFSET, X, wrong, 1e10, epsilon=epsilon)
    assert np.flatnonzero(result.verdicts == MISMATCH).tolist() == [4]


@BOTH
@pytest.mark.parametrize("level", [1e-9, 1e-6, 1e-3])
def test_deterministic_noise(epsilon, level):
    result = check(HASH, X, np.cos(X), level, epsilon=epsilon)
    assert result.verdict is not MISMATCH
    assert level / 6 < result.noise < 2 * level
    if level > 1e-8:
        assert result.verdict is INCONCLUSIVE
        assert result.reason.startswith("f has a noise level of")
        assert result.reason.endswith("the gradient agrees within that")
        assert result.flags[0] & Flag.NOISE
    wrong = np.where(np.arange(10) == 4, -1.0, 1.0) * np.cos(X)
    result = check(HASH, X, wrong, level, epsilon=epsilon)
    assert result.verdicts[4] is not MATCH
    assert not (np.delete(result.verdicts, 4) == MISMATCH).any()


@BOTH
def test_random_numbers_in_f_are_named(epsilon):
    result = check(RANDOM, X, np.cos(X), 1e-3, epsilon=epsilon)
    assert result.verdict is INCONCLUSIVE
    assert "f is not deterministic: two calls at x differ by" in result.reason
    assert "fix the seed of its random numbers" in result.reason


@BOTH
def test_a_stationary_point_is_inconclusive(epsilon):
    result = check(POWERS, np.zeros(3), np.zeros(3), 2, epsilon=epsilon)
    assert result.verdict is INCONCLUSIVE
    assert result.reason.startswith("x is a stationary point")
    assert result.relative_error == 0.0
    assert np.all((result.flags & Flag.STATIONARY) != 0)
    elsewhere = check(POWERS, np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 2.0]), 2, epsilon=epsilon)
    assert not (elsewhere.flags & Flag.STATIONARY).any()


@nb.njit
def writes_where_x_moved(x):
    if x[0] != 0.5:
        x[1] = 7.0
    return np.float64(x[0] * x[0] + x[1] * x[1])


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_f_that_writes_to_x_is_noticed_in_whichever_precision_it_runs(dtype, epsilon):
    """For a float32 x the verdict, and every automatic step, comes from f in float64."""
    x = np.array([0.5, 0.25], dtype)
    with pytest.raises(ValueError, match="f writes to x"):
        check_gradient(writes_where_x_moved, x, 2 * x, epsilon)


@nb.njit
def defined_along_the_axes(x):
    """NaN where more than one coordinate has moved from 1."""
    total, moved = 0.0, 0
    for value in x:
        total += value
        moved += value != 1.0
    return total * total if moved < 2 else np.nan


@BOTH
def test_noise_that_cannot_be_measured_is_the_reason_given(epsilon):
    result = check_gradient(defined_along_the_axes, np.ones(3), np.full(3, 6.0), epsilon)
    assert result.verdict is INCONCLUSIVE
    assert result.reason.startswith("the noise of f could not be measured: f is not finite around x")
    assert not (result.flags & Flag.NO_ROOM).any()
    assert check_gradient(defined_along_the_axes, np.ones(3), np.full(3, 6.0), epsilon, noise=1e-15).verdict is MATCH


@BOTH
def test_a_staircase(epsilon):
    x = np.array([1.50032, 2.71828])
    for gradient in (np.zeros(2), np.full(2, 1e3)):
        result = check(FLOOR, x, gradient, 1e3, epsilon=epsilon)
        assert result.verdict is INCONCLUSIVE
    assert check(FLOOR, x, np.full(2, -1e4), 1e3, epsilon=epsilon).verdict is MISMATCH


@BOTH
def test_kinks_at_x_are_reported_with_their_slopes(epsilon):
    x = np.array([0.5, 1.0, 2.0])
    result = check(DISTANCES, x, [-1.0, 0.0, 1.0], 1.0, epsilon=epsilon)
    assert result.verdict is INCONCLUSIVE
    (kink,) = result.kinks
    assert kink.slopes == pytest.approx((-1.0, 1.0))
    assert kink.analytical_between
    assert result.reason.startswith("kink at x[1] (slopes -1 and 1, analytical 0 between them)")
    result = check(RELU, x, [1.0, 2.5, 2.0], 1.0, epsilon=epsilon)
    (kink,) = result.kinks
    assert kink.slopes == pytest.approx((1.0, 2.0))
    assert not kink.analytical_between
    assert result.verdict is not MATCH
    assert check(DISTANCES, [0.0], [0.5], 0.0, epsilon=epsilon).kinks[0].slopes == pytest.approx((-1.0, 1.0))


@BOTH
@pytest.mark.parametrize("distance", [1e-9, -1e-6, 1e-3])
def test_close_to_a_kink_the_slope_at_x_counts(epsilon, distance):
    x = np.array([0.5, 1.0 + distance, 2.0])
    right = np.array([1.0, 2.0 if distance > 0 else 1.0, 2.0])
    other = np.array([1.0, 1.0 if distance > 0 else 2.0, 2.0])
    assert check(RELU, x, right, 1.0, epsilon=epsilon).verdict is not MISMATCH
    assert check(RELU, x, other, 1.0, epsilon=epsilon).verdict is not MATCH
    if abs(distance) > 1e-8:
        assert check(RELU, x, right, 1.0, epsilon=epsilon).verdict is MATCH
        wrong = check(RELU, x, other, 1.0, epsilon=epsilon)
        # Undecided only if the noise tables ran across the kink; then it is named.
        assert wrong.verdicts[1] is MISMATCH or wrong.reason.startswith("kink at x[1] (slopes 1 and")


@BOTH
def test_near_overflow(epsilon):
    x = np.array([700.0, 709.0, 1.0])
    result = check(EXP, x, np.exp(x), epsilon=epsilon)
    assert result.verdicts[:2].tolist() == [MATCH, MATCH]
    for wrong in (0.0 * x, 2.0 * np.exp(x), -np.exp(x)):
        result = check(EXP, x, wrong, epsilon=epsilon)
        assert result.verdicts[1] is MISMATCH


# ------------------------------------------------------------------------------------------ not finite, not defined


@BOTH
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_located(epsilon, bad):
    gradient = np.cos(X)
    gradient[6] = bad
    result = check(SINES, X, gradient, epsilon=epsilon)
    assert result.verdict is MISMATCH
    assert result.reason == f"the analytical gradient is {bad} at x[6]"
    assert np.flatnonzero(result.verdicts == MISMATCH).tolist() == [6]
    assert math.isnan(result.relative_error)
    assert result.causes[0].kind == "not finite"
    everywhere = check(SINES, X, np.full(10, bad), epsilon=epsilon)
    assert np.all(everywhere.verdicts == MISMATCH)


@BOTH
def test_f_not_a_number_at_x(epsilon):
    result = check(CLIPPED, X, np.cos(X), -5.0, epsilon=epsilon)
    assert result.verdict is INCONCLUSIVE
    assert result.reason == "f(x) is nan: there is nothing to differentiate; check at another x"
    assert math.isnan(result.relative_error)
    assert np.isnan(result.numerical_grad).all()
    zeros = check(CLIPPED, X, 0 * X, -5.0, epsilon=epsilon)
    assert zeros.verdict is INCONCLUSIVE
    assert math.isnan(zeros.relative_error)


@pytest.mark.parametrize("values", [(1.0, math.nan), (math.nan, 1.0), (1.0, math.inf), (-math.inf, math.inf)])
def test_f_not_a_number_every_other_time(values):
    """The second call at x differs by more than anything; a difference of NaN would compare as none."""

    class Fickle:
        calls = iter(values)

        def value(self, place):
            return next(self.calls), 0

        def require_arguments_intact(self):
            pass

    trial = try_objective(Fickle(), point_array([1.0]))
    assert trial.difference == math.inf
    assert not trial.is_deterministic


@BOTH
def test_f_not_a_number_on_one_side_of_x(epsilon):
    x = np.array([0.5, 1.0, 0.9])
    result = check(CLIPPED, x, np.cos(x), 1.0, epsilon=epsilon)
    assert result.verdict is MATCH
    assert result.reason == "all 3 components agree within 1e-05; 1 checked from one side only"
    assert result.flags[1] & Flag.ONE_SIDED
    assert result.flags[1] & Flag.NON_FINITE
    assert np.isfinite(result.numerical_grad).all()
    wrong = check(CLIPPED, x, np.cos(x) * [1, 1.01, 1], 1.0, epsilon=epsilon)
    assert np.flatnonzero(wrong.verdicts == MISMATCH).tolist() == [1]


@BOTH
def test_f_that_raises_outside_its_domain(epsilon):
    """log(x - 1) with x within 1e-9 of the edge: the step shrinks."""
    x = np.array([1.0 + 1e-9, 2.0, 3.0])
    right = 1.0 / (x - 1.0)
    result = check(LOG, x, right, 1.0, epsilon=epsilon)
    assert result.verdict is not MISMATCH
    assert result.verdicts[1:].tolist() == [MATCH, MATCH]
    assert check(LOG, x, right * [2, 1, 1], 1.0, epsilon=epsilon).verdicts[0] is MISMATCH
    far = np.array([1.0 + 1e-5, 2.0, 3.0])
    assert check(LOG, far, 1.0 / (far - 1.0), 1.0, epsilon=epsilon).verdict is MATCH


@BOTH
def test_f_that_raises_everywhere_but_at_x_lets_its_exception_out(epsilon):
    with pytest.raises(ValueError, match="only at x") as raised:
        check(AT_X_ONLY, [1.0, 1.0], [1.0, 1.0], 1.0, epsilon=epsilon)
    (note,) = raised.value.__notes__
    assert note.startswith("f raised at x ")
    assert "x[0] = " in note
    assert "(h = " in note


def test_f_that_raises_at_x_lets_its_exception_out():
    with pytest.raises(ValueError, match="only at x") as raised:
        check(AT_X_ONLY, [2.0], [1.0], 1.0)
    assert raised.value.__notes__ == ["f raised at x itself"]


# ----------------------------------------------------------------------------------------------------------- bounds


@BOTH
def test_f_is_never_evaluated_outside_its_bounds(epsilon):
    """log(x - c) with bounds that leave no room for a step on one side, and raises below c."""
    x = np.array([1.5, 1.25, 3.0])
    lower = np.array([1.5, 1.25 - 1e-9, 1.0 + 1e-12])
    result = check(LOG, x, 1.0 / (x - 1.0), 1.0, epsilon=epsilon, bounds=(lower, None))
    assert result.verdict is MATCH
    # Agreed at the first step, one-sided too, or at a closer look.
    assert "checked from one side only" in result.reason
    wrong = check(LOG, x, 1.01 / (x - 1.0), 1.0, epsilon=epsilon, bounds=(lower, None))
    assert np.all(wrong.verdicts == MISMATCH)


def test_one_sided_differences_at_bounds():
    result = check(SINES, X, np.cos(X), epsilon=1e-4, bounds=(X, X + 1.0))
    np.testing.assert_allclose(result.numerical_grad, np.cos(X), atol=1e-7)
    np.testing.assert_allclose(result.step, 1e-4)
    numerical = numerical_gradient(objective, X, 1e-4, args=(SINES, 1.0), bounds=(X - 1.0, X))
    np.testing.assert_allclose(numerical, np.cos(X), atol=1e-7)


SPY = """
import numpy as np
import fastgrad

places = []

def f(x):
    places.append(x.copy())
    return float(np.sin(x).sum())

x = np.linspace(1.0, 2.0, 18)
for lower, upper in ((x, x + 1.0), (x - 1e-9, x + 1e-3), (x - 1e-12, x + 0.5), (1.0, 2.0)):
    for epsilon in (None, fastgrad.steps.Automatic(), 0.5):
        for gradient in (np.cos(x), 1.01 * np.cos(x)):
            result = fastgrad.check_gradient(f, x, gradient, epsilon, bounds=(lower, upper))
            print(result.verdict.value, len(places) == result.evaluations)
            assert all(((lower <= place) & (place <= upper)).all() for place in places)
            places.clear()
"""


def test_every_place_is_within_bounds_and_every_evaluation_counted(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    done = subprocess.run([sys.executable, "-c", SPY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["match True", "mismatch True"] * 12


# ---------------------------------------------------------------------------------------------------------- float32


def test_a_float32_x_is_checked_in_float64_if_f_allows():
    x = np.linspace(0.3, 2.0, 20, dtype=np.float32)
    right = np.cos(x.astype(float))
    result = check(SINES, x, right.astype(np.float32))
    assert result.verdict is MATCH
    assert result.rtol == 1e-3
    assert result.numerical_grad.dtype == np.float32
    np.testing.assert_allclose(result.numerical_grad, right, rtol=0.01)
    np.testing.assert_allclose(result.estimate, right, atol=1e-7)
    assert result.uncertainty.max() < 1e-3
    assert result.step.tolist() == [4.9e-3] * 20
    assert 2 * (2 * 20 + 2) + 24 <= result.evaluations <= 2 * (2 * 20 + 2) + 24 + 12
    result = check(SINES, x, right.astype(np.float32) * np.float32(1.01))
    assert np.all(result.verdicts == MISMATCH)
    strict = check(SINES, x, right, rtol=1e-6)
    assert strict.verdict is MATCH  # a float64 gradient at a float32 point


@BOTH
def test_f_compiled_for_float32_only(epsilon):
    x = np.linspace(0.5, 2.0, 20, dtype=np.float32)
    result = check_gradient(single_only, x, 2 * x, epsilon, rtol=1e-2)
    assert result.verdict is not MISMATCH
    assert np.count_nonzero(result.verdicts == MATCH) >= 15
    assert result.noise > 1e-8
    wrong = np.where(np.arange(20) == 7, -1, 1).astype(np.float32) * 2 * x
    result = check_gradient(single_only, x, wrong, epsilon, rtol=1e-2)
    assert np.flatnonzero(result.verdicts == MISMATCH).tolist() == [7]


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_f_that_computes_in_float32(epsilon, dtype):
    x = X.astype(np.float32).astype(dtype)
    right = np.cos(x.astype(float))
    result = check(SINGLE, x, right, epsilon=epsilon, rtol=1e-2)
    assert result.verdict is not MISMATCH
    assert 1e-8 < result.noise < 1e-6
    assert np.all(np.abs(result.estimate - right) <= result.uncertainty)
    assert np.count_nonzero(result.verdicts == MATCH) >= 8
    wrong = np.where(np.arange(10) == 4, -1.0, 1.0) * right
    result = check(SINGLE, x, wrong, epsilon=epsilon, rtol=1e-2)
    assert np.flatnonzero(result.verdicts == MISMATCH).tolist() == [4]
    # A finer tolerance than float32 can show is never met, and nothing is accused.
    assert check(SINGLE, x, right, epsilon=epsilon, rtol=1e-7).verdict is INCONCLUSIVE


# ---------------------------------------------------------------------------------------------------------- options


def test_rtol_sets_what_counts_as_equal():
    gradient = np.cos(X) * (1 + 1e-4)
    assert check(SINES, X, gradient).verdict is MISMATCH
    assert check(SINES, X, gradient, rtol=1e-3).verdict is MATCH
    assert check(SINES, X, gradient, rtol=1e-3).rtol == 1e-3
    assert check(SINES, X, np.cos(X), rtol=1e-14).verdict is INCONCLUSIVE
    resolution = check(SINES, X, gradient).resolution
    assert np.all((resolution > 0.99e-4) & (resolution < 1.01e-4))


def test_noise_sets_the_bars():
    assert check(SINES, X, np.cos(X), noise=1e-15).verdict is MATCH
    result = check(SINES, X, np.cos(X), noise=1e-3)
    assert result.verdict is INCONCLUSIVE
    assert result.noise == 1e-3
    assert "noise level of 0.001" in result.reason
    assert check(SINES, X, -np.cos(X), noise=1e-9).verdict is MISMATCH


@pytest.mark.parametrize("name", ["rtol", "noise"])
def test_options_that_are_no_numbers(name):
    for value in (0.0, -1e-5, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"{name} is .*; need a positive, finite number"):
            check(SINES, X, np.cos(X), **{name: value})
    for value in ("1e-5", True, [1e-5]):
        with pytest.raises(TypeError, match=f"{name} is .*; need a positive number"):
            check(SINES, X, np.cos(X), **{name: value})


def test_blocks_name_the_components():
    blocks = {"W1": (2, 3), "b1": 4}
    gradient = np.cos(X)
    gradient[4] *= -1.0
    result = check(SINES, X, gradient, blocks=blocks)
    assert "worst W1[1, 1]: analytical" in result.reason
    assert result.worst[0].name == "W1[1, 1]"
    assert result.worst[0].index == (4,)
    gradient = np.cos(X)
    gradient[6:] *= -1.0
    result = check(SINES, X, gradient, blocks=blocks)
    (cause,) = result.causes
    assert (cause.kind, cause.block) == ("sign", "b1")
    with pytest.raises(ValueError, match="blocks hold 6 entries"):
        check(SINES, X, gradient, blocks={"W1": (2, 3)})


def test_x_and_gradient_may_have_any_shape_and_are_left_alone():
    x, kink = np.linspace(0.1, 2.0, 12), -1.0
    for shaped in (x.reshape(3, 4)[:, ::-1], np.asfortranarray(x.reshape(3, 4)), x):
        before = shaped.copy()
        result = check_gradient(shaped_sines, shaped, np.cos(shaped))
        assert result.verdict is MATCH
        assert result.numerical_grad.shape == shaped.shape
        np.testing.assert_array_equal(shaped, before)
    result = check_gradient(coupled, x, coupled_gradient, args=(kink,))
    assert result.verdict is MATCH


@nb.njit
def shaped_sines(x):
    return np.sin(x).sum()


# ---------------------------------------------------------------------------------------------------------- threads


def evidence(result):
    """All that was found, but not how long it took or who did it."""
    data = result.to_dict()
    for name in ("elapsed", "threads", "executor"):
        del data[name]
    return repr(data)


@pytest.mark.skipif(nb.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize("epsilon", [None, Automatic(), 1e-3], ids=["default", "automatic", "coarse"])
def test_nothing_depends_on_threads_or_route(epsilon, monkeypatch):
    """Right, wrong, noisy and kinked components, to the bit: serial, in Numba's threads, in plain threads."""
    x = np.random.default_rng(3).normal(size=150)
    kink = float(x[40])
    gradient = coupled_gradient(x, kink)
    gradient[[3, 77, 140]] *= [1.001, -1.0, 0.0]
    arguments = (coupled, x, gradient, epsilon)
    serial = check_gradient(*arguments, args=(kink,), threads=1)
    monkeypatch.setattr(_threads, "layer_is_safe", lambda: True)  # whatever threads other tests have left
    parallel = check_gradient(*arguments, args=(kink,), threads=2)
    monkeypatch.setattr(_threads, "layer_is_safe", lambda: False)
    plain = check_gradient(*arguments, args=(kink,), threads=2)
    assert [result.executor for result in (serial, parallel, plain)] == ["serial", "prange", "threads"]
    assert evidence(serial) == evidence(parallel) == evidence(plain)
    assert np.flatnonzero(serial.verdicts == MISMATCH).tolist() == [3, 77, 140]
    assert serial.verdicts[40] is INCONCLUSIVE
    assert serial.kinks


def test_a_second_check_finds_the_same():
    first, second = (check(HASH, X, np.cos(X), 1e-6) for _ in range(2))
    assert evidence(first) == evidence(second)


def test_public_names():
    assert fastgrad.check_gradient is check_gradient
    assert fastgrad.relative_error([0.0, 0.0], [0.0, 0.0]) == 0.0
