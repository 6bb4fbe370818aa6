"""The judge: what the numbers of a difference say about an analytical gradient. Pure NumPy, evaluates nothing."""

import enum
import math
from dataclasses import dataclass

import numpy as np

from fastgrad._judge.setting import Setting


class Verdict(enum.Enum):
    """What a check found."""

    MATCH = "match"
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"


# Verdicts of single components are kept as small integers: positions in this tuple.
VERDICTS = (Verdict.INCONCLUSIVE, Verdict.MATCH, Verdict.MISMATCH)
INCONCLUSIVE, MATCH, MISMATCH = range(3)


class Flag(enum.IntFlag):
    """What else is known of a component; several are combined with ``|``.

    Attributes
    ----------
    NONE
        0: nothing.
    ABSOLUTE
        1: too small to be resolved; seen to be small in the analytical gradient too.
    KINK
        2: the slopes on the two sides differ, however near one looks.
    SCALE
        4: differences at two scales contradict each other.
    ONE_SIDED
        8: at a bound, or f is not defined on one side.
    NON_FINITE
        16: f was NaN or infinite, or raised, near x.
    NOISE
        32: the error bar is wider than the tolerance because of the noise of f.
    STATIONARY
        64: undecided because x is a stationary point: both gradients vanish within the bars at all components.
    CONSTANT
        128: f does not depend on this coordinate.
    STAIRCASE
        256: f is flat at small scale and steps at a larger one.
    UNCONFIRMED
        512: left open by first differences, and not looked at closely: enough was seen, or spent.
    PLAIN
        1024: agreed at the first step; the bar is that of agreement, not of truncation.
    NO_ROOM
        2048: the bounds leave no room for a step.
    """

    NONE = 0
    ABSOLUTE = 1
    KINK = 2
    SCALE = 4
    ONE_SIDED = 8
    NON_FINITE = 16
    NOISE = 32
    STATIONARY = 64
    CONSTANT = 128
    STAIRCASE = 256
    UNCONFIRMED = 512
    PLAIN = 1024
    NO_ROOM = 2048


@dataclass
class Level:
    """A derivative estimate at one step, with its error bar and what the bar is made of."""

    step: float
    estimate: float
    truncation: float
    bend: float  # fourth difference: half of a slope jump that does not vanish with the step
    noise: float
    resolution: float  # smallest noise that these values can have
    local_noise: float  # from the values of this level alone, times the step
    noise_factor: float
    slope_jump: float
    slopes: tuple[float, float]  # forward, backward
    values: tuple[float, ...]
    bar: float = math.inf


LOCAL_NOISE_WIDTH = 4.0
MISMATCH_BARS = 5.0  # bars that a difference must exceed before it is called an error
_LARGE_SCALE = 1.0 / 32.0  # a step reaches a spacing of the noise tables at this share of it


def set_bars(levels: list[Level]) -> list[Level]:
    """Levels by ascending step, each with its bar: truncation, bend, and the larger of both views of the noise."""
    ordered = sorted(levels, key=lambda level: level.step)
    local = 0.0
    for level in ordered:
        local = max(local, level.local_noise)
        noise = max(level.noise, level.noise_factor * LOCAL_NOISE_WIDTH * local / level.step)
        level.bar = level.truncation + level.bend + noise
    return ordered


def uncontradicted(ordered: list[Level]) -> list[Level]:
    """Levels whose interval overlaps those of all smaller steps."""
    return [
        level
        for k, level in enumerate(ordered)
        if not any(abs(level.estimate - near.estimate) > level.bar + near.bar for near in ordered[:k])
    ]


@dataclass(frozen=True)
class Ruling:
    """Judgement on one component."""

    verdict: Verdict
    best: Level
    flags: Flag


def _gap(setting: Setting, i: int, level: Level) -> float:
    """Distance from the analytical value to the far end of the interval."""
    return float(abs(level.estimate - setting.analytical[i]) + level.bar)


def _size(setting: Setting, i: int, level: Level) -> float:
    return float(max(abs(setting.analytical[i]), abs(level.estimate)))


@np.errstate(over="ignore", invalid="ignore")
def is_resolved_match(setting: Setting, i: int, level: Level) -> bool:
    """Whether the whole interval of a level lies within the tolerance around the analytical value."""
    return bool(_gap(setting, i, level) <= setting.tolerance(i, level.estimate) < math.inf)


@np.errstate(over="ignore", invalid="ignore")  # what overflows is infinitely far away, or within an infinite bar
def judge_levels(setting: Setting, i: int, levels: list[Level]) -> Ruling:
    """Judge a component on all levels seen.

    A match needs one level whose interval lies within the tolerance: agreement at any honest scale is no accident.
    A mismatch needs five bars at the best level, and no other level that could still agree.
    """
    ordered = set_bars(levels)
    sound = uncontradicted(ordered)
    # From afar f may have become another function, whose slope is no estimate of this one, however small the bar.
    best = min([level for level in sound if setting.is_near(i, level.step)] or sound, key=lambda level: level.bar)
    flags = Flag.SCALE if len(sound) < len(ordered) else Flag.NONE
    matching = [level for level in ordered if is_resolved_match(setting, i, level)]
    relative = [level for level in matching if _gap(setting, i, level) <= setting.rtol * _size(setting, i, level)]
    convincing = relative or [level for level in matching if setting.is_near(i, level.step)]
    if convincing:
        level = min(convincing, key=lambda level: level.bar)
        return Ruling(Verdict.MATCH, level, flags if relative else flags | Flag.ABSOLUTE)
    difference = abs(best.estimate - setting.analytical[i])
    tolerance = setting.tolerance(i, best.estimate)
    if (
        difference > best.bar + tolerance
        and difference >= MISMATCH_BARS * best.bar
        and not _some_level_agrees(setting, i, ordered, difference)
    ):
        return Ruling(Verdict.MISMATCH, best, flags)
    is_small = difference <= best.bar <= setting.absolute_tolerance(i) < math.inf
    if is_small and setting.is_near(i, best.step) and setting.is_calm(i, best.step):
        return Ruling(Verdict.MATCH, best, flags | Flag.ABSOLUTE)
    return Ruling(Verdict.INCONCLUSIVE, best, flags)


def _some_level_agrees(setting: Setting, i: int, ordered: list[Level], difference: float) -> bool:
    def agrees(level: Level) -> bool:
        gap = abs(level.estimate - setting.analytical[i])
        return bool(gap <= level.bar + setting.tolerance(i, level.estimate))

    if any(agrees(level) and level.bar <= difference / 2 for level in ordered if setting.is_near(i, level.step)):
        return True
    if not setting.depends_on_scale():
        return False
    reach = setting.noise.spacing_of_largest * setting.scale[i] * _LARGE_SCALE
    wide = [level for level in ordered if level.step >= reach]
    return bool(wide) and all(agrees(level) and not _excludes_by_itself(setting, i, level) for level in wide)


def _excludes_by_itself(setting: Setting, i: int, level: Level) -> bool:
    """Whether the values of a level alone are far from the claim: noise of other coordinates does not excuse it."""
    own = level.truncation + level.bend + level.noise_factor * LOCAL_NOISE_WIDTH * level.local_noise / level.step
    gap = abs(level.estimate - setting.analytical[i])
    return bool(gap > MISMATCH_BARS * own + setting.tolerance(i, level.estimate))
