"""Groups of columns: valid for every pattern, as few as known for the usual ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad._compiled.coloring_kernels import count_neighbours
from fastgrad._sparse.coloring import group_columns
from fastgrad._sparse.pattern import Pattern, make_pattern

scipy_sparse = pytest.importorskip("scipy.sparse")


def is_valid(dense, groups):
    """The obvious twin: no two columns of a group have an entry in one row."""
    for k in range(groups.count):
        members = groups.index[groups.start[k] : groups.start[k + 1]]
        if (dense[:, members].sum(axis=1) > 1).any():
            return False
    return True


def slow_greedy(dense, order):
    """Colours by the definition, with the graph of neighbours written out."""
    neighbours = (dense.T.astype(int) @ dense.astype(int)) > 0
    colour = np.full(dense.shape[1], -1)
    for j in order:
        taken = {colour[k] for k in np.flatnonzero(neighbours[j]) if k != j}
        colour[j] = next(c for c in range(dense.shape[1] + 1) if c not in taken)
    return colour


def pattern_of(dense):
    return make_pattern(np.nonzero(dense), dense.shape)


@st.composite
def dense_patterns(draw):
    m, n = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    bits = draw(st.lists(st.booleans(), min_size=m * n, max_size=m * n))
    return np.array(bits).reshape(m, n)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(dense_patterns())
def test_no_two_columns_of_a_group_share_a_row(dense):
    groups, colour = group_columns(pattern_of(dense))
    assert is_valid(dense, groups)
    filled = np.flatnonzero(dense.any(axis=0))
    assert sorted(groups.index.tolist()) == filled.tolist()
    assert (colour >= 0).tolist() == dense.any(axis=0).tolist()
    for k in range(groups.count):
        members = groups.index[groups.start[k] : groups.start[k + 1]]
        assert members.size and (colour[members] == k).all()


@settings(derandomize=True, deadline=None, max_examples=200)
@given(dense_patterns())
def test_between_the_fullest_row_and_the_slow_twin(dense):
    groups, _ = group_columns(pattern_of(dense))
    twin = slow_greedy(dense[:, dense.any(axis=0)], range(np.count_nonzero(dense.any(axis=0))))
    assert dense.sum(axis=1).max() <= groups.count <= twin.max(initial=-1) + 1


@settings(derandomize=True, deadline=None, max_examples=100)
@given(dense_patterns())
def test_neighbours_are_counted_once(dense):
    pattern = pattern_of(dense)
    start, order = pattern.by_row
    degree = np.zeros(dense.shape[1], np.int64)
    count_neighbours(pattern.column_start, pattern.rows, start, pattern.columns[order], degree)
    neighbours = (dense.T.astype(int) @ dense.astype(int)) > 0
    np.fill_diagonal(neighbours, False)
    assert degree.tolist() == neighbours.sum(axis=1).tolist()


def tridiagonal(n):
    return scipy_sparse.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1])


def five_point(side):
    one, along = scipy_sparse.eye_array(side), tridiagonal(side)
    return scipy_sparse.kron(along, one) + scipy_sparse.kron(one, along)


@pytest.mark.parametrize(
    ("matrix", "count"),
    [
        (scipy_sparse.eye_array(50), 1),
        (tridiagonal(100_000), 3),
        (scipy_sparse.kron(tridiagonal(40), tridiagonal(30)), 9),
        (five_point(60), 5),  # natural order needs 7
        (scipy_sparse.csr_array(np.ones((3, 20))), 20),
        (scipy_sparse.csr_array(np.ones((20, 1))), 1),
        (scipy_sparse.csr_array((4, 7)), 0),
    ],
    ids=["diagonal", "tridiagonal", "nine-point", "five-point", "full rows", "one column", "empty"],
)
def test_the_usual_patterns_need_as_few_groups_as_their_fullest_row(matrix, count):
    groups, _ = group_columns(make_pattern(matrix, matrix.shape))
    assert groups.count == count


def test_an_order_that_does_better_than_natural_is_taken():
    """A crown graph: greedy in natural order pairs the columns wrongly and needs n / 2 colours, two do."""
    half = 8
    edges = [(2 * a, 2 * b + 1) for a in range(half) for b in range(half) if a != b]
    dense = np.zeros((len(edges), 2 * half), dtype=bool)
    for row, (a, b) in enumerate(edges):
        dense[row, [a, b]] = True
    assert slow_greedy(dense, range(2 * half)).max() + 1 == half
    groups, _ = group_columns(pattern_of(dense))
    assert groups.count < half and is_valid(dense, groups)


def test_a_wrong_grouping_would_be_noticed():
    dense = np.array([[True, True]])
    groups, _ = group_columns(Pattern((1, 2), np.array([0, 0]), np.array([0, 1])))
    assert is_valid(dense, groups)
    merged = type(groups)(groups.index, np.array([0, 2]))
    assert not is_valid(dense, merged)


def test_a_million_columns():
    n = 1_000_000
    groups, colour = group_columns(make_pattern(tridiagonal(n), (n, n)))
    assert groups.count == 3
    assert np.array_equal(colour[:6], [0, 1, 2, 0, 1, 2])
