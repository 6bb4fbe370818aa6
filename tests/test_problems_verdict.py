"""Every problem of the list: right gradients pass, planted errors are found where they are, planted bugs are named."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import problems
import pytest
from problems import BUILDERS, Problem

from fastgrad import Verdict, check_gradient
from fastgrad._judge.verdict import Flag
from fastgrad.steps import Automatic

MATCH, MISMATCH, INCONCLUSIVE = Verdict.MATCH, Verdict.MISMATCH, Verdict.INCONCLUSIVE

# An offset of 1e10 leaves slopes of order 1 with five digits; entries of 1e-12 of the simplex have steps so short
# that the entropy hardly changes. In both the noise is named.
UNDECIDED = {"offset", "entropy"}

BUILT = {build.__name__: cache(build) for build in BUILDERS}
EVERY = pytest.mark.parametrize("name", BUILT)
BOTH = pytest.mark.parametrize("epsilon", [None, Automatic()], ids=["default", "automatic"])


@cache
def right_gradient(name: str) -> np.ndarray:
    problem = BUILT[name]()
    return problem.gradient(problem.x, *problem.args)


@cache
def right_check(name: str, epsilon: Automatic | None):
    return judge(BUILT[name](), right_gradient(name), epsilon)


def judge(problem: Problem, gradient, epsilon=None, **options):
    return check_gradient(problem.f, problem.x, gradient, epsilon, args=problem.args, **options)


@EVERY
@BOTH
def test_right_gradients(name, epsilon):
    result = right_check(name, epsilon)
    assert not (result.verdicts == MISMATCH).any()
    assert result.causes == ()
    if name not in UNDECIDED:
        assert result.verdict is MATCH
        return
    assert result.verdict is INCONCLUSIVE
    assert result.reason.startswith("f has a noise level of")
    assert result.reason.endswith("the gradient agrees within that")
    undecided = result.verdicts == INCONCLUSIVE
    assert np.all(result.flags[undecided] & Flag.NOISE)
    # At a tolerance above the noise it is a match.
    assert judge(BUILT[name](), right_gradient(name), epsilon, rtol=0.1).verdict is MATCH


@EVERY
@BOTH
def test_the_truth_lies_within_the_bars(name, epsilon):
    result = right_check(name, epsilon)
    assert np.all(np.abs(result.estimate - right_gradient(name)) <= result.uncertainty)


def positions(name, epsilon):
    """First, middle and last of the components that were resolved."""
    result = right_check(name, epsilon)
    resolved = np.flatnonzero((result.verdicts == MATCH).ravel() & ((result.flags & Flag.ABSOLUTE) == 0).ravel())
    if resolved.size == 0:
        resolved = np.arange(result.verdicts.size)
    return sorted({int(resolved[0]), int(resolved[resolved.size // 2]), int(resolved[-1])})


@EVERY
@BOTH
@pytest.mark.parametrize("factor", [1.001, 0.0, -1.0])
def test_one_wrong_component_is_found_and_no_other_accused(name, epsilon, factor):
    for position in positions(name, epsilon):
        gradient = right_gradient(name).copy()
        gradient.flat[position] *= factor
        result = judge(BUILT[name](), gradient, epsilon)
        accused = np.flatnonzero(result.verdicts.ravel() == MISMATCH).tolist()
        assert result.verdicts.flat[position] is not MATCH
        if name == "sines" and factor == 0.0 and not accused:
            continue  # from afar the sine averages out: a zero is then the slope at another scale
        if name != "offset" or factor != 1.001:
            assert accused == [position]
            assert result.worst[0].index == np.unravel_index(position, gradient.shape)
            assert result.reason.startswith(
                f"1 of {gradient.size} components differs by more than its error bar; worst"
            )
        else:  # a thousandth is near what the offset hides
            assert accused in ([position], [])


@EVERY
def test_a_gradient_of_another_point_is_wrong(name):
    problem = BUILT[name]()
    elsewhere = problem.gradient(problem.x * 1.01, *problem.args)
    if np.array_equal(elsewhere, right_gradient(name)):
        pytest.skip("the gradient is the same there")
    assert judge(problem, elsewhere).verdict is MISMATCH


@EVERY
def test_nothing_passes_that_is_not_a_number(name):
    gradient = right_gradient(name).copy()
    gradient.flat[gradient.size // 2] = np.nan
    result = judge(BUILT[name](), gradient)
    assert np.flatnonzero(result.verdicts.ravel() == MISMATCH).tolist() == [gradient.size // 2]
    assert np.isnan(result.relative_error)


# ----------------------------------------------------------------------------------------------------- evaluations


@pytest.mark.parametrize("name", ["quadratic", "tanh_network", "relu_network", "lennard_jones", "pde_least_squares"])
def test_a_right_well_scaled_gradient_costs_two_evaluations_a_component(name):
    n = BUILT[name]().x.size
    assert n >= 16
    assert right_check(name, None).evaluations == 2 * n + 2


def longer_problems():
    """With 50 components and more."""
    rng = np.random.default_rng(0)
    scales, H = np.logspace(-12, 12, 61), rng.normal(size=(60, 60))
    for name, x, args in (
        ("sphere", rng.normal(size=60), None),
        ("rosenbrock", np.linspace(-1.5, 1.3, 60), None),
        ("sines", scales * np.linspace(0.2, 1.2, 61), (scales,)),
        ("quadratic", rng.normal(size=60), (H + H.T,)),
        ("least_squares", rng.normal(size=60), (rng.normal(size=(90, 60)), rng.normal(size=90))),
        ("entropy", rng.uniform(0.5, 1.5, 60), None),
        ("lennard_jones", None, None),
        ("pde_least_squares", None, None),
        ("heat_equation", None, None),
    ):
        problem = BUILT[name]()
        yield replace(problem, x=problem.x if x is None else x, args=problem.args if args is None else args)


def test_automatic_steps_cost_little_more():
    excess = []
    for problem in longer_problems():
        result = judge(problem, problem.gradient, Automatic())
        assert result.verdict is MATCH
        n = problem.x.size
        assert n >= 50
        excess.append(result.evaluations - (2.2 * n + 26))
        assert result.evaluations <= 4 * n
    assert np.median(excess) <= 0.0


# ----------------------------------------------------------------------------------------------------- planted bugs


def forgotten_regulariser(problem, right):
    return problems.example("logistic_regression").gradient_with_bug(problem.x, *problem.args)


def sum_for_mean(problem, right):
    return 15.0 * right


def sign_of_a_layer(problem, right):
    bugged = right.copy()
    bugged[25:40] *= -1.0
    return bugged


def unwritten_block(problem, right):
    bugged = right.copy()
    bugged[20:25] = 0.0
    return bugged


def transposed(problem, right):
    return right.T.copy()


def last_atoms_forgotten(problem, right):
    bugged = right.copy()
    bugged[20:] = 0.0
    return bugged


def shifted(problem, right):
    return np.roll(right, 1)


def missing_half(problem, right):
    return 2.0 * right


@pytest.mark.parametrize(
    ("name", "bug", "kind", "parameter", "words"),
    [
        ("logistic_regression", forgotten_regulariser, "proportional to x", 0.1, "entries 0..4"),
        ("tanh_network", sum_for_mean, "factor", 15.0, "every entry"),
        ("relu_network", sign_of_a_layer, "sign", None, "W2"),
        ("relu_network", unwritten_block, "zero", None, "b1"),
        ("pde_least_squares", transposed, "transpose", None, "transpose"),
        ("lennard_jones", last_atoms_forgotten, "zero", None, "20..29"),
        ("heat_equation", shifted, "shift", None, "shift"),
        ("quadratic", missing_half, "factor", 2.0, "2 times too large"),
    ],
)
@BOTH
def test_planted_bugs_are_named(name, bug, kind, parameter, words, epsilon):
    problem, right = BUILT[name](), right_gradient(name)
    blocks = problems.example("neural_network").BLOCKS if name == "relu_network" else None
    assert judge(problem, right, epsilon, blocks=blocks).causes == ()
    result = judge(problem, bug(problem, right), epsilon, blocks=blocks)
    assert result.verdict is MISMATCH
    (cause,) = result.causes
    assert (cause.kind, cause.block) == (kind, {"sign": "W2", "zero": "b1"}.get(kind) if blocks else None)
    assert words in cause.sentence
    if parameter is not None:
        assert cause.parameter == pytest.approx(parameter, rel=1e-3)


@EVERY
@BOTH
def test_a_single_wrong_component_has_no_far_fetched_cause(name, epsilon):
    """An error without a law is met with silence."""
    gradient = right_gradient(name).copy()
    position = positions(name, epsilon)[-1]
    gradient.flat[position] *= 1.2345
    result = judge(BUILT[name](), gradient, epsilon)
    assert all(cause.kind not in ("sign", "zero", "transpose", "shift", "reversed") for cause in result.causes)
