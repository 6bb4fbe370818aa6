"""The course of a component-wise check: first differences at the steps asked for, an assessor, and two precisions."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastgrad._assess import Assessor
from fastgrad._assessment import Assessment
from fastgrad._budget import INTERRUPTION, TRIALS
from fastgrad._first import Bounds, FirstDifferences, Floats, Index, all_differences, replay_failure
from fastgrad._inputs import Array, Point
from fastgrad._objective import Objective, Trial, prepare, try_objective
from fastgrad._schedule import Evaluator
from fastgrad._selection import pieces, sample_first

_CALL_SECONDS = 5e-7  # what calling f from Python costs besides f itself


def tried(f: Any, point: Point, args: tuple[Any, ...]) -> tuple[Objective, Trial, float]:
    """The objective, what two evaluations at x gave, and the seconds one took."""
    objective = prepare(f, point, args)
    started = time.perf_counter()
    trial = try_objective(objective, point)
    return objective, trial, max((time.perf_counter() - started) / 2 - _CALL_SECONDS, 0.0)


class ComponentJudge:
    """Puts the parts of a check together: first differences at the given steps, and an assessor to judge them."""

    def __init__(
        self,
        evaluator: Evaluator,
        trial: Trial,
        analytical: Array,
        bounds: Bounds | None,
        rtol: float,
        noise: float | None,
    ) -> None:
        self._evaluator, self._trial, self._bounds = evaluator, trial, bounds
        in_double = _in_double_precision(evaluator)
        self._looking, seen = (evaluator, trial) if in_double is None else in_double
        self._assessor = Assessor(
            self._looking, seen.value, seen.difference, analytical, rtol=rtol, noise=noise, bounds=bounds
        )
        self._first: FirstDifferences | None = None
        self._evaluators = (evaluator,) if in_double is None else (evaluator, self._looking)
        self._can_judge = bool(np.isfinite(trial.value) and np.isfinite(seen.value))

    @property
    def evaluations(self) -> int:
        """Calls of f so far, the trial of each precision included."""
        return sum(evaluator.evaluations + TRIALS for evaluator in self._evaluators)

    def require_intact(self) -> None:
        """Raise if f left a trace in its arguments, in whichever precision it ran."""
        for evaluator in self._evaluators:
            evaluator.require_intact()

    def judge(self, order: Index | None, steps: Floats | None) -> tuple[Assessment, FirstDifferences | None]:
        """Judge as many of these coordinates as the budget allows, in this order; None stands for all of them.

        The differences returned are those at the given steps, None if there were none. After an interruption: what
        was known by then.
        """
        budget = self._evaluator.budget
        try:
            assessment = self._judged(order, steps)
            budget.finish()
        except KeyboardInterrupt as interruption:
            budget.fail(interruption, INTERRUPTION)
            assessment = self._assessor.so_far()
        assessment.in_random_order = order is not None
        return assessment, self._first

    def _judged(self, order: Index | None, steps: Floats | None) -> Assessment:
        if not self._can_judge:
            return self._assessor.give_up()
        return self._all_components(steps) if order is None else self._some_components(order, steps)

    def _all_components(self, steps: Floats | None) -> Assessment:
        n = self._evaluator.point.size
        if steps is None:
            return self._checked(self._piecewise(sample_first(n), n, None), {})
        is_plain = self._looking is self._evaluator
        self._evaluator.budget.ahead = 0 if is_plain else 2 * n
        first = self._first = all_differences(self._evaluator, steps, self._bounds, self._trial.value)
        if is_plain:
            assessment = self._assessor.judge_differences(first)
        else:
            assessment = self._piecewise(sample_first(n), n, None)
        return self._checked(assessment, first.raised)

    def _some_components(self, order: Index, steps: Floats | None) -> Assessment:
        """In float64 even for a float32 x, if f allows: the steps are then chosen anew."""
        wanted = steps if self._looking is self._evaluator else None
        self._first = None if wanted is None else self._assessor.first
        assessment = self._piecewise(pieces(order), order.size, wanted)
        return self._checked(assessment, self._assessor.first.raised)

    def _piecewise(self, parts: Iterator[Index], size: int, steps: Floats | None) -> Assessment:
        budget = self._evaluator.budget
        budget.ahead = 2 * size

        def begun() -> Iterator[Index]:
            for part in parts:
                budget.ahead -= 2 * part.size
                yield part

        return self._assessor.judge_piecewise(begun(), steps)[0]

    def _checked(self, assessment: Assessment, raised: dict[int, float]) -> Assessment:
        """See that an exception of f gets out if nothing could be said about the component where it was raised."""
        unresolved = {
            i: place for i, place in {**assessment.failed, **raised}.items() if np.isnan(assessment.estimate[i])
        }
        if self._evaluator.budget.failure is not None:
            return assessment
        try:
            replay_failure(self._looking.objective, self._looking.point, unresolved)
        except Exception as error:  # with what was found elsewhere
            self._evaluator.budget.fail(error, "an exception of f")
        return assessment


def _in_double_precision(evaluator: Evaluator) -> tuple[Evaluator, Trial] | None:
    """For a float32 x, f at the same point in float64, where differences show ten digits more; None if f refuses."""
    objective, point = evaluator.objective, evaluator.point
    if point.dtype != np.float32:
        return None
    wide = point.widened()
    try:
        in_double, trial, seconds = tried(objective.f, wide, objective.args)
    except TypeError:  # f was compiled for float32 only
        return None
    evaluator.budget.used += TRIALS
    return evaluator.beside(in_double, wide, seconds), trial
