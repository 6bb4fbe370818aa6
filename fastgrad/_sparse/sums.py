"""One check of a sum of terms: the terms at x, the course taken, and what it found outside the sparsity."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._calls import Named
from fastgrad._first import FirstDifferences
from fastgrad._inputs import Point
from fastgrad._jacobian.assess import EntryAssessor
from fastgrad._jacobian.check import Request
from fastgrad._jacobian.differences import ColumnDifferences, replay_failure
from fastgrad._objective import Trial
from fastgrad._sparse.pattern import Index, Pattern, make_pattern
from fastgrad._sparse.terms import SeparableCourse
from fastgrad._vector_objective import VectorObjective, prepare_vector
from fastgrad._vector_schedule import VectorEvaluator
from fastgrad._vector_trial import VectorTrial, try_vector
from fastgrad.steps import Automatic, resolve_steps


class SeparableSession:
    """The terms compiled and tried at x, and the course of a check of them."""

    def __init__(
        self,
        terms: Any,
        point: Point,
        args: tuple[Any, ...],
        out_shape: tuple[int, ...] | int | None,
        request: Request,
        sparsity: Any,
    ) -> None:
        self.point, self.request = point, request
        self.objective: VectorObjective = prepare_vector(Named(terms, "terms"), point, args, out_shape)
        self.trial: VectorTrial = try_vector(self.objective, point)
        self.declared: Pattern = make_pattern(sparsity, (self.trial.size, point.size))
        self.evaluator = VectorEvaluator(
            self.objective, point, self.trial.size, threads=request.threads, seconds=self.trial.seconds
        )
        self.course: SeparableCourse | None = None

    @property
    def scalar_trial(self) -> Trial:
        """The two evaluations at x, of the sum."""
        return Trial(float(self.trial.values.sum()), float(self.trial.difference.sum()))

    @property
    def evaluations(self) -> int:
        assert self.course is not None
        return 2 + self.evaluator.evaluations + self.course.sums.evaluations

    def run(self, analytical: NDArray[Any]) -> tuple[EntryAssessor, ColumnDifferences]:
        """Measure, verify, judge."""
        self.course = self._course(analytical)
        assessor, first = self.course.run()
        if self.evaluator.budget.failure is None:
            replay_failure(self.objective, self.point, self.trial.size, assessor.unexplained_failures)
            self.evaluator.require_intact()
            self.course.sums.require_intact()
        return assessor, first

    def differences(self) -> ColumnDifferences:
        """Measure and verify, without anything to judge."""
        self.course = self._course(np.zeros(self.point.size))
        return self.course.measure()

    def _course(self, analytical: NDArray[Any]) -> SeparableCourse:
        steps = self.request.steps
        return SeparableCourse(
            self.evaluator, self.trial, self.declared, analytical, self.request.rtol, None, self.request.bounds,
            resolve_steps(Automatic(), self.point) if steps is None else steps,
            seconds=self.trial.seconds,
        )  # fmt: skip

    @property
    def missing(self) -> tuple[Index, Index]:
        """Terms and variables on which they were found to depend, though the sparsity does not say so."""
        assert self.course is not None
        return self.course.found_outside

    @property
    def acquitted(self) -> list[int]:
        """Components that seemed wrong for want of entries in the sparsity."""
        assert self.course is not None
        return self.course.alone.acquitted

    @property
    def blind(self) -> NDArray[np.bool_]:
        """Terms of which the probes cannot tell enough."""
        assert self.course is not None
        return self.course.blind(self.course.resolved_sizes)

    def require_complete(self) -> None:
        """Raise if the sparsity proved wrong."""
        assert self.course is not None
        rows, columns = self.missing
        if rows.size:
            more = f" and {rows.size - 1} more" if rows.size > 1 else ""
            raise ValueError(
                f"term {rows[0]} depends on {self.point.name(int(columns[0]))}{more}, which sparsity does not say; "
                f"need every variable of every term: add ({rows[0]}, {columns[0]}), or find all with detect_pattern."
            )
        unexplained = np.flatnonzero(self.course.unexplained | self.course.unknown)
        if unexplained.size:
            raise ValueError(
                f"term {unexplained[0]} does not respond as the sum of its variables' differences, or is not finite "
                f"when all move ({unexplained.size} such terms); need terms that are smooth at x: use another x."
            )


def as_first(first: ColumnDifferences) -> FirstDifferences:
    """As `make_result` takes first differences of a gradient."""
    n = first.step.size
    above, below = first.around(slice(0, n))
    return FirstDifferences(first.step, above, below, first.all_quotients(), first.seen, {})
