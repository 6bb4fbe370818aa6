"""Patterns: what is refused, what is detected, and sparse Jacobians with planted errors inside and outside them."""

import json
import pickle
import tracemalloc

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import example

from fastgrad import Verdict, check_jacobian, detect_pattern
from fastgrad._inputs import point_array
from fastgrad._sparse.pattern import Pattern, entries_of, make_pattern, union
from fastgrad._sparse.power import blind_rows
from fastgrad._sparse.probe import Measured, Probe, Remainder, remainder, weights

scipy_sparse = pytest.importorskip("scipy.sparse")


@numba.njit
def F(x, rows, columns, size):
    """Tridiagonal and not symmetric; besides, value rows[k] depends on x[columns[k]] by size[k]."""
    n = x.size
    y = np.empty(n)
    for i in range(n):
        left = x[i - 1] if i > 0 else 0.0
        right = x[i + 1] if i < n - 1 else 0.0
        y[i] = left - 2.0 * x[i] + 3.0 * right + x[i] ** 3
    for k in range(rows.size):
        y[rows[k]] += size[k] * np.sin(x[columns[k]])
    return y


NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def jacobian_at(x):
    diagonals = [np.ones(x.size - 1), -2.0 + 3.0 * x**2, np.full(x.size - 1, 3.0)]
    return scipy_sparse.diags_array(diagonals, offsets=[-1, 0, 1]).tocsc()


def problem(n, seed=1):
    x = np.random.default_rng(seed).standard_normal(n)
    return x, jacobian_at(x)


def planted(*entries):
    rows, columns, sizes = zip(*entries, strict=True)
    return np.array(rows), np.array(columns), np.array(sizes)


# --- the gate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sparsity", "kind", "message"),
    [
        (scipy_sparse.eye_array(4), ValueError, r"sparsity has shape \(4, 4\); need \(5, 3\), a row per value of F"),
        (scipy_sparse.csr_array((3, 5)), ValueError, "pass sparsity.T if it is transposed"),
        (([0, 7], [0, 1]), ValueError, r"sparsity\[0\]\[1\] is 7; need indices from 0 to 4: there are 5 rows"),
        (([0, 1], [0, -1]), ValueError, r"sparsity\[1\]\[1\] is -1; need indices from 0 to 2: there are 3 columns"),
        (([0, 0, 1], [1, 1, 2]), ValueError, r"holds entry \(0, 1\) more than once; need each entry once"),
        (([0, 1], [0]), ValueError, "2 row indices and 1 column indices; need one of each"),
        (([0.5], [1.0]), TypeError, r"sparsity\[0\] is an array of float64 with shape \(1,\); need whole numbers"),
        (([[0]], [[1]]), TypeError, "need whole numbers in one dimension"),
        (np.eye(5, 3), TypeError, r"an array of shape \(5, 3\); need .*: pass np.nonzero\(sparsity\)"),
        ("tridiagonal", TypeError, "sparsity is str; need a scipy.sparse matrix, or a pair"),
    ],
)
def test_patterns_that_do_not_fit(sparsity, kind, message):
    with pytest.raises(kind, match=message) as caught:
        make_pattern(sparsity, (5, 3))
    assert "\n" not in str(caught.value)


def test_order_and_form_of_a_pattern_do_not_matter():
    dense = np.random.default_rng(0).random((7, 9)) < 0.3
    rows, columns = np.nonzero(dense)
    mixed = np.random.default_rng(1).permutation(rows.size)
    forms = [
        (rows[mixed], columns[mixed]),
        scipy_sparse.csr_array(dense),
        scipy_sparse.coo_matrix(dense),
        scipy_sparse.lil_array(dense),
    ]
    for form in forms:
        pattern = make_pattern(form, dense.shape)
        assert np.array_equal(np.stack([pattern.columns, pattern.rows]), np.stack(np.nonzero(dense.T)))


def test_unsorted_and_repeated_entries_of_a_matrix_are_read_as_scipy_reads_them():
    matrix = scipy_sparse.csr_array((np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3))
    before = matrix.indices.copy()
    pattern, values = entries_of(matrix)
    assert pattern.columns.tolist() == [0, 2] and values.tolist() == [2.0, 5.0]
    assert np.array_equal(matrix.indices, before)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_find_and_union_agree_with_sets(m, n, data):
    places = st.lists(st.tuples(st.integers(0, m - 1), st.integers(0, n - 1)), unique=True)
    first, second = data.draw(places), data.draw(places)
    one, two = (make_pattern(_pair(entries), (m, n)) for entries in (first, second))
    both = union(one, two)
    assert set(zip(both.rows.tolist(), both.columns.tolist(), strict=True)) == {*first, *second}
    assert (np.diff(both.columns * m + both.rows) > 0).all()
    place = one.find(two.rows, two.columns)
    for k, entry in enumerate(zip(two.rows.tolist(), two.columns.tolist(), strict=True)):
        assert (place[k] >= 0) == (entry in first)
        if place[k] >= 0:
            assert (one.rows[place[k]], one.columns[place[k]]) == entry


def _pair(entries):
    return [i for i, _ in entries], [j for _, j in entries]


@pytest.mark.parametrize(
    ("jacobian", "kind", "message"),
    [
        (scipy_sparse.csr_array((19, 20)), ValueError, r"jacobian has shape \(19, 20\); need \(20, 20\)"),
        (scipy_sparse.eye_array(20, dtype=complex), TypeError, "dtype complex128; need float64"),
        (scipy_sparse.eye_array(20, dtype=bool), TypeError, "dtype bool; need float64"),
    ],
)
def test_sparse_jacobians_that_do_not_fit(jacobian, kind, message):
    with pytest.raises(kind, match=message):
        check_jacobian(F, np.ones(20), jacobian, args=NOTHING)


# --- detection of a pattern ---------------------------------------------------------------------------------------


def test_the_pattern_of_a_tridiagonal_function_is_detected():
    x, jacobian = problem(40)
    rows, columns = detect_pattern(F, x, args=NOTHING)
    expected, _ = entries_of(jacobian)
    assert np.array_equal(rows, expected.rows) and np.array_equal(columns, expected.columns)


@numba.njit
def awkward(x):
    if x[1] <= 0.0:
        raise ValueError("outside")
    return np.array([x[0] ** 2, np.log(x[1]), x[2] * x[3], 7.0])


def test_responses_without_a_slope_and_at_the_edge_of_the_domain_count():
    """x0 = 0 is stationary; the smaller step stays in the domain although -1/16384 of x1 would not at 1e-300."""
    rows, columns = detect_pattern(awkward, [0.0, 1e-300, 2.0, 3.0])
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (1, 1), (2, 2), (2, 3)]


@numba.njit
def only_here(x):
    if x[1] != 1.0:
        raise ValueError("x[1] has moved")
    return x * 2.0


def test_what_F_raises_however_little_is_moved_arrives():
    with pytest.raises(ValueError, match="has moved") as caught:
        detect_pattern(only_here, [1.0, 1.0])
    assert "x[1] = 1.0000" in caught.value.__notes__[0]


@numba.njit
def broken_at_x(x):
    return np.array([1.0, np.nan]) * x[0]


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"F\(x\) is nan at position 1"):
        detect_pattern(broken_at_x, [1.0])


def test_a_detected_pattern_serves_as_a_declared_one():
    x, jacobian = problem(40)
    result = check_jacobian(F, x, jacobian.toarray(), args=NOTHING, sparsity=detect_pattern(F, x, args=NOTHING))
    assert result.verdict is Verdict.MATCH and result.pattern.groups == 3


# --- right Jacobians ----------------------------------------------------------------------------------------------


def test_a_right_tridiagonal_jacobian_costs_three_pairs_and_six():
    x, jacobian = problem(1000)
    result = check_jacobian(F, x, jacobian, args=NOTHING)
    assert result.verdict is Verdict.MATCH, result.reason
    assert result.evaluations == 2 + 2 * 3 + 2 * 2
    assert result.pattern.groups == 3 and result.pattern.suspicious == 0
    numerical, error = result
    assert scipy_sparse.issparse(numerical) and numerical.shape == (1000, 1000)
    assert abs(numerical - jacobian).max() < 1e-6 and error < 1e-8
    assert "nothing shows outside the pattern" in result.reason


def test_many_columns_in_under_twenty_evaluations_and_without_a_full_matrix():
    n = 200_000
    x, jacobian = problem(n)
    check_jacobian(F, x[:10], problem(10)[1] * np.nan, args=NOTHING, threads=2)  # compiles
    tracemalloc.start()
    result = check_jacobian(F, x, jacobian, args=NOTHING, threads=2)  # each has an x and a value of its own
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.verdict is Verdict.MATCH, result.reason
    assert result.evaluations < 20
    assert peak < 1500 * n  # bytes: a few dozen numbers per entry


@pytest.mark.parametrize("form", ["dense", "callable", "csr", "coo"])
def test_all_forms_of_a_jacobian_give_the_same_numbers(form):
    x, jacobian = problem(60)
    plain = check_jacobian(F, x, jacobian, args=NOTHING)
    given = {
        "dense": jacobian.toarray(),
        "callable": lambda x, *args: jacobian,
        "csr": jacobian.tocsr(),
        "coo": jacobian.tocoo(),
    }[form]
    result = check_jacobian(F, x, given, args=NOTHING, sparsity=jacobian)
    assert result.verdict is Verdict.MATCH
    assert np.array_equal(result.numerical, plain.numerical)
    matrix = result.numerical_jacobian
    assert (type(matrix) is np.ndarray) == (form == "dense")


def test_the_numbers_do_not_depend_on_the_threads():
    x, jacobian = problem(200)
    one, two = (check_jacobian(F, x, jacobian, args=NOTHING, threads=threads) for threads in (1, 2))
    assert np.array_equal(one.numerical, two.numerical) and np.array_equal(one.uncertainty, two.uncertainty)
    assert one.verdict is two.verdict is Verdict.MATCH


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_a_right_jacobian_is_never_accused(seed):
    x = np.random.default_rng(seed).standard_normal(300) * 10.0 ** (seed % 7 - 3)
    result = check_jacobian(F, x, jacobian_at(x), args=NOTHING)
    assert result.verdict is not Verdict.MISMATCH, result.reason
    assert not result.outside.any()


def test_bounds_and_columns_on_them():
    x, jacobian = problem(50)
    lower = np.full(50, -np.inf)
    lower[::7] = x[::7]
    result = check_jacobian(F, x, jacobian, args=NOTHING, bounds=(lower, None))
    assert result.verdict is Verdict.MATCH, result.reason


def test_float32_is_judged_in_float64():
    x, _ = problem(50)
    x = x.astype(np.float32)
    wide = x.astype(np.float64)
    diagonals = [np.ones(49), -2.0 + 3.0 * wide**2, np.full(49, 3.0)]
    jacobian = scipy_sparse.diags_array(diagonals, offsets=[-1, 0, 1])
    result = check_jacobian(F, x, jacobian, args=NOTHING)
    assert result.verdict is Verdict.MATCH and result.numerical_jacobian.dtype == np.float32


# --- planted errors inside the pattern ----------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [True, False])
def test_one_wrong_entry_is_found_among_many(stored):
    x, jacobian = problem(2000)
    wrong = jacobian.copy()
    wrong[1000, 1001] = 3.003 if stored else 0.0
    result = check_jacobian(F, x, wrong, args=NOTHING)
    assert result.verdict is Verdict.MISMATCH
    assert result.worst[0].index == (1000, 1001)
    assert abs(result.worst[0].numerical - 3.0) <= result.worst[0].uncertainty + 1e-12
    assert np.count_nonzero(result.verdicts == Verdict.MISMATCH) == 1
    assert "J[1000, 1001] (d F[1000] / d x[1001])" in result.reason


def _transposed(jacobian):
    return jacobian.T.tocsc()


def _without_row(jacobian):
    matrix = jacobian.tolil()
    matrix[7] = 0.0
    return matrix.tocsc()


def _row_of_stored_zeros(jacobian):
    matrix = jacobian.tocsr()
    matrix.data[matrix.indptr[7] : matrix.indptr[8]] = 0.0
    return matrix


def _with_row(jacobian, i, factor):
    return scipy_sparse.diags_array(np.where(np.arange(jacobian.shape[0]) == i, factor, 1.0)) @ jacobian


def _with_column(jacobian, j, factor):
    return jacobian @ scipy_sparse.diags_array(np.where(np.arange(jacobian.shape[1]) == j, factor, 1.0))


def _with_entry(jacobian, place, factor):
    matrix = jacobian.tolil()
    matrix[place] *= factor
    return matrix.tocsc()


def _swapped(jacobian, i):
    order = np.arange(jacobian.shape[0])
    order[[i, i + 1]] = i + 1, i
    return jacobian.tocsr()[order]


def _without_column(jacobian):
    matrix = jacobian.tolil()
    matrix[:, 9] = 0.0
    return matrix.tocsc()


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (lambda j: -j, "sign", "every entry has the wrong sign"),
        (lambda j: 0.5 * j, "factor", "2 times too small"),
        (lambda j: 3.0 * j, "factor", "3 times too large"),
        (_transposed, "transpose", "the Jacobian is transposed"),
        (_without_row, "zero", "row 7 of the Jacobian is exactly zero"),
        (_row_of_stored_zeros, "zero", "row 7 of the Jacobian is exactly zero"),
        (_without_column, "zero", "column 9 of the Jacobian is exactly zero"),
        (lambda j: _with_row(j, 7, -1.0), "sign", "the wrong sign"),
        (lambda j: _with_column(j, 7, 3.0), "factor", "3 times too large"),
        (lambda j: _swapped(j, 7), "swapped rows", "rows 7 and 8 of the Jacobian are swapped"),
        (lambda j: _swapped(j.T, 7).T.tocsc(), "swapped columns", "columns 7 and 8 of the Jacobian are swapped"),
        (lambda j: j[np.roll(np.arange(j.shape[0]), 1)], "shift", "row i + 1 of the Jacobian is that of row i"),
        (lambda j: j[np.roll(np.arange(j.shape[0]), -1)], "shift", "row i of the Jacobian is that of row i + 1"),
        (lambda j: _with_entry(j, (7, 7), -1.0), "sign", "has the wrong sign"),
        (lambda j: _with_entry(j, (7, 8), 0.0), "zero", "is exactly zero"),
    ],
    ids=[
        "sign",
        "half",
        "thrice",
        "transposed",
        "no row",
        "zero row",
        "no column",
        "row sign",
        "column factor",
        "swapped rows",
        "swapped columns",
        "shifted down",
        "shifted up",
        "entry sign",
        "entry removed",
    ],
)
@pytest.mark.parametrize("n", [40, 300])
def test_planted_errors_are_found_and_named(spoil, kind, words, n):
    x, jacobian = problem(n)
    result = check_jacobian(F, x, spoil(jacobian), args=NOTHING)
    assert result.verdict is Verdict.MISMATCH
    assert words in str(result).replace("\n", " ")
    assert [cause.kind for cause in result.causes] == [kind]


def test_half_a_matrix_is_named_while_it_is_small_and_otherwise_found():
    for n, kinds in ((40, ["zero"]), (300, [])):
        x, jacobian = problem(n)
        result = check_jacobian(F, x, scipy_sparse.tril(jacobian), args=NOTHING)
        assert result.verdict is Verdict.MISMATCH and "outside the pattern" in result.reason
        assert [cause.kind for cause in result.causes] == kinds
        assert "above the diagonal are exactly zero" in "".join(cause.sentence for cause in result.causes) or n == 300


def test_an_entry_of_which_F_is_stationary_is_not_said_to_have_no_influence():
    result = check_jacobian(
        squares, np.array([1.0, 0.0]), np.array([[2.0, 0.0], [0.0, 3.0]]), sparsity=([0, 1], [0, 1])
    )
    assert [c.sentence for c in result.causes] == [
        "entry (1, 1) has a numerical derivative of zero (F does not react, or is stationary in x)"
    ]


def test_a_transposed_jacobian_of_another_structure_is_named():
    """Bidiagonal: none of its off-diagonal entries lies in the pattern that the transposed one declares."""

    x, _ = problem(300)
    wrong = scipy_sparse.diags_array([np.full(299, 3.0), 2.0 * x], offsets=[-1, 0]).tocsc()
    result = check_jacobian(bidiagonal, x, wrong)
    assert result.verdict is Verdict.MISMATCH
    assert [cause.kind for cause in result.causes] == ["transpose"]
    assert check_jacobian(bidiagonal, x, wrong.T).verdict is Verdict.MATCH


@numba.njit
def bidiagonal(x):
    y = x**2
    y[:-1] += 3.0 * x[1:]
    return y


def test_a_nan_in_the_jacobian_never_passes():
    x, jacobian = problem(50)
    jacobian.data[17] = np.nan
    result = check_jacobian(F, x, jacobian, args=NOTHING)
    assert result.verdict is Verdict.MISMATCH and "nan" in result.reason


# --- entries outside the pattern ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("place", [(333, 142), (0, 999), (999, 0), (500, 502)])
def test_an_entry_outside_the_pattern_is_found_and_not_blamed_on_its_neighbour(size, place):
    x, jacobian = problem(1000)
    args = planted((*place, size))
    result = check_jacobian(F, x, jacobian, args=args)
    assert result.verdict is Verdict.MISMATCH
    (found,) = np.flatnonzero(result.outside)
    assert (result.rows[found], result.columns[found]) == place
    truth = size * np.cos(x[place[1]])
    assert abs(result.estimate[found] - truth) <= result.uncertainty[found]
    inside = ~result.outside
    assert (
        result.verdicts[inside] == Verdict.MATCH
    ).all()  # its neighbours in the groups are right, and are said to be
    assert f"J[{place[0]}, {place[1]}]" in result.reason and "outside the pattern" in result.reason


def test_two_that_cancel_in_one_row():
    x, jacobian = problem(1000)
    result = check_jacobian(F, x, jacobian, args=planted((5, 50, 0.3), (5, 997, -0.3)))
    found = {(int(i), int(j)) for i, j in zip(result.rows[result.outside], result.columns[result.outside], strict=True)}
    assert found == {(5, 50), (5, 997)}


def test_an_error_inside_and_one_outside_are_told_apart():
    x, jacobian = problem(1000)
    wrong = jacobian.copy()
    wrong[600, 601] *= 1.01
    result = check_jacobian(F, x, wrong, args=planted((20, 700, 0.1)))
    bad = np.flatnonzero(result.verdicts == Verdict.MISMATCH)
    places = {(int(result.rows[e]), int(result.columns[e])): bool(result.outside[e]) for e in bad}
    assert places == {(600, 601): False, (20, 700): True}


def test_a_missing_diagonal_is_found_in_full():
    x, jacobian = problem(400)
    rows = np.arange(398)
    result = check_jacobian(F, x, jacobian, args=(rows, rows + 2, np.full(398, 0.1)))
    assert result.verdict is Verdict.MISMATCH
    assert np.array_equal(result.columns[result.outside] - result.rows[result.outside], np.full(398, 2))
    assert (result.verdicts[~result.outside] == Verdict.MATCH).all()
    assert result.pattern.unexplained == 0


def test_a_column_outside_the_pattern():
    x, jacobian = problem(400)
    rows = np.random.default_rng(0).permutation(400)[:60]
    rows = rows[np.abs(rows - 17) > 1]
    result = check_jacobian(F, x, jacobian, args=(rows, np.full(rows.size, 17), np.full(rows.size, 0.1)))
    assert sorted(result.rows[result.outside].tolist()) == sorted(rows.tolist())
    assert (result.columns[result.outside] == 17).all()


def test_a_row_with_more_than_can_be_found_is_said_to_have_more():
    x, jacobian = problem(1000)
    columns = np.arange(100, 1000, 3)
    result = check_jacobian(F, x, jacobian, args=(np.full(300, 17), columns, np.full(300, 0.1)))
    assert result.verdict is Verdict.MISMATCH
    assert (result.rows[result.outside] == 17).all() and np.isin(result.columns[result.outside], columns).all()
    assert result.pattern.unexplained == 1 and "more is outside it in 1 row" in result.reason
    elsewhere = result.rows != 17
    assert (result.verdicts[elsewhere] == Verdict.MATCH).all()


def test_an_entry_of_the_jacobian_outside_the_declared_pattern_is_judged_too():
    x, jacobian = problem(300)
    wrong = jacobian.tolil()
    wrong[7, 250] = 0.5
    result = check_jacobian(F, x, wrong.tocsc(), args=NOTHING, sparsity=jacobian)
    assert result.verdict is Verdict.MISMATCH
    assert result.worst[0].index == (7, 250) and result.worst[0].numerical == 0.0
    assert not result.outside.any() and result.pattern.lacking == 0


def test_a_declared_pattern_that_lacks_entries_of_a_right_jacobian_is_said_to():
    x, jacobian = problem(300)
    result = check_jacobian(F, x, jacobian, args=NOTHING, sparsity=scipy_sparse.tril(jacobian))
    assert result.verdict is Verdict.MISMATCH and (result.verdicts == Verdict.MATCH).all()
    assert result.pattern.lacking == 299 and len(result.pattern.missing) == 100
    assert result.pattern.missing[0] == (0, 1) and "lacks (0, 1) and 298 more" in result.reason
    assert "all 898 entries agree" in result.reason and "nothing shows outside" not in result.reason


def test_an_empty_pattern_is_not_confirmed_by_a_right_jacobian():
    x, jacobian = problem(40)
    result = check_jacobian(F, x, jacobian, args=NOTHING, sparsity=scipy_sparse.csr_array((40, 40)))
    assert result.verdict is Verdict.MISMATCH and result.pattern.lacking == 118


def test_entries_that_are_zero_do_not_make_a_pattern_wrong():
    """(1, 0) is zero: the Jacobian lists it, the sparsity does not."""
    x = np.array([1.0, 3.0, 2.0])
    jacobian = scipy_sparse.csc_array(([2.0, 0.0, 6.0, 4.0], ([0, 1, 1, 2], [0, 0, 1, 2])), shape=(3, 3))
    result = check_jacobian(squares, x, jacobian, sparsity=scipy_sparse.eye_array(3))
    assert result.verdict is Verdict.MATCH, result.reason
    assert result.pattern.lacking == 0


@numba.njit
def squares(x):
    return x**2


# --- x in small units ---------------------------------------------------------------------------------------------


@numba.njit
def reactions(c, rate):
    """Diffusion along a chain, and a reaction with the neighbour to the right."""
    n = c.size
    y = np.empty(n)
    for i in range(n):
        left = c[i - 1] if i > 0 else c[i]
        right = c[i + 1] if i + 1 < n else c[i]
        y[i] = left - 2.0 * c[i] + right - rate * c[i] ** 2 * right
    return y


def reactions_jacobian(c, rate):
    matrix = scipy_sparse.diags_array([np.ones(c.size - 1), np.full(c.size, -2.0)], offsets=[-1, 0]).tolil()
    matrix[0, 0] += 1.0
    for i in range(c.size - 1):
        matrix[i, i] -= 2.0 * rate * c[i] * c[i + 1]
        matrix[i, i + 1] = 1.0 - rate * c[i] ** 2
    matrix[-1, -1] += 1.0 - 3.0 * rate * c[-1] ** 2
    return matrix.tocsr()


def chain_in(unit, seed):
    rng = np.random.default_rng(seed)
    c, rate = unit * rng.uniform(0.5, 1.5, 30), 1.0 / unit**2
    i = int(rng.integers(1, 29))
    jacobian = reactions_jacobian(c, rate)
    lacking = jacobian.tolil()
    lacking[i, i + 1] = 0.0
    return c, (rate,), jacobian, lacking.tocsr(), (i, i + 1)


@pytest.mark.parametrize("unit", [1e3, 1.0, 1e-6, 1e-7, 1e-8, 1e-12])
def test_steps_follow_the_size_of_x_so_that_probes_see_as_much_in_any_unit(unit):
    for seed in range(4):
        c, args, jacobian, lacking, place = chain_in(unit, seed)
        right = check_jacobian(reactions, c, jacobian, args=args)
        assert right.verdict is Verdict.MATCH, right.reason
        assert right.evaluations == 12
        wrong = check_jacobian(reactions, c, lacking, args=args)
        assert wrong.verdict is Verdict.MISMATCH
        outside = np.flatnonzero(wrong.outside)
        assert [(wrong.rows[e], wrong.columns[e]) for e in outside] == [place]


@pytest.mark.parametrize("unit", [1e-6, 3e-7, 1e-7, 1e-8])
def test_at_a_step_that_leaves_the_probes_blind_nothing_is_cleared(unit):
    for seed in range(8):
        c, args, jacobian, lacking, _ = chain_in(unit, seed)
        assert check_jacobian(reactions, c, jacobian, 1e-7, args=args).verdict is not Verdict.MISMATCH
        result = check_jacobian(reactions, c, lacking, 1e-7, args=args)
        assert result.verdict is not Verdict.MATCH, (unit, seed)
        if result.pattern.blind and result.verdict is Verdict.INCONCLUSIVE and not result.pattern.unexplained:
            assert f"could not be verified in {result.pattern.blind} rows" in result.reason
            assert "pass a smaller epsilon" in result.reason


@numba.njit
def of_all_sizes(x):
    """Stationary at 0 and at 1, constant, tiny, huge, cancelling, with an offset, and zero."""
    return np.array(
        [
            x[0] ** 2,
            (x[1] - 1.0) ** 2,
            7.0,
            1e-200 * x[2],
            1e200 * x[3] ** 2,
            x[2] - x[3],
            1e6 + x[4] + 0.5 * x[3],
            0.0 * x[1],
        ]
    )


def test_rows_of_zeros_and_of_tiny_entries_are_verified_by_their_own_measure():
    x = np.array([0.0, 1.0, 2.0, 2.0, 3.0])
    jacobian = np.zeros((8, 5))
    jacobian[[3, 4, 5, 5, 6, 6], [2, 3, 2, 3, 4, 3]] = [1e-200, 4e200, 1.0, -1.0, 1.0, 0.5]
    rows = np.array([0, 1, 3, 4, 5, 5, 6, 6, 7])
    columns = np.array([0, 1, 2, 3, 2, 3, 4, 3, 1])
    result = check_jacobian(of_all_sizes, x, jacobian, sparsity=(rows, columns))
    assert result.pattern.blind == 0 and result.pattern.held
    assert result.verdict is not Verdict.MISMATCH  # stationary entries have no size to be compared with


@numba.njit
def nearly_constant(x):
    return np.array([5.0 + 1e-12 * x[0] + 1e-12 * x[1], 4.0 * x[1]])


def test_an_entry_in_the_rounding_of_its_row_is_no_proof_that_there_is_no_other():
    x, right = np.array([1.0, 2.0]), np.array([[1e-12, 1e-12], [0.0, 4.0]])
    lacking = np.array([[1e-12, 0.0], [0.0, 4.0]])
    for jacobian, expected in ((right, Verdict.MATCH), (lacking, Verdict.INCONCLUSIVE)):
        result = check_jacobian(nearly_constant, x, scipy_sparse.csc_array(jacobian))
        assert result.verdict is Verdict.INCONCLUSIVE and result.pattern.blind == 1
        assert "could not be verified in F[0]: its noise would hide an entry outside; pass a larger" in result.reason
        assert check_jacobian(nearly_constant, x, scipy_sparse.csc_array(jacobian), 100.0).verdict is expected


def _blind(bars, size, value=0.0, bend=0.0):
    """Of one row with two entries, moved by 2e-7 in all, at coordinates of size 1."""
    pattern = Pattern((1, 2), np.zeros(2, np.int64), np.arange(2))
    found = Measured(np.array(size), np.full(2, 2e-7), np.full(2, bend))
    left = [Remainder(np.zeros(1), np.array([bar]), np.zeros(1)) for bar in bars]
    return bool(blind_rows(pattern, found, np.array(size), np.array([value]), left, np.full(2, 1e-7))[0])


def test_a_row_is_blind_where_its_largest_entry_might_be_missed():
    assert not _blind((1e-9, 1e-9), [1.0, 1e-3])  # r = 200 each: missed with 2.5e-5
    assert _blind((1e-8, 1e-8), [1.0, 1e-3])
    assert not _blind((1e-8, 1e-11), [1.0, 1e-3])  # one keen probe is enough
    assert _blind((np.nan, 1e-9), [1.0, 1e-3]) and not _blind((np.nan, 1e-11), [1.0, 1e-3])
    assert not _blind((1e-9, 1e-9), [0.0, 0.0], value=1.0) and _blind((1e-9, 1e-9), [0.0, 0.0], value=1e-3)
    assert not _blind((2e-14, 2e-14), [0.0, 0.0], bend=1e-14)  # what a curvature of 1 makes of the slope at 0
    assert not _blind((0.0, 0.0), [0.0, 0.0])


# --- what the probes claim ----------------------------------------------------------------------------------------


def test_the_probability_of_a_miss_is_as_claimed():
    """An entry of r bars is missed by one probe with a probability of 1 / r at most; here r = 4 and 20."""
    n, trials = 6, 4000
    pattern = Pattern((1, n), np.zeros(1, np.int64), np.zeros(1, np.int64))
    for r in (4.0, 20.0):
        missed = 0
        for seed in range(trials):
            w = weights(n, seed)
            probe = Probe(2e-7 * w, np.array([2e-7 * r * (w[3] - w[0])]) + 0.0, np.zeros(1))
            # Measured together with column 0, to which its part was attributed.
            found = Measured(np.zeros(1), np.array([2e-7]), np.zeros(1))
            left = remainder(probe, pattern, found, np.zeros(1), np.zeros(1))
            missed += abs(left.left[0]) <= 1e-7 * 2.0
        assert missed / trials <= 2.0 / r * 1.1
        assert missed > 0


def test_weights_depend_on_seed_and_place_alone():
    assert np.array_equal(weights(10, 3), weights(20, 3)[:10])
    assert not np.array_equal(weights(10, 3), weights(10, 4))
    size = np.abs(weights(10_000, 0))
    assert size.min() >= 0.5 and size.max() <= 1.0 and abs(np.mean(np.sign(weights(10_000, 0)))) < 0.05


@numba.njit
def absolute(x):
    y = np.abs(x)
    y[0] += np.abs(x[0] - x[1])
    return y


def test_a_kink_is_not_taken_for_an_entry_outside():
    x = np.array([1.0, 1.0, 2.0, -3.0, 0.5])
    jacobian = scipy_sparse.csc_array(np.diag(np.sign(x)))
    jacobian = jacobian.tolil()
    jacobian[0, 1] = 0.0
    sparsity = (np.array([0, 0, 1, 2, 3, 4]), np.array([0, 1, 1, 2, 3, 4]))
    result = check_jacobian(absolute, x, jacobian.tocsc(), sparsity=sparsity)
    assert not result.outside.any()


@numba.njit
def fails_when_all_move(x):
    if np.abs(x[1:] - 1.0).max() > 0.0 and np.abs(x[:-1] - 1.0).min() > 0.0:
        return x * np.nan
    return x * 2.0


def test_a_pattern_that_could_not_be_verified_is_no_match():
    result = check_jacobian(
        fails_when_all_move, np.ones(5), 2.0 * np.eye(5), sparsity=(range(5), range(5)), noise=1e-16
    )
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "could not be verified" in result.reason or "not finite" in result.reason


# --- the result ---------------------------------------------------------------------------------------------------


def test_the_result_as_data_and_as_text():
    x, jacobian = problem(30)
    result = check_jacobian(F, x, jacobian, args=planted((3, 20, 0.5)), rows={"first": 10, "rest": 20})
    data = json.loads(json.dumps(result.to_dict()))
    assert data["verdict"] == "mismatch" and data["shape"] == [30, 30]
    assert data["verdicts"] == [verdict.value for verdict in result.verdicts] and "mismatch" in data["verdicts"]
    assert data["pattern"]["suspicious"] == 1 and sum(data["outside"]) == 1
    assert (
        list(result.row_errors) == ["first", "rest"] and result.row_errors["first"] > 1e-3 > result.row_errors["rest"]
    )
    text = str(result)
    assert "88 entries in 3 groups of columns; 2 probes" in text.replace("\n", " ")
    assert "evaluations of F in" in text and "first[3]" in text
    again = pickle.loads(pickle.dumps(result))
    assert again.verdict is result.verdict and again.pattern.groups == 3 and len(again) == 2
    assert repr(result).startswith("<SparseJacobianCheck: mismatch") and not result.passed


def test_more_rows_than_columns_and_functions_that_fill():
    @numba.njit
    def fills(x, out):
        for i in range(x.size - 1):
            out[2 * i] = x[i + 1] - x[i] ** 2
            out[2 * i + 1] = 1.0 - x[i]

    n = 50
    x = np.random.default_rng(0).standard_normal(n)
    k = np.arange(n - 1)
    rows = np.concatenate([2 * k, 2 * k, 2 * k + 1])
    columns = np.concatenate([k, k + 1, k])
    values = np.concatenate([-2.0 * x[:-1], np.ones(n - 1), -np.ones(n - 1)])
    jacobian = scipy_sparse.coo_array((values, (rows, columns)), shape=(2 * n - 2, n))
    result = check_jacobian(fills, x, jacobian)
    assert result.verdict is Verdict.MATCH and result.pattern.groups == 2


def test_the_evaluator_sees_x_as_it_was():
    x, jacobian = problem(30)
    before = x.copy()
    check_jacobian(F, x, jacobian, args=NOTHING)
    assert np.array_equal(x, before) and point_array(x).size == 30


def test_the_example_of_a_grid_and_its_planted_bug():
    module = example("heat_equation_jacobian")
    right = module.check(module.jacobian, 12)
    assert right.verdict is Verdict.MATCH and right.pattern.groups == 5
    assert module.check(module.jacobian_with_bug, 12).verdict is Verdict.MISMATCH
