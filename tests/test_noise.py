"""The noise of f: difference tables against a slow twin, the rules that combine them, noise from residuals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad._judge.noise import (
    TABLE_POINTS,
    NoiseModel,
    Table,
    TableState,
    combine_tables,
    constant_noise,
    difference_table,
    noise_from_residuals,
)

NOISE, PLATEAU, CURVED = TableState.NOISE, TableState.PLATEAU, TableState.CURVED
POINTS = np.arange(TABLE_POINTS + 1.0)

quickly = settings(derandomize=True, deadline=None, max_examples=60)


def levels_by_hand(values):
    """Standard deviation that the differences of each order would show if the values were pure noise."""
    values = [Fraction(value) for value in values.tolist()]
    levels = []
    for order in range(1, len(values)):
        rows = [
            sum((-1) ** j * math.comb(order, j) * values[k + order - j] for j in range(order + 1))
            for k in range(len(values) - order)
        ]
        mean_square = sum(row * row for row in rows) / len(rows)
        levels.append(math.sqrt(Fraction(math.factorial(order) ** 2, math.factorial(2 * order)) * mean_square))
    return levels


def noisy(seed, sigma, smooth=lambda k: 2.0 + 0.1 * k):
    return smooth(POINTS) + sigma * np.random.default_rng(seed).standard_normal(POINTS.size)


# ------------------------------------------------------------------------------------------ one difference table


@pytest.mark.parametrize("smooth", [lambda k: 2.0 + 0.1 * k, lambda k: 1e-3 * k**2 - k, lambda k: 0.0 * k])
def test_sigma_of_pure_noise_is_found(smooth):
    tables = [difference_table(noisy(seed, 1e-6, smooth), 1.0) for seed in range(200)]
    sigma = np.array([table.sigma for table in tables if table.state is NOISE])
    assert sigma.size > 150
    assert 0.8e-6 < np.median(sigma) < 1.2e-6
    assert sigma.min() > 0.15e-6  # six sigmas of this make a bar, of which the truth is then never outside
    assert sigma.max() < 3e-6


def test_sigma_is_a_level_of_the_twin():
    for seed in range(20):
        values = noisy(seed, 1e-6)
        table = difference_table(values, 1.0)
        allowed = levels_by_hand(values)[2:6] if table.state is NOISE else [min(levels_by_hand(values)[2:])]
        assert min(abs(table.sigma / level - 1.0) for level in allowed) < 1e-8


def test_smooth_values_show_no_noise_level():
    table = difference_table(np.exp(0.3 * POINTS), 0.3)
    assert table.state is CURVED
    # At most the last differences, a bound on the noise from above.
    assert table.sigma == pytest.approx(min(levels_by_hand(np.exp(0.3 * POINTS))[2:]), rel=1e-6)


def test_a_cubic_does_not_pass_for_noise():
    """Its third differences are constant, all of one sign."""
    table = difference_table(POINTS**3, 1.0)
    assert (table.state, table.sigma) == (CURVED, 0.3)  # no noise, but whole numbers


def test_values_that_hardly_change_are_a_plateau():
    staircase = 1.0 + 2.0**-20 * (POINTS > 5)
    table = difference_table(staircase, 1.0)
    assert table.state is PLATEAU
    assert table.quantum == 2.0**-20
    assert table.sigma == 0.3 * 2.0**-20
    constant = difference_table(np.full(9, 7.0), 1.0)
    assert (constant.state, constant.sigma, constant.quantum) == (PLATEAU, 0.0, 0.0)


def test_sigma_is_at_least_a_share_of_the_grid():
    values = np.float32(1.0 + 0.013 * POINTS).astype(np.float64)
    table = difference_table(values, 1.0)
    assert table.quantum == 2.0**-23
    assert table.sigma >= 0.3 * 2.0**-23


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_value_that_is_not_finite_makes_the_noise_infinite(bad, place):
    values = noisy(0, 1e-6)
    values[place] = bad
    table = difference_table(values, 0.5)
    assert (table.sigma, table.state, table.spacing) == (math.inf, CURVED, 0.5)


@quickly
@given(st.integers(0, 1000), st.integers(-900, 900))
def test_a_table_follows_the_units_of_f(seed, exponent):
    values = noisy(seed, 1e-6)
    factor = 2.0**exponent
    table, scaled = difference_table(values, 1.0), difference_table(values * factor, 1.0)
    assert (scaled.sigma, scaled.quantum, scaled.state) == (table.sigma * factor, table.quantum * factor, table.state)


# --------------------------------------------------------------------------------------------- combined tables


def table(sigma, state=NOISE, spacing=1.0, quantum=0.0):
    return Table(spacing, sigma, state, quantum)


@pytest.mark.parametrize(
    ("tables", "floor", "expected"),
    [
        ([table(1.0), table(100.0), table(1.0)], 0.0, (1.0, 100.0, 1.0)),
        # Neighbours within a factor of eight take the larger value; downwards only.
        ([table(7.0), table(8.0), table(50.0)], 0.0, (50.0, 50.0, 50.0)),
        ([table(1.0), table(8.0), table(50.0)], 0.0, (1.0, 50.0, 50.0)),
        ([table(8.0), table(1.0), table(9.0)], 0.0, (8.0, 1.0, 9.0)),
        # A plateau takes from the next wider spacing, a curved table from the next narrower.
        ([table(0.3, PLATEAU), table(20.0), table(1000.0)], 0.0, (20.0, 20.0, 1000.0)),
        ([table(1.0), table(50.0, CURVED), table(70.0, CURVED)], 0.0, (1.0, 1.0, 1.0)),
        ([table(1.0), table(50.0, CURVED), table(100.0)], 0.0, (1.0, 1.0, 100.0)),
        ([table(9.0, CURVED), table(0.1, PLATEAU), table(100.0)], 0.0, (100.0, 100.0, 100.0)),
        ([table(1.0), table(0.2, PLATEAU), table(0.2, PLATEAU)], 0.0, (1.0, 1.0, 1.0)),
        # No table saw noise: the least of the curved ones, else the coarsest plateau.
        ([table(5.0, CURVED), table(3.0, CURVED), table(9.0, PLATEAU)], 0.0, (3.0, 3.0, 3.0)),
        ([table(0.2, PLATEAU), table(0.4, PLATEAU)], 0.0, (0.4, 0.4)),
        # Nowhere less than what repeated calls showed.
        ([table(1.0), table(100.0), table(1.0)], 10.0, (10.0, 100.0, 10.0)),
        ([table(math.inf, CURVED), table(math.inf, CURVED)], 0.0, (math.inf, math.inf)),
        ([table(1.0), table(100.0)], math.nan, (math.inf, math.inf)),
    ],
)
def test_combining_tables(tables, floor, expected):
    model = combine_tables(tables, floor)
    assert model.sigmas == expected
    assert model.is_flat == all(one.state is PLATEAU for one in tables)


def test_noise_of_a_step_is_the_most_seen_up_to_32_times_it():
    model = NoiseModel((2.0**-40, 2.0**-30, 2.0**-20), (3.0, 1.0, 7.0))
    steps = np.array([2.0**-60, 2.0**-40, 2.0**-35, 2.0**-25.01, 2.0**-25, 1.0])
    assert model.at(steps).tolist() == [3.0, 3.0, 3.0, 3.0, 7.0, 7.0]
    assert (model.smallest, model.largest, model.spacing_of_largest) == (3.0, 7.0, 2.0**-20)


def test_dependence_on_scale():
    assert NoiseModel((0.1, 0.2), (1.0, 8.1)).depends_on_scale(0.0)
    assert not NoiseModel((0.1, 0.2), (1.0, 8.0)).depends_on_scale(0.0)
    assert not NoiseModel((0.1, 0.2), (1.0, 8.1)).depends_on_scale(1.1)  # rounding explains it
    assert not constant_noise(5.0).depends_on_scale(0.0)
    assert constant_noise(math.nan).at(np.array([1.0])).tolist() == [math.inf]
    assert constant_noise(5.0).at(np.array([0.0, 1e-300, 1e300])).tolist() == [5.0, 5.0, 5.0]


# ------------------------------------------------------------------------------------------ noise from residuals


def residuals(size, sigma, seed=0):
    """|numerical - analytical| of right components whose differences meet noise sigma at step 1e-3."""
    step = np.full(size, 1e-3)
    return np.abs(np.random.default_rng(seed).standard_normal(size)) * sigma / math.sqrt(2.0) / step, step


def test_noise_from_residuals_finds_sigma():
    found = [noise_from_residuals(*residuals(40, 1e-9, seed), np.ones(40, bool)) for seed in range(200)]
    assert 1.0e-9 < np.median(found) < 1.3e-9  # the larger of two estimates
    assert min(found) > 0.5e-9


def test_noise_from_residuals_by_formula():
    step, responds = np.linspace(1.0, 2.0, 20), np.ones(20, bool)
    assert noise_from_residuals(3.0 / step, step, responds) == pytest.approx(3.0 * math.sqrt(2.0) / 0.6745)
    # Three of twenty large ones: the median does not see them, the upper decile does.
    level = np.where(np.arange(20) < 3, 100.0, 1.0)
    assert noise_from_residuals(level / step, step, responds) == pytest.approx(100.0 * math.sqrt(2.0) / 1.6449)


def test_errors_of_the_gradient_only_raise_the_noise():
    residual, step = residuals(40, 1e-9)
    worse = residual + 1e-7 * np.random.default_rng(1).uniform(size=40)
    responds = np.ones(40, bool)
    assert noise_from_residuals(worse, step, responds) > noise_from_residuals(residual, step, responds)


def test_too_little_to_tell_the_noise():
    residual, step = residuals(40, 1e-9)
    everywhere = np.ones(40, bool)
    assert noise_from_residuals(residual, step, everywhere) is not None
    assert noise_from_residuals(residual[:15], step[:15], everywhere[:15]) is None
    assert noise_from_residuals(residual, step, np.arange(40) < 15) is None
    # Differences compared with themselves.
    assert noise_from_residuals(np.where(np.arange(40) < 6, 0.0, residual), step, everywhere) is None
    assert noise_from_residuals(np.zeros(40), step, everywhere) is None
    for bad in (math.nan, math.inf):
        assert noise_from_residuals(np.where(np.arange(40) == 7, bad, residual), step, everywhere) is None
