"""One random direction as others take it: scipy, torch's fast mode, jax. Each says whether it accepts a gradient.

scipy is called. torch (2.13.0, CPU) and jax are called where they are installed; they are too large to be a requirement
of the benchmarks: ``pip install torch jax`` into an environment that has numba too. Otherwise their rules are
written out here, with their defaults for float64, and the table says so.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray], float]
Peer = Callable[[Objective, np.ndarray, np.ndarray, int], bool]  # f, x, gradient at x, seed

THRESHOLD = 1e-4  # relative; scipy names none for a single direction


def _central(f: Objective, x: np.ndarray, v: np.ndarray, h: float) -> float:
    return (f(x + h * v) - f(x - h * v)) / (2.0 * h)


def scipy_random(f: Objective, x: np.ndarray, gradient: np.ndarray, seed: int) -> bool:
    """check_grad(direction="random"): one normal direction, forward difference; relative to |g . v|."""
    from scipy.optimize import check_grad

    rng = np.random.default_rng(seed)
    v = np.random.default_rng(seed).standard_normal(size=x.shape)
    error = check_grad(f, lambda _: gradient, x, direction="random", rng=rng)
    return bool(error <= THRESHOLD * abs(float(gradient @ v)))


def torch_rule(f: Objective, x: np.ndarray, gradient: np.ndarray, seed: int) -> bool:
    """gradcheck(fast_mode=True): one positive unit direction, eps 1e-6, rtol 1e-3, atol 1e-5 times sum(u)."""
    u = np.random.default_rng(seed).random(x.size)
    u /= np.linalg.norm(u)
    numerical, analytical = _central(f, x, u, 1e-6), float(gradient @ u)
    return bool(abs(numerical - analytical) <= 1e-5 * u.sum() + 1e-3 * abs(analytical))


def torch_gradcheck(f: Objective, x: np.ndarray, gradient: np.ndarray, seed: int) -> bool:
    """torch.autograd.gradcheck(fast_mode=True) on a Function that calls f forward and returns the gradient backward."""
    import torch

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(context, point):
            return torch.tensor(f(point.detach().numpy()), dtype=torch.float64)

        @staticmethod
        def backward(context, weight):
            return weight * torch.from_numpy(gradient)

    torch.manual_seed(seed)
    point = torch.from_numpy(x.copy()).requires_grad_(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(torch.autograd.gradcheck(Wrapped.apply, (point,), fast_mode=True, raise_exception=False))


def jax_rule(f: Objective, x: np.ndarray, gradient: np.ndarray, seed: int) -> bool:
    """check_grads in reverse mode: one normal direction, eps 1e-4, atol = rtol = 1e-5 in float64."""
    rng = np.random.default_rng(seed)
    v, weight = rng.normal(size=x.size), rng.normal()
    expected = _central(f, x, v, 1e-4) * weight
    return bool(abs(float(gradient @ v) * weight - expected) <= 1e-5 + 1e-5 * abs(expected))


def jax_check_grads(f: Objective, x: np.ndarray, gradient: np.ndarray, seed: int) -> bool:
    """jax.test_util.check_grads(modes="rev") on a custom_vjp around a callback.

    Its generator has a fixed seed. For other directions the entries of x are permuted, f and the gradient with them.
    """
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    order = np.random.default_rng(seed).permutation(x.size)
    back = np.argsort(order)

    @jax.custom_vjp
    def wrapped(point):
        shape = jax.ShapeDtypeStruct((), np.float64)
        return jax.pure_callback(lambda p: np.float64(f(np.asarray(p)[back])), shape, point)

    wrapped.defvjp(lambda p: (wrapped(p), None), lambda _, weight: (weight * gradient[order],))
    try:
        check_grads(wrapped, (x[order],), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


def peers() -> dict[str, Peer]:
    """By the name that the table gives them."""
    has_torch, has_jax = (importlib.util.find_spec(name) is not None for name in ("torch", "jax"))
    return {
        "torch fast mode" if has_torch else "torch fast mode (rule)": torch_gradcheck if has_torch else torch_rule,
        "jax check_grads" if has_jax else "jax check_grads (rule)": jax_check_grads if has_jax else jax_rule,
        f"scipy random (to {THRESHOLD:g})": scipy_random,
    }
