"""Confidence intervals from few observations: quantiles of chi-square, bounds of a proportion. Pure Python."""

import math
from collections.abc import Callable

_BISECTIONS = 80


def chi_square_quantile(probability: float, freedom: int) -> float:
    """The value that a chi-square variable stays below with this probability."""
    low, high = 0.0, 1.0
    while _chi_square_below(high, freedom) < probability:
        high *= 2.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _chi_square_below(middle, freedom) < probability else (low, middle)
    return 0.5 * (low + high)


def _chi_square_below(value: float, freedom: int) -> float:
    """Regularised lower incomplete gamma function, by its power series (all terms are positive)."""
    a, z = 0.5 * freedom, 0.5 * value
    if z <= 0.0:
        return 0.0
    term = total = 1.0 / a
    k = a
    while term > 1e-17 * total:
        k += 1.0
        term *= z / k
        total += term
    return min(1.0, total * math.exp(a * math.log(z) - z - math.lgamma(a)))


def proportion_bounds(hits: int, trials: int, confidence: float = 0.99) -> tuple[float, float]:
    """Clopper and Pearson (1934): bounds of a proportion of which so many of a fair sample were hits."""
    tail = 0.5 * (1.0 - confidence)
    low = 0.0 if hits == 0 else _proportion_with_tail(lambda p: _at_least(hits, trials, p), tail)
    high = 1.0 if hits == trials else 1.0 - _proportion_with_tail(lambda q: _at_least(trials - hits, trials, q), tail)
    return low, high


def _proportion_with_tail(probability: Callable[[float], float], tail: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if probability(middle) < tail else (low, middle)
    return low


def _at_least(hits: int, trials: int, p: float) -> float:
    return sum(math.comb(trials, k) * p**k * (1.0 - p) ** (trials - k) for k in range(hits, trials + 1))
