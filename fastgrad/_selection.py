"""Which coordinates are checked, and in which order, when it is not all of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._inputs import Point
from fastgrad._options import generator_of, is_whole, whole_number

Index = NDArray[np.int64]

_NEED = "need a list of whole numbers (positions in x.ravel()) or a mask shaped like x"
_FIRST_PIECE = 16  # enough to tell whether the rule of automatic steps suits the problem


def select(point: Point, indices: ArrayLike | None, sample: int | None, rng: Any, *, is_limited: bool) -> Index | None:
    """Flat positions to check, in order, or None for all of them at once.

    The order is random, so that those reached before a limit or an interruption are a fair sample, drawn without
    replacement.
    """
    if not is_whole(rng) or rng < 0:  # any other is good
        generator_of(rng)
    if indices is not None:
        if sample is not None:
            raise ValueError("both indices and sample are given; need one of them.")
        chosen = _explicit(indices, point)
        return chosen[generator_of(rng).permutation(chosen.size)]
    if sample is None and not is_limited:
        return None
    if sample is not None and not 1 <= whole_number(sample, "sample") <= point.size:
        raise ValueError(f"sample is {sample}; need 1 to {point.size}, the number of components.")
    return generator_of(rng).permutation(point.size)[:sample]


def _explicit(indices: ArrayLike, point: Point) -> Index:
    try:
        given = np.asarray(indices)
    except ValueError as error:  # ragged
        raise TypeError(f"indices is {indices!r}; {_NEED}.") from error
    if given.dtype == bool:
        if given.shape != point.shape:
            raise ValueError(f"indices is a mask of shape {given.shape}; need the shape of x, {point.shape}.")
        if not given.any():
            raise ValueError("indices is a mask that selects nothing; need at least one component.")
        return np.flatnonzero(given)
    if given.dtype.kind not in "iu" or given.ndim != 1 or given.size == 0:
        raise TypeError(f"indices is {indices!r}; {_NEED}.")
    if given.min() < 0 or given.max() >= point.size:
        raise ValueError(f"indices reach from {given.min()} to {given.max()}; need 0 to {point.size - 1}.")
    return np.unique(given).astype(np.int64)


def pieces(order: Index) -> Iterator[Index]:
    """A small piece first, then each as large as all before it."""
    start, stop = 0, _FIRST_PIECE
    while start < order.size:
        yield order[start:stop]
        start, stop = stop, 2 * stop


def sample_first(n: int) -> Iterator[Index]:
    """All coordinates in two pieces, the first of which is spread evenly over x."""
    stride = max(1, n // _FIRST_PIECE)
    is_first = np.zeros(n, dtype=bool)
    is_first[::stride][:_FIRST_PIECE] = True
    yield np.flatnonzero(is_first)
    if not is_first.all():
        yield np.flatnonzero(~is_first)
