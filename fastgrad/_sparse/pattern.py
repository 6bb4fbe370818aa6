"""The gate for sparsity patterns: which entries of a Jacobian may differ from zero, as index arrays by row and column.

SciPy is not needed for it: its sparse matrices are recognised if the caller has them.
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._compiled.coloring_kernels import count_into_starts, sort_stably

Index = NDArray[np.int64]

_ACCEPTED = "a scipy.sparse matrix, or a pair (rows, columns) of index arrays as np.nonzero returns it"


@dataclass(frozen=True)
class Pattern:
    """Entries of an m x n matrix, sorted by column and within it by row, none twice."""

    shape: tuple[int, int]
    rows: Index
    columns: Index

    @property
    def size(self) -> int:
        return int(self.rows.size)

    @cached_property
    def column_start(self) -> Index:
        """Column j holds the entries column_start[j] to column_start[j + 1]."""
        return _starts(self.columns, self.shape[1])

    @cached_property
    def by_row(self) -> tuple[Index, Index]:
        """Starts of the rows, and the entries (positions in `rows` and `columns`) in their order."""
        start = _starts(self.rows, self.shape[0])
        return start, _sorted(self.rows, start)

    def entries_of_row(self, i: int) -> Index:
        """Positions of the entries of row i, by column."""
        start, order = self.by_row
        return order[start[i] : start[i + 1]]

    def entries_of_column(self, j: int) -> slice:
        """Positions of the entries of column j, by row."""
        return slice(int(self.column_start[j]), int(self.column_start[j + 1]))

    def find(self, rows: Index, columns: Index) -> Index:
        """Position of each of these entries, -1 if it is not in the pattern."""
        if self.size == 0:
            return np.full(rows.size, -1, np.int64)
        own, wanted = _keys(self.shape, self.rows, self.columns), _keys(self.shape, rows, columns)
        place = np.minimum(np.searchsorted(own, wanted), self.size - 1)
        return np.where(own[place] == wanted, place, -1)


def make_pattern(sparsity: Any, shape: tuple[int, int], name: str = "sparsity") -> Pattern:
    """Check a pattern against the shape (values of F, coordinates of x); one line that says what does not fit."""
    if is_sparse(sparsity):
        if tuple(sparsity.shape) != shape:
            raise ValueError(_wrong_shape(name, tuple(sparsity.shape), shape))
        return entries_of(sparsity)[0]
    if not (isinstance(sparsity, tuple) and len(sparsity) == 2):
        what = f"an array of shape {sparsity.shape}" if isinstance(sparsity, np.ndarray) else type(sparsity).__name__
        advice = f": pass np.nonzero({name})" if isinstance(sparsity, np.ndarray) else ""
        raise TypeError(f"{name} is {what}; need {_ACCEPTED}{advice}.")
    rows = _indices(sparsity[0], shape[0], f"{name}[0]", "rows (values of F)")
    columns = _indices(sparsity[1], shape[1], f"{name}[1]", "columns (coordinates of x)")
    if rows.size != columns.size:
        raise ValueError(
            f"{name} has {rows.size} row indices and {columns.size} column indices; need one of each per entry."
        )
    return _without_twins(rows, columns, shape, name)


def is_sparse(values: Any) -> bool:
    """Whether this is a sparse matrix or array of SciPy; nobody has one who has not imported it."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(values))


def entries_of(matrix: Any) -> tuple[Pattern, NDArray[Any]]:
    """The stored entries of a sparse matrix and their values; those stored twice are added, as SciPy reads them."""
    by_column = matrix.tocsc(copy=True)
    by_column.sum_duplicates()  # sorts as well
    listed = by_column.tocoo()
    m, n = matrix.shape
    rows, columns = (np.asarray(index, np.int64) for index in (listed.row, listed.col))
    return Pattern((int(m), int(n)), rows, columns), listed.data


def union(first: Pattern, second: Pattern) -> Pattern:
    """Entries of either."""
    new = np.flatnonzero(first.find(second.rows, second.columns) < 0)
    if new.size == 0:
        return first
    own = _keys(first.shape, first.rows, first.columns)
    added = _keys(first.shape, second.rows[new], second.columns[new])
    keys = np.insert(own, np.searchsorted(own, added), added)
    return Pattern(first.shape, keys % first.shape[0], keys // first.shape[0])


def _keys(shape: tuple[int, int], rows: Index, columns: Index) -> Index:
    """A number for each entry that orders them by column, then row."""
    return columns * shape[0] + rows


def _starts(keys: Index, count: int) -> Index:
    start = np.empty(count + 1, np.int64)
    count_into_starts(keys, start)
    return start


def _sorted(keys: Index, start: Index) -> Index:
    order = np.empty(keys.size, np.int64)
    sort_stably(keys, start, order)
    return order


def _indices(values: Any, count: int, name: str, what: str) -> Index:
    try:
        given = np.asarray(values)
    except ValueError as error:  # ragged
        raise TypeError(
            f"{name} is {values!r}; need whole numbers in one dimension: sparsity is {_ACCEPTED}."
        ) from error
    if given.ndim != 1 or (given.dtype.kind not in "iu" and given.size):
        raise TypeError(
            f"{name} is an array of {given.dtype} with shape {given.shape}; need whole numbers in one dimension: "
            f"sparsity is {_ACCEPTED}."
        )
    given = given.astype(np.int64)
    outside = np.flatnonzero((given < 0) | (given >= count))
    if outside.size:
        k = int(outside[0])
        raise ValueError(f"{name}[{k}] is {given[k]}; need indices from 0 to {count - 1}: there are {count} {what}.")
    return given


def _wrong_shape(name: str, given: tuple[int, ...], shape: tuple[int, int]) -> str:
    advice = f": pass {name}.T if it is transposed" if given == shape[::-1] else ""
    return f"{name} has shape {given}; need {shape}, a row per value of F and a column per coordinate of x{advice}."


def _without_twins(rows: Index, columns: Index, shape: tuple[int, int], name: str) -> Pattern:
    """Sorted by column and row; an entry given twice is refused, since it tells of a mistake in whoever made them."""
    order = _sorted(rows, _starts(rows, shape[0]))
    order = order[_sorted(columns[order], _starts(columns, shape[1]))]
    rows, columns = rows[order], columns[order]
    twins = np.flatnonzero((np.diff(rows) == 0) & (np.diff(columns) == 0))
    if twins.size:
        k = int(twins[0])
        raise ValueError(
            f"{name} holds entry ({rows[k]}, {columns[k]}) more than once; need each entry once: drop the repetitions, "
            f"or pass a scipy.sparse matrix, which adds them."
        )
    return Pattern(shape, rows, columns)
