"""Compiled code that reads a Jacobian entry by entry: the sizes of its rows, and which entries agree at once.

In one pass over the entries instead of one per operation: for large matrices of cheap functions NumPy would take
longer than all evaluations. The rule of agreement is that of `judge_plain` (the module `_judge.plain`); entries that it
does not accept are judged there; a test holds the two together.

`entries` are the start of each column, the row of each entry (or nothing: all rows) and the given values.
"""

import math

import numpy as np
from numba.extending import register_jitable

from fastgrad._compiled.jit import kernel


@register_jitable
def _row(row, start, e):
    return e - start if row.size == 0 else row[e]


@register_jitable
def _scale(scale, magnitude, analytical, value, smallest_scale):
    """As the function `scales` of the judge, from what it says of a coordinate whatever the entry."""
    if magnitude == 0.0 and analytical != 0.0 and value != 0.0:
        return max(min(scale, math.fabs(value) / math.fabs(analytical)), smallest_scale)
    return scale


@kernel()
def largest_terms(entries, x, largest):
    """Raise largest[i] to the largest entry of row i in units of x, or by itself where that is more or in range."""
    start, row, given = entries
    for j in range(x.size):
        reach = max(math.fabs(x[j]), 1.0)
        for e in range(start[j], start[j + 1]):
            i = _row(row, start[j], e)
            size = math.fabs(given[e])
            product = size * reach
            largest[i] = max(largest[i], product if math.isfinite(product) else size)


@kernel()
def row_sizes(entries, columns, rows, smallest_scale, sizes):
    """Sizes of every row, beginning at zero: largest product of entry and scale, sum of their squares, largest entry.

    columns: |x|, scale where no entry says more, and the smallest of any entry, which is filled in; rows: unit, value.
    """
    start, row, given = entries
    x, scales, narrowest = columns
    unit, value = rows
    largest, squares, largest_gradient = sizes
    for j in range(x.size):
        narrowest[j] = scales[j]
        for e in range(start[j], start[j + 1]):
            i = _row(row, start[j], e)
            analytical = math.fabs(given[e]) * unit[i]
            scale = _scale(scales[j], x[j], analytical, value[i], smallest_scale)
            narrowest[j] = min(narrowest[j], scale)
            product = analytical * scale
            largest[i] = max(largest[i], product)
            squares[i] += product * product
            largest_gradient[i] = max(largest_gradient[i], analytical)


@kernel()
def screen(entries, columns, rows, values, rule, constants, first, last, estimate, bar, flags, summary):
    """Accept entries of columns first..last; summary[j]: how many were not, largest weighted difference of the others.

    columns: x, step, distance, scale, group; rows: unit, value, noise, largest and mean product, largest gradient,
    weight; values: F above and below, by group; rule: rtol, roundings of the given values, rounding of F; constants:
    those of the judge, and flags.
    `estimate` is filled in for all entries, `bar` and `flags` where they are accepted (a flag of 0 says that they are
    not).
    """
    start, row, given = entries
    x, step, distance, scales, group = columns
    unit, value, noise_of, largest_product, mean_product, largest_gradient, weight = rows
    above, below = values
    rtol, precision, rounding = rule
    width, straightness, unseen, jump_noise, roundings, most_rounding, smallest_scale, plain, absolute = constants
    for j in range(first, last):
        k, h, magnitude = group[j], step[j], math.fabs(x[j])
        is_near = h <= magnitude or magnitude == 0.0
        opened, largest = 0, 0.0
        for e in range(start[j], start[j + 1]):
            i = _row(row, start[j], e)
            raw = (above[k, i] - below[k, i]) / distance[j]
            estimate[e] = raw
            quotient, analytical = raw * unit[i], given[e] * unit[i]
            high, low, at_x = above[k, i] * unit[i], below[k, i] * unit[i], value[i]
            scale = _scale(scales[j], magnitude, analytical, at_x, smallest_scale)
            sigma = max(noise_of[i], rounding * max(math.fabs(high), math.fabs(low)))
            noise, difference = width * sigma / h, math.fabs(quotient - analytical)
            size = max(math.fabs(quotient), math.fabs(analytical))
            allowance = min(
                roundings * precision * largest_product[i] / scale, most_rounding * rtol * largest_gradient[i]
            )
            tolerance = rtol * size + allowance
            small_tolerance = rtol * min(mean_product[i] / scale, largest_gradient[i])
            jump = math.fabs((high - at_x) - (at_x - low)) / h
            straight = min(straightness, unseen * rtol * scale / h) * size
            bend = max(max(straight, jump_noise * noise), tolerance)
            resolved = difference <= tolerance / 2 and noise <= tolerance / 2 and jump <= bend
            small = difference <= noise and noise <= small_tolerance / 2
            small = small and jump <= max(jump_noise * noise, small_tolerance)
            relative = resolved and max(difference, noise) <= rtol * size
            finite = math.isfinite(high) and math.isfinite(low) and math.isfinite(quotient) and math.isfinite(tolerance)
            if finite and (relative or ((resolved or small) and is_near)):
                flags[e] = plain if relative else plain | absolute
                bar[e] = (noise + difference) / unit[i]
                largest = max(largest, difference / unit[i] * weight[i] * scales[j])
            else:
                flags[e] = 0
                bar[e] = np.inf
                opened += 1
        summary[j, 0] = opened
        summary[j, 1] = largest
