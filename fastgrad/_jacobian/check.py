"""A check of a full matrix of derivatives: the parts put together, for Jacobians and Hessians."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import Named
from fastgrad._first import Bounds, make_bounds
from fastgrad._inputs import DEFAULT_RTOL, Point, real_array
from fastgrad._jacobian.assess import EntryAssessor
from fastgrad._jacobian.differences import (
    ColumnDifferences,
    replay_failure,
    require_same_size,
    take_differences,
)
from fastgrad._jacobian.inputs import GivenMatrix, require_shape, shape_to_fill
from fastgrad._jacobian.report import JacobianCheck
from fastgrad._jacobian.result import Names, make_result
from fastgrad._judge.rows import Entries
from fastgrad._options import constants_of, positive_number
from fastgrad._vector_objective import Shape, VectorObjective, fills_argument, prepare_vector
from fastgrad._vector_schedule import VectorEvaluator, single_columns
from fastgrad._vector_trial import VectorTrial, try_vector
from fastgrad.steps import Automatic, StepRule, resolve_scaled_steps, resolve_steps

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Request:
    """What a check was asked to do, beyond the functions."""

    kind: str  # "Jacobian" or "Hessian"
    steps: Floats | None  # None: chosen by the check
    rtol: float
    bounds: Bounds | None
    constants: Mapping[str, float]
    threads: int | None


def make_request(
    point: Point,
    epsilon: float | ArrayLike | StepRule | None,
    *,
    kind: str,
    rtol: float | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    constants: Mapping[str, float] | None = None,
    threads: int | None = None,
) -> Request:
    """Check the options that Jacobians and Hessians share."""
    return Request(
        kind=kind,
        steps=None if isinstance(epsilon, Automatic) else resolve_steps(epsilon, point),
        rtol=DEFAULT_RTOL[point.dtype] if rtol is None else positive_number(rtol, "rtol"),
        bounds=make_bounds(bounds, point),
        constants=constants_of(constants),
        threads=threads,
    )


def for_groups(request: Request, epsilon: float | ArrayLike | StepRule | None, point: Point) -> Request:
    """The same for columns that move together: where no step is asked for, it follows the sizes of the coordinates."""
    return replace(request, steps=resolve_scaled_steps(None, point)) if epsilon is None else request


def noise_of_rows(noise: Any, shape: Shape, name: str = "F") -> Floats:
    """The noise given for all values of F, or for each of them."""
    given = real_array(noise, name="noise")
    if given.shape not in ((), shape):
        raise ValueError(f"noise has shape {given.shape}; need one number, or one for each value of {name}, {shape}.")
    if not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(f"noise has entries that are not positive and finite; need standard deviations of {name}.")
    return np.broadcast_to(given, shape).astype(np.float64).reshape(-1)


def prepare_check(
    named: Named, point: Point, args: tuple[Any, ...], given: GivenMatrix, request: Request
) -> "DenseCheck":
    """F compiled and tried at x (2 evaluations), and the matrix found to have its shape."""
    shape: Shape | None = None
    if callable(named.function) and fills_argument(named.function, len(args)):
        shape = shape_to_fill(given, point, named.name)
    objective = prepare_vector(named, point, args, shape)
    trial = try_vector(objective, point)
    require_shape(given, trial.shape, point, named.name)
    return DenseCheck(objective, trial, point, request)


class DenseCheck:
    """Differences at the given steps, and an assessor to judge them."""

    def __init__(self, objective: VectorObjective, trial: VectorTrial, point: Point, request: Request) -> None:
        self.objective, self.trial, self.point, self.request = objective, trial, point, request
        self.entries = Entries((trial.size, point.size))
        self.groups = single_columns(np.arange(point.size))
        self.evaluator = VectorEvaluator(objective, point, trial.size, threads=request.threads, seconds=trial.seconds)
        self._looking, self._seen, self._function = self.evaluator, trial, objective

    @property
    def column_scale(self) -> Floats:
        """A typical size of each coordinate."""
        size = np.abs(self.point.flat.astype(np.float64))
        return np.where(size > 0.0, size, np.median(size[size > 0.0]) if size.any() else 1.0)

    @property
    def evaluations(self) -> int:
        """Calls of F so far, the trial of each precision included."""
        return sum(evaluator.evaluations + 2 for evaluator in self._evaluators)

    @property
    def _evaluators(self) -> tuple[VectorEvaluator, ...]:
        """One, or one for each precision."""
        return (self.evaluator,) if self._looking is self.evaluator else (self.evaluator, self._looking)

    def first_differences(self) -> ColumnDifferences:
        """Central differences of all columns at the given steps."""
        assert self.request.steps is not None
        return take_differences(
            self.evaluator, self.entries, self.groups, self.request.steps, self.request.bounds, self.trial.values
        )

    def result(self, given: GivenMatrix, names: Names, noise: Floats | None, started: float) -> JacobianCheck:
        """Judge every entry of the matrix and put the result together."""
        analytical = given.entries(*self.entries.shape)
        self._look_in_double_precision()
        assessor = EntryAssessor(
            self._looking, self._seen, self.entries, self.groups, analytical,
            rtol=self.request.rtol, noise=noise, bounds=self.request.bounds,
        )  # fmt: skip
        first = None if self.request.steps is None else self.first_differences()
        found = assessor.judge(first if self._looking is self.evaluator else None)
        budget = self.evaluator.budget
        if budget.failure is None:
            place = self._looking.point
            require_same_size(self._function, place, self.trial.size, assessor.all_failures)
            replay_failure(self._function, place, self.trial.size, assessor.unexplained_failures)
            for evaluator in self._evaluators:
                evaluator.require_intact()
        result = make_result(
            self.point, analytical, first, found,
            assessor=assessor, trial=self.trial, names=names, constants=self.request.constants,
            evaluations=self.evaluations, elapsed=time.perf_counter() - started,
        )  # fmt: skip
        budget.let_out(result)
        return result

    def _look_in_double_precision(self) -> None:
        """For a float32 x, judge F at the same point in float64, where differences show ten digits more."""
        if self.point.dtype != np.float32:
            return
        wide = self.point.widened()
        try:
            objective = prepare_vector(self.objective.named, wide, self.objective.args, self.objective.out_shape)
        except TypeError:  # F was compiled for float32 only
            return
        trial = try_vector(objective, wide)
        if trial.size == self.trial.size:
            self._seen, self._function = trial, objective
            self._looking = VectorEvaluator(
                objective, wide, trial.size,
                threads=self.request.threads, seconds=trial.seconds, budget=self.evaluator.budget,
            )  # fmt: skip
