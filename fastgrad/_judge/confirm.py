"""What has to be seen before a component is called wrong, and when f has a kink instead. Pure arithmetic."""

import itertools
import math

import numpy as np

from fastgrad._judge.setting import NOISE_WIDTH, Setting
from fastgrad._judge.verdict import LOCAL_NOISE_WIDTH, MISMATCH_BARS, Level

_CONFIRMING_BARS = 2.0  # that a difference must exceed at a clearly different step too


def scatter(level: Level) -> float:
    """Local noise of a level over three standard deviations of the noise that was measured."""
    measured = level.noise / (NOISE_WIDTH * level.noise_factor)
    return level.local_noise / level.step / (3.0 * measured) if measured > 0.0 else 0.0


def is_quiet(level: Level, difference: float) -> bool:
    """Whether f follows a cubic across the level, to within its noise or to 1e-4 of the difference in question."""
    return scatter(level) <= 1.0 or level.local_noise / level.step <= 1e-4 * difference


@np.errstate(over="ignore", invalid="ignore")
def shows_mismatch(setting: Setting, i: int, levels: list[Level]) -> bool:
    """Whether two quiet levels of clearly different steps (any two, if there is a kink) exclude the analytical value.

    Both near x, one by five bars, the other by two. A single level can be fooled: an f that oscillates faster than
    the step averages out, at times to values that scatter no more than noise.
    """
    kinked = kink_slopes(levels) is not None
    shown = {}
    for level in levels:
        difference = abs(level.estimate - setting.analytical[i])
        trusted = setting.is_within(i, level.step) and (kinked or is_quiet(level, difference))
        if trusted and difference > level.bar + setting.tolerance(i, level.estimate):
            shown[level.step] = difference / level.bar if level.bar > 0.0 else math.inf
    return any(
        bars >= MISMATCH_BARS and others >= _CONFIRMING_BARS and max(step, other) >= 3.0 * min(step, other)
        for step, bars in shown.items()
        for other, others in shown.items()
    )


def kink_slopes(levels: list[Level]) -> tuple[float, float] | None:
    """Forward and backward slope close to x, if they differ by the same at steps far apart."""
    ordered = sorted((level for level in levels if level.slope_jump != 0.0), key=lambda level: level.step)
    for near, far in itertools.pairwise(ordered):
        if far.step <= 16.0 * near.step or far.slope_jump * near.slope_jump <= 0.0:
            continue
        smallest = min(abs(near.slope_jump), abs(far.slope_jump))
        noise = max(_noise_of_jump(near), _noise_of_jump(far))
        steady = 0.5 < near.slope_jump / far.slope_jump < 2.0
        if steady and smallest > noise and abs(near.slope_jump) > 1e-3 * abs(near.estimate):
            return near.slopes if near.noise < 1e-3 * smallest else far.slopes
    return None


def _noise_of_jump(level: Level) -> float:
    # A kink alone makes the local noise look like 0.7 of its jump, so that is taken once and the other thrice.
    return max(3.0 * level.noise, LOCAL_NOISE_WIDTH * level.local_noise / level.step)
