"""How far directions move each component: two scalings of x, or the one that the user gives."""

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._causes.places import Block
from fastgrad._inputs import Array, Point, per_coordinate
from fastgrad._large.probes import Scaling, chunk_borders


def make_scalings(point: Point, blocks: tuple[Block, ...], scale: ArrayLike | None) -> list[Scaling]:
    """Both are tried: the first sees components near zero, the second copes with sizes that span decades.

    In the first no component moves by less than the median of its block, in the second every one by its own size.
    """
    start = chunk_borders([(block.start, block.stop) for block in blocks])
    if scale is not None:
        given = per_coordinate(scale, point, "scale")
        if not (np.isfinite(given).all() and (given > 0).all()):
            raise ValueError("scale has entries that are not positive and finite; need typical sizes of changes of x.")
        nothing = np.zeros(start.size - 1)
        return [Scaling("given scale", given, start, nothing, nothing)]
    typical = _typical_sizes(point.flat, blocks)[_block_of_chunk(start, blocks)]
    mixed = Scaling("mixed scale", point.flat, start, typical, typical)
    return [mixed, Scaling("relative scale", point.flat, start, typical, np.zeros_like(typical))]


def _block_of_chunk(start: Array, blocks: tuple[Block, ...]) -> Array:
    first = np.array([block.start for block in blocks])
    return np.asarray(np.searchsorted(first, start[:-1], side="right") - 1)


def _typical_sizes(x: Array, blocks: tuple[Block, ...]) -> Array:
    """Median |x_i| that are not zero, of each block; of all blocks where one has none; 1 where x is zero."""
    medians = np.array([_median_size(x[block.slice]) for block in blocks])
    known = medians[medians > 0.0]
    return np.where(medians > 0.0, medians, float(np.median(known)) if known.size else 1.0)


def _median_size(x: Array) -> float:
    size = np.abs(x)
    count = int(np.count_nonzero(size == 0.0))
    if count:
        size = size[size > 0.0]
    return float(np.median(size, overwrite_input=True)) if size.size else 0.0
