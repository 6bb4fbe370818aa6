"""Lennard-Jones energy of a cluster of 1000 atoms (3000 coordinates) with hand-written forces."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


# The sum over pairs is the whole cost. Letting the compiler reorder it ("reassoc", "contract"), dropping the
# test for division by zero (error_model) and storing the coordinates one after the other make the inner loop
# a vector loop: 8 times faster with AVX-512. NaN and infinity keep their meaning under these two flags.
@nb.njit(fastmath={"reassoc", "contract"}, error_model="numpy")
def f(x):
    """Sum over pairs of 4 (r^-12 - r^-6), in reduced units; `x` has shape (atoms, 3)."""
    coordinates = np.ascontiguousarray(x.T)
    energy = 0.0
    for i in range(len(x)):
        energy_of_atom = 0.0
        for j in range(i):
            dx = coordinates[0, i] - coordinates[0, j]
            dy = coordinates[1, i] - coordinates[1, j]
            dz = coordinates[2, i] - coordinates[2, j]
            inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
            r6 = inverse * inverse * inverse
            energy_of_atom += r6 * (r6 - 1.0)
        energy += energy_of_atom
    return 4.0 * energy


@nb.njit
def slope(inverse):
    """dU/dr / r of U = 4 (r^-12 - r^-6), as a function of r^-2."""
    r6 = inverse**3
    return -24.0 * (2.0 * r6 - 1.0) * r6 * inverse


@nb.njit
def slope_with_bug(inverse):
    """Planted bug: r^-12 is differentiated with the factor 6 of r^-6."""
    r6 = inverse**3
    return -24.0 * (r6 - 1.0) * r6 * inverse


@nb.njit
def sum_over_pairs(x, slope):
    """Sum over pairs of slope * (x_i - x_j), added to atom i and subtracted from atom j."""
    total = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i):
            dx = x[i, 0] - x[j, 0]
            dy = x[i, 1] - x[j, 1]
            dz = x[i, 2] - x[j, 2]
            factor = slope(1.0 / (dx * dx + dy * dy + dz * dz))
            for k, distance in enumerate((dx, dy, dz)):
                total[i, k] += factor * distance
                total[j, k] -= factor * distance
    return total


@nb.njit
def gradient(x):
    """Gradient of `f`: minus the forces, shape (atoms, 3)."""
    return sum_over_pairs(x, slope)


@nb.njit
def gradient_with_bug(x):
    """Gradient of `f` with the wrong slope of the repulsion: every coordinate is wrong."""
    return sum_over_pairs(x, slope_with_bug)


def problem() -> tuple[np.ndarray, tuple[Any, ...]]:
    """A cubic lattice of 10 x 10 x 10 atoms, 1.12 apart (the pair potential's minimum) and jittered."""
    lattice = np.array(list(np.ndindex(10, 10, 10)), dtype=float)
    jitter = np.random.default_rng(0).uniform(-0.05, 0.05, size=lattice.shape)
    return 1.12 * lattice + jitter, ()


if __name__ == "__main__":
    from _main import main

    main(f, gradient, gradient_with_bug, problem)
