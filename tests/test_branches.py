"""The law N / epsilon + T epsilon^2, read from curves that are made up to follow it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastgrad._sweep.branches import Branches, Part, find_kink, fit_branches, read_curve, robust_slope

EPSILON = np.logspace(-12, -1, 45)


def changes(epsilon, law, scatter=0.0):
    """What numerical gradients with this law change from one epsilon to the next."""
    low, high = epsilon[:-1], epsilon[1:]
    clean = law.noise * np.hypot(1.0 / low, 1.0 / high) + law.truncation * (high**2 - low**2)
    return clean * np.exp(scatter * np.random.default_rng(1).normal(size=clean.size))


def read(error, law, kink=None):
    return read_curve(EPSILON, error, law, law.noise, kink)


# --- the law -------------------------------------------------------------------------------------------------------


def test_the_best_epsilon_is_where_the_law_is_smallest():
    law, fine = Branches(3e-16, 0.02), np.logspace(-8, -2, 60001)
    assert law.best_epsilon == pytest.approx(fine[np.argmin(law.at(fine))], rel=1e-3)
    assert law.smallest_error == pytest.approx(law.at(fine).min(), rel=1e-6)


@pytest.mark.parametrize(
    ("law", "best", "smallest"),
    [
        (Branches(1e-16, 0.0), math.inf, 0.0),
        (Branches(0.0, 1.0), 0.0, 0.0),
        (Branches(0.0, 0.0), math.nan, 0.0),
        (Branches(math.nan, 0.0), math.nan, math.nan),
    ],
)
def test_a_law_with_one_branch_or_none_has_its_minimum_at_an_end(law, best, smallest):
    np.testing.assert_equal((law.best_epsilon, law.smallest_error), (best, smallest))


# --- fits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [Branches(1e-16, 0.1), Branches(1e-13, 1e-3), Branches(1e-17, 1e3)])
def test_both_branches_are_found(law):
    fitted = fit_branches(EPSILON, changes(EPSILON, law, scatter=0.3))
    assert fitted.noise == pytest.approx(law.noise, rel=0.25)
    assert fitted.truncation == pytest.approx(law.truncation, rel=0.25)


def test_a_far_end_that_leaves_the_law_does_not_bend_the_fit():
    law = Branches(1e-16, 0.1)
    change = changes(EPSILON, law)
    change[-5:] *= [3.0, 0.2, 8.0, 0.1, 0.05]
    fitted = fit_branches(EPSILON, change)
    assert fitted.truncation == pytest.approx(law.truncation, rel=0.1)


def test_a_branch_that_is_not_there_is_zero():
    assert fit_branches(EPSILON, changes(EPSILON, Branches(1e-16, 0.0), scatter=0.5)).truncation == 0.0
    only_truncation = fit_branches(EPSILON[-12:], changes(EPSILON[-12:], Branches(0.0, 0.1)))
    assert (only_truncation.noise, only_truncation.truncation) == (0.0, pytest.approx(0.1))
    assert fit_branches(EPSILON, np.zeros(44)) == Branches(0.0, 0.0)


def test_changes_that_are_not_small_are_left_out():
    law = Branches(1e-16, 0.1)
    change = changes(EPSILON, law)
    change[:20] = np.random.default_rng(2).uniform(0.2, 1.0, 20)
    fitted = fit_branches(EPSILON, change)
    assert fitted.noise == pytest.approx(law.noise, rel=0.05)


def test_the_slope_withstands_outliers_and_needs_three_points():
    power = 4.0 * EPSILON**-1.5
    power[[3, 17, 30]] *= 1e6
    assert robust_slope(EPSILON, power) == pytest.approx(-1.5, abs=0.02)
    assert math.isnan(robust_slope(EPSILON[:2], power[:2]))
    assert math.isnan(robust_slope(EPSILON[:3], np.array([1.0, 0.0, 1.0])))


# --- kinks ---------------------------------------------------------------------------------------------------------


def test_a_jump_of_the_gradient_is_a_kink_and_the_law_is_none():
    law = Branches(1e-16, 0.1)
    change = changes(EPSILON, law, scatter=0.2)
    assert find_kink(EPSILON, change, law.noise) is None
    change[38:] += 0.05
    assert find_kink(EPSILON, change, law.noise) == 39


def test_growth_as_the_fourth_power_is_no_kink():
    change = 1e-16 / EPSILON[1:] + 10.0 * EPSILON[1:] ** 4
    assert find_kink(EPSILON, change, 1e-16) is None


def test_a_gradient_that_is_lost_in_noise_has_no_kink():
    change = np.where(np.arange(44) < 20, 0.0, changes(EPSILON, Branches(1e-7, 0.0)))
    assert find_kink(EPSILON, np.minimum(change, 1.0), 1e-7) is None


# --- what governs E ------------------------------------------------------------------------------------------------


def test_the_two_parts_meet_at_the_best_epsilon():
    law = Branches(1e-16, 0.1)
    reading = read(law.at(EPSILON), law)
    expected = [Part.ROUNDING if 1e-16 / h > 0.1 * h**2 else Part.TRUNCATION for h in EPSILON]
    assert list(reading.parts) == expected
    assert reading.slopes == (pytest.approx(-1.0, abs=0.05), pytest.approx(2.0, abs=0.05))
    assert math.isnan(reading.floor)


def test_a_level_that_truncation_cancels_at_one_epsilon_is_flat_all_the_same():
    """A gradient off by less than rtol: its error and truncation have opposite signs, and meet."""
    law = Branches(1e-17, 0.1)
    error = law.noise / EPSILON + np.abs(1e-7 - law.truncation * EPSILON**2)
    crossing = int(np.argmin(np.abs(law.truncation * EPSILON**2 - 1e-7)))
    error[crossing] = 1e-9
    assert read(error, law).floor == pytest.approx(1e-7, rel=0.2)
    # The same dip where truncation is far below the level shows that there is no level.
    elsewhere = np.maximum(law.at(EPSILON), 1e-7)
    elsewhere[int(np.argmin(np.abs(EPSILON - 1e-7)))] = 1e-9
    assert math.isnan(read(elsewhere, law).floor)


@pytest.mark.parametrize("level", [1.0, 1e-3, 1e-8])
def test_a_level_that_the_law_does_not_explain_is_flat(level):
    law = Branches(1e-16, 0.1)
    error = np.maximum(law.at(EPSILON), level)
    reading = read(error, law)
    assert reading.floor == level
    flat = np.array([part is Part.FLAT for part in reading.parts])
    assert flat.sum() >= 8
    assert (error[flat] == level).all()


def test_a_level_that_e_falls_below_is_not_flat():
    law = Branches(1e-16, 0.0)
    error = np.where(EPSILON < 1e-4, law.at(EPSILON), 1e-3)
    reading = read(error, law)
    assert math.isnan(reading.floor)
    assert Part.FLAT not in reading.parts


def test_beyond_a_kink_nothing_else_governs():
    law = Branches(1e-16, 0.1)
    reading = read(law.at(EPSILON), law, kink=40)
    assert [k for k, part in enumerate(reading.parts) if part is Part.KINK] == [40, 41, 42, 43, 44]


def test_an_e_that_is_small_by_luck_is_not_the_best():
    law = Branches(1e-16, 0.1)
    error = law.at(EPSILON)
    best = int(np.argmin(error))
    error[4] = 0.0
    assert read(error, law).best == best
    error[best + 1] *= 0.5
    assert read(error, law).best == best + 1


def test_without_a_law_there_are_no_parts():
    reading = read_curve(EPSILON, np.ones(45), Branches(0.0, 0.0), math.nan, None)
    assert set(reading.parts) == {Part.NONE}
    assert math.isnan(reading.floor)
    empty = read_curve(np.array([]), np.array([]), Branches(0.0, 0.0), math.nan, None)
    assert empty.parts == ()
