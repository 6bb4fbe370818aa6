"""A gradient computed by JAX, checked against the same function compiled with Numba.

The marginal likelihood of a Gaussian process in its two hyperparameters, once in JAX for its gradient, once in Numba
for speed. JAX computes in float32 unless it is told otherwise: that is the bug here, and the report names it.
Needs jax.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numba as nb
import numpy as np

import fastgrad


@nb.njit
def f(x, inputs, outputs):
    """Negative log marginal likelihood; x = (log length, log noise)."""
    length, noise = np.exp(x[0]), np.exp(x[1])
    n = inputs.size
    K = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            K[i, j] = np.exp(-0.5 * ((inputs[i] - inputs[j]) / length) ** 2)
        K[i, i] += noise
    L = np.linalg.cholesky(K)
    solved = np.linalg.solve(K, outputs)
    return 0.5 * np.sum(outputs * solved) + np.sum(np.log(np.diag(L)))


def in_jax(x, inputs, outputs):
    """The same in JAX."""
    length, noise = jnp.exp(x[0]), jnp.exp(x[1])
    distance = (inputs[:, None] - inputs[None, :]) / length
    K = jnp.exp(-0.5 * distance**2) + noise * jnp.eye(inputs.size)
    L = jnp.linalg.cholesky(K)
    return 0.5 * outputs @ jnp.linalg.solve(K, outputs) + jnp.sum(jnp.log(jnp.diag(L)))


def problem() -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    inputs = np.sort(rng.uniform(0.0, 5.0, 30))
    return np.array([-0.3, -2.0]), (inputs, np.sin(inputs) + 0.1 * rng.normal(size=30))


def check(*, double: bool = True) -> fastgrad.GradientCheck:
    """JAX's gradient as it is returned, a jax.Array, beside differences of f."""
    x, args = problem()
    with jax.enable_x64(double):
        gradient = jax.grad(in_jax)(jnp.asarray(x), *args)
    return fastgrad.check_gradient(f, x, gradient, args=args, rtol=1e-7)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bug", action="store_true", help="leave JAX in single precision")
    result = check(double=not parser.parse_args().bug)
    print(result)
    raise SystemExit(0 if result.passed else 1)
