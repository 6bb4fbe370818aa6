"""J v as claimed against differences of F along v, output by output."""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Slope
from fastgrad._along.directions import Scale, reach_of, unit_of
from fastgrad._along.slope import whole_change
from fastgrad._inputs import Point
from fastgrad._jacobian.assess import EntryAssessor
from fastgrad._judge.rows import Entries
from fastgrad._judge.verdict import INCONCLUSIVE, MATCH, MISMATCH, VERDICTS, Flag, Verdict
from fastgrad._products.still import stands_still
from fastgrad._schedule import Status
from fastgrad._vector_schedule import Groups, VectorDifferences, VectorEvaluator, single_columns
from fastgrad._vector_trial import VectorTrial

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tangent:
    """One direction: J v as claimed and as found, flat, each output with its bar, verdict and flags."""

    direction: Floats
    claimed: Floats
    numerical: Floats
    bar: Floats
    step: Floats  # of the differences that decided, as multiples of v
    verdict: NDArray[np.int8]  # codes, see VERDICTS
    flags: NDArray[np.uint16]
    noise: float
    slopes: dict[int, tuple[float, float]]  # forward and backward, at kinks
    scale: Scale = Scale.FLOORED  # of the direction

    def slope_of(self, i: int) -> Slope:
        """One output by itself."""
        return Slope(
            verdict=VERDICTS[self.verdict[i]],
            analytical=float(self.claimed[i]),
            numerical=float(self.numerical[i]),
            bar=float(self.bar[i]),
            size=float(self.size[i]),
            step=float(self.step[i]),
            flags=Flag(int(self.flags[i])),
            sides=self.slopes.get(i),
            noise=self.noise,
            evaluations=0,
        )

    @property
    def overall(self) -> Verdict:
        """Mismatch if any output is, match if all are, otherwise inconclusive."""
        if (self.verdict == MISMATCH).any():
            return Verdict.MISMATCH
        return Verdict.MATCH if (self.verdict == MATCH).all() else Verdict.INCONCLUSIVE

    @property
    def is_suspect(self) -> bool:
        """Whether some output differs, but only so far from x that this proves nothing."""
        return bool(((self.flags & Flag.UNCONFIRMED) != 0).any())

    def outweighs(self, undecided: "Tangent") -> bool:
        """Whether another direction's verdict may stand for that of an undecided one; no match clears a suspicion."""
        return self.overall is Verdict.MISMATCH or (self.overall is Verdict.MATCH and not undecided.is_suspect)

    @property
    def size(self) -> Floats:
        """What errors of the outputs are relative to: their own size, or, where they vanish, that of all."""
        own = np.fmax(np.abs(self.claimed), np.abs(self.numerical))
        return np.asarray(np.where(own > 0.0, own, typical_size(self.claimed)))

    @property
    def relative(self) -> Floats:
        """|numerical - claimed| relative to the size."""
        with np.errstate(all="ignore"):
            difference = np.abs(self.numerical - self.claimed)
            return np.asarray(np.where(difference == 0.0, 0.0, difference / self.size))


def typical_size(values: Floats) -> float:
    """Root mean square of what is finite, safe from overflow; 0 if nothing is."""
    size = np.abs(values[np.isfinite(values)])
    largest = float(size.max(initial=0.0))
    return largest * float(np.sqrt(np.mean((size / largest) ** 2))) if largest > 0.0 else 0.0


class _OneColumn:
    """F(x + t v) as a vector function of the one coordinate c = 1 + t / unit, as an assessor of Jacobians asks."""

    def __init__(self, evaluator: VectorEvaluator, direction: Floats, unit: float) -> None:
        self.point = Point(np.ones(1, evaluator.point.dtype), (1,), 1.0)
        self.size, self.threads, self.budget = evaluator.size, evaluator.threads, evaluator.budget
        self._evaluator = evaluator
        self._direction = direction
        self._unit = unit

    @property
    def evaluations(self) -> int:
        return self._evaluator.evaluations

    def _at(self, coordinate: Floats) -> tuple[Floats, Status]:
        found = self._evaluator.along(self._direction, (coordinate - 1.0) * self._unit)
        self.budget.let_out()  # Ctrl-C
        return found

    def group_differences(self, groups: Groups, step: Floats) -> VectorDifferences:
        values, status = self._at(np.concatenate([1.0 + step, 1.0 - step]))
        above, below = np.split(values, 2)
        return VectorDifferences(above, below, np.maximum(*np.split(status, 2)))

    def group_displaced(self, groups: Groups, coordinate: Floats) -> tuple[Floats, Status]:
        return self._at(coordinate)

    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, Status]:
        return self._at(1.0 + multiple * direction[0])


def judge_tangent(
    evaluator: VectorEvaluator, trial: VectorTrial, direction: Floats, claimed: Floats, rtol: float
) -> Tangent:
    """Judge J v: 24 evaluations that measure the noise, 2 to about 45 more that look at the outputs.

    Mismatches seen so far from x that F may have become another function are looked at again from closer.
    """
    seen = _judge_within(evaluator, trial, direction, claimed, rtol, unit_of(direction, evaluator.point))
    seen = _with_still_outputs(evaluator, trial, seen, rtol)
    seen = _cleared_from_close_by(evaluator, trial, seen, rtol)
    reach = reach_of(direction, evaluator.point)
    far = (seen.verdict == MISMATCH) & (seen.step > reach)
    if not far.any():
        return seen
    closer = _judge_within(evaluator, trial, direction, claimed, rtol, reach)
    known = far & (closer.verdict != INCONCLUSIVE)
    unsure = far & ~known
    found = _replaced(seen, closer, known)
    return replace(
        found,
        verdict=np.where(unsure, np.int8(INCONCLUSIVE), found.verdict),
        flags=np.where(unsure, found.flags | np.uint16(Flag.UNCONFIRMED), found.flags),
    )


def _with_still_outputs(evaluator: VectorEvaluator, trial: VectorTrial, seen: Tangent, rtol: float) -> Tangent:
    """What is claimed to be zero and could not be told is right where the output does not move around x."""
    open_ = (seen.verdict == INCONCLUSIVE) & (seen.claimed == 0.0) & ((seen.flags & Flag.STAIRCASE) == 0)
    if not open_.any():
        return seen
    still = stands_still(evaluator, trial, seen.direction, open_, rtol * typical_size(seen.claimed))
    return replace(
        seen,
        numerical=np.where(still, 0.0, seen.numerical),
        bar=np.where(still, 0.0, seen.bar),
        verdict=np.where(still, np.int8(MATCH), seen.verdict),
        flags=np.where(still, np.uint16(Flag.CONSTANT), seen.flags),
    )


def _cleared_from_close_by(evaluator: VectorEvaluator, trial: VectorTrial, seen: Tangent, rtol: float) -> Tangent:
    """Mismatches seen where the output would have changed by its whole value: a right claim may show closer by only."""
    whole = np.array([whole_change(*pair) for pair in zip(trial.values.tolist(), seen.claimed.tolist(), strict=True)])
    far = (seen.verdict == MISMATCH) & (seen.step > whole)
    if not far.any():
        return seen
    unit = float(np.sort(whole[far])[np.count_nonzero(far) // 2])
    near = _judge_within(evaluator, trial, seen.direction, seen.claimed, rtol, unit)
    return _replaced(seen, near, far & (near.verdict == MATCH))


def _replaced(seen: Tangent, other: Tangent, where: NDArray[np.bool_]) -> Tangent:
    names = ("numerical", "bar", "step", "verdict", "flags")
    return replace(seen, **{name: np.where(where, getattr(other, name), getattr(seen, name)) for name in names})


def _judge_within(
    evaluator: VectorEvaluator, trial: VectorTrial, direction: Floats, claimed: Floats, rtol: float, unit: float
) -> Tangent:
    column: Any = _OneColumn(evaluator, direction, unit)
    entries, groups = Entries((trial.size, 1)), single_columns(np.zeros(1, np.int64))
    with np.errstate(all="ignore"):
        assessor = EntryAssessor(
            cast(VectorEvaluator, column), trial, entries, groups, claimed * unit, rtol=rtol, noise=None, bounds=None
        )
        # An output whose derivative vanishes is to be small next to itself, or, if it is large, next to the others.
        setting = assessor.setting
        others = typical_size(claimed) * unit * setting.unit
        size = np.maximum(setting.largest_product, np.minimum(others, np.abs(setting.value)))
        assessor.setting = replace(setting, largest_product=size, mean_product=size, largest_gradient=size)
        found = assessor.judge(None)
    return Tangent(
        direction=direction,
        claimed=claimed,
        numerical=found.estimate / unit,
        bar=found.bar / unit,
        step=found.step * unit,
        verdict=found.verdict,
        flags=found.flags,
        noise=found.noise,
        slopes={i: (a / unit, b / unit) for i, (a, b) in found.slopes.items()},
    )
