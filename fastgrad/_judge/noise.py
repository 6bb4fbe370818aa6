"""The noise of f, measured from difference tables: pure NumPy.

Method: More' and Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011), started at the third
difference (a cubic otherwise passes for noise) and repeated at several spacings, because the rounding noise of
real programs depends on the scale at which it is looked at.
"""

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.grid import quantum

TABLE_POINTS = 8  # besides f(x)
FIRST_ORDER = 3
AGREEMENT = 4.0  # levels within this factor of each other are one noise level
QUANTUM_SHARE = 0.3  # standard deviation of rounding to a grid, as a share of its spacing (1/sqrt(12))


class TableState(enum.Enum):
    """What a difference table showed."""

    NOISE = 1
    PLATEAU = 2  # most neighbours are equal: the spacing is below what f can resolve
    CURVED = 3  # no level stands out: the spacing is so wide that f's own shape dominates


@dataclass(frozen=True)
class Table:
    """Standard deviation of the noise seen at one relative spacing."""

    spacing: float
    sigma: float
    state: TableState
    quantum: float
    largest: float = 0.0  # magnitude among the values

    @property
    def coarseness(self) -> float:
        """Rounding to the grid that the values live on, relative to them; 2^-55 or so in float64."""
        return QUANTUM_SHARE * self.quantum / self.largest if self.largest > 0.0 else 0.0


def difference_table(values: NDArray[np.float64], spacing: float) -> Table:
    """Noise of equally spaced values of f, of which the first is f(x)."""
    if not np.isfinite(values).all():
        return Table(spacing, math.inf, TableState.CURVED, 0.0)
    grid = float(quantum(values, values[0]))
    largest = float(np.abs(values).max())
    scale = largest or 1.0
    differences = values / scale
    levels: list[float] = []
    sign_changes: list[bool] = []
    weight = 1.0
    for order in range(1, values.size):
        differences = np.diff(differences)
        if order == 1 and 2 * np.count_nonzero(differences == 0.0) >= values.size:
            return Table(spacing, QUANTUM_SHARE * grid, TableState.PLATEAU, grid, largest)
        weight *= 0.5 * order / (2 * order - 1)  # (order!)^2 / (2 order)!
        levels.append(math.sqrt(weight * float(np.mean(differences**2))) * scale)
        sign_changes.append(bool(differences.min() < 0.0 < differences.max()))
    sigma, state = _pick_level(levels, sign_changes)
    return Table(spacing, max(sigma, QUANTUM_SHARE * grid), state, grid, largest)


def _pick_level(levels: list[float], sign_changes: list[bool]) -> tuple[float, TableState]:
    for k in range(FIRST_ORDER - 1, len(levels) - 2):
        three = levels[k : k + 3]
        if max(three) <= AGREEMENT * min(three) and sign_changes[k]:
            return levels[k], TableState.NOISE
    return min(levels[FIRST_ORDER - 1 :]), TableState.CURVED


@dataclass(frozen=True)
class NoiseModel:
    """Noise of f as a function of how far one moves, relative to the scale of x."""

    spacings: tuple[float, ...]  # relative, ascending
    sigmas: tuple[float, ...]
    is_flat: bool = False  # most values were equal at all spacings: f is constant, rounds coarsely, or moves by steps

    @property
    def smallest(self) -> float:
        """At the smallest scale."""
        return self.sigmas[0]

    @property
    def largest(self) -> float:
        """At any scale."""
        return max(self.sigmas)

    @property
    def spacing_of_largest(self) -> float:
        """The scale at which the noise is fully seen."""
        return next(r for r, sigma in zip(self.spacings, self.sigmas, strict=True) if sigma >= 0.999 * self.largest)

    def at(self, relative_step: NDArray[np.float64]) -> NDArray[np.float64]:
        """Noise that a difference with this step / scale meets: the most seen at spacings up to 32 times it."""
        if len(self.sigmas) == 1:
            return np.full(np.shape(relative_step), self.sigmas[0])
        running = np.maximum.accumulate(np.array(self.sigmas))
        place = np.searchsorted(np.array(self.spacings), 32.0 * np.asarray(relative_step), side="right") - 1
        return running[np.maximum(place, 0)]

    def depends_on_scale(self, floor: float) -> bool:
        """Whether f is much noisier when seen from afar than close by."""
        return self.largest > 8.0 * max(self.smallest, floor)


def constant_noise(sigma: float) -> NoiseModel:
    """The same noise at every scale; one that is not a number could be anything."""
    return NoiseModel((0.0,), (math.inf if math.isnan(sigma) else sigma,))


def combine_tables(tables: list[Table], floor: float) -> NoiseModel:
    """One model of tables of ascending spacing; a table that saw no noise inherits from a neighbour.

    A plateau inherits from the next wider spacing, a curved table from the next narrower. Neighbours that
    nearly agree take the larger value. `floor` is what repeated evaluations at one point showed.
    """
    seen: list[float | None] = [t.sigma if t.state is TableState.NOISE else None for t in tables]
    if all(sigma is None for sigma in seen):
        curved = [t.sigma for t in tables if t.state is TableState.CURVED]
        seen = [min(curved) if curved else max(t.sigma for t in tables)] * len(tables)
    floor = math.inf if math.isnan(floor) else floor
    sigmas = [_inherited(seen, k, tables[k].state) for k in range(len(tables))]
    for k in range(len(sigmas) - 2, -1, -1):
        if sigmas[k] < sigmas[k + 1] <= 8.0 * sigmas[k]:
            sigmas[k] = sigmas[k + 1]
    is_flat = all(table.state is TableState.PLATEAU for table in tables)
    return NoiseModel(tuple(t.spacing for t in tables), tuple(max(sigma, floor) for sigma in sigmas), is_flat)


def _inherited(seen: list[float | None], k: int, state: TableState) -> float:
    own = seen[k]
    if own is not None:
        return own
    wider = [sigma for sigma in seen[k + 1 :] if sigma is not None]
    narrower = [sigma for sigma in reversed(seen[:k]) if sigma is not None]
    return ((wider or narrower) if state is TableState.PLATEAU else (narrower or wider))[0]


def noise_from_residuals(
    residual: NDArray[np.float64], step: NDArray[np.float64], responds: NDArray[np.bool_]
) -> float | None:
    """Noise of f from |numerical - analytical| of components that agree, or None if they cannot tell.

    A central difference of noisy values is off by sigma / (sqrt(2) h), so residual times step shows sigma,
    on top of whatever truncation or error of the gradient there is: the estimate can only be too large. It is
    the larger of what the median and the upper decile say, so that no few quiet components hide the noise.
    Nothing is concluded from fewer than 16 components that respond to their step, nor when many residuals are
    exactly zero (differences compared with themselves, or an f that sees no step).
    """
    level = math.sqrt(2.0) * (residual * step)[responds]
    if level.size < 16 or not np.isfinite(level).all() or np.count_nonzero(level == 0.0) * 8 > level.size:
        return None
    median, decile = np.quantile(level, [0.5, 0.9])
    return float(max(median / 0.6745, decile / 1.6449))  # quantiles of |N(0, 1)|
