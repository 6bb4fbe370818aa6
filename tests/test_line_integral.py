"""check_line_integral: the rule, right gradients to 1e-12, relative bugs of 1e-9, noise, kinks, and location."""

from __future__ import annotations

import json
from dataclasses import replace

import numba as nb
import numpy as np
import problems
import pytest

from fastgrad import Verdict
from fastgrad._large.line import Segment
from fastgrad._large.quadrature import GAUSS_WEIGHTS, NODES, WEIGHTS, integrate
from fastgrad.line_integral import check_line_integral


@pytest.mark.parametrize(("weights", "degree"), [(WEIGHTS, 23), (GAUSS_WEIGHTS, 13)])
def test_the_rules_are_exact_for_polynomials_of_their_degree(weights, degree):
    for k in range(degree + 1):
        exact = 2.0 / (k + 1) if k % 2 == 0 else 0.0
        assert weights @ NODES**k == pytest.approx(exact, abs=4e-16)
    assert abs(weights @ NODES ** (degree + 1) - 2.0 / (degree + 2)) > 1e-13


def test_the_gauss_nodes_are_those_of_numpy():
    nodes, weights = np.polynomial.legendre.leggauss(7)
    np.testing.assert_allclose(NODES[GAUSS_WEIGHTS > 0], nodes, atol=4e-16)
    np.testing.assert_allclose(GAUSS_WEIGHTS[GAUSS_WEIGHTS > 0], weights, atol=4e-16)


def test_panels_add_up_and_show_where_it_fails():
    found = integrate(lambda t: (abs(t - 0.3), 1.0), 4, (-1.0, 1.0))
    assert found.value == pytest.approx(0.5 * (1.3**2 + 0.7**2), abs=1e-3)
    assert max(found.panels, key=lambda panel: panel[2])[:2] == (0.0, 0.5)
    assert found.size == pytest.approx(2.0)


# Rounded to multiples of 2e-6; 24 decades; squares overflow; kinks close to x.
BEYOND = {"offset", "sines", "exponentials", "relu_network"}
SMOOTH = [build for build in problems.BUILDERS if build.__name__ not in BEYOND]
# The heat equation amplifies the rounding of f itself by its time steps.
LIMIT = {"heat_equation": 1e-10}


def check(problem, change=lambda g: g, **options):
    def gradient(x, *args):
        return change(np.asarray(problem.gradient(x, *args), dtype=np.float64))

    return check_line_integral(problem.f, problem.x, gradient, args=problem.args, **options)


@pytest.mark.parametrize("build", SMOOTH, ids=lambda build: build.__name__)
def test_a_right_gradient_agrees_to_many_digits(build):
    for seed in range(3):
        result = check(build(), rng=seed)
        assert result.verdict is Verdict.MATCH
        assert result.relative_error <= LIMIT.get(build.__name__, 1e-12)


@pytest.mark.parametrize("build", SMOOTH, ids=lambda build: build.__name__)
def test_a_relative_error_of_1e_minus_9_is_seen(build):
    verdicts = [check(build(), lambda g: g * (1 + 1e-9), rng=seed, localise=False).verdict for seed in range(3)]
    assert verdicts.count(Verdict.MISMATCH) >= 2 and Verdict.MATCH not in verdicts


@pytest.mark.parametrize("name", sorted(BEYOND))
def test_no_right_gradient_is_accused(name):
    problem = getattr(problems, name)()
    for seed in range(8):
        assert check(problem, rng=seed).verdict is not Verdict.MISMATCH


@nb.njit
def rounded_f(x):
    """Sum of squares, as an iteration that stops at 1e-7 would give it."""
    total = (x * x).sum()
    return total * (1.0 + 1e-7 * np.sin(1e9 * total))


def test_noise_of_f_counts_once_per_segment():
    x = np.random.default_rng(0).normal(size=200)
    right = check_line_integral(rounded_f, x, lambda x: 2 * x, rtol=1e-4)
    assert right.verdict is Verdict.MATCH
    wrong = check_line_integral(rounded_f, x, lambda x: 2.002 * x, rtol=1e-4)
    assert wrong.verdict is Verdict.MISMATCH
    strict = check_line_integral(rounded_f, x, lambda x: 2 * x)
    assert strict.verdict is Verdict.INCONCLUSIVE


def test_a_kink_on_a_segment_is_inconclusive_and_placed():
    @nb.njit
    def f(x):
        return abs(x[0] - 1.0) + x[1] ** 2

    x = np.array([1.0 + 1e-9, 1.0])
    result = check_line_integral(f, x, lambda x: np.array([np.sign(x[0] - 1.0), 2 * x[1]]))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.kink is not None and -0.02 < result.kink[0] <= result.kink[1] < 0.02
    assert "kink" in result.reason


def test_a_missing_kink_in_the_gradient_is_no_proof():
    @nb.njit
    def f(x):
        return np.abs(x).sum()

    assert check_line_integral(f, np.zeros(20), np.sign).verdict is not Verdict.MISMATCH


@pytest.mark.parametrize("size", [1e-2, -1.0])
def test_one_wrong_component_is_located(size):
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=20_000)

    def gradient(x):
        g = problems.rosenbrock_gradient(x)
        g[1234] += size
        return g

    result = check_line_integral(problems.rosenbrock_f, x, gradient)
    assert result.verdict is Verdict.MISMATCH
    (row,) = result.components
    assert row.name == "x[1234]"
    assert row.numerical - row.analytical == pytest.approx(-size, rel=1e-3)


def test_the_wrong_block_is_located():
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=3000)

    def gradient(x):
        g = problems.rosenbrock_gradient(x)
        g[1000:1500] *= 1.0 + 1e-6
        return g

    blocks = {"first": 1000, "W": (50, 10), "last": 1500}
    result = check_line_integral(problems.rosenbrock_f, x, gradient, blocks=blocks)
    assert result.verdict is Verdict.MISMATCH and result.blocks == ("W",)


def test_a_report_fits_the_terminal_and_json():
    result = check(problems.rosenbrock(), lambda g: g * 1.1)
    assert max(len(line) for line in str(result).splitlines()) <= 80
    assert json.loads(json.dumps(result.to_dict()))["verdict"] == "mismatch"
    assert "mismatch" in repr(result)


def test_an_array_is_refused():
    with pytest.raises(TypeError, match="need a function of"):
        check_line_integral(problems.sphere_f, np.ones(3), np.ones(3))


# ------------------------------------------------------------------------------------- causes, limits, and threads


CHANGES = {
    "factor": (lambda g, x: 2.0 * g, "factor"),
    "sign": (lambda g, x: -g, "sign"),
    "no regulariser": (lambda g, x: g - 3.0 * x, "proportional to x"),
    "constant": (lambda g, x: g + 0.25, "constant"),
}


def with_blocks(change, block=slice(None)):
    """Rosenbrock, whose gradient goes wrong in a block."""

    def gradient(x):
        g = problems.rosenbrock_gradient(x)
        g[block] = change(g[block], x[block])
        return g

    return gradient


@pytest.mark.parametrize("bug", CHANGES)
def test_a_law_of_the_whole_gradient_is_named_from_the_segments(bug):
    change, kind = CHANGES[bug]
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=2000)
    result = check_line_integral(problems.rosenbrock_f, x, with_blocks(change), constants={"lam": 3.0})
    assert result.verdict is Verdict.MISMATCH
    assert [cause.kind for cause in result.causes] == [kind]
    assert ("lam" in result.causes[0].sentence) == (bug == "no regulariser")
    assert "Cause: " in str(result) and result.evaluations < 80


@pytest.mark.parametrize("bug", CHANGES)
def test_a_law_of_a_block_is_named_with_the_block(bug):
    change, kind = CHANGES[bug]
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=3000)
    blocks = {"first": 1000, "W": (50, 10), "last": 1500}
    gradient = with_blocks(change, slice(1000, 1500))
    result = check_line_integral(problems.rosenbrock_f, x, gradient, blocks=blocks)
    assert result.blocks == ("W",)
    assert [(cause.kind, cause.block) for cause in result.causes] == [(kind, "W")]
    assert "W" in result.causes[0].sentence


def test_errors_without_a_law_get_no_name():
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=2000)
    factors = 1.0 + 0.3 * np.random.default_rng(1).normal(size=2000)
    result = check_line_integral(problems.rosenbrock_f, x, with_blocks(lambda g, x: factors * g))
    assert result.verdict is Verdict.MISMATCH and result.causes == ()
    tiny = check_line_integral(problems.rosenbrock_f, x, with_blocks(lambda g, x: (1.0 + 1e-9) * g))
    assert tiny.verdict is Verdict.MISMATCH and tiny.causes == ()


def test_a_stale_gradient_is_named_and_a_reused_buffer_is_not():
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=500)
    buffer = np.empty_like(x)

    def reused(point):
        buffer[:] = problems.rosenbrock_gradient(point)
        return buffer

    for place in (1.0, 1.01):  # right at x and nowhere else; and nowhere near
        kept = problems.rosenbrock_gradient(place * x)
        stale = check_line_integral(problems.rosenbrock_f, x, lambda point, kept=kept: kept)
        assert stale.verdict is not Verdict.MATCH
        assert [cause.kind for cause in stale.causes] == ["stale"] and "another x" in str(stale)
    assert check_line_integral(problems.rosenbrock_f, x, reused).verdict is Verdict.MATCH


def test_no_result_depends_on_the_threads():
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=500)
    gradient = with_blocks(lambda g, x: g * (1.0 + 1e-7 * x))
    results = [check_line_integral(problems.rosenbrock_f, x, gradient, threads=k) for k in (1, None)]
    most = nb.get_num_threads()
    assert [result.threads for result in results] == [1, most]
    assert [result.executor for result in results] == ["serial", "threads" if most > 1 else "serial"]
    assert str(results[0]).endswith(" s on 1 thread (serial)")
    first, second = (replace(result, elapsed=0.0, threads=0, executor="").to_dict() for result in results)
    assert first == second
    with pytest.raises(ValueError, match="threads is 0; need 1 to "):
        check_line_integral(problems.rosenbrock_f, x, gradient, threads=0)


def interrupted_after(calls, change=lambda g: g):
    """A gradient that is interrupted as Ctrl-C does it, at a later call."""
    left = [calls]

    def gradient(x):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return change(problems.rosenbrock_gradient(x))

    return gradient


@pytest.mark.parametrize("calls", [0, 5, 40])
def test_ctrl_c_leaves_what_was_seen(calls):
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=100)
    with pytest.raises(KeyboardInterrupt) as caught:
        check_line_integral(problems.rosenbrock_f, x, interrupted_after(calls))
    result = caught.value.result
    assert result.verdict is Verdict.INCONCLUSIVE and "Ctrl-C" in result.reason
    assert str(result) and json.dumps(result.to_dict())


def test_ctrl_c_during_the_location_keeps_the_mismatch():
    def change(g):
        g[[7, 55]] += [1.0, -2.0]
        return g

    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=100)
    with pytest.raises(KeyboardInterrupt) as caught:
        check_line_integral(problems.rosenbrock_f, x, interrupted_after(200, change))
    assert caught.value.result.verdict is Verdict.MISMATCH and "Ctrl-C" in caught.value.result.reason


def test_a_time_limit_ends_it_without_a_claim():
    result = check_line_integral(problems.sphere_f, np.ones(100), lambda x: 2 * x, time_limit=1e-9)
    assert result.verdict is Verdict.INCONCLUSIVE and "time limit" in result.reason
    assert result.gradient_evaluations == 0


def test_a_gradient_that_is_not_finite_at_x_is_wrong():
    x = np.linspace(0.5, 1.0, 50)
    result = check_line_integral(problems.sphere_f, x, lambda x: np.where(np.arange(50) == 7, np.nan, 2 * x))
    assert result.verdict is Verdict.MISMATCH and "nan at x[7]" in result.reason
    assert result.gradient_evaluations == 1


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_every_call_of_the_gradient_is_counted(factor):
    calls = []

    def gradient(x):
        calls.append(1)
        return 2.0 * x * np.where(np.arange(x.size) == 3, factor, 1.0)

    result = check_line_integral(problems.sphere_f, np.linspace(0.5, 1.0, 50), gradient)
    assert result.passed == (factor == 1.0)
    assert result.gradient_evaluations == len(calls)


def test_a_relative_error_without_a_size_is_infinite_without_a_warning():
    segment = Segment(1.0, 1, np.float64(1e10), np.float64(0.0), np.float64(1.0), np.float64(0.0), np.float64(0.0))
    assert segment.relative == np.inf and segment.resolution > 0.0
