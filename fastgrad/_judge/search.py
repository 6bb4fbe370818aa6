"""The search over steps for one component: where to look next, and when another look is not worth it.

Methods that want to know f are generators. They yield values of the coordinate and are sent f there, NaN where it
failed.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from fastgrad._judge.confirm import scatter, shows_mismatch
from fastgrad._judge.grid import spacing
from fastgrad._judge.levels import central_level, one_sided_level
from fastgrad._judge.setting import NOISE_WIDTH, Setting
from fastgrad._judge.verdict import LOCAL_NOISE_WIDTH, Level, Ruling, is_resolved_match, set_bars

_MOST_LEVELS = 8
_FACTOR = 64.0  # largest change of the step from one level to the next
_WIDEN = 8.0
_WIDER = 16.0
_GOOD_STEP = (0.3, 3.5)  # best step over this step: no better one is worth another level
_SMALLEST_IN_SPACINGS = 32.0
_CLOSEST = 3.5  # noise bars to the difference, at the smallest step worth looking at before a mismatch
_SAME_JUMP = (0.7, 1.43)
_SAME_SCATTER = 3.0
_STRANGE = 1e3  # scatter over the noise that was measured
_SECOND = 5.0  # between the steps of two levels that confirm each other; they are varied by a quarter
_NEXT_TO = 0.1  # logarithm: steps nearer to each other show the same

Talk = Generator[list[float], list[float], None]


@dataclass
class Search:
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
    bent: Level | None = None  # the level at which f first bent more than its noise explains
    met_non_finite: bool = False

    def __post_init__(self) -> None:
        self.x = float(self.setting.x[self.i])
        self.scale = float(self.setting.scale[self.i])
        grid = float(spacing(np.abs(self.x), self.setting.grid))
        self.floor = _SMALLEST_IN_SPACINGS * grid if self.x != 0.0 else 0.0
        self.reach = self.setting.noise.spacing_of_largest * self.scale / 32.0

    def generic(self, step: float) -> float:
        self.attempts += 1
        return self.setting.generic_step(self.i, step, self.attempts)

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
            self.side, self.ceiling = (-1 if bad_above else 1), math.inf  # which was set by the side not looked at
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
        narrow, highest = step > highest, min(highest, max(step, float(self.setting.widest_step(self.i))))
        for attempt in range(_MOST_LEVELS):
            if attempt > 0 or narrow:
                step = self.generic(min(step, highest, self.ceiling))
            level = yield from self.look(step)
            if level is None:
                step /= 256.0 if self.side == 0 else 4.0
                if step < self.floor and self.side == 0:
                    return False
                continue
            if is_resolved_match(self.setting, self.i, level):
                return True
            following = self._wider_step(level, highest) or self._next_step(self._better_founded(level), highest)
            if following is None:
                return False
            step = following
        return False

    def _next_step(self, level: Level, highest: float) -> float | None:
        error = level.truncation + level.bend
        noise = max(level.noise, LOCAL_NOISE_WIDTH * level.noise_factor * self._steady_scatter() / level.step)
        ratio = (noise / (2.0 * error)) ** (1.0 / 3.0) if error > 0.0 else _FACTOR
        if error <= noise:
            # What looks like truncation may be noise (which makes half a bar of it): try a wider step, within reason.
            ratio = max(ratio, min(_WIDEN, highest / level.step))
        if _GOOD_STEP[0] <= ratio <= _GOOD_STEP[1]:
            return self._last_step(level, highest)
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

    def _steady_scatter(self) -> float:
        """Scatter that stays the same however close one looks: noise, more than was measured; 0 if there is none.

        Far more than was measured is rather an oscillation, until one has looked from much closer.
        """
        steps = [level.step for level in self.levels]
        local = [level.local_noise for level in self.levels]
        steady = len(local) >= 3 and max(local) <= _SAME_SCATTER * min(local)
        is_strange = min(local) > _STRANGE * self.setting.noise.largest
        return min(local) if steady and max(steps) > _FACTOR ** (1 + is_strange) * min(steps) else 0.0

    def _wider_step(self, level: Level, highest: float) -> float | None:
        """Once, if f bends more than the noise measured and not as truncation does: it may be noise all the same."""
        wider = min(_WIDER * level.step, self.ceiling, highest)
        if self.bent is not None or self.side or wider < 4.0 * level.step or not _is_scattered(level):
            return None
        self.bent = level
        return wider

    def _better_founded(self, level: Level) -> Level:
        """This level, or the one before if a wider step found f just as uneven."""
        if self.bent is not None and level.step > 2.0 * self.bent.step and _is_scattered(level):
            return self.bent
        return level

    def _last_step(self, level: Level, highest: float) -> float | None:
        """A step worth one more level although this one is nearly best; None if there is none."""
        if _is_scattered(level) and all(other.step > level.step / 4.0 for other in self.levels):
            return max(level.step / _WIDER, self.floor)  # f has more to it here than one level can tell
        error = level.truncation + level.bend
        local = LOCAL_NOISE_WIDTH * level.noise_factor * level.local_noise / level.step
        ratio = (level.noise / max(2.0 * error, local)) ** (1.0 / 3.0) if error > 0.0 else 1.0
        bar = error * ratio**2 + max(level.noise / ratio, local * ratio**2)
        off = abs(level.estimate - float(self.setting.analytical[self.i]))
        wanted = max(min(level.step * ratio, self.ceiling, highest), self.floor)
        is_new = all(abs(math.log(wanted / other.step)) > _NEXT_TO for other in self.levels)
        resolves = bar + off <= self.setting.tolerance(self.i, level.estimate)
        is_small = off <= bar <= float(self.setting.absolute_tolerance(self.i)) < level.bar
        return wanted if is_new and (resolves or is_small) else None

    def verify(self, ruling: Ruling) -> Talk:
        """Before a mismatch is said, look at smaller and larger scales; at most 5 levels.

        Downwards to where noise alone is a third of the difference: an oscillation finer than the steps so far
        averages out, convincingly, until one looks from closer than its period. That may be where f is quiet.
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
        calm = self.setting.calm_step(self.i)
        if self.floor < calm < steps[0] / 1.5:
            wanted.append(calm)
        for step in wanted:
            yield from self.look(self.generic(step))

    def confirm(self, ruling: Ruling) -> Generator[list[float], list[float], bool]:
        """Whether two steps show a mismatch where f scatters no more than its noise explains; 2 levels at most.

        Otherwise f may vary faster than the steps can follow, and all of them agree on an average that is not
        the derivative. Truncation scatters too, but falls with the cube of the step.
        """
        nearest = min(self.levels, key=lambda level: level.step)
        if not self.shows_mismatch() and scatter(nearest) > 1.0:
            closer = nearest.step / np.cbrt(4.0 * scatter(nearest))
            yield from self.look(self.generic(max(closer, self.floor)))
        if not self.shows_mismatch() and (step := self._second_step(ruling.best)) is not None:
            yield from self.look(self.generic(step))
        return self.shows_mismatch()

    def shows_mismatch(self, below: float = math.inf) -> bool:
        """Whether the levels at steps below this, if given, do; f has moved at all of them."""
        closer = (
            self.levels
            if below == math.inf
            else [level for level in self.levels if level.step < below and len(set(level.values)) > 1]
        )
        return shows_mismatch(self.setting, self.i, closer)

    def excludes(self, level: Level, bars: float = 1.0) -> bool:
        """Whether the claimed derivative lies outside so many bars of a level, by more than the tolerance."""
        gap = abs(level.estimate - self.setting.analytical[self.i])
        return bool(gap > bars * level.bar + self.setting.tolerance(self.i, level.estimate))

    def _second_step(self, best: Level) -> float | None:
        """A step clearly different from the best, near x, at which the difference still sticks out of the bar."""
        difference = abs(best.estimate - float(self.setting.analytical[self.i]))
        error, noise = best.truncation + best.bend, best.bar - best.truncation - best.bend
        wide = min(float(self.setting.widest_step(self.i)), self.ceiling)
        bars = {
            factor * best.step: noise / factor + error * factor**2
            for factor in (_SECOND, 1.0 / _SECOND)
            if self.floor <= factor * best.step <= wide and self.setting.is_near(self.i, 1.25 * factor * best.step)
        }
        step = min(bars, key=lambda step: bars[step], default=None)
        return step if step is not None and 3.0 * bars[step] < difference else None

    def has_second_scale(self) -> bool:
        """Whether f is much quieter close by than at the steps tried so far."""
        noise = self.setting.noise
        if not self.setting.depends_on_scale() or noise.spacing_of_largest <= noise.spacings[0]:
            return False
        return not any(level.step < self.reach / 2.0 for level in self.levels)

    def near_levels(self) -> list[Level]:
        """Those whose steps stay within the size of the coordinate; all if there are none."""
        return [level for level in self.levels if self.setting.is_near(self.i, level.step)] or self.levels

    def is_flat(self) -> bool:
        return all(len(set(level.values)) == 1 for level in self.levels)


def _is_scattered(level: Level) -> bool:
    """Whether the fourth difference is larger than noise as measured leaves it, and than a smooth f would."""
    return level.bend > max(level.noise, level.truncation / 8.0)


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
