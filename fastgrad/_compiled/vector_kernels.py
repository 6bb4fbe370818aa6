"""All compiled code that evaluates a vector function: differences by groups of columns, displaced points, lines.

As in `kernels`: every evaluation sees a private row of `work` that equals x to the bit but for what was asked, and
is restored *by assignment* in an ordinary function (in a prange body the restore would be removed as dead code).
Item k moves the coordinates index[start[k]:stop[k]] together: one column, or columns that share no row. Its values
go to row k of the output, which no other item touches; the status is 1 where the function raised or returned
another number of values than a row holds, and the row is then NaN.
"""

import numpy as np
from numba import prange
from numba.extending import register_jitable

from fastgrad._compiled.bridge import evaluate_into
from fastgrad._compiled.jit import kernel
from fastgrad._compiled.kernels import RAISED_ABOVE, RAISED_BELOW, range_of_lane


@register_jitable
def _fill(function, block, point, out):
    """The values of the function in `out`, or NaN and 1."""
    if evaluate_into(function, block, point, out) == out.size:
        return 0
    out[:] = np.nan
    return 1


@register_jitable
def _exchange(point, index, start, stop, there, instead):
    """Move coordinates to another value, unless they no longer hold what was put there: then F has written to x.

    Such a coordinate is left alone, as evidence for whoever compares the rows with x in the end.
    """
    for p in range(start, stop):
        if point[index[p]] == there[p - start]:
            point[index[p]] = instead[p - start]


@register_jitable
def _differences(function, block, point, x, index, step, start, stop, first, last, above, below, status):
    widest = 0
    for k in range(first, last):
        widest = max(widest, stop[k] - start[k])
    there, upper, lower = np.empty((3, widest), x.dtype)
    for k in range(first, last):
        for p in range(start[k], stop[k]):
            q = p - start[k]
            there[q], upper[q], lower[q] = x[index[p]], x[index[p]] + step[p], x[index[p]] - step[p]
        _exchange(point, index, start[k], stop[k], there, upper)
        raised_above = _fill(function, block, point, above[k])
        _exchange(point, index, start[k], stop[k], upper, lower)
        raised_below = _fill(function, block, point, below[k])
        _exchange(point, index, start[k], stop[k], lower, there)
        status[k] = RAISED_ABOVE * raised_above + RAISED_BELOW * raised_below


@kernel()
def differences_serial(function, block, work, x, index, step, start, stop, above, below, status):
    """F with the coordinates of each group a step above x and a step below, on the calling thread."""
    _differences(
        function, block, work[0, : x.size], x, index, step, start, stop, 0, start.size, above, below, status
    )  # fmt: skip


@kernel(parallel=True)
def differences_parallel(function, block, work, x, index, step, start, stop, above, below, status):
    """The same, one range of groups per row of `work`."""
    lanes = work.shape[0]
    for lane in prange(lanes):
        first, last = range_of_lane(start.size, lanes, lane)
        _differences(
            function, block, work[lane, : x.size], x, index, step, start, stop, first, last, above, below, status
        )  # fmt: skip


@register_jitable
def _displaced(function, block, point, x, index, coordinate, start, stop, first, last, value, status):
    widest = 0
    for k in range(first, last):
        widest = max(widest, stop[k] - start[k])
    there, instead = np.empty((2, widest), x.dtype)
    for k in range(first, last):
        for p in range(start[k], stop[k]):
            there[p - start[k]], instead[p - start[k]] = x[index[p]], coordinate[p]
        _exchange(point, index, start[k], stop[k], there, instead)
        status[k] = _fill(function, block, point, value[k])
        _exchange(point, index, start[k], stop[k], instead, there)


@kernel()
def displaced_serial(function, block, work, x, index, coordinate, start, stop, value, status):
    """F with the coordinates of each group set to other values, on the calling thread."""
    _displaced(
        function, block, work[0, : x.size], x, index, coordinate, start, stop, 0, start.size, value, status
    )  # fmt: skip


@kernel(parallel=True)
def displaced_parallel(function, block, work, x, index, coordinate, start, stop, value, status):
    """The same, one range of groups per row of `work`."""
    lanes = work.shape[0]
    for lane in prange(lanes):
        first, last = range_of_lane(start.size, lanes, lane)
        _displaced(
            function, block, work[lane, : x.size], x, index, coordinate, start, stop, first, last, value, status
        )  # fmt: skip


@register_jitable
def _along(function, block, point, x, direction, multiple, first, last, value, status):
    for k in range(first, last):
        for i in range(x.size):
            point[i] = x[i] + multiple[k] * direction[i]
        status[k] = _fill(function, block, point, value[k])
    for i in range(x.size):
        point[i] = x[i]


@kernel()
def along_serial(function, block, work, x, direction, multiple, value, status):
    """F at x + multiple[k] * direction, on the calling thread."""
    _along(function, block, work[0, : x.size], x, direction, multiple, 0, multiple.size, value, status)


@kernel(parallel=True)
def along_parallel(function, block, work, x, direction, multiple, value, status):
    """The same, one range of k per row of `work`."""
    lanes = work.shape[0]
    for lane in prange(lanes):
        first, last = range_of_lane(multiple.size, lanes, lane)
        _along(function, block, work[lane, : x.size], x, direction, multiple, first, last, value, status)


@kernel()
def values_at(function, block, point, out):
    """The values of a vector function at a point, into `out` if they fit: how many they are, or -1 if it raised."""
    return evaluate_into(function, block, point, out)
