"""The step of a direction, from a ladder of central differences along one of them. Pure NumPy."""

import math

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.grid import quantum
from fastgrad._large.directions import PAIR_NOISE

Floats = NDArray[np.float64]

NOISE_POINTS = np.arange(1.0, 5.0)  # on each side of x
_LEVELS = (3, 4, 5)  # orders of the difference table that are read as noise
_FEWEST = 5
_RATIO = 4.0
_LADDER_NOISE = 1.07 * PAIR_NOISE  # of (16 y(t) - y(4 t)) / 15, in units of eta / t


def ladder_steps(precision: float) -> Floats:
    """From 2^-24 (2^-16 in float32, where smaller ones vanish) to 1/4, as a multiple of the direction."""
    smallest = -24 if precision < 1e-10 else -16
    return np.exp2(np.arange(smallest, -1, 2, dtype=np.float64))


def noise_spacing(precision: float) -> float:
    """Spacing of the difference table that shows the noise."""
    return 2.0**-30 if precision < 1e-10 else 2.0**-18


def table_noise(value: float, above: Floats, below: Floats) -> float:
    """Noise of f from equally spaced values around x (More' and Wild 2011), never below half a rounding."""
    values = np.concatenate([below[::-1], [value], above])
    differences, levels = values, []
    for order in range(1, max(_LEVELS) + 1):
        differences = np.diff(differences)
        weight = math.factorial(order) ** 2 / math.factorial(2 * order)
        levels.append(math.sqrt(weight * float(np.mean(differences**2))))
    rounding = 0.5 * float(np.spacing(max(float(np.abs(values).max()), 1e-300)))
    return max(rounding, *(levels[order - 1] for order in _LEVELS))


def pick_step(
    value: float, step: Floats, above: Floats, below: Floats, product: Floats, noise: float
) -> tuple[float, float] | None:
    """The step t of the stencil t, 2 t, 4 t and a revised noise level; None if f is not finite near x.

    The rung is chosen where the change to the next plus its noise is smallest over the whole ladder: rules that
    stop at the first significant change are fooled by chance in one of three ladders.
    """
    finite = np.isfinite(above) & np.isfinite(below)
    count = step.size if finite.all() else int(np.argmin(finite))
    if count < _FEWEST:
        return None
    if not np.isfinite(product).all() or not math.isfinite(noise):
        return None
    t, above, below, product = step[:count], above[:count], below[:count], product[:count]
    noise = max(noise, _granularity(value, above, below))
    y = ((above - below) - product) / (2.0 * t)
    extrapolated = (_RATIO**2 * y[:-1] - y[1:]) / (_RATIO**2 - 1.0)
    change = np.abs(np.diff(extrapolated))
    for _ in range(2):
        spread = _LADDER_NOISE * noise / t[:-1]
        best = int(np.argmin(change + 4.0 * spread[1:]))
        noise = max(noise, _noise_of_rungs(t, y, best, float(extrapolated[best + 1]), noise))
    spread = _LADDER_NOISE * noise / t[:-1]
    if best + 1 < change.size and change[best + 1] > 4.0 * spread[best + 2]:
        # The next change is truncation of fourth order, 3/4 of the error of its wider member: balance it with noise.
        fourth = change[best + 1] / t[best + 2] ** 4 / (1.0 - _RATIO**-2) / 4.0
        chosen = (0.95 * noise / (4.0 * fourth)) ** 0.2
        chosen = min(max(chosen, t[best + 1] / 4.0), t[best + 2])
    else:
        chosen = t[min(best + 2, count - 2)]
    return min(float(chosen), float(t[-1]) / 4.0), noise


def _granularity(value: float, above: Floats, below: Floats) -> float:
    """Noise of an f that lives on a grid (float32 inside, a table), or does not see the smallest steps."""
    values = np.concatenate([above, below])
    grid = float(quantum(values, value))
    noise = 0.5 * grid if grid > 4.0 * np.spacing(abs(value)) else 0.0
    difference = above - below
    seen = np.flatnonzero(difference)
    if seen.size and seen[0] > 0:
        noise = max(noise, 0.5 * abs(float(difference[seen[0]])))
    return noise


def _noise_of_rungs(t: Floats, y: Floats, best: int, limit: float, noise: float) -> float:
    """Noise of f that the small rungs show, where their truncation is negligible."""
    if y.size <= best + 2:
        return 0.0
    curvature = abs(y[best + 2] - y[best + 1]) / t[best + 2] ** 2
    small = np.arange(best + 1)
    small = small[curvature * t[small] ** 2 < 0.3 * noise / t[small]]
    if small.size < 2:
        return 0.0
    return float(np.sqrt(np.mean(((y[small] - limit) / PAIR_NOISE * t[small]) ** 2)))
