"""The order of a remainder, observed where it stands clear of noise and of higher terms. Pure arithmetic."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CLEAR = 20.0  # standard deviations of its noise that a remainder has to exceed to show an order
_FEWEST = 4  # rows of a window
_QUANTILE = 2.576  # 99 % of a normal distribution
_SAFETY = 3.0  # for orders that change within the window, and go on changing below it


@dataclass(frozen=True)
class Order:
    """Observed order p of |R(h)| ~ C h^p, with its 99 % confidence interval and the rows that show it."""

    value: float
    low: float
    high: float
    first: int  # row of the largest step used
    last: int  # row of the smallest

    @property
    def exists(self) -> bool:
        """Whether there is a window between noise and higher terms at all."""
        return self.last >= self.first

    def contains(self, order: float) -> bool:
        return self.low <= order <= self.high


NO_ORDER = Order(math.nan, math.nan, math.nan, 0, -1)


def pairwise_rates(step: Floats, remainder: Floats) -> Floats:
    """log(R_(k-1) / R_k) / log(h_(k-1) / h_k) for each row after the first; NaN where R is zero or not finite."""
    size = np.abs(remainder)
    rates = np.full(step.size, np.nan)
    with np.errstate(all="ignore"):
        rates[1:] = np.log(size[:-1] / size[1:]) / np.log(step[:-1] / step[1:])
    return np.where(np.isfinite(rates), rates, np.nan)


def observed_order(step: Floats, remainder: Floats, noise: Floats) -> Order:
    """Slope of log |R| over log h, in a window that ends where noise begins.

    Steps descend. The order that counts is that of small steps, so a window begins at the smallest step whose
    remainder is clear of the noise, and reaches up as far as it makes the interval narrower.
    """
    clear = np.isfinite(remainder) & (np.abs(remainder) > _CLEAR * noise)
    last = _last_clear(clear, np.sign(remainder))
    if last is None:
        return NO_ORDER
    best = NO_ORDER
    sign = np.sign(remainder[last])
    for first in range(last - 1, -1, -1):
        if not clear[first] or np.sign(remainder[first]) != sign:
            break
        if last - first + 1 >= _FEWEST:
            found = _fit(step, np.abs(remainder), noise, first, last)
            if not best.exists or found.high - found.low <= best.high - best.low:
                best = found
    return best


def _last_clear(clear: NDArray[np.bool_], sign: Floats) -> int | None:
    """The row of the smallest step that ends a run of clear rows of one sign, long enough for a window."""
    for last in range(clear.size - 1, _FEWEST - 2, -1):
        rows = slice(last - _FEWEST + 1, last + 1)
        if clear[rows].all() and abs(sign[rows].sum()) == _FEWEST:
            return last
    return None


def _fit(step: Floats, size: Floats, noise: Floats, first: int, last: int) -> Order:
    rows = slice(first, last + 1)
    x, y = np.log(step[rows]), np.log(size[rows])
    deviation = np.maximum(noise[rows] / size[rows], np.finfo(float).eps)  # of y
    slope, spread = _slope(x, y, deviation)
    middle = x.size // 2
    upper, upper_spread = _slope(x[: middle + 1], y[: middle + 1], deviation[: middle + 1])
    lower, lower_spread = _slope(x[middle:], y[middle:], deviation[middle:])
    # Of several windows the narrowest interval wins: a change that noise cancels by chance must not be the reason.
    change = max(abs(upper - lower), math.hypot(upper_spread, lower_spread))
    half = _QUANTILE * spread + _SAFETY * change
    return Order(slope, slope - half, slope + half, first, last)


def _slope(x: Floats, y: Floats, deviation: Floats) -> tuple[float, float]:
    """Slope of a straight line and its standard deviation."""
    centred = x - x.mean()
    weight = centred / float(centred @ centred)
    return float(weight @ y), math.sqrt(float(np.sum((weight * deviation) ** 2)))
