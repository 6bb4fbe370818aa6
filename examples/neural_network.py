"""A network with 47 parameters: 4 inputs, ReLU layers of 5 and 3 units, one sigmoid output, cross-entropy."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

BLOCKS = {"W1": (5, 4), "b1": (5,), "W2": (3, 5), "b2": (3,), "W3": (1, 3), "b3": (1,)}
"""Name and shape of each block of the flat parameter vector, in order."""


@nb.njit
def blocks(x):
    """Views of the flat vector: W1, b1, W2, b2, W3, b3 (see BLOCKS)."""
    return (
        x[0:20].reshape(5, 4),
        x[20:25],
        x[25:40].reshape(3, 5),
        x[40:43],
        x[43:46].reshape(1, 3),
        x[46:47],
    )


@nb.njit
def product(W, a):
    """Matrix times vector."""
    total = np.zeros(len(W))
    for i in range(len(W)):
        for j in range(len(a)):
            total[i] += W[i, j] * a[j]
    return total


@nb.njit
def forward(x, sample):
    """Pre-activations z1, z2, z3 of the three layers for one sample."""
    W1, b1, W2, b2, W3, b3 = blocks(x)
    z1 = product(W1, sample) + b1
    z2 = product(W2, np.maximum(z1, 0.0)) + b2
    z3 = product(W3, np.maximum(z2, 0.0)) + b3
    return z1, z2, z3


@nb.njit
def f(x, samples, labels):
    """Mean cross-entropy -y log(a) - (1 - y) log(1 - a), a = sigmoid(z3).

    It is written as log(1 + exp(z3)) - y z3: the textbook form loses digits in 1 - a when a is close to 1.
    """
    total = 0.0
    for k in range(len(labels)):
        z = forward(x, samples[k])[2][0]
        total += max(z, 0.0) + math.log1p(math.exp(-abs(z))) - labels[k] * z
    return total / len(labels)


@nb.njit
def relu_derivative(z):
    """1 where the unit is active, 0 elsewhere."""
    return np.where(z > 0.0, 1.0, 0.0)


@nb.njit
def forgotten_derivative(z):
    """Planted bug: the derivative of the activation is left out of the product."""
    return np.ones_like(z)


@nb.njit
def add_layer(dW, db, delta, a):
    """Add the gradient of one layer with input a, where delta is the derivative by its pre-activation."""
    for i in range(len(delta)):
        db[i] += delta[i]
        for j in range(len(a)):
            dW[i, j] += delta[i] * a[j]


@nb.njit
def backpropagate(x, samples, labels, derivative1):
    """Gradient of `f` as a flat vector; `derivative1` is the derivative of the first layer's activation."""
    W2, W3 = blocks(x)[2], blocks(x)[4]
    total = np.zeros_like(x)
    dW1, db1, dW2, db2, dW3, db3 = blocks(total)
    for k in range(len(labels)):
        z1, z2, z3 = forward(x, samples[k])
        delta3 = (1.0 / (1.0 + np.exp(-z3)) - labels[k]) / len(labels)
        delta2 = product(W3.T, delta3) * relu_derivative(z2)
        delta1 = product(W2.T, delta2) * derivative1(z1)
        add_layer(dW3, db3, delta3, np.maximum(z2, 0.0))
        add_layer(dW2, db2, delta2, np.maximum(z1, 0.0))
        add_layer(dW1, db1, delta1, samples[k])
    return total


@nb.njit
def gradient(x, samples, labels):
    """Gradient of `f`."""
    return backpropagate(x, samples, labels, relu_derivative)


@nb.njit
def gradient_with_bug(x, samples, labels):
    """Gradient of `f` without the ReLU derivative of the first layer: W1 and b1 are wrong, no other block."""
    return backpropagate(x, samples, labels, forgotten_derivative)


def problem() -> tuple[np.ndarray, tuple[Any, ...]]:
    """Random parameters, ten random samples and labels as ``(samples, labels)``.

    With this seed every unit is active for some sample, and no pre-activation is nearer than 0.1 to zero,
    the kink of the ReLU, where a difference would straddle two slopes.
    """
    rng = np.random.default_rng(148)
    x = rng.normal(scale=0.8, size=47)
    samples = rng.normal(size=(10, 4))
    labels = (samples.sum(axis=1) > 0.0).astype(float)
    return x, (samples, labels)


if __name__ == "__main__":
    from _main import main

    main(f, gradient, gradient_with_bug, problem)
