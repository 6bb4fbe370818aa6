"""The slope at t = 0 of a function of one variable, judged as a component of a gradient is.

To the judge the function is an objective of one coordinate c = 1 + t / unit at c = 1.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Claim, Slope, SlopeSetting
from fastgrad._assess import Assessor
from fastgrad._inputs import Point
from fastgrad._judge.grid import generic_steps
from fastgrad._judge.refine import Closeup, look_closely
from fastgrad._judge.setting import ROUNDING, Setting
from fastgrad._judge.verdict import Flag, Verdict
from fastgrad._schedule import Evaluator, Status

Floats = NDArray[np.float64]
Values = Callable[[Floats], Floats]  # t -> f(x + t v), NaN where f raised

_NOTHING = Closeup(Verdict.INCONCLUSIVE, math.nan, math.inf, Flag.NON_FINITE, math.nan, None)


class OneVariable:
    """A function of one variable in the form in which an assessor measures the noise of an objective."""

    def __init__(self, values: Values, unit: float, dtype: np.dtype[Any]) -> None:
        self.point = Point(np.ones(1, dtype), (1,), 1.0)
        self.evaluations = 0
        self._values = values
        self._unit = unit

    def at(self, coordinate: Floats) -> Floats:
        """The function where the coordinate has these values."""
        self.evaluations += coordinate.size
        return self._values((coordinate - 1.0) * self._unit)

    def displaced(self, index: NDArray[np.int64], coordinate: Floats) -> tuple[Floats, Status]:
        """As an evaluator answers: values, and how each evaluation ended."""
        return self.at(coordinate), np.zeros(coordinate.size, np.uint8)

    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, Status]:
        """As an evaluator answers, at equally spaced values of the coordinate."""
        return self.at(1.0 + multiple * direction[0]), np.zeros(multiple.size, np.uint8)


def judge_slope(
    values: Values, value: float, claim: Claim, *, unit: float, reach: float, repeated: float, dtype: np.dtype[Any]
) -> Slope:
    """Judge a claimed slope: 24 evaluations that measure the noise, 4 to about 45 that look at the slope.

    `value` is the function at 0 and `repeated` by how much a second evaluation there differed; `unit` is the distance
    over which it varies, `reach` how far what is seen is evidence against the claim, both powers of two, and `dtype`
    the precision in which the function sees its variable. A mismatch seen from farther away is looked at again.
    """
    about: dict[str, Any] = {"repeated": repeated, "dtype": dtype}
    seen = _judge_within(values, value, claim, unit=unit, **about)
    whole = whole_change(value, claim.slope)
    if seen.verdict is Verdict.MISMATCH and seen.step > whole:
        near = _judge_within(values, value, claim, unit=whole, **about)
        seen = replace(near if near.verdict is Verdict.MATCH else seen, evaluations=seen.evaluations + near.evaluations)
    if seen.verdict is not Verdict.MISMATCH or not seen.step > reach:
        return seen
    closer = _judge_within(values, value, claim, unit=reach, **about)
    evaluations = seen.evaluations + closer.evaluations
    if closer.verdict is not Verdict.INCONCLUSIVE:
        return replace(closer, evaluations=evaluations)
    flags = seen.flags | Flag.UNCONFIRMED
    return replace(seen, verdict=Verdict.INCONCLUSIVE, flags=flags, evaluations=evaluations)


def whole_change(value: float, slope: float) -> float:
    """Where a function changes by its whole value if the claim is right, as a power of two; inf if that says nothing.

    A component at zero has no size: it may have moved so far that the claim, right as it is, shows nowhere.
    """
    if value == 0.0 or slope == 0.0 or not math.isfinite(slope):
        return math.inf
    return 2.0 ** max(-900, min(900, math.floor(math.log2(abs(value)) - math.log2(abs(slope)))))


def _judge_within(
    values: Values, value: float, claim: Claim, *, unit: float, repeated: float, dtype: np.dtype[Any]
) -> Slope:
    function = OneVariable(values, unit, dtype)
    claimed = np.array([claim.slope * unit])
    with np.errstate(all="ignore"):
        assessor = Assessor(
            cast(Evaluator, function), value, repeated, claimed, rtol=claim.rtol, noise=None, bounds=None
        )
        scale = assessor.unit
        seen, noise = _NOTHING, math.nan
        if math.isfinite(claim.slope) and math.isfinite(value):
            assessor.measure_noise()
            noise = max(assessor.setting.noise.largest / scale, ROUNDING * abs(value))
            size = claim.size * unit * scale
            setting = SlopeSetting(**{**vars(assessor.setting), "largest_product": size}, size=size)
            seen = _look(setting, function, scale)
    in_units = unit * scale
    return Slope(
        verdict=seen.verdict,
        analytical=claim.slope,
        numerical=seen.estimate / in_units,
        bar=seen.bar / in_units,
        size=claim.size,
        step=seen.step * unit,
        flags=seen.flags,
        sides=None if seen.slopes is None else (seen.slopes[0] / in_units, seen.slopes[1] / in_units),
        noise=noise,
        evaluations=function.evaluations,
    )


def _look(setting: Setting, function: OneVariable, scale: float) -> Closeup:
    """Hold the conversation of the judge about this one component."""
    index = np.zeros(1, np.int64)
    (step,) = generic_steps(setting.x, setting.automatic_step(index, 1.0), index, 1, setting.grid)
    talk = look_closely(setting, 0, float(step), {}, (-math.inf, math.inf))
    question = next(talk)
    while True:
        try:
            question = talk.send((function.at(np.array(question)) * scale).tolist())
        except StopIteration as stop:
            return cast(Closeup, stop.value)
