"""Differences of a vector function by groups of columns, read entry by entry."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._compiled.kernels import RAISED_ABOVE
from fastgrad._first import Bounds, stored
from fastgrad._inputs import Point
from fastgrad._judge.rows import Entries
from fastgrad._schedule import UNSEEN, Status
from fastgrad._vector_objective import VectorObjective
from fastgrad._vector_schedule import Groups, VectorEvaluator

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_MOST_REPLAYED = 8


@dataclass(frozen=True)
class Failure:
    """Where F raised, or returned another number of values: coordinates and what they were set to."""

    index: Index
    coordinate: Floats


@dataclass
class ColumnDifferences:
    """Differences of columns at one step each; NaN where none was taken.

    Column j is row `group[j]` of `above` and `below` (central), or row `side[j]` of `near` and `far` (one-sided, at
    x_j + s h and x_j + 2 s h as stored, which are `ahead` of x_j); -1 stands for no row.
    """

    entries: Entries
    value: Floats
    step: Floats
    distance: Floats  # of the two points evaluated, by column
    above: Floats
    below: Floats
    group: Index
    seen: NDArray[np.bool_]  # by column: evaluated, be it in vain
    near: Floats
    far: Floats
    side: Index
    ahead: Floats
    failures: dict[int, Failure] = field(default_factory=dict)  # by column

    def around(self, entry: Any) -> tuple[Floats, Floats]:
        """F above and below, for some entries; NaN for a one-sided column."""
        if self._is_plain:
            return self.above.reshape(-1)[entry], self.below.reshape(-1)[entry]
        row, group = self.entries.rows(entry), self.group[self.entries.columns(entry)]
        above, below = np.full((2, row.size), np.nan)
        taken = group >= 0
        above[taken], below[taken] = self.above[group[taken], row[taken]], self.below[group[taken], row[taken]]
        return above, below

    @property
    def _is_plain(self) -> bool:
        """Whether the values lie in the order of the entries: each column of a full matrix is a group of its own."""
        full = self.entries.listed is None and self.above.shape[0] == self.entries.shape[1]
        return full and bool((self.group == np.arange(self.group.size)).all())

    def read(self, entry: Any) -> tuple[Floats, Floats, Floats]:
        """`around`, and the differences of some entries: central, error O(h^2), or one-sided of the same order."""
        column = self.entries.columns(entry)
        above, below = self.around(entry)
        with np.errstate(all="ignore"):
            quotient = (above - below) / self.distance[column]
        if self.near.shape[0]:
            row, side = self.entries.rows(entry), self.side[column]
            one_sided = np.flatnonzero(side >= 0)
            quotient[one_sided] = self._one_sided(row[one_sided], column[one_sided], side[one_sided])
        return above, below, quotient

    def _one_sided(self, row: Index, column: Index, side: Index) -> Floats:
        """(-3 F(x) + 4 F(x + s h) - F(x + 2 s h)) / (2 s h), with the distances of the points as stored."""
        one, two = self.near[side, row] - self.value[row], self.far[side, row] - self.value[row]
        close, wide = self.ahead[0, column], self.ahead[1, column]
        with np.errstate(all="ignore"):
            ratio = wide / close  # 2, but for rounding
            return np.asarray((one * ratio - two / ratio) / (wide - close))

    def all_quotients(self) -> Floats:
        """The differences of all entries."""
        quotient = np.empty(self.entries.size)
        for part in self.entries.parts():
            quotient[part] = self.read(part)[2]
        return quotient


def take_differences(
    evaluator: VectorEvaluator, entries: Entries, groups: Groups, step: Floats, bounds: Bounds | None, value: Floats
) -> ColumnDifferences:
    """Differences of the columns in `groups` with step[column]; one-sided where a bound leaves no room.

    2 evaluations per group, and 2 more for a group of which some columns are at a bound and some are not.
    """
    point, n, m = evaluator.point, evaluator.point.size, evaluator.size
    x, dtype = point.flat, point.dtype
    inside = np.ones(groups.index.size, dtype=bool)
    j = groups.index
    above, below = (x[j] + step[j]).astype(dtype), (x[j] - step[j]).astype(dtype)
    if bounds is not None:
        inside = (below >= bounds.lower[j]) & (above <= bounds.upper[j])
    central = groups.only(inside)
    found = evaluator.group_differences(central, step[central.index])
    distance = np.full(n, np.nan)
    with np.errstate(over="ignore"):  # of steps near the largest number: no quotient is finite then
        distance[j] = above.astype(np.float64) - below.astype(np.float64)
    result = ColumnDifferences(
        entries, value, np.full(n, np.nan), distance, found.above, found.below, central.of_columns(n),
        np.zeros(n, dtype=bool), np.empty((0, m)), np.empty((0, m)), np.full(n, -1), np.full((2, n), np.nan),
    )  # fmt: skip
    result.step[j] = step[j]
    result.seen[central.index] = (found.status < UNSEEN)[central.group_of_index]
    _note_failures(result, central, found.status, x, step)
    if bounds is not None and not inside.all():
        _look_to_one_side(result, evaluator, groups.only(~inside), bounds)
    return result


def _note_failures(result: ColumnDifferences, groups: Groups, status: Status, x: Any, step: Floats) -> None:
    for k in np.flatnonzero((status > 0) & (status < UNSEEN)).tolist():
        index = groups.members(k)
        sign = 1.0 if status[k] & RAISED_ABOVE else -1.0
        failure = Failure(index, x[index].astype(np.float64) + sign * step[index])
        result.failures.update(dict.fromkeys(index.tolist(), failure))


def _look_to_one_side(result: ColumnDifferences, evaluator: VectorEvaluator, groups: Groups, bounds: Bounds) -> None:
    """Fill in columns that have room on one side only, looking where there is more of it; the step shrinks to fit."""
    j, dtype = groups.index, evaluator.point.dtype
    x = evaluator.point.flat.astype(np.float64)
    room_above, room_below = bounds.upper[j] - x[j], x[j] - bounds.lower[j]
    sign = np.where(room_above >= room_below, 1.0, -1.0)
    step = np.minimum(result.step[j], np.maximum(room_above, room_below) / 2.0)
    near, far = (stored(x[j] + k * sign * step, bounds, j, dtype) for k in (1.0, 2.0))
    room = (near != x[j]) & (far != near)
    result.seen[j] = True
    groups, j, near, far = groups.only(room), j[room], near[room], far[room]
    result.ahead[:, j] = near - x[j], far - x[j]
    result.step[j] = np.abs(near - x[j])
    result.near, how_near = evaluator.group_displaced(groups, near)
    result.far, how_far = evaluator.group_displaced(groups, far)
    result.side[:] = groups.of_columns(x.size)
    for status, places in ((how_near, near), (how_far, far)):
        result.seen[j[(status >= UNSEEN)[groups.group_of_index]]] = False
        for k in np.flatnonzero((status > 0) & (status < UNSEEN)).tolist():
            members = slice(groups.start[k], groups.start[k + 1])
            failure = Failure(j[members], places[members])
            result.failures.update(dict.fromkeys(j[members].tolist(), failure))


def replay_failure(objective: VectorObjective, point: Point, size: int, failures: dict[int, Failure]) -> None:
    """If F failed at a column, let its own exception arrive, with the column in a note."""
    if not failures:
        return
    j = min(failures)
    failure = failures[j]
    place = point.flat.copy()
    place[failure.index] = failure.coordinate
    h = float(place[j]) - float(point.flat[j])
    where = f"x {'+' if h > 0 else '-'} h, {point.name(j)} = {place[j]} (h = {abs(h):.3g})"
    if failure.index.size > 1:
        where += f" and {failure.index.size - 1} more coordinates moved"
    objective.replay_size(place, size, where)


def require_same_size(objective: VectorObjective, point: Point, size: int, failures: dict[int, Failure]) -> None:
    """Raise if what failed is that F returned another number of values; at most 8 evaluations."""
    for j in sorted(failures)[:_MOST_REPLAYED]:
        place = point.flat.copy()
        place[failures[j].index] = failures[j].coordinate
        if objective.values(place, size)[1] not in (-1, size):
            replay_failure(objective, point, size, {j: failures[j]})
