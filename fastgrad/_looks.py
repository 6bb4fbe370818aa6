"""Closer looks at single components: conversations of the judge, answered by evaluations."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment
from fastgrad._budget import BudgetSpent
from fastgrad._first import Bounds
from fastgrad._judge.grid import generic_steps
from fastgrad._judge.refine import Closeup, hold_all, look_closely
from fastgrad._judge.setting import Floats, Setting
from fastgrad._judge.verdict import Flag, Verdict
from fastgrad._noise_tables import require_seen
from fastgrad._schedule import Evaluator

_CHUNK, _CHUNK_UNDER_LIMITS = 64, 8  # components looked at together; what a limit cuts off in the middle is lost
_ENOUGH_MISMATCHES = 128  # confirmed; the rest is then reported unconfirmed
_LIKELY = 10  # evaluations of a closer look, for the progress shown
_EXTRA_PER_COMPONENT, _EXTRA = 6, 2000  # evaluations that closer looks may take, beyond 2 n

Index = NDArray[np.int64]


class CloserLooks:
    """Looks at undecided components, most suspicious first, until enough is known or spent."""

    def __init__(self, evaluator: Evaluator, unit: float, bounds: Bounds | None) -> None:
        self._evaluator, self._unit, self._bounds = evaluator, unit, bounds
        self._known: dict[int, dict[float, float]] = {}
        self._asked = 0  # values, evaluated now or recalled from a checkpoint
        self._failed: dict[int, float] = {}

    def remember(self, i: int, values: dict[float, float]) -> None:
        """f at some values of coordinate i, which need not be asked for."""
        self._known.setdefault(i, {}).update(values)

    def settle(
        self, setting: Setting, undecided: Index, result: Assessment, multiplier: float, *, automatic: bool
    ) -> None:
        """Look chunk by chunk; if the steps are not automatic yet, from automatic ones that learn as they go."""
        confirmed, ratios, budget = 0, [], self._evaluator.budget
        allowed = self._asked + _EXTRA_PER_COMPONENT * setting.x.size + _EXTRA
        chunk = _CHUNK_UNDER_LIMITS if budget.has_limits else _CHUNK
        self._failed = result.failed
        result.flags[undecided] |= int(Flag.UNCONFIRMED)  # until it is recorded what a closer look saw
        for start in range(0, undecided.size, chunk):
            if confirmed >= _ENOUGH_MISMATCHES or self._asked > allowed:
                break
            part = undecided[start : start + chunk]
            budget.closer = _LIKELY * min(undecided.size - start, _ENOUGH_MISMATCHES - confirmed)
            steps = result.step[part] if automatic else _starting_steps(setting, part, multiplier)
            begun = dict(zip(part.tolist(), steps.tolist(), strict=True))
            try:
                for i, seen in self._converse(setting, begun):
                    result.record(i, seen, self._unit)
                    confirmed += seen.verdict is Verdict.MISMATCH
                    if seen.verdict is Verdict.MATCH:
                        ratios.append(multiplier * seen.step / begun[i])
            except BudgetSpent:
                return
            if not automatic and len(ratios) > (start + part.size) / 2:
                multiplier = float(np.median(ratios))
        budget.closer = 0

    def _converse(self, setting: Setting, steps: dict[int, float]) -> Iterator[tuple[int, Closeup]]:
        """Hold one conversation per component, beginning at its step."""
        talks = {
            i: look_closely(setting, i, step, self._known.pop(i, {}), limits(self._bounds, i))
            for i, step in steps.items()
        }
        return hold_all(talks, self._answer)

    def _answer(self, questions: dict[int, list[float]]) -> dict[int, list[float]]:
        index = np.array([i for i, points in questions.items() for _ in points], dtype=np.int64)
        coordinate = np.array([p for points in questions.values() for p in points])
        values, status = self._evaluator.displaced(index, coordinate)
        self._asked += index.size
        require_seen(status)
        for k in np.flatnonzero(status):
            self._failed.setdefault(int(index[k]), float(coordinate[k]))
        ends = np.cumsum([len(points) for points in questions.values()])[:-1]
        return {i: part.tolist() for i, part in zip(questions, np.split(values * self._unit, ends), strict=True)}


def _starting_steps(setting: Setting, part: Index, multiplier: float) -> Floats:
    return generic_steps(setting.x[part], setting.automatic_step(part, multiplier), part, 1, setting.grid)


def limits(bounds: Bounds | None, i: int) -> tuple[float, float]:
    """Lowest and highest value that coordinate i may take."""
    if bounds is None:
        return (-math.inf, math.inf)
    return (float(bounds.lower[i]), float(bounds.upper[i]))
