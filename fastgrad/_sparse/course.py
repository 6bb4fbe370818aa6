"""The course of a check with a pattern: groups of columns, their differences, probes, and what the probes call for."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgrad._first import Bounds
from fastgrad._inputs import Array
from fastgrad._jacobian.assess import EntryAssessor
from fastgrad._jacobian.differences import ColumnDifferences, take_differences
from fastgrad._judge.rows import Entries
from fastgrad._judge.setting import ROUNDING
from fastgrad._sparse.alarms import false_alarms
from fastgrad._sparse.coloring import group_columns
from fastgrad._sparse.extend import extended
from fastgrad._sparse.outside import Ground, Search
from fastgrad._sparse.pattern import Pattern
from fastgrad._sparse.power import blind_rows
from fastgrad._sparse.probe import (
    PROBES,
    Measured,
    Probe,
    Remainder,
    measured,
    remainder,
    sizes_of_terms,
    take_probe,
)
from fastgrad._vector_schedule import Groups, VectorEvaluator
from fastgrad._vector_trial import VectorTrial
from fastgrad.steps import sizes_within

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Begun = tuple[EntryAssessor, ColumnDifferences, NDArray[np.int64]]  # with the entries that are open

_ROUNDS = 4  # times that the pattern may grow
_MOST_SPOILT = 64


@dataclass
class Course:
    """Differences by groups, a verified pattern, and a judgement of all its entries.

    `pattern` grows by what is found outside it, as entries of which the analytical value is zero; so in the end they
    are measured, judged and reported like any other, and none disturbs those measured together with it.
    """

    evaluator: VectorEvaluator
    trial: VectorTrial
    pattern: Pattern
    given: Array  # analytical values of the entries
    rtol: float
    noise: Floats | None
    bounds: Bounds | None
    steps: Floats
    probes: list[Probe] = field(default_factory=list)
    first_left: list[Remainder] = field(default_factory=list)  # what the probes left of the pattern as it was given
    unexplained: Mask = field(init=False)  # rows with something outside the pattern that was not found
    groups_at_first: int = 0

    def __post_init__(self) -> None:
        self._cleared: set[int] = set()
        self._declared = self.pattern

    @property
    def suspicious(self) -> Mask:
        """Rows in which the probes saw something outside the pattern, but for false alarms."""
        shows = np.asarray(np.any([left.shows for left in self.first_left], axis=0))
        shows[list(self._cleared)] = False
        return shows

    @property
    def unknown(self) -> Mask:
        """Rows that no probe could tell anything of."""
        return np.asarray(np.all([left.unknown for left in self.first_left], axis=0))

    def blind(self, size: Floats) -> Mask:
        """Rows of which the probes cannot tell enough; `size` is |entry| where that was resolved, otherwise zero."""
        reach = self.steps / sizes_within(self.evaluator.point)
        return blind_rows(self.pattern, self._found, size, self.trial.values, self._left, reach) & ~self.unknown

    def run(self) -> tuple[EntryAssessor, ColumnDifferences]:
        """Measure, probe and extend until the probes are explained, then judge."""
        assessor, first, open_ = self._grow()
        assessor.settle(self._worth_a_look(open_, assessor), first)
        return assessor, first

    def _grow(self) -> Begun:
        before = None
        for round_ in range(_ROUNDS):
            groups, colour = self._grouped()
            begun = assessor, first, _ = self._begin(groups, before)
            search = self._search(measured(self._by_entry(first), self.trial.values), self._noise(assessor), colour)
            self.groups_at_first = self.groups_at_first or groups.count
            self.unexplained = search.unexplained
            if search.unexplained.any():
                alarms = false_alarms(search.ground, groups, self.probes, search.remainders, self.bounds)
                self._cleared.update(np.flatnonzero(alarms).tolist())
                self.unexplained = search.unexplained
            if not search.unexplained.any() or round_ == _ROUNDS - 1:
                break
            search.run()
            self.unexplained = search.unexplained
            if not search.entries:
                break
            self._extend(extended(self.pattern, set(search.entries), search.unexplained))
            before = assessor
        return begun

    def _worth_a_look(self, open_: NDArray[np.int64], assessor: EntryAssessor) -> NDArray[np.int64]:
        """Entries outside the pattern first; few of rows where more is outside, which spoils what was measured."""
        doubtful = self._is_spoilt(open_)
        if not doubtful.any():
            return open_
        new = self._is_new(open_)
        spoilt = open_[doubtful & ~new]
        assessor.leave_open(spoilt[_MOST_SPOILT:])
        return np.concatenate([open_[new], open_[~doubtful & ~new], spoilt[:_MOST_SPOILT]])

    def _is_spoilt(self, open_: NDArray[np.int64]) -> Mask:
        return np.asarray(self.unexplained[self.pattern.rows[open_]])

    def _is_new(self, open_: NDArray[np.int64]) -> Mask:
        return self.outside[open_]

    @property
    def outside(self) -> Mask:
        """Entries that were not in the pattern as it was given."""
        return np.asarray(self._declared.find(self.pattern.rows, self.pattern.columns) < 0)

    def _begin(self, groups: Groups, before: EntryAssessor | None) -> Begun:
        entries = Entries(self.pattern.shape, (self.pattern.rows, self.pattern.columns))
        assessor = EntryAssessor(
            self.evaluator, self.trial, entries, groups, self.given,
            rtol=self.rtol, noise=self.noise, bounds=self.bounds,
        )  # fmt: skip
        if before is not None:
            assessor.adopt_noise(before)
        first = take_differences(self.evaluator, entries, groups, self.steps, self.bounds, self.trial.values)
        return assessor, first, assessor.begin(first)

    def _grouped(self) -> tuple[Groups, NDArray[np.int64]]:
        return group_columns(self.pattern)

    def _by_entry(self, first: ColumnDifferences) -> ColumnDifferences:
        """The differences of the entries of the pattern."""
        return first

    def _noise(self, assessor: EntryAssessor) -> Floats:
        """The noise of the rows of the pattern."""
        return assessor.noise_by_row

    def _search(self, found: Measured, sigma: Floats, colour: NDArray[np.int64]) -> Search:
        value = self.trial.values
        # The noise of a row is told from all rows; one whose terms cancel rounds them all the same.
        sigma = np.maximum(sigma, ROUNDING * sizes_of_terms(self.pattern, found, self.evaluator.point, value))
        while len(self.probes) < PROBES:
            seed = len(self.probes) + 1
            self.probes.append(take_probe(self.evaluator, value, self.steps, self.bounds, seed))
        left = [remainder(probe, self.pattern, found, value, sigma) for probe in self.probes]
        self.first_left = self.first_left or left
        self._found, self._left = found, left
        ground = Ground(self.evaluator, self.pattern, colour, value, sigma, self.steps, found)
        return Search(ground, self.probes, left, self._cleared)

    def _extend(self, wider: Pattern) -> None:
        values = np.zeros(wider.size, self.given.dtype)
        values[wider.find(self.pattern.rows, self.pattern.columns)] = self.given
        self.pattern, self.given = wider, values
