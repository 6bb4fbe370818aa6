"""Measurements that accuse: moments of intervals for the tree, and single components with bars of their own."""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.setting import NOISE_WIDTH
from fastgrad._large.detect import Family
from fastgrad._large.directions import KINK_NOISE, PAIR_NOISE, STENCIL, STENCIL_NOISE, even_intercept
from fastgrad._large.probes import Prober, Scaling, Span

Floats = NDArray[np.float64]

_STRONG = 300.0  # mismatch over bar from which the plain difference will do
_CLEAR = 100.0
_CLOSER = 3.0  # the sampler's first step lies below that of the tree, whose answers it checks
_KINK_SHARE = 0.6
_EVEN_NOISE = 2.45  # of [f(x + h) + f(x - h) - 2 f(x)] / h
_SHRINK = (1.0 / 8.0, 1.0 / 64.0, 1.0 / 512.0)


@dataclass(frozen=True)
class Steps:
    """Steps of a family for moments and single components, as multiples of the scale, with their bars."""

    plain: float
    plain_bar: float
    curvature: float
    extrapolated: float
    extrapolated_bar: float


def steps_of(family: Family) -> Steps:
    """From the truncation seen along whole directions, which is at least that of their parts."""
    noise = NOISE_WIDTH * PAIR_NOISE * family.noise
    curvature = max(1.5 * max(d.curvature for d in family.directions), 1e-300)
    plain = min((noise / (2.0 * curvature)) ** (1.0 / 3.0), 4.0 * family.step)
    fifth = max(d.spread for d in family.directions) / 30.0
    wide = family.step / 1.5
    return Steps(
        plain, noise / plain + curvature * plain**2, curvature, wide, 1.07 * noise / wide + 16.0 * fifth / 1.5**4
    )


class FamilyMeter:
    """Measures scaled errors for the tree, by plain or by extrapolated differences."""

    def __init__(self, prober: Prober, family: Family, strength: float, key: int) -> None:
        self._prober = prober
        self._scaling = family.scaling
        self.key = key
        steps = steps_of(family)
        self._is_plain = strength > _STRONG * steps.plain_bar
        self._step = steps.plain if self._is_plain else steps.extrapolated
        self.bar = steps.plain_bar if self._is_plain else steps.extrapolated_bar

    def moments(self, keys: list[int], spans: list[Span], *, coded: bool = False) -> Floats:
        """Several at once."""
        return self._extrapolated(self._scaling, keys, self._step, spans, coded=coded)

    def moment(self, lo: int, hi: int, *, coded: bool) -> float:
        return float(self.moments([self.key], [(lo, hi)], coded=coded)[0])

    def complement(self, scaling: Scaling, keys: list[int], span: Span) -> Floats:
        """Moments along directions that leave some components alone."""
        return self._extrapolated(scaling, keys, self._step, [span] * len(keys), coded=False)

    def error(self, i: int) -> float:
        weight = float(self.weights(np.array([i]))[0])
        # A displacement of step * scale, whatever the weight.
        found = self._extrapolated(self._scaling, [self.key], self._step / abs(weight), [(i, i + 1)], coded=False)
        return float(found[0]) / weight

    def weights(self, index: NDArray[np.int64]) -> Floats:
        return self._scaling.components(self.key, index) / self._scaling.at(index)

    def _extrapolated(
        self, scaling: Scaling, keys: list[int], step: float, spans: list[Span], *, coded: bool
    ) -> Floats:
        near = self._prober.pairs(scaling, keys, np.full(len(keys), step), spans, coded=coded).mismatch
        if self._is_plain:
            return near
        far = self._prober.pairs(scaling, keys, np.full(len(keys), 4.0 * step), spans, coded=coded).mismatch
        return np.asarray((16.0 * near - far) / 15.0)


class Kind(enum.Enum):
    """What a sample showed."""

    RIGHT = "right"
    WRONG = "wrong"
    TINY = "tiny"  # differs, by less than the tolerance
    KINK = "kink"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class Sample:
    """One component, looked at alone."""

    index: int
    kind: Kind
    numerical: float
    bar: float
    analytical: float
    step: float


@dataclass(frozen=True)
class _Look:
    numerical: float
    bar: float
    even: float  # [f(x + h) + f(x - h) - 2 f(x)] / h: twice the jump at a kink
    even_bar: float
    step: float


def _is_curvature(wide: _Look, near: _Look, difference: float) -> bool:
    """Whether the even part shrinks with the step, down to what cannot explain the difference, which stays.

    Both are asked for: where a kink lies just inside the smaller step, the even parts of two steps may by chance be
    in proportion, but then the differences are not the same.
    """
    ratio = near.step / wide.step
    intercept = (near.even - ratio * wide.even) / (1.0 - ratio)
    is_same = abs(near.numerical - wide.numerical) <= 0.3 * difference + near.bar
    return is_same and abs(intercept) <= 0.3 * difference


class Sampler:
    """Judges single components by differences of their own; remembers them."""

    def __init__(self, prober: Prober, families: list[Family], value: float, *, rtol: float, key: int) -> None:
        self._prober = prober
        self._families = [(family, steps_of(family)) for family in families]
        self._value = value
        self._rtol = rtol
        self._key = key
        self._looks: dict[int, tuple[_Look, float]] = {}
        self._resolves: dict[int, float] = {}  # what each look was made to resolve

    def sample(self, index: Iterable[int], *, expected: float, typical: float) -> list[Sample]:
        """Judge components. `expected`: the scaled error to be resolved; `typical`: a scaled derivative nearby."""
        wanted = list(dict.fromkeys(int(i) for i in index))
        for i in wanted:
            if i not in self._looks or self._resolves[i] > expected:
                self._looks[i], self._resolves[i] = self._settle(i, expected), expected
        return [self._judge(i, expected, typical) for i in wanted]

    def _judge(self, i: int, expected: float, typical: float) -> Sample:
        look, jump = self._looks[i]
        a = float(self._prober.analytical[i])
        scale = self._scale(self._families[0][0], i)
        difference, size = abs(look.numerical - a), max(abs(look.numerical), abs(a))
        if not math.isfinite(difference) or scale == 0.0:
            kind = Kind.UNRESOLVED
        elif jump and difference <= 0.51 * abs(jump) + look.bar:
            kind = Kind.KINK
        elif difference <= look.bar:
            resolved = look.bar * scale <= 0.5 * expected or look.bar <= 1e-3 * size
            kind = Kind.RIGHT if resolved else Kind.UNRESOLVED
        else:
            tolerance = self._rtol * max(size, 1e-3 * typical / scale)
            kind = Kind.WRONG if difference - look.bar > tolerance else Kind.TINY
        return Sample(i, kind, look.numerical, look.bar, a, look.step)

    def _settle(self, i: int, expected: float) -> tuple[_Look, float]:
        """The best look at a component, and the jump of its slope if it sits at a kink."""
        a = float(self._prober.analytical[i])
        family, steps = max(self._families, key=lambda f: f[1].plain * self._scale(f[0], i))
        step = steps.plain / _CLOSER
        bar = _CLOSER * NOISE_WIDTH * PAIR_NOISE * family.noise / steps.plain + steps.curvature * step**2
        look = self._look(family, i, step, bar)
        difference, size = abs(look.numerical - a), max(abs(look.numerical), abs(a))
        is_fine = look.bar * self._scale(family, i) <= 0.5 * expected or self._is_beyond(i, expected)
        is_right = difference <= look.bar and is_fine
        if not (is_right or difference > _CLEAR * look.bar or look.bar <= self._rtol * size):
            better = self._look_by_stencil(i)
            look = better if better.bar < look.bar else look
        if abs(look.numerical - a) > look.bar and abs(look.even) > look.even_bar:
            return self._shrink(i, family, look)
        return look, 0.0

    def _shrink(self, i: int, family: Family, look: _Look) -> tuple[_Look, float]:
        """Where the even part could explain the mismatch: look from nearer."""
        a, jump, last = float(self._prober.analytical[i]), 0.0, look
        difference, relative = abs(look.numerical - a), look.step / self._scale(family, i)
        if abs(look.even) < _KINK_SHARE * difference:
            return look, 0.0
        for factor in _SHRINK:
            step = factor * relative
            near = self._look(family, i, step, NOISE_WIDTH * PAIR_NOISE * family.noise / step)
            if near.bar > 0.5 * difference:
                break
            off = abs(near.numerical - a)
            if off <= near.bar or abs(near.even) < 0.3 * off or _is_curvature(last, near, off):
                return near, 0.0  # a kink nearby, not here; or no kink at all
            if abs(near.even - look.even) <= 0.3 * abs(look.even):
                jump = look.even
            last = near
        return (look, jump) if jump else (replace(look, bar=math.inf), 0.0)  # a kink or not: no evidence

    def _scale(self, family: Family, i: int) -> float:
        return float(family.scaling.at(np.array([i]))[0])

    def _look(self, family: Family, i: int, step: float, scaled_bar: float) -> _Look:
        """A plain difference with displacement step * scale."""
        scale = self._scale(family, i)
        v = float(family.scaling.components(self._key, np.array([i]))[0])
        if scale == 0.0 or v == 0.0:
            return _Look(math.nan, math.inf, 0.0, 0.0, 0.0)
        pair = self._prober.pairs(family.scaling, [self._key], np.array([step * scale / abs(v)]), [(i, i + 1)])
        h = step * scale
        even = float((pair.above[0] - self._value) + (pair.below[0] - self._value)) / h
        even_bar = NOISE_WIDTH * _EVEN_NOISE * family.noise / h
        return self._look_of(i, float(pair.mismatch[0]) / v, scaled_bar / scale, (even, even_bar), h)

    def _look_of(self, i: int, mismatch: float, bar: float, even: tuple[float, float], h: float) -> _Look:
        numerical = float(self._prober.analytical[i]) + mismatch
        rounding = 4.0 * float(np.finfo(np.float64).eps) * abs(numerical)
        return _Look(numerical, bar + rounding, *even, h)

    def _widest(self, i: int) -> Family:
        """The family whose stencil moves a component farthest."""
        return max((family for family, _ in self._families), key=lambda f: f.step * self._scale(f, i))

    def _is_beyond(self, i: int, expected: float) -> bool:
        """Whether no look resolves it: in a large x a few errors leave a tiny share for each of its components."""
        family = self._widest(i)
        return NOISE_WIDTH * STENCIL_NOISE * family.noise / family.step > 0.5 * expected

    def _look_by_stencil(self, i: int) -> _Look:
        family = self._widest(i)
        scale, v = self._scale(family, i), float(family.scaling.components(self._key, np.array([i]))[0])
        if scale == 0.0 or v == 0.0:
            return _Look(math.nan, math.inf, 0.0, 0.0, 0.0)
        steps = STENCIL * family.step * scale / abs(v)
        pairs = self._prober.pairs(family.scaling, [self._key] * 3, steps, [(i, i + 1)] * 3)
        y1, y2, y4 = pairs.mismatch
        near, far = (4.0 * y1 - y2) / 3.0, (4.0 * y2 - y4) / 3.0
        h = family.step * scale
        bar = NOISE_WIDTH * STENCIL_NOISE * family.noise / h + 4.0 * abs(near - far) / 15.0 / abs(v)
        # Without the share of curvature, which is proportional to h and may be far larger than what is looked for.
        even = even_intercept(((pairs.above - self._value) + (pairs.below - self._value)) / (STENCIL * h))
        even_bar = NOISE_WIDTH * KINK_NOISE * family.noise / h
        return self._look_of(i, near / v, bar, (even, even_bar), h)
