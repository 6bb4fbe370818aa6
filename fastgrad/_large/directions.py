"""What the numbers of a direction say: estimate, bar, kink, and the estimate of E from several. Pure arithmetic.

A direction v is probed at x + c t v for c in 1, 2, 4 and both signs. Of y = (grad f - a) . v the odd parts give an
estimate of fourth order with its truncation, the even parts tell a kink in the stencil from a smooth f.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.setting import NOISE_WIDTH
from fastgrad._large.intervals import chi_square_quantile

Floats = NDArray[np.float64]

STENCIL = np.array([1.0, 2.0, 4.0])
PAIR_NOISE = math.sqrt(0.5)  # of one central difference, in units of eta / t
STENCIL_NOISE = 0.95  # of the extrapolated estimate
KINK_NOISE = 4.66  # of the intercept of the even parts
_TRUNCATION_SAFETY = 4.0
_CONFIDENCE = 0.99


@dataclass(frozen=True)
class Direction:
    """One direction as it was measured; y in units of f."""

    key: int
    step: float
    estimate: float  # of y = (grad f - a) . v
    spread: float  # between the two extrapolations
    first: float  # y at t and at 2 t, not extrapolated
    second: float
    intercept: float  # of the even parts at c = 0: zero for a smooth f, about 2 y at a kink
    slope: float  # a . v
    square: float  # sum (a_i v_i)^2
    noise: float  # standard deviation of f
    rounding: float  # of the analytical directional derivative

    @property
    def bar(self) -> float:
        """Half width that a right gradient stays within."""
        return NOISE_WIDTH * STENCIL_NOISE * self.noise / self.step + self.bias

    @property
    def bias(self) -> float:
        """The part of it that noise has no share in, and that does not average out over directions."""
        return _TRUNCATION_SAFETY * self.spread / 15.0 + self.rounding

    @property
    def is_flagged(self) -> bool:
        """Whether the two directional derivatives differ by more than the bar."""
        return not abs(self.estimate) <= self.bar

    @property
    def is_kinked(self) -> bool:
        """Whether the even part is large enough to explain the mismatch; then it is no evidence."""
        return self.is_flagged and not abs(self.intercept) <= max(abs(self.estimate), self.kink_bar)

    @property
    def kink_bar(self) -> float:
        """What noise can make of the even part."""
        return 4.0 * KINK_NOISE * self.noise / self.step

    @property
    def curvature(self) -> float:
        """C in truncation = C t^2 of a single difference."""
        return abs(self.second - self.first) / (3.0 * self.step**2)

    def with_noise(self, noise: float) -> "Direction":
        """The same measurement under a revised noise level."""
        return Direction(**{**self.__dict__, "noise": noise})


def measure(
    key: int, step: float, value: float, around: tuple[Floats, Floats, Floats, Floats], noise: float, precision: float
) -> Direction:
    """A direction from f above and below at t, 2 t, 4 t, the analytical products, and the sum of squares."""
    above, below, product, square = around
    t = STENCIL * step
    with np.errstate(all="ignore"):
        y1, y2, y4 = (float(y) for y in ((above - below) - product) / (2.0 * t))
        even = ((above - value) + (below - value)) / t
        slope = float(product[0] / (2.0 * step))
        near, far = (4.0 * y1 - y2) / 3.0, (4.0 * y2 - y4) / 3.0
    return Direction(
        key=key,
        step=step,
        estimate=near,
        spread=abs(near - far),
        first=y1,
        second=y2,
        intercept=even_intercept(even),
        slope=slope,
        square=float(square[0]),
        noise=noise,
        rounding=4.0 * precision * math.sqrt(float(square[0])),
    )


def even_intercept(even: Floats) -> float:
    """[f(x + c h) + f(x - c h) - 2 f(x)] / (c h) for c in 1, 2, 4, extrapolated to c = 0: the jump of the slope."""
    e1, e2, e4 = (float(e) for e in even)
    return (16.0 * e1 - 10.0 * e2 + e4) / 7.0


@dataclass(frozen=True)
class ErrorEstimate:
    """What K directions say about E = ||S d|| / ||S grad f||, S the scales of the components."""

    error: float
    low: float  # 99 % confidence
    high: float
    floor: float  # root mean square bar of a direction, in the same units
    norm: float  # the denominator, in units of f
    root_mean_square: float  # of the mismatches, in units of f


def estimate_error(directions: Sequence[Direction], usable: Sequence[Direction]) -> ErrorEstimate:
    """Unbiased estimate of E^2 with a chi-square interval, from the directions that are no kink.

    The interval holds what truncation may have added to each direction or taken away.
    """
    used = usable or directions
    y = np.array([d.estimate for d in used])
    bias = np.array([d.bias for d in used])
    nearest, farthest = np.maximum(np.abs(y) - bias, 0.0), np.abs(y) + bias
    variance = float(np.mean([(STENCIL_NOISE * d.noise / d.step) ** 2 for d in used]))
    slopes = math.sqrt(float(np.mean([(d.estimate + d.slope) ** 2 for d in directions])))
    norm = max(math.sqrt(float(np.mean([d.square for d in directions]))), slopes, np.finfo(float).tiny)
    mean, count, tail = float(np.mean(y**2)), len(used), 0.5 * (1.0 - _CONFIDENCE)
    low = count * float(np.mean(nearest**2)) / chi_square_quantile(1.0 - tail, count) - variance
    high = count * float(np.mean(np.maximum(farthest**2, variance))) / chi_square_quantile(tail, count)
    return ErrorEstimate(
        error=math.sqrt(max(mean - variance, 0.0)) / norm,
        low=math.sqrt(max(low, 0.0)) / norm,
        high=math.sqrt(high) / norm,
        floor=math.sqrt(float(np.mean([d.bar**2 for d in used]))) / norm,
        norm=norm,
        root_mean_square=math.sqrt(mean),
    )
