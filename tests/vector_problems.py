"""Residuals with right Jacobians written by hand: tests and benchmarks take them from here.

Nothing compiles at import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np


@dataclass(frozen=True, eq=False)
class VectorProblem:
    """A compiled residual ``F(x, *args)`` and its Jacobian (plain Python), with a point at which to compare them."""

    name: str
    F: Callable[..., np.ndarray]
    jacobian: Callable[..., np.ndarray]
    x: np.ndarray
    args: tuple[Any, ...] = ()


@nb.njit
def trigonometric_F(x):
    n = x.size
    total = 0.0
    for value in x:
        total += np.cos(value)
    values = np.empty(n)
    for i in range(n):
        values[i] = n - total + (i + 1) * (1.0 - np.cos(x[i])) - np.sin(x[i])
    return values


def trigonometric_jacobian(x):
    rows = np.arange(1, x.size + 1)
    return np.tile(np.sin(x), (x.size, 1)) + np.diag(rows * np.sin(x) - np.cos(x))


def trigonometric(n: int = 12) -> VectorProblem:
    """Spedicato's system of More', Garbow and Hillstrom, no. 26: full, and every column nearly constant."""
    return VectorProblem("trigonometric", trigonometric_F, trigonometric_jacobian, np.linspace(0.2, 1.4, n))


@nb.njit
def layer_F(x, inputs, hidden):
    samples, width = inputs.shape
    values = np.empty((samples, hidden))
    for s in range(samples):
        for h in range(hidden):
            total = x[hidden * width + h]
            for i in range(width):
                total += x[h * width + i] * inputs[s, i]
            values[s, h] = np.tanh(total)
    return values


def layer_jacobian(x, inputs, hidden):
    samples, width = inputs.shape
    slope = 1.0 - layer_F(x, inputs, hidden) ** 2
    jacobian = np.zeros((samples, hidden, x.size))
    for h in range(hidden):
        jacobian[:, h, h * width : (h + 1) * width] = slope[:, h, None] * inputs
        jacobian[:, h, hidden * width + h] = slope[:, h]
    return jacobian


def layer(samples: int = 5, width: int = 3, hidden: int = 4) -> VectorProblem:
    """Activations of a layer of a neural network by its weights and biases."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=hidden * (width + 1))
    return VectorProblem("layer", layer_F, layer_jacobian, x, (rng.normal(size=(samples, width)), hidden))


@nb.njit
def pendulum_F(x, step, start):
    """Implicit midpoint rule for a damped pendulum: angles and speeds after each step."""
    steps = x.size // 2
    values = np.empty(x.size)
    for k in range(steps):
        before, speed_before = (start[0], start[1]) if k == 0 else (x[2 * k - 2], x[2 * k - 1])
        angle, speed = 0.5 * (before + x[2 * k]), 0.5 * (speed_before + x[2 * k + 1])
        values[2 * k] = (x[2 * k] - before) / step - speed
        values[2 * k + 1] = (x[2 * k + 1] - speed_before) / step + 9.81 * np.sin(angle) + 0.1 * speed
    return values


def pendulum_jacobian(x, step, start):
    jacobian = np.zeros((x.size, x.size))
    for k in range(x.size // 2):
        before = start[0] if k == 0 else x[2 * k - 2]
        stiffness = 0.5 * 9.81 * np.cos(0.5 * (before + x[2 * k]))
        here = np.array([[1 / step, -0.5], [stiffness, 1 / step + 0.05]])
        jacobian[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = here
        if k > 0:
            there = np.array([[-1 / step, -0.5], [stiffness, -1 / step + 0.05]])
            jacobian[2 * k : 2 * k + 2, 2 * k - 2 : 2 * k] = there
    return jacobian


def pendulum(steps: int = 10) -> VectorProblem:
    """Residuals of all time steps at once: block bidiagonal."""
    time = np.linspace(0.0, 1.0, steps + 1)[1:]
    x = np.stack([np.cos(3.0 * time), -3.0 * np.sin(3.0 * time)], axis=1).reshape(-1)
    return VectorProblem("pendulum", pendulum_F, pendulum_jacobian, x, (1.0 / steps, np.array([1.0, 0.0])))


BUILDERS = (trigonometric, layer, pendulum)
