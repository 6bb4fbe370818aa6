"""A chain of masses and stiffening springs, stepped in time; its forces are checked on the way, in compiled code.

The potential energy of a spring stretched by d is d^2 / 2 + beta d^4 / 4, both ends of the chain are fixed, and `u`
holds the displacements of the masses. The planted bug is invisible at the start, where nothing is stretched:
a check of the first state alone lets it pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numba as nb
import numpy as np

import fastgrad

TOLERANCE = 1e-5


@nb.njit
def stretch(u, spring):
    """By how much a spring is stretched; spring i lies left of mass i."""
    right = u[spring] if spring < len(u) else 0.0
    left = u[spring - 1] if spring > 0 else 0.0
    return right - left


@nb.njit
def potential(u, beta):
    total = 0.0
    for spring in range(len(u) + 1):
        d = stretch(u, spring)
        total += 0.5 * d**2 + 0.25 * beta * d**4
    return total


@nb.njit
def force(u, beta, out):
    """Minus the gradient of `potential`, by hand."""
    for i in range(len(u)):
        left, right = stretch(u, i), stretch(u, i + 1)
        out[i] = (right + beta * right**3) - (left + beta * left**3)


@nb.njit
def force_with_bug(u, beta, out):
    """Planted bug: d^4 / 4 differentiated to d^3 / 4."""
    force(u, 0.25 * beta, out)


numerical_gradient = fastgrad.make_gradient(potential)
relative_error = fastgrad.make_relative_error()


class Run(NamedTuple):
    """What a simulation reports: relative errors of the force, and of the energy at the end."""

    first_error: float
    worst_error: float
    energy_drift: float


@nb.njit
def simulate(force, u, v, beta, dt, steps, every):
    """Velocity Verlet steps, with a comparison of the force with the numerical gradient every so many of them."""
    f, slope = np.empty_like(u), np.empty_like(u)
    first_error = worst_error = 0.0
    force(u, beta, f)
    energy = potential(u, beta) + 0.5 * np.sum(v**2)
    for step in range(steps + 1):
        if step % every == 0:
            numerical_gradient(u, slope, beta)  # puts u back as it was; allocates nothing
            for i in range(len(u)):
                slope[i] = -slope[i]
            error = relative_error(slope, f)
            first_error = error if step == 0 else first_error
            worst_error = max(worst_error, error)
        for i in range(len(u)):
            v[i] += 0.5 * dt * f[i]
            u[i] += dt * v[i]
        force(u, beta, f)
        for i in range(len(u)):
            v[i] += 0.5 * dt * f[i]
    drift = (potential(u, beta) + 0.5 * np.sum(v**2)) / energy - 1.0
    return Run(first_error, worst_error, drift)


def problem() -> tuple[np.ndarray, np.ndarray, float, float, int, int]:
    """64 masses nearly at rest, one of which is hit: u, v, beta, dt, steps, every."""
    u, v = 1e-3 * np.sin(np.pi * np.arange(1, 65) / 65.0), np.zeros(64)
    v[20] = 2.0
    return u, v, 1.0, 0.01, 1000, 50


def main(force: Callable) -> None:
    """Simulate, print what was found and exit by it."""
    run = simulate(force, *problem())
    print(f"relative error of the force: {run.first_error:.1e} at the start, at most {run.worst_error:.1e} later")
    print(f"relative change of the energy: {run.energy_drift:.1e}")
    raise SystemExit(0 if run.worst_error < TOLERANCE else 1)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bug", action="store_true", help="step with the planted bug instead")
    main(force_with_bug if parser.parse_args().bug else force)
