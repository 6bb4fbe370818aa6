"""The judge alone: tolerances, plain agreement, levels, mismatches, kinks. Numbers only, f is never evaluated."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad._judge.confirm import is_quiet, kink_slopes, scatter, shows_mismatch
from fastgrad._judge.levels import central_level, one_sided_level
from fastgrad._judge.noise import NoiseModel, constant_noise
from fastgrad._judge.plain import advise, judge_plain
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING, make_setting
from fastgrad._judge.verdict import Flag, Level, Verdict, is_resolved_match, judge_levels, set_bars, uncontradicted

RTOL, EPS = 1e-5, 2.0**-52
NAN = math.nan

quickly = settings(derandomize=True, deadline=None, max_examples=150)


def setting(x, analytical, value=1.0, *, rtol=RTOL, noise=1e-16, grid=np.float64):
    x, analytical = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(analytical, float))
    model = noise if isinstance(noise, NoiseModel) else constant_noise(noise)
    return make_setting(x, analytical, value, rtol=rtol, precision=EPS, noise=model, grid=grid)


def level(step, estimate, bar, **changes):
    """A level with a bar of noise alone, unless told otherwise."""
    parts = {"truncation": 0.0, "bend": 0.0, "noise": bar, "local_noise": 0.0, "noise_factor": 1.0}
    rest = {"resolution": 0.0, "slope_jump": 0.0, "slopes": (estimate, estimate), "values": (0.0, 1.0)}
    return Level(step=step, estimate=estimate, **{**parts, **rest, **changes})


# --------------------------------------------------------------------------------------- scales and tolerances


def test_scale_of_a_coordinate():
    # Median of the nonzero |x| is 2. At zero the distance over which the gradient would change f by all of it, if less.
    found = setting([4.0, -2.0, 0.0, 0.0, 0.5], [1.0, 1.0, 100.0, 0.0, 1.0], value=10.0)
    assert found.typical == 2.0
    assert found.scale.tolist() == [4.0, 2.0, 0.1, 2.0, 0.5]
    assert found.largest_product == 10.0
    assert found.mean_product == pytest.approx(math.sqrt((16 + 4 + 100 + 0 + 0.25) / 5))
    assert found.largest_gradient == 100.0


def test_scale_where_x_or_f_is_zero():
    assert setting([0.0, 0.0], [1.0, 2.0], value=8.0).scale.tolist() == [1.0, 1.0]
    assert setting([0.0, 0.0], [1.0, 16.0], value=8.0).scale.tolist() == [1.0, 0.5]
    assert setting([0.0, 3.0], [1.0, 2.0], value=0.0).scale.tolist() == [3.0, 3.0]
    assert setting([0.0], [0.0], value=0.0).mean_product == 0.0
    assert setting([5e-324], [1.0]).scale.tolist() == [1e-290]


def test_tolerance_is_relative_to_the_larger_value():
    given = setting([1.0, 1.0], [2.0, -3.0])
    rounding = 4 * EPS * 3.0
    assert given.tolerance(0, 1.0) == pytest.approx(RTOL * 2.0 + rounding, rel=1e-14)
    assert given.tolerance(0, -5.0) == pytest.approx(RTOL * 5.0 + rounding, rel=1e-14)
    np.testing.assert_allclose(given.tolerance(np.array([0, 1]), np.zeros(2)), RTOL * np.array([2.0, 3.0]) + rounding)


def test_allowance_for_the_rounding_of_the_gradient_is_capped():
    """Entropy with an entry of 1e-14: uncapped, the allowance would be a hundredth of the component."""
    x = np.array([1e-14, 0.3, 0.7])
    gradient = np.log(x) + 1.0
    given = setting(x, gradient, value=0.0)
    uncapped = 4 * EPS * given.largest_product / given.scale[0]
    assert uncapped > 1e-3 * abs(gradient[0])
    assert given.tolerance(0, 0.0) <= 1.02 * RTOL * abs(gradient[0])
    assert np.all(given.absolute_tolerance(np.arange(3)) <= RTOL * np.abs(gradient).max())


@quickly
@given(st.integers(-40, 40), st.integers(-40, 40))
def test_tolerances_and_steps_follow_the_units(power_x, power_f):
    """x -> c x and f -> d f divide or multiply every length and slope by exactly these."""
    c, d = 2.0**power_x, 2.0**power_f
    x, g = np.array([0.3, -2.0, 7.0]), np.array([1.0, 1e-9, -3.0])
    old = setting(x, g, 2.0, noise=1e-12)
    new = setting(c * x, g * (d / c), 2.0 * d, noise=1e-12 * d)
    every = np.arange(3)
    np.testing.assert_array_equal(new.tolerance(every, 0.0), old.tolerance(every, 0.0) * (d / c))
    np.testing.assert_array_equal(new.absolute_tolerance(every), old.absolute_tolerance(every) * (d / c))
    np.testing.assert_allclose(new.automatic_step(every, 1.0), c * old.automatic_step(every, 1.0), rtol=1e-14)
    np.testing.assert_array_equal(new.widest_step(every), c * old.widest_step(every))


def test_automatic_step_balances_noise_and_truncation():
    given = setting([2.0], [3.0], noise=1e-17)
    balance = (3 * 1e-17 / 6.0) ** (1 / 3)
    assert given.automatic_step(np.array([0]), 1.0) == pytest.approx(2.0 * max(balance, (3 * ROUNDING / 6) ** (1 / 3)))
    # Noise 1e-13: no wider than suits curvature. Noise 1e-8: so wide that 3.5 noise bars fit into the tolerance.
    # Noise 1e-3: as wide as allowed.
    assert setting([2.0], [3.0], noise=1e-13).automatic_step(0, 1.0) == pytest.approx(2e-5)
    assert setting([2.0], [3.0], noise=1e-8).automatic_step(0, 1.0) == pytest.approx(21e-8 / (RTOL * 3.0))
    assert setting([2.0], [3.0], noise=1e-3).automatic_step(0, 1.0) == pytest.approx(0.2)
    assert setting([2.0], [3.0], noise=1e-3).automatic_step(0, 5.0) == pytest.approx(1.0)
    assert setting([2.0], [0.0], value=0.0, noise=0.0).automatic_step(0, 1.0) > 0.0


def test_a_multiplier_below_one_leaves_room_for_the_noise():
    given = setting([2.0, 2.0], [3.0, 3e-3], noise=1e-13)
    noise = [2.0 * 21e-13 / (RTOL * 6.0), 2.0 * 21e-13 / (RTOL * 6e-3)]
    np.testing.assert_allclose(given.automatic_step(np.arange(2), 0.25), [2.0 * 0.25e-5, noise[1]])
    np.testing.assert_allclose(given.automatic_step(np.arange(2), 1e-6), noise)


# ------------------------------------------------------------------------------------------------ plain agreement


def plain(given, quotient, step=1e-3, jump=0.0):
    """Judge one difference whose quotient is right by construction; `jump` is that of the slopes."""
    above = given.value + (quotient + jump / 2) * step
    below = given.value - (quotient - jump / 2) * step
    return judge_plain(given, np.array([0]), *(np.array([v]) for v in (step, above, below, quotient)))


def test_a_plain_difference_agrees_within_half_the_tolerance():
    given = setting([1.0], [1.0])
    assert plain(given, 1.0).agrees.all()
    assert plain(given, 1.0 + 0.49 * RTOL).agrees.all()
    assert not plain(given, 1.0 + 0.52 * RTOL).agrees.any()
    assert plain(given, 1.0 + 0.49 * RTOL).bar[0] == pytest.approx(0.49 * RTOL, rel=1e-3)
    assert plain(given, 2.0).suspicion[0] == pytest.approx(1.0 / (2 * RTOL), rel=1e-3)


def test_noise_forbids_plain_agreement():
    """The noise of a difference with step h, six standard deviations wide, against half the tolerance."""
    limit = RTOL / 2 * 1e-3 / (NOISE_WIDTH / math.sqrt(2.0))
    assert plain(setting([1.0], [1.0], noise=0.98 * limit), 1.0).agrees.all()
    assert not plain(setting([1.0], [1.0], noise=1.02 * limit), 1.0).agrees.any()
    # A noise given too small does not undercut the rounding of f itself.
    assert not plain(setting([1.0], [1.0], value=2e7, noise=1e-300), 1.0).agrees.any()


def test_a_bend_forbids_plain_agreement():
    given = setting([1.0], [1.0])
    assert plain(given, 1.0, jump=0.9e-3).agrees.all()
    assert not plain(given, 1.0, jump=1.1e-3).agrees.any()


def test_a_small_component_agrees_absolutely():
    x, g = np.ones(2), np.array([1e-12, 1.0])
    sigma = 1e-10 * 1e-3
    given = setting(x, g, noise=sigma)
    noise = NOISE_WIDTH / math.sqrt(2.0) * sigma / 1e-3
    found = plain(given, 0.9 * noise)
    assert found.agrees.all()
    assert found.absolute.all()
    assert not plain(given, 1.1 * noise).agrees.any()
    # Alone, with nothing larger beside it, the same component is not small.
    assert not plain(setting([1.0], [1e-12], noise=sigma), 0.9 * noise).agrees.any()


def test_plain_agreement_of_two_zeros():
    found = plain(setting([1.0, 1.0], [0.0, 1.0], noise=1e-19), 0.0)
    assert found.agrees.all()
    assert np.isfinite(found.bar).all()


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(3))
def test_plain_never_agrees_with_what_is_not_finite(bad, place):
    arrays = [np.array([1.0 + 1e-3]), np.array([1.0 - 1e-3]), np.array([1.0])]
    arrays[place] = np.array([bad])
    found = judge_plain(setting([1.0], [1.0]), np.array([0]), np.array([1e-3]), *arrays)
    assert not found.agrees.any()
    assert found.suspicion.tolist() == [math.inf]


@pytest.mark.parametrize("sigma", [NAN, math.inf])
def test_plain_never_agrees_under_unknown_noise(sigma):
    assert not plain(setting([1.0], [1.0], noise=sigma), 1.0).agrees.any()


def test_a_tolerance_that_overflows_accepts_nothing():
    given = setting([1.0], [1e308], rtol=1e10)
    assert not plain(given, 1e308).agrees.any()
    with np.errstate(over="ignore"):
        assert given.tolerance(0, 0.0) == math.inf
        assert not is_resolved_match(given, 0, set_bars([level(1e-3, 1e308, 0.0)])[0])


@quickly
@given(
    st.sampled_from([1e-7, 1.0, 1e300, NAN]),
    st.lists(st.sampled_from([0.0, 1.0, 1.0 + 1e-7, -1.0, 1e300, NAN, math.inf, -math.inf]), min_size=3, max_size=3),
    st.sampled_from([0.0, 1e-16, 1e-3, NAN, math.inf]),
)
def test_plain_agreement_needs_numbers_everywhere(step, numbers, sigma):
    above, below, quotient = (np.array([number]) for number in numbers)
    given = setting([1.0], [1.0], noise=sigma)
    found = judge_plain(given, np.array([0]), np.array([step]), above, below, quotient)
    if found.agrees.any():
        assert np.isfinite([*numbers, step]).all()
        assert math.isfinite(sigma)
        assert abs(quotient[0] - 1.0) <= RTOL


# -------------------------------------------------------------------------------------------------------- advice


def advice(given, step, curvature, third, wrong=0.0):
    """Advice after a central difference of f(x + h) = f + (g + wrong) h + curvature h^2 / 2 + third h^3 / 6."""
    index = np.arange(given.x.size)
    given_numbers = (np.asarray(v, dtype=float) for v in (step, curvature, third, wrong))
    step, curvature, third, wrong = (np.broadcast_to(v, index.shape) for v in given_numbers)
    slope = given.analytical + wrong
    above = given.value + slope * step + curvature * step**2 / 2 + third * step**3 / 6
    below = given.value - slope * step + curvature * step**2 / 2 - third * step**3 / 6
    return advise(given, index, step, above, below, slope + third * step**2 / 6)


def test_truncation_asks_for_a_narrower_step():
    given = setting([1.0] * 4, [1.0] * 4, noise=1e-15)
    # h^2 f''' / 6 is 16, 4, 1 and 1/16 of half the tolerance; a margin of 1.4 is kept.
    third = 6.0 * np.array([16.0, 4.0, 1.01, 1 / 16]) * (RTOL / 2) / 1e-3**2
    found = advice(given, 1e-3, 0.0, third)
    np.testing.assert_array_equal(found.factor, [1 / 8, 1 / 4, 1 / 2, NAN])
    assert found.multiplier == 1.0  # the rule itself would not have taken so wide a step


def test_noise_asks_for_a_wider_step_of_its_component_only():
    given = setting([1.0], [1.0], noise=1e-11)
    step = 6e-11 / math.sqrt(2.0) / (RTOL / 2) / 4.0  # the noise bar is four times too wide
    found = advice(given, step, 0.0, 0.0, wrong=RTOL)
    assert found.factor == 8.0
    assert found.multiplier == 1.0


def test_curvature_narrows_the_rule_and_leaves_the_component_to_a_closer_look():
    given = setting([1.0] * 32, [1.0] * 32, noise=1e-16)
    bent = np.where(np.arange(32) < 12, 4.0, 0.1)
    found = advice(given, given.automatic_step(np.arange(32), 1.0), bent * 1e-3 / given.automatic_step(0, 1.0), 0.0)
    assert found.multiplier == 1 / 8
    assert np.isnan(found.factor).all()


def test_few_components_do_not_change_the_rule():
    given = setting([1.0] * 32, [1.0] * 32, noise=1e-16)
    bent = np.where(np.arange(32) < 2, 4.0, 0.1)
    assert advice(given, 6e-6, bent * 1e-3 / 6e-6, 0.0).multiplier == 1.0


@quickly
@given(st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=20), st.floats(-9.0, -1.0))
def test_a_wrong_component_is_never_promised_agreement_where_noise_allows_none(errors, power):
    """A difference that truncation cannot explain is not blamed on it unless the step would show it."""
    given = setting(np.ones(len(errors)), np.ones(len(errors)), noise=1e-2)
    found = advice(given, 10.0**power, 0.0, 0.0, wrong=np.array(errors))
    assert not (found.factor <= 1.0).any()
    assert found.multiplier == 1.0


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_no_advice_from_what_is_not_finite(bad):
    given = setting([1.0], [1.0])
    arrays = (np.array([1e-3]), np.array([bad]), np.array([1.0]), np.array([bad]))
    found = advise(given, np.array([0]), *arrays)
    assert found.multiplier == 1.0 and np.isnan(found.factor).all()


# --------------------------------------------------------------------------------------------------------- levels


def test_a_central_level_by_hand():
    # f = x^3 at 1 with step 1/4 (nothing is rounded): D(h) = 3 + h^2, extrapolated exactly.
    f = {k: (1.0 + k / 4) ** 3 for k in (-2, -1, 0, 1, 2)}
    found = central_level(1.0, 0.25, f[0], [f[-2], f[-1], f[1], f[2]], 1e-2)
    assert found.estimate == pytest.approx(3.0, abs=1e-14)
    assert found.truncation == pytest.approx(3 * 0.25**2)
    assert found.bend == 0.0
    assert found.noise == pytest.approx(NOISE_WIDTH * 1e-2 / 0.25)
    # These values lie on a grid of 1/64, and so does their noise at least.
    found = central_level(1.0, 0.25, f[0], [f[-2], f[-1], f[1], f[2]], 1e-4)
    assert found.resolution == pytest.approx(0.3 / 64)
    assert found.noise == pytest.approx(NOISE_WIDTH * 0.3 / 64 / 0.25)
    assert found.slopes == pytest.approx(((f[1] - f[0]) / 0.25, (f[0] - f[-1]) / 0.25))
    assert found.slope_jump == pytest.approx(2 * 3 * 0.25)


def test_a_one_sided_level_by_hand():
    f = [(1.0 + k / 8) ** 2 for k in (0, 1, 2, 4, 8)]
    for side in (1, -1):
        values = f if side == 1 else [(1.0 - k / 8) ** 2 for k in (0, 1, 2, 4, 8)]
        found = one_sided_level(0.125, values[0], values[1:], 0.0, side)
        assert found.estimate == pytest.approx(2.0, abs=1e-14)
        assert (found.truncation, found.bend) == (0.0, 0.0)
        assert found.noise_factor == 3.5


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_levels_of_values_that_are_not_finite_never_decide(place, bad):
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    values[place] = bad
    with np.errstate(all="ignore"):
        levels = [
            central_level(1.0, 1.0, values[2], [*values[:2], *values[3:]], 0.0),
            one_sided_level(1.0, values[0], values[1:], 0.0, 1),
        ]
        for found, analytical in itertools.product(levels, (0.0, 1.0, 5.0)):
            ruling = judge_levels(setting([1.0], [analytical]), 0, [found])
            assert ruling.verdict is Verdict.INCONCLUSIVE
            assert not shows_mismatch(setting([1.0], [analytical]), 0, [found, found])


def test_bars_add_up():
    (found,) = set_bars([level(1.0, 0.0, 3.0, truncation=1.0, bend=2.0)])
    assert found.bar == 6.0
    # The noise seen in the values themselves, if that is larger.
    (found,) = set_bars([level(2.0, 0.0, 3.0, truncation=1.0, bend=2.0, local_noise=5.0)])
    assert found.bar == 1.0 + 2.0 + 4.0 * 5.0 / 2.0


def test_noise_seen_close_by_counts_further_away_but_not_the_reverse():
    near, far = level(1.0, 0.0, 0.0, local_noise=1.0), level(10.0, 0.0, 0.0, local_noise=0.5)
    assert [found.bar for found in set_bars([far, near])] == [4.0, 0.4]
    near, far = level(1.0, 0.0, 0.0, local_noise=0.5), level(10.0, 0.0, 0.0, local_noise=1.0)
    assert [found.bar for found in set_bars([far, near])] == [2.0, 0.4]


def test_contradicted_levels():
    near, middle, far = level(1.0, 0.0, 0.1), level(10.0, 1.0, 0.8), level(100.0, 1.05, 0.9)
    assert uncontradicted(set_bars([near, middle, far])) == [near]
    middle.noise = 0.95
    assert uncontradicted(set_bars([near, middle, far])) == [near, middle]
    far.noise = 1.0
    assert uncontradicted(set_bars([near, middle, far])) == [near, middle, far]


# ------------------------------------------------------------------------------------------------ judging levels

GIVEN = setting([1.0], [1.0])
MISMATCH, MATCH, INCONCLUSIVE = Verdict.MISMATCH, Verdict.MATCH, Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("estimate", "bar", "verdict"),
    [
        (1.0, 0.99e-5, MATCH),
        (1.0, 1.01e-5, INCONCLUSIVE),
        (1.0 + 0.5e-5, 0.49e-5, MATCH),
        (1.0 + 0.5e-5, 0.51e-5, MATCH),  # alone, a component is as small as the tolerance of small ones
        (1.0 + 0.6e-5, 0.59e-5, INCONCLUSIVE),
        (1.1, 0.0199, MISMATCH),
        (1.1, 0.0201, INCONCLUSIVE),  # five bars
        (1.1, 0.2, INCONCLUSIVE),
        (1.1, 0.0, MISMATCH),
        (1.0 + 1.2e-5, 1e-9, MISMATCH),
        (1.0 + 1.001e-5, 2e-8, INCONCLUSIVE),  # beyond the tolerance, but not by more than the bar
        (-1.0, 1e-9, MISMATCH),
        (0.0, 1e-9, MISMATCH),
    ],
)
def test_judging_one_level(estimate, bar, verdict):
    assert judge_levels(GIVEN, 0, [level(1e-3, estimate, bar)]).verdict is verdict


def test_a_match_needs_one_level_within_the_tolerance_at_any_scale():
    right, elsewhere = level(1e-2, 1.0, 1e-6), level(1e-4, 2.0, 1e-7)
    ruling = judge_levels(GIVEN, 0, [right, elsewhere])
    assert (ruling.verdict, ruling.best, ruling.flags) == (MATCH, right, Flag.SCALE)


def test_the_best_level_has_the_smallest_bar_that_nothing_closer_contradicts():
    close, best, averaged = level(1e-6, 1.5, 0.1), level(1e-4, 1.5, 0.01), level(1e-2, 1.3, 0.001)
    ruling = judge_levels(GIVEN, 0, [averaged, close, best])
    assert (ruling.best, ruling.flags) == (best, Flag.SCALE)
    assert ruling.verdict is MISMATCH


def test_no_mismatch_while_a_sharp_level_still_agrees():
    best = level(1e-4, 1.1, 1e-3)
    assert judge_levels(GIVEN, 0, [best]).verdict is MISMATCH
    assert judge_levels(GIVEN, 0, [best, level(1e-2, 1.02, 0.03)]).verdict is INCONCLUSIVE
    assert judge_levels(GIVEN, 0, [best, level(1e-2, 1.02, 0.06)]).verdict is MISMATCH  # too wide to object


def test_no_mismatch_against_everything_seen_from_afar():
    """f much noisier when seen from afar: close by it may only follow its own rounding."""
    two_scales = NoiseModel((2.0**-40, 2.0**-20), (1e-16, 1e-9))
    close, far = level(1e-9, 1.1, 1e-3), level(1e-2, 1.0, 0.06)
    assert judge_levels(GIVEN, 0, [close, far]).verdict is MISMATCH
    assert judge_levels(setting([1.0], [1.0], noise=two_scales), 0, [close, far]).verdict is INCONCLUSIVE
    disagreeing = level(1e-1, 1.2, 0.06)
    assert judge_levels(setting([1.0], [1.0], noise=two_scales), 0, [close, far, disagreeing]).verdict is MISMATCH


def test_a_component_too_small_to_be_resolved_matches_absolutely():
    given = setting([1.0, 1.0], [1e-9, 1.0])
    limit = float(given.absolute_tolerance(0))
    assert 1e-6 < limit < 1e-5
    ruling = judge_levels(given, 0, [level(1e-3, 0.0, 0.99 * limit)])
    assert (ruling.verdict, ruling.flags) == (MATCH, Flag.ABSOLUTE)
    assert judge_levels(given, 0, [level(1e-3, 0.0, 1.01 * limit)]).verdict is INCONCLUSIVE
    assert judge_levels(given, 0, [level(1e-3, limit, 0.99 * limit)]).verdict is INCONCLUSIVE


def test_only_steps_within_the_size_of_x_are_near():
    given = setting([1e-6, -2.0, 0.0], [1.0, 1.0, 1.0])
    assert [bool(given.is_near(0, step)) for step in (1e-9, 1e-6, 1.1e-6)] == [True, True, False]
    assert given.is_near(np.arange(3), np.full(3, 2.0)).tolist() == [False, True, True]


def test_from_beyond_the_size_of_x_nothing_is_accused_or_accepted_as_small():
    """Far away, f may have become another function, flat perhaps; full agreement there is no accident all the same."""
    given = setting([1e-3, 1.0], [1e-9, 1.0])
    limit = float(given.absolute_tolerance(0))
    near, far = level(1e-4, 0.0, 0.9 * limit), level(1e-1, 0.0, 0.9 * limit)
    assert judge_levels(given, 0, [near]).verdict is MATCH
    assert judge_levels(given, 0, [far]).verdict is INCONCLUSIVE
    assert judge_levels(given, 0, [level(1e-1, 1e-9, 1e-15)]).verdict is MATCH
    assert shows_mismatch(given, 0, set_bars([level(1e-4, 1.0, 1e-9), level(1e-3, 1.0, 1e-9)]))
    assert not shows_mismatch(given, 0, set_bars([level(1e-4, 1.0, 1e-9), level(1e-1, 1.0, 1e-9)]))
    assert not shows_mismatch(given, 0, set_bars([level(1e-2, 1.0, 1e-9), level(1e-1, 1.0, 1e-9)]))


def test_what_is_small_only_where_f_is_loud_is_not_accepted_as_small():
    loud = NoiseModel((2.0**-40, 2.0**-20), (1e-16, 1e-3))
    given = setting([1.0, 1.0], [1e-9, 1.0], noise=loud)
    limit = float(given.absolute_tolerance(0))
    assert judge_levels(given, 0, [level(2.0**-30, 0.0, 0.9 * limit)]).verdict is MATCH
    assert judge_levels(given, 0, [level(2.0**-4, 0.0, 0.9 * limit)]).verdict is INCONCLUSIVE


def test_agreement_from_beyond_the_size_of_x_objects_to_no_mismatch():
    given, best = setting([1e-3], [1.0]), level(1e-4, 2.0, 1e-9)
    assert judge_levels(given, 0, [best, level(1e-1, 1.0, 0.1)]).verdict is MISMATCH
    assert judge_levels(given, 0, [best, level(5e-4, 1.0, 0.1)]).verdict is INCONCLUSIVE


def test_agreement_within_the_rounding_of_the_gradient_counts_from_near_only():
    given = setting([1e-3, 1.0], [1e-9, 1.0])
    assert RTOL * 1e-9 < 5e-13 < float(given.tolerance(0, 1e-9))
    ruling = judge_levels(given, 0, [level(1e-4, 1e-9, 5e-13)])
    assert (ruling.verdict, ruling.flags) == (MATCH, Flag.ABSOLUTE)
    assert judge_levels(given, 0, [level(1e-1, 1e-9, 5e-13)]).verdict is INCONCLUSIVE


def test_plain_differences_accept_small_components_from_near_only():
    sigma = 1e-13
    noise = NOISE_WIDTH / math.sqrt(2.0) * sigma / 1e-3
    for x, agrees in ((1.0, True), (2e-3, True), (5e-4, False)):
        given = setting([x, 1e4 * x], [1e-12, 1e-4], noise=sigma, value=1e-6)
        assert plain(given, 0.9 * noise).agrees.all() == agrees
    # In full agreement at any step.
    assert plain(setting([1e-6, 1.0], [1.0, 1.0]), 1.0).agrees.all()


def test_flat_values_show_an_unused_variable_only_where_f_is_not_too_large():
    for value, enough in ((1.0, True), (1e6, True), (1e12, False)):
        assert bool(setting([1.0, 1.0], [0.0, 1.0], value=value).is_flat_enough(0, 0.1)) == enough
    assert setting([1.0], [0.0], value=1e300).is_flat_enough(0, 0.1)  # nothing beside it that would show


@quickly
@given(
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.sampled_from([1.0, 1.0 + 1e-6, 1.1, 0.0, -1.0, 1e300]),
            *(st.sampled_from([0.0, 1e-9, 1e-3, 10.0, NAN, math.inf]) for _ in range(3)),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda parts: parts[0],
    )
)
def test_nothing_is_decided_by_bars_that_are_not_numbers(parts):
    """A verdict needs a level with a finite bar that supports it."""
    levels = [
        level(2.0**-k, estimate, noise, truncation=truncation, bend=bend)
        for k, estimate, noise, truncation, bend in parts
    ]
    verdict = judge_levels(GIVEN, 0, levels).verdict
    gaps = [(abs(each.estimate - 1.0), each.bar) for each in levels if math.isfinite(each.bar)]
    if verdict is MATCH:
        assert any(gap + bar <= 1.01 * RTOL * max(1.0, 1.0 + gap) for gap, bar in gaps)
    if verdict is MISMATCH:
        assert any(gap >= 5 * bar and gap > 0.99 * RTOL for gap, bar in gaps)


# ----------------------------------------------------------------------------------------- confirming a mismatch


def test_two_levels_of_different_steps_confirm_a_mismatch():
    strong, weak = level(1e-4, 1.1, 0.001), level(4e-4, 1.1, 0.04)
    assert shows_mismatch(GIVEN, 0, set_bars([strong, weak]))
    assert not shows_mismatch(GIVEN, 0, set_bars([strong]))
    assert not shows_mismatch(GIVEN, 0, set_bars([strong, level(2e-4, 1.1, 0.04)]))  # steps too close
    assert not shows_mismatch(GIVEN, 0, set_bars([strong, level(4e-4, 1.1, 0.06)]))  # less than two bars
    assert not shows_mismatch(GIVEN, 0, set_bars([weak, level(4e-3, 1.1, 0.03)]))  # neither has five


def test_scatter_compares_the_values_with_the_noise_measured():
    assert scatter(level(1e-3, 1.0, 6e-3, local_noise=3e-6)) == pytest.approx(1.0)
    assert scatter(level(1e-3, 1.0, 0.0, local_noise=3e-6)) == 0.0
    assert scatter(level(1e-3, 1.0, 3.5 * 6e-3, local_noise=3e-6, noise_factor=3.5)) == pytest.approx(1.0)


def test_a_loud_level_confirms_nothing_unless_f_has_a_kink():
    strong, weak = level(1e-4, 1.1, 1e-4), level(1e-3, 1.1, 0.004)
    assert shows_mismatch(GIVEN, 0, set_bars([strong, weak]))
    weak.local_noise = 9.0e-6  # over three standard deviations of the noise measured
    set_bars([strong, weak])
    assert not is_quiet(weak, 0.1)
    assert weak.bar < 0.05
    assert not shows_mismatch(GIVEN, 0, [strong, weak])
    # The same scatter is nothing if the difference is ten thousand times as large.
    assert is_quiet(weak, 1e4 * weak.local_noise / weak.step)


# ----------------------------------------------------------------------------------------------------------- kinks


def levels_of(f, x, steps, sigma=1e-17):
    return [central_level(x, h, f(x), [f(x - 2 * h), f(x - h), f(x + h), f(x + 2 * h)], sigma) for h in steps]


def test_slopes_of_a_kink_at_x():
    levels = levels_of(lambda t: 3.0 * abs(t) + t, 0.0, [1.1e-3, 1.3e-6])
    assert kink_slopes(levels) == pytest.approx((4.0, -2.0))
    assert kink_slopes(levels[:1]) is None
    assert kink_slopes(levels_of(lambda t: 3.0 * abs(t) + t, 0.0, [1.1e-3, 1.3e-4])) is None  # too close to tell


def test_slopes_close_to_a_kink():
    """From the smallest step at which they can be told from noise."""
    relu = levels_of(lambda t: max(t, 0.0), 1.3e-9, [1.1e-3, 1.3e-6])
    assert kink_slopes(relu) == pytest.approx((1.0, 1e-3), abs=1e-6)


def test_curvature_is_no_kink():
    assert kink_slopes(levels_of(lambda t: 50.0 * t * t + t, 1.0, [0.061, 1.1e-3, 1.3e-5])) is None
    assert kink_slopes(levels_of(lambda t: math.exp(t), 1.0, [0.26, 3.9e-3])) is None


def test_noise_is_no_kink():
    jump = 1e-3
    near, far = (level(h, 1.0, 0.0, slope_jump=jump, slopes=(1.0, 1.0 - jump)) for h in (1e-4, 1e-2))
    assert kink_slopes([near, far]) is None  # a thousandth of the slope
    near, far = (level(h, 0.1, 0.0, slope_jump=jump, slopes=(1.0, 1.0 - jump)) for h in (1e-4, 1e-2))
    assert kink_slopes([near, far]) == (1.0, 1.0 - jump)
    near.noise = 0.34e-3
    assert kink_slopes([near, far]) is None  # three bars of noise


def test_rounding_constant_is_that_of_a_result():
    assert 0.5 * 2.0**-53 < ROUNDING < 2.0**-53
