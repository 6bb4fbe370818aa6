"""J^T w as claimed against differences of the scalar function <w, F>, along random v and component by component."""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Claim, Slope
from fastgrad._along.directions import reach_of, unit_of
from fastgrad._along.slope import judge_slope
from fastgrad._assess import Assessor
from fastgrad._assessment import Assessment
from fastgrad._inputs import Point
from fastgrad._schedule import Differences, Evaluator, Status
from fastgrad._vector_schedule import VectorEvaluator, single_columns
from fastgrad._vector_trial import VectorTrial

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_MOST_COMPONENTS = 1024  # that are all looked at; of more, as many as _SAMPLE
_SAMPLE = 64
_BATCH = 1 << 22  # values of F held at once


def contract(values: Floats, w: Floats) -> Floats:
    """<w, F> for each row of values; in one order, whatever the threads."""
    with np.errstate(all="ignore"):  # where F is not finite, neither is this
        return np.asarray((values * w).sum(axis=1))


def claim_of(a: Floats, v: Floats, rtol: float) -> Claim:
    """What a vector a says about the derivative along v."""
    with np.errstate(all="ignore"):
        terms = a * v
        slope = float(terms.sum())
        return Claim(slope, max(abs(slope), float(np.linalg.norm(terms))), rtol)


def judge_pair(evaluator: VectorEvaluator, trial: VectorTrial, v: Floats, w: Floats, claim: Claim) -> Slope:
    """Judge what is claimed of the derivative of <w, F> along v."""

    def values(t: Floats) -> Floats:
        found, _ = evaluator.along(v, t)
        evaluator.budget.let_out()  # Ctrl-C
        return contract(found, w)

    return judge_slope(
        values, float(contract(trial.values[None, :], w)[0]), claim,
        unit=unit_of(v, evaluator.point), reach=reach_of(v, evaluator.point),
        repeated=float(np.abs(w) @ trial.difference), dtype=evaluator.point.dtype,
    )  # fmt: skip


class _Contracted:
    """<w, F> as a scalar objective, as an assessor of gradients asks."""

    def __init__(self, evaluator: VectorEvaluator, w: Floats) -> None:
        self.point: Point = evaluator.point
        self.budget = evaluator.budget
        self._evaluator = evaluator
        self._w = w

    @property
    def evaluations(self) -> int:
        return self._evaluator.evaluations

    def _batches(self, count: int) -> list[slice]:
        size = max(self._evaluator.threads, _BATCH // (2 * self._evaluator.size))
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def differences(self, index: Index, step: Floats) -> Differences:
        above, below, status = np.empty(index.size), np.empty(index.size), np.zeros(index.size, np.uint8)
        for part in self._batches(index.size):
            found = self._evaluator.group_differences(single_columns(index[part]), step[part])
            above[part], below[part] = contract(found.above, self._w), contract(found.below, self._w)
            status[part] = found.status
        x = self.point.flat[index]
        high, low = ((x + sign * step).astype(x.dtype).astype(np.float64) for sign in (1.0, -1.0))
        return Differences(above, below, (above - below) / (high - low), status)

    def displaced(self, index: Index, coordinate: Floats) -> tuple[Floats, Status]:
        value, status = np.empty(index.size), np.zeros(index.size, np.uint8)
        for part in self._batches(index.size):
            found, status[part] = self._evaluator.group_displaced(single_columns(index[part]), coordinate[part])
            value[part] = contract(found, self._w)
        return value, status

    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, Status]:
        found, status = self._evaluator.along(direction, multiple)
        return contract(found, self._w), status


def judge_components(
    evaluator: VectorEvaluator, trial: VectorTrial, w: Floats, claimed: Floats, rtol: float
) -> Assessment:
    """Judge the components of J^T w one by one: all, or of more than 1024 the largest and some at random.

    2 evaluations for each, 24 for the noise, and up to about 45 for each that is looked at closely.
    """
    objective: Any = _Contracted(evaluator, w)
    value, repeated = float(contract(trial.values[None, :], w)[0]), float(np.abs(w) @ trial.difference)
    with np.errstate(all="ignore"):
        assessor = Assessor(cast(Evaluator, objective), value, repeated, claimed, rtol=rtol, noise=None, bounds=None)
        if not math.isfinite(value):
            return assessor.give_up()
        found, _ = assessor.judge_piecewise([_chosen(evaluator.point, claimed)], None)
    return found


def _chosen(point: Point, claimed: Floats) -> Index:
    n = point.size
    if n <= _MOST_COMPONENTS:
        return np.arange(n)
    effect = np.abs(np.nan_to_num(claimed) * point.flat)
    largest = np.argpartition(-effect, _SAMPLE // 2)[: _SAMPLE // 2]
    others = np.random.default_rng(0).choice(n, _SAMPLE // 2, replace=False)
    return np.union1d(largest, others)
