"""What all components of one check share: sizes, tolerances, noise, and the steps that suit them. Pure NumPy."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.grid import generic_steps
from fastgrad._judge.noise import NoiseModel

Floats = NDArray[np.float64]

NOISE_WIDTH = 6.0  # half width of a bar in standard deviations of the noise measured once for all of f
ROUNDING = 0.6 * 2.0**-53  # standard deviation of rounding a result, at the very least
SMALLEST_SCALE = 1e-290  # products with a denormal scale would lose their digits, and divisions by it overflow
GRADIENT_ROUNDINGS = 4.0  # of its largest product, that a computed gradient may be off by
MOST_ROUNDING = 0.01  # of the tolerance of the largest component, that is allowed for them
FAR_AWAY = 16.0  # scales of a coordinate
_WIDEST_STEP = 0.1  # of the scale of a coordinate
_NOISIER = 8.0  # so many times the noise close by is another noise
_ROUNDING_INSIDE = 2.0**-42  # of f: what ordinary programs lose, more at some spacings than at others
_NARROWEST_STEP = 2.0**-30
_SMALLEST_PART = 1e-6  # of the largest x_i g_i: components below are looked at with the step that suits this one
# Relative to its scale, a first step is not made wider than this for the sake of precision that nobody asked for:
# ordinary curvature would pass for a kink there.
_WIDEST_BALANCE = 1e-5
_NEXT_TO_NOTHING = 2.0**-40  # of a typical |x_i|: what is left of zero by rounding, as in sin(pi)
_ROOM_IN_TOLERANCE = 3.5  # noise bars at the first step that fit into the tolerance


@dataclass(frozen=True)
class Setting:
    """What all components of one check share. Values of f and derivatives are in units that avoid overflow."""

    x: Floats
    extent: Floats  # |x_i|, or zero if it is next to nothing
    analytical: Floats  # finite; zero where the given one is not
    scale: Floats  # s_i, the distance over which coordinate i varies
    typical: float  # median of the scales
    value: float  # f(x)
    rtol: float
    precision: float  # machine epsilon of the analytical gradient
    noise: NoiseModel
    grid: np.dtype[Any]  # the numbers that steps are multiples of
    largest_product: float  # max |g_i| s_i
    mean_product: float  # its root mean square
    largest_gradient: float
    far_change: float = math.nan  # of f, where all coordinates move far; NaN before anybody looked

    def tolerance(self, i: Any, value: Any) -> Any:
        """By how much a resolved component may differ: rtol, and the rounding of the analytical gradient itself.

        The second term is capped, lest it excuse real errors of components with a tiny scale.
        """
        rounding = GRADIENT_ROUNDINGS * self.precision * self.largest_product / self.scale[i]
        size = np.maximum(np.abs(self.analytical[i]), np.abs(value))
        return self.rtol * size + np.minimum(rounding, MOST_ROUNDING * self.rtol * self.largest_gradient)

    def absolute_tolerance(self, i: Any) -> Any:
        """Below this a component that cannot be resolved does not matter next to the others."""
        return self.rtol * np.minimum(self.mean_product / self.scale[i], self.largest_gradient)

    def sigma(self, i: Any, step: Any) -> Any:
        """Standard deviation of the noise that a step in coordinate i meets."""
        return self.noise.at(step / self.scale[i])

    def depends_on_scale(self) -> bool:
        return self.noise.depends_on_scale(ROUNDING * abs(self.value))

    def widest_step(self, i: Any) -> Any:
        return _WIDEST_STEP * np.maximum(self.scale[i], self.typical)

    def widest_first_step(self, i: Any) -> Any:
        """How wide a first step may be: the coordinate's own size says how far f can be trusted to be defined."""
        return _WIDEST_STEP * self.scale[i]

    def is_near(self, i: Any, step: Any) -> Any:
        """Whether a step stays within the coordinate's own size: beyond it f may have become another function.

        Far away saturated terms are flat, so a small difference there speaks neither for nor against a gradient.
        """
        return (step <= self.extent[i]) | (self.extent[i] == 0.0)

    def is_within(self, i: Any, step: Any) -> Any:
        """The same for an accusation: what is next to nothing may still have units of its own, as in x log x."""
        magnitude = np.abs(self.x[i])
        return (step <= magnitude) | (magnitude == 0.0)

    def is_calm(self, i: Any, step: Any) -> Any:
        """Whether f is about as quiet over a step as it is close by.

        What looks like noise from afar only may be an oscillation, whose differences over a wide step are small
        whatever the derivative is.
        """
        return self.sigma(i, step) <= self._calm_noise()

    def calm_step(self, i: int) -> float:
        """The widest step over which f is as quiet as close by; infinite if it is so over any."""
        quiet, noise = self._calm_noise(), self.noise
        noisy = [spacing for spacing, sigma in zip(noise.spacings, noise.sigmas, strict=True) if sigma > quiet]
        return float(self.scale[i]) * noisy[0] / 64.0 if noisy else math.inf

    def _calm_noise(self) -> Any:
        return _NOISIER * np.maximum(self.noise.smallest, _ROUNDING_INSIDE * np.abs(self.value))

    def far_away(self, i: Any) -> Any:
        """Far beyond the size of a coordinate: there it only counts that f changes, not how."""
        return FAR_AWAY * self.scale[i]

    def is_flat_enough(self, i: Any, step: Any) -> Any:
        """Whether values of f that are equal to the bit over a step show that coordinate i does not matter.

        They do not where f is so large that a change of the size of the other components would be rounded away; or, if
        all of the gradient is zero, a slope that makes f change as it does far away.
        """
        rounding = NOISE_WIDTH * ROUNDING * np.abs(self.value)
        moves = self.far_change > rounding  # not if it is NaN
        may_hide = moves & (rounding / step * self.far_away(i) > self.rtol * self.far_change)
        return np.where(self.largest_product == 0.0, ~may_hide, rounding / step <= self.absolute_tolerance(i))

    def generic_step(self, i: int, step: float, attempt: int) -> float:
        """One near the wanted step, with generic bits; another one at each attempt."""
        index = np.array([i])
        return float(generic_steps(self.x[index], np.array([step]), index, attempt, self.grid)[0])

    def automatic_step(self, i: Any, multiplier: float) -> Floats:
        """Where noise and truncation of a central difference balance if f''' is about f' / s^2, or a narrower one.

        At least so wide that the noise cannot reach the tolerance, and no wider than that needs where the curvature
        of f would show.
        """
        scale = self.scale[i]
        part = np.maximum(np.abs(self.analytical[i]) * scale, _SMALLEST_PART * self.largest_product)
        part = np.where(part > 0.0, part, np.where(self.value != 0.0, np.abs(self.value), 1.0))
        level = np.maximum(self.noise.largest, ROUNDING * np.abs(self.value))
        sigma = np.where(level > 0.0, level, 2.0**-53 * part)
        balance = np.minimum(np.cbrt(3.0 * sigma / part), _WIDEST_BALANCE)
        least = _ROOM_IN_TOLERANCE * NOISE_WIDTH * sigma / (self.rtol * part)
        # A multiplier below 1 finds f more curved than assumed, one above 1 flatter or noisier.
        wanted = np.maximum(min(multiplier, 1.0) * balance, np.minimum(least, _WIDEST_STEP)) * max(multiplier, 1.0)
        return np.asarray(scale * np.maximum(wanted, _NARROWEST_STEP))


def make_setting(
    x: Floats,
    analytical: Floats,
    value: float,
    *,
    rtol: float,
    precision: float,
    noise: NoiseModel,
    grid: Any,
) -> Setting:
    """Scales and sizes of a problem; the noise can be replaced later.

    A coordinate that is tiny beside the others has units of its own, unless a step of its own size would, by the
    claimed gradient, be lost in the rounding of f: it then counts as zero.
    """
    moving = np.abs(x[x != 0.0])
    typical = float(np.median(moving)) if moving.size else 1.0
    extent = np.abs(x)
    with np.errstate(all="ignore"):
        is_lost = NOISE_WIDTH * ROUNDING * abs(value) > rtol * np.abs(analytical) * extent
    extent[is_lost & (analytical != 0.0) & (extent <= _NEXT_TO_NOTHING * typical)] = 0.0
    scale = np.where(extent > 0.0, extent, typical)
    if value != 0.0:
        at_zero = np.flatnonzero((extent == 0.0) & (analytical != 0.0))
        scale[at_zero] = np.minimum(typical, abs(value) / np.abs(analytical[at_zero]))
    scale = np.maximum(scale, SMALLEST_SCALE)
    return Setting(
        x,
        extent,
        analytical,
        scale,
        typical,
        value,
        rtol,
        precision,
        noise,
        np.dtype(grid),
        *_sizes(analytical, x, scale),
    )


def _sizes(gradient: Floats, x: Floats, scale: Floats) -> tuple[float, float, float]:
    """Largest |g_i| s_i, their root mean square, and the largest |g_i|.

    What is next to nothing contributes what it moves f by itself, lest a large g_i makes others look small.
    """
    product = np.abs(gradient) * np.where(x != 0.0, np.minimum(np.abs(x), scale), scale)
    largest = float(product.max())
    mean = largest * float(np.sqrt(np.mean((product / largest) ** 2))) if largest > 0.0 else 0.0
    return largest, mean, float(np.abs(gradient).max())


def with_sizes_of(setting: Setting, gradient: Floats) -> Setting:
    """The same problem, in which what is small next to others is told by this gradient."""
    largest_product, mean_product, largest_gradient = _sizes(gradient, setting.x, setting.scale)
    return replace(
        setting, largest_product=largest_product, mean_product=mean_product, largest_gradient=largest_gradient
    )


def with_noise(setting: Setting, noise: NoiseModel, grid: Any) -> Setting:
    return replace(setting, noise=noise, grid=np.dtype(grid))
