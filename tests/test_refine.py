"""The closer look at one component, driven with plain Python functions: verdicts, points asked for, and how many."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad._judge.noise import NoiseModel, combine_tables, constant_noise, difference_table
from fastgrad._judge.refine import Closeup, look_closely
from fastgrad._judge.setting import make_setting
from fastgrad._judge.verdict import Flag, Verdict

MATCH, MISMATCH, INCONCLUSIVE = Verdict.MATCH, Verdict.MISMATCH, Verdict.INCONCLUSIVE
ROUNDING_ONLY = constant_noise(2.0**-53)
NOWHERE = (-math.inf, math.inf)

# Two descents of eight levels, five levels before a mismatch, two to confirm it and two more in doubt, of four
# evaluations each. Right and plainly wrong components need a fraction of it.
MOST_EVALUATIONS = 4 * (8 + 8 + 5 + 2 + 1 + 1)

quickly = settings(derandomize=True, deadline=None, max_examples=80)


@dataclass(frozen=True)
class Look:
    """What a closer look found, and where it had f evaluated."""

    found: Closeup
    asked: tuple[float, ...]

    @property
    def verdict(self) -> Verdict:
        return self.found.verdict


def measured(f, x):
    """The noise of f, from tables at three spacings; on the side where f is defined."""
    scale = 0.937 * (abs(x) or 1.0)
    sides = [
        [
            difference_table(np.array([answer(f, x + side * k * spacing * scale) for k in range(9)]), spacing)
            for spacing in (2.0**-40, 2.0**-30, 2.0**-20)
        ]
        for side in (1, -1)
    ]
    return min((combine_tables(tables, 0.0) for tables in sides), key=lambda model: model.largest)


def look(f: Callable[[float], float], x, analytical, *, bounds=NOWHERE, noise=None, rtol=1e-5, width=None, known=()):
    """Drive the generator to its end, evaluating f where it asks."""
    value = f(x)
    noise = noise or measured(f, x)
    setting = make_setting(
        np.array([x]), np.array([analytical]), value, rtol=rtol, precision=2.0**-52, noise=noise, grid=np.float64
    )
    step = float(setting.automatic_step(0, 1.0)) if width is None else width
    talk = look_closely(setting, 0, step, dict(known), bounds)
    asked: list[float] = []
    answers = None
    try:
        while True:
            questions = talk.send(answers)
            assert 0 < len(questions) <= 4
            asked += questions
            answers = [answer(f, point) for point in questions]
    except StopIteration as stop:
        found = stop.value
    assert len(asked) <= MOST_EVALUATIONS
    assert len(set(asked)) == len(asked), "a point was asked for twice"
    assert x not in asked
    assert all(bounds[0] <= point <= bounds[1] for point in asked)
    return Look(found, tuple(asked))


def answer(f, point):
    """f, and NaN where it fails, as compiled code reports it."""
    try:
        return f(point)
    except (ValueError, OverflowError, ZeroDivisionError):
        return math.nan


def uniform(x: float, seed: int = 0) -> float:
    """A number in [-1, 1) that depends on every bit of x and looks random."""
    key = int(np.float64(x).view(np.uint64)) ^ (0x9E3779B97F4A7C15 * (seed + 1) % 2**64)
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        key = (key ^ (key >> 29)) * multiplier % 2**64
    return (key ^ (key >> 32)) / 2.0**63 - 1.0


# Function, point, derivative there.
SMOOTH = {
    "exp": (math.exp, 1.0, math.exp(1.0)),
    "large exp": (math.exp, 30.0, math.exp(30.0)),
    "sin": (math.sin, 1.0, math.cos(1.0)),
    "sin at 0": (math.sin, 0.0, 1.0),
    "log": (math.log, 2.0, 0.5),
    "log at 1": (math.log, 1.0, 1.0),
    "log close to its edge": (math.log, 1e-9, 1e9),
    "sqrt": (math.sqrt, 0.7, 0.5 / math.sqrt(0.7)),
    "reciprocal": (lambda t: 1 / t, 3.0, -1 / 9),
    "square": (lambda t: t * t, 1.7, 3.4),
    "line": (lambda t: 3.0 * t, 1.7, 3.0),
    "tenth power": (lambda t: t**10, 1.3, 10 * 1.3**9),
    "tanh": (math.tanh, 0.3, 1 - math.tanh(0.3) ** 2),
    "steep exp": (lambda t: math.exp(100 * t), 0.01, 100 * math.e),
    "fast sin": (lambda t: math.sin(30 * t * t), 1.1, 66 * math.cos(30 * 1.1 * 1.1)),
    "gauss": (lambda t: math.exp(-t * t), 1.2, -2.4 * math.exp(-1.44)),
    "runge": (lambda t: 1 / (1 + 25 * t * t), 0.3, -15 / (1 + 25 * 0.09) ** 2),
    "huge": (lambda t: 1e90 * math.sin(t), 1.0, 1e90 * math.cos(1.0)),
    "tiny": (lambda t: 1e-90 * math.sin(t), 1.0, 1e-90 * math.cos(1.0)),
    "x of 1e-12": (lambda t: math.sin(1e12 * t), 0.7e-12, 1e12 * math.cos(0.7)),
    "x of 1e12": (lambda t: math.sin(1e-12 * t), 0.7e12, 1e-12 * math.cos(0.7)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_functions_are_decided(name):
    f, x, right = SMOOTH[name]
    closer = look(f, x, right)
    assert closer.verdict is MATCH
    assert abs(closer.found.estimate - right) <= closer.found.bar
    assert len(closer.asked) <= 12
    for wrong in (1.001 * right, right / 1.001, 0.0, -right, 2.0 * right, 1e6 * right):
        closer = look(f, x, wrong)
        assert closer.verdict is MISMATCH, wrong / right
        assert abs(closer.found.estimate - right) <= closer.found.bar
        assert len(closer.asked) <= 40


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("width", [1e-12, 1e-6, 1e-2])
def test_the_first_step_does_not_matter(name, width):
    f, x, right = SMOOTH[name]
    width *= abs(x) or 1.0
    assert look(f, x, right, width=width).verdict is MATCH
    assert look(f, x, 1.001 * right, width=width).verdict is MISMATCH


@quickly
@given(st.sampled_from(sorted(SMOOTH)), st.floats(-7.0, 0.0), st.booleans())
def test_errors_of_any_size_are_never_accepted_from_twice_the_tolerance(name, power, negative):
    f, x, right = SMOOTH[name]
    delta = (-1.0 if negative else 1.0) * 10.0**power
    verdict = look(f, x, right * (1.0 + delta)).verdict
    assert verdict is not (MATCH if abs(delta) > 2e-5 else None)
    assert verdict is not (MISMATCH if abs(delta) < 1e-5 else None)


@quickly
@given(st.sampled_from(["exp", "square", "gauss", "fast sin", "line"]), st.integers(-90, 90), st.integers(-90, 90))
def test_units_do_not_matter(name, power_x, power_f):
    """x -> c x and f -> d f, by powers of two: the same points, the same verdict, to the bit."""
    f, x, right = SMOOTH[name]
    c, d = 2.0**power_x, 2.0**power_f
    for analytical in (right, 1.001 * right):
        one = look(f, x, analytical)
        other = look(lambda t: d * f(t / c), c * x, analytical * (d / c))
        assert other.verdict is one.verdict
        assert other.asked == tuple(c * point for point in one.asked)
        assert (other.found.estimate, other.found.bar) == (one.found.estimate * (d / c), one.found.bar * (d / c))


def test_values_already_known_are_not_asked_for_again():
    f, x, right = SMOOTH["exp"]
    width = 2.0**-17 * 1.25
    fresh = look(f, x, right, width=width)
    known = {x + width: f(x + width), x - width: f(x - width)}
    again = look(f, x, right, width=width, known=known)
    assert set(fresh.asked) - set(again.asked) == set(known)
    assert again.found == fresh.found


# --------------------------------------------------------------------------------------------- noise and offsets


@pytest.mark.parametrize("level", [1e-12, 1e-9, 1e-6, 1e-3])
def test_noise_makes_bars_wide_but_not_wrong(level):
    """Deterministic noise: hidden errors are inconclusive, larger ones are found, the truth stays inside the bar."""
    sigma = level / math.sqrt(3.0)
    for seed in range(30):

        def f(t, seed=seed):
            return math.sin(t) + level * uniform(t, seed)

        right = math.cos(1.0)
        closer = look(f, 1.0, right, noise=constant_noise(sigma))
        assert closer.verdict is not MISMATCH
        assert abs(closer.found.estimate - right) <= closer.found.bar
        if closer.verdict is INCONCLUSIVE:
            assert closer.found.flags & Flag.NOISE
        far = look(f, 1.0, right + 100.0 * max(closer.found.bar, 1e-6), noise=constant_noise(sigma))
        assert far.verdict is not MATCH


def test_large_errors_are_found_in_noise():
    def f(t):
        return math.sin(t) + 1e-6 * uniform(t)

    noise = constant_noise(1e-6 / math.sqrt(3.0))
    for wrong in (0.0, -math.cos(1.0), 2.0 * math.cos(1.0)):
        assert look(f, 1.0, wrong, noise=noise).verdict is MISMATCH


@pytest.mark.parametrize("level", [1e-9, 1e-6, 1e-3])
def test_noise_measured_far_too_small_is_seen_in_the_values(level):
    """The noise model knows rounding only. Nothing right is accused."""
    for seed in range(60):

        def f(t, seed=seed):
            return math.sin(t) + level * uniform(t, seed)

        assert look(f, 1.0, math.cos(1.0), noise=ROUNDING_ONLY).verdict is not MISMATCH, seed


def test_a_difference_of_many_bars_is_confirmed_by_a_second_step():
    """The best step in noise is as wide as allowed, and no other is looked at on the way there."""
    for seed in range(40):
        x = 0.5 + seed / 40
        closer = look(lambda t, seed=seed: math.sin(t) + 1e-6 * uniform(t, seed), x, 1.5 * math.cos(x))
        away = abs(closer.found.estimate - 1.5 * math.cos(x)) / closer.found.bar
        assert closer.verdict is MISMATCH or away < 10.0, (seed, away)


@pytest.mark.parametrize("understated", [10.0, 30.0])
def test_noise_that_was_understated_is_escaped_by_a_wider_step(understated):
    """Its scatter looks like bending, of which a wider step has less, not more."""
    noise = constant_noise(1e-9 / math.sqrt(3.0) / understated)
    verdicts = [
        look(
            lambda t, seed=seed: math.sin(t) + 1e-9 * uniform(t, seed), 1.0, math.cos(1.0), noise=noise, width=1e-4
        ).verdict
        for seed in range(20)
    ]
    assert verdicts.count(MATCH) >= 12 and MISMATCH not in verdicts


@pytest.mark.parametrize("x", [1e-4, -1e-7])
def test_no_step_leaves_the_scale_of_the_problem(x):
    """f is flat in its noise, so that a wider step always promises a smaller bar."""
    for level in (0.0, 1e-6, 1e-2):
        for right in (1.0, 2.0):
            closer = look(lambda t, level=level: t + level * uniform(t), x, right)
            assert max(abs(point - x) for point in closer.asked) <= 2.0 * 0.1 * 1.25 * abs(x)


def test_a_first_step_that_was_chosen_wider_may_be_kept():
    closer = look(lambda t: t + 1e-6 * uniform(t), 1e-4, 1.0, width=1.0)
    assert max(abs(point - 1e-4) for point in closer.asked) <= 2.0 * 1.25


def test_a_bar_that_fits_at_the_best_step_only_is_looked_for():
    noise = constant_noise(1e-9)
    verdicts = [
        look(math.exp, x, math.exp(x), noise=noise, rtol=3e-6, width=width).verdict
        for x in np.linspace(0.8, 1.3, 6)
        for width in (1e-3, 2e-3, 4e-3)
    ]
    assert verdicts.count(MATCH) >= 15


@pytest.mark.parametrize("bounds", [(1.0, 2.0), (0.0, 1.0)])
def test_a_bound_on_the_other_side_does_not_keep_steps_short(bounds):
    """Two tries towards the bound fail; they say nothing about the side that is free."""
    closer = look(math.sin, 1.0, math.cos(1.0), bounds=bounds, noise=constant_noise(4e-15), width=1e-5)
    assert closer.verdict is MATCH


def hidden_oscillation(x, seed, rate):
    """sin(x) and a faster one, hidden in noise of half its size: f and its derivative."""
    f = lambda t: math.sin(t) + math.sin(rate * t) + 0.5 * uniform(t, seed)  # noqa: E731
    return f, math.cos(x) + rate * math.cos(rate * x)


@pytest.mark.parametrize("rate", [250.0, 500.0])
def test_an_oscillation_hidden_in_the_noise_does_not_accuse_the_right_gradient(rate):
    """It averages out to a slope near zero, at every step at which the noise lets one see anything."""
    for seed in range(60):
        x = 1.0 + seed / 600.0
        f, right = hidden_oscillation(x, seed, rate)
        assert look(f, x, right).verdict is not MISMATCH


@pytest.mark.parametrize("seed", [107, 114, 200, 219, 462, 494, 562, 754])
def test_an_oscillation_somewhat_larger_than_the_noise_does_not_accuse_either(seed):
    """Levels that scatter more than the noise tell how large it may be."""
    x = np.random.default_rng(seed).uniform(2.0, 3.0)
    closer = look(
        lambda t: math.sin(30.0 * t * t) + 100.0 + 0.22 * uniform(t, seed),
        x,
        60.0 * x * math.cos(30.0 * x * x),
        noise=constant_noise(0.13),
    )
    assert closer.verdict is not MISMATCH


@pytest.mark.parametrize("rate", [250.0, 500.0])
def test_what_may_hide_in_the_noise_is_within_the_bar(rate):
    held = []
    for seed in range(60):
        x = 1.0 + seed / 600.0
        f, right = hidden_oscillation(x, seed, rate)
        closer = look(f, x, right)
        assert closer.verdict is not MATCH
        held.append(abs(closer.found.estimate - right) <= closer.found.bar)
    assert sum(held) >= 57


def test_an_entry_that_should_be_zero_is_accused_where_the_noise_is_small_or_the_entry_large():
    """The price of it: in coarse noise a slope of zero has to be contradicted by more."""
    for level, analytical, verdict in ((1e-12, 1e-6, MISMATCH), (1e-6, 1.0, MISMATCH), (1e-3, 1.0, INCONCLUSIVE)):
        closer = look(lambda t, level=level: 1.0 + level * uniform(t), 1.0, analytical)
        assert closer.verdict is verdict, level


def test_levels_that_contradict_each_other_widen_the_bar_of_what_stays_open():
    """A staircase of 1e-3: flat close by, of slope 1 from afar."""
    for seed in range(20):
        x = 1.0 + 1e-4 * seed
        closer = look(lambda t: 1e-3 * math.floor(1e3 * t), x, 1.0, noise=constant_noise(1e-16))
        if closer.verdict is INCONCLUSIVE and closer.found.flags & Flag.SCALE:
            assert closer.found.bar >= 0.5


def test_the_best_of_what_is_near_is_reported_not_what_is_smooth_far_away():
    """Beyond its own size the coordinate saturates, and f is flat there with a small bar."""
    for seed in range(10):
        f = lambda t, seed=seed: math.tanh(t / 1e-6) + 1e-3 * uniform(t, seed)  # noqa: E731
        closer = look(f, 1e-6, 1e6 * (1.0 - math.tanh(1.0) ** 2), width=1e-6)
        assert closer.found.step <= 1e-6
        assert abs(closer.found.estimate - 1e6 * (1.0 - math.tanh(1.0) ** 2)) <= closer.found.bar


def test_an_offset_hides_small_errors_only():
    def f(t):
        return 1e10 + math.sin(t) ** 2

    right = 2.0 * math.sin(1.0) * math.cos(1.0)
    assert look(f, 1.0, right).verdict is INCONCLUSIVE
    assert look(f, 1.0, right, rtol=1e-2).verdict is MATCH
    assert look(f, 1.0, right * (1 + 1e-4)).verdict is INCONCLUSIVE
    assert look(f, 1.0, 1.1 * right).verdict is MISMATCH


def test_f_quiet_close_by_and_rough_from_afar_is_looked_at_close_by():
    """f follows a line while its float32 part does not change; the noise tables saw both scales."""
    two_scales = NoiseModel((2.0**-40, 2.0**-30, 2.0**-20), (1e-17, 1e-17, 3e-8))

    def f(t):
        return t + float(np.float32(math.sin(t)))

    closer = look(f, 1.0, 1.0 + math.cos(1.0), noise=two_scales)
    assert closer.verdict is not MISMATCH
    assert min(abs(point - 1.0) for point in closer.asked) < 2.0**-20 / 96


def test_fast_oscillation_that_averages_out_is_never_accused():
    """f' = 1 + 0.5 cos(t / 1e-7): any step far above 1e-7 sees a slope of 1, convincingly."""

    def f(t):
        return t + 0.5e-7 * math.sin(t / 1e-7)

    for k in range(40):
        x = 1.0 + 0.37e-7 * k
        right = 1.0 + 0.5 * math.cos(x / 1e-7)
        assert look(f, x, right).verdict is not MISMATCH, k
        assert look(f, x, -right).verdict is not MATCH


# ------------------------------------------------------------------------------------------------------- kinks


def test_a_kink_at_x_is_reported_with_its_slopes():
    for analytical in (-1.0, 0.0, 0.3, 1.0):
        closer = look(abs, 0.0, analytical)
        assert closer.verdict is INCONCLUSIVE
        assert closer.found.flags & Flag.KINK
        assert closer.found.slopes == pytest.approx((1.0, -1.0))


def test_a_gradient_outside_the_slopes_of_a_kink():
    closer = look(lambda t: max(t, 0.0) + t, 0.0, 3.5)
    assert closer.verdict is not MATCH
    assert closer.found.slopes == pytest.approx((2.0, 1.0))
    assert look(lambda t: max(t, 0.0) + t, 0.0, 30.0).verdict is MISMATCH


@pytest.mark.parametrize("distance", [1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_near_a_kink_the_slope_at_x_counts(distance, side):
    def f(t):
        return math.exp(t) + max(t - 1.0, 0.0)

    x = 1.0 + side * distance
    right = math.exp(x) + (side > 0)
    other = math.exp(x) + (side < 0)
    assert look(f, x, right).verdict is not MISMATCH
    assert look(f, x, other).verdict is not MATCH
    assert look(f, x, 30.0 * right).verdict is MISMATCH
    if distance >= 1e-6:
        assert look(f, x, right).verdict is MATCH
        assert look(f, x, other).verdict is MISMATCH


def test_a_kink_too_near_to_see_past_it_is_named():
    closer = look(lambda t: math.exp(t) + max(t - 1.0, 0.0), 1.0 + 4e-15, math.e)
    assert closer.verdict is INCONCLUSIVE
    assert closer.found.flags & Flag.KINK
    assert closer.found.slopes == pytest.approx((math.e + 1.0, math.e), abs=1e-2)


def test_a_jump_is_never_a_match():
    for analytical in (0.0, 1.0, 1e6):
        assert look(lambda t: float(t >= 1.0) + t * t, 1.0, analytical).verdict is not MATCH


# --------------------------------------------------------------------------------- flat, constant and stationary


def test_constant_f():
    closer = look(lambda t: 7.0, 1.5, 0.0)
    assert (closer.verdict, closer.found.flags, closer.found.estimate) == (MATCH, Flag.CONSTANT, 0.0)
    assert max(abs(point - 1.5) for point in closer.asked) > 0.1  # a staircase would be flat close by, too
    assert look(lambda t: 7.0, 1.5, 1e-3).verdict is MISMATCH
    assert look(lambda t: 0.0, 1.5, 1e-30).verdict is MISMATCH


def test_a_stationary_point_is_inconclusive():
    for f, x in ((lambda t: t * t, 0.0), (lambda t: (t - 1.0) ** 2 + 3.0, 1.0), (math.cos, 0.0)):
        closer = look(f, x, 0.0)
        assert closer.verdict is INCONCLUSIVE
        assert abs(closer.found.estimate) <= closer.found.bar


def test_a_zero_gradient_elsewhere_is_wrong():
    assert look(lambda t: (t - 1.0) ** 2 + 3.0, 1.01, 0.0).verdict is MISMATCH


@pytest.mark.parametrize("analytical", [0.0, 1000.0])
def test_a_staircase_leaves_both_slopes_open(analytical):
    def f(t):
        return math.floor(1e3 * t) + 0.0

    closer = look(f, 1.50032, analytical, noise=constant_noise(0.3))
    assert closer.verdict is INCONCLUSIVE
    assert look(f, 1.50032, -5000.0, noise=constant_noise(0.3)).verdict is MISMATCH


@pytest.mark.parametrize("height", [7.05e-8, 1.87e-5])
def test_a_tread_that_a_closer_look_fits_on_does_not_accuse_the_slope_of_the_stairs(height):
    """x^2 rounded to multiples of a height, close to its minimum: constant near x, and steps further away."""
    for seed in range(60):
        x = math.sqrt(height) * (1.3 + seed / 30.0)
        closer = look(lambda t: height * round(t * t / height), x, 2.0 * x)
        assert closer.verdict is not MISMATCH


def test_a_unit_that_is_off_is_no_staircase():
    """max(0, t - 1.05) at 1: zero close by, and a slope further away, which a wrong gradient takes for its own."""
    for kink in (1.02, 1.05, 1.08):
        closer = look(lambda t, kink=kink: 3.0 + max(0.0, t - kink), 1.0, 1.0)
        assert closer.verdict is MISMATCH


def test_a_fine_staircase_is_named():
    """Flat close by, a line from afar, and noise far above the rounding of f."""

    def f(t):
        return math.floor(1e5 * t) * 1e-5

    closer = look(f, 1.500003, 0.0, noise=constant_noise(0.3e-5))
    assert closer.verdict is INCONCLUSIVE
    assert closer.found.flags & (Flag.STAIRCASE | Flag.SCALE)


FLAT_HERE = {  # f, x, slope there: rounded so coarsely that nothing moves within a fifth of x
    "erf": (math.erf, 2.44, 2.0 / math.sqrt(math.pi) * math.exp(-(2.44**2)), 1e-2),
    "near the top of a bump": (lambda t: math.exp(-t * t), -0.0186, 0.0372 * math.exp(-(0.0186**2)), 7e-3),
    "rastrigin": (lambda t: t * t - 10.0 * math.cos(2.0 * math.pi * t), -1.002, -2.79358, 0.5),
    "logistic": (lambda t: 1.0 / (1.0 + math.exp(-t)), 6.25, 0.00192295, 6e-4),
}


@pytest.mark.parametrize("name", FLAT_HERE)
@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 0.75])
def test_a_right_slope_is_not_accused_from_a_tread(name, shift):
    f, x, slope, grain = FLAT_HERE[name]
    closer = look(lambda t: math.floor(f(t) / grain + shift) * grain, x, slope)
    assert closer.verdict is INCONCLUSIVE and closer.found.flags & (Flag.STAIRCASE | Flag.SCALE)
    assert abs(closer.found.estimate - slope) <= closer.found.bar


def test_stairs_of_rounding_do_not_hide_what_wider_levels_see():
    """log(1 + exp(x)), written so that it rounds to steps of 1e-11: flat from closest by, a line from further away."""
    f = lambda t: -math.log(1.0 - 1.0 / (1.0 + math.exp(-t)))  # noqa: E731
    right = 1.0 / (1.0 + math.exp(-10.86739867))
    for wrong in (0.7554792, 2.0, -1.0):
        closer = look(f, 10.86739867, wrong)
        assert closer.verdict is MISMATCH
        assert abs(closer.found.estimate - right) <= closer.found.bar < 1e-6


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda t: 0.3, 2.0),
        (lambda t: max(t - 3.0, 0.0), 2.0),  # a unit that switches on further away
        (lambda t: math.log1p(math.exp(t)) + 1.0, -50.0),  # moves by units of rounding, far away
        (lambda t: math.floor((t - 3.0) / 1e-6) * 1e-6 if t > 3.0 else 0.0, 2.0),  # stairs elsewhere
    ],
)
def test_a_slope_that_no_tread_explains_is_wrong(f, x):
    assert look(f, x, 0.5).verdict is MISMATCH


PAIRS = (
    (math.sin, math.cos),
    (math.exp, math.exp),
    (lambda t: 1.0 / t, lambda t: -1.0 / t**2),
    (math.sqrt, lambda t: 0.5 / math.sqrt(t)),
    (math.log, lambda t: 1.0 / t),
)


@pytest.mark.parametrize("seed", [446, 1014, 1252, 3593])
def test_rounded_values_that_lie_on_another_line_clear_nobody(seed):
    """Once in a thousand times five values, rounded, rise evenly, by a slope that levels at other steps exclude."""
    rng = np.random.default_rng(seed)
    f, slope = PAIRS[rng.integers(5)]
    x, grain = rng.uniform(0.5, 5.0), 10.0 ** rng.uniform(-12, -8)
    wrong = slope(x) * (1.0 + 10.0 ** rng.uniform(-4.7, -3.7))
    assert look(lambda t: math.floor(f(t) / grain + 0.5) * grain, x, wrong).verdict is not MATCH


def test_nine_values_settle_what_noise_from_elsewhere_leaves_open():
    """The noise of all coordinates is ten times that along this one."""
    noise, more = constant_noise(1e-11), 0
    for seed in range(60):
        x = np.random.default_rng(seed).uniform(1.0, 4.0)
        right = -2.0 * x * math.exp(-x * x)
        closer = look(lambda t: 1e4 + math.exp(-t * t), x, right, noise=noise)
        assert closer.verdict is not MISMATCH and abs(closer.found.estimate - right) <= closer.found.bar
        more += closer.verdict is MATCH
        assert look(lambda t: 1e4 + math.exp(-t * t), x, right * (1.0 + 3e-5), noise=noise).verdict is not MATCH
    assert more >= 30


# ------------------------------------------------------------------------------ values that are not finite, bounds


def outside(f, condition):
    """f where the condition holds, NaN elsewhere."""
    return lambda t: f(t) if condition(t) else math.nan


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-7, 1e-3])
def test_nan_on_one_side(side, distance):
    f = outside(math.exp, lambda t: side * (t - 1.0) >= 0.0)
    x = 1.0 + side * distance
    closer = look(f, x, math.exp(x))
    assert closer.verdict is MATCH
    if distance < 1e-9:  # further away, a smaller step leaves room on both sides
        assert closer.found.flags & Flag.ONE_SIDED
        assert closer.found.flags & Flag.NON_FINITE
    assert look(f, x, 1.01 * math.exp(x)).verdict is MISMATCH


def test_an_exception_on_one_side():
    closer = look(lambda t: math.sqrt(t - 1.0) ** 2 + math.exp(t), 1.0, 1.0 + math.e)
    assert closer.verdict is MATCH
    assert closer.found.flags & Flag.ONE_SIDED


def test_a_narrow_domain_around_x_is_found():
    f = outside(math.exp, lambda t: abs(t - 1.0) < 1e-6)
    assert look(f, 1.0, math.e, width=1e-2).verdict is not MISMATCH
    assert look(f, 1.0, 1.1 * math.e, width=1e-2).verdict is MISMATCH
    assert look(f, 1.0, math.e, rtol=1e-3, width=1e-2).verdict is MATCH


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_f_finite_at_x_only(bad):
    closer = look(lambda t: 1.0 if t == 1.0 else bad, 1.0, 0.0)
    assert closer.verdict is INCONCLUSIVE
    assert closer.found.flags == Flag.NON_FINITE
    assert math.isnan(closer.found.estimate)
    assert closer.found.bar == math.inf


def test_f_finite_on_scattered_points_only_never_matches_what_is_wrong():
    """Every second point, by its bits, is NaN."""
    for seed in range(40):
        f = outside(math.exp, lambda t, seed=seed: t == 1.0 or uniform(t, seed) > 0.0)
        assert look(f, 1.0, 1.5 * math.e).verdict is not MATCH
        assert look(f, 1.0, math.e).verdict is not MISMATCH


def test_unknown_noise_is_not_blamed_on_the_bounds():
    closer = look(math.sin, 1.0, math.cos(1.0), noise=constant_noise(math.inf))
    assert closer.verdict is INCONCLUSIVE
    assert closer.found.flags == Flag.NON_FINITE


def test_noise_that_is_not_a_number_decides_nothing():
    for sigma in (math.nan, math.inf):
        for analytical in (math.e, 0.0, -math.e):
            assert look(math.exp, 1.0, analytical, noise=constant_noise(sigma)).verdict is INCONCLUSIVE


@pytest.mark.parametrize("bounds", [(1.0, 2.0), (0.0, 1.0), (1.0, math.inf), (-math.inf, 1.0), (1.0 - 1e-9, 3.0)])
def test_at_a_bound_one_side_is_enough(bounds):
    closer = look(math.exp, 1.0, math.e, bounds=bounds)
    assert closer.verdict is MATCH
    assert closer.found.flags == Flag.ONE_SIDED
    assert look(math.exp, 1.0, 1.001 * math.e, bounds=bounds).verdict is MISMATCH


def test_narrow_bounds():
    narrow = (1.0 - 1e-4, 1.0 + 1e-4)
    assert look(math.exp, 1.0, math.e, bounds=narrow).verdict is MATCH
    assert look(math.exp, 1.0, 1.001 * math.e, bounds=narrow).verdict is MISMATCH
    hair = (1.0 - 1e-13, 1.0 + 1e-13)
    assert look(math.exp, 1.0, math.e, bounds=hair).verdict is INCONCLUSIVE
    assert look(math.exp, 1.0, 1.001 * math.e, bounds=hair).verdict is INCONCLUSIVE


def test_no_room_between_the_bounds():
    closer = look(math.exp, 1.0, math.e, bounds=(1.0, 1.0))
    assert (closer.verdict, closer.found.flags, closer.asked) == (INCONCLUSIVE, Flag.NO_ROOM, ())


@quickly
@given(st.floats(-12.0, 1.0), st.floats(-12.0, 1.0), st.floats(-9.0, 0.0))
def test_bounds_are_never_left(below, above, width):
    """Wherever they are, whatever the first step; `look` itself asserts that no point lies outside."""
    bounds = (1.0 - 10.0**below, 1.0 + 10.0**above)
    assert look(math.exp, 1.0, math.e, bounds=bounds, width=10.0**width).verdict is not MISMATCH
    assert look(math.exp, 1.0, 1.5 * math.e, bounds=bounds, width=10.0**width).verdict is not MATCH
