"""The one list of objectives with right gradients: tests and benchmarks take them from here.

`BUILDERS` holds functions; each returns the same `Problem` at every call. Nothing compiles at import.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numba as nb
import numpy as np

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True, eq=False)
class Problem:
    """An objective ``f(x, *args)`` and its gradient, both compiled, with a point at which to compare them."""

    name: str
    f: Callable[..., float]
    gradient: Callable[..., np.ndarray]
    x: np.ndarray
    args: tuple[Any, ...] = ()


@cache
def example(name: str) -> ModuleType:
    """The module ``examples/<name>.py``."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@nb.njit
def product(A, x):
    """Matrix times vector, without BLAS and its threads."""
    total = A[:, 0] * x[0]
    for i in range(len(total)):
        for j in range(1, len(x)):
            total[i] += A[i, j] * x[j]
    return total


@nb.njit
def sphere_f(x):
    total = 0.0
    for value in x:
        total += value * value
    return total


@nb.njit
def sphere_gradient(x):
    return (2.0 * x).astype(x.dtype)


def sphere() -> Problem:
    """Sum of squares: no truncation error at any step."""
    return Problem("sphere", sphere_f, sphere_gradient, np.random.default_rng(0).normal(size=10))


@nb.njit
def offset_f(x):
    return 1e10 + sphere_f(x)


def offset() -> Problem:
    """Sum of squares under an offset of 1e10, which is rounded to multiples of 2e-6."""
    return Problem("offset", offset_f, sphere_gradient, np.random.default_rng(0).normal(size=10))


@nb.njit
def rosenbrock_f(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


@nb.njit
def rosenbrock_gradient(x):
    total = np.zeros_like(x)
    for i in range(len(x) - 1):
        residual = x[i + 1] - x[i] ** 2
        total[i] -= 400.0 * x[i] * residual + 2.0 * (1.0 - x[i])
        total[i + 1] += 200.0 * residual
    return total


def rosenbrock() -> Problem:
    """Chained Rosenbrock function: not separable, so a coordinate that is not restored shows."""
    return Problem("rosenbrock", rosenbrock_f, rosenbrock_gradient, np.linspace(-1.5, 1.3, 12))


@nb.njit
def sines_f(x, scales):
    return np.sin(x / scales).sum()


@nb.njit
def sines_gradient(x, scales):
    return (np.cos(x / scales) / scales).astype(x.dtype)


def sines() -> Problem:
    """Separable, with coordinates of size 1e-12 to 1e12: no common step suits them."""
    scales = np.logspace(-12, 12, 25)
    return Problem("sines", sines_f, sines_gradient, scales * np.linspace(0.2, 1.2, 25), (scales,))


@nb.njit
def quadratic_f(x, H):
    return 0.5 * (x * product(H, x)).sum()


@nb.njit
def quadratic_gradient(x, H):
    return product(H, x).astype(x.dtype)


def quadratic() -> Problem:
    """x.Hx / 2 with a symmetric H of condition number 1e8."""
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    H = Q @ np.diag(np.logspace(0, 8, 20)) @ Q.T
    return Problem("quadratic", quadratic_f, quadratic_gradient, rng.normal(size=20), (0.5 * (H + H.T),))


@nb.njit
def log_sum_exp_f(x):
    return x.max() + np.log(np.exp(x - x.max()).sum())


@nb.njit
def log_sum_exp_gradient(x):
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def log_sum_exp() -> Problem:
    """log(sum(exp(x))) around x = 1000, where exp(x) itself overflows."""
    return Problem("log_sum_exp", log_sum_exp_f, log_sum_exp_gradient, np.linspace(998.0, 1001.0, 12))


@nb.njit
def exponentials_f(x):
    return np.exp(x).sum()


@nb.njit
def exponentials_gradient(x):
    return np.exp(x)


def exponentials() -> Problem:
    """Sum of exp(x) of size 1e306: finite itself, but the squares in a norm are not."""
    return Problem("exponentials", exponentials_f, exponentials_gradient, np.linspace(703.0, 705.0, 6))


@nb.njit
def entropy_f(x):
    return (x * np.log(x)).sum()


@nb.njit
def entropy_gradient(x):
    return (np.log(x) + 1.0).astype(x.dtype)


def entropy() -> Problem:
    """Sum of x log(x) on the simplex; a step of 1e-7 leaves the domain at the three smallest entries."""
    x = np.concatenate([[1e-12, 1e-10, 1e-8, 1e-6, 1e-4], np.random.default_rng(5).uniform(0.5, 1.5, size=7)])
    return Problem("entropy", entropy_f, entropy_gradient, x / x.sum())


@nb.njit
def least_squares_f(x, A, b):
    return 0.5 * ((product(A, x) - b) ** 2).sum()


@nb.njit
def least_squares_gradient(x, A, b):
    return product(A.T, product(A, x) - b).astype(x.dtype)


def least_squares() -> Problem:
    """||Ax - b||^2 / 2."""
    rng = np.random.default_rng(6)
    args = rng.normal(size=(30, 8)), rng.normal(size=30)
    return Problem("least_squares", least_squares_f, least_squares_gradient, rng.normal(size=8), args)


def logistic_regression() -> Problem:
    """Regularised logistic regression on 40 random samples."""
    module, rng = example("logistic_regression"), np.random.default_rng(7)
    A = np.column_stack([rng.normal(size=(40, 5)), np.ones(40)])
    y = np.where(A @ rng.normal(size=6) > 0.0, 1.0, -1.0)
    return Problem("logistic_regression", module.f, module.gradient, rng.normal(size=6), (A, y, 0.1))


@nb.njit
def tanh_forward(x, sample):
    """Hidden units and output of the network for one sample, whose last entry is 1."""
    hidden = np.tanh(product(x[0:24].reshape(6, 4), sample))
    return hidden, x[30] + (x[24:30] * hidden).sum()


@nb.njit
def tanh_network_f(x, samples, targets):
    total = 0.0
    for k in range(len(targets)):
        total += (tanh_forward(x, samples[k])[1] - targets[k]) ** 2
    return 0.5 * total / len(targets)


@nb.njit
def tanh_network_gradient(x, samples, targets):
    total = np.zeros_like(x)
    dW = total[0:24].reshape(6, 4)
    for k in range(len(targets)):
        hidden, output = tanh_forward(x, samples[k])
        delta = (output - targets[k]) / len(targets)
        total[30] += delta
        for i in range(6):
            total[24 + i] += delta * hidden[i]
            dW[i] += delta * x[24 + i] * (1.0 - hidden[i] ** 2) * samples[k]
    return total


def tanh_network() -> Problem:
    """Mean squared error of a 3-6-1 network with tanh; x holds W with its bias column, v and a bias."""
    rng = np.random.default_rng(8)
    samples = np.column_stack([rng.normal(size=(15, 3)), np.ones(15)])
    x, targets = rng.normal(size=31), rng.normal(size=15)
    return Problem("tanh_network", tanh_network_f, tanh_network_gradient, x, (samples, targets))


def relu_network() -> Problem:
    """The 47-parameter classifier of the examples, at a point away from every kink."""
    module = example("neural_network")
    return Problem("relu_network", module.f, module.gradient, *module.problem())


def lennard_jones() -> Problem:
    """Thirty atoms, x of shape (30, 3)."""
    module = example("lennard_jones")
    return Problem("lennard_jones", module.f, module.gradient, module.problem()[0][:30].copy())


@nb.njit
def negative_laplacian(u):
    """Five-point formula on the unit square, zero outside the grid."""
    total = 4.0 * u
    for i in range(len(u)):
        for j in range(len(u) - 1):
            total[i, j] -= u[i, j + 1]
            total[i, j + 1] -= u[i, j]
            total[j, i] -= u[j + 1, i]
            total[j + 1, i] -= u[j, i]
    return total * (len(u) + 1) ** 2


@nb.njit
def pde_least_squares_f(x, source):
    residual = negative_laplacian(x) + x**3 - source
    return 0.5 * (residual**2).sum() / (len(x) + 1) ** 2


@nb.njit
def pde_least_squares_gradient(x, source):
    r = negative_laplacian(x) + x**3 - source
    return ((negative_laplacian(r) + 3.0 * x**2 * r) / (len(x) + 1) ** 2).astype(x.dtype)


def pde_least_squares() -> Problem:
    """Squared residual of -u_ss - u_tt + u^3 = source on an 8 x 8 grid, x of shape (8, 8)."""
    rng = np.random.default_rng(9)
    x, source = rng.normal(size=(8, 8)), 10.0 * rng.normal(size=(8, 8))
    return Problem("pde_least_squares", pde_least_squares_f, pde_least_squares_gradient, x, (source,))


def heat_equation() -> Problem:
    """Conductivity at 151 faces from the final temperature; the gradient is a discrete adjoint."""
    module = example("heat_equation")
    return Problem("heat_equation", module.f, module.gradient, *module.problem())


BUILDERS: tuple[Callable[[], Problem], ...] = (
    *(sphere, offset, rosenbrock, sines, quadratic, log_sum_exp, exponentials, entropy),
    *(least_squares, logistic_regression, tanh_network, relu_network),
    *(lennard_jones, pde_least_squares, heat_equation),
)
