"""Sums of terms: the gradient, its verdict, and the sparsity of the terms."""

import json
import pickle

import numba
import numpy as np
import pytest
from naive import central_difference
from problems import example

from fastgrad import Verdict, check_gradient, check_separable, separable_gradient
from fastgrad._sparse.pattern import make_pattern
from fastgrad._sparse.terms import sums_of_terms


@numba.njit
def rosenbrock_terms(x, hidden):
    """Chained Rosenbrock; term 5 also contains x[40] if `hidden` is not zero."""
    y = 100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2
    if hidden != 0.0:
        y[5] += hidden * x[40]
    return y


@numba.njit
def rosenbrock(x, hidden):
    return rosenbrock_terms(x, hidden).sum()


def gradient(x, hidden=0.0):
    residual, total = x[1:] - x[:-1] ** 2, np.zeros_like(x)
    total[:-1] = -400.0 * x[:-1] * residual - 2.0 * (1.0 - x[:-1])
    total[1:] += 200.0 * residual
    if hidden:
        total[40] += hidden
    return total


def chain(n):
    k = np.arange(n - 1)
    return np.concatenate([k, k]), np.concatenate([k, k + 1])


def point(n, seed=0):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, n)


def test_sums_of_terms_by_the_definition():
    rng = np.random.default_rng(0)
    dense = rng.random((7, 5)) < 0.4
    values = rng.standard_normal((3, 7))
    expected = values @ dense
    pattern = make_pattern(np.nonzero(dense), dense.shape)
    np.testing.assert_allclose(sums_of_terms(pattern, values), expected, rtol=0, atol=1e-15 * 8)
    np.testing.assert_array_equal(sums_of_terms(pattern, values[1]), sums_of_terms(pattern, values)[1])


def test_the_whole_gradient_in_ten_evaluations():
    x = point(1000)
    result = check_separable(rosenbrock_terms, x, gradient, chain(1000), args=(0.0,))
    assert result.verdict is Verdict.MATCH, result.reason
    assert result.evaluations == 2 + 2 * 2 + 2 * 2
    numerical, error = result
    assert error < 1e-8 and numerical.shape == x.shape


def test_it_agrees_with_the_slow_twin_and_with_check_gradient():
    x = point(60)
    numerical = separable_gradient(rosenbrock_terms, x, chain(60), args=(0.0,))
    np.testing.assert_allclose(numerical, gradient(x), rtol=1e-6, atol=1e-5)
    twin = central_difference(rosenbrock, x, 1e-7, (0.0,))
    np.testing.assert_allclose(numerical, twin, rtol=1e-4, atol=1e-4)
    for wrong in (gradient(x), -gradient(x), gradient(x) * np.linspace(1.0, 1.1, 60)):
        ours = check_separable(rosenbrock_terms, x, wrong, chain(60), args=(0.0,))
        assert ours.verdict is check_gradient(rosenbrock, x, wrong, args=(0.0,)).verdict


def test_many_variables():
    n = 200_000
    x = point(n)
    result = check_separable(rosenbrock_terms, x, gradient, chain(n), args=(0.0,))
    assert result.verdict is Verdict.MATCH, result.reason
    assert result.evaluations <= 100  # 10, if none of them needs a closer look; which do, is a matter of rounding


@pytest.mark.parametrize("k", [0, 3, 500, 999])
def test_one_wrong_component_is_found(k):
    x = point(1000)
    wrong = gradient(x)
    wrong[k] *= 1.0 + 1e-3
    result = check_separable(rosenbrock_terms, x, wrong, chain(1000), args=(0.0,))
    assert result.verdict is Verdict.MISMATCH
    assert result.worst[0].index == (k,) and f"x[{k}]" in result.reason
    assert abs(result.worst[0].numerical - gradient(x)[k]) <= result.worst[0].uncertainty
    assert sum(verdict is Verdict.MISMATCH for verdict in result.verdicts) == 1


def test_the_cause_is_named():
    x = point(100)
    result = check_separable(rosenbrock_terms, x, -gradient(x), chain(100), args=(0.0,))
    assert result.verdict is Verdict.MISMATCH
    assert [cause.kind for cause in result.causes] == ["sign"]


@numba.njit
def mixed_terms(x):
    """A large term without influence on the small one, in whose rounding a sum would lose it."""
    return np.array([1e12 * (1.0 + x[0] ** 2), 1e-3 * np.sin(x[1]), x[2] * x[3]])


@numba.njit
def mixed(x):
    return mixed_terms(x).sum()


def test_small_terms_are_not_hidden_by_the_rounding_of_large_ones():
    x = np.array([0.5, 0.7, 1.0, 2.0])
    right = np.array([1e12, 1e-3 * np.cos(0.7), 2.0, 1.0])
    numerical = separable_gradient(mixed_terms, x, ([0, 1, 2, 2], [0, 1, 2, 3]))
    np.testing.assert_allclose(numerical, right, rtol=1e-6)
    assert central_difference(mixed, x, 1e-7)[1] == 0.0


# --- the sparsity of the terms ------------------------------------------------------------------------------------


def test_a_variable_that_the_sparsity_lacks_is_found_and_its_share_counted():
    x, hidden = point(1000), 0.1
    right = check_separable(rosenbrock_terms, x, gradient, chain(1000), args=(hidden,))
    assert right.verdict is Verdict.MATCH and right.pattern.missing == ((5, 40),)
    assert "the sparsity lacks (5, 40): term 5 depends on x[40]" in right.reason
    wrong = check_separable(rosenbrock_terms, x, gradient(x), chain(1000), args=(hidden,))
    assert wrong.verdict is Verdict.MISMATCH and wrong.worst[0].index == (40,)
    assert sum(verdict is Verdict.MISMATCH for verdict in wrong.verdicts) == 1


def test_a_gradient_alone_is_not_given_with_a_wrong_sparsity():
    with pytest.raises(
        ValueError, match=r"term 5 depends on x\[40\], which sparsity does not say; need every"
    ) as caught:
        separable_gradient(rosenbrock_terms, point(100), chain(100), args=(0.1,))
    assert "\n" not in str(caught.value)


def test_a_sparsity_shifted_by_one_never_passes_for_a_gradient():
    k = np.arange(99)
    shifted = np.concatenate([k, k]), np.concatenate([k, np.minimum(k + 2, 99)])
    with pytest.raises(ValueError, match="which sparsity does not say"):
        separable_gradient(rosenbrock_terms, point(100), shifted, args=(0.0,))


@numba.njit
def scaled_terms(c, unit):
    y = c / unit
    return (y[1:] - y[:-1] ** 2) ** 2


def scaled_gradient(c, unit):
    y = c / unit
    residual, total = y[1:] - y[:-1] ** 2, np.zeros_like(y)
    total[1:] += 2.0 * residual
    total[:-1] -= 4.0 * y[:-1] * residual
    return total / unit


@pytest.mark.parametrize("unit", [1e4, 1.0, 1e-6, 1e-8, 1e-12])
def test_steps_follow_the_size_of_x(unit):
    c, k = unit * np.random.default_rng(0).uniform(0.5, 1.5, 30), np.arange(29)
    right = scaled_gradient(c, unit)
    numerical = separable_gradient(scaled_terms, c, chain(30), args=(unit,))
    assert np.abs(numerical - right).max() < 1e-7 * np.abs(right).max()
    for lacking in ((np.r_[k, k[1:]], np.r_[k, k[1:] + 1]), (k, k)):
        result = check_separable(scaled_terms, c, right, lacking, args=(unit,))
        assert result.verdict is Verdict.MATCH and result.pattern.missing[0] == (0, 1), result.reason


@pytest.mark.parametrize("unit", [1e-5, 1e-6, 1e-7, 1e-8])
def test_a_right_gradient_is_not_accused_of_what_the_sparsity_lacks_even_at_a_step_that_is_too_large(unit):
    k = np.arange(29)
    for seed in range(3):
        c = unit * np.random.default_rng(seed).uniform(0.5, 1.5, 30)
        right = scaled_gradient(c, unit)
        for lacking in ((np.r_[k, k[1:]], np.r_[k, k[1:] + 1]), (k, k)):
            result = check_separable(scaled_terms, c, right, lacking, epsilon=1e-7, args=(unit,))
            assert result.verdict is not Verdict.MISMATCH, result.reason
            assert result.pattern.missing or not result.passed
    assert "moves alone" in result.reason and "the sparsity lacks (" in result.reason
    wrong = right.copy()
    wrong[20] *= -2.0
    accused = check_separable(scaled_terms, c, wrong, chain(30), args=(unit,))
    assert accused.verdict is Verdict.MISMATCH and accused.worst[0].index == (20,)


@pytest.mark.parametrize(
    ("sparsity", "message"),
    [
        (([0, 99], [0, 1]), r"sparsity\[0\]\[1\] is 99; need indices from 0 to 98"),
        (([0, 0], [1, 1]), "more than once"),
        (np.ones((99, 100)), "pass np.nonzero"),
    ],
)
def test_sparsities_that_do_not_fit(sparsity, message):
    with pytest.raises((ValueError, TypeError), match=message):
        check_separable(rosenbrock_terms, point(100), gradient, sparsity, args=(0.0,))


def test_a_variable_of_no_term_has_a_gradient_of_zero():
    x = np.array([0.3, 0.4, 0.5])
    sparsity = ([0, 0], [0, 2])

    @numba.njit
    def terms(x):
        return np.array([x[0] * x[2]])

    assert separable_gradient(terms, x, sparsity)[1] == 0.0
    assert check_separable(terms, x, [0.5, 0.0, 0.3], sparsity).verdict is Verdict.MATCH
    wrong = check_separable(terms, x, [0.5, 0.1, 0.3], sparsity)
    assert wrong.verdict is Verdict.MISMATCH and wrong.worst[0].index == (1,)


# --- forms of x, of terms, and of the result ----------------------------------------------------------------------


def test_a_matrix_of_atoms_and_terms_that_are_filled():
    @numba.njit
    def terms(x, out):
        for i in range(x.shape[0] - 1):
            out[i] = ((x[i] - x[i + 1]) ** 2).sum() ** 2

    x = np.random.default_rng(0).standard_normal((20, 3))
    term = np.repeat(np.arange(19), 6)
    variable = (3 * np.repeat(np.arange(19), 6).reshape(19, 6) + np.arange(6)).reshape(-1)
    right = np.zeros_like(x)
    for i in range(19):
        d = x[i] - x[i + 1]
        right[i] += 4.0 * (d @ d) * d
        right[i + 1] -= 4.0 * (d @ d) * d
    result = check_separable(terms, x, right, (term, variable), out_shape=(19,))
    assert result.verdict is Verdict.MATCH and result.numerical_grad.shape == (20, 3)
    assert result.pattern.groups == 6
    right[4, 1] += 0.01
    assert check_separable(terms, x, right, (term, variable), out_shape=(19,)).worst[0].name == "x[4, 1]"


def test_the_numbers_do_not_depend_on_the_threads():
    x = point(300)
    one, two = (separable_gradient(rosenbrock_terms, x, chain(300), args=(0.0,), threads=threads) for threads in (1, 2))
    assert np.array_equal(one, two)


def test_bounds_are_kept():
    @numba.njit
    def terms(x):
        return np.sqrt(x) ** 3

    x = np.array([0.0, 1.0, 2.0])
    diagonal = (range(3), range(3))
    result = check_separable(terms, x, 1.5 * np.sqrt(x), diagonal, bounds=(0.0, None))
    assert result.verdict is not Verdict.MISMATCH
    assert np.isfinite(result.numerical_grad).all()


def test_the_result_as_text_and_as_data():
    x = point(30)
    result = check_separable(rosenbrock_terms, x, gradient, chain(30), args=(0.0,), blocks={"a": 10, "b": 20})
    text = str(result).replace("\n", " ")
    assert "pattern of the terms: 58 entries in 2 groups of columns; 2 probes" in text
    assert "evaluations of all terms in" in text and "evaluations of f" not in text
    data = json.loads(json.dumps(result.to_dict()))
    assert data["pattern"]["groups"] == 2 and data["verdict"] == "match"
    again = pickle.loads(pickle.dumps(result))
    assert again.pattern.groups == 2 and again.passed


def test_terms_that_are_not_deterministic_are_refused_for_a_gradient():
    @numba.njit
    def terms(x):
        return x * np.random.random()  # noqa: NPY002

    with pytest.raises(ValueError, match="not deterministic"):
        separable_gradient(terms, np.ones(3), (range(3), range(3)))


def test_what_terms_raise_arrives():
    @numba.njit
    def terms(x):
        if x[0] != 1.0:
            raise ValueError("moved")
        return x * 2.0

    with pytest.raises(ValueError, match="moved"):
        separable_gradient(terms, np.ones(3), (range(3), range(3)))


# --- the examples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), [("chained_rosenbrock", 500), ("neighbour_list", 3)])
def test_the_examples_and_their_planted_bugs(name, size):
    module = example(name)
    right = module.check(module.gradient, size)
    assert right.verdict is Verdict.MATCH and right.evaluations < 120, right.reason
    assert module.check(module.gradient_with_bug, size).verdict is Verdict.MISMATCH


def test_terms_of_the_neighbour_list_add_up_to_the_example_with_all_pairs():
    module, all_pairs = example("neighbour_list"), example("lennard_jones")
    x, _ = module.problem(2)
    pairs = module.neighbours(x, 1e9)
    assert len(pairs) == 32 * 31 // 2
    np.testing.assert_allclose(module.terms(x, pairs).sum(), all_pairs.f(x), rtol=1e-12)
    np.testing.assert_allclose(module.gradient(x, pairs), all_pairs.gradient(x), rtol=1e-9, atol=1e-9)
