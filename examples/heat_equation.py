"""Heat equation u_t = (k u_s)_s on (0, 1): fit the conductivity k to the final temperature.

The gradient is a discrete adjoint, written by hand. Implicit Euler steps on a uniform grid, u = 0 at both
ends. The unknown `x` holds the conductivity of each face between two grid points, one more than there are
interior points.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit
def factorise(x, ratio):
    """Factors L D L^T of the matrix M of one time step; `ratio` is dt / ds^2.

    ``lower[i]`` is L[i, i-1] and ``pivot[i]`` is D[i, i].
    """
    points = len(x) - 1
    lower, pivot = np.zeros(points), np.empty(points)
    pivot[0] = 1.0 + ratio * (x[0] + x[1])
    for i in range(1, points):
        lower[i] = -ratio * x[i] / pivot[i - 1]
        pivot[i] = 1.0 + ratio * (x[i] + x[i + 1]) + lower[i] * ratio * x[i]
    return lower, pivot


@nb.njit
def solve(lower, pivot, right_side):
    """Solution of M u = right_side. M is symmetric, so the adjoint uses the same function."""
    u = right_side.copy()
    for i in range(1, len(u)):
        u[i] -= lower[i] * u[i - 1]
    u /= pivot
    for i in range(len(u) - 2, -1, -1):
        u[i] -= lower[i + 1] * u[i + 1]
    return u


@nb.njit
def temperatures(x, initial, time_step, steps):
    """Temperature at the interior points after 0, 1, ... `steps` time steps, shape (steps + 1, points)."""
    lower, pivot = factorise(x, time_step * len(x) ** 2)
    states = np.empty((steps + 1, len(initial)))
    states[0] = initial
    for m in range(steps):
        states[m + 1] = solve(lower, pivot, states[m])
    return states


@nb.njit
def f(x, initial, data, time_step, steps):
    """Misfit ds/2 sum (u - data)^2 of the temperature after `steps` time steps."""
    misfit = temperatures(x, initial, time_step, steps)[-1] - data
    total = 0.0
    for value in misfit:
        total += value * value
    return 0.5 * total / len(x)


@nb.njit
def jump(u, face):
    """Difference of u across a face; u is zero at both ends."""
    right = u[face] if face < len(u) else 0.0
    left = u[face - 1] if face > 0 else 0.0
    return right - left


@nb.njit
def gradient_back_to(first, x, initial, data, time_step, steps):
    """Gradient of `f` by the adjoint equation M p_m = p_(m+1), from the last time step back to `first`."""
    states = temperatures(x, initial, time_step, steps)
    ratio = time_step * len(x) ** 2
    lower, pivot = factorise(x, ratio)
    total = np.zeros_like(x)
    adjoint = (states[-1] - data) / len(x)
    for m in range(steps, first - 1, -1):
        adjoint = solve(lower, pivot, adjoint)
        for face in range(len(x)):
            total[face] -= ratio * jump(adjoint, face) * jump(states[m], face)
    return total


@nb.njit
def gradient(x, initial, data, time_step, steps):
    """Gradient of `f` with respect to the conductivity of each face."""
    return gradient_back_to(1, x, initial, data, time_step, steps)


@nb.njit
def gradient_with_bug(x, initial, data, time_step, steps):
    """Planted bug: the adjoint loop ends one step early, so the first time step contributes nothing."""
    return gradient_back_to(2, x, initial, data, time_step, steps)


def problem() -> tuple[np.ndarray, tuple[Any, ...]]:
    """Uniform conductivity at 151 faces; the data come from a conductivity with a bump."""
    points, time_step, steps = 150, 1e-3, 50
    s = np.linspace(0.0, 1.0, points + 2)[1:-1]
    faces = (np.arange(points + 1) + 0.5) / (points + 1)
    initial = np.sin(np.pi * s) + 0.5 * np.sin(2.0 * np.pi * s)
    true_conductivity = 1.0 + 2.0 * np.exp(-(((faces - 0.4) / 0.2) ** 2))
    data = temperatures(true_conductivity, initial, time_step, steps)[-1]
    return np.ones(points + 1), (initial, data, time_step, steps)


if __name__ == "__main__":
    from _main import main

    main(f, gradient, gradient_with_bug, problem)
