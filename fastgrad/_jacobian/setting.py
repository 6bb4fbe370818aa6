"""The sizes of all rows of a Jacobian, which the judge compares entries with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._compiled.entry_kernels import largest_terms, row_sizes
from fastgrad._judge.row_noise import RowNoise
from fastgrad._judge.rows import Entries, RowSetting
from fastgrad._judge.setting import SMALLEST_SCALE

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


def make_row_setting(
    entries: Entries,
    x: Floats,
    given: Floats,
    value: Floats,
    *,
    rtol: float,
    precision: float,
    noise: RowNoise,
    grid: Any,
) -> RowSetting:
    """Sizes of every row; the noise, in the units of the rows, can be replaced later."""
    magnitude = np.abs(x)
    moving = magnitude[x != 0.0]
    typical = float(np.median(moving)) if moving.size else 1.0
    unit = _row_units(entries, x, given, value)
    value = value * unit
    plain_scale = np.maximum(np.where(x != 0.0, magnitude, typical), SMALLEST_SCALE)
    column_scale, sizes = np.empty_like(plain_scale), np.zeros((3, value.size))
    columns = (magnitude, plain_scale, column_scale)
    row_sizes(for_kernels(entries, given), columns, (unit, value), SMALLEST_SCALE, tuple(sizes))
    largest, squares, largest_gradient = sizes
    # What is too large to be squared is the largest, which bounds the mean.
    mean = np.minimum(np.sqrt(squares / np.maximum(entries.count_by_row(), 1)), largest)
    return RowSetting(
        entries, x, typical, plain_scale, column_scale, given, unit, value, rtol, precision, noise,
        np.dtype(grid), np.zeros(value.size, dtype=bool), largest, mean, largest_gradient,
        np.full(value.size, np.nan),
    )  # fmt: skip


def _row_units(entries: Entries, x: Floats, given: Floats, value: Floats) -> Floats:
    """For each row a power of two that keeps F_i, its derivatives and their products with x within range."""
    largest = np.abs(value)
    largest_terms(for_kernels(entries, given), x, largest)
    safe = (largest == 0.0) | ((1e-100 < largest) & (largest < 1e100)) | ~np.isfinite(largest)
    return np.where(safe, 1.0, np.ldexp(1.0, np.clip(-np.frexp(largest)[1], -1000, 1000)))


def for_kernels(entries: Entries, given: Floats) -> tuple[Index, Index, Floats]:
    """The entries as compiled code takes them: start of each column, row of each entry (empty: all rows), values."""
    row = np.zeros(0, np.int64) if entries.listed is None else entries.listed[0].astype(np.int64, copy=False)
    return entries.starts, row, given
