"""The judge by rows: noise of many functions at once, and settings of entries, against those of one function."""

import numpy as np
import pytest

from fastgrad._jacobian.setting import make_row_setting
from fastgrad._judge.noise import combine_tables, constant_noise, difference_table
from fastgrad._judge.row_noise import (
    combine_row_tables,
    constant_row_noise,
    difference_tables,
    row_noise_from_residuals,
)
from fastgrad._judge.rows import Entries
from fastgrad._judge.setting import make_setting

SPACINGS = (2.0**-40, 2.0**-30, 2.0**-20, 2.0**-16)
STEPS = np.arange(9)


def values(spacing, rng):
    """Nine values of functions of all kinds, a column for each."""
    u = 0.3 + spacing * STEPS
    return np.stack(
        [
            np.sin(u),
            np.round(np.sin(3.0 * u) * 1e8) / 1e8,
            np.round(np.sin(3.0 * u) * 1e12) / 1e12,
            np.sin(u) + 1e-6 * rng.normal(size=9),
            np.full(9, 2.5),
            np.zeros(9),
            np.cos(u).astype(np.float32).astype(np.float64),
            np.exp(1e5 * (u - 0.3)),
            np.where(STEPS == 3, np.nan, 1.0),
            1e200 * np.sin(u),
        ],
        axis=1,
    )


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return [values(spacing, rng) for spacing in SPACINGS]


def test_tables_of_all_rows_are_those_of_each(samples):
    for spacing, sample in zip(SPACINGS, samples, strict=True):
        found = difference_tables(sample, spacing)
        for i in range(sample.shape[1]):
            alone = difference_table(sample[:, i], spacing)
            assert found.sigma[i] == pytest.approx(alone.sigma, rel=1e-12)
            assert found.state[i] == alone.state.value
            assert found.coarseness[i] == pytest.approx(alone.coarseness)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_noise_of_all_rows_is_that_of_each(samples, count):
    floor = 1e-30
    tables = [difference_tables(s, r) for s, r in zip(samples[:count], SPACINGS[:count], strict=True)]
    found = combine_row_tables(tables, np.full(samples[0].shape[1], floor))
    for i in range(samples[0].shape[1]):
        alone = [difference_table(s[:, i], r) for s, r in zip(samples[:count], SPACINGS[:count], strict=True)]
        model = combine_tables(alone, floor)
        np.testing.assert_allclose(found.of_row(i).sigmas, model.sigmas, rtol=1e-12)
        for relative in (1e-14, 1e-10, 1e-7, 1e-3):
            at = found.of_entries(np.array([i])).at(np.array([relative]))
            np.testing.assert_allclose(at, model.at(np.array([relative])), rtol=1e-12)


def test_a_row_that_asked_for_no_more_tables_ignores_them(samples):
    count = samples[0].shape[1]
    tables = [difference_tables(s, r) for s, r in zip(samples, SPACINGS, strict=True)]
    asking = np.arange(count) % 2 == 0
    floor = np.full(count, 1e-30)
    wide = combine_row_tables([*tables[:3], tables[3].wider_for(asking)], floor)
    close = combine_row_tables([tables[0].closer_for(asking), *tables[1:]], floor)
    few_wide, few_close = combine_row_tables(tables[:3], floor), combine_row_tables(tables[1:], floor)
    every = combine_row_tables(tables, floor)
    relative = np.array([1e-13, 1e-8, 1e-4])
    for i in range(count):
        row = np.full(3, i)
        for found, without in ((wide, few_wide), (close, few_close)):
            expected = every if asking[i] else without
            np.testing.assert_array_equal(found.of_entries(row).at(relative), expected.of_entries(row).at(relative))


# --- residuals --------------------------------------------------------------------------------------------------------


def residuals(sigma, entries, seed=0):
    """sqrt(2) |numerical - analytical| step, for rows of this noise."""
    rng = np.random.default_rng(seed)
    row = np.tile(np.arange(sigma.size), entries)
    return np.abs(rng.normal(size=row.size)) * sigma[row], row


def test_rows_with_enough_entries_tell_their_own_noise():
    sigma = np.array([1e-12, 1e-3, 5.0])
    level, row = residuals(sigma, 400)
    found = row_noise_from_residuals(level, np.ones(level.size, bool), row, np.ones(3))
    np.testing.assert_allclose(found, sigma, rtol=0.2)


def test_rows_with_few_entries_share_what_they_tell_relative_to_their_size():
    size = np.logspace(-6, 6, 50)
    level, row = residuals(1e-16 * size, 3)
    found = row_noise_from_residuals(level, np.ones(level.size, bool), row, size)
    np.testing.assert_allclose(found, 1e-16 * size, rtol=0.4)


def test_what_residuals_cannot_tell():
    level, row = residuals(np.array([1.0, 1.0]), 7)
    responds = np.ones(level.size, bool)
    assert row_noise_from_residuals(level, responds, row, np.ones(2)) is None  # 14 entries
    assert row_noise_from_residuals(np.zeros(40), np.ones(40, bool), np.zeros(40, int), np.ones(1)) is None
    level, row = residuals(np.array([1.0]), 40)
    level[3] = np.nan
    assert row_noise_from_residuals(level, np.ones(40, bool), row, np.ones(1)) is None


# --- settings ---


@pytest.mark.parametrize("listed", [False, True])
def test_the_setting_of_an_entry_is_that_of_its_row(listed):
    rng = np.random.default_rng(3)
    m, n = 4, 6
    J, x, value = rng.normal(size=(m, n)) * np.logspace(-3, 3, n), rng.normal(size=n), rng.normal(size=m)
    x[2] = 0.0
    J[1] *= 1e150
    value[1] *= 1e150
    columns, rows = np.divmod(np.arange(m * n), m)
    entries = Entries((m, n), (rows, columns) if listed else None)
    noise = constant_row_noise(np.full(m, 1e-9))
    options = {"rtol": 1e-5, "precision": 2.0**-52, "grid": np.float64}
    found = make_row_setting(entries, x, J.T.reshape(-1), value, noise=noise, **options)
    for i in range(m):
        unit = found.unit[i]
        alone = make_setting(x, J[i] * unit, value[i] * unit, noise=constant_noise(1e-9), **options)
        for j in range(n):
            e = j * m + i
            here = found.of(np.array([e]))
            for name in ("x", "analytical", "scale"):
                assert getattr(here, name)[0] == pytest.approx(getattr(alone, name)[j], rel=1e-14), name
            for name in ("value", "largest_product", "mean_product", "largest_gradient"):
                assert getattr(found.of_one(e), name) == pytest.approx(getattr(alone, name), rel=1e-12), name
            assert here.tolerance(slice(None), 1.0)[0] == pytest.approx(alone.tolerance(j, 1.0))
            assert here.automatic_step(slice(None), 1.0)[0] == pytest.approx(alone.automatic_step(j, 1.0))
    assert found.unit[0] == 1.0 and found.unit[1] < 1e-100


def test_entries_of_columns_and_rows():
    full = Entries((3, 4))
    assert full.of_columns(np.array([1, 3])).tolist() == [3, 4, 5, 9, 10, 11]
    assert full.rows(slice(2, 5)).tolist() == [2, 0, 1] and full.columns(slice(2, 5)).tolist() == [0, 1, 1]
    some = Entries((3, 4), (np.array([0, 2, 1, 0, 2]), np.array([0, 0, 2, 3, 3])))
    assert some.starts.tolist() == [0, 2, 2, 3, 5]
    assert some.of_columns(np.array([0, 1, 3])).tolist() == [0, 1, 3, 4]
    assert some.count_by_row().tolist() == [2, 1, 2]


def test_a_column_gets_one_step():
    entries = Entries((2, 3))
    setting = make_row_setting(
        entries, np.ones(3), np.ones(6), np.ones(2), rtol=1e-5, precision=2.0**-52,
        noise=constant_row_noise(np.zeros(2)), grid=np.float64,
    )  # fmt: skip
    steps = setting.common_steps(np.array([0, 1, 4]), np.array([1e-3, 1e-5, 1e-4]), 1)
    assert np.isnan(steps[1]) and 0.7e-5 < steps[0] < 1.3e-5 and 0.7e-4 < steps[2] < 1.3e-4
