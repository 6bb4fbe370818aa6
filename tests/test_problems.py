"""Every gradient in `problems.py` is right, verified without fastgrad."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from naive import central_difference
from problems import BUILDERS, Problem

UNIT_ROUNDOFF = 2.0**-53

# Step of the difference: about 1e-3 of the length on which f changes; longer where f is a polynomial of
# degree four or less, because the extrapolation is exact there. The Lennard-Jones atoms, repelled with r^-12,
# have the shortest.
STEPS: dict[str, Callable[[Problem], float | np.ndarray]] = {
    "sphere": lambda p: 1e-1,
    "offset": lambda p: 1e1,
    "rosenbrock": lambda p: 1e-1,
    "sines": lambda p: 1e-3 * p.args[0],
    "quadratic": lambda p: 1e-1,
    "log_sum_exp": lambda p: 1e-2,
    "exponentials": lambda p: 1e-3,
    "entropy": lambda p: 3e-2 * p.x,
    "least_squares": lambda p: 1e-1,
    "logistic_regression": lambda p: 1e-3,
    "tanh_network": lambda p: 1e-3,
    "relu_network": lambda p: 1e-3,
    "lennard_jones": lambda p: 1e-4,
    "pde_least_squares": lambda p: 1e-2,
    "heat_equation": lambda p: 2e-3,
}

# Objectives that no complex number passes through: absolute values, max(t, 0) or a float64 work array.
NOT_ANALYTIC = {"logistic_regression", "relu_network", "heat_equation"}


def extrapolated_difference(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Two central differences, extrapolated to step zero, and the largest error that each component may show.

    (4 D(h) - D(2h)) / 3 has a truncation error of order h^4, which the steps above keep below 1e-6 of the
    component. If an evaluation of f is off by at most d, the rounding error is at most 1.5 d / h. Here d is
    16 units roundoff of f, twice the largest seen (heat equation: the misfit subtracts temperatures).
    """
    step = STEPS[problem.name](problem)
    near = central_difference(problem.f, problem.x, step, problem.args)
    far = central_difference(problem.f, problem.x, 2.0 * np.asarray(step), problem.args)
    estimate = (4.0 * near - far) / 3.0
    rounding = 1.5 * 16.0 * UNIT_ROUNDOFF * abs(problem.f(problem.x, *problem.args)) / step
    return estimate, 1e-6 * np.abs(estimate) + rounding


def name_of(build: Callable[[], Problem]) -> str:
    return build.__name__


@pytest.mark.parametrize("build", BUILDERS, ids=name_of)
def test_gradient_agrees_with_differences_and_a_wrong_one_does_not(build):
    problem = build()
    gradient = problem.gradient(problem.x, *problem.args)
    assert gradient.shape == problem.x.shape
    assert gradient.dtype == problem.x.dtype

    estimate, bar = extrapolated_difference(problem)
    assert np.all(np.abs(estimate - gradient) <= bar)

    # One part in a thousand shows in every component but one: the smallest entry of the entropy, where a step
    # inside the domain is so short that no digit is left. The complex step below covers it.
    missed = np.abs(estimate - 1.001 * gradient) <= bar
    assert np.count_nonzero(missed) == (1 if problem.name == "entropy" else 0)


@pytest.mark.parametrize("build", [b for b in BUILDERS if name_of(b) not in NOT_ANALYTIC], ids=name_of)
def test_gradient_agrees_with_complex_step(build):
    """Im f(x + ih e_i) / h cancels nothing, so h = 1e-30 leaves only the rounding inside f (1e-14 seen)."""
    problem = build()
    f = getattr(problem.f, "py_func", problem.f)
    derivative = np.empty(problem.x.shape)
    for index in np.ndindex(problem.x.shape):
        point = problem.x.astype(complex)
        point[index] += 1e-30j
        derivative[index] = f(point, *problem.args).imag / 1e-30
    gradient = problem.gradient(problem.x, *problem.args)
    np.testing.assert_allclose(gradient, derivative, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("build", BUILDERS, ids=name_of)
def test_every_call_builds_the_same_problem_on_fresh_arrays(build):
    first, second = build(), build()
    assert first.name == name_of(build)
    assert not np.shares_memory(first.x, second.x)
    np.testing.assert_array_equal(first.x, second.x)
    for one, other in zip(first.args, second.args, strict=True):
        np.testing.assert_array_equal(one, other)
