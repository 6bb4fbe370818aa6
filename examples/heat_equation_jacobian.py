"""Implicit step of nonlinear heat conduction on a grid: a five-point Jacobian checked in 16 evaluations.

`residual` is what Newton's method makes zero in one backward Euler step of u_t = div(k(u) grad u) with k = 1 + u^2,
u = 0 outside. Each of its values depends on the cell and its four neighbours. Needs SciPy.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from scipy.sparse import coo_array

import fastgrad


@nb.njit
def conductivity(a, b):
    """Of the face between two cells."""
    return 1.0 + 0.5 * (a**2 + b**2)


@nb.njit
def residual(u, before, r):
    """u - before - r * (sum of the flows in); `u` has shape (rows, columns), r is time step / spacing^2."""
    out = u - before
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                p, q = i + di, j + dj
                other = u[p, q] if 0 <= p < u.shape[0] and 0 <= q < u.shape[1] else 0.0
                out[i, j] -= r * conductivity(u[i, j], other) * (other - u[i, j])
    return out


@nb.njit
def entries(u, r, through_conductivity):
    """Rows, columns and values of the Jacobian; the share of k'(u) can be left out."""
    m, n = u.shape
    rows, columns, values = [0 for _ in range(0)], [0 for _ in range(0)], [0.0 for _ in range(0)]
    for i in range(m):
        for j in range(n):
            own = 1.0
            for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                p, q = i + di, j + dj
                inside = 0 <= p < m and 0 <= q < n
                other = u[p, q] if inside else 0.0
                k, jump = conductivity(u[i, j], other), other - u[i, j]
                own -= r * (through_conductivity * u[i, j] * jump - k)
                if inside:
                    rows.append(i * n + j)
                    columns.append(p * n + q)
                    values.append(-r * (through_conductivity * other * jump + k))
            rows.append(i * n + j)
            columns.append(i * n + j)
            values.append(own)
    return np.array(rows), np.array(columns), np.array(values)


def jacobian(u, before, r, through_conductivity=1.0):
    rows, columns, values = entries(u, r, through_conductivity)
    return coo_array((values, (rows, columns)), shape=(u.size, u.size))


def jacobian_with_bug(u, before, r):
    """Planted bug: the conductivity is taken for a constant, as in Picard's iteration."""
    return jacobian(u, before, r, through_conductivity=0.0)


def problem(side: int = 200) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """A guess for the new temperatures, the old ones, and r."""
    rng = np.random.default_rng(0)
    before = rng.uniform(0.5, 1.5, (side, side))
    return before + rng.uniform(-0.1, 0.1, before.shape), (before, 0.4)


def check(jacobian, side: int = 200) -> fastgrad.SparseJacobianCheck:
    u, args = problem(side)
    return fastgrad.check_jacobian(residual, u, jacobian, args=args)


if __name__ == "__main__":
    from _main import main_of_check

    main_of_check(check, jacobian, jacobian_with_bug)
