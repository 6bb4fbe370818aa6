"""check_jvp, check_vjp, check_hvp: right products never accused, planted errors found and named, the guilty told."""

from __future__ import annotations

import json
import math

import numba as nb
import numpy as np
import pytest

from fastgrad import Verdict, check_hvp, check_jvp, check_vjp, python_objective
from fastgrad._products.adjoint import claim_of
from fastgrad._products.blame import smallest_adjoint_error

N, M = 6, 4


@nb.njit
def smooth_F(x, A, b):
    """m waves of n variables, and products of neighbours; A is (m, n), b (m,)."""
    y = np.empty(b.size)
    for i in range(b.size):
        total = 0.0
        for j in range(x.size):
            total += A[i, j] * x[j]
        y[i] = np.sin(total) + b[i] * x[i % x.size] * x[(i + 1) % x.size]
    return y


def smooth_jacobian(x, A, b):
    J = np.cos(A @ x)[:, None] * A
    n = x.size
    for i in range(b.size):
        J[i, i % n] += b[i] * x[(i + 1) % n]
        J[i, (i + 1) % n] += b[i] * x[i % n]
    return J


def smooth_jvp(x, v, A, b):
    return smooth_jacobian(x, A, b) @ v


def smooth_vjp(x, w, A, b):
    return smooth_jacobian(x, A, b).T @ w


def smooth_problem(seed: int, n: int = N, m: int = M):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) + 0.2, (rng.normal(size=(m, n)) / math.sqrt(n), rng.normal(size=m))


@nb.njit
def square_F(x):
    y = np.empty(5)
    y[0] = x[0] * x[1]
    y[1] = np.sin(x[2])
    y[2] = np.exp(0.3 * x[3])
    y[3] = x[0] - x[2] ** 2
    y[4] = x[4] ** 3 + x[0]
    return y


def square_jacobian(x):
    J = np.zeros((5, 5))
    J[0, :2] = x[1], x[0]
    J[1, 2] = np.cos(x[2])
    J[2, 3] = 0.3 * np.exp(0.3 * x[3])
    J[3, 0], J[3, 2] = 1.0, -2.0 * x[2]
    J[4, 0], J[4, 4] = 1.0, 3.0 * x[4] ** 2
    return J


SQUARE_X = np.array([1.0, 2.0, 3.0, 0.5, 1.5])


def square_jvp(x, v):
    return square_jacobian(x) @ v


def square_vjp(x, w):
    return square_jacobian(x).T @ w


@nb.njit
def cubic_gradient(x, c):
    """Of sum(x^4) / 4 + c sum(x)^2 / 2."""
    return x**3 + c * np.sum(x)


def cubic_hvp(x, v, c):
    return 3.0 * x**2 * v + c * v.sum()


HVP_X = np.array([0.7, -1.2, 0.4, 2.0, 1.1])


# --------------------------------------------------------------------------------------------------- right products


def test_no_false_alarm_on_random_smooth_problems():
    """And an error of a part in a thousand of all, or of one entry of J in a tenth, is found in each."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, m = int(rng.integers(2, 8)), int(rng.integers(1, 8))
        x, args = smooth_problem(seed, n, m)
        keywords = {"args": args, "rng": seed}
        both = check_vjp(smooth_F, x, smooth_vjp, jvp=smooth_jvp, **keywords)
        assert both.verdict is Verdict.MATCH, (seed, both.reason)

        wrong = smooth_jacobian(x, *args)
        wrong[rng.integers(m), rng.integers(n)] += 0.1 * np.abs(wrong).max()
        bad_vjp = check_vjp(smooth_F, x, lambda x, w, A, b, wrong=wrong: wrong.T @ w, **keywords, localise=False)
        bad_jvp = check_jvp(smooth_F, x, lambda x, v, A, b: 1.001 * smooth_jvp(x, v, A, b), **keywords)
        assert bad_vjp.verdict is Verdict.MISMATCH and bad_jvp.verdict is Verdict.MISMATCH, seed


def test_numerical_products_are_those_of_the_matrix():
    x, args = smooth_problem(1)
    J = smooth_jacobian(x, *args)
    tangent = check_jvp(smooth_F, x, smooth_jvp, args=args).products
    np.testing.assert_allclose(tangent.numerical, tangent.directions @ J.T, rtol=1e-8)
    error = np.abs(tangent.numerical - tangent.analytical)
    assert (error <= tangent.uncertainty).all() and (tangent.verdicts == Verdict.MATCH).all()
    for pair in check_vjp(smooth_F, x, smooth_vjp, jvp=smooth_jvp, args=args).pairs:
        assert pair.slope.analytical == pytest.approx(pair.w @ J @ pair.v, rel=1e-12)
        assert abs(pair.slope.error) <= pair.slope.bar
        assert pair.tangent == pytest.approx(pair.w @ J @ pair.v, rel=1e-12) and pair.gap < 1e-14


def test_random_hessian_products():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        x, c = rng.normal(size=int(rng.integers(1, 9))), float(rng.normal())
        assert check_hvp(cubic_gradient, x, cubic_hvp, args=(c,), rng=seed).verdict is Verdict.MATCH, seed


@nb.njit
def constant_and_cancelling_F(x):
    return np.array([5.0, x[0] - x[0] + 0.0 * x[1], x[0] + x[1], (1e8 + x[0]) - 1e8])


def test_outputs_that_do_not_move_or_cancel_are_no_reason_for_doubt():
    J = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    result = check_jvp(constant_and_cancelling_F, [1.0, 2.0], lambda x, v: J @ v)
    assert (result.products.verdicts[:, :3] == Verdict.MATCH).all() and result.verdict is not Verdict.MISMATCH


def test_badly_scaled_outputs_and_variables():
    scale_y, scale_x = np.array([1e-9, 1.0, 1e9, 1e-3]), 10.0 ** np.arange(-6, 6, 2)

    @nb.njit
    def F(x, A, b, sx, sy):
        return sy * smooth_F(x / sx, A, b)

    z, args = smooth_problem(7)
    x = z * scale_x
    J = scale_y[:, None] * smooth_jacobian(z, *args) / scale_x
    keywords = {"args": (*args, scale_x, scale_y)}
    assert check_jvp(F, x, lambda x, v, *_: J @ v, **keywords).passed
    assert check_vjp(F, x, lambda x, w, *_: J.T @ w, **keywords).passed
    wrong = J.copy()
    wrong[0] *= 1.1  # the smallest output by nine decades
    assert check_jvp(F, x, lambda x, v, *_: wrong @ v, **keywords).worst[0].name == "F[0]"
    assert check_vjp(F, x, lambda x, w, *_: wrong.T @ w, **keywords).verdict is Verdict.MISMATCH


@nb.njit
def units_F(x, u):
    """Each x_i matters as much as the others, in its own unit u_i."""
    y = x / u
    return np.array([np.sum(y**2), np.sum(y) ** 2, np.sum(y * np.arange(1, y.size + 1))])


def units_jacobian(x, u):
    y = x / u
    return np.array([2.0 * y, 2.0 * y.sum() + 0.0 * y, np.arange(1.0, y.size + 1)]) / u


@nb.njit
def units_gradient(x, u):
    y = x / u
    return (np.sum(y) + 2.0 * y) / u


def units_problem(decades):
    u = 10.0 ** np.linspace(-decades, decades, 9)
    return u * np.linspace(0.5, 1.5, 9), u


@pytest.mark.parametrize("decades", [6, 8])
def test_columns_are_seen_in_their_own_units(decades):
    """Moved by the median of all x_i, the smallest would make up all of J v."""
    (x, u), flipped = units_problem(decades), np.array([1, 1, 1, 1, 1, -1, -1, -1, -1])
    J = units_jacobian(x, u)
    wrong = J * flipped
    right = check_vjp(units_F, x, lambda x, w, u: J.T @ w, jvp=lambda x, v, u: J @ v, args=(u,))
    assert right.passed and right.smallest_error < 0.01 and len(right.pairs) == 8
    tangent = check_jvp(units_F, x, lambda x, v, u: wrong @ v, args=(u,))
    assert tangent.reason.startswith("jvp is wrong in 3 of 3 outputs")
    assert check_vjp(units_F, x, lambda x, w, u: wrong.T @ w, args=(u,)).verdict is Verdict.MISMATCH

    H = (np.ones((9, 9)) + 2.0 * np.eye(9)) / np.outer(u, u)
    assert check_hvp(units_gradient, x, lambda x, v, u: H @ v, args=(u,)).passed
    for i in range(9):
        bad = H.copy()
        bad[i, i] *= -1.0
        assert check_hvp(units_gradient, x, lambda x, v, u, bad=bad: bad @ v, args=(u,)).verdict is Verdict.MISMATCH


# ---------------------------------------------------------------------------------------------------- planted errors


def test_one_wrong_output_is_named():
    def bad(x, v, A, b):
        y = smooth_jvp(x, v, A, b)
        y[2] *= 1.01
        return y

    x, args = smooth_problem(2)
    result = check_jvp(smooth_F, x, bad, args=args)
    assert result.verdict is Verdict.MISMATCH and result.reason.startswith("jvp is wrong in 1 of 4 outputs; worst F[2]")
    assert [row.name for row in result.worst if row.verdict is Verdict.MISMATCH] == ["F[2]"]
    assert result.worst[0].relative == pytest.approx(0.01 / 1.01, rel=1e-3)


def test_one_wrong_component_is_named():
    def bad(x, w, A, b):
        g = smooth_vjp(x, w, A, b)
        g[3] *= 1.01
        return g

    x, args = smooth_problem(2)
    result = check_vjp(smooth_F, x, bad, args=args)
    assert result.verdict is Verdict.MISMATCH and "wrong components of J^T w: 1 of 6, worst x[3]" in result.reason
    assert [row.name for row in result.components] == ["x[3]"]
    row = result.components[0]
    assert row.relative == pytest.approx(0.01 / 1.01, rel=1e-3) and row.uncertainty < 1e-6 * abs(row.numerical)


@pytest.mark.parametrize(
    ("factor", "kind"), [(-1.0, "sign"), (2.0, "factor"), (0.5, "factor"), (0.0, "zero")]
)  # fmt: skip
def test_signs_and_factors_are_named(factor, kind):
    for result in (
        check_jvp(square_F, SQUARE_X, lambda x, v: factor * square_jvp(x, v)),
        check_vjp(square_F, SQUARE_X, lambda x, w: factor * square_vjp(x, w)),
        check_hvp(cubic_gradient, HVP_X, lambda x, v, c: factor * cubic_hvp(x, v, c), args=(0.3,)),
    ):
        assert result.verdict is Verdict.MISMATCH
        assert [cause.kind for cause in result.causes] == [kind], result.causes


def test_a_transpose_is_named():
    backward = check_vjp(square_F, SQUARE_X, square_jvp, jvp=square_jvp)
    assert backward.reason.startswith("jvp is right, vjp is wrong")
    assert backward.causes[0].sentence == "vjp multiplies by the Jacobian, not by its transpose"
    forward = check_jvp(square_F, SQUARE_X, square_vjp)
    assert forward.causes[0].sentence == "jvp multiplies by the transpose of the Jacobian"


@nb.njit
def rank_one_gradient(x, d):
    return d * np.sum(d * x) ** 3


def test_a_wrong_row_is_no_transpose():
    """Of a symmetric matrix: to a random u that all but one output drown in, it might be."""
    d = 10.0 ** np.arange(-8, 9, 2)
    x = 1.0 / d * np.linspace(0.5, 1.5, 9)
    H = 3.0 * np.sum(d * x) ** 2 * np.outer(d, d)
    H[0] *= 2.0
    for check in (check_hvp, check_jvp):
        result = check(rank_one_gradient, x, lambda x, v, d: H @ v, args=(d,))
        assert result.verdict is Verdict.MISMATCH
        assert [cause.sentence for cause in result.causes] == [
            "entry 0 is 2 times too large (analytical = 2 * numerical): a missing or doubled factor"
        ] or not result.causes
    backward = check_vjp(rank_one_gradient, x, lambda x, w, d: H @ w, args=(d,))
    assert backward.verdict is Verdict.MISMATCH and "transpose" not in [cause.kind for cause in backward.causes]


@pytest.mark.parametrize(
    ("product", "words"),
    [
        (lambda x, v: 3.0 * x**2 * v / np.linalg.norm(v), "the length of {v} makes no difference"),
        (lambda x, v: 3.0 * x**2 * np.abs(v), "{name}(x, -2 {v}) is not -2 {name}(x, {v}) but 2 {name}(x, {v})"),
        (lambda x, v: 3.0 * x**2 * v**2, "{name}(x, -2 {v}) is not -2 {name}(x, {v}) but 4 {name}(x, {v})"),
        (lambda x, v: 3.0 * x**2 * np.tanh(v), "{name}(x, -2 {v}) is not -2 {name}(x, {v})"),
    ],
    ids=["normalised", "absolute", "squared", "saturated"],
)
def test_a_product_that_is_not_linear_is_told(product, words):
    cube = nb.njit(lambda x: x**3)
    for check, name, v in ((check_jvp, "jvp", "v"), (check_vjp, "vjp", "w"), (check_hvp, "hvp", "v")):
        result = check(cube, HVP_X, product)
        assert result.verdict is Verdict.MISMATCH
        expected = f"{name} is not linear in {v}: " + words.format(name=name, v=v)
        assert [(cause.kind, cause.sentence) for cause in result.causes] == [("not linear", expected)]


def test_a_factor_of_one_direction_is_no_cause():
    """Of rank one: every output is wrong by the same factor, which is another along each direction."""
    a, b, c = np.random.default_rng(0).normal(size=(3, 12))

    @nb.njit
    def F(x, a, b):
        return a * np.sum(b * x)

    x = np.linspace(1.0, 2.0, 12)
    forward = check_jvp(F, x, lambda x, v, a, b: a * (c @ v), args=(a, b))
    ratios = forward.products.numerical / forward.products.analytical
    np.testing.assert_allclose(ratios, np.repeat(ratios[:, :1], 12, axis=1), rtol=1e-6)
    assert forward.verdict is Verdict.MISMATCH and forward.causes == ()
    backward = check_vjp(F, x, lambda x, w, a, b: b * (c @ w), args=(a, b))
    assert backward.verdict is Verdict.MISMATCH and backward.causes == ()


@nb.njit
def complex_product_F(x, c):
    """c times z for complex numbers, real parts first, as people store them."""
    k = x.size // 2
    y = np.empty(x.size)
    y[:k] = c.real * x[:k] - c.imag * x[k:]
    y[k:] = c.real * x[k:] + c.imag * x[:k]
    return y


def times(x, c):
    k = x.size // 2
    z = c * (x[:k] + 1j * x[k:])
    return np.concatenate([z.real, z.imag])


def test_a_forgotten_conjugation_is_found():
    """The adjoint of a product with c is one with its conjugate."""
    c, x = 0.8 + 0.6j, np.random.default_rng(0).normal(size=8)
    right = check_vjp(complex_product_F, x, lambda x, w, c: times(w, np.conj(c)), args=(c,))
    assert right.passed
    wrong = check_vjp(
        complex_product_F, x, lambda x, w, c: times(w, c), jvp=lambda x, v, c: times(v, c), args=(c,)
    )  # fmt: skip
    assert wrong.reason.startswith("jvp is right, vjp is wrong") and wrong.causes[0].kind == "transpose"


def test_a_missing_term_is_found_where_it_is():
    """The derivative of the second factor of x_0 x_1 is forgotten in both codes."""
    J = square_jacobian(SQUARE_X)
    J[4, 0] = 0.0
    result = check_vjp(square_F, SQUARE_X, lambda x, w: J.T @ w, jvp=lambda x, v: J @ v)
    assert result.verdict is Verdict.MISMATCH
    assert "both wrong, and in the same way: they are adjoint to each other" in result.reason
    assert [row.name for row in result.components] == ["x[0]"]
    assert [row.name for row in result.jvp.worst if row.verdict is Verdict.MISMATCH] == ["F[4]"]


def test_a_missing_multiple_of_v_is_named():
    result = check_hvp(cubic_gradient, HVP_X, lambda x, v, c: cubic_hvp(x, v, c) - 0.125 * v, args=(0.3,))
    assert result.verdict is Verdict.MISMATCH
    assert result.causes[0].sentence == "a term 0.125 * v is missing from every entry: a regulariser?"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_never_matches(bad):
    def spoilt(product):
        y = product.copy()
        y[1] = bad
        return y

    results = {
        "jvp": check_jvp(square_F, SQUARE_X, lambda x, v: spoilt(square_jvp(x, v))),
        "vjp": check_vjp(square_F, SQUARE_X, lambda x, w: spoilt(square_vjp(x, w))),
        "hvp": check_hvp(cubic_gradient, HVP_X, lambda x, v, c: spoilt(cubic_hvp(x, v, c)), args=(0.3,)),
    }
    for name, result in results.items():
        assert result.verdict is Verdict.MISMATCH, name
        assert str(bad) in result.reason
        json.dumps(result.to_dict())


# ------------------------------------------------------------------------------------------------------ who is wrong


def test_the_guilty_one_of_two_is_told():
    keywords = {"F": square_F, "x": SQUARE_X}
    only_vjp = check_vjp(**keywords, vjp=lambda x, w: 1.01 * square_vjp(x, w), jvp=square_jvp)
    assert only_vjp.reason.startswith("jvp is right, vjp is wrong: <J^T w, v> differs in 4 of 4 random pairs")
    only_jvp = check_vjp(**keywords, vjp=square_vjp, jvp=lambda x, v: 1.01 * square_jvp(x, v))
    assert only_jvp.reason.startswith("vjp is right, jvp is wrong in 5 of 5 outputs")
    assert only_jvp.jvp.causes == only_jvp.causes and only_jvp.causes[0].kind == "factor"
    both = check_vjp(**keywords, vjp=lambda x, w: 1.01 * square_vjp(x, w), jvp=lambda x, v: 1.02 * square_jvp(x, v))
    assert both.reason.startswith("jvp and vjp are both wrong: ")
    assert {result.verdict for result in (only_vjp, only_jvp, both)} == {Verdict.MISMATCH}


def noisy_problem():
    noise = np.random.default_rng(5).normal(size=(1009, 2))

    @nb.njit
    def F(x, noise):
        k = np.int64(np.abs(np.sum(x)) * 1e12) % 1009
        return np.array([x[0] * x[1] + 0.1 * noise[k, 0], x[0] + 0.1 * noise[k, 1]])

    return F, np.array([1.0, 2.0]), noise


def test_differences_too_noisy_to_tell_are_inconclusive_but_a_gap_between_the_two_is_not():
    F, x, noise = noisy_problem()
    J = np.array([[2.0, 1.0], [1.0, 0.0]])
    keywords = {"args": (noise,), "jvp": lambda x, v, noise: J @ v}
    right = check_vjp(F, x, lambda x, w, noise: J.T @ w, **keywords)
    assert right.verdict is Verdict.INCONCLUSIVE
    assert right.reason.startswith("jvp and vjp are adjoint to each other to") and "noise of" in right.reason
    gap = check_vjp(F, x, lambda x, w, noise: 1.001 * J.T @ w, **keywords)
    assert gap.verdict is Verdict.MISMATCH and gap.reason.startswith("jvp and vjp are not adjoint to each other")
    assert "differences cannot tell which of the two is wrong" in gap.reason
    assert check_jvp(F, x, lambda x, v, noise: 1.001 * J @ v, args=(noise,)).verdict is Verdict.INCONCLUSIVE


@nb.njit
def kinked_F(x):
    return np.array([np.abs(x[0] - 1.0), x[1] ** 2])


def test_a_kink_is_inconclusive_and_named():
    result = check_jvp(kinked_F, [1.0, 2.0], lambda x, v: np.array([v[0], 4.0 * v[1]]))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "1 of 2 outputs of jvp cannot be told: F has a kink at x" in result.reason and "F[0] is" in result.reason
    backward = check_vjp(kinked_F, [1.0, 2.0], lambda x, w: np.array([w[0], 4.0 * w[1]]))
    assert backward.verdict is Verdict.INCONCLUSIVE and "<w, F> has a kink at x" in backward.reason


@nb.njit
def ramp_F(x, edge, width):
    """An output that begins to move at a distance, by a slope, or by stairs if these have a width."""
    ahead = x[0] + x[1] - edge
    ramp = max(ahead, 0.0) if width == 0.0 else max(np.ceil(ahead / width), 0.0) * width
    return np.array([x[0] * x[1], np.exp(x[2]), ramp])


def test_an_output_that_stands_still_around_x_is_told():
    """A dead sample of a network: to the measurement of noise its kink at a distance is noise."""
    x = np.array([1.0, 2.0, 0.3])
    J = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, math.exp(0.3)], [0.0, 0.0, 0.0]])
    undecided = 0
    for seed in range(20):
        for distance in (3e-3, 0.03, 0.3, 3.0):
            keywords = {"args": (3.0 + distance, 0.0), "rng": seed}
            assert check_jvp(ramp_F, x, lambda x, v, *_: J @ v, **keywords).passed, (seed, distance)
        wrong = J.copy()
        wrong[2, seed % 3] = 1e-3
        result = check_jvp(ramp_F, x, lambda x, v, *_, wrong=wrong: wrong @ v, **keywords)
        assert result.verdict is not Verdict.MATCH and result.worst[0].name == "F[2]"
        stairs = check_jvp(ramp_F, x, lambda x, v, *_: J @ v, args=(3.003, 0.01), rng=seed)
        undecided += stairs.verdict is Verdict.INCONCLUSIVE
    assert undecided >= 18


# ----------------------------------------------------------------------------------------------------------- Hessians


def test_an_asymmetric_hvp_is_told():
    H = np.array([[2.0, 1.0], [0.0, 3.0]])

    @nb.njit
    def no_gradient(x):
        return np.array([2.0 * x[0] + x[1], 3.0 * x[1]])

    result = check_hvp(no_gradient, [1.0, 2.0], lambda x, v: H @ v)
    assert result.verdict is Verdict.MISMATCH
    assert result.reason.startswith("hvp agrees with differences, but <u, H v> and <v, H u> differ")
    assert result.reason.endswith("the gradient of no function")

    @nb.njit
    def gradient(x):
        return np.array([2.0 * x[0] + x[1], x[0] + 3.0 * x[1]])

    wrong = check_hvp(gradient, [1.0, 2.0], lambda x, v: H @ v)
    assert wrong.reason.startswith("hvp is wrong in 1 of 2 outputs; worst H v[1]")
    assert "not symmetric either" in wrong.reason and wrong.asymmetry > 0.01
    assert check_hvp(gradient, [1.0, 2.0], lambda x, v: (H + H.T) @ v / 1.0).asymmetry < 1e-15


# ------------------------------------------------------------------------------------------------------ many variables


@nb.njit
def chain_F(x):
    return x[1:] * x[:-1] + np.sin(x[1:])


def chain_jvp(x, v):
    return v[1:] * x[:-1] + x[1:] * v[:-1] + np.cos(x[1:]) * v[1:]


def chain_vjp(x, w):
    g = np.zeros_like(x)
    g[1:] += w * (x[:-1] + np.cos(x[1:]))
    g[:-1] += w * x[1:]
    return g


def test_large_n_costs_no_more():
    x = np.random.default_rng(0).normal(size=20_000) + 3.0
    result = check_vjp(chain_F, x, chain_vjp, jvp=chain_jvp)
    assert result.passed and len(result.pairs) == 8 and result.evaluations < 700
    wrong = check_vjp(chain_F, x, lambda x, w: -chain_vjp(x, w))
    assert wrong.verdict is Verdict.MISMATCH and wrong.evaluations < 4000
    assert "looked at (of 20000)" in wrong.reason and wrong.causes[0].kind == "sign"


def test_nothing_depends_on_threads():
    x = np.random.default_rng(0).normal(size=300) + 3.0
    one, two = (
        check_vjp(chain_F, x, chain_vjp, jvp=chain_jvp, threads=k) for k in (1, min(2, nb.config.NUMBA_NUM_THREADS))
    )
    assert [pair.slope for pair in one.pairs] == [pair.slope for pair in two.pairs]
    np.testing.assert_array_equal(one.jvp.products.numerical, two.jvp.products.numerical)


# -------------------------------------------------------------------------------------------------- forms of the input


def test_shapes_of_any_kind():
    @nb.njit
    def F(x):
        return np.sin(x.T) * x[0, 0]

    def jvp(x, v):
        return np.cos(x.T) * v.T * x[0, 0] + np.sin(x.T) * v[0, 0]

    def vjp(x, w):
        g = (np.cos(x.T) * w * x[0, 0]).T
        g[0, 0] += np.sum(np.sin(x.T) * w)
        return g

    x = np.arange(1.0, 7.0).reshape(2, 3)
    assert check_jvp(F, x, jvp).products.numerical.shape == (3, 3, 2)
    assert check_vjp(F, x, vjp, jvp=jvp).pairs[0].w.shape == (3, 2)
    wrong = check_vjp(F, x, lambda x, w: vjp(x, w) * [[1, 1, 1], [1, -1, 1]])
    assert [row.name for row in wrong.components] == ["x[1, 1]"]


def test_one_number_in_and_one_out():
    @nb.njit
    def F(x):
        return np.array([x**3])

    assert check_jvp(F, 2.0, lambda x, v: np.array([3 * x**2 * v])).passed
    assert check_vjp(F, 2.0, lambda x, w: 3 * x**2 * w[0]).passed
    assert check_jvp(F, 2.0, lambda x, v: np.array([2 * x**2 * v])).verdict is Verdict.MISMATCH


def test_an_f_that_fills_its_argument():
    @nb.njit
    def F(x, out):
        for i in range(x.size - 1):
            out[i] = x[i] * x[i + 1]

    x = np.linspace(1.0, 2.0, 5)
    assert check_jvp(F, x, lambda x, v: x[1:] * v[:-1] + x[:-1] * v[1:], out_shape=4).passed
    with pytest.raises(TypeError, match="pass out_shape="):
        check_jvp(F, x, lambda x, v: v[1:])


def test_compiled_products_and_functions_of_python():
    compiled = nb.njit(lambda x, v: v[1:] * x[:-1] + x[1:] * v[:-1] + np.cos(x[1:]) * v[1:])
    x = np.linspace(1.0, 2.0, 5)
    assert check_jvp(chain_F, x, compiled).passed
    assert check_jvp(python_objective(chain_F.py_func), x, chain_jvp).passed


def test_float32():
    x = np.linspace(1.0, 2.0, 9).astype(np.float32)
    result = check_vjp(chain_F, x, chain_vjp, jvp=chain_jvp)
    assert result.passed and result.rtol == 1e-3
    assert check_vjp(chain_F, x, lambda x, w: chain_vjp(x, w) * np.float32(1.05)).verdict is Verdict.MISMATCH


ONES = np.ones(4)
REFUSALS = {
    "the result of jvp has shape (4,); need (3,)": lambda: check_jvp(chain_F, ONES, lambda x, v: v),
    "the result of vjp has shape (3,); need (4,)": lambda: check_vjp(chain_F, ONES, lambda x, w: w),
    "directions is 0; need 1 or more": lambda: check_jvp(chain_F, ONES, chain_jvp, directions=0),
    "directions is 1; need 2 or more": lambda: check_hvp(cubic_gradient, HVP_X, cubic_hvp, args=(1.0,), directions=1),
    "gradient returns shape (3,) for an x of shape (4,)": lambda: check_hvp(chain_F, ONES, lambda x, v: v),
    "rtol is 0; need a positive": lambda: check_jvp(chain_F, ONES, chain_jvp, rtol=0),
}
REFUSALS_OF_KINDS = {
    "jvp is a ndarray; need a function jvp(x, v, *args)": lambda: check_jvp(chain_F, ONES, np.eye(4)),
    "vjp is None; need a function vjp(x, w, *args)": lambda: check_vjp(chain_F, ONES, None),
    "jvp returned None; need an array of shape (3,)": lambda: check_jvp(chain_F, ONES, lambda x, v: None),
    "pairs is 2.0; need a whole number": lambda: check_vjp(chain_F, ONES, chain_vjp, pairs=2.0),
    "not compiled; need a numba-compiled function": lambda: check_jvp(lambda x: x, ONES, lambda x, v: v),
}


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_of_values(text):
    with pytest.raises(ValueError) as caught:
        REFUSALS[text]()
    assert text in str(caught.value)


@pytest.mark.parametrize("text", REFUSALS_OF_KINDS)
def test_refusals_of_kinds(text):
    with pytest.raises(TypeError) as caught:
        REFUSALS_OF_KINDS[text]()
    assert text in str(caught.value)


def test_what_a_product_raises_arrives_with_a_note():
    def broken(x, v):
        raise KeyError("no such field")

    with pytest.raises(KeyError, match="no such field") as caught:
        check_jvp(chain_F, np.ones(4), broken)
    assert caught.value.__notes__ == ["raised by jvp, called as jvp(x, v, *args)"]


# ------------------------------------------------------------------------------------------------------- what is shown


def test_power_is_stated_and_true():
    """Of errors of the stated size all but 1 % are to be seen, whatever the seed."""
    x, args = smooth_problem(3)
    J = smooth_jacobian(x, *args)
    stated = check_vjp(smooth_F, x, smooth_vjp, args=args).smallest_error
    assert 1e-5 < stated < 1e-2
    seen = 0
    for seed in range(100):
        E = np.random.default_rng(seed).normal(size=J.shape)
        wrong = J + 3.0 * stated * np.linalg.norm(J) / np.linalg.norm(E) * E
        result = check_vjp(
            smooth_F, x, lambda x, w, A, b, wrong=wrong: wrong.T @ w, args=args, rng=seed, localise=False
        )
        seen += result.verdict is Verdict.MISMATCH
    assert seen >= 97


def test_more_pairs_see_more():
    x, args = smooth_problem(3)
    few, many = (check_vjp(smooth_F, x, smooth_vjp, args=args, pairs=k).pairs for k in (1, 8))
    assert smallest_adjoint_error(many, 1e-5) < 0.1 * smallest_adjoint_error(few, 1e-5)


def test_a_claim_knows_the_size_of_its_terms():
    claim = claim_of(np.array([1.0, -1.0]), np.array([3.0, 3.0]), 1e-5)
    assert claim.slope == 0.0 and claim.size == pytest.approx(math.sqrt(18.0))


def test_tables_and_plain_data():
    x, args = smooth_problem(4)
    result = check_vjp(smooth_F, x, lambda x, w, A, b: -smooth_vjp(x, w, A, b), jvp=smooth_jvp, args=args)
    text = str(result)
    assert text.startswith("MISMATCH: jvp is right, vjp is wrong") and "Cause: every entry has the wrong sign" in text
    assert "<J^T w, v>" in text and "<w, J v>" in text and "worst components of J^T w" in text
    assert max(len(line) for line in text.splitlines()) <= 90
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["verdict"] == "mismatch" and plain["jvp"]["verdict"] == "match"
    assert len(plain["pairs"]) == len(result.pairs)
    assert {word for row in plain["jvp"]["products"]["verdicts"] for word in row} == {"match"}
    assert repr(result).startswith("<VjpCheck: mismatch, relative error ")
    assert "evaluations of the gradient" in str(check_hvp(cubic_gradient, HVP_X, cubic_hvp, args=(0.3,)))
    with pytest.raises(AttributeError):
        result.verdict = Verdict.MATCH
