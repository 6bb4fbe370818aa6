"""Compiled code for gradients that are checked over and over: it allocates nothing."""

import math

import numpy as np
from numba.extending import register_jitable

from fastgrad._compiled.jit import kernel
from fastgrad._compiled.kernels import largest_magnitudes


@register_jitable
def moves(x_i, h, dtype):
    """Whether x_i + h and x_i - h, rounded to dtype, are finite and differ from x_i."""
    above, below = dtype.type(x_i + h), dtype.type(x_i - h)
    return above != x_i and below != x_i and math.isfinite(above) and math.isfinite(below)


@kernel()
def place(x, wanted, relative, step, rows):
    """Put x in every row and a step in `step`, as wanted or, where that vanishes, relative to x; False if it cannot."""
    all_move = True
    for i in range(x.size):
        step[i] = wanted[i]
        if not moves(x[i], step[i], x.dtype):
            step[i] = relative * abs(np.float64(x[i]))
            all_move &= moves(x[i], step[i], x.dtype)
        for row in range(rows.shape[0]):
            rows[row, i] = x[i]
    return all_move


@kernel()
def conclude(rows, x, quotient, analytical, numerical):
    """Round quotients into `numerical`; their relative error, and whether the rows still hold x."""
    # First, because `numerical` may be one of the others: the result of the call before.
    error = relative_error_of(quotient, analytical)
    intact = True
    for i in range(x.size):
        for row in range(rows.shape[0]):
            intact &= rows[row, i] == x[i]
        numerical[i] = quotient[i]
    return error, intact


@register_jitable
def relative_error_of(numerical, analytical):
    """||numerical - analytical|| / (||numerical|| + ||analytical||) of 1-D arrays of one length."""
    largest_difference, largest = largest_magnitudes(numerical, analytical)
    scale = _power_of_two_below(largest)
    difference_scale = scale
    if math.isfinite(largest_difference):
        # No larger than leaves the values finite when they are scaled like their difference.
        difference_scale = min(_power_of_two_below(largest_difference), scale * 2.0**1000)
    d = a = b = 0.0
    for i in range(numerical.size):
        num, ana = np.float64(numerical[i]), np.float64(analytical[i])
        d += (num * difference_scale - ana * difference_scale) ** 2
        a += (ana * scale) ** 2
        b += (num * scale) ** 2
    total = math.sqrt(a) + math.sqrt(b)
    if not math.isfinite(d + total):
        return math.nan
    if total == 0.0:
        return 0.0
    return min(math.sqrt(d) / total * (scale / difference_scale), 1.0)


@register_jitable
def _power_of_two_below(magnitude):
    if not (math.isfinite(magnitude) and magnitude > 0.0):
        return 1.0
    return math.ldexp(1.0, max(-1020, min(1020, -math.frexp(magnitude)[1])))
