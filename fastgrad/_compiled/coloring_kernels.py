"""Compiled code for patterns of sparse matrices: sorting by row or column, and colouring of columns. No objective.

A pattern comes twice, as lists of rows by column and of columns by row: list k of `start` and `members` is
members[start[k]:start[k + 1]]. Two columns are neighbours if they share a row. Neighbours are met through the rows,
so every ordering and the colouring itself cost the sum over the rows of the square of their entries.
"""

import numpy as np
from numba.extending import register_jitable

from fastgrad._compiled.jit import kernel


@kernel()
def count_into_starts(keys, start):
    """Fill start[1:] with the running count of each key in [0, start.size - 1)."""
    start[:] = 0
    for key in keys:
        start[key + 1] += 1
    for k in range(1, start.size):
        start[k] += start[k - 1]


@kernel()
def sort_stably(keys, start, order):
    """Positions in `keys` ordered by key, equal keys in the order they came (a counting sort)."""
    place = start[:-1].copy()
    for position in range(keys.size):
        key = keys[position]
        order[place[key]] = position
        place[key] += 1


@kernel()
def count_neighbours(row_start, rows, column_start, columns, degree):
    """Number of other columns that share a row with each column."""
    seen = np.full(degree.size, -1, np.int64)
    for j in range(degree.size):
        seen[j] = j
        for p in range(row_start[j], row_start[j + 1]):
            i = rows[p]
            for q in range(column_start[i], column_start[i + 1]):
                k = columns[q]
                if seen[k] != j:
                    seen[k] = j
                    degree[j] += 1


@kernel()
def colour_greedily(order, row_start, rows, column_start, columns, colour):
    """Give each column, in this order, the smallest colour that no neighbour has; the number of colours."""
    taken = np.full(order.size + 1, -1, np.int64)  # by which column a colour was last seen on a neighbour
    count = 0
    for j in order:
        for p in range(row_start[j], row_start[j + 1]):
            i = rows[p]
            for q in range(column_start[i], column_start[i + 1]):
                c = colour[columns[q]]
                if c >= 0:
                    taken[c] = j
        c = 0
        while taken[c] == j:
            c += 1
        colour[j] = c
        count = max(count, c + 1)
    return count


@register_jitable
def _link(j, degree, head, after, before):
    d = degree[j]
    following = head[d]
    after[j] = following
    before[j] = -1
    if following >= 0:
        before[following] = j
    head[d] = j


@register_jitable
def _unlink(j, degree, head, after, before):
    if before[j] >= 0:
        after[before[j]] = after[j]
    else:
        head[degree[j]] = after[j]
    if after[j] >= 0:
        before[after[j]] = before[j]


@kernel()
def order_smallest_last(row_start, rows, column_start, columns, degree, order):
    """Fill `order` from its end, each time with the column that has fewest neighbours among those not yet placed.

    `degree` is used up. Columns of one degree are kept in a doubly linked list, so each step costs its neighbours.
    """
    n = order.size
    head = np.full(n + 1, -1, np.int64)
    after, before = np.empty(n, np.int64), np.empty(n, np.int64)
    for j in range(n):
        _link(j, degree, head, after, before)
    seen = np.full(n, -1, np.int64)
    lowest = 0
    for place in range(n - 1, -1, -1):
        while head[lowest] < 0:
            lowest += 1
        j = head[lowest]
        _unlink(j, degree, head, after, before)
        order[place] = j
        seen[j] = n  # placed
        for p in range(row_start[j], row_start[j + 1]):
            i = rows[p]
            for q in range(column_start[i], column_start[i + 1]):
                k = columns[q]
                if seen[k] != n and seen[k] != j:
                    seen[k] = j
                    _unlink(k, degree, head, after, before)
                    degree[k] -= 1
                    _link(k, degree, head, after, before)
        lowest = max(lowest - 1, 0)
