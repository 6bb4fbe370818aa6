"""The noise of every row of F near x: from residuals, or from difference tables along one random direction."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._first import Bounds
from fastgrad._jacobian.differences import ColumnDifferences
from fastgrad._judge.grid import generic_steps, keys, scramble
from fastgrad._judge.noise import TABLE_POINTS, TableState
from fastgrad._judge.row_noise import (
    RowNoise,
    Tables,
    combine_row_tables,
    constant_row_noise,
    difference_tables,
    row_noise_from_residuals,
)
from fastgrad._judge.rows import RowSetting
from fastgrad._noise_tables import COARSE, NEARBY, SPACINGS, WIDEST_SPACING, require_seen
from fastgrad._vector_schedule import Groups, VectorEvaluator

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.int64]

_SAMPLE = 32  # columns of a full matrix whose residuals tell the noise of the rows
_MOST_SAMPLED = 1 << 18  # entries


def noise_of_residuals(setting: RowSetting, first: ColumnDifferences, judged: Any, floor: Floats) -> RowNoise | None:
    """Noise of every row as the differences show it, if most of them agree; None if they cannot tell."""
    entry = _sample(setting, judged)
    row = setting.entries.rows(entry)
    above, below, quotient = first.read(entry)
    responds = (above != below) & np.isfinite(quotient)
    with np.errstate(invalid="ignore", over="ignore"):
        residual = np.abs(quotient - setting.given[entry]) * setting.unit[row]
        level = math.sqrt(2.0) * residual * first.step[setting.entries.columns(entry)]
    size = np.maximum(np.abs(setting.value), setting.largest_product)
    sigma = row_noise_from_residuals(level, responds, row, size)
    return None if sigma is None else constant_row_noise(np.maximum(sigma, floor))


def _sample(setting: RowSetting, judged: Any) -> Index:
    """Entries to tell the noise from: those of some columns, spread over all."""
    entries, n = setting.entries, setting.entries.shape[1]
    columns = n if entries.listed is not None else _SAMPLE
    columns = min(n, columns, max(_SAMPLE, _MOST_SAMPLED * n // max(entries.size, 1)))
    some = entries.of_columns(np.arange(columns) * n // columns)
    return some if isinstance(judged, slice) else np.intersect1d(some, judged, assume_unique=True)


@dataclass
class RowTables:
    """`NoiseTables` of a vector function: what one row asks for is evaluated for all, and used by that row."""

    evaluator: VectorEvaluator
    setting: RowSetting
    groups: Groups
    judged: Mask  # rows whose value at x is finite
    bounds: Bounds | None
    side: Floats | None = None  # which way to look where F has one finite side only

    def measure(self, floor: Floats) -> tuple[RowNoise, Mask]:
        """Noise by spacing and row, and the rows that seem to compute in float32; 24 evaluations and up."""
        spacings = list(SPACINGS[self.evaluator.point.dtype])
        tables = [self._table(spacing) for spacing in spacings]
        if not all(np.isfinite(table.sigma[self.judged]).all() for table in tables):
            self.side = self._finite_side()
            tables = [self._table(spacing) for spacing in spacings]
        coarse = self.judged & (tables[-1].coarseness > COARSE)
        asking = self.judged & tables[-1].rows_that_are(TableState.PLATEAU)
        while asking.any() and spacings[-1] < WIDEST_SPACING:
            spacings.append(spacings[-1] * 16.0)
            tables.append(self._table(spacings[-1]).wider_for(asking))
            asking = asking & tables[-1].rows_that_are(TableState.PLATEAU)
        if self.setting.grid == np.float64:
            for _ in range(2):
                asking = self.judged & ~coarse & tables[0].rows_that_are(TableState.CURVED)
                if not asking.any():
                    break
                tables.insert(0, self._table(tables[0].spacing / 64.0).closer_for(asking))
        return combine_row_tables(tables, floor), coarse

    def _table(self, relative: float) -> Tables:
        setting, index = self.setting, np.arange(self.setting.x.size)
        wanted = relative * self._scale
        step = generic_steps(setting.x, wanted, index, 1000 + int(-math.log2(relative)), setting.grid)
        sign = np.where(scramble(keys(index, 999)) & np.uint64(1) == 1, 1.0, -1.0)
        direction = self._inside(step * (sign if self.side is None else self.side))
        values, status = self.evaluator.along(direction, np.arange(1.0, TABLE_POINTS + 1.0))
        require_seen(status)
        return difference_tables(np.concatenate([setting.value[None, :], values * setting.unit]), relative)

    @property
    def _scale(self) -> Floats:
        return self.setting.column_scale

    def _finite_side(self) -> Floats:
        """Which way each group can move at the edge of the domain of F: +1, -1 or 0; 2 evaluations per group."""
        setting, j = self.setting, self.groups.index
        step = generic_steps(
            setting.x, TABLE_POINTS * NEARBY * self._scale, np.arange(setting.x.size), 998, setting.grid
        )
        side = np.zeros(setting.x.size)
        for moved in (self._inside(-step), self._inside(step)):  # the last word is that of the upper side
            finite = self._finite_groups((setting.x + moved)[j])[self.groups.group_of_index]
            side[j[finite]] = np.sign(moved[j[finite]])
        return side

    def _finite_groups(self, coordinate: Floats) -> Mask:
        values, status = self.evaluator.group_displaced(self.groups, coordinate)
        require_seen(status)
        return np.asarray(np.isfinite(values[:, self.judged]).all(axis=1))

    def _inside(self, direction: Any) -> Any:
        """Turn, or stop, the coordinates that would leave the bounds."""
        if self.bounds is None:
            return direction
        x = self.setting.x
        direction = np.where(self.bounds.contain(x + TABLE_POINTS * direction), direction, -direction)
        return np.where(self.bounds.contain(x + TABLE_POINTS * direction), direction, 0.0)
