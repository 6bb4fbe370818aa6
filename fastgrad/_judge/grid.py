"""Steps with generic bits on the grid of floating-point numbers, from counters instead of a generator.

A step that is an odd multiple of the spacing of the numbers around x makes x + h, x - h, x + 2 h and x - 2 h
exact. Powers of two would too, but rounding errors then repeat coherently from point to point and look like a
derivative; hence the scrambled low bits. They come from a hash of (coordinate, attempt), so that they depend
neither on threads nor on the order of the work.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORD = (1 << 64) - 1


def scramble(key: Any) -> Any:
    """64 random-looking bits per key, a Python int or an array of uint64 (splitmix64, Steele et al. 2014)."""
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & _WORD
    return key ^ (key >> 31)


def keys(index: NDArray[np.int64], attempt: int) -> NDArray[np.uint64]:
    """A key for each coordinate and attempt."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        key = (index.astype(np.uint64) + np.uint64(1)) * golden + np.uint64(attempt) * np.uint64(0xD1342543DE82EF95)
    return np.asarray(key)


def spacing(magnitude: Any, grid: np.dtype[Any]) -> NDArray[np.float64]:
    """Distance of neighbouring numbers of dtype `grid` at this magnitude."""
    smallest = np.finfo(grid).tiny
    return np.asarray(np.spacing(np.maximum(magnitude, smallest).astype(grid)), dtype=np.float64)


def generic_steps(
    x: NDArray[Any], step: NDArray[np.float64], index: NDArray[np.int64], attempt: int, grid: np.dtype[Any]
) -> NDArray[np.float64]:
    """Steps within a quarter of the wanted ones: odd multiples of the spacing at |x| + 2 h, 30 bits at most."""
    bits = scramble(keys(index, attempt))
    wanted = step * (0.8 + 0.45 * (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)
    unit = spacing(np.abs(np.asarray(x, dtype=np.float64)) + 2.0 * wanted, grid)
    multiple = np.maximum(np.floor(wanted / unit), 1.0)
    excess = np.exp2(np.maximum(np.frexp(multiple)[1] - 30, 0))
    multiple = np.floor(multiple / excess)
    low = (bits & np.uint64(0xFFF)).astype(np.float64)
    multiple = np.where(excess > 1.0, np.floor(multiple / 4096.0) * 4096.0 + low, multiple)
    multiple += multiple % 2.0 == 0.0
    return np.asarray(multiple * excess * unit)


def lowest_bit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value of the lowest bit set in each number; 0 for 0."""
    fraction, exponent = np.frexp(np.abs(values))
    whole = np.ldexp(fraction, 53).astype(np.int64)
    return np.asarray(np.ldexp((whole & -whole).astype(np.float64), exponent - 53))


def quantum(values: NDArray[np.float64], reference: Any) -> NDArray[np.float64]:
    """Along the last axis: the grid that f's values live on, seen in their differences from a reference value."""
    difference = values - reference
    bits = np.where(np.isfinite(difference) & (difference != 0.0), lowest_bit(np.nan_to_num(difference)), np.inf)
    smallest = bits.min(axis=-1)
    return np.asarray(np.where(np.isfinite(smallest), smallest, 0.0))


def safe_unit(value: float, analytical: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """A power of two that keeps f, the gradient and their products with x away from overflow and underflow."""
    with np.errstate(over="ignore"):
        products = np.abs(analytical) * np.maximum(np.abs(x), 1.0)
    products = np.where(np.isfinite(products), products, np.abs(analytical))
    largest = max(abs(value), float(products.max(initial=0.0)))
    if not math.isfinite(largest) or largest == 0.0 or 1e-100 < largest < 1e100:
        return 1.0
    return math.ldexp(1.0, max(-1000, min(1000, -math.frexp(largest)[1])))
