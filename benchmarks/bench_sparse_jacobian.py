"""Sparse Jacobians: a check by groups of columns, pattern verified, against SciPy's differences alone on the same F.

SciPy's ``approx_derivative(..., "3-point", sparsity=...)`` groups the columns and returns the numerical matrix; it
compares with nothing and trusts the pattern. `check_jacobian` groups, takes the same differences, verifies the pattern
and judges every entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import pytest
from scipy.optimize._numdiff import approx_derivative
from scipy.sparse import coo_array, csc_array, diags_array

from fastgrad import Verdict, check_jacobian
from fastgrad._sparse.coloring import group_columns
from fastgrad._sparse.pattern import entries_of


@dataclass(frozen=True)
class Case:
    """A vector function, a point, its Jacobian there, and the number of groups that are enough."""

    F: Callable[..., Any]
    x: np.ndarray
    jacobian: csc_array
    groups: int


@nb.njit
def chain(x):
    n = x.size
    y = np.empty(n)
    for i in range(n):
        left = x[i - 1] if i > 0 else 0.0
        right = x[i + 1] if i < n - 1 else 0.0
        y[i] = left - 2.0 * x[i] + 3.0 * right + x[i] ** 3
    return y


@nb.njit
def grid(x):
    """Five-point Laplacian of a square grid, and a reaction."""
    n = int(np.sqrt(x.size))
    y = np.empty(x.size)
    for k in range(x.size):
        i, j = divmod(k, n)
        total = -4.0 * x[k]
        if i > 0:
            total += x[k - n]
        if i < n - 1:
            total += x[k + n]
        if j > 0:
            total += x[k - 1]
        if j < n - 1:
            total += x[k + 1]
        y[k] = total + np.exp(0.1 * x[k])
    return y


def tridiagonal(n: int) -> Case:
    x = np.random.default_rng(0).standard_normal(n)
    diagonals = [np.ones(n - 1), -2.0 + 3.0 * x**2, np.full(n - 1, 3.0)]
    return Case(chain, x, diags_array(diagonals, offsets=[-1, 0, 1]).tocsc(), 3)


def five_point(n: int) -> Case:
    side = int(np.sqrt(n))
    x = np.random.default_rng(0).standard_normal(side * side)
    k = np.arange(x.size)
    i, j = np.divmod(k, side)
    pairs = [
        (k[ok], k[ok] + step) for ok, step in ((i > 0, -side), (i < side - 1, side), (j > 0, -1), (j < side - 1, 1))
    ]
    rows, columns = (np.concatenate(parts) for parts in zip(*pairs, (k, k), strict=True))
    values = np.concatenate([np.ones(rows.size - k.size), -4.0 + 0.1 * np.exp(0.1 * x)])
    return Case(grid, x, coo_array((values, (rows, columns)), shape=(x.size, x.size)).tocsc(), 5)


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self.calls = function, 0

    def __call__(self, x: np.ndarray) -> Any:
        self.calls += 1
        return self._function(x)


@pytest.mark.parametrize(
    ("build", "n", "rounds"),
    [
        (tridiagonal, 10_000, 20),
        (five_point, 10_000, 20),
        pytest.param(tridiagonal, 1_000_000, 3, marks=pytest.mark.large),
        pytest.param(five_point, 1_000_000, 3, marks=pytest.mark.large),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_check_against_scipys_differences(comparison, build, n, rounds):
    """Whole calls, grouping included on both sides."""
    case = build(n)
    counted = Counted(case.F)

    def scipys() -> Any:
        counted.calls = 0
        return approx_derivative(counted, case.x, method="3-point", sparsity=case.jacobian)

    def ours() -> Any:
        return check_jacobian(case.F, case.x, case.jacobian)

    result = comparison.run(ours, scipys, rounds=rounds)
    assert result.verdict is Verdict.MATCH, result.reason
    name = f"{build.__name__.replace('_', '-')} Jacobian, n = {n:.0e}"
    comparison.record(f"{name}: `check_jacobian` / SciPy's differences alone", comparison.ratio())
    comparison.record(f"{name}: evaluations of F, ours", result.evaluations, reach=19)
    comparison.record(f"{name}: evaluations of F, SciPy's", counted.calls)


@pytest.mark.parametrize("build", [tridiagonal, five_point], ids=lambda build: build.__name__)
def test_grouping_a_million_columns(comparison, build):
    """The coloring alone."""
    case = build(1_000_000)
    pattern, _ = entries_of(case.jacobian)
    groups, _ = group_columns(pattern)
    assert groups.count == case.groups
    comparison.run(lambda: group_columns(pattern), rounds=3)
    comparison.record(
        f"{build.__name__.replace('_', '-')}, n = 1e6: grouping the columns", comparison.seconds(), unit="s"
    )
