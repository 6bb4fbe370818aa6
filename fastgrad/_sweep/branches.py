"""The law of the error of central differences, N / epsilon + T epsilon^2, read from measurements: pure NumPy.

Rounding noise of f gives the first term, truncation of the Taylor series the second. Both are fitted to the change of
the numerical gradient from one epsilon to the next, in which the analytical gradient has no part: a wrong one cannot
bend them.
"""

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_RESOLVED = 0.1  # a relative change above this is no longer small, and follows no power of epsilon
_FEWEST = 3  # points that make a branch
_CLEAR = 5.0  # by so much E must exceed N / epsilon + T epsilon^2 before something else is behind it
_LEVEL = 3.0  # points within this factor of each other are at one level
_DECADE = 9.9
_KINK_POWER = 4.5  # truncation grows as epsilon^2, or ^4 where f''' vanishes
_KINK_EXCESS = 4.0  # over the change that noise makes


class Part(enum.Enum):
    """What governs E at one epsilon."""

    ROUNDING = "rounding"
    TRUNCATION = "truncation"
    KINK = "kink"  # a kink or a jump of f lies between x - epsilon and x + epsilon
    FLAT = "flat"  # neither: E stays at a level that does not depend on epsilon
    NONE = "-"  # E was not measured, or follows no law


@dataclass(frozen=True)
class Branches:
    """E = noise / epsilon + truncation epsilon^2; zero for a branch that was not seen."""

    noise: float
    truncation: float

    def at(self, epsilon: Floats) -> Floats:
        return np.asarray(self.noise / epsilon + self.truncation * epsilon**2)

    @property
    def best_epsilon(self) -> float:
        """Where the sum is smallest, (N / 2T)^(1/3); inf without truncation, NaN without either."""
        if self.truncation == 0.0:
            return math.inf if self.noise > 0.0 else math.nan
        return math.cbrt(self.noise / (2.0 * self.truncation))

    @property
    def smallest_error(self) -> float:
        """The sum there, 1.5 N / best_epsilon."""
        return 0.0 if self.noise == 0.0 else 1.5 * self.noise / self.best_epsilon


def fit_branches(epsilon: Floats, change: Floats) -> Branches:
    """Fit both branches to change[k], the relative change of the numerical gradient between epsilon[k] and [k + 1].

    The two medians, left and right of the split that leaves the smallest sum of |log(measured / fitted)|: the far
    end, where epsilon is no longer small, holds outliers.
    """
    low, high = epsilon[:-1], epsilon[1:]
    usable = (change > 0.0) & (change < _RESOLVED)
    middle = np.sqrt(low * high)[usable]
    noise = np.log(change[usable] / np.hypot(1.0 / low, 1.0 / high)[usable])
    truncation = np.log(change[usable] / (high**2 - low**2)[usable])
    split = _best_split(noise, truncation)
    left, right = slice(None, split), slice(split, None)
    power = robust_slope(middle[right], change[usable][right])
    return Branches(
        noise=math.exp(float(np.median(noise[left]))) if split else 0.0,
        truncation=math.exp(float(np.median(truncation[right]))) if power > 1.0 else 0.0,
    )


def _best_split(noise: Floats, truncation: Floats) -> int:
    count = noise.size
    splits = [k for k in range(count + 1) if k in (0, count) or _FEWEST <= k <= count - _FEWEST]
    return min(reversed(splits), key=lambda k: _spread(noise[:k]) + _spread(truncation[k:]))


def _spread(logarithms: Floats) -> float:
    return float(np.abs(logarithms - np.median(logarithms)).sum()) if logarithms.size else 0.0


def robust_slope(x: Floats, y: Floats) -> float:
    """Power p of y = c x^p by the median of all pairwise slopes (Theil and Sen); NaN for fewer than 3 points."""
    positive = y > 0.0
    log_x, log_y = np.log(x[positive]), np.log(y[positive])
    if log_x.size < _FEWEST:
        return math.nan
    i, j = np.triu_indices(log_x.size, 1)
    return float(np.median((log_y[j] - log_y[i]) / (log_x[j] - log_x[i])))


def find_kink(epsilon: Floats, change: Floats, noise: float) -> int | None:
    """First position at which the numerical gradient jumps, although it was settled one epsilon before."""
    expected = noise * np.hypot(1.0 / epsilon[:-1], 1.0 / epsilon[1:])
    for k in range(1, change.size):
        before = max(change[k - 1], expected[k - 1])
        jump = before * (epsilon[k + 1] / epsilon[k]) ** _KINK_POWER
        if before < _RESOLVED**2 and change[k] > max(jump, _KINK_EXCESS * expected[k]):
            return k + 1
    return None


@dataclass(frozen=True)
class Reading:
    """What the measured curve shows."""

    epsilon: Floats
    error: Floats
    best: int  # position of the smallest E
    law: Branches  # measured noise, fitted truncation
    parts: tuple[Part, ...]
    slopes: tuple[float, float]  # of the rounding and the truncation part
    floor: float  # level of the flat part; NaN if there is none
    kink: int | None  # first position behind a kink


def read_curve(epsilon: Floats, error: Floats, fitted: Branches, noise: float, kink: int | None) -> Reading:
    """Say what governs E at each epsilon; `noise` is N as measured on f itself."""
    best = _best(epsilon, error, fitted if fitted.noise > 0.0 else Branches(noise, fitted.truncation))
    # The larger N, so that nothing is called flat that either of them explains; NaN stays.
    law = Branches(fitted.noise if fitted.noise > noise else noise, fitted.truncation)
    flat = _flat(epsilon, error, law)
    parts = _parts(epsilon, error, law, best)
    if kink is not None:
        parts[kink:] = Part.KINK
    parts[flat] = Part.FLAT
    floor = float(np.median(error[flat])) if flat.any() else math.nan
    straight = (error < _RESOLVED) & ~(np.abs(np.log(np.maximum(error, 1e-300) / floor)) < math.log(_LEVEL))
    rounding, truncation = straight & (parts == Part.ROUNDING), straight & (parts == Part.TRUNCATION)
    return Reading(
        epsilon=epsilon,
        error=error,
        best=best,
        law=Branches(noise, fitted.truncation),
        parts=tuple(parts),
        slopes=(robust_slope(epsilon[rounding], error[rounding]), robust_slope(epsilon[truncation], error[truncation])),
        floor=floor,
        kink=kink,
    )


def _parts(epsilon: Floats, error: Floats, law: Branches, best: int) -> NDArray[np.object_]:
    rounding, truncation = law.noise / epsilon, law.truncation * epsilon**2
    # Beyond the minimum the Taylor series has more terms than one: E may leave the law, and is still truncation.
    beyond = np.arange(error.size) > best
    truncated = (truncation > rounding) | (beyond & (error > _CLEAR * (rounding + truncation)))
    parts = np.full(error.size, Part.ROUNDING if law.noise >= 0.0 else Part.NONE, dtype=object)
    parts[truncated] = Part.TRUNCATION
    return parts


def _best(epsilon: Floats, error: Floats, law: Branches) -> int:
    """Where E is smallest, the last of equals; one far below the law is small by luck, and counts as a third of it."""
    score = np.fmax(error, law.at(epsilon) / _LEVEL)
    return error.size - 1 - int(np.argmin(score[::-1])) if error.size else 0


def _flat(epsilon: Floats, error: Floats, law: Branches) -> Mask:
    """Where E stays at one level over a decade or more, although the law would let it fall, and never falls below."""
    flat = np.zeros(error.size, dtype=bool)
    unexplained = error > _CLEAR * law.at(epsilon)
    if not unexplained.any():
        return flat
    level = float(np.median(error[unexplained]))
    # Where truncation reaches the level it may cancel it, and E dips.
    could_cancel = law.at(epsilon) >= level / _LEVEL
    if error[~could_cancel].min() < level / _LEVEL:
        return flat
    near = unexplained & (error > level / _LEVEL) & (error < level * _LEVEL)
    first, last = _longest_run(near)
    if last - first >= _FEWEST and epsilon[last - 1] >= _DECADE * epsilon[first]:
        flat[first:last] = True
    return flat


def _longest_run(mask: Mask) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    starts, stops = edges[0::2], edges[1::2]
    if starts.size == 0:
        return 0, 0
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])
