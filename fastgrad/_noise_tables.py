"""The noise of f near x, measured from values along one random direction."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._budget import BudgetSpent
from fastgrad._first import Bounds
from fastgrad._judge.grid import generic_steps, keys, scramble
from fastgrad._judge.noise import TABLE_POINTS, NoiseModel, Table, TableState, combine_tables, difference_table
from fastgrad._judge.setting import Floats, Setting
from fastgrad._schedule import UNSEEN, Evaluator

SPACINGS = {
    np.dtype(np.float64): (2.0**-40, 2.0**-30, 2.0**-20),
    np.dtype(np.float32): (2.0**-19, 2.0**-15, 2.0**-11),
}
FEWEST_EVALUATIONS = len(SPACINGS[np.dtype(np.float64)]) * TABLE_POINTS
COARSE = 2.0**-27  # rounding to a grid, relative to f, that only float32 has
NEARBY = 2.0**-20  # relative spacing of the widest table that is always made
WIDEST_SPACING = 2.0**-8


@dataclass
class NoiseTables:
    """Difference tables of f around one point; values of f are multiplied by `unit`, as those of the setting are."""

    evaluator: Evaluator
    setting: Setting
    unit: float
    bounds: Bounds | None
    side: Floats | None = None  # which way to look where f has one finite side only

    def measure(self, floor: float) -> tuple[NoiseModel, np.dtype[Any]]:
        """Noise by spacing, and the numbers that f seems to compute with; 24 evaluations and up."""
        spacings = list(SPACINGS[self.evaluator.point.dtype])
        tables = [self._table(spacing) for spacing in spacings]
        if not all(math.isfinite(table.sigma) for table in tables):
            self.side = self._finite_side()
            tables = [self._table(spacing) for spacing in spacings]
        # Seen from afar: close by, near a zero of f, the grid of x itself looks coarse.
        grid = np.dtype(np.float32) if tables[-1].coarseness > COARSE else self.setting.grid
        while tables[-1].state is TableState.PLATEAU and spacings[-1] < WIDEST_SPACING:
            spacings.append(spacings[-1] * 16.0)
            tables.append(self._table(spacings[-1]))
        if grid == np.float64:
            for _ in range(2):
                if tables[0].state is not TableState.CURVED:
                    break
                tables.insert(0, self._table(tables[0].spacing / 64.0))
        return combine_tables(tables, floor), grid

    def _table(self, relative: float) -> Table:
        setting = self.setting
        index = np.arange(setting.x.size)
        step = generic_steps(setting.x, relative * setting.scale, index, 1000 + int(-math.log2(relative)), setting.grid)
        sign = np.where(scramble(keys(index, 999)) & np.uint64(1) == 1, 1.0, -1.0)
        direction = self._inside(step * (sign if self.side is None else self.side))
        values, status = self.evaluator.along(direction, np.arange(1.0, TABLE_POINTS + 1.0))
        require_seen(status)
        return difference_table(np.concatenate([[setting.value], values * self.unit]), relative)

    def _finite_side(self) -> Floats:
        """Which way each coordinate can move at the edge of the domain of f: +1, -1 or 0; 2 n evaluations."""
        setting, index = self.setting, np.arange(self.setting.x.size)
        step = generic_steps(setting.x, TABLE_POINTS * NEARBY * setting.scale, index, 998, setting.grid)
        ahead, behind = self._inside(step), self._inside(-step)
        places = np.stack([setting.x + ahead, setting.x + behind], axis=1)
        values, status = self.evaluator.displaced(np.repeat(index, 2), places.reshape(-1))
        require_seen(status)
        finite = np.isfinite(values).reshape(-1, 2)
        return np.where(finite[:, 0], np.sign(ahead), np.where(finite[:, 1], np.sign(behind), 0.0))

    def _inside(self, direction: Floats) -> Floats:
        """Turn, or stop, the coordinates that would leave the bounds."""
        if self.bounds is None:
            return direction
        x = self.setting.x
        direction = np.where(self.bounds.contain(x + TABLE_POINTS * direction), direction, -direction)
        return np.where(self.bounds.contain(x + TABLE_POINTS * direction), direction, 0.0)


def require_seen(status: NDArray[np.uint8]) -> None:
    """Raise if the budget ended before these evaluations."""
    if (status >= UNSEEN).any():
        raise BudgetSpent
