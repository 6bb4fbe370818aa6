"""Objectives of large n with their right gradients, for the rates of directional checks."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import problems  # noqa: E402


@dataclass(frozen=True)
class Case:
    """f and its gradient, and a point for each seed."""

    name: str
    f: Callable[..., float]
    gradient: Callable[..., np.ndarray]
    point: Callable[[np.random.Generator], np.ndarray]
    args: tuple = ()


@nb.njit
def separable_f(x):
    total = 0.0
    for value in x:
        total += np.sqrt(1.0 + value * value) + 0.05 * value**4
    return total


@nb.njit
def separable_gradient(x):
    return x / np.sqrt(1.0 + x * x) + 0.2 * x**3


@nb.njit
def rational_f(x):
    """A division for each entry: 1 ns."""
    total = 0.0
    for value in x:
        total += value * value / (1.0 + value * value)
    return total


@nb.njit
def rational_gradient(x):
    return 2.0 * x / (1.0 + x * x) ** 2


@nb.njit
def quadratic_f(x, weights, u):
    """x.Hx / 2, H a reflected diagonal matrix of condition number 1e8: dense, but cheap."""
    reach = 2.0 * (u * x).sum()
    total = 0.0
    for i in range(x.size):
        total += 0.5 * weights[i] * (x[i] - u[i] * reach) ** 2
    return total


@nb.njit
def quadratic_gradient(x, weights, u):
    z = weights * (x - 2.0 * u * (u * x).sum())
    return z - 2.0 * u * (u * z).sum()


LAYERS = (32, 64, 64, 10)
NETWORK_SIZE = sum((a + 1) * b for a, b in itertools.pairwise(LAYERS))


@nb.njit
def _activate(z, is_tanh):
    return np.tanh(z) if is_tanh else np.maximum(z, 0.0)


@nb.njit
def _forward(x, batch, sizes, is_tanh):
    """Activations of all layers, one after the other in rows."""
    values = np.zeros((sizes.size, batch.shape[0], sizes.max()))
    values[0, :, : sizes[0]] = batch
    start = 0
    for layer in range(sizes.size - 1):
        a, b = sizes[layer], sizes[layer + 1]
        for k in range(batch.shape[0]):
            for j in range(b):
                total = x[start + a * b + j]
                for i in range(a):
                    total += x[start + j * a + i] * values[layer, k, i]
                values[layer + 1, k, j] = total if layer == sizes.size - 2 else _activate(total, is_tanh)
        start += (a + 1) * b
    return values


@nb.njit
def network_f(x, batch, target, sizes, is_tanh):
    """Mean squared error of a dense network."""
    out = _forward(x, batch, sizes, is_tanh)[-1, :, : sizes[-1]]
    return 0.5 * ((out - target) ** 2).sum() / batch.shape[0]


@nb.njit
def network_gradient(x, batch, target, sizes, is_tanh):
    values = _forward(x, batch, sizes, is_tanh)
    g = np.zeros_like(x)
    delta = (values[-1, :, : sizes[-1]] - target) / batch.shape[0]
    start = x.size
    for layer in range(sizes.size - 2, -1, -1):
        a, b = sizes[layer], sizes[layer + 1]
        start -= (a + 1) * b
        before = np.zeros((batch.shape[0], a))
        for k in range(batch.shape[0]):
            for j in range(b):
                d = delta[k, j]
                g[start + a * b + j] += d
                for i in range(a):
                    g[start + j * a + i] += d * values[layer, k, i]
                    before[k, i] += d * x[start + j * a + i]
        for k in range(batch.shape[0]):
            for i in range(a):
                v = values[layer, k, i]
                before[k, i] *= (1.0 - v * v) if is_tanh else (1.0 if v > 0.0 else 0.0)
        delta = before
    return g


@nb.njit
def logistic_f(x, columns, data, labels):
    """Logistic loss over samples with a few features each, and a weak regulariser."""
    total = 0.0
    for k in range(labels.size):
        z = 0.0
        for j in range(columns.shape[1]):
            z += data[k, j] * x[columns[k, j]]
        total += np.log1p(np.exp(-abs(z))) + max(z, 0.0) - labels[k] * z
    penalty = 0.0
    for value in x:
        penalty += value * value
    return total / labels.size + 5e-4 * penalty


@nb.njit
def logistic_gradient(x, columns, data, labels):
    g = 1e-3 * x
    for k in range(labels.size):
        z = 0.0
        for j in range(columns.shape[1]):
            z += data[k, j] * x[columns[k, j]]
        d = (1.0 / (1.0 + np.exp(-z)) - labels[k]) / labels.size
        for j in range(columns.shape[1]):
            g[columns[k, j]] += d * data[k, j]
    return g


@nb.njit
def _residual(u, right, side):
    """-Laplace u + u^3 - right on a grid, with the five-point stencil."""
    r = np.empty_like(u)
    for i in range(side):
        for j in range(side):
            k = i * side + j
            total = 4.0 * u[k]
            if i > 0:
                total -= u[k - side]
            if i < side - 1:
                total -= u[k + side]
            if j > 0:
                total -= u[k - 1]
            if j < side - 1:
                total -= u[k + 1]
            r[k] = total + u[k] ** 3 - right[k]
    return r


@nb.njit
def pde_f(u, right, side):
    r = _residual(u, right, side)
    return 0.5 * (r * r).sum()


@nb.njit
def pde_gradient(u, right, side):
    """The stencil is symmetric: applied to the residual it is its own transpose."""
    r = _residual(u, right, side)
    return _residual(r, np.zeros_like(u), side) - r**3 + 3.0 * u * u * r


@nb.njit
def lennard_jones_f(x, first, second):
    """Sum over listed pairs of 4 (r^-12 - r^-6)."""
    total = 0.0
    for k in range(first.size):
        square = 0.0
        for c in range(3):
            d = x[3 * first[k] + c] - x[3 * second[k] + c]
            square += d * d
        s = 1.0 / (square * square * square)
        total += 4.0 * s * (s - 1.0)
    return total


@nb.njit
def lennard_jones_gradient(x, first, second):
    g = np.zeros_like(x)
    for k in range(first.size):
        i, j = 3 * first[k], 3 * second[k]
        square = 0.0
        for c in range(3):
            d = x[i + c] - x[j + c]
            square += d * d
        s = 1.0 / (square * square * square)
        slope = 24.0 * s * (1.0 - 2.0 * s) / square
        for c in range(3):
            d = slope * (x[i + c] - x[j + c])
            g[i + c] += d
            g[j + c] -= d
    return g


def lennard_jones(side: int, name: str) -> Case:
    """Atoms near the sites of a cubic lattice, with the list of pairs up to the diagonal of a cell."""
    index = np.arange(side**3).reshape(side, side, side)
    steps = [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if (a, b, c) > (0, 0, 0)]
    pairs = [(index[_part(side, s, 1)], index[_part(side, s, -1)]) for s in steps]
    first, second = (np.concatenate([p[k].ravel() for p in pairs]).astype(np.int32) for k in (0, 1))
    lattice = 1.12 * np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1).astype(float)
    args = first, second
    return Case(
        name, lennard_jones_f, lennard_jones_gradient, lambda r: lattice + 0.03 * r.normal(size=lattice.size), args
    )


def _part(side: int, step: tuple[int, ...], sign: int) -> tuple[slice, ...]:
    return tuple(slice(max(0, -sign * s), side - max(0, sign * s)) for s in step)


def separable(n: int) -> Case:
    return Case(f"separable, n = {n}", separable_f, separable_gradient, lambda r: r.normal(size=n))


def rosenbrock(n: int) -> Case:
    f, gradient = problems.rosenbrock_f, problems.rosenbrock_gradient
    return Case(f"Rosenbrock, n = {n}", f, gradient, lambda r: 1.0 + 0.3 * r.normal(size=n))


def quadratic(n: int) -> Case:
    rng = np.random.default_rng(0)
    u = rng.normal(size=n)
    args = rng.permutation(np.logspace(0, 8, n)), u / np.linalg.norm(u)
    name = f"quadratic, condition 1e8, n = {n}"
    return Case(name, quadratic_f, quadratic_gradient, lambda r: r.normal(size=n), args)


def network(kind: str) -> Case:
    rng = np.random.default_rng(1)
    batch, target = rng.normal(size=(16, LAYERS[0])), rng.normal(size=(16, LAYERS[-1]))
    args = batch, target, np.array(LAYERS), kind == "tanh"
    name = f"{kind} network, n = {NETWORK_SIZE}"
    return Case(name, network_f, network_gradient, lambda r: 0.15 * r.normal(size=NETWORK_SIZE), args)


def logistic(n: int, samples: int = 4000) -> Case:
    rng = np.random.default_rng(2)
    columns, data = rng.integers(0, n, (samples, 20)), rng.normal(size=(samples, 20))
    args = columns, data, (rng.random(samples) < 0.5).astype(float)
    name = f"logistic regression, n = {n}"
    return Case(name, logistic_f, logistic_gradient, lambda r: 0.3 * r.normal(size=n), args)


def pde(side: int) -> Case:
    right = np.random.default_rng(3).normal(size=side * side)
    name = f"PDE least squares, n = {side * side}"
    return Case(name, pde_f, pde_gradient, lambda r: r.normal(size=side * side), (right, side))


RIGHT: dict[str, Callable[[], Case]] = {
    "separable": lambda: separable(30_000),
    "rosenbrock": lambda: rosenbrock(30_000),
    "quadratic": lambda: quadratic(20_000),
    "tanh": lambda: network("tanh"),
    "relu": lambda: network("ReLU"),
    "lennard-jones": lambda: lennard_jones(6, "Lennard-Jones, n = 648"),
    "logistic": lambda: logistic(20_000),
    "pde": lambda: pde(32),
}

LARGE: dict[str, Callable[[], Case]] = {
    "rosenbrock": lambda: rosenbrock(1_000_000),
    "lennard-jones": lambda: lennard_jones(70, "Lennard-Jones with a neighbour list, n = 1029000"),
}
