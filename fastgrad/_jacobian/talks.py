"""Closer looks at single entries: conversations of the judge, which share every evaluation of their column."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fastgrad._first import Bounds
from fastgrad._jacobian.differences import Failure
from fastgrad._judge.refine import Closeup, look_closely
from fastgrad._judge.rows import RowSetting
from fastgrad._looks import limits
from fastgrad._noise_tables import require_seen
from fastgrad._vector_schedule import VectorEvaluator, single_columns

Floats = NDArray[np.float64]
Place = tuple[int, float]  # a column and what its coordinate is set to

_KEPT = 1 << 24  # values of F at places seen: 128 MiB
_BATCH = 1 << 22  # values of F taken at once


class ColumnMemory:
    """F at points where one coordinate is set to another value; each is evaluated once and serves all rows."""

    def __init__(self, evaluator: VectorEvaluator) -> None:
        self._evaluator = evaluator
        self._known: dict[Place, Floats] = {}
        self.failures: dict[int, Failure] = {}  # by column

    def look_up(self, places: Iterable[Place]) -> dict[Place, Floats]:
        """F at these places, evaluating what is not known; NaN where it failed."""
        wanted = list(dict.fromkeys(places))
        missing = [place for place in wanted if place not in self._known]
        if (len(self._known) + len(missing)) * self._evaluator.size > _KEPT:
            self._known = {place: self._known[place] for place in wanted if place in self._known}
        size = max(self._evaluator.threads, _BATCH // self._evaluator.size)
        for start in range(0, len(missing), size):
            self._evaluate(missing[start : start + size])
        return {place: self._known[place] for place in wanted}

    def _evaluate(self, places: list[Place]) -> None:
        index = np.array([column for column, _ in places], dtype=np.int64)
        coordinate = np.array([value for _, value in places])
        values, status = self._evaluator.group_displaced(single_columns(index), coordinate)
        require_seen(status)
        for k in np.flatnonzero(status).tolist():
            self.failures.setdefault(places[k][0], Failure(index[k : k + 1], coordinate[k : k + 1]))
        self._known.update(zip(places, values, strict=True))


def converse(
    setting: RowSetting, memory: ColumnMemory, steps: dict[int, float], bounds: Bounds | None
) -> dict[int, Closeup]:
    """Hold one conversation per entry, beginning at its step, and answer the questions of all in one batch a round."""
    entries = np.array(list(steps), dtype=np.int64)
    rows = dict(zip(steps, setting.entries.rows(entries).tolist(), strict=True))
    columns = dict(zip(steps, setting.entries.columns(entries).tolist(), strict=True))
    talks = {e: look_closely(setting.of_one(e), 0, step, {}, limits(bounds, columns[e])) for e, step in steps.items()}
    finished: dict[int, Closeup] = {}
    answers: dict[int, list[float] | None] = dict.fromkeys(talks)  # None opens a conversation
    while answers:
        questions = {}
        for e, answer in answers.items():
            try:
                questions[e] = talks[e].send(answer)  # type: ignore[arg-type]
            except StopIteration as stop:
                finished[e] = stop.value
        known = memory.look_up((columns[e], place) for e, places in questions.items() for place in places)
        answers = {
            e: [float(known[columns[e], place][rows[e]] * setting.unit[rows[e]]) for place in places]
            for e, places in questions.items()
        }
    return finished
