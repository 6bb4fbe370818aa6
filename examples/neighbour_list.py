"""Lennard-Jones crystal with a neighbour list: 12 000 coordinates checked in about 70 evaluations of all pairs.

Each pair within the cutoff is a term of six coordinates. Atoms that are not neighbours move together; in a close-packed
crystal, where each atom has 12 neighbours, a dozen groups of coordinates do.
"""

from __future__ import annotations

import numba as nb
import numpy as np

import fastgrad

DISTANCE = 2.0 ** (1.0 / 6.0)  # of nearest neighbours: the minimum of the pair potential
CUTOFF = 1.2 * DISTANCE  # between the first shell of neighbours and the second


@nb.njit
def terms(x, pairs):
    """4 (r^-12 - r^-6) of every pair; `x` has shape (atoms, 3)."""
    energy = np.empty(len(pairs))
    for k in range(len(pairs)):
        i, j = pairs[k]
        square = (x[i, 0] - x[j, 0]) ** 2 + (x[i, 1] - x[j, 1]) ** 2 + (x[i, 2] - x[j, 2]) ** 2
        r6 = 1.0 / square**3
        energy[k] = 4.0 * r6 * (r6 - 1.0)
    return energy


@nb.njit
def sum_over_pairs(x, pairs, reaction):
    """Slope of each pair along its distance, added to atom i; `reaction` times that to atom j."""
    total = np.zeros_like(x)
    for k in range(len(pairs)):
        i, j = pairs[k]
        distance = x[i] - x[j]
        inverse = 1.0 / (distance**2).sum()
        r6 = inverse**3
        slope = -24.0 * (2.0 * r6 - 1.0) * r6 * inverse
        total[i] += slope * distance
        total[j] += reaction * slope * distance
    return total


@nb.njit
def gradient(x, pairs):
    """Minus the forces, shape (atoms, 3)."""
    return sum_over_pairs(x, pairs, -1.0)


@nb.njit
def gradient_with_bug(x, pairs):
    """Planted bug: the list holds each pair once, but only the first of its atoms feels it."""
    return sum_over_pairs(x, pairs, 0.0)


@nb.njit
def neighbours(x, cutoff):
    """Pairs (i, j), i < j, no farther apart than the cutoff."""
    found = []
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            if ((x[i] - x[j]) ** 2).sum() <= cutoff**2:
                found.append((i, j))
    return np.array(found)


def sparsity(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs and their six coordinates, as positions in `terms` and in the flat x."""
    coordinates = 3 * pairs[:, :, None] + np.arange(3)
    return np.repeat(np.arange(len(pairs)), 6), coordinates.reshape(-1)


def problem(cells: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """A face-centred cubic crystal, jittered, and its pairs."""
    corners = np.array(list(np.ndindex(cells, cells, cells)), dtype=float)
    faces = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    lattice = (corners[:, None] + faces).reshape(-1, 3) * np.sqrt(2.0) * DISTANCE
    x = lattice + np.random.default_rng(0).uniform(-0.03, 0.03, size=lattice.shape)
    return x, neighbours(x, CUTOFF)


def check(gradient, cells: int = 10) -> fastgrad.SeparableCheck:
    x, pairs = problem(cells)
    return fastgrad.check_separable(terms, x, gradient, sparsity(pairs), args=(pairs,))


if __name__ == "__main__":
    from _main import main_of_check

    main_of_check(check, gradient, gradient_with_bug)
