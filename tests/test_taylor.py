"""taylor_test: orders against their definition, right gradients never accused, planted errors found, words tested."""

from __future__ import annotations

import json
import math

import numba as nb
import numpy as np
import problems
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad import Verdict, taylor_test
from fastgrad._along.claim import Slope
from fastgrad._along.directions import Draw, Scale, plan_draws, random_direction, unit_of
from fastgrad._inputs import point_array
from fastgrad._judge.verdict import Flag
from fastgrad._taylor.order import observed_order, pairwise_rates
from fastgrad._taylor.rows import default_steps

UNRESOLVED = ("offset", "exponentials")
STEPS = 0.1 * 2.0 ** -np.arange(30)
ROSENBROCK_X = np.linspace(-1.0, 1.0, 10)


@nb.njit
def linear_f(x):
    return np.sum(x) + 3.0


@nb.njit
def kink_f(x):
    return np.sum(np.abs(x - 0.5))


@nb.njit
def oscillating_f(x):
    return np.sum(np.sin(1e5 * x))


@nb.njit
def mixed_f(x, c):
    """Random smooth problems: products of neighbours, exponentials and waves with coefficients c of shape (3, n)."""
    return np.sum(c[0] * np.exp(0.5 * x)) + np.sum(c[1] * np.sin(c[2] * x)) + np.sum(c[0][1:] * x[1:] * x[:-1])


def mixed_gradient(x, c):
    g = 0.5 * c[0] * np.exp(0.5 * x) + c[1] * c[2] * np.cos(c[2] * x)
    g[1:] += c[0][1:] * x[:-1]
    g[:-1] += c[0][1:] * x[1:]
    return g


def rosenbrock_hessian(x):
    n = x.size
    H = np.diag(np.concatenate([2.0 - 400.0 * (x[1:] - 3.0 * x[:-1] ** 2), [0.0]]))
    H[np.arange(1, n), np.arange(1, n)] += 200.0
    H[np.arange(n - 1), np.arange(1, n)] = H[np.arange(1, n), np.arange(n - 1)] = -400.0 * x[:-1]
    return H


# ----------------------------------------------------------------------------------------------------------- orders


def test_pairwise_rates_are_logarithms_of_ratios():
    step, remainder = np.array([1.0, 0.5, 0.1, 0.05]), np.array([-8.0, 2.0, 0.08, 0.0])
    expected = [math.log(8 / 2) / math.log(2), math.log(2 / 0.08) / math.log(5)]
    rates = pairwise_rates(step, remainder)
    np.testing.assert_allclose(rates[1:3], expected)
    assert np.isnan(rates[[0, 3]]).all()


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    order=st.sampled_from([1, 2, 3]),
    size=st.floats(-3, 3),
    higher=st.floats(-3, 1),
    noise=st.floats(-16, -4),
    sign=st.sampled_from([-1.0, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_interval_holds_the_order(order, size, higher, noise, sign, seed):
    sigma = 10.0**noise
    clean = sign * 10.0**size * STEPS**order * (1.0 + 10.0**higher * STEPS)
    remainder = clean + sigma * np.random.default_rng(seed).normal(size=STEPS.size)
    found = observed_order(STEPS, remainder, np.full(STEPS.size, sigma))
    assert not found.exists or found.contains(order)
    if 10.0**size * STEPS[8] ** order > 100.0 * sigma and higher < 0.0:
        assert found.exists and found.high - found.low < 1.0


def test_the_order_of_small_steps_counts():
    remainder = 1e-4 * STEPS + STEPS**2
    found = observed_order(STEPS, remainder, np.full(STEPS.size, 1e-16))
    assert found.contains(1.0) and not found.contains(2.0)
    assert STEPS[found.first] < 1e-3


def test_noise_alone_has_no_order():
    remainder = 1e-12 * np.random.default_rng(0).normal(size=STEPS.size)
    assert not observed_order(STEPS, remainder, np.full(STEPS.size, 1e-12)).exists


# ------------------------------------------------------------------------------------------------- right gradients


@pytest.mark.parametrize("build", problems.BUILDERS, ids=lambda build: build.__name__)
def test_no_right_gradient_is_accused(build):
    problem = build()
    result = taylor_test(problem.f, problem.x, problem.gradient, args=problem.args)
    # One drowns in rounding, the products of the other overflow.
    possible = {Verdict.MATCH: problem.name != "exponentials", Verdict.INCONCLUSIVE: problem.name in UNRESOLVED}
    assert possible.get(result.verdict), result.reason


def test_no_false_alarm_on_random_smooth_problems():
    """And an error of one part in a thousand of every component is found in each."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 12))
        x = rng.normal(size=n) * 10.0 ** rng.uniform(-2, 1)
        c = rng.normal(size=(3, n)) * 10.0 ** rng.uniform(-1, 1)
        g = mixed_gradient(x, c)
        assert taylor_test(mixed_f, x, g, args=(c,), rng=seed).verdict is Verdict.MATCH, seed
        assert taylor_test(mixed_f, x, 1.001 * g, args=(c,), rng=seed).verdict is Verdict.MISMATCH, seed


def test_the_order_of_a_right_gradient_is_two():
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient)
    assert all(line.order.contains(2.0) and line.order.high - line.order.low < 0.05 for line in result.lines)
    change = observed_order(*(getattr(result.lines[0].rows, name) for name in ("step", "change", "noise")))
    assert change.contains(1.0)


def test_a_linear_functional_is_a_match_and_said_to_be_linear():
    result = taylor_test(linear_f, np.linspace(0.0, 1.0, 9), np.ones(9))
    assert result.passed and not result.order.exists
    assert "rounding at every step" in result.reason and "linear" in result.reason


def test_a_strongly_curved_functional_is_judged_right():
    x = np.linspace(0.3, 1.3, 10)
    right = taylor_test(oscillating_f, x, 1e5 * np.cos(1e5 * x))
    assert right.passed and right.order.contains(2.0)
    assert taylor_test(oscillating_f, x, 1.001e5 * np.cos(1e5 * x)).verdict is Verdict.MISMATCH


def test_nothing_depends_on_threads():
    rows = [
        taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, threads=k).lines[0].rows
        for k in (1, min(2, nb.config.NUMBA_NUM_THREADS))
    ]
    np.testing.assert_array_equal(rows[0].first, rows[1].first)


# ------------------------------------------------------------------------------------------------- wrong gradients


@pytest.mark.parametrize("error", [1e-4, 1e-2, 1.0, -2.0])
def test_a_wrong_gradient_is_found_at_any_size_of_error(error):
    """However small next to the curvature: at h = 0.1 the remainder of an error of 1e-4 falls with order 1.95."""
    g = problems.rosenbrock_gradient(ROSENBROCK_X)
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, (1.0 + error) * g)
    assert result.verdict is Verdict.MISMATCH
    slope = result.worst.slope
    assert slope.error == pytest.approx(-error / (1.0 + error) * slope.analytical, rel=0.01)
    assert result.order.contains(1.0) and not result.order.contains(2.0)


def test_an_error_hidden_below_the_curvature_is_no_match():
    """Within the steps given the order is 2, and the gradient wrong all the same."""
    g = problems.rosenbrock_gradient(ROSENBROCK_X)
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, (1.0 + 1e-4) * g, steps=np.geomspace(1e-1, 1e-3, 8))
    assert result.verdict is Verdict.MISMATCH and result.order.value > 1.9
    assert "but below these steps not" in result.reason


def test_an_error_within_rtol_is_a_match_that_names_it():
    g = problems.rosenbrock_gradient(ROSENBROCK_X)
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, (1.0 + 3e-6) * g)
    assert result.passed and "of g.v is left, within rtol" in result.reason


def test_one_wrong_component_among_a_thousand_is_found():
    x = np.linspace(0.5, 1.5, 1000)
    g = 2.0 * x
    g[123] *= -1.0
    result = taylor_test(problems.sphere_f, x, g)
    assert result.verdict is Verdict.MISMATCH
    assert result.smallest_error < 0.06 == pytest.approx(2.0 / math.sqrt(1000), rel=0.1)


def test_a_direction_that_the_error_is_orthogonal_to_shows_nothing_and_promises_nothing():
    x, v = np.ones(4), np.array([1.0, 1.0, 0.0, 0.0])
    wrong = 2.0 * x + np.array([0.5, -0.5, 0.0, 0.0])
    result = taylor_test(problems.sphere_f, x, wrong, direction=v)
    assert result.passed and math.isnan(result.smallest_error)
    assert taylor_test(problems.sphere_f, x, wrong).verdict is Verdict.MISMATCH


# ------------------------------------------------------------------------------------------- variables of other units


@nb.njit
def units_f(x, u):
    """Each x_i matters as much as the others, in its own unit u_i."""
    y = x / u
    return 0.5 * np.sum(y) ** 2 + np.sum(y**2)


def units_gradient(x, u):
    y = x / u
    return (y.sum() + 2.0 * y) / u


@pytest.mark.parametrize("decades", [3, 6, 8])
def test_components_are_seen_in_their_own_units(decades):
    """Moved by the median of all x_i, the smallest would make up all of g . v."""
    u = 10.0 ** np.linspace(-decades, decades, 9)
    x, flipped = u * np.linspace(0.5, 1.5, 9), np.array([1, 1, 1, 1, 1, -1, -1, -1, -1])
    right = taylor_test(units_f, x, units_gradient, args=(u,))
    assert right.passed and right.smallest_error < 1e-3
    wrong = taylor_test(units_f, x, flipped * units_gradient(x, u), args=(u,))
    assert wrong.verdict is Verdict.MISMATCH and wrong.relative_error > 0.1


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_component_at_zero_hides_no_error_of_the_others(unit):
    """Nobody knows what a small step is there: it moves by the median in some directions, and not at all in others."""
    u = np.append(10.0 ** np.linspace(-4, 4, 8), unit)
    x = u * np.append(np.linspace(0.5, 1.5, 8), 0.0)
    g = units_gradient(x, u)
    assert taylor_test(units_f, x, g, args=(u,)).passed
    for i in range(8 if unit == 1e6 else 9):  # a change of the last by the median of 1 is no more than rounding then
        wrong = g.copy()
        wrong[i] *= 1.1
        assert taylor_test(units_f, x, wrong, args=(u,)).verdict is Verdict.MISMATCH, i


def test_the_stated_power_holds_in_other_units():
    """Of errors that large on either scale, of random components, all but 1 % are to be seen."""
    missed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        u = 10.0 ** rng.uniform(-6, 6, 8)
        x = u * rng.uniform(0.5, 1.5, 8)
        g, size = units_gradient(x, u), np.maximum(x, np.median(x)) if seed % 2 else x
        error = np.where(rng.random(8) < 0.5, rng.normal(size=8), 0.0) / size
        error[rng.integers(8)] = 1.0 / size[0]
        stated = taylor_test(units_f, x, g, args=(u,), rng=seed).smallest_error
        error *= stated * np.linalg.norm(g * size) / np.linalg.norm(error * size)
        missed += taylor_test(units_f, x, g + error, args=(u,), rng=seed).verdict is not Verdict.MISMATCH
    assert missed <= 2


def test_directions_are_planned_by_the_spread_of_x():
    def plan(x, count):
        return [draw.scale for draw in plan_draws(point_array(x), count)]

    assert plan([1.0, 0.5, 0.0, 2.0], 3) == [Scale.FLOORED] * 3
    assert plan([1.0, 1.0, 0.01], 3) == [Scale.FLOORED] * 3 + [Scale.OWN] * 2
    assert plan([1.0, 1.0, 0.01, 0.0], 1) == [Scale.FLOORED, Scale.OWN, Scale.NONZERO]
    assert plan_draws(point_array([1.0, 1.0, 0.01]), 1)[1] == Draw(Scale.OWN, 1)
    assert plan(np.zeros(3), 2) == [Scale.FLOORED] * 2

    point = point_array([1.0, -2.0, 0.01, 0.0])
    moves = {scale: np.abs(random_direction(point, 0, scale=scale)) for scale in Scale}
    typical = np.array([[1.0, 2.0, 1.0, 1.0], [1.0, 2.0, 0.01, 1.0], [1.0, 2.0, 0.01, 0.0]])
    for scale in Scale:
        assert (moves[scale] <= 4.0 * typical[scale]).all() and (moves[scale] >= 0.1 * typical[scale]).all()


def test_a_direction_in_proportion_to_x_is_as_long_as_x():
    x = 10.0 ** np.arange(-8.0, 9.0)
    assert unit_of(random_direction(point_array(x), 0, scale=Scale.OWN), point_array(x)) == 1.0
    assert unit_of(1e-6 * x, point_array(x)) == 2.0**20


def test_the_direction_of_the_user_is_the_only_one():
    u = 10.0 ** np.linspace(-6, 6, 9)
    x = u * np.linspace(0.5, 1.5, 9)
    result = taylor_test(units_f, x, units_gradient, args=(u,), direction=x)
    assert result.passed and len(result.lines) == 1 and (result.lines[0].direction == x).all()


# --------------------------------------------------------------------------------------- what differences cannot tell


def test_a_kink_at_x_is_inconclusive_and_says_so():
    for g in (1.0, -1.0, 0.0):
        result = taylor_test(kink_f, np.full(4, 0.5), np.full(4, g))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "a kink at x" in result.reason
    assert taylor_test(kink_f, np.full(4, 0.6), np.ones(4)).passed


def test_noise_that_leaves_no_window_is_inconclusive():
    noise = np.random.default_rng(1).normal(size=1009)

    @nb.njit
    def f(x, noise):
        return np.sum(x * x) + 0.1 * noise[np.int64(np.sum(x) * 1e12) % 1009]

    x = np.linspace(0.3, 1.3, 10)
    for factor in (1.0, 1.01):
        result = taylor_test(f, x, factor * 2.0 * x, args=(noise,))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "leaves g.v uncertain by" in result.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_never_matches(bad):
    g = problems.rosenbrock_gradient(ROSENBROCK_X)
    g[3] = bad
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, g)
    assert result.verdict is Verdict.MISMATCH and result.reason == f"the analytical gradient is {bad} at x[3]"


def test_f_that_is_not_finite_is_inconclusive():
    @nb.njit
    def f(x):
        return np.sum(np.sqrt(x))

    result = taylor_test(f, -np.ones(3), np.ones(3))
    assert result.verdict is Verdict.INCONCLUSIVE and result.reason.startswith("f(x) is nan")
    assert result.worst is None and "nan" in str(result)
    edge = taylor_test(f, np.array([0.0, 1.0]), np.array([1.0, 0.5]))
    assert edge.verdict is not Verdict.MATCH


def test_a_stationary_point_is_inconclusive():
    result = taylor_test(problems.sphere_f, np.zeros(3), np.zeros(3))
    assert result.verdict is Verdict.INCONCLUSIVE and "check at another x" in result.reason


# ----------------------------------------------------------------------------------------------------- with a Hessian


def test_a_right_hessian_gives_order_three():
    H = rosenbrock_hessian(ROSENBROCK_X)
    products = {
        "hessian": (H, rosenbrock_hessian),
        "hvp": (lambda x, v: rosenbrock_hessian(x) @ v,),
    }
    for name, forms in products.items():
        for form in forms:
            result = taylor_test(
                problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, **{name: form}
            )  # fmt: skip
            assert result.passed
            assert all(line.second_order.contains(3.0) for line in result.lines)


def test_a_sparse_hessian_will_do():
    sparse = pytest.importorskip("scipy.sparse")
    H = sparse.csr_array(rosenbrock_hessian(ROSENBROCK_X))
    assert taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, hessian=H).passed


@pytest.mark.parametrize("error", [1e-4, 0.1, -2.0])
def test_a_wrong_hessian_is_found_and_the_gradient_cleared(error):
    H = (1.0 + error) * rosenbrock_hessian(ROSENBROCK_X)
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, hessian=H)
    assert result.verdict is Verdict.MISMATCH
    assert result.reason.startswith("the Hessian is wrong along 3 of 3 directions")
    assert result.reason.endswith("the gradient agrees")


def test_a_wrong_gradient_is_not_blamed_on_the_hessian():
    g = 1.01 * problems.rosenbrock_gradient(ROSENBROCK_X)
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, g, hessian=rosenbrock_hessian)
    assert result.verdict is Verdict.MISMATCH and result.reason.startswith("the gradient is wrong")
    assert result.worst.curvature.verdict is Verdict.MATCH


@nb.njit
def bent_f(x, offset, bend):
    return offset + x[0] + 2.0 * x[1] + 3.0 * x[2] + bend * np.sum(x * x)


@pytest.mark.parametrize("form", ["dense", "sparse", "product"])
def test_a_hessian_of_zeros_is_right_where_f_is_linear(form):
    sparse = pytest.importorskip("scipy.sparse")
    x, zero = np.array([1.0, -2.0, 0.5]), np.zeros((3, 3))
    given = {
        "dense": {"hessian": zero},
        "sparse": {"hessian": sparse.csr_array(zero)},
        "product": {"hvp": lambda x, v, *_: 0.0 * v},
    }
    result = taylor_test(bent_f, x, np.array([1.0, 2.0, 3.0]), args=(0.0, 0.0), **given[form])
    assert result.passed and result.reason.endswith("with slope g.v, as the Hessian says")
    assert "v.Hv                     0, by differences" in str(result) and "inf" not in str(result)


def test_a_hessian_of_zeros_is_wrong_where_f_bends_and_unknown_where_noise_hides_it():
    x, slope = np.array([1.0, -2.0, 0.5]), np.array([1.0, 2.0, 3.0])
    for bend in 10.0 ** np.arange(-14.0, 2.0):
        g = slope + 2.0 * bend * x
        found = taylor_test(bent_f, x, g, args=(0.0, bend), hessian=np.zeros((3, 3)))
        assert found.verdict is Verdict.MISMATCH or bend < 3e-11, bend
    for offset in (1e8, 1e10):
        far = taylor_test(bent_f, x, slope, args=(offset, 0.0), hessian=np.zeros((3, 3)))
        assert far.verdict is Verdict.INCONCLUSIVE


def test_a_constant_has_neither_slope_nor_curvature():
    constant = nb.njit(lambda x: 3.0)
    assert taylor_test(constant, np.ones(3), np.zeros(3), hessian=np.zeros((3, 3))).passed
    assert taylor_test(constant, np.ones(3), np.zeros(3), hessian=np.eye(3)).verdict is Verdict.MISMATCH


# ------------------------------------------------------------------------------------------------- forms of the input


def test_float32_is_evaluated_in_float64_where_f_allows():
    x = ROSENBROCK_X.astype(np.float32)
    g = problems.rosenbrock_gradient(x.astype(np.float64)).astype(np.float32)
    assert taylor_test(problems.rosenbrock_f, x, g).passed
    assert taylor_test(problems.rosenbrock_f, x, g * np.float32(1.01)).verdict is Verdict.MISMATCH


def test_float32_alone():
    @nb.njit(["float32(float32[::1])"])
    def f(x):
        total = np.float32(0.0)
        for value in x:
            total += value * value * value
        return total

    x = np.linspace(0.5, 1.5, 8).astype(np.float32)
    assert taylor_test(f, x, 3 * x * x).verdict is not Verdict.MISMATCH
    assert taylor_test(f, x, 3 * x * x, rtol=0.01).passed
    assert taylor_test(f, x, 4 * x * x).verdict is Verdict.MISMATCH


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_a_direction_may_have_any_length(length):
    v = length * np.random.default_rng(3).normal(size=10)
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, direction=v)
    assert result.passed and result.order.contains(2.0) and len(result.lines) == 1
    wrong = taylor_test(
        problems.rosenbrock_f, ROSENBROCK_X, lambda x: 0.99 * problems.rosenbrock_gradient(x), direction=v
    )
    assert wrong.verdict is Verdict.MISMATCH


def test_shapes_scalars_and_args():
    @nb.njit
    def f(x, a):
        return a * np.sum(x**3)

    x = np.arange(1.0, 7.0).reshape(2, 3)
    result = taylor_test(f, x, lambda x, a: 3 * a * x**2, args=(2.0,))
    assert result.passed and result.lines[0].direction.shape == (2, 3)

    @nb.njit
    def g(x):
        return math.exp(x)

    assert taylor_test(g, 0.5, math.exp(0.5)).passed
    assert taylor_test(g, 0.5, 1.1 * math.exp(0.5)).verdict is Verdict.MISMATCH


def test_steps_given_are_the_rows():
    steps = [1e-3, 1e-1, 1e-2, 1e-4]
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, steps=steps)
    np.testing.assert_array_equal(result.lines[0].rows.step, sorted(steps, reverse=True))
    assert result.passed and result.order.contains(2.0)


def test_default_steps_are_halved():
    np.testing.assert_allclose(default_steps(4.0)[:3], [0.4, 0.2, 0.1])


def test_evaluations_are_counted():
    calls = []

    def f(x):
        calls.append(0)
        return float(np.sum(np.exp(x)))

    from fastgrad import python_objective

    x = np.linspace(0.0, 1.0, 5)
    result = taylor_test(python_objective(f), x, np.exp, hessian=np.diag(np.exp(x)))
    assert result.passed and result.evaluations == len(calls) < 400


@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"direction": np.ones(3)}, ValueError, "direction has shape (3,); need (10,)"),
        ({"direction": np.zeros(10)}, ValueError, "direction is zero; need one that moves x."),
        ({"direction": np.full(10, np.nan)}, ValueError, "direction holds a NaN or an infinity; need finite"),
        ({"directions": 0}, ValueError, "directions is 0; need 1 or more."),
        ({"steps": [1e-2, -1e-3]}, ValueError, "need two or more, all positive and finite"),
        (
            {"steps": [-1, 1]},
            ValueError,
            "steps holds 2 different numbers, the least -1; need two or more",
        ),
        ({"steps": [0, 1]}, ValueError, "steps holds 2 different numbers, the least 0; need two or more"),
        ({"steps": [1]}, ValueError, "steps holds 1 different number, the least 1; need two or more"),
        ({"steps": []}, ValueError, "steps holds no numbers; need two or more"),
        ({"steps": "small"}, TypeError, "steps is 'small'; need positive numbers"),
        ({"hessian": np.eye(3)}, ValueError, "hessian has shape (3, 3); need (10, 10)"),
        ({"hvp": np.eye(10)}, TypeError, "need a function hvp(x, v, *args)"),
        ({"hvp": lambda x, v: v[:3]}, ValueError, "the result of hvp has shape (3,); need (10,)"),
        ({"hessian": np.eye(10), "hvp": lambda x, v: v}, ValueError, "both hessian and hvp are given"),
        ({"rtol": -1.0}, ValueError, "rtol is -1.0"),
        ({"rng": 1.5}, TypeError, "rng is 1.5"),
    ],
)
def test_refusals(keywords, error, text):
    with pytest.raises(error) as caught:
        taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, **keywords)
    assert text in str(caught.value)


# ------------------------------------------------------------------------------------------------------- what is shown


def test_a_gradient_of_zeros_is_not_measured_by_itself():
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, np.zeros(10))
    assert result.verdict is Verdict.MISMATCH and result.relative_error == 1.0
    assert result.reason.endswith("is left, and g.v is zero, term by term")


def test_a_slope_without_size_resolves_nothing():
    def slope(**numbers):
        about = {"verdict": Verdict.INCONCLUSIVE, "analytical": 0.0, "size": 0.0, "step": 1.0, "flags": Flag.NONE}
        return Slope(**about, sides=None, noise=0.0, evaluations=0, **numbers)

    assert slope(numerical=1e-9, bar=1e-9).resolution == math.inf
    assert slope(numerical=0.0, bar=0.0).resolution == 0.0
    assert slope(numerical=231.0, bar=0.1).relative == 1.0 and slope(numerical=0.0, bar=0.1).relative == 0.0


def test_the_table_is_that_of_a_taylor_test():
    text = str(
        taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, hessian=rosenbrock_hessian)
    )
    lines = text.splitlines()
    header = next(line for line in lines if line.split()[:1] == ["h"])
    assert header.count("rate") == 3 and "|f(x+hv) - f(x)|" in header
    rows = [line.split() for line in lines[lines.index(header) + 3 : lines.index(header) + 7]]
    assert all(
        float(row[4]) == pytest.approx(2.0, abs=0.05) and float(row[6]) == pytest.approx(3.0, abs=0.1) for row in rows
    )
    assert max(map(len, lines)) <= 100


def test_the_result_is_plain_data_and_frozen():
    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient)
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["verdict"] == "match" and plain["order"]["value"] == pytest.approx(2.0, abs=0.05)
    assert len(plain["lines"]) == 3 and plain["lines"][0]["first"][0] == result.lines[0].rows.first[0]
    assert repr(result).startswith("<TaylorTest: match, order 2.00")
    with pytest.raises(AttributeError):
        result.verdict = Verdict.MISMATCH


def test_the_plot_shows_remainders_and_the_order():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from fastgrad.plotting import plot_taylor

    result = taylor_test(problems.rosenbrock_f, ROSENBROCK_X, problems.rosenbrock_gradient, hessian=rosenbrock_hessian)
    ax = plot_taylor(result)
    labels = ax.get_legend_handles_labels()[1]
    assert "order 2.00" in labels and "order 3.00" in labels and len(labels) == 6
    drawn = max((line for line in ax.lines if line.get_marker() == "o"), key=lambda line: len(line.get_xdata()))
    np.testing.assert_array_equal(drawn.get_ydata(), np.abs(result.worst.rows.first))
    plt.close(ax.figure)
    with pytest.raises(ValueError, match="measured no direction"):
        plot_taylor(taylor_test(kink_f, np.full(2, 1e308), np.ones(2)))
