"""A loss in scikit-learn's form, which returns value and gradient together: multinomial, with weights of the samples.

`loss_gradient(coef, X, y, sample_weight, l2)` returns both, as the losses within scikit-learn do, because they share
most of the work. An objective has to return one number, so a line each takes the pair apart. coef has the shape
(classes, features + 1), and the report names its entries that way. Needs scikit-learn, for the data.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from _main import main


@nb.njit
def loss_gradient(coef, X, y, sample_weight, l2, weighted):
    """Weighted mean of the cross-entropy, plus a ridge penalty on all but the intercepts; and its gradient."""
    classes, features = coef.shape[0], coef.shape[1] - 1
    total, gradient = 0.0, np.zeros_like(coef)
    for i in range(len(y)):
        scores = coef[:, features].copy()
        for k in range(classes):
            for j in range(features):
                scores[k] += coef[k, j] * X[i, j]
        highest = scores.max()
        normaliser = highest + np.log(np.sum(np.exp(scores - highest)))
        total += sample_weight[i] * (normaliser - scores[y[i]])
        for k in range(classes):
            residual = np.exp(scores[k] - normaliser) - (1.0 if k == y[i] else 0.0)
            if weighted:
                residual *= sample_weight[i]
            for j in range(features):
                gradient[k, j] += residual * X[i, j]
            gradient[k, features] += residual
    weights = coef[:, :features]
    total /= np.sum(sample_weight)
    gradient /= np.sum(sample_weight)
    gradient[:, :features] += l2 * weights
    return total + 0.5 * l2 * np.sum(weights**2), gradient


@nb.njit
def f(coef, X, y, sample_weight, l2):
    return loss_gradient(coef, X, y, sample_weight, l2, True)[0]


@nb.njit
def gradient(coef, X, y, sample_weight, l2):
    return loss_gradient(coef, X, y, sample_weight, l2, True)[1]


@nb.njit
def gradient_with_bug(coef, X, y, sample_weight, l2):
    """Planted bug: the value heeds the weights of the samples, the gradient does not."""
    return loss_gradient(coef, X, y, sample_weight, l2, False)[1]


def problem() -> tuple[np.ndarray, tuple]:
    """Random coefficients, and the iris data with weights."""
    from sklearn.datasets import load_iris
    from sklearn.preprocessing import StandardScaler

    X, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    sample_weight = rng.uniform(0.5, 2.0, len(y))
    return rng.normal(size=(3, 5)), (StandardScaler().fit_transform(X), y, sample_weight, 0.1)


if __name__ == "__main__":
    main(f, gradient, gradient_with_bug, problem)
