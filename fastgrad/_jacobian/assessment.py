"""What is known of each entry. Arrays that most checks never need in full are made when somebody asks for them."""

import math

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment
from fastgrad._judge.rows import RowSetting
from fastgrad._judge.verdict import INCONCLUSIVE, MATCH, MISMATCH, Flag

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


class EntryAssessment(Assessment):
    """`Assessment` of the entries of a Jacobian, in the units of F.

    Until an entry gets a step of its own, its step is that of its column.
    """

    def __init__(self, setting: RowSetting, broken: NDArray[np.bool_] | None) -> None:
        """`broken` entries are not finite, and so wrong by themselves; None if there are none."""
        entries = setting.entries
        size = entries.size
        self.entries = entries
        self.verdict = np.zeros(size, np.int8)  # INCONCLUSIVE
        self.estimate = np.full(size, np.nan)
        self.bar = np.full(size, np.inf)
        self.flags = np.zeros(size, np.uint16)
        self.seen = np.zeros(size, dtype=bool)
        self.noise, self.rtol = math.nan, setting.rtol
        self.stopped_by = None
        self.slopes, self.failed = {}, {}
        self.column_step = np.full(entries.shape[1], np.nan)
        self._step: Floats | None = None
        size_of_row = np.where(setting.largest_product > 0.0, setting.largest_product, 1.0)
        self.weight = setting.unit / size_of_row  # of differences in each row: they count relative to its terms
        self._column_scale = setting.column_scale
        self._largest: Floats | None = None
        self._opened: Index = np.zeros(0, np.int64)
        if broken is not None:
            self.verdict[broken], self.seen[broken] = MISMATCH, True

    @property
    def step(self) -> Floats:
        """At which each estimate was found."""
        if self._step is None:
            self._step = self.column_step[self.entries.columns(slice(0, self.entries.size))]
        return self._step

    @step.setter
    def step(self, values: Floats) -> None:
        self._step = values

    @property
    def scale(self) -> Floats:
        """What a difference of each entry is multiplied with before it is compared with others."""
        return self._scale_of(slice(0, self.entries.size))

    @scale.setter
    def scale(self, values: Floats) -> None:
        raise AttributeError("the scale of entries follows from those of columns and rows")

    def note_first_look(self, largest: Floats, opened: Index) -> None:
        """Keep what tells the worst entries without looking at all: the largest difference of a match, by column."""
        self._largest, self._opened = largest, opened

    def doubt_constants_of_rows(self, opened: Index, is_flat: NDArray[np.bool_]) -> None:
        """As `doubt_constants`, row by row; only `opened` entries, which were looked at closely, show what f does."""
        steps = (self.flags[opened] & int(Flag.STAIRCASE)) != 0
        moves = np.abs(self.estimate[opened]) > 0.0
        row = self.entries.rows(opened)
        shaky = np.zeros(self.entries.shape[0], dtype=bool)
        shaky[row[steps | (moves & is_flat[row])]] = True
        if shaky.any():
            constant = np.flatnonzero((self.estimate == 0.0) & (self.verdict != INCONCLUSIVE))
            constant = constant[shaky[self.entries.rows(constant)]]
            self.verdict[constant], self.bar[constant] = INCONCLUSIVE, math.inf
            self.flags[constant] = int(Flag.STAIRCASE)

    def still_holds(self, step: Floats) -> bool:
        """Whether every estimate is the difference at these steps of the columns."""
        return self._step is None and np.array_equal(step, self.column_step)

    def step_of(self, e: int) -> float:
        if self._step is None:
            return float(self.column_step[self.entries.columns(np.array([e]))[0]])
        return float(self._step[e])

    def worst_first(self, analytical: NDArray[np.floating], count: int) -> Index:
        """As `_reason.worst_first`: mismatches, doubts, matches, each by the effect of their difference."""
        chosen = np.zeros(0, np.int64)
        for code in (MISMATCH, INCONCLUSIVE, MATCH):
            if chosen.size < count:
                among = self._candidates(code, count)
                effect = np.abs(self.estimate[among] - analytical[among]) * self._scale_of(among)
                effect = np.where(np.isnan(effect), np.inf, effect)
                chosen = np.concatenate([chosen, among[np.lexsort((among, -effect))[: count - chosen.size]]])
        return chosen

    def _candidates(self, code: int, count: int) -> Index:
        if code != MATCH or self._largest is None:
            return np.flatnonzero((self.verdict == code) & self.seen)
        top = np.argsort(-self._largest, kind="stable")[:count]
        among = np.sort(np.concatenate([self.entries.of_columns(np.sort(top)), self._opened]))
        once = np.append(True, among[1:] != among[:-1])
        return np.asarray(among[once & (self.verdict[among] == MATCH)])

    def _scale_of(self, entry: Index | slice) -> Floats:
        return self._column_scale[self.entries.columns(entry)] * self.weight[self.entries.rows(entry)]
