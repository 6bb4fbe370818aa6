"""The gradient by complex steps, guarded by differences along random directions.

Squire and Trapp, SIAM Review 40 (1998): Im f(x + i h e_j) / h has no cancellation, so h can be 1e-20.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Claim, Slope
from fastgrad._along.directions import AlongDirection, Scale, plan_draws, random_direction, reach_of, worth_threads
from fastgrad._along.doubt import doubt
from fastgrad._along.slope import judge_slope
from fastgrad._calls import scalar_function
from fastgrad._inputs import Array, Point
from fastgrad._judge.verdict import Verdict
from fastgrad._large.directional_inputs import prepare_wide
from fastgrad._objective import Trial, prepare, try_objective
from fastgrad._options import described
from fastgrad._schedule import Evaluator
from fastgrad.steps import ComplexStep

_DIRECTIONS = 2
_PURPOSE = 51
_RTOL = 1e-8
_WIDEST = 1e-3  # bar, relative to g.v: differences that say less than that are no check


def complex_step_gradient(
    f: Any, point: Point, rule: ComplexStep, args: tuple[Any, ...], bounds: Any, threads: int | None
) -> Array:
    """The gradient, flat, in the precision of x; an error if differences do not confirm it."""
    if bounds is not None:
        raise ValueError(
            "bounds are given with a ComplexStep, which is compared with differences that may leave them; need one of "
            "the two: drop bounds, or take differences."
        )
    plane = Point(point.flat.astype(np.complex128), point.shape, point.largest, point.structure)
    objective = prepare(f, plane, args)
    trial = try_objective(objective, plane)
    if trial.value != 0.0 or trial.difference != 0.0:
        raise ValueError(
            f"f has the imaginary part {trial.value} at the real x; need an f that is real there: a complex step reads "
            f"derivatives from the imaginary part. Take differences: drop fastgrad.steps.ComplexStep."
        )
    evaluator = Evaluator(objective, plane, threads=threads, seconds=worth_threads(trial.seconds))
    size = np.abs(point.flat.astype(np.float64))
    step = rule.h * np.where(size > 0.0, size, 1.0)
    imaginary, status = evaluator.displaced(np.arange(plane.size), plane.flat + 1j * step)
    evaluator.budget.let_out()
    _replay(evaluator, step, status)
    evaluator.require_intact()
    gradient = imaginary / step
    _confirm(f, point, gradient, args, threads)
    return gradient.astype(point.dtype)


def _replay(evaluator: Evaluator, step: NDArray[np.float64], status: NDArray[np.uint8]) -> None:
    """If f raised, let its own exception arrive."""
    for i in np.flatnonzero(status)[:1].tolist():
        place = evaluator.point.flat.copy()
        place[i] += 1j * step[i]
        evaluator.objective.replay(place, f"x + i h, {evaluator.point.name(i)} = {place[i]}")


def _confirm(f: Any, point: Point, gradient: Array, args: tuple[Any, ...], threads: int | None) -> None:
    """Compare with differences: abs, norms and .real compile for complex numbers and give something else."""
    _require_real(f, point, args)
    objective, trial, real = prepare_wide(f, point, args)
    evaluator = Evaluator(objective, real, threads=threads, seconds=worth_threads(trial.seconds))
    for draw in plan_draws(real, _DIRECTIONS):
        key = 0, _PURPOSE, draw.number
        found = _along(evaluator, trial, gradient, random_direction(real, *key, scale=draw.scale))
        if found.verdict is not Verdict.MISMATCH and not _is_confirmed(found):
            found = _along(evaluator, trial, gradient, random_direction(real, *key, scale=Scale.OWN))
        if found.verdict is Verdict.MISMATCH:
            raise ValueError(
                f"the complex step is wrong for this f: along a random direction it gives {found.analytical:.10g}, "
                f"differences {found.numerical:.10g} +- {found.bar:.0e}; need an f of analytic operations. abs, norms, "
                f".real and .imag, conjugation and sorting compile for complex numbers but are not; take differences: "
                f"drop fastgrad.steps.ComplexStep."
            )
        if not _is_confirmed(found):
            raise ValueError(
                f"the complex step could not be confirmed by differences along a random direction: "
                f"{doubt(found, 'the directional derivative')}. Without that, abs or .real in f would go unseen; take "
                f"differences: drop fastgrad.steps.ComplexStep."
            )


def _require_real(f: Any, point: Point, args: tuple[Any, ...]) -> None:
    """What f returns for a complex x was seen; at a real x differences need one real number."""
    value = scalar_function(f).function(point.widened().own_form(), *args)
    if isinstance(value, complex | np.complexfloating):
        raise TypeError(
            f"f returns {described(value)} for a real x too; need a float there, as the complex step is compared with "
            f"differences at real points. Give work arrays the kind of x (np.zeros_like(x), np.empty(n, x.dtype)) and "
            f"drop complex constants, so that f is real for a real x; or take differences of its .real: drop "
            f"fastgrad.steps.ComplexStep."
        )


def _along(evaluator: Evaluator, trial: Trial, gradient: Array, v: NDArray[np.float64]) -> Slope:
    with np.errstate(all="ignore"):
        slope = float(gradient @ v)
        claim = Claim(slope, max(abs(slope), float(np.linalg.norm(gradient * v))), _RTOL)
    point = evaluator.point
    return judge_slope(
        AlongDirection(evaluator, v), trial.value, claim,
        unit=1.0, reach=reach_of(v, point), repeated=trial.difference, dtype=point.dtype,
    )  # fmt: skip


def _is_confirmed(found: Slope) -> bool:
    if found.verdict is Verdict.MATCH:
        return True
    near = abs(found.error) <= found.bar < math.inf
    return near and (found.size == 0.0 or found.resolution <= _WIDEST) and found.sides is None
