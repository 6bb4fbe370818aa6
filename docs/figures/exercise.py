"""The network of docs/explanation/step-size.md: two ways to write its loss, in the precision of x."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numba as nb
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "examples"))

import neural_network as network


@nb.njit
def layer(W, b, a):
    z = b.copy()
    for i in range(len(W)):
        for j in range(len(a)):
            z[i] += W[i, j] * a[j]
    return z


@nb.njit
def output(x, sample):
    """Pre-activation of the output unit."""
    W1, b1, W2, b2, W3, b3 = network.blocks(x)
    zero = x.dtype.type(0)
    a1 = np.maximum(layer(W1, b1, sample), zero)
    a2 = np.maximum(layer(W2, b2, a1), zero)
    return layer(W3, b3, a2)[0]


@nb.njit
def textbook(x, samples, labels):
    """Mean of -y log(a) - (1 - y) log(1 - a), a = sigmoid(z), as it stands in textbooks."""
    one, total = x.dtype.type(1), x.dtype.type(0)
    for k in range(len(labels)):
        a = one / (one + math.exp(-output(x, samples[k])))
        total -= labels[k] * math.log(a) + (one - labels[k]) * math.log(one - a)
    return total / x.dtype.type(len(labels))


@nb.njit
def stable(x, samples, labels):
    """The same mean as log(1 + exp(z)) - y z, which never forms 1 - a."""
    zero, total = x.dtype.type(0), x.dtype.type(0)
    for k in range(len(labels)):
        z = output(x, samples[k])
        total += max(z, zero) + math.log1p(math.exp(-abs(z))) - labels[k] * z
    return total / x.dtype.type(len(labels))


def exercise() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters, samples and labels, drawn the way the exercise draws them: hence the old generator and seed 1."""
    draw = np.random.RandomState(1).randn
    samples, labels = np.ascontiguousarray(draw(4, 3).T), np.array([1.0, 1.0, 0.0])
    parameters = [draw(*size) for size in ((5, 4), (5, 1), (3, 5), (3, 1), (1, 3), (1, 1))]
    return np.concatenate([block.ravel() for block in parameters]), samples, labels
