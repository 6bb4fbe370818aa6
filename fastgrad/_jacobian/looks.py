"""Closer looks at the entries that no common step of their column could settle, as many as are worth it."""

import math

import numpy as np
from numpy.typing import NDArray

from fastgrad._budget import BudgetSpent
from fastgrad._first import Bounds
from fastgrad._jacobian.assessment import EntryAssessment
from fastgrad._jacobian.talks import ColumnMemory, converse
from fastgrad._judge.refine import Closeup
from fastgrad._judge.rows import RowSetting
from fastgrad._judge.verdict import VERDICTS, Flag, Verdict
from fastgrad._vector_schedule import VectorEvaluator

Index = NDArray[np.int64]

_CHUNK = 64  # entries looked at together
_ENOUGH_MISMATCHES = 128  # confirmed; the rest that differ are then reported unconfirmed
_FEWEST_ENOUGH, _MOST_VALUES = 16, 1 << 21  # fewer of them where F has very many values
_VALUES_OF_CHUNK = 1 << 22  # of one evaluation per entry of a chunk
_EXTRA_PER_GROUP, _EXTRA = 6, 2000  # evaluations that closer looks may take
_MOST_TALKS = 4096  # closer looks, which cost a millisecond each besides evaluations


class CloserLooks:
    """Conversations about single entries, most suspicious first, until enough is known or spent."""

    def __init__(self, evaluator: VectorEvaluator, groups: int, bounds: Bounds | None) -> None:
        self.memory = ColumnMemory(evaluator)
        self._evaluator, self._groups, self._bounds = evaluator, groups, bounds

    def settle(self, setting: RowSetting, open_: Index, result: EntryAssessment) -> None:
        """Judge entries; those of a column begin at one step and share its evaluations. The rest stay unconfirmed."""
        if open_.size == 0:
            return
        steps = setting.common_steps(open_, setting.automatic_steps(open_), 1)
        values = self._evaluator.size
        allowed = self._evaluator.evaluations + _EXTRA_PER_GROUP * self._groups + _EXTRA
        enough = max(_FEWEST_ENOUGH, min(_ENOUGH_MISMATCHES, _MOST_VALUES // values))
        chunk, confirmed, done = max(1, min(_CHUNK, _VALUES_OF_CHUNK // values)), 0, 0
        while done < min(open_.size, _MOST_TALKS) and confirmed < enough and self._evaluator.evaluations <= allowed:
            part = open_[done : done + chunk]
            begin = steps[setting.entries.columns(part)]
            try:
                seen = converse(
                    setting, self.memory, dict(zip(part.tolist(), begin.tolist(), strict=True)), self._bounds
                )
            except BudgetSpent:
                break
            for e, closeup in seen.items():
                _record(result, setting, e, closeup)
                confirmed += closeup.verdict is Verdict.MISMATCH
            done += part.size
        result.flags[open_[done:]] |= int(Flag.UNCONFIRMED)


def _record(result: EntryAssessment, setting: RowSetting, e: int, seen: Closeup) -> None:
    result.verdict[e] = VERDICTS.index(seen.verdict)
    result.flags[e] = int(seen.flags)
    unit = float(setting.unit[setting.entries.rows(np.array([e]))[0]])
    if math.isfinite(seen.estimate):
        result.estimate[e], result.bar[e], result.step[e] = seen.estimate / unit, seen.bar / unit, seen.step
    if seen.slopes is not None:
        result.slopes[e] = (seen.slopes[0] / unit, seen.slopes[1] / unit)
