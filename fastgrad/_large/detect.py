"""Whether a gradient is right, from a handful of random directions."""

import enum
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.setting import NOISE_WIDTH
from fastgrad._large.directions import PAIR_NOISE, STENCIL, Direction, ErrorEstimate, estimate_error, measure
from fastgrad._large.ladder import NOISE_POINTS, ladder_steps, noise_spacing, pick_step, table_noise
from fastgrad._large.probes import Prober, Scaling, key_of

Floats = NDArray[np.float64]

_MORE = 4  # directions drawn when one mismatch is confirmed, or some are in doubt
_NEEDED = 2  # confirmed directions that make a mismatch
_SMALLEST_STEP = 2.0**-46
_FINE = 64.0  # roundings: noise above that may be structure
_QUIET = 0.03
_LARGER, _MOST_ROUNDINGS = 4.0, 1e4
_TRIED = 3  # directions of a family that are looked at again
_SUSPECTED = 3  # the same, if all of them seem to be at a kink
_GONE = 0.25
_COMPARED, _FAR_LESS, _SOME = 1000, 1e-3, 0.05  # components whose scales are compared, and what sets two scalings apart
_PURPOSES = {"noise": 1, "ladder": 2, "direction": 3}


class Finding(enum.Enum):
    """What the directions show together."""

    AGREES = enum.auto()
    DIFFERS = enum.auto()
    KINKED = enum.auto()  # mismatches, but a kink near x explains them
    UNCLEAR = enum.auto()  # mismatches that could not be confirmed
    NOT_FINITE = enum.auto()  # f, or a sum over the gradient, is not finite near x


@dataclass
class Family:
    """Directions of one scaling, with their common step and noise."""

    scaling: Scaling
    step: float
    noise: float
    number: int  # enters the keys
    directions: list[Direction] = field(default_factory=list)
    confirmed: set[int] = field(default_factory=set)  # keys
    kinked: set[int] = field(default_factory=set)
    tried: set[int] = field(default_factory=set)

    @property
    def flagged(self) -> list[Direction]:
        return [d for d in self.directions if d.is_flagged]

    @property
    def doubtful(self) -> list[Direction]:
        """Flagged, no kink, not looked at again; the clearest first."""
        left = [d for d in self.flagged if d.key not in self.tried and d.key not in self.kinked]
        return sorted(left, key=lambda d: -abs(d.estimate) / d.bar if math.isfinite(d.estimate) else 0.0)

    @property
    def usable(self) -> list[Direction]:
        return [d for d in self.directions if d.key not in self.kinked]

    @property
    def estimate(self) -> ErrorEstimate:
        return estimate_error(self.directions, self.usable)

    @property
    def doubt(self) -> tuple[int, float]:
        """How much it speaks against the gradient."""
        worst = max((abs(d.estimate) / d.bar for d in self.directions if d.bar > 0.0), default=0.0)
        return len(self.confirmed), worst


class Detector:
    """Draws directions for a point, measures them, and confirms mismatches."""

    def __init__(self, prober: Prober, value: float, *, seed: int, precision: float, noise: float) -> None:
        self._prober = prober
        self._value = value
        self._seed = seed
        self._precision = precision  # of the analytical gradient
        self._grain = float(np.finfo(prober.point.dtype).eps)
        self._repeated = self._noise = noise  # what repeated evaluations at x showed
        self._level = abs(value)  # size of f where the noise was measured
        self.families: list[Family] = []

    def draw(self, scaling: Scaling, count: int) -> bool:
        """Add a family: noise, step, directions. False if f is not finite however small the step."""
        number = len(self.families)
        if (number == 0 or self._may_be_quieter(scaling)) and not self._measure_noise(scaling):
            return False
        steps = ladder_steps(self._grain)
        key = key_of(self._seed, _PURPOSES["ladder"], number)
        rungs = self._prober.pairs(scaling, [key] * steps.size, steps)
        picked = pick_step(self._value, steps, rungs.above, rungs.below, rungs.product, self._noise)
        if picked is None:
            return False
        family = Family(scaling, *picked, number=number)
        self._noise = family.noise
        self.families.append(family)
        self._extend(family, count)
        return True

    def _may_be_quieter(self, scaling: Scaling) -> bool:
        """Whether f may be less noisy along another scaling: it moves some components by far less than the first does,
        and what was seen is more than the rounding of f.
        """
        if self._noise <= _FINE * float(np.spacing(self._level)):
            return False
        n = self._prober.point.size
        index = np.arange(0, n, max(1, n // _COMPARED), dtype=np.int64)
        shorter = scaling.at(index) < _FAR_LESS * self.families[0].scaling.at(index)
        return float(np.mean(shorter)) > _SOME

    def _measure_noise(self, scaling: Scaling) -> bool:
        spacing = noise_spacing(self._grain) * NOISE_POINTS
        key = key_of(self._seed, _PURPOSES["noise"])
        around = self._prober.pairs(scaling, [key] * spacing.size, spacing)
        if not (np.isfinite(around.above).all() and np.isfinite(around.below).all()):
            return False
        self._noise = max(self._repeated, table_noise(self._value, around.above, around.below))
        self._level = max(abs(self._value), float(np.abs(around.above).max()), float(np.abs(around.below).max()))
        return math.isfinite(self._noise)

    def _extend(self, family: Family, count: int) -> None:
        drawn = len(family.directions)
        keys = [key_of(self._seed, _PURPOSES["direction"], family.number, drawn + j) for j in range(count)]
        family.directions += self._measure(family, keys, family.step)
        family.kinked |= {d.key for d in family.directions if d.is_kinked}

    def _measure(self, family: Family, keys: list[int], step: float) -> list[Direction]:
        repeated = [key for key in keys for _ in STENCIL]
        pairs = self._prober.pairs(family.scaling, repeated, np.tile(STENCIL * step, len(keys)))
        found = []
        for j, key in enumerate(keys):
            part = slice(3 * j, 3 * j + 3)
            around = pairs.above[part], pairs.below[part], pairs.product[part], pairs.square[part]
            noise = self._noise_of(family, around[0], around[1])
            found.append(measure(key, step, self._value, around, noise, self._precision))
        return found

    def _noise_of(self, family: Family, above: Floats, below: Floats) -> float:
        """Rounding grows with f: where f is much larger than close to x, as around a zero of f, so is that noise.

        In a sum of squares it is the residuals that are rounded, and the noise grows like the root of f.
        """
        size = max(float(np.abs(above).max()), float(np.abs(below).max()))
        if not size > _LARGER * self._level > 0.0:
            return family.noise
        is_rounding = family.noise <= _MOST_ROUNDINGS * float(np.spacing(self._level))
        growth = size / self._level
        return family.noise * (growth if is_rounding else math.sqrt(growth))

    # ---------------------------------------------------------------------------------------- confirmation

    def decide(self) -> Finding:
        """Look again at the mismatches; two confirmed directions make a difference."""
        for family in self.families:
            self._look_again(family)
        confirmed = self._confirmed()
        if confirmed < _NEEDED and (confirmed or any(self._unexplained(f) for f in self.families)):
            family = max(self.families, key=lambda f: f.doubt)
            self._extend(family, _MORE)
            self._look_again(family)
        if self._confirmed() >= _NEEDED and not self._is_kink_artefact():
            return Finding.DIFFERS
        if not all(math.isfinite(d.estimate) for f in self.families for d in f.directions):
            return Finding.NOT_FINITE
        flagged = sum(len(f.flagged) for f in self.families)
        kinked = sum(len(f.kinked) for f in self.families)
        if flagged == 0:
            return Finding.AGREES
        return Finding.KINKED if 2 * kinked >= flagged else Finding.UNCLEAR

    def _confirmed(self) -> int:
        return sum(len(f.confirmed) for f in self.families)

    @staticmethod
    def _unexplained(family: Family) -> bool:
        return any(d.key not in family.kinked for d in family.flagged)

    def _look_again(self, family: Family) -> None:
        for direction in family.doubtful[:_TRIED]:
            if self._confirmed() >= _NEEDED:
                return
            self._confirm(family, direction)

        suspected = [d for d in family.flagged if d.key in family.kinked and d.key not in family.tried]
        for direction in suspected[:_SUSPECTED]:
            if self._confirmed() < _NEEDED:
                self._clear_of_kink(family, direction)

    def _clear_of_kink(self, family: Family, direction: Direction) -> None:
        """The even parts of a smooth f add up over all components, and in a large x what extrapolation leaves of them
        looks like a kink; but it is of fifth order, and at a third of the step gone. A kink stays.
        """
        family.tried.add(direction.key)
        (closer,) = self._measure(family, [direction.key], direction.step / 3.0)
        jump = abs(direction.intercept)
        is_smooth = abs(closer.intercept) + closer.kink_bar <= _GONE * jump
        if is_smooth and self._persists(family, direction, closer) and not self._is_fine_structure(family, direction):
            family.confirmed.add(direction.key)
            family.kinked -= {d.key for d in family.directions if abs(d.intercept) <= 2.0 * jump}

    def _confirm(self, family: Family, direction: Direction) -> None:
        """The mismatch must be there at a smaller step as well, and be no kink."""
        family.tried.add(direction.key)
        y, bar, t = abs(direction.estimate), direction.bar, direction.step
        if not math.isfinite(y) or not math.isfinite(bar):
            return
        smallest = 10.0 * PAIR_NOISE * NOISE_WIDTH * direction.noise / y
        if y > 50.0 * bar and smallest < t / 4.0 and direction.curvature * smallest**2 < 0.1 * y:
            # The smallest step that resolves it: where f varies on scales far below t, the stencil sees none of it.
            step = max(smallest, _SMALLEST_STEP)
            confirmed = abs(self._single(family, direction.key, step) - direction.estimate) <= 0.3 * y
        else:
            (closer,) = self._measure(family, [direction.key], t / 3.0)
            confirmed = self._persists(family, direction, closer)
            if closer.is_kinked:
                family.kinked.add(direction.key)
        if confirmed and direction.key not in family.kinked and not self._is_fine_structure(family, direction):
            family.confirmed.add(direction.key)

    def _persists(self, family: Family, direction: Direction, closer: Direction) -> bool:
        y = abs(closer.estimate)
        near = abs(closer.estimate - direction.estimate) <= closer.bar + direction.bar + 0.02 * y
        if not (closer.is_flagged and near):
            return False
        smallest = max(3.0 * PAIR_NOISE * NOISE_WIDTH * direction.noise / y, _SMALLEST_STEP)
        if smallest < direction.step / 12.0 and direction.curvature * smallest**2 < 0.1 * y:
            return abs(self._single(family, direction.key, smallest) - closer.estimate) <= 0.5 * y
        return True

    def _is_fine_structure(self, family: Family, direction: Direction) -> bool:
        """Whether what passed for noise is f itself: quiet when looked at from very near, and sloped otherwise.

        All steps of a stencil can agree on the average of an oscillation that is finer than the smallest of them.
        """
        rounding, y = 0.5 * float(np.spacing(abs(self._value))), abs(direction.estimate)
        if direction.noise <= _FINE * rounding:
            return False
        step = np.array([max(10.0 * PAIR_NOISE * NOISE_WIDTH * rounding / y, _SMALLEST_STEP)])
        near = self._prober.pairs(family.scaling, [direction.key], step)
        jump = max(abs(float(near.above[0]) - self._value), abs(float(near.below[0]) - self._value))
        if jump == 0.0 or jump > _QUIET * direction.noise:  # a plateau, or noise indeed
            return False
        return not abs(float(near.mismatch[0]) - direction.estimate) <= 0.3 * y

    def _single(self, family: Family, key: int, step: float) -> float:
        return float(self._prober.pairs(family.scaling, [key], np.array([step])).mismatch[0])

    def _is_kink_artefact(self) -> bool:
        """A mismatch that only the relative scaling sees, larger than the other one, whose steps are wider, allows.

        Every scale of the second family is at most that of the first, so ||S d|| is too.
        """
        if len(self.families) < 2 or self.families[0].confirmed:
            return False
        first, second = (family.estimate for family in self.families[:2])
        artefact = second.low * second.norm > (first.high + 3.0 * first.floor) * first.norm
        if artefact:
            self.families[1].kinked |= {d.key for d in self.families[1].flagged}
            self.families[1].confirmed.clear()
        return artefact
