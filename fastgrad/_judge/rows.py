"""Entries of a Jacobian as components of many scalar functions: entry (i, j) is component j of the gradient of F_i.

A `Setting` holds what all components of one gradient share. Here the same numbers are kept per row of the Jacobian,
and handed to the judge entry by entry. Pure NumPy, evaluates nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.grid import generic_steps
from fastgrad._judge.row_noise import RowNoise
from fastgrad._judge.setting import FAR_AWAY, SMALLEST_SCALE, Setting

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_ATTEMPT = 4000  # apart from those of other steps; exponents are added
_ALL = slice(None)
_WIDEST = 2.0**1000
_PART = 1 << 15  # entries worked on together


@dataclass(frozen=True)
class Entries:
    """Which entries of an (m, n) matrix there are, column by column: all of them, or those in a list."""

    shape: tuple[int, int]
    listed: tuple[Index, Index] | None = None  # rows and columns, sorted by column

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1] if self.listed is None else int(self.listed[0].size)

    def rows(self, entry: Any) -> Index:
        """The rows of entries at some positions (an array, or a slice without a step)."""
        if self.listed is not None:
            return np.asarray(self.listed[0][entry])
        return np.asarray(_positions(entry) % self.shape[0])

    def columns(self, entry: Any) -> Index:
        if self.listed is not None:
            return np.asarray(self.listed[1][entry])
        return np.asarray(_positions(entry) // self.shape[0])

    @property
    def starts(self) -> Index:
        """Where each column begins, and the last one ends."""
        if self.listed is None:
            return np.arange(self.shape[1] + 1) * self.shape[0]
        return np.searchsorted(self.listed[1], np.arange(self.shape[1] + 1))

    def of_columns(self, columns: Index) -> Index:
        """All entries of some columns, given in ascending order."""
        starts = self.starts
        count = starts[columns + 1] - starts[columns]
        first = np.repeat(starts[columns] - np.cumsum(count) + count, count)
        return np.asarray(first + np.arange(first.size))

    def parts(self, which: Any = _ALL) -> Iterator[Any]:
        """Entries in pieces that stay near the caches; if it is all of them, slices, of a full matrix whole columns."""
        if not isinstance(which, slice):
            yield from (which[start : start + _PART] for start in range(0, which.size, _PART))
            return
        size = _PART
        if self.listed is None:
            size = max(1, _PART // self.shape[0]) * self.shape[0]
        for start in range(0, self.size, size):
            yield slice(start, min(start + size, self.size))

    def count_by_row(self) -> NDArray[Any]:
        if self.listed is None:
            return np.full(self.shape[0], self.shape[1])
        return np.bincount(self.listed[0], minlength=self.shape[0])


def _positions(entry: Any) -> Index:
    return np.arange(entry.start, entry.stop) if isinstance(entry, slice) else entry


@dataclass(frozen=True)
class EntrySetting(Setting):
    """The setting of one entry, whose steps are drawn from few: rows that look at a column share its evaluations."""

    column: int = 0

    def generic_step(self, i: int, step: float, attempt: int) -> float:
        """At most a fifth narrower than wanted, or 1.6 times wider, before the bits are made generic."""
        within = min(max(step, SMALLEST_SCALE), _WIDEST)  # beside a tiny or a huge x it may vanish or overflow
        exponent = math.ceil(math.log2(within) - 0.3)
        index = np.array([self.column])
        return float(generic_steps(self.x, np.array([2.0**exponent]), index, _ATTEMPT - exponent, self.grid)[0])


@dataclass(frozen=True)
class RowSetting:
    """What the entries of one check share: `Setting`, row by row. Values of row i are in units of 1 / unit[i]."""

    entries: Entries
    x: Floats
    typical: float  # median of |x_j|
    plain_scale: Floats  # |x_j|, or where that is zero what is typical
    column_scale: Floats  # the smallest distance over which any row varies with each coordinate
    given: Floats  # entries of the Jacobian in their own units; finite
    unit: Floats  # by row, a power of two
    value: Floats  # F(x) * unit; finite
    rtol: float
    precision: float
    noise: RowNoise
    grid: np.dtype[Any]
    coarse: NDArray[np.bool_]  # rows that compute in float32, whatever x is
    largest_product: Floats
    mean_product: Floats
    largest_gradient: Floats
    far_change: Floats  # of F, see `Setting`

    def of(self, entry: Any) -> Setting:
        """The setting of some entries, each in its row: to be used with all of its components at once."""
        row, column = self.entries.rows(entry), self.entries.columns(entry)
        analytical = self.given[entry] * self.unit[row]
        one_each = Setting(
            x=self.x[column],
            extent=np.abs(self.x[column]),
            analytical=analytical,
            scale=scales(self.x[column], analytical, self.value[row], self.typical),
            typical=self.typical,
            value=cast(Any, self.value[row]),
            rtol=self.rtol,
            precision=self.precision,
            noise=cast(Any, self.noise.of_entries(row)),
            grid=self.grid,
            largest_product=cast(Any, self.largest_product[row]),
            mean_product=cast(Any, self.mean_product[row]),
            largest_gradient=cast(Any, self.largest_gradient[row]),
            far_change=cast(Any, self.far_change[row]),
        )
        return one_each

    def of_one(self, entry: int) -> Setting:
        """The setting of one entry, as the only component of its own scalar function."""
        index = np.array([entry])
        i, one = int(self.entries.rows(index)[0]), self.of(index)
        return EntrySetting(
            x=one.x,
            extent=one.extent,
            analytical=one.analytical,
            scale=one.scale,
            typical=self.typical,
            rtol=self.rtol,
            precision=self.precision,
            column=int(self.entries.columns(index)[0]),
            value=float(self.value[i]),
            noise=self.noise.of_row(i),
            grid=np.dtype(np.float32) if self.coarse[i] else self.grid,
            largest_product=float(self.largest_product[i]),
            mean_product=float(self.mean_product[i]),
            largest_gradient=float(self.largest_gradient[i]),
            far_change=float(self.far_change[i]),
        )

    def with_noise(self, noise: RowNoise, coarse: NDArray[np.bool_] | None = None) -> "RowSetting":
        return replace(self, noise=noise, coarse=self.coarse if coarse is None else coarse)

    def far_away(self) -> Floats:
        """Far beyond the size of each coordinate, see `Setting.far_away`."""
        return FAR_AWAY * self.plain_scale

    def with_far_change(self, change: Floats) -> "RowSetting":
        return replace(self, far_change=change)

    def automatic_steps(self, entry: Index) -> Floats:
        """The first step that each entry would like, see `Setting.automatic_step`."""
        wanted = [self.of(part).automatic_step(_ALL, 1.0) for part in self.entries.parts(entry)]
        return np.concatenate(wanted) if wanted else np.zeros(0)

    def common_steps(self, entry: Index, wanted: Floats, attempt: int) -> Floats:
        """One step for each column that some entries are in, near the median of those wanted; NaN for the others."""
        column = self.entries.columns(entry)
        order = np.lexsort((wanted, column))
        column, start, count = np.unique(column[order], return_index=True, return_counts=True)
        middle = wanted[order][start + (count - 1) // 2]
        coarse = np.zeros(self.x.size, dtype=bool)
        coarse[self.entries.columns(entry[self.coarse[self.entries.rows(entry)]])] = True
        steps = np.full(self.x.size, np.nan)
        for grid, here in ((self.grid, ~coarse[column]), (np.dtype(np.float32), coarse[column])):
            j = column[here]
            steps[j] = generic_steps(self.x[j], middle[here], j, attempt, grid)
        return steps


def scales(x: Floats, analytical: Floats, value: Floats, typical: float) -> Floats:
    """The distance over which each coordinate varies, as `make_setting` takes it."""
    magnitude = np.abs(x)
    scale = np.where(magnitude > 0.0, magnitude, typical)
    at_zero = (magnitude == 0.0) & (analytical != 0.0) & (value != 0.0)
    if at_zero.any():
        with np.errstate(all="ignore"):
            scale = np.where(at_zero, np.minimum(typical, np.abs(value) / np.abs(analytical)), scale)
    return np.maximum(scale, SMALLEST_SCALE)
