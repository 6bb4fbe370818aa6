"""Compiled code for directional checks: seeded directions that are never stored, and the fused passes along them.

Component i of the direction with a given key is ``v_i = s_i w_i``. The scale s_i is a magnitude (of x_i, or one given
by the user), or a typical value where that is at or below a cutoff. The weight w_i is a random sign times a number
uniform in [0.5, 1.5], divided by its root mean square: such weights cancel no small set of components exactly and
miss no single one (signs alone cancel pairs, large normal weights leave the domain of f).

Weights come from a counter with two levels, so a direction costs no memory and every thread sees the same one. x is
cut into fixed chunks, whose borders know nothing of threads. Key and number of a chunk are hashed in 64 bits, once for
the chunk; its entries hash their place in it in 32 bits, which vectorises on every processor.

One pass over a chunk writes x + step v and x - step v and sums up what the analytical gradient says about them: it
reads x and the gradient once and is bound by memory. Points larger than the caches are streamed to memory, since an
ordinary store reads what it is about to overwrite. Sums of chunks are merged in order, so they are the same to the bit
for any number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import prange
from numba.extending import register_jitable

from fastgrad._compiled.bridge import evaluate
from fastgrad._compiled.instructions import LINE, settle, stream, sum_up
from fastgrad._compiled.jit import kernel

CHUNK = 2048
_TILE = 128  # entries: as few as keep the loop over them busy, so that stores to memory and arithmetic overlap
_STREAMED = 1 << 23  # bytes of a point from which they are streamed to memory: x, gradient and two points fill a cache

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_GOLDEN_32, _FIRST_32, _SECOND_32 = np.uint32(0x9E3779B9), np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_S15, _S16 = np.uint32(15), np.uint32(16)
_HALF = 0.5 / math.sqrt(13.0 / 12.0)
_UNIT = 2.0**-30 * _HALF


@register_jitable
def _seeds(key: Any, chunk: Any) -> Any:
    """Two 32-bit seeds of a chunk, by splitmix64 (Steele, Lea, Flood 2014)."""
    h = key + np.uint64(chunk) * _GOLDEN
    h = (h ^ (h >> _S30)) * _FIRST
    h = (h ^ (h >> _S27)) * _SECOND
    h ^= h >> _S31
    return np.uint32(h), np.uint32(h >> _S32)


@register_jitable
def _hashed(position: Any, seeds: Any) -> Any:
    """What the weight of a place in a chunk is made of; from one place to the next it grows by a constant."""
    return np.uint32(np.uint32(position) * _GOLDEN_32 + seeds[0])


@register_jitable
def _weight(hashed: Any, seeds: Any) -> Any:
    """Two rounds of multiply and shift (constants of Wellons, lowbias32), each with a seed of its own.

    The result as a signed number gives sign and size at once.
    """
    h = np.uint32((hashed ^ (hashed >> _S16)) * _FIRST_32 + seeds[1])
    h = np.uint32((h ^ (h >> _S15)) * _SECOND_32)
    u = np.float64(np.int32(h ^ (h >> _S16)))
    return math.copysign(_HALF, u) + _UNIT * u


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
        seeds = _seeds(key, chunk)
        weight = _weight(_hashed(i - start[chunk], seeds), seeds)
        out[k] = _scale(magnitude[i], typical[chunk], cutoff[chunk]) * weight


@register_jitable
def _ends(x, analytical, scale, weight, code, step):
    """x + step v and x - step v of one entry as they are stored, and what the analytical gradient says about them."""
    d = step * (scale * weight * code)
    upper, lower = type(x)(x + d), type(x)(x - d)
    return upper, lower, np.float64(analytical) * (np.float64(upper) - np.float64(lower))


@register_jitable
def _displace(above, below, x, analytical, magnitude, limits, seeds, place, step, first, last):
    """x + step v and x - step v on a range, and the sum of a_i times the distance of the two as stored, and of squares.

    Place is where the chunk begins, and a position code of a search that v_i is multiplied by: slope * (i - middle),
    or 1 where slope is zero.
    """
    typical, cutoff = limits
    start, slope, middle = place
    hashed = _hashed(first - start, seeds)
    total = squares = 0.0
    for k in range(first, last):
        i = np.uintp(k)  # an index that may be negative keeps the loop from being vectorised
        code = slope * (k - middle) if slope != 0.0 else 1.0
        scale = _scale(magnitude[i], typical, cutoff)
        above[i], below[i], term = _ends(x[i], analytical[i], scale, _weight(hashed, seeds), code, step)
        hashed = np.uint32(hashed + _GOLDEN_32)
        total = sum_up(total, term)
        squares = sum_up(squares, term * term)
    return total, squares


@register_jitable
def _tiles(above, below, span):
    """Tiles for a pass that writes more than caches hold; otherwise of no length, as f had better find it there."""
    is_large = (span[1] - span[0]) * above.itemsize >= _STREAMED
    is_even = (above.ctypes.data - below.ctypes.data) % LINE == 0  # lines of both begin with the same entries
    size = _TILE if is_large and is_even else 0
    return np.empty(size, above.dtype), np.empty(size, above.dtype)


@register_jitable
def _add(total: Any, correction: Any, term: Any) -> Any:
    """One step of a compensated sum (Neumaier 1974)."""
    added = total + term
    if math.fabs(total) >= math.fabs(term):
        return added, correction + ((total - added) + term)
    return added, correction + ((term - added) + total)


@register_jitable
def _merge(partial):
    """The two sums of a pass from those of its chunks, in order."""
    total = correction = squares = 0.0
    for chunk in range(partial.shape[0]):
        total, correction = _add(total, correction, partial[chunk, 0])
        squares += partial[chunk, 1]
    return total + correction, squares


@register_jitable
def _chunks(start, span):
    """The chunks that a span overlaps."""
    return np.searchsorted(start, span[0], side="right") - 1, np.searchsorted(start, span[1], side="left")


@register_jitable
def _range_of(chunk, scaling, span, key):
    """Where a chunk overlaps the span, and what a pass has to know there."""
    _, start, typical, cutoff = scaling
    lo, hi, middle, slope = span
    place = start[chunk], slope, middle
    return max(lo, start[chunk]), min(hi, start[chunk + 1]), (typical[chunk], cutoff[chunk]), _seeds(key, chunk), place


@register_jitable
def _displace_chunks(above, below, x, analytical, scaling, span, key, step, begin, end, partial):
    """A range of chunks; the sums of each."""
    tiles = _tiles(above, below, span)
    if tiles[0].size > 0:
        _stream_chunks(above, below, tiles, x, analytical, scaling, span, key, step, begin, end, partial)
        return
    for chunk in range(begin, end):
        first, last, limits, seeds, place = _range_of(chunk, scaling, span, key)
        total, squares = _displace(
            above, below, x, analytical, scaling[0], limits, seeds, place, step, first, last
        )  # fmt: skip
        partial[chunk - begin, 0], partial[chunk - begin, 1] = total, squares


@register_jitable
def _stream_chunks(above, below, tiles, x, analytical, scaling, span, key, step, begin, end, partial):
    """The same, by way of two short arrays that stay in the nearest cache.

    Within the loop no array is made or handed on: to count a reference is to wait for what is on its way to memory.
    """
    upper, lower = tiles
    magnitude = scaling[0]
    addresses = above.ctypes.data, below.ctypes.data, upper.ctypes.data, lower.ctypes.data
    lines = _TILE * x.itemsize // LINE
    for chunk in range(begin, end):
        first, last, limits, seeds, place = _range_of(chunk, scaling, span, key)
        typical, cutoff = limits
        start, slope, middle = place
        total = squares = 0.0
        tile = min(last, first + -(addresses[0] + first * x.itemsize) % LINE // x.itemsize)  # begins on a line
        if first < tile:
            total, squares = _displace(
                above, below, x, analytical, magnitude, limits, seeds, place, step, first, tile
            )  # fmt: skip
        hashed = _hashed(tile - start, seeds)
        while tile + _TILE <= last:
            for k in range(_TILE):
                i = np.uintp(tile + k)
                code = slope * (tile + k - middle) if slope != 0.0 else 1.0
                scale = _scale(magnitude[i], typical, cutoff)
                upper[k], lower[k], term = _ends(x[i], analytical[i], scale, _weight(hashed, seeds), code, step)
                hashed = np.uint32(hashed + _GOLDEN_32)
                total = sum_up(total, term)
                squares = sum_up(squares, term * term)
            stream(addresses[0] + tile * x.itemsize, addresses[2], lines)
            stream(addresses[1] + tile * x.itemsize, addresses[3], lines)
            tile += _TILE
        if tile < last:
            p, s = _displace(above, below, x, analytical, magnitude, limits, seeds, place, step, tile, last)
            total, squares = total + p, squares + s
        partial[chunk - begin, 0], partial[chunk - begin, 1] = total, squares
    settle()


@register_jitable
def _pairs(function, block, points, x, analytical, scaling, first, last, probe, result):
    lo, hi, middle, slope, key, step = probe
    f_above, f_below, product, square = result
    above, below = points[0][: x.size], points[1][: x.size]  # contiguous, which points[:, :n] is not
    for k in range(first, last):
        span = lo[k], hi[k], middle[k], slope[k]
        begin, end = _chunks(scaling[1], span)
        partial = np.empty((end - begin, 2))
        _displace_chunks(above, below, x, analytical, scaling, span, key[k], step[k], begin, end, partial)
        f_above[k], _ = evaluate(function, block, above)
        f_below[k], _ = evaluate(function, block, below)
        product[k], square[k] = _merge(partial)
        if k + 1 == last or lo[k + 1] != lo[k] or hi[k + 1] != hi[k]:  # otherwise the next one overwrites it
            above[lo[k] : hi[k]] = x[lo[k] : hi[k]]
            below[lo[k] : hi[k]] = x[lo[k] : hi[k]]


@kernel()
def pairs_serial(function, block, work, x, analytical, scaling, probe, result):
    """Objective at x + step[k] v and x - step[k] v, v of key[k] within a span, on this thread; and the two sums.

    `work` holds two points, equal to x before and after.
    """
    _pairs(function, block, work[0], x, analytical, scaling, 0, probe[0].size, probe, result)


@kernel(parallel=True)
def pairs_parallel(function, block, work, x, analytical, scaling, probe, result):
    """The same, one range of k for each two points of `work`."""
    lanes, count = work.shape[0], probe[0].size
    for lane in prange(lanes):
        first, last = count * lane // lanes, count * (lane + 1) // lanes
        _pairs(function, block, work[lane], x, analytical, scaling, first, last, probe, result)


@kernel()
def displace_serial(above, below, x, analytical, scaling, span, key, step, partial):
    """Write two points without evaluating there, and the sums of each chunk."""
    begin, end = _chunks(scaling[1], span)
    _displace_chunks(above, below, x, analytical, scaling, span, key, step, begin, end, partial)


@kernel(parallel=True)
def displace_parallel(above, below, x, analytical, scaling, span, key, step, lanes, partial):
    """The same with threads side by side."""
    begin, end = _chunks(scaling[1], span)
    count = end - begin
    for lane in prange(lanes):
        first, last = begin + count * lane // lanes, begin + count * (lane + 1) // lanes
        part = partial[first - begin : last - begin]
        _displace_chunks(above, below, x, analytical, scaling, span, key, step, first, last, part)


@kernel(parallel=True)
def evaluate_both(function, block, above, below, value):
    """Objective at two points, on a thread each."""
    for k in prange(2):
        value[k], _ = evaluate(function, block, above if k == 0 else below)


@kernel()
def merge(partial):
    """The two sums of a pass from those of its chunks, in order."""
    return _merge(partial)
