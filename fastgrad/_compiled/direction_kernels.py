"""Compiled code for directional checks: seeded directions that are never stored, and the fused passes along them.

Component i of the direction with a given key is ``v_i = s_i w_i``. The scale s_i is a magnitude (of x_i, or one given
by the user), or a typical value where that is at or below a cutoff. The weight w_i is a random sign times a number
uniform in [0.5, 1.5], divided by its root mean square: such weights cancel no small set of components exactly and
miss no single one (signs alone cancel pairs, large normal weights leave the domain of f). It comes from a hash of
(key, i), so a direction costs no memory and every thread sees the same one.

A pass runs over fixed chunks, whose borders know nothing of threads. Sums are folded in a fixed order within a chunk
and merged chunk by chunk, so they are the same to the bit for any number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import prange
from numba.extending import register_jitable

from fastgrad._compiled.bridge import evaluate
from fastgrad._compiled.jit import kernel

CHUNK = 1024  # a power of two, for folding; seven arrays of it stay near the first-level cache

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_UNIT = 2.0**-31
_NORMAL = 1.0 / math.sqrt(13.0 / 12.0)


@register_jitable
def _weight(h: Any) -> Any:
    """splitmix64 (Steele, Lea, Flood 2014); its upper half as a signed number gives sign and size at once."""
    h = (h ^ (h >> _S30)) * _FIRST
    h = (h ^ (h >> _S27)) * _SECOND
    u = np.float64(np.int32((h ^ (h >> _S31)) >> _S32)) * _UNIT
    return _NORMAL * (math.copysign(0.5, u) + u)


@register_jitable
def _scale(magnitude: Any, typical: Any, cutoff: Any) -> Any:
    size = math.fabs(np.float64(magnitude))
    return size if size > cutoff else typical


@kernel()
def components(magnitude, start, typical, cutoff, key, index, out):
    """Components of a direction at a few places."""
    for k in range(index.size):
        i = index[k]
        chunk = np.searchsorted(start, i, side="right") - 1
        weight = _weight(key + np.uint64(i) * _GOLDEN)
        out[k] = _scale(magnitude[i], typical[chunk], cutoff[chunk]) * weight


@register_jitable
def _fill(point, x, magnitude, typical, cutoff, first, last, key, step, middle, slope):
    """x + step * v on a range; with a slope, v_i is multiplied by slope * (i - middle): the position code."""
    # Slices, because an index that may be negative keeps the loop from being vectorised.
    p, x, magnitude = point[first:last], x[first:last], magnitude[first:last]
    base, offset = key + np.uint64(first) * _GOLDEN, first - middle
    if slope == 0.0:
        for i in range(p.size):
            v = _scale(magnitude[i], typical, cutoff) * _weight(base + np.uint64(i) * _GOLDEN)
            p[i] = x[i] + step * v
    else:
        for i in range(p.size):
            v = _scale(magnitude[i], typical, cutoff) * _weight(base + np.uint64(i) * _GOLDEN)
            p[i] = x[i] + step * (v * (slope * (i + offset)))


@register_jitable
def _fill_and_multiply(point, x, analytical, magnitude, typical, cutoff, first, last, key, step, middle, slope, terms):
    """The same; also a_i (distance of x - step v and x + step v as stored)_i, and (a_i v_i)^2, as terms."""
    p, x, a, magnitude = point[first:last], x[first:last], analytical[first:last], magnitude[first:last]
    base, offset, fixed = key + np.uint64(first) * _GOLDEN, first - middle, 1.0 if slope == 0.0 else 0.0
    products, squares = terms[0], terms[1]
    for i in range(p.size):
        v = _scale(magnitude[i], typical, cutoff) * _weight(base + np.uint64(i) * _GOLDEN)
        v *= slope * (i + offset) + fixed
        p[i] = x[i] - step * v  # the opposite point, rounded as it was stored
        opposite = np.float64(p[i])
        p[i] = x[i] + step * v
        a_i = np.float64(a[i])
        products[i] = a_i * (opposite - np.float64(p[i]))
        squares[i] = (a_i * v) ** 2
    products[p.size :] = 0.0
    squares[p.size :] = 0.0


@register_jitable
def _fold(terms):
    """Pairwise sum of a chunk: half onto half. Vectorises, with an order that no compiler may change."""
    half = CHUNK // 2
    while half > 0:
        for i in range(half):
            terms[i] += terms[i + half]
        half //= 2
    return terms[0]


@register_jitable
def _add(total: Any, correction: Any, term: Any) -> Any:
    """One step of a compensated sum (Neumaier 1974)."""
    added = total + term
    if math.fabs(total) >= math.fabs(term):
        return added, correction + ((total - added) + term)
    return added, correction + ((term - added) + total)


@register_jitable
def _displace(point, x, analytical, chunk, scaling, span, key, step, terms):
    """One chunk of a pass, where it overlaps the span. A negative step gives the two sums as well."""
    magnitude, start, typical, cutoff = scaling
    lo, hi, middle, slope = span
    first, last = max(lo, start[chunk]), min(hi, start[chunk + 1])
    typical, cutoff = typical[chunk], cutoff[chunk]
    if step > 0.0:
        _fill(point, x, magnitude, typical, cutoff, first, last, key, step, middle, slope)
        return 0.0, 0.0
    _fill_and_multiply(
        point, x, analytical, magnitude, typical, cutoff, first, last, key, step, middle, slope, terms
    )  # fmt: skip
    return _fold(terms[0]), _fold(terms[1])


@register_jitable
def _chunks(start, span):
    """The chunks that a span overlaps."""
    return np.searchsorted(start, span[0], side="right") - 1, np.searchsorted(start, span[1], side="left")


@register_jitable
def _probes(function, block, point, x, analytical, scaling, first, last, probe, result, status):
    lo, hi, middle, slope, key, step = probe
    value, product, square = result
    terms = np.empty((2, CHUNK))
    for k in range(first, last):
        span = lo[k], hi[k], middle[k], slope[k]
        begin, end = _chunks(scaling[1], span)
        total = correction = squares = 0.0
        for chunk in range(begin, end):
            p, s = _displace(point, x, analytical, chunk, scaling, span, key[k], step[k], terms)
            total, correction = _add(total, correction, p)
            squares += s
        value[k], status[k] = evaluate(function, block, point)
        product[k], square[k] = total + correction, squares
        if k + 1 == last or lo[k + 1] != lo[k] or hi[k + 1] != hi[k]:  # otherwise the next one overwrites it
            for i in range(lo[k], hi[k]):
                point[i] = x[i]


@kernel()
def probes_serial(function, block, work, x, analytical, scaling, probe, result, status):
    """Objective at x + step[k] v of key[k] within a span, on this thread; for a negative step also the two sums."""
    _probes(function, block, work[0, : x.size], x, analytical, scaling, 0, status.size, probe, result, status)


@kernel(parallel=True)
def probes_parallel(function, block, work, x, analytical, scaling, probe, result, status):
    """The same, one range of k per row of `work`."""
    lanes = work.shape[0]
    for lane in prange(lanes):
        first, last = status.size * lane // lanes, status.size * (lane + 1) // lanes
        _probes(
            function, block, work[lane, : x.size], x, analytical, scaling, first, last, probe, result, status
        )  # fmt: skip


@register_jitable
def _displace_range(point, x, analytical, scaling, span, key, step, first, last, partial):
    terms = np.empty((2, CHUNK))
    begin, _ = _chunks(scaling[1], span)
    for chunk in range(first, last):
        p, s = _displace(point, x, analytical, chunk, scaling, span, key, step, terms)
        partial[chunk - begin, 0] = p
        partial[chunk - begin, 1] = s


@kernel(parallel=True)
def displace(point, x, analytical, scaling, span, key, step, lanes, partial):
    """Fill one point with threads side by side, and the sums of each chunk."""
    begin, end = _chunks(scaling[1], span)
    count = end - begin
    for lane in prange(lanes):
        first, last = begin + count * lane // lanes, begin + count * (lane + 1) // lanes
        _displace_range(point, x, analytical, scaling, span, key, step, first, last, partial)


@kernel()
def merge(partial):
    """The two sums of a pass from those of its chunks, in order."""
    total = correction = squares = 0.0
    for chunk in range(partial.shape[0]):
        total, correction = _add(total, correction, partial[chunk, 0])
        squares += partial[chunk, 1]
    return total + correction, squares
