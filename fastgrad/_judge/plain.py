"""The first central difference of every component: what it may accept, and which step would have suited better."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING, Floats, Setting

STRAIGHT = 1e-3  # of the slope: smaller jumps between the slopes on both sides are curvature
# Truncation is a jump times step over 6 L, if f varies over L. The scale of a coordinate may be 20 L or so: a jump of
# this many tolerances, times scale over step, may hide a truncation of the tolerance.
UNSEEN = 0.3
JUMP_NOISE = 4.0  # noise bars that the jump between noisy slopes may reach
_MARGIN = 1.4  # by which a step foretold to suit must suit, because it is varied by a quarter
_FACTORS = tuple(sorted((2.0**k for k in range(-14, 15)), key=lambda factor: abs(math.log(factor))))

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PlainJudgement:
    """What the first central difference says: agreement certifies itself, disagreement says nothing yet."""

    agrees: Mask
    absolute: Mask  # agrees, but only as a component too small to be resolved
    bar: Floats
    suspicion: Floats  # |difference| over the tolerance


@dataclass(frozen=True)
class _Parts:
    """What agreement is read from, for some components."""

    sound: Mask
    difference: Floats
    noise: Floats  # what noise alone can make of the difference
    slope_jump: Floats
    size: Floats
    tolerance: Floats
    room: Floats  # for jumps that are not seen as truncation, as a share of the slope

    @property
    def resolved(self) -> Mask:
        """Whether difference and noise lie within the tolerance and f is straight: a kink would show in its slopes."""
        straight = np.minimum(STRAIGHT, self.room) * self.size
        bend = np.maximum(np.maximum(straight, JUMP_NOISE * self.noise), self.tolerance)
        half = self.tolerance / 2
        return np.asarray((self.difference <= half) & (self.noise <= half) & (self.slope_jump <= bend))

    def foretold(self, factor: Any) -> "_Parts":
        """At steps wider by a factor: noise falls as 1 / step, the jump grows as the step, truncation as its square."""
        scattered, uneven = np.minimum(self.difference, self.noise), np.minimum(self.slope_jump, self.noise)
        return _Parts(
            sound=self.sound,
            difference=_MARGIN * ((self.difference - scattered) * factor**2 + scattered / factor),
            noise=_MARGIN * self.noise / factor,
            slope_jump=_MARGIN * ((self.slope_jump - uneven) * factor + uneven / factor),
            size=self.size,
            tolerance=self.tolerance,
            room=self.room / factor,
        )


def _parts(setting: Setting, index: Index, step: Floats, above: Floats, below: Floats, quotient: Floats) -> _Parts:
    sigma = np.maximum(setting.sigma(index, step), ROUNDING * np.maximum(np.abs(above), np.abs(below)))
    analytical, tolerance = setting.analytical[index], setting.tolerance(index, quotient)
    return _Parts(
        sound=np.isfinite(above) & np.isfinite(below) & np.isfinite(quotient) & np.isfinite(tolerance),
        difference=np.abs(quotient - analytical),
        noise=NOISE_WIDTH / math.sqrt(2.0) * sigma / step,
        slope_jump=np.abs((above - setting.value) - (setting.value - below)) / step,
        size=np.maximum(np.abs(quotient), np.abs(analytical)),
        tolerance=tolerance,
        room=UNSEEN * setting.rtol * setting.scale[index] / step,
    )


@np.errstate(all="ignore")
def judge_plain(
    setting: Setting, index: Index, step: Floats, above: Floats, below: Floats, quotient: Floats
) -> PlainJudgement:
    """Judge central differences at coordinates `index`. Never accuses: two values cannot show truncation."""
    seen = _parts(setting, index, step, above, below, quotient)
    resolved = seen.resolved
    absolute_tolerance = setting.absolute_tolerance(index)
    small = (seen.difference <= seen.noise) & (seen.noise <= absolute_tolerance / 2) & ~resolved
    small &= seen.slope_jump <= np.maximum(JUMP_NOISE * seen.noise, absolute_tolerance)
    if small.any():
        small &= setting.is_calm(index, step)
    relative = resolved & (np.maximum(seen.difference, seen.noise) <= setting.rtol * seen.size)
    agrees = seen.sound & (relative | ((resolved | small) & setting.is_near(index, step)))
    if np.any(setting.noise.is_flat):  # f stands still in every direction: a value that stays the same says nothing
        agrees &= np.logical_not(setting.noise.is_flat) | (above != setting.value) | (below != setting.value)
    suspicion = np.where(seen.sound, seen.difference / np.maximum(seen.tolerance, 1e-300), np.inf)
    return PlainJudgement(agrees, agrees & ~relative, seen.noise + seen.difference, suspicion)


@dataclass(frozen=True)
class Advice:
    """Which steps would have suited better. It decides nothing."""

    multiplier: float  # of the rule, for components like these; below 1 if clearly more of them gain than lose
    factor: Floats  # for each component, that nearest to 1 at which it will agree if it is right; NaN if none


@np.errstate(all="ignore")
def advise(setting: Setting, index: Index, step: Floats, above: Floats, below: Floats, quotient: Floats) -> Advice:
    """Foretell from one central difference of each component how it would fare at other steps.

    A factor is given only where the difference is too large: if the slopes alone are in doubt, the values that a
    closer look adds to this step settle it.
    """
    seen = _parts(setting, index, step, above, below, quotient)
    agree = np.stack([seen.sound & seen.foretold(factor).resolved for factor in _FACTORS])
    factor = np.where(agree.any(axis=0), np.array(_FACTORS)[np.argmax(agree, axis=0)], np.nan)
    narrower = [factor for factor in _FACTORS if factor <= 1.0]
    by_rule = [seen.foretold(setting.automatic_step(index, factor) / step).resolved for factor in narrower]
    counts = np.count_nonzero(np.stack(by_rule) & seen.sound, axis=1)
    best = int(np.argmax(counts))  # of equals that nearest to 1, which comes first
    gained = counts[best] > np.count_nonzero(seen.sound & seen.resolved) + index.size // 16
    return Advice(
        multiplier=narrower[best] if gained else 1.0,
        factor=np.where(seen.difference > seen.tolerance / 2, factor, np.nan),
    )
