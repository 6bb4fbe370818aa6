"""A closer look at one component: a search over steps, written as a conversation.

`look_closely` is a generator. It yields lists of values of the coordinate at which it wants to know f, is sent f
there (NaN where f failed), and returns a Closeup. So the decisions are sequential and testable alone, while
whoever drives many of them evaluates all their requests at once.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from fastgrad._judge.grid import generic_steps, spacing
from fastgrad._judge.levels import central_level, one_sided_level
from fastgrad._judge.verdict import (
    NOISE_WIDTH,
    Flag,
    Level,
    Ruling,
    Setting,
    Verdict,
    is_resolved_match,
    judge_levels,
    kink_slopes,
    scatter,
    set_bars,
    shows_mismatch,
)

_MOST_LEVELS = 8
_FACTOR = 64.0  # largest change of the step from one level to the next
_WIDEN = 8.0
_GOOD_STEP = (0.3, 3.5)  # best step over this step: no better one is worth another level
_SMALLEST_IN_SPACINGS = 32.0
_CLOSEST = 3.5  # noise bars to the difference, at the smallest step worth looking at before a mismatch
_SAME_JUMP = (0.7, 1.43)
_STAIRCASE_NOISE = 2.0**-21  # of f: coarser noise may be a staircase

Talk = Generator[list[float], list[float], None]


@dataclass(frozen=True)
class Closeup:
    """What the search found out about a component."""

    verdict: Verdict
    estimate: float
    bar: float
    flags: Flag
    step: float
    slopes: tuple[float, float] | None  # forward and backward, at a kink


@dataclass
class _Search:
    setting: Setting
    i: int
    known: dict[float, float]  # f by value of the coordinate
    lower: float
    upper: float
    levels: list[Level] = field(default_factory=list)
    attempts: int = 1
    side: int = 0  # 0: central; +1, -1: one-sided, looking that way
    ceiling: float = math.inf  # steps above it met values that are not finite
    failures: int = 0
    jumped: bool = False
    met_non_finite: bool = False

    def __post_init__(self) -> None:
        self.x = float(self.setting.x[self.i])
        self.scale = float(self.setting.scale[self.i])
        grid = float(spacing(np.abs(self.x), self.setting.grid))
        self.floor = _SMALLEST_IN_SPACINGS * grid if self.x != 0.0 else 0.0
        self.reach = self.setting.noise.spacing_of_largest * self.scale / 32.0

    def generic(self, step: float) -> float:
        self.attempts += 1
        index = np.array([self.i])
        x, wanted = self.setting.x[index], np.array([step])
        return float(generic_steps(x, wanted, index, self.attempts, self.setting.grid)[0])

    def ask(self, points: list[float]) -> Generator[list[float], list[float], list[float]]:
        missing = [p for p in points if p not in self.known and self.lower <= p <= self.upper]
        if missing:
            values = yield missing
            self.known.update(zip(missing, values, strict=True))
        return [self.known.get(p, math.nan) for p in points]

    def look(self, step: float) -> Generator[list[float], list[float], Level | None]:
        """One level at this step, or None when it met values that are not finite (and what follows from that)."""
        sigma = float(self.setting.sigma(self.i, np.float64(step)))
        if self.side:
            points = [self.x + self.side * k * step for k in (1, 2, 4, 8)]
            values = yield from self.ask(points)
            if all(math.isfinite(f) for f in values):
                return self._keep(one_sided_level(step, self.setting.value, values, sigma, self.side))
            self._fail(step, points, values)
            return None
        points = [self.x - 2 * step, self.x - step, self.x + step, self.x + 2 * step]
        values = yield from self.ask(points)
        bad_below = not (math.isfinite(values[0]) and math.isfinite(values[1]))
        bad_above = not (math.isfinite(values[2]) and math.isfinite(values[3]))
        if not (bad_below or bad_above):
            return self._keep(central_level(self.x, step, self.setting.value, values, sigma))
        self._fail(step, points, values)
        if bad_below != bad_above and self.failures >= 2:
            self.side = -1 if bad_above else 1
        return None

    def _keep(self, level: Level) -> Level | None:
        if not (math.isfinite(level.estimate) and math.isfinite(level.truncation + level.bend + level.noise)):
            self._fail(level.step, [], [])
            return None
        self.levels.append(level)
        set_bars(self.levels)
        return level

    def _fail(self, step: float, points: list[float], values: list[float]) -> None:
        inside = [self.lower <= point <= self.upper for point in points]
        self.met_non_finite |= any(ok and not math.isfinite(f) for ok, f in zip(inside, values, strict=True))
        self.failures += 1
        self.ceiling = min(self.ceiling, step / 4.0)

    def descend(self, step: float, highest: float) -> Generator[list[float], list[float], bool]:
        """Move the step to where a bar is smallest; True as soon as a level matches."""
        for attempt in range(_MOST_LEVELS):
            if attempt > 0 or step > highest:
                step = self.generic(min(step, highest, self.ceiling if self.side == 0 else math.inf))
            level = yield from self.look(step)
            if level is None:
                step /= 256.0 if self.side == 0 else 4.0
                if step < self.floor and self.side == 0:
                    return False
                continue
            if is_resolved_match(self.setting, self.i, level):
                return True
            following = self._next_step(level, highest)
            if following is None:
                return False
            step = following
        return False

    def _next_step(self, level: Level, highest: float) -> float | None:
        error = level.truncation + level.bend
        ratio = (level.noise / (2.0 * error)) ** (1.0 / 3.0) if error > 0.0 else _FACTOR
        if error <= level.noise:
            # What looks like truncation may be noise (which makes half a bar of it): try a wider step, within reason.
            ratio = max(ratio, min(_WIDEN, float(self.setting.widest_step(self.i)) / level.step))
        if _GOOD_STEP[0] <= ratio <= _GOOD_STEP[1]:
            return None
        ratio = min(max(ratio, 1.0 / _FACTOR), _FACTOR)
        wanted = max(min(level.step * ratio, self.ceiling, highest), self.floor)
        same_jump = [other for other in self.levels if _same_jump(level, other)]
        if same_jump and not self.jumped:
            # A kink: go at once to where rounding begins to hide it, in case x is only near it.
            self.jumped = True
            near = 20.0 * level.noise / abs(level.slope_jump)
            wanted = max(level.step * min(1.0 / _FACTOR, near), self.floor)
        elif self.jumped and len(same_jump) >= 2:
            return None
        tried = [other.step for other in self.levels]
        if any(0.5 < wanted / other < 2.0 for other in tried):
            return None
        return _between(level.step, wanted, tried)

    def verify(self, ruling: Ruling) -> Talk:
        """Before a mismatch is said, look at smaller and larger scales; at most 4 levels.

        Downwards to where noise alone is a third of the difference: an oscillation finer than the steps so far
        averages out, convincingly, until one looks from closer than its period.
        """
        steps = sorted(level.step for level in self.levels)
        difference = abs(ruling.best.estimate - float(self.setting.analytical[self.i]))
        resolution = max(self.setting.noise.smallest, ruling.best.resolution)
        low = max(_CLOSEST * NOISE_WIDTH * resolution / difference, self.floor)
        top = min(float(self.setting.widest_step(self.i)), self.ceiling)
        wanted = []
        if low < steps[0] / 1.5:
            wanted.append(low)
        if low < steps[0] / _FACTOR:
            wanted.append(math.sqrt(low * steps[0]))
        if min(steps[-1] * _FACTOR, top) > 2.0 * steps[-1]:
            wanted.append(min(steps[-1] * _FACTOR, top))
        if steps[-1] * _FACTOR**2 <= top:
            wanted.append(steps[-1] * _FACTOR**2)
        for step in wanted:
            yield from self.look(self.generic(step))

    def confirm(self) -> Generator[list[float], list[float], bool]:
        """Whether a mismatch shows where f scatters no more than its noise explains; 1 level at most.

        Otherwise f may vary faster than the steps can follow, and all of them agree on an average that is not
        the derivative. Truncation scatters too, but falls with the cube of the step.
        """
        if not shows_mismatch(self.setting, self.i, self.levels):
            nearest = min(self.levels, key=lambda level: level.step)
            if scatter(nearest) > 1.0:
                closer = nearest.step / np.cbrt(4.0 * scatter(nearest))
                yield from self.look(self.generic(max(closer, self.floor)))
        return shows_mismatch(self.setting, self.i, self.levels)

    def has_second_scale(self) -> bool:
        """Whether f is much quieter close by than at the steps tried so far."""
        noise = self.setting.noise
        if not self.setting.depends_on_scale() or noise.spacing_of_largest <= noise.spacings[0]:
            return False
        return not any(level.step < self.reach / 2.0 for level in self.levels)

    def is_flat(self) -> bool:
        return all(len(set(level.values)) == 1 for level in self.levels)


def look_closely(
    setting: Setting, i: int, step: float, known: dict[float, float], bounds: tuple[float, float]
) -> Generator[list[float], list[float], Closeup]:
    """Judge component i, starting at `step`; `known` maps values of the coordinate to f there."""
    search = _Search(setting, i, known, *bounds)
    decided = yield from search.descend(step, math.inf)
    if not decided and search.has_second_scale():
        yield from search.descend(search.generic(search.reach / 3.0), search.reach / 2.0)
    if not search.levels:
        flags = Flag.NON_FINITE if search.met_non_finite else Flag.NO_ROOM
        return Closeup(Verdict.INCONCLUSIVE, math.nan, math.inf, flags, step, None)
    if setting.analytical[i] == 0.0 and search.is_flat():
        wide = yield from search.look(search.generic(float(setting.widest_step(i))))
        if wide is not None and search.is_flat() and setting.is_flat_enough(i, wide.step):
            return Closeup(Verdict.MATCH, 0.0, wide.bar, Flag.CONSTANT, wide.step, None)
    ruling = judge_levels(setting, i, search.levels)
    if ruling.verdict is Verdict.MISMATCH:
        yield from search.verify(ruling)
        ruling = judge_levels(setting, i, search.levels)
        if ruling.verdict is Verdict.MISMATCH and not (yield from search.confirm()):
            ruling = Ruling(Verdict.INCONCLUSIVE, ruling.best, ruling.flags | Flag.SCALE)
        if ruling.verdict is Verdict.MISMATCH and (yield from _is_staircase(search)):
            ruling = Ruling(Verdict.INCONCLUSIVE, ruling.best, ruling.flags | Flag.STAIRCASE)
    return _conclude(search, ruling)


def _is_staircase(search: _Search) -> Generator[list[float], list[float], bool]:
    """Whether f is flat close to x while its noise is coarse: then a zero derivative is as right as any."""
    setting, i = search.setting, search.i
    if setting.analytical[i] != 0.0 or setting.noise.smallest <= _STAIRCASE_NOISE * abs(setting.value):
        return False
    step = search.scale * 2.0**-40
    values = yield from search.ask([search.x - 2 * step, search.x - step, search.x + step, search.x + 2 * step])
    return all(f == setting.value for f in values)


def _conclude(search: _Search, ruling: Ruling) -> Closeup:
    flags = ruling.flags
    slopes = kink_slopes(search.levels)
    if slopes is not None:
        flags |= Flag.KINK
    if search.side:
        flags |= Flag.ONE_SIDED
    if search.met_non_finite:
        flags |= Flag.NON_FINITE
    best = ruling.best
    if ruling.verdict is Verdict.INCONCLUSIVE and slopes is None and best.bar > 0.0:
        noise = best.bar - best.truncation - best.bend
        if noise > best.truncation + best.bend or noise > search.setting.tolerance(search.i, best.estimate):
            flags |= Flag.NOISE
    return Closeup(ruling.verdict, best.estimate, best.bar, flags, best.step, slopes)


def _same_jump(level: Level, other: Level) -> bool:
    """Whether a slope jump is the same at a step eight times larger: a kink, not curvature."""
    if other.step <= 8.0 * level.step or other.slope_jump * level.slope_jump <= 0.0:
        return False
    low, high = _SAME_JUMP
    same = low < other.slope_jump / level.slope_jump < high
    return same and abs(level.slope_jump) > 3.0 * max(level.noise, other.noise)


def _between(step: float, wanted: float, tried: list[float]) -> float:
    """The wanted step, or the geometric middle on the way to it if a tried step lies between."""
    if wanted > step:
        passed = [other for other in tried if step * 1.5 < other <= wanted]
        return math.sqrt(step * min(passed)) if passed else wanted
    passed = [other for other in tried if wanted <= other < step / 1.5]
    return math.sqrt(step * max(passed)) if passed else wanted
