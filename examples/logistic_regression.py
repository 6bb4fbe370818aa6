"""L2-regularised logistic regression on scikit-learn's breast cancer data: 30 weights and an intercept."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np


@nb.njit
def softplus(t):
    """log(1 + exp(t)) without overflow, and without cancellation for large negative t."""
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))


@nb.njit
def margin(x, A, y, i):
    """y_i (a_i . x): positive when sample i is on the right side."""
    total = 0.0
    for j in range(len(x)):
        total += A[i, j] * x[j]
    return y[i] * total


@nb.njit
def f(x, A, y, lam):
    """Mean of log(1 + exp(-margin_i)) + lam/2 ||weights||^2; the intercept x[-1] is not regularised.

    `A` has a last column of ones and `y` holds the labels -1 and +1.
    """
    loss = 0.0
    for i in range(len(y)):
        loss += softplus(-margin(x, A, y, i))
    penalty = 0.0
    for j in range(len(x) - 1):
        penalty += x[j] * x[j]
    return loss / len(y) + 0.5 * lam * penalty


@nb.njit
def gradient_of_mean_loss(x, A, y):
    """Gradient of the mean loss alone: -1/m sum_i y_i a_i / (1 + exp(margin_i))."""
    total = np.zeros_like(x)
    for i in range(len(y)):
        weight = -y[i] / (1.0 + math.exp(margin(x, A, y, i))) / len(y)
        for j in range(len(x)):
            total[j] += weight * A[i, j]
    return total


@nb.njit
def gradient(x, A, y, lam):
    """Gradient of `f`."""
    total = gradient_of_mean_loss(x, A, y)
    for j in range(len(x) - 1):
        total[j] += lam * x[j]
    return total


@nb.njit
def gradient_with_bug(x, A, y, lam):
    """Planted bug: the regulariser is forgotten, so every weight is wrong and the intercept is right."""
    return gradient_of_mean_loss(x, A, y)


def problem() -> tuple[np.ndarray, tuple[Any, ...]]:
    """Random weights, and the data with standardised features as ``(A, y, lam)``."""
    from sklearn.datasets import load_breast_cancer

    features, target = load_breast_cancer(return_X_y=True)
    standardised = (features - features.mean(axis=0)) / features.std(axis=0)
    A = np.column_stack([standardised, np.ones(len(target))])
    y = np.where(target == 1, 1.0, -1.0)
    x = np.random.default_rng(0).normal(scale=0.3, size=A.shape[1])
    return x, (A, y, 0.1)


if __name__ == "__main__":
    from _main import main

    main(f, gradient, gradient_with_bug, problem)
