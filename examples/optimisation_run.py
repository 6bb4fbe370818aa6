"""A likelihood maximised by BFGS, with the gradient checked at every fifth iterate of the run.

Counts y follow a Poisson law with mean exp(A x); `f` is the negative log-likelihood plus a ridge penalty. The start
is x = 0, where the penalty has no slope: the planted bug, a forgotten penalty, passes a check of the start
and shows in the middle of the run. Needs SciPy.
"""

from __future__ import annotations

from collections.abc import Callable

import numba as nb
import numpy as np
from scipy.optimize import OptimizeResult, minimize

import fastgrad


@nb.njit
def f(x, A, y, ridge):
    total = 0.0
    for i in range(len(y)):
        rate = 0.0
        for j in range(len(x)):
            rate += A[i, j] * x[j]
        total += np.exp(rate) - y[i] * rate
    for value in x:
        total += 0.5 * ridge * value**2
    return total


@nb.njit
def gradient(x, A, y, ridge):
    slope = ridge * x
    for i in range(len(y)):
        rate = 0.0
        for j in range(len(x)):
            rate += A[i, j] * x[j]
        slope += (np.exp(rate) - y[i]) * A[i]
    return slope


@nb.njit
def gradient_with_bug(x, A, y, ridge):
    """Planted bug: the penalty is forgotten."""
    return gradient(x, A, y, 0.0)


def problem() -> tuple[np.ndarray, tuple]:
    """Start, and 200 counts that depend on 8 variables."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(200, 8)) / np.sqrt(8.0)
    y = rng.poisson(np.exp(A @ rng.normal(size=8))).astype(float)
    return np.zeros(8), (A, y, 5.0)


def run(gradient: Callable, *, every: int = 5) -> tuple[OptimizeResult, list[fastgrad.GradientCheck]]:
    """Optimise with `gradient`; the result of the run, and the checks made in it."""
    x, args = problem()
    checker = fastgrad.GradientChecker(f, like=x, args=args)
    checks: list[fastgrad.GradientCheck] = []
    callback = checker.callback(gradient, every=every, then=checks.append)
    return minimize(f, x, args=args, jac=gradient, method="BFGS", callback=callback), checks


def main(gradient: Callable) -> None:
    """Print one line per check and exit by the worst verdict."""
    result, checks = run(gradient)
    print(f"{result.nit} iterations to f = {result.fun:.6f}")
    for check in checks:
        print(f"{check.verdict.value:<12} relative error {check.relative_error:.1e}: {check.reason}")
    raise SystemExit(0 if all(check.passed for check in checks) else 1)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bug", action="store_true", help="optimise with the planted bug instead")
    main(gradient_with_bug if parser.parse_args().bug else gradient)
