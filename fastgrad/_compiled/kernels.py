"""All compiled code that evaluates an objective: central differences and displaced points, by range or in parallel.

Every kernel evaluates only at points held in the rows of `work`, each a private copy of x. A row is changed in
one coordinate, evaluated, and restored *by assignment*, so that it equals x to the bit before the next one;
values therefore depend neither on the number of rows nor on the order. The loop over coordinates sits in an
ordinary function: written directly in a prange body, the restore is removed as dead code and later coordinates
are evaluated at a shifted point.
"""

import math
from typing import Any

import numpy as np
from numba import prange
from numba.extending import register_jitable

from fastgrad._compiled.bridge import evaluate
from fastgrad._compiled.jit import kernel

# Bits of the status of a coordinate.
RAISED_ABOVE = 1
RAISED_BELOW = 2


@register_jitable
def range_of_lane(count: Any, lanes: Any, lane: Any) -> Any:
    return count * lane // lanes, count * (lane + 1) // lanes


@register_jitable
def _differences(function, block, point, index, step, first, last, above, below, quotient, status):
    for k in range(first, last):
        i = index[k]
        x_i = point[i]
        point[i] = x_i + step[k]
        upper = np.float64(point[i])
        f_above, raised_above = evaluate(function, block, point)
        point[i] = x_i - step[k]
        lower = np.float64(point[i])
        f_below, raised_below = evaluate(function, block, point)
        point[i] = x_i
        above[k] = f_above
        below[k] = f_below
        # The distance between the two stored points, not 2 h: x + h is rounded.
        quotient[k] = (f_above - f_below) / (upper - lower)
        status[k] = RAISED_ABOVE * raised_above + RAISED_BELOW * raised_below


@kernel()
def differences_serial(function, block, work, n, index, step, above, below, quotient, status):
    """Central differences at coordinates index[k] with step[k], on the calling thread."""
    _differences(function, block, work[0, :n], index, step, 0, index.size, above, below, quotient, status)


@kernel(parallel=True)
def differences_parallel(function, block, work, n, index, step, above, below, quotient, status):
    """The same, one range of coordinates per row of `work`."""
    lanes = work.shape[0]
    for lane in prange(lanes):
        first, last = range_of_lane(index.size, lanes, lane)
        _differences(function, block, work[lane, :n], index, step, first, last, above, below, quotient, status)


@register_jitable
def _displaced(function, block, point, index, coordinate, first, last, value, status):
    for k in range(first, last):
        i = index[k]
        x_i = point[i]
        point[i] = coordinate[k]
        f_k, raised = evaluate(function, block, point)
        point[i] = x_i
        value[k] = f_k
        status[k] = raised


@kernel()
def displaced_serial(function, block, work, n, index, coordinate, value, status):
    """Objective with coordinate index[k] set to coordinate[k], on the calling thread."""
    _displaced(function, block, work[0, :n], index, coordinate, 0, index.size, value, status)


@kernel(parallel=True)
def displaced_parallel(function, block, work, n, index, coordinate, value, status):
    """The same, one range of k per row of `work`."""
    lanes = work.shape[0]
    for lane in prange(lanes):
        first, last = range_of_lane(index.size, lanes, lane)
        _displaced(function, block, work[lane, :n], index, coordinate, first, last, value, status)


@register_jitable
def _along(function, block, point, x, direction, multiple, first, last, value, status):
    for k in range(first, last):
        for i in range(x.size):
            point[i] = x[i] + multiple[k] * direction[i]
        f_k, raised = evaluate(function, block, point)
        value[k] = f_k
        status[k] = raised
    for i in range(x.size):
        point[i] = x[i]


@kernel()
def along_serial(function, block, work, x, direction, multiple, value, status):
    """Objective at x + multiple[k] * direction, on the calling thread."""
    _along(function, block, work[0, : x.size], x, direction, multiple, 0, multiple.size, value, status)


@kernel(parallel=True)
def along_parallel(function, block, work, x, direction, multiple, value, status):
    """The same, one range of k per row of `work`."""
    lanes = work.shape[0]
    for lane in prange(lanes):
        first, last = range_of_lane(multiple.size, lanes, lane)
        _along(function, block, work[lane, : x.size], x, direction, multiple, first, last, value, status)


@kernel()
def value_at(function, block, point):
    """Objective at a point: (value, raised)."""
    return evaluate(function, block, point)


# --- norms ----------------------------------------------------------------------------------------------------

# Elements summed before the sum is stored: fixed, so that partial sums (and their order) do not depend on who
# computes them. 4096 float64 of three arrays stay in the first-level cache.
NORM_BLOCK = 4096


@kernel(fastmath={"reassoc", "contract"})  # no objective near; lets the three sums be vectorised
def sums_of_squares(numerical, analytical, scale_difference, scale, first, last, partial):
    """Per block of NORM_BLOCK: sums of squares of s_d (num - ana), s num, s ana, in one pass, in float64."""
    for block in range(first, last):
        # Views, so that the loop counts from zero: an index that might be negative is not vectorised.
        start = block * NORM_BLOCK
        num, ana = numerical[start : start + NORM_BLOCK], analytical[start : start + NORM_BLOCK]
        difference_sum = 0.0
        numerical_sum = 0.0
        analytical_sum = 0.0
        for i in range(num.size):
            a = np.float64(num[i])
            b = np.float64(ana[i])
            d = a * scale_difference - b * scale_difference
            difference_sum += d * d
            a *= scale
            b *= scale
            numerical_sum += a * a
            analytical_sum += b * b
        partial[block, 0] = difference_sum
        partial[block, 1] = numerical_sum
        partial[block, 2] = analytical_sum


@kernel()
def largest_magnitudes(numerical, analytical):
    """Largest |num - ana|, infinite if that overflows, and largest |num|, |ana|."""
    difference = 0.0
    value = 0.0
    for i in range(numerical.size):
        a = np.float64(numerical[i])
        b = np.float64(analytical[i])
        difference = max(difference, math.fabs(a - b))
        value = max(value, max(math.fabs(a), math.fabs(b)))
    return difference, value
