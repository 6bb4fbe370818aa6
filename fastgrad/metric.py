"""The relative error of a gradient, ||num - ana|| / (||num|| + ||ana||)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad import _threads
from fastgrad._compiled.kernels import NORM_BLOCK, largest_magnitudes, sums_of_squares
from fastgrad._inputs import gradient_array
from fastgrad._nested import branch_of, is_nested, parts_like

# A sum of squares in this range has neither overflowed nor lost anything that counts to underflow.
_SMALLEST_SAFE, _LARGEST_SAFE = 1e-280, 1e300
_PARALLEL_FROM = 1 << 20  # elements; below it waking other threads costs more than they save


def relative_error(numerical: ArrayLike, analytical: ArrayLike) -> float:
    """Relative error ||numerical - analytical||_2 / (||numerical||_2 + ||analytical||_2).

    Computed in one pass over both arrays, with float64 sums whose value does not depend on the number of
    threads. Squares that would overflow or vanish are rescaled by a power of two.

    Parameters
    ----------
    numerical, analytical : array_like of real numbers
        Of the same shape; nothing is broadcast. Or dicts of such arrays under the same names, nested alike.

    Returns
    -------
    float
        In [0, 1]; 0 when both are zero; NaN when either holds a NaN or an infinity.

    Raises
    ------
    TypeError
        If the arrays do not hold real numbers.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> relative_error([3.0, 4.0], [3.0, 4.0])
    0.0
    >>> relative_error([1.0, 0.0], [-1.0, 0.0])
    1.0
    >>> relative_error([2e200], [1e200])
    0.3333333333333333
    """
    if is_nested(numerical):
        return error_norms(*_flattened(numerical, analytical)).relative_error
    num = gradient_array(numerical, name="numerical")
    ana = gradient_array(analytical, name="analytical", shape=num.shape)
    return error_norms(num.ravel(), ana.ravel()).relative_error


def _flattened(numerical: Any, analytical: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two gradients in named parts as two vectors."""
    structure, first = branch_of(numerical, lambda values, name: gradient_array(values, name=f"numerical at {name}"))
    second = [
        gradient_array(values, name=f"analytical at {part.name}", shape=part.shape).reshape(-1)
        for part, values in parts_like(analytical, structure, "analytical")
    ]
    return np.concatenate(first), np.concatenate(second)


@dataclass(frozen=True)
class ErrorNorms:
    """Norms of the difference and of both gradients, and the error under each customary normalisation."""

    difference: float
    analytical: float
    numerical: float
    relative_error: float  # ||num - ana|| / (||num|| + ||ana||)
    size: int

    @property
    def by_twice_analytical(self) -> float:
        """||num - ana|| / (2 ||ana||)."""
        return _ratio(self.difference, 2.0 * self.analytical)

    @property
    def by_analytical(self) -> float:
        """||num - ana|| / ||ana||."""
        return _ratio(self.difference, self.analytical)

    @property
    def by_larger(self) -> float:
        """||num - ana|| / max(||num||, ||ana||)."""
        return _ratio(self.difference, max(self.numerical, self.analytical))

    @property
    def root_mean_square(self) -> float:
        """||num - ana|| / sqrt(n), in the units of the gradient."""
        return self.difference / math.sqrt(self.size) if self.size else math.nan


def _ratio(difference: float, by: float) -> float:
    if difference == 0.0 and by == 0.0:
        return 0.0
    return difference / by if by != 0.0 else math.inf


def error_norms(numerical: NDArray[Any], analytical: NDArray[Any]) -> ErrorNorms:
    """Norms of num - ana, ana, num for 1-D arrays of one length, float32 or float64, and their relative error.

    Of nothing they are NaN, not zero: no comparison was made.
    """
    if numerical.size == 0:
        return ErrorNorms(math.nan, math.nan, math.nan, math.nan, 0)
    if numerical.dtype != analytical.dtype:
        numerical, analytical = numerical.astype(np.float64), analytical.astype(np.float64)
    difference_scale = value_scale = 1.0
    difference, num, ana = _sums(numerical, analytical, 1.0, 1.0)
    unsafe_difference = not _SMALLEST_SAFE < difference < _LARGEST_SAFE
    unsafe_values = not (num + ana < _LARGEST_SAFE and max(num, ana) > _SMALLEST_SAFE)
    if unsafe_difference or unsafe_values:
        largest_difference, largest = largest_magnitudes(numerical, analytical)
        difference_scale = value_scale = _power_of_two_below(largest)
        if math.isfinite(largest_difference):
            # No larger than leaves the values finite when they are scaled like their difference.
            difference_scale = min(_power_of_two_below(largest_difference), value_scale * 2.0**1000)
        difference, num, ana = _sums(numerical, analytical, difference_scale, value_scale)
    d, a, b = math.sqrt(difference), math.sqrt(ana), math.sqrt(num)
    return ErrorNorms(
        difference=d / difference_scale,
        analytical=a / value_scale,
        numerical=b / value_scale,
        relative_error=_quotient(d, a + b, value_scale / difference_scale),
        size=numerical.size,
    )


def _quotient(difference: float, total: float, scale: float) -> float:
    if total == 0.0 and difference == 0.0:
        return 0.0
    if not (math.isfinite(difference) and math.isfinite(total)):
        return math.nan
    return min(difference / total * scale, 1.0)


def _power_of_two_below(magnitude: float) -> float:
    """A power of two that brings `magnitude` near 1 (exact, so nothing is rounded)."""
    if not (math.isfinite(magnitude) and magnitude > 0.0):
        return 1.0
    return math.ldexp(1.0, max(-1020, min(1020, -math.frexp(magnitude)[1])))


def _sums(
    numerical: NDArray[Any], analytical: NDArray[Any], difference_scale: float, value_scale: float
) -> tuple[float, float, float]:
    blocks = -(-numerical.size // NORM_BLOCK)
    partial = np.empty((blocks, 3))
    lanes = _threads.count_threads(None) if numerical.size >= _PARALLEL_FROM else 1

    def sum_range(lane: int) -> None:
        first, last = blocks * lane // lanes, blocks * (lane + 1) // lanes
        sums_of_squares(numerical, analytical, difference_scale, value_scale, first, last, partial)

    _threads.run_on_threads(sum_range, lanes)
    difference, num, ana = partial.sum(axis=0)
    return float(difference), float(num), float(ana)
