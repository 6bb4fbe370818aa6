"""Guesses at more entries outside a pattern, from those that were found: the same diagonals, or the transposed pattern.

A guess costs groups of columns and nothing else: its entries are measured like all others, and judged.
"""

import numpy as np
from numpy.typing import NDArray

from fastgrad._sparse.pattern import Index, Pattern, union

_FEWEST = 3  # rows that must agree before anything is guessed of others
_MOST_DIAGONALS = 8


def extended(pattern: Pattern, found: set[tuple[int, int]], unexplained: NDArray[np.bool_]) -> Pattern:
    """The pattern with the entries found, and for rows that are still unexplained with those guessed."""
    rows, columns = (np.array(index, np.int64) for index in zip(*sorted(found, key=lambda e: e[::-1]), strict=True))
    wider = union(pattern, Pattern(pattern.shape, rows, columns))
    if np.unique(rows).size < _FEWEST or not unexplained.any():
        return wider
    if _is_transposed(pattern, rows, columns):
        return union(wider, _of_rows(_transposed(pattern), unexplained))
    diagonals = np.unique(columns - rows)
    if diagonals.size <= min(_MOST_DIAGONALS, rows.size // 2):
        return union(wider, _on_diagonals(pattern.shape, diagonals, unexplained))
    return wider


def _is_transposed(pattern: Pattern, rows: Index, columns: Index) -> bool:
    m, n = pattern.shape
    return m == n and bool((pattern.find(columns, rows) >= 0).all())


def _transposed(pattern: Pattern) -> Pattern:
    order = pattern.by_row[1]
    return Pattern(pattern.shape[::-1], pattern.columns[order], pattern.rows[order])


def _of_rows(pattern: Pattern, chosen: NDArray[np.bool_]) -> Pattern:
    kept = chosen[pattern.rows]
    return Pattern(pattern.shape, pattern.rows[kept], pattern.columns[kept])


def _on_diagonals(shape: tuple[int, int], diagonals: Index, chosen: NDArray[np.bool_]) -> Pattern:
    rows = np.repeat(np.flatnonzero(chosen), diagonals.size)
    columns = rows + np.tile(diagonals, rows.size // diagonals.size)
    inside = (columns >= 0) & (columns < shape[1])
    rows, columns = rows[inside], columns[inside]
    order = np.lexsort((rows, columns))
    return Pattern(shape, rows[order], columns[order])
