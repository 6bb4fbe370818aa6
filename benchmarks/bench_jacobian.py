"""check_jacobian beside the evaluations it makes, and beside SciPy's estimate of the same compiled F."""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest

from fastgrad import check_jacobian, numerical_jacobian

_STEP = 1e-5  # of all sides: noise and curvature are both small there, so that nothing needs a second look
_ROUNDS = {200: 7, 1000: 3}  # by n; a call at n = 1000 takes seconds
SIZES = pytest.mark.parametrize("n", [200, pytest.param(1000, marks=pytest.mark.large)])


@nb.njit
def network(x, weights, bias):
    """Two layers: each value depends on every coordinate."""
    hidden = np.empty(bias.size)
    for i in range(bias.size):
        total = bias[i]
        for j in range(x.size):
            total += weights[i, j] * x[j]
        hidden[i] = np.tanh(total)
    return hidden


def jacobian(x, weights, bias):
    return (1.0 - np.tanh(weights @ x + bias) ** 2)[:, None] * weights


@nb.njit(nogil=True)
def evaluate(x, weights, bias, first, last, h):
    """Both evaluations of some columns, and nothing else."""
    total = 0.0
    for j in range(first, last):
        x[j] += h
        total += network(x, weights, bias)[0]
        x[j] -= 2.0 * h
        total += network(x, weights, bias)[0]
        x[j] += h
    return total


@nb.njit(parallel=True)
def evaluate_all(rows, weights, bias, h):
    """The same for all columns, one range of them for each row of `rows`."""
    lanes, n = rows.shape
    totals = np.zeros(lanes)
    for lane in nb.prange(lanes):
        totals[lane] = evaluate(rows[lane], weights, bias, n * lane // lanes, n * (lane + 1) // lanes, h)
    return totals.sum()


def problem(n):
    rng = np.random.default_rng(2)
    x, weights, bias = rng.normal(size=n), rng.normal(size=(n, n)) / (2.0 * np.sqrt(n)), 0.1 * rng.normal(size=n)
    return x, (weights, bias)


@pytest.mark.parametrize("threads", [1, 2])
@SIZES
@pytest.mark.parametrize("verb", [numerical_jacobian, check_jacobian])
def test_overhead(comparison, verb, n, threads):
    """t_check / (time of 2 n evaluations on as many threads)."""
    x, args = problem(n)
    given = () if verb is numerical_jacobian else (jacobian(x, *args),)
    rows = np.tile(x, (threads, 1))

    def ours():
        return verb(network, x, *given, epsilon=_STEP, args=args, threads=threads)

    def bare():
        evaluate_all(rows, *args, _STEP)

    result = comparison.run(ours, bare, rounds=_ROUNDS[n])
    if given:
        assert result.passed and result.evaluations == 2 * n + 2
    name = f"{verb.__name__}, {n} x {n}, {threads} thread{'s' * (threads > 1)}"
    comparison.record(f"{name}: t_check / (2 n evaluations of F over the threads)", comparison.ratio(0), 1.1)


@SIZES
def test_scipy(comparison, n):
    """SciPy's three-point estimate, one evaluation after the other from Python, over check_jacobian and its verdict."""
    derivative = pytest.importorskip("scipy.optimize._numdiff").approx_derivative
    x, args = problem(n)
    given, estimate = jacobian(x, *args), None

    def ours():
        check_jacobian(network, x, given, epsilon=_STEP, args=args)

    def theirs():
        nonlocal estimate
        estimate = derivative(network, x, method="3-point", abs_step=_STEP, args=args)

    comparison.run(ours, theirs, rounds=_ROUNDS[n])
    np.testing.assert_allclose(estimate, given, atol=1e-8)
    comparison.record(f"approx_derivative '3-point', {n} x {n}: t / t_check", 1.0 / comparison.ratio(0))
