"""Compiled code that reads differences entry by entry: which entries of a Jacobian agree at once.

The rule is that of `judge_plain` (the module `_judge.plain`), in one pass over the entries instead of one per
operation: for large matrices of cheap functions NumPy would take longer than all evaluations. Entries that it does
not accept are judged there; a test holds the two together.
"""

import math

import numpy as np

from fastgrad._compiled.jit import kernel


@kernel()
def screen(entries, columns, rows, values, rule, constants, first, last, estimate, bar, flags, summary):
    """Accept entries of columns first..last; summary[j]: how many were not, largest weighted difference of the others.

    entries: start of each column, row of each entry (or nothing: all rows), given value; columns: x, step, distance,
    scale, group; rows: unit, value, noise, largest and mean product, largest gradient, weight; values: F above and
    below, by group; rule: rtol, roundings of the given values, rounding of F; constants: those of the judge, and flags.
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
            i = e - start[j] if row.size == 0 else row[e]
            raw = (above[k, i] - below[k, i]) / distance[j]
            estimate[e] = raw
            quotient, analytical = raw * unit[i], given[e] * unit[i]
            high, low, at_x = above[k, i] * unit[i], below[k, i] * unit[i], value[i]
            scale = scales[j]
            if magnitude == 0.0 and analytical != 0.0 and at_x != 0.0:
                scale = max(min(scale, math.fabs(at_x) / math.fabs(analytical)), smallest_scale)
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
