"""The rows of a Taylor test: f along one direction at ever smaller steps, and what Taylor's formula leaves of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad._taylor.order import Order, observed_order, pairwise_rates

Floats = NDArray[np.float64]

_LARGEST = 0.1
_MOST_ROWS = 42  # the smallest step moves x by about 2^-45 of itself
_BATCH = 8  # rows evaluated together
_LOST = 3  # rows in the noise that end the descent
_CLEAR = 20.0
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Rows:
    """f(x + h v) - f(x) and its remainders for descending steps h, each with the standard deviation of its noise."""

    step: Floats
    above: Floats  # f(x + h v)
    below: Floats  # f(x - h v), NaN where it was not asked for
    change: Floats  # f(x + h v) - f(x)
    first: Floats  # f(x + h v) - f(x) - h g . v
    second: Floats  # the same - h^2 / 2 v . H v; NaN without a Hessian
    noise: Floats

    @property
    def change_rates(self) -> Floats:
        return pairwise_rates(self.step, self.change)

    @property
    def first_rates(self) -> Floats:
        return pairwise_rates(self.step, self.first)

    @property
    def second_rates(self) -> Floats:
        return pairwise_rates(self.step, self.second)

    @property
    def first_order(self) -> Order:
        """Observed order of the remainder of first order: 2 for a right gradient."""
        return observed_order(self.step, self.first, self.noise)

    @property
    def second_order(self) -> Order:
        """Of the remainder of second order: 3 for a right Hessian."""
        return observed_order(self.step, self.second, self.noise)


@dataclass(frozen=True)
class Model:
    """What is claimed of f along a direction, and how noisy f is."""

    value: float
    slope: float  # g . v
    curvature: float  # v . H v; NaN without a Hessian
    noise: float

    def rows(self, step: Floats, above: Floats, below: Floats) -> Rows:
        """Remainders, with the rounding of the subtractions in their noise."""
        with np.errstate(all="ignore"):
            change = above - self.value
            linear = step * self.slope
            first = change - linear
            second = first - 0.5 * step**2 * self.curvature
            noise = math.sqrt(2.0) * self.noise + 2.0 * _EPS * np.abs(linear)
        return Rows(step, above, below, change, first, second, noise)


def default_steps(unit: float) -> Floats:
    """From a tenth of the unit downwards, halved."""
    return unit * _LARGEST * np.exp2(-np.arange(_MOST_ROWS))


def descend(values: Callable[[Floats], Floats], model: Model, step: Floats, *, both_sides: bool) -> Rows:
    """Rows until the remainder is lost in the noise; one evaluation each, two if f is wanted on both sides."""
    above, below = np.full((2, step.size), np.nan)
    done = 0
    while done < step.size:
        part = slice(done, min(done + _BATCH, step.size))
        wanted = np.concatenate([step[part], -step[part]]) if both_sides else step[part]
        found = np.split(values(wanted), 2) if both_sides else [values(wanted)]
        above[part] = found[0]
        if both_sides:
            below[part] = found[1]
        done = part.stop
        rows = model.rows(step[:done], above[:done], below[:done])
        if _is_lost(rows):
            break
    return rows


def _is_lost(rows: Rows) -> bool:
    last = slice(-_LOST, None)
    return bool((np.abs(rows.first[last]) <= _CLEAR * rows.noise[last]).all())
