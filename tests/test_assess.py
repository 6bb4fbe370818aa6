"""All components of a gradient, with plain Python objectives: what is evaluated where, how often, and what follows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad._assess import Assessor
from fastgrad._assessment import Assessment, nothing_known
from fastgrad._budget import Budget
from fastgrad._first import all_differences, make_bounds
from fastgrad._inputs import point_array
from fastgrad._judge.verdict import INCONCLUSIVE, MATCH, MISMATCH, Flag, Verdict
from fastgrad._reason import overall_verdict
from fastgrad._schedule import Differences
from fastgrad._selection import sample_first

quickly = settings(derandomize=True, deadline=None, max_examples=40)


class PlainEvaluator:
    """Evaluates a Python function around a point as the compiled one does, and remembers where."""

    def __init__(self, f, x):
        self.f, self.point, self.budget = f, point_array(x), Budget()
        self.places: list[np.ndarray] = []

    @property
    def evaluations(self):
        return len(self.places)

    def value(self, place):
        """f there, and whether it raised."""
        self.places.append(place.copy())
        try:
            with np.errstate(all="ignore"):
                return float(self.f(place)), 0
        except (ValueError, ArithmeticError):
            return math.nan, 1

    def displaced(self, index, coordinate):
        places = np.repeat(self.point.flat[None], len(index), axis=0)
        places[np.arange(len(index)), index] = coordinate
        return self._all(places)

    def along(self, direction, multiple):
        return self._all((self.point.flat + multiple[:, None] * direction).astype(self.point.dtype))

    def differences(self, index, step):
        x = self.point.flat[index]
        above, below = (x + step).astype(x.dtype), (x - step).astype(x.dtype)
        high, raised_above = self.displaced(index, above)
        low, raised_below = self.displaced(index, below)
        with np.errstate(all="ignore"):
            quotient = (high - low) / (above.astype(float) - below.astype(float))
        return Differences(high, low, quotient, raised_above + 2 * raised_below)

    def _all(self, places):
        found = [self.value(place) for place in places]
        return np.array([value for value, _ in found]), np.array([raised for _, raised in found], dtype=np.uint8)


def assess(f, x, gradient, *, step=1e-7, bounds=None, rtol=1e-5, noise=None, repeat_difference=0.0):
    """The judgement with a step for all coordinates, or None for automatic steps; and the evaluator."""
    evaluator = PlainEvaluator(f, x)
    point = evaluator.point
    limits = make_bounds(bounds, point)
    with np.errstate(all="ignore"):
        value = float(f(point.flat))
    analytical = np.broadcast_to(np.asarray(gradient, dtype=float), point.shape).reshape(-1)
    assessor = Assessor(evaluator, value, repeat_difference, analytical, rtol=rtol, noise=noise, bounds=limits)
    if step is None:
        found, _ = assessor.judge_piecewise(sample_first(point.size), None)
    else:
        steps = np.broadcast_to(np.asarray(step, dtype=float), point.shape).reshape(-1)
        found = assessor.judge_differences(all_differences(evaluator, steps, limits, value))
    if limits is not None:
        for place in evaluator.places:
            assert limits.contain(place.astype(float)).all(), "f was evaluated outside its bounds"
    return found, evaluator


def uniform(x, seed=0):
    """A number in [-1, 1) that depends on every bit of x and looks random."""
    key = 0x9E3779B97F4A7C15 * (seed + 1) % 2**64
    for bits in np.asarray(x, dtype=np.float64).view(np.uint64).tolist():
        for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
            key = ((key ^ bits) ^ ((key ^ bits) >> 29)) * multiplier % 2**64
    return (key ^ (key >> 32)) / 2.0**63 - 1.0


def sines(x):
    return float(np.sin(x).sum())


def points(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


BOTH = pytest.mark.parametrize("step", [1e-7, None], ids=["given step", "automatic"])


# ---------------------------------------------------------------------------------------------------- evaluations


@pytest.mark.parametrize("n", [16, 47, 300])
def test_a_right_gradient_at_the_default_step_costs_two_evaluations_a_component(n):
    x = points(n)
    found, evaluator = assess(sines, x, np.cos(x))
    assert overall_verdict(found) is Verdict.MATCH
    assert evaluator.evaluations == 2 * n


def test_few_components_cannot_tell_the_noise():
    x = points(15)
    found, evaluator = assess(sines, x, np.cos(x))
    assert overall_verdict(found) is Verdict.MATCH
    assert evaluator.evaluations == 2 * 15 + 24


def test_noise_that_is_given_is_not_measured():
    x = points(5)
    found, evaluator = assess(sines, x, np.cos(x), noise=1e-15)
    assert overall_verdict(found) is Verdict.MATCH
    assert evaluator.evaluations == 2 * 5
    assert found.noise == 1e-15
    assert assess(sines, x, np.cos(x), noise=1e-15, step=None)[1].evaluations == 2 * 5


def test_automatic_steps_cost_the_tables_besides():
    x = points(200)
    found, evaluator = assess(sines, x, np.cos(x), step=None)
    assert overall_verdict(found) is Verdict.MATCH
    assert 2 * 200 + 24 <= evaluator.evaluations <= 2 * 200 + 26 + 8  # a closer look or two


@pytest.mark.parametrize("seed", range(5))
def test_small_components_of_a_right_gradient_cost_little_more_than_the_rest(seed):
    """Weights from 1 to 1e-5, so that noise asks for other steps in each; with f(x) twice, 2.2 n + 26 in all."""
    n = 64
    x, weights = points(n, seed) + 3.0, 10.0 ** np.random.default_rng(seed + 1).uniform(-5.0, 0.0, n)
    right = 3.0 * weights * np.cos(3.0 * x) * np.exp(np.sin(3.0 * x))
    found, evaluator = assess(lambda x: float((weights * np.exp(np.sin(3.0 * x))).sum()), x, right, step=None)
    assert overall_verdict(found) is Verdict.MATCH
    assert evaluator.evaluations + 2 <= 2.2 * n + 26


def test_the_first_components_teach_the_rule_what_suits_the_others():
    """f varies over 1 around x of 1e4: steps that suit the size of x reach far into its curvature."""
    n = 200
    x = 1e4 + points(n)
    found, evaluator = assess(lambda x: float(np.exp(x - 1e4).sum()), x, np.exp(x - 1e4), step=None)
    assert overall_verdict(found) is Verdict.MATCH
    assert evaluator.evaluations <= 2 * n + 24 + 6 * 16 + 40


@BOTH
def test_no_step_is_sought_far_from_x(step):
    """Noise hides what steps of the size of x can show; f may be another function further away."""
    x = np.array([1e-4, -2e-4, 3e-4])
    _, evaluator = assess(lambda x: float(x.sum()) + 1e-6 * uniform(x), x, np.ones(3), step=step)
    assert max(np.abs(place - x).max() for place in evaluator.places) <= 1e-4


def test_only_what_is_undecided_is_looked_at_closely():
    x = points(100)
    wrong = np.cos(x)
    wrong[[7, 60]] *= 1.01
    found, evaluator = assess(sines, x, wrong)
    assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [7, 60]
    assert np.count_nonzero(found.verdict == MATCH) == 98
    assert evaluator.evaluations <= 2 * 100 + 24 + 2 * 40


def test_noise_that_only_common_moves_meet_reopens_nothing():
    """The tables move all coordinates; each difference moves one, and meets the rounding of one term only."""

    def f(x):
        return float(sum((1e5 + math.sin(t)) - 1e5 for t in x))

    x = points(400)
    wrong = np.cos(x)
    wrong[7] = 3.0
    found, evaluator = assess(f, x, wrong, rtol=3e-3)
    assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [7]
    assert np.count_nonzero(found.verdict == MATCH) == 399
    assert evaluator.evaluations <= 2 * 400 + 24 + 40


@pytest.mark.parametrize(("every", "error"), [(2, 2e-4), (5, 5e-5)])
def test_residuals_that_the_noise_does_not_explain_excuse_nothing(every, error):
    """Many of the small components are off by what the large one lets pass as too small."""
    x, place = points(100), np.arange(100)
    weight = np.where(place == 3, 1e3, 1.0)
    wrong = weight * np.cos(x) + np.where(place % every == 0, error, 0.0)
    wrong[51] = 7.0
    found, _ = assess(lambda x: float(weight @ np.sin(x)), x, wrong)
    accused = found.verdict == MISMATCH
    assert accused[51]
    assert np.count_nonzero(accused[::every]) >= 0.9 * (100 // every)
    assert not accused[(place % every != 0) & (place != 51)].any()


def test_where_f_moves_by_steps_no_flat_component_is_judged():
    """One coordinate shows the steps; another is too weak to move f by one, at any distance."""

    def f(x):
        return math.floor((math.erf(x[0]) + 0.004 * math.sin(x[1])) / 0.01 + 0.2) * 0.01

    x = np.array([2.44, 0.5, 0.0])
    slope = 2.0 / math.sqrt(math.pi) * math.exp(-(x[0] ** 2))
    for others in ([0.004 * math.cos(0.5), 0.0], [0.0, 1.0]):
        found, _ = assess(f, x, [slope, *others])
        assert found.verdict.tolist() == [INCONCLUSIVE] * 3
        assert np.all(found.flags & Flag.STAIRCASE) and np.all(found.bar > 0.0)
    # Without a coordinate that shows them, an f that stays the same contradicts a slope.
    assert assess(lambda x: f([2.44, *x]), x[1:], [0.3, 0.0])[0].verdict.tolist() == [MISMATCH, MATCH]


def test_where_f_moves_though_it_stands_still_close_by_no_flat_component_is_judged():
    """No closer look saw the edge of a step, as all components agreed."""
    found = nothing_known(np.ones(2), np.ones(2, bool), 1e-5)
    found.verdict[:], found.estimate[:], found.bar[:] = MATCH, [0.0, 1.0], 0.0
    found.doubt_constants(np.ones(2, bool), is_flat=False)
    assert found.verdict.tolist() == [MATCH, MATCH]
    found.doubt_constants(np.ones(2, bool), is_flat=True)
    assert found.verdict.tolist() == [INCONCLUSIVE, MATCH]
    assert found.flags.tolist() == [Flag.STAIRCASE, 0] and found.bar.tolist() == [math.inf, 0.0]


def test_a_wide_first_step_does_not_certify_where_f_is_curved():
    """An offset makes the step half of what f varies over: its truncation agrees with an error of two tolerances."""
    x = np.array([7.818768307495853])
    found, _ = assess(lambda x: math.log1p(math.exp(x[0])) + 2.86365807e9, x, [0.9995722358], step=None)
    assert found.verdict[0] != MATCH
    # Where f is straight, such a step is as good as any.
    found, evaluator = assess(lambda x: 0.9995722358 * x[0] + 2.86365807e9, x, [0.9995722358], step=None)
    assert found.verdict[0] == MATCH and found.flags[0] & Flag.PLAIN
    assert evaluator.evaluations <= 26


def test_a_stationary_point_is_flagged_where_it_leaves_a_component_undecided():
    found = nothing_known(np.ones(2), np.ones(2, bool), 1e-5)
    found.verdict[:], found.estimate[:], found.bar[:], found.noise = [MATCH, INCONCLUSIVE], 1e-12, 1e-9, 0.0
    assert found.is_stationary(np.zeros(2), 1.0) and not found.is_stationary(np.array([0.0, 1e-8]), 1.0)
    found.flag_stationary()
    assert found.flags.tolist() == [0, Flag.STATIONARY]


@BOTH
def test_zeros_are_not_taken_from_an_f_that_stands_still(step):
    """Rounded so coarsely that no first difference moves f: equal values say nothing of zeros, at any coordinate."""
    weight = np.where(np.arange(20) == 7, 0.3, 1.0)
    for seed in range(8):
        x = np.random.default_rng(seed).uniform(0.5, 2.0, 20)
        right = weight * np.exp(x)
        for gradient in (right, np.where(np.arange(20) == 7, 0.0, right)):
            found, _ = assess(lambda x: math.floor(float(weight @ np.exp(x)) / 0.2) * 0.2, x, gradient, step=step)
            assert found.verdict[7] == INCONCLUSIVE
            assert not (found.verdict == MISMATCH).any()


@BOTH
def test_many_errors_are_not_all_looked_at(step):
    x = points(400)
    found, evaluator = assess(sines, x, 1.5 * np.cos(x), step=step)
    unconfirmed = (found.flags & Flag.UNCONFIRMED) != 0
    assert np.count_nonzero(found.verdict == MISMATCH) >= 64
    assert np.all((found.verdict == MISMATCH) ^ unconfirmed)
    assert np.all(found.verdict[unconfirmed] == INCONCLUSIVE)
    assert evaluator.evaluations < 2 * 400 + 24 + 128 * 40


def test_right_components_beside_many_errors_are_not_left_open():
    """A hundred and more are confirmed, and no more; what the first differences lose in noise is not among them."""
    x = np.linspace(0.5, 3.0, 1200)
    given = 2.0 * x
    given[:400] = 0.0
    found, _ = assess(lambda x: float(np.sum(x * x)), x, given)
    assert np.count_nonzero(found.verdict[:400] == MISMATCH) >= 64
    assert np.all(found.verdict[400:] == MATCH)


def test_noise_that_reaches_the_tolerance_everywhere_costs_two_more_evaluations_a_component():
    x = np.random.default_rng(0).uniform(1.0, 2.0, 1000)
    found, evaluator = assess(sines, x, np.cos(x))
    assert np.all(found.verdict == MATCH)
    assert evaluator.evaluations <= 4.5 * 1000


@BOTH
@pytest.mark.parametrize("size", [1e6, 1e15, 1e200, 1e308])
def test_an_absurd_component_does_not_excuse_the_others(size, step):
    x = np.random.default_rng(0).uniform(1.0, 2.0, 20)
    wrong = np.cos(x)
    wrong[0], wrong[1], wrong[2], wrong[3] = size, 0.0, -wrong[2], 1.001 * wrong[3]
    found, _ = assess(sines, x, wrong, step=step)
    assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [0, 1, 2, 3]
    assert np.all(found.verdict[4:] == MATCH)


@BOTH
@pytest.mark.parametrize("left", [1.2246467991473532e-16, 1e-14, 1e-30])
def test_what_is_left_of_zero_by_rounding_counts_as_zero(left, step):
    """As sin(pi) beside numbers of size 1: a step of its own size would drown in the rounding of f."""

    def f(x):
        return float(np.sum(np.sin(x) + 0.5 * x))

    x = np.random.default_rng(0).normal(size=20)
    x[0] = left
    found, _ = assess(f, x, np.cos(x) + 0.5, step=step)
    assert np.all(found.verdict == MATCH)
    assert found.estimate[0] == pytest.approx(1.5, rel=1e-5)
    wrong = np.cos(x) + 0.5
    wrong[0] = 3.0
    found, _ = assess(f, x, wrong, step=step)
    assert found.verdict[0] != MATCH


@BOTH
def test_a_steep_coordinate_next_to_nothing_makes_no_other_look_small(step):
    """Its gradient times the size of the others would be the largest term by far, and is none of f."""
    x = np.random.default_rng(0).uniform(1.0, 2.0, 20)
    x[0] = 1e-14
    slopes = np.ones(20)
    slopes[0] = 1e5
    wrong = slopes.copy()
    wrong[5] = 1.002
    found, _ = assess(lambda x: 1e12 + float(slopes @ x), x, wrong, step=step)
    assert found.verdict[5] != MATCH
    assert not np.any(found.verdict == MISMATCH)


@BOTH
@pytest.mark.parametrize("tiny", [1e-10, 1e-13, 1e-16, 1e-20])
def test_a_tiny_coordinate_with_units_of_its_own_is_not_accused_from_afar(tiny, step):
    def f(x):
        with np.errstate(invalid="ignore"):
            return float(np.sum(x * np.log(x)))

    x = np.random.default_rng(0).uniform(0.1, 1.0, 20)
    x[0] = tiny
    found, _ = assess(f, x, np.log(x) + 1.0, step=step)
    assert np.all(found.verdict[1:] == MATCH)
    assert found.verdict[0] != MISMATCH


def test_the_worst_are_looked_at_first():
    x = points(300)
    wrong = 1.001 * np.cos(x)
    wrong[250] = 1e6
    found, _ = assess(sines, x, wrong)
    assert found.verdict[250] == MISMATCH


def test_components_that_f_does_not_see():
    """Parameters without effect are zeros, found by their differences alone."""
    x = points(100)
    gradient = np.where(np.arange(100) < 50, np.cos(x), 0.0)
    found, evaluator = assess(lambda x: sines(x[:50]), x, gradient)
    assert overall_verdict(found) is Verdict.MATCH
    assert evaluator.evaluations <= 2 * 100 + 24


@BOTH
def test_a_constant_f_costs_two_more_evaluations_a_component(step):
    x = points(100)
    found, evaluator = assess(lambda x: 7.0, x, np.zeros(100), step=step)
    assert np.all(found.verdict == MATCH)
    assert np.all((found.flags == Flag.CONSTANT) | (found.flags & Flag.PLAIN > 0))
    assert evaluator.evaluations <= 2 * 100 + 48 + 2 * 100 + 2  # the last two far away
    found, _ = assess(lambda x: 7.0, x, np.full(100, 1e-9), step=step)
    assert not (found.verdict == MATCH).any()


@BOTH
def test_a_zero_is_not_accepted_where_f_is_too_large_to_show_more(step):
    """Steps vanish in the rounding of f: flat, but not for want of a slope."""
    x = points(20)
    gradient = np.cos(x)
    gradient[4] = 0.0
    for offset in (1e9, 1e13, 1e17):
        found, _ = assess(lambda x, offset=offset: sines(x) + offset, x, gradient, step=step)
        assert found.verdict[4] != MATCH
        assert not (np.delete(found.verdict, 4) == MISMATCH).any()


@BOTH
@pytest.mark.parametrize("n", [1, 3])
def test_zeros_alone_are_not_believed_where_f_is_too_large_to_show_more(n, step):
    """A slope of 3e-3 that the rounding of f hides at x and at all steps: only far away f is seen to change."""
    found, _ = assess(lambda x: 4.2e11 + math.exp(-0.5 * x[0] ** 2), np.full(n, -0.003), np.zeros(n), step=step)
    assert not (found.verdict == MATCH).any()


@BOTH
@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: 5.0 + float(np.maximum(0.0, x - 5.0).sum()),  # dead units
        lambda x: float(np.clip(x, -2.0, 0.5).sum()),
        lambda x: 7.0 if x[0] > 0.0 else math.nan,
        lambda x: 5.0 + 2.0**-50 * (abs(x[0]) > 5.0),  # constant but for rounding
    ],
    ids=["dead", "clipped", "half-space", "rounded"],
)
def test_right_zeros_are_believed_where_f_is_flat_though_it_changes_far_away(f, n, step):
    found, _ = assess(f, np.ones(n), np.zeros(n), step=step)
    assert np.all(found.verdict == MATCH)


@BOTH
def test_unused_variables_within_bounds(step):
    x = points(20)
    gradient = np.where(np.arange(20) < 10, np.cos(x), 0.0)
    bounds = (x - np.tile([0.0, 1e-9, 1e-3, 1.0, np.inf], 4), np.inf)
    found, _ = assess(lambda x: sines(x[:10]), x, gradient, step=step, bounds=bounds)
    assert not (found.verdict == MISMATCH).any()
    assert np.all(found.verdict[[3, 4, 8, 9, 13, 14, 18, 19]] == MATCH)
    gradient[15] = 1e-3
    found, _ = assess(lambda x: sines(x[:10]), x, gradient, step=step, bounds=bounds)
    assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [15]


@BOTH
def test_a_constant_f_within_bounds_narrower_than_the_wide_step(step):
    """`assess` itself looks at every place."""
    found, _ = assess(lambda x: 5.0, [1.0, 2.0], [0.0, 0.0], step=step, bounds=([0.9999, -9.0], [1.0001, 9.0]))
    assert found.verdict[1] == MATCH and found.verdict[0] != MISMATCH


# ----------------------------------------------------------------------------------------------------- right, wrong


@BOTH
@pytest.mark.parametrize("position", [0, 13, 39])
@pytest.mark.parametrize("change", [1.001, 0.999, 0.0, -1.0, 2.0, 1e8, 1 + 3e-5])
def test_one_wrong_component_is_found_and_no_other_accused(step, position, change):
    x = points(40, seed=1)
    gradient = np.cos(x)
    gradient[position] *= change
    found, _ = assess(sines, x, gradient, step=step)
    assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [position]
    assert found.verdict[position - 1] == MATCH
    assert np.all(np.abs(found.estimate - np.cos(x)) <= found.bar)


@BOTH
def test_scales_from_1e_minus_12_to_1e12(step):
    scales = np.logspace(-12, 12, 25)
    x = scales * np.linspace(0.2, 1.2, 25)
    right = np.cos(x / scales) / scales

    def f(x):
        return sines(x / scales)

    given = step if step is None else 1e-7 * np.maximum(1.0, scales)
    assert overall_verdict(assess(f, x, right, step=given)[0]) is Verdict.MATCH
    for position in (0, 12, 24):
        wrong = right.copy()
        wrong[position] *= 1.001
        found, _ = assess(f, x, wrong, step=given)
        assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [position]


@BOTH
def test_a_plain_sum_over_24_decades_never_accuses_and_finds_the_large_ones(step):
    """The small terms vanish in the rounding of the large ones, unless looked at from far away."""
    x = np.logspace(-12, 12, 25)
    given = step if step is None else 1e-7 * np.maximum(1.0, x)
    found, _ = assess(lambda x: float(x.sum()), x, np.ones(25), step=given)
    assert not (found.verdict == MISMATCH).any()
    assert np.all(found.verdict[-8:] == MATCH)
    for position in range(0, 25, 4):
        wrong = np.ones(25)
        wrong[position] = 1.001
        found, _ = assess(lambda x: float(x.sum()), x, wrong, step=given)
        accused = np.flatnonzero(found.verdict == MISMATCH).tolist()
        assert accused == [position] or (accused == [] and position < 20)
        assert found.verdict[position] != MATCH


@BOTH
@pytest.mark.parametrize("size", [1e300, 1e-290, 1e150, 1e-150])
def test_the_size_of_f_does_not_matter(step, size):
    x = points(6)

    def f(x):
        return size * sines(x)

    found, _ = assess(f, x, size * np.cos(x), step=step)
    assert overall_verdict(found) is Verdict.MATCH
    assert np.isfinite(found.bar).all()
    for factor in (1.001, 2.0, 0.0):
        found, _ = assess(f, x, factor * size * np.cos(x), step=step)
        assert np.all(found.verdict == MISMATCH)


@BOTH
@pytest.mark.parametrize("x", [700.0, 709.7])
def test_close_to_overflow(step, x):
    right = math.exp(x)
    assert overall_verdict(assess(lambda x: np.exp(x[0]), [x], right, step=step)[0]) is Verdict.MATCH
    for wrong in (0.0, 0.5 * right, -right, 1.001 * right):
        found, _ = assess(lambda x: np.exp(x[0]), [x], wrong, step=step)
        assert overall_verdict(found) is Verdict.MISMATCH


@BOTH
def test_a_gradient_beyond_every_number_of_f(step):
    x = points(20)
    found, _ = assess(sines, x, np.full(20, 1e308), step=step)
    assert np.all(found.verdict == MISMATCH)


@BOTH
def test_tiny_entries_do_not_excuse_errors(step):
    """Entropy: the rounding of the gradient, times a scale of 1e-14, could excuse a hundredth of a component."""
    x = np.array([1e-14, 1e-12, 1e-10, 1e-8, 1e-3, 0.1, 0.3, 0.5989999899])

    def f(x):
        return float((x * np.log(x)).sum())

    right = np.log(x) + 1.0
    given = step if step is None else 1e-3 * x
    found, _ = assess(f, x, right, step=given)
    assert not (found.verdict == MISMATCH).any()
    for position in range(8):
        wrong = right.copy()
        wrong[position] *= 1.001
        found, _ = assess(f, x, wrong, step=given)
        accused = np.flatnonzero(found.verdict == MISMATCH).tolist()
        assert found.verdict[position] != MATCH
        assert accused in ([position], [])
        assert accused == [position] or position < 4


@quickly
@given(st.integers(0, 10**6), st.integers(-60, 60), st.integers(-60, 60), st.sampled_from([1e-4, None]))
def test_units_do_not_matter(seed, power_x, power_f, step):
    """x -> c x and f -> d f with powers of two: every decision is the same."""
    c, d = 2.0**power_x, 2.0**power_f
    x = points(18, seed)
    gradient = np.cos(x)
    gradient[3] *= 1.001
    one, few = assess(sines, x, gradient, step=step)
    scaled = None if step is None else c * step
    other, many = assess(lambda x: d * sines(x / c), c * x, gradient * d / c, step=scaled)
    assert other.verdict.tolist() == one.verdict.tolist()
    assert other.flags.tolist() == one.flags.tolist()
    np.testing.assert_array_equal(other.estimate, one.estimate * (d / c))
    np.testing.assert_array_equal(other.bar, one.bar * (d / c))
    assert many.evaluations == few.evaluations


def test_the_order_of_the_coordinates_does_not_hide_an_error():
    """Reversing x moves the verdicts along."""
    x = points(100, seed=5)
    gradient = np.cos(x)
    gradient[[3, 44]] *= 1.001
    for order in (np.arange(100), np.arange(100)[::-1], np.random.default_rng(0).permutation(100)):
        found, _ = assess(sines, x[order], gradient[order])
        assert sorted(order[np.flatnonzero(found.verdict == MISMATCH)]) == [3, 44]


# ----------------------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("level", [1e-12, 1e-8, 1e-4])
@BOTH
def test_noise_is_measured(level, step):
    x = points(12)
    found, _ = assess(lambda x: sines(x) + level * uniform(x), x, np.cos(x), step=step)
    sigma = level / math.sqrt(3.0)
    assert sigma / 3 < found.noise < 3 * sigma
    assert not (found.verdict == MISMATCH).any()
    assert np.all(np.abs(found.estimate - np.cos(x))[np.isfinite(found.bar)] <= found.bar[np.isfinite(found.bar)])


@pytest.mark.parametrize("level", [1e-6, 1e-4, 1e-3])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_noise_sends_no_coordinate_out_of_its_scale(level, offset):
    """Short coordinates among long ones: where noise hides a slope, a step beyond its length sees a flat f, not it."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scales, z = 10.0 ** rng.uniform(-12.0, 12.0, 20), rng.uniform(-2.0, 2.0, 20)

        def f(x, scales=scales, seed=seed):
            z = x / scales
            return float((np.exp(-z * z) + np.sin(z)).sum() + offset) * (1.0 + level * uniform(x, seed))

        right = (np.cos(z) - 2.0 * z * np.exp(-z * z)) / scales
        found, _ = assess(f, scales * z, right, step=None)
        assert not (found.verdict == MISMATCH).any()


@pytest.mark.parametrize("level", [1e-12, 1e-8, 1e-5])
@BOTH
def test_noise_hides_no_gross_error(level, step):
    x = points(12)
    for seed in range(5):
        wrong = np.cos(x)
        wrong[5] *= -1.0
        found, _ = assess(lambda x, seed=seed: sines(x) + level * uniform(x, seed), x, wrong, step=step)
        assert found.verdict[5] != MATCH
        assert not (np.delete(found.verdict, 5) == MISMATCH).any()
        if level < 1e-6:
            assert found.verdict[5] == MISMATCH


def test_errors_of_many_bars_are_found_in_noise():
    """The best step in noise is the widest allowed, and no other confirms it unless one is sought."""
    seen = 0
    for seed in range(6):
        x = points(30, seed)
        wrong = np.cos(x)
        wrong[::3] *= 1.5
        found, _ = assess(lambda x, seed=seed: sines(x) + 1e-5 * uniform(x, seed), x, wrong, step=None)
        clear = (np.abs(found.estimate - wrong) > 8.0 * found.bar) & (np.arange(30) % 3 == 0)
        assert np.all(found.verdict[clear] == MISMATCH)
        assert not (found.verdict[np.arange(30) % 3 > 0] == MISMATCH).any()
        seen += np.count_nonzero(clear)
    assert seen > 50


def test_what_repeated_calls_show_is_the_least_noise():
    x = points(20)
    found, _ = assess(sines, x, np.cos(x), repeat_difference=1e-3)
    assert overall_verdict(found) is Verdict.INCONCLUSIVE
    assert found.noise == pytest.approx(1.5e-3)
    assert assess(sines, x, np.cos(x), repeat_difference=1e-3, step=None)[0].noise == pytest.approx(1.5e-3)


@BOTH
def test_an_f_that_draws_random_numbers_is_never_a_match(step):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = points(20, seed)

        def f(x, rng=rng):
            return sines(x) + 1e-3 * rng.standard_normal()

        repeat_difference = abs(f(x) - f(x))
        found, _ = assess(f, x, np.cos(x), step=step, repeat_difference=repeat_difference)
        assert overall_verdict(found) is Verdict.INCONCLUSIVE


def test_a_float32_grid_is_noticed():
    x = points(8).astype(np.float32).astype(float)

    def f(x):
        return float(np.sin(x.astype(np.float32)).sum(dtype=np.float32))

    evaluator = PlainEvaluator(f, x)
    assessor = Assessor(evaluator, f(x), 0.0, np.cos(x), rtol=1e-3, noise=None, bounds=None)
    assessor.measure_noise()
    assert assessor.setting.grid == np.float32
    assert 1e-8 < assessor.setting.noise.largest < 1e-6
    found, evaluator = assess(f, x, np.cos(x), rtol=1e-2)
    assert overall_verdict(found) is Verdict.MATCH
    found, _ = assess(f, x, np.cos(x) * np.where(np.arange(8) == 3, 1.5, 1.0), rtol=1e-2)
    assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [3]


@pytest.mark.parametrize("f", [sines, lambda x: float(x.sum() - math.pi)])
def test_where_f_is_nearly_zero_the_grid_of_x_is_not_taken_for_float32(f):
    evaluator = PlainEvaluator(f, [math.pi])
    assessor = Assessor(evaluator, f(np.array([math.pi])), 0.0, np.array([-1.0]), rtol=1e-5, noise=None, bounds=None)
    assessor.measure_noise()
    assert assessor.setting.grid == np.float64
    right = -1.0 if f is sines else 1.0
    assert overall_verdict(assess(f, [math.pi], right)[0]) is Verdict.MATCH
    assert overall_verdict(assess(f, [math.pi], 1.001 * right)[0]) is Verdict.MISMATCH


# ------------------------------------------------------------------------------------------------ not finite, bounds


@BOTH
def test_a_gradient_that_is_not_finite_is_wrong_there_and_judged_elsewhere(step):
    x = points(20)
    gradient = np.cos(x)
    gradient[[2, 3, 4]] = math.nan, math.inf, -math.inf
    found, _ = assess(sines, x, gradient, step=step)
    assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [2, 3, 4]
    assert np.count_nonzero(found.verdict == MATCH) == 17
    found, _ = assess(sines, x, np.full(20, math.nan), step=step)
    assert np.all(found.verdict == MISMATCH)


@BOTH
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_f_finite_at_x_only_is_no_match(step, bad):
    x = points(17)
    for gradient in (np.zeros(17), np.cos(x)):
        found, _ = assess(lambda p: sines(p) if (p == x).all() else bad, x, gradient, step=step)
        assert np.all(found.verdict == INCONCLUSIVE)
        assert np.all(found.flags & Flag.NON_FINITE)


@BOTH
def test_f_not_a_number_here_and_there(step):
    """Every third point, by its bits, is NaN: what is wrong never passes, what is right is never accused."""
    for seed in range(5):
        x = points(20, seed)

        def f(p, x=x, seed=seed):
            return sines(p) if (p == x).all() or uniform(p, seed) > -0.33 else math.nan

        found, _ = assess(f, x, np.cos(x), step=step)
        assert not (found.verdict == MISMATCH).any()
        found, _ = assess(f, x, 1.5 * np.cos(x), step=step)
        assert not (found.verdict == MATCH).any()


@pytest.mark.parametrize("n", [1, 2, 7, 20])
@pytest.mark.parametrize("edges", ["above", "below", "alternating"])
@BOTH
def test_at_the_edge_of_the_domain_of_f(n, edges, step):
    """NaN beyond x in every coordinate, on one side each."""
    x = np.linspace(1.0, 2.0, n)
    side = {"above": np.ones(n), "below": -np.ones(n), "alternating": (-1.0) ** np.arange(n)}[edges]

    def f(p):
        return sines(p) if np.all(side * (p - x) <= 0.0) else math.nan

    found, _ = assess(f, x, np.cos(x), step=step)
    assert np.all(found.verdict == MATCH)
    assert np.all(found.flags & Flag.ONE_SIDED)
    found, _ = assess(f, x, np.cos(x) + 0.01, step=step)
    assert np.all(found.verdict == MISMATCH)


@BOTH
def test_at_the_edge_of_the_domain_within_bounds(step):
    """NaN above x, a bound below: far, close, or at x itself."""
    x = np.linspace(1.0, 2.0, 6)
    room = np.array([1.0, 1e-2, 1e-3, 1e-9, 0.0, 1.0])

    def f(p):
        return sines(p) if np.all(p <= x) else math.nan

    found, _ = assess(f, x, np.cos(x), step=step, bounds=(x - room, None))
    assert found.verdict[[0, 1, 2, 5]].tolist() == [MATCH] * 4
    assert found.verdict[4] == INCONCLUSIVE
    found, _ = assess(f, x, 1.1 * np.cos(x), step=step, bounds=(x - room, None))
    assert found.verdict[[0, 1, 2, 5]].tolist() == [MISMATCH] * 4


@BOTH
def test_exceptions_of_f_are_remembered_with_their_place(step):
    x = np.array([1.0, 2.0])
    found, _ = assess(lambda p: math.sqrt(p[0] - 1.0) + p[1], x, [1.0, 1.0], step=step)
    assert found.verdict[1] == MATCH
    assert found.verdict[0] != MATCH  # the slope is infinite
    if step is None:
        assert found.failed[0] < 1.0


@BOTH
def test_bounds_are_never_left(step):
    """`assess` itself looks at every place."""
    x = np.linspace(1.0, 2.0, 20)
    for lower, upper in ((x, x + 1.0), (x - 1.0, x), (x - 1e-9, x + 1.0), (x - 1e-3, x + 1e-3), (x, np.inf)):
        found, _ = assess(sines, x, np.cos(x), step=step, bounds=(lower, upper))
        assert np.all(found.verdict == MATCH)
        wrong = np.where(np.arange(20) == 11, 1.01, 1.0) * np.cos(x)
        found, _ = assess(sines, x, wrong, step=step, bounds=(lower, upper))
        assert np.flatnonzero(found.verdict == MISMATCH).tolist() == [11]


@quickly
@given(
    st.lists(st.tuples(st.floats(-2.0, 2.0), st.floats(-12.0, 1.0), st.floats(-12.0, 1.0)), min_size=1, max_size=3),
    st.floats(-9.0, 1.0).map(lambda power: 10.0**power),
    st.booleans(),
)
def test_bounds_are_never_left_wherever_they_are(coordinates, step, automatic):
    x = np.array([value for value, _, _ in coordinates])
    lower = np.array([value - 10.0**below for value, below, _ in coordinates])
    upper = np.array([value + 10.0**above for value, _, above in coordinates])
    step = np.maximum(step, 4 * np.spacing(np.abs(x)))
    found, _ = assess(sines, x, np.cos(x), step=None if automatic else step, bounds=(lower, upper))
    assert not (found.verdict == MISMATCH).any()


def test_a_step_to_the_bound_is_not_rounded_across_it():
    x, upper = -0.18672976079972758, 0.00029959424297045656
    assert x + 2.0 * ((upper - x) / 2.0) > upper
    found, _ = assess(sines, [x], np.cos(x), step=1.0, bounds=(x, upper))
    assert overall_verdict(found) is Verdict.MATCH


def test_a_float32_point_is_not_rounded_across_a_bound():
    x = np.array([1.0], dtype=np.float32)
    for upper in (1.0 + 1e-7, 1.0 + 4.9e-3 - 1e-9, 1.0049):
        assess(lambda p: float(p[0] * p[0]), x, 2.0, step=4.9e-3, bounds=(0.0, upper), rtol=1e-3)
        assess(lambda p: float(p[0] * p[0]), x, 2.0, step=4.9e-3, bounds=(1.0, upper), rtol=1e-3)


@BOTH
def test_fixed_variables_leave_no_room(step):
    x = np.array([1.0, 2.0, 3.0])
    found, _ = assess(sines, x, np.cos(x), step=step, bounds=([1.0, -np.inf, 0.0], [1.0, np.inf, 9.0]))
    assert found.verdict.tolist() == [INCONCLUSIVE, MATCH, MATCH]
    assert found.flags[0] == Flag.NO_ROOM
    assert found.bar[0] == math.inf


def test_one_sided_first_differences_are_of_second_order():
    """(-3 f(x) + 4 f(x + h) - f(x + 2 h)) / (2 h), whatever the rounding of the two places."""
    x = np.linspace(1.0, 2.0, 10)
    evaluator = PlainEvaluator(lambda p: float((p * p).sum()), x)
    limits = make_bounds((x, x + 1.0), evaluator.point)
    first = all_differences(evaluator, np.full(10, 0.01), limits, float((x * x).sum()))
    np.testing.assert_allclose(first.quotient, 2.0 * x, rtol=1e-11)
    np.testing.assert_allclose(first.step, 0.01)
    assert np.isnan(first.above).all()
    assert evaluator.evaluations == 20


@pytest.mark.parametrize("bounds", [3.0, (1.0,), (1.0, 2.0, 3.0), None])
def test_bounds_of_another_kind(bounds):
    point = point_array([1.0, 2.0])
    if bounds is None:
        assert make_bounds(bounds, point) is None
        return
    with pytest.raises(TypeError, match="need a pair \\(lower, upper\\)"):
        make_bounds(bounds, point)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((1.5, 3.0), r"x\[0\] = 1.0 lies outside its bounds \[1.5, 3.0\]; need an x inside them"),
        ((None, [1.0, 1.0]), r"x\[1\] = 2.0 lies outside its bounds \[-inf, 1.0\]"),
        (([0.0], None), r"the lower bound has shape \(1,\); need one number or shape \(2,\)"),
        ((None, [3.0, 3.0, 3.0]), r"the upper bound has shape \(3,\)"),
        ((math.nan, None), "the lower bound holds a NaN; need numbers: -inf, inf or None where there is no bound."),
    ],
)
def test_bounds_that_do_not_fit(bounds, message):
    with pytest.raises(ValueError, match=message):
        make_bounds(bounds, point_array([1.0, 2.0]))


def test_nothing_is_judged_where_f_has_no_value():
    evaluator = PlainEvaluator(lambda p: math.nan, [1.0, 2.0])
    assessor = Assessor(evaluator, math.nan, 0.0, np.array([1.0, math.nan]), rtol=1e-5, noise=None, bounds=None)
    found = assessor.give_up()
    assert isinstance(found, Assessment)
    assert found.verdict.tolist() == [INCONCLUSIVE, MISMATCH]
    assert evaluator.evaluations == 0
