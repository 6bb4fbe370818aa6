"""Where the entries outside a pattern are, once probes have shown that there are some.

One row at a time: the coordinates of its pattern stay where they are, so that everything the row answers comes from
outside, and an interval tree with position-coded sums (`_large.tree`) finds the columns. A column found is moved
alone, which shows its part in all rows at once, and explains or does not explain what the probes left there.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING
from fastgrad._large.tree import TreeSearch
from fastgrad._sparse.pattern import Pattern
from fastgrad._sparse.probe import Measured, Probe, Remainder, distances, respond, weights
from fastgrad._vector_schedule import VectorEvaluator

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

_MOST_ROWS = 8  # searched one by one
_MOST_PER_ROW = 100  # evaluations
_WIDER = 32.0  # steps than those of the differences: a stronger signal in the same noise
_WIDEST = 2.0**-17  # of the size of x
_SHARE_OF_STRONGEST = 1e-8  # rounding of x + h and curvature: what a sum can be off by besides noise
_TREE_SEED = 51


@dataclass(frozen=True)
class Ground:
    """What the search knows beforehand."""

    evaluator: VectorEvaluator
    pattern: Pattern
    colour: Index  # of each column, -1 if it was not moved
    value: Floats
    sigma: Floats
    step: Floats  # of each column
    found: Measured

    def wide_steps(self) -> Floats:
        size = np.abs(self.evaluator.point.flat.astype(np.float64))
        typical = float(np.median(size[size > 0.0])) if size.any() else 1.0
        return np.minimum(_WIDER * self.step, np.maximum(self.step, _WIDEST * np.maximum(size, typical)))


@dataclass
class Search:
    """Finds entries outside the pattern in rows that probes did not explain."""

    ground: Ground
    probes: list[Probe]
    remainders: list[Remainder]
    cleared: set[int]  # rows in which nothing shows when the pattern is kept still
    entries: dict[tuple[int, int], float] = field(default_factory=dict)  # (row, column): derivative
    unfinished: list[int] = field(default_factory=list)  # rows with more outside than was found
    _columns: dict[int, Floats] = field(default_factory=dict)  # derivatives of all rows, a column at a time

    def __post_init__(self) -> None:
        self._left = [remainder.left.copy() for remainder in self.remainders]

    def run(self) -> None:
        """Search rows, the most suspicious first, until all are explained or enough were searched."""
        self._wide = self.ground.wide_steps()
        searched: set[int] = set()
        while len(searched) < _MOST_ROWS:
            row = self._most_suspicious(searched)
            if row is None:
                return
            searched.add(row)
            self._search(row)

    @property
    def unexplained(self) -> Mask:
        """Rows where a probe still shows something, but for those that were cleared."""
        shows = np.zeros(self.ground.value.size, dtype=bool)
        for left, remainder in zip(self._left, self.remainders, strict=True):
            with np.errstate(invalid="ignore"):
                shows |= np.abs(left) > remainder.bar
        shows[list(self.cleared)] = False
        return shows

    def _most_suspicious(self, searched: set[int]) -> int | None:
        with np.errstate(all="ignore"):
            ratio = np.max([np.abs(a) / b.bar for a, b in zip(self._left, self.remainders, strict=True)], axis=0)
        ratio[~self.unexplained] = 0.0
        ratio[list(searched)] = 0.0
        row = int(np.nanargmax(ratio))
        return row if ratio[row] > 1.0 else None

    def _search(self, row: int) -> None:
        meter = RowMeter(self.ground, row, self._wide, self._column)
        limit = self.ground.evaluator.evaluations + _MOST_PER_ROW
        inside = {k: a * self._wide[k] for (i, k), a in self.entries.items() if i == row}
        search = TreeSearch(
            meter, inside, np.random.default_rng(row), lambda _: self.ground.evaluator.evaluations > limit
        )
        if not search.run(0, self._wide.size):
            self.cleared.add(row)
            return
        if search.open or search.dense:
            self.unfinished.append(row)
            if not inside:
                inside[meter.bisect()] = 0.0
        for column in inside:
            self._take(column)

    def _column(self, column: int) -> Floats:
        """Derivatives along one column, of all rows; 2 evaluations."""
        if column not in self._columns:
            direction = np.zeros(self._wide.size)
            direction[column] = self._wide[column]
            seen = respond(self.ground.evaluator, self.ground.value, direction)
            self._columns[column] = seen.response / seen.distance[column]
        return self._columns[column]

    def _take(self, column: int) -> None:
        """Note a column's entries outside the pattern, and subtract what they leave of the probes."""
        ground, pattern = self.ground, self.ground.pattern
        derivative, h = np.nan_to_num(self._column(column)), self._wide[column]
        noise = NOISE_WIDTH / math.sqrt(2.0) * np.maximum(ground.sigma, ROUNDING * np.abs(ground.value)) / h
        outside = np.abs(derivative) > noise
        outside[pattern.rows[pattern.entries_of_column(column)]] = False
        outside &= self.unexplained
        outside[[i for i, k in self.entries if k == column]] = False
        for i in np.flatnonzero(outside).tolist():
            self.entries[i, column] = float(derivative[i])
        share = np.where(outside, derivative, 0.0)
        for left, probe in zip(self._left, self.probes, strict=True):
            left -= share * probe.distance[column] - self._taken_for_own(share, column, probe)

    def _taken_for_own(self, share: Floats, column: int, probe: Probe) -> Floats:
        """What the coloured differences attributed to the entry measured together with the column."""
        ground, pattern = self.ground, self.ground.pattern
        if ground.colour[column] < 0:
            return np.zeros(share.size)
        own = distances(ground.evaluator.point, ground.step)[column]
        together = np.flatnonzero(ground.colour[pattern.columns] == ground.colour[column])
        row = pattern.rows[together]
        part = share[row] * own / ground.found.distance[together] * probe.distance[pattern.columns[together]]
        return np.bincount(row, part, minlength=share.size).astype(np.float64)


class RowMeter:
    """Sums over columns outside the pattern of one row, for the interval tree; 2 evaluations each."""

    def __init__(self, ground: Ground, row: int, steps: Floats, column: Callable[[int], Floats]) -> None:
        self._ground = ground
        self._row = row
        self._steps = steps.copy()
        self._steps[ground.pattern.columns[ground.pattern.entries_of_row(row)]] = 0.0
        self._weights = weights(steps.size, _TREE_SEED + row)
        self._column = column
        self.bar = self._measure_bar()

    def _measure_bar(self) -> float:
        """From the noise of the row, its bend, and how far sums of the largest size can be off."""
        seen = respond(self._ground.evaluator, self._ground.value, self._steps * self._weights)
        sigma = max(float(self._ground.sigma[self._row]), ROUNDING * abs(float(self._ground.value[self._row])))
        response, bend = float(seen.response[self._row]), float(seen.bend[self._row])
        return NOISE_WIDTH / math.sqrt(2.0) * sigma + 0.5 * bend + _SHARE_OF_STRONGEST * abs(response)

    def moment(self, lo: int, hi: int, *, coded: bool) -> float:
        direction = np.zeros(self._steps.size)
        direction[lo:hi] = self._steps[lo:hi] * self._weights[lo:hi]
        if coded:
            direction[lo:hi] *= (np.arange(lo, hi) - 0.5 * (lo + hi - 1)) / max(0.5 * (hi - lo), 1.0)
        seen = respond(self._ground.evaluator, self._ground.value, direction)
        return 0.5 * float(seen.response[self._row])

    def bisect(self) -> int:
        """One of the columns, of a row with too many to be found: always the half with the larger sum."""
        lo, hi = 0, self._steps.size
        while hi - lo > 1:
            middle = (lo + hi) // 2
            left, right = (self.moment(*half, coded=False) for half in ((lo, middle), (middle, hi)))
            lo, hi = (lo, middle) if abs(left) >= abs(right) else (middle, hi)
        return lo

    def error(self, i: int) -> float:
        if self._steps[i] == 0.0:
            return 0.0
        return float(self._column(i)[self._row] * self._steps[i])

    def weights(self, index: Index) -> Floats:
        return self._weights[index]
