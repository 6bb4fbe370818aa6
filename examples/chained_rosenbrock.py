"""Chained Rosenbrock function of a million variables: the whole gradient checked in about 50 evaluations.

Term i depends on x_i and x_(i+1) alone. Variables that share no term move together, every other one here: the
differences take 4 evaluations, the rest goes into the noise, the sparsity and a few components near zero.
"""

from __future__ import annotations

import numba as nb
import numpy as np

import fastgrad


@nb.njit
def terms(x):
    return 100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2


@nb.njit
def gradient(x):
    """Gradient of the sum of `terms`."""
    residual = x[1:] - x[:-1] ** 2
    total = np.zeros_like(x)
    total[:-1] = -400.0 * x[:-1] * residual - 2.0 * (1.0 - x[:-1])
    total[1:] += 200.0 * residual
    return total


@nb.njit
def gradient_with_bug(x):
    """Planted bug: the last variable is forgotten, one component in a million."""
    total = gradient(x)
    total[-1] = 0.0
    return total


def sparsity(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Terms and their variables, as pairs of positions."""
    k = np.arange(n - 1)
    return np.concatenate([k, k]), np.concatenate([k, k + 1])


def check(gradient, n: int = 1_000_000) -> fastgrad.SeparableCheck:
    x = np.random.default_rng(0).uniform(0.5, 1.5, n)
    return fastgrad.check_separable(terms, x, gradient, sparsity(n))


if __name__ == "__main__":
    from _main import main_of_check

    main_of_check(check, gradient, gradient_with_bug)
