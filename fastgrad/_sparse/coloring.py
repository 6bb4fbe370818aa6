"""Columns of a sparse Jacobian in groups that share no row, so that one difference per group shows all entries.

Curtis, Powell and Reid, "On the estimation of sparse Jacobian matrices", J. Inst. Maths Applics 13 (1974): columns
without a common row can move together. Coleman and More, "Estimation of sparse Jacobian matrices and graph coloring
problems", SIAM J. Numer. Anal. 20 (1983): grouping them is colouring the graph in which columns that share a row are
neighbours, and the order in which the greedy algorithm takes the columns decides how many colours it needs.

No order is best everywhere. Natural order colours banded matrices with as few groups as there can be, smallest-last
most others; so natural order is tried first, the two others where it needs more colours than the fullest row has
entries, which no grouping can beat. Of equal counts the first is taken.
"""

import numpy as np
from numpy.typing import NDArray

from fastgrad._compiled.coloring_kernels import colour_greedily, count_neighbours, order_smallest_last
from fastgrad._sparse.pattern import Pattern
from fastgrad._vector_schedule import Groups

Index = NDArray[np.int64]


def group_columns(pattern: Pattern) -> tuple[Groups, Index]:
    """Groups of columns that share no row, and the group of each column; -1 for a column without entries.

    Costs the sum over the rows of the square of their entries, in time; a few arrays per entry, in memory.
    """
    row_start, order = pattern.by_row
    lists = (pattern.column_start, pattern.rows, row_start, pattern.columns[order])
    fewest = int(np.diff(row_start).max(initial=0))
    colour, count = _colour(np.arange(pattern.shape[1]), lists)
    if count > fewest:
        for ordering in (_smallest_last, _largest_first):
            other, its_count = _colour(ordering(lists), lists)
            if its_count < count:
                colour, count = other, its_count
            if count == fewest:
                break
    return _groups(np.where(np.diff(pattern.column_start) > 0, colour, -1))


def group_all_columns(pattern: Pattern) -> tuple[Groups, Index]:
    """The same with the columns without entries, which share no row with any, in the first group."""
    _, colour = group_columns(pattern)
    return _groups(np.maximum(colour, 0))


def _largest_first(lists: tuple[Index, ...]) -> Index:
    return np.argsort(-_degree(lists), kind="stable")


def _smallest_last(lists: tuple[Index, ...]) -> Index:
    degree = _degree(lists)
    order = np.empty(degree.size, np.int64)
    order_smallest_last(*lists, degree, order)
    return order


def _degree(lists: tuple[Index, ...]) -> Index:
    degree = np.zeros(lists[0].size - 1, np.int64)
    count_neighbours(*lists, degree)
    return degree


def _colour(order: Index, lists: tuple[Index, ...]) -> tuple[Index, int]:
    colour = np.full(order.size, -1, np.int64)
    return colour, int(colour_greedily(order, *lists, colour))


def _groups(colour: Index) -> tuple[Groups, Index]:
    order = np.argsort(colour, kind="stable")
    order = order[np.count_nonzero(colour < 0) :]
    count = int(colour.max(initial=-1)) + 1
    start = np.searchsorted(colour[order], np.arange(count + 1))
    return Groups(order, start.astype(np.int64)), colour
