"""Steps: generic, exact, reproducible; and the grids that numbers live on, against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad._judge.grid import generic_steps, keys, lowest_bit, quantum, scramble, spacing

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
MAGNITUDES = st.floats(-280.0, 280.0).map(lambda exponent: 10.0**exponent)
FINITE = st.floats(allow_nan=False, allow_infinity=False)

quickly = settings(derandomize=True, deadline=None, max_examples=60)


def step_at(x, wanted, position=0, attempt=0, grid=DOUBLE):
    index = np.array([position])
    return float(generic_steps(np.array([x]), np.array([wanted]), index, attempt, grid)[0])


def test_scramble_is_splitmix64():
    """The first two numbers that the published generator gives for seed 0."""
    golden = 0x9E3779B97F4A7C15
    assert scramble(golden) == 0xE220A8397B1DCDAF
    assert scramble(2 * golden % 2**64) == 0x6E789E6AA1B965F4
    np.testing.assert_array_equal(
        scramble(keys(np.array([0, 1]), 0)), np.array([0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4], dtype=np.uint64)
    )


def test_keys_differ_for_every_coordinate_and_attempt():
    seen = np.concatenate([keys(np.arange(1000), attempt) for attempt in range(100)])
    assert np.unique(seen).size == seen.size


@quickly
@given(MAGNITUDES, st.floats(0.01, 100.0), st.integers(0, 10**6), st.integers(0, 1100), st.booleans())
def test_steps_are_near_the_wanted_ones(x, ratio, position, attempt, negative):
    wanted = x * ratio
    step = step_at(-x if negative else x, wanted, position, attempt)
    unit = float(spacing(x + 2.0 * wanted, DOUBLE))
    assert 0.8 * wanted * (1 - 1e-8) - unit <= step <= 1.25 * wanted * (1 + 1e-8) + unit


@quickly
@given(st.floats(1.0, 1.5), st.floats(1e-14, 0.05), st.integers(0, 10**6), st.integers(-200, 200))
def test_points_around_x_are_exact(mantissa, ratio, position, exponent):
    x = float(np.ldexp(mantissa, exponent))
    step = step_at(x, x * ratio, position)
    for k in (-2, -1, 1, 2):
        assert Fraction(x + k * step) == Fraction(x) + k * Fraction(step)


@quickly
@given(MAGNITUDES, st.integers(0, 10**6))
def test_points_around_zero_are_exact(wanted, position):
    step = step_at(0.0, wanted, position)
    assert 0.79 * wanted < step < 1.26 * wanted
    assert all(Fraction(k * step) == k * Fraction(step) for k in (1, 2, 4, 8))


@quickly
@given(st.floats(1.0, 1.5, width=32), st.floats(1e-6, 0.05), st.integers(0, 10**6))
def test_on_the_grid_of_float32_points_are_float32_numbers(x, ratio, position):
    step = step_at(x, x * ratio, position, grid=SINGLE)
    for k in (-2, -1, 1, 2):
        assert float(np.float32(x + k * step)) == x + k * step


def test_steps_are_odd_multiples_with_generic_bits():
    index = np.arange(1000)
    x = np.full(index.size, 1.25)
    short = generic_steps(x, np.full(index.size, 1e-9), index, 0, DOUBLE) / 2.0**-52
    assert np.all(short % 2.0 == 1.0)
    # 30 bits at most, so that twice and four times a step stay exact; the lowest of them odd and scattered.
    long = generic_steps(x, np.full(index.size, 1e-2), index, 0, DOUBLE) / 2.0**-52
    lowest = lowest_bit(long)
    assert np.all(long / lowest < 2.0**30 + 2)
    assert np.unique(long / lowest % 4096.0).size > 700  # of 2048 odd numbers


def test_a_step_below_the_grid_still_moves():
    assert step_at(1.0, 1e-30) == 2.0**-52
    assert step_at(1.0, 1e-30, grid=SINGLE) == 2.0**-23


def test_steps_depend_on_coordinate_and_attempt_alone():
    rng = np.random.default_rng(0)
    x, wanted, index = rng.normal(size=50), 10.0 ** rng.uniform(-9, 0, 50), np.arange(50)
    together = generic_steps(x, wanted, index, 3, DOUBLE)
    order = rng.permutation(50)
    np.testing.assert_array_equal(generic_steps(x[order], wanted[order], index[order], 3, DOUBLE), together[order])
    assert [step_at(x[i], wanted[i], int(i), 3) for i in index] == together.tolist()
    assert np.count_nonzero(generic_steps(x, wanted, index, 4, DOUBLE) == together) == 0
    assert np.count_nonzero(generic_steps(x, wanted, index + 1, 3, DOUBLE) == together) == 0


@quickly
@given(st.floats(1e-3, 1e3), st.floats(1e-12, 1e-1), st.integers(0, 100), st.integers(-300, 300))
def test_steps_follow_the_units_of_x(x, ratio, position, exponent):
    factor = 2.0**exponent
    assert step_at(x * factor, x * ratio * factor, position) == factor * step_at(x, x * ratio, position)


@pytest.mark.parametrize(
    ("value", "bit"),
    [(0.0, 0.0), (1.0, 1.0), (0.75, 0.25), (-6.0, 2.0), (5e-324, 5e-324), (2.0**1000 + 2.0**960, 2.0**960)],
)
def test_lowest_bit(value, bit):
    assert lowest_bit(np.array([value])).tolist() == [bit]


@quickly
@given(FINITE)
def test_lowest_bit_agrees_with_exact_arithmetic(value):
    numerator, denominator = abs(value).as_integer_ratio()
    expected = Fraction(numerator & -numerator, denominator)
    assert Fraction(float(lowest_bit(np.array([value]))[0])) == expected


def test_quantum_finds_the_grid_of_values_rounded_to_float32():
    rng = np.random.default_rng(1)
    exact = rng.uniform(1.0, 2.0, (40, 9))
    single = exact.astype(np.float32).astype(np.float64)
    assert quantum(single, single[:, :1]).min() == 2.0**-23
    assert quantum(exact, exact[:, :1]).max() <= 2.0**-49


def test_quantum_of_nothing_to_see():
    assert quantum(np.full(5, 3.0), 3.0) == 0.0
    assert quantum(np.array([np.nan, np.inf, -np.inf, 3.0]), 3.0) == 0.0
    assert quantum(np.array([np.nan, 3.5]), 3.0) == 0.5
