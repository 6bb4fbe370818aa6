"""Regular places in a block: each a phrase and a predicate on positions counted from the start of the block."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_FEWEST = 3  # samples of each kind that a place must separate
_LARGEST_PERIOD = 64


@dataclass(frozen=True)
class Pattern:
    """A set of positions."""

    text: str
    holds: Callable[[NDArray[np.int64]], Any]


def separating(wrong: NDArray[np.int64], right: NDArray[np.int64], shape: tuple[int, ...]) -> Iterator[Pattern]:
    """Places that hold all wrong samples and no right one."""
    if min(wrong.size, right.size) < _FEWEST:
        return
    for pattern in _patterns(shape):
        if np.all(pattern.holds(wrong)) and not np.any(pattern.holds(right)):
            yield pattern


def is_interval(wrong: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    """Whether the wrong samples may be one stretch, with right ones around it only."""
    if wrong.size <= _FEWEST or right.size < _FEWEST:
        return False
    return not np.any((right > wrong.min()) & (right < wrong.max()))


def stretch(first: int, last: int) -> Pattern:
    """Positions first..last."""
    return Pattern(f"entries {first}..{last}", lambda k: (k >= first) & (k <= last))


def _patterns(shape: tuple[int, ...]) -> Iterator[Pattern]:
    columns = shape[-1] if len(shape) > 1 else 0
    if len(shape) == 2:
        yield from _grid_patterns(*shape)
    for period in sorted({2, 3, 4, columns} - {0, 1}):
        for offset in range(period if period <= _LARGEST_PERIOD else 0):
            yield _periodic(period, offset)


def _periodic(period: int, offset: int) -> Pattern:
    return Pattern(f"entries k with k % {period} == {offset}", lambda k: k % period == offset)


def _grid_patterns(rows: int, columns: int) -> Iterator[Pattern]:
    yield Pattern("the first row", lambda k: k // columns == 0)
    yield Pattern("the last row", lambda k: k // columns == rows - 1)
    yield Pattern("the first column", lambda k: k % columns == 0)
    yield Pattern("the last column", lambda k: k % columns == columns - 1)
    yield Pattern(
        "the border",
        lambda k: np.isin(k // columns, (0, rows - 1)) | np.isin(k % columns, (0, columns - 1)),
    )
    if rows == columns:
        yield Pattern("the diagonal", lambda k: k // columns == k % columns)
        yield Pattern("the entries off the diagonal", lambda k: k // columns != k % columns)
        yield Pattern("the entries above the diagonal", lambda k: k // columns < k % columns)
        yield Pattern("the entries below the diagonal", lambda k: k // columns > k % columns)
