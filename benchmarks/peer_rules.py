"""How other checkers decide, as functions (f, x, analytical gradient) -> accepted.

SciPy, numdifftools and jacobi are called. The rules of torch.autograd.gradcheck and jax.test_util.check_grads are
written out here (their defaults for float64, as of torch 2 and jax 0.6), because they check functions of their
own libraries only. numdifftools and jacobi estimate and do not judge: accepted is what lies within their own
error estimate of the analytical value, beyond a relative tolerance of 1e-5.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import jacobi
import numdifftools
import numpy as np
from scipy.optimize import check_grad
from scipy.optimize._numdiff import check_derivative

Objective = Callable[[np.ndarray], float]
Rule = Callable[[Objective, np.ndarray, np.ndarray], bool]

RTOL = 1e-5  # beyond the error estimate of a library that has no rule of its own


def classical(f: Objective, x: np.ndarray, gradient: np.ndarray) -> bool:
    """||num - ana|| / (||num|| + ||ana||) <= 1e-7 with epsilon = 1e-7, as courses teach it."""
    numerical = _central(f, x, 1e-7)
    total = np.linalg.norm(numerical) + np.linalg.norm(gradient)
    return bool(np.linalg.norm(numerical - gradient) <= 1e-7 * total)


def scipy_check_derivative(f: Objective, x: np.ndarray, gradient: np.ndarray) -> bool:
    """Accuracy |ana - num| / max(1, |num|) "on the order of 1e-6 or lower", by the three-point formula."""
    return bool(check_derivative(f, lambda x: gradient, x) <= 1e-6)


def scipy_check_grad(f: Objective, x: np.ndarray, gradient: np.ndarray) -> bool:
    """||num - ana|| <= 1e-6 with forward differences; SciPy names no threshold, this is a customary one."""
    return bool(check_grad(f, lambda x: gradient, x) <= 1e-6)


def torch_gradcheck(f: Objective, x: np.ndarray, gradient: np.ndarray) -> bool:
    """|ana - num| <= 1e-5 + 1e-3 |num| in every component, epsilon = 1e-6."""
    numerical = _central(f, x, 1e-6)
    return bool(np.all(np.abs(gradient - numerical) <= 1e-5 + 1e-3 * np.abs(numerical)))


def jax_check_grads(f: Objective, x: np.ndarray, gradient: np.ndarray) -> bool:
    """One random direction t, epsilon = 1e-4, weight c: |c (g.t - D_t f)| <= 1e-5 + 1e-5 |c D_t f| (reverse mode)."""
    draw = np.random.RandomState(0).randn(x.size + 1)  # the generator that jax uses
    tangent, cotangent = draw[:-1], draw[-1]
    f(x), f(x)  # both values at x are compared first
    slope = (f(x + 1e-4 * tangent) - f(x - 1e-4 * tangent)) * (0.5 / 1e-4)
    expected = slope * cotangent
    return bool(abs(tangent @ gradient * cotangent - expected) <= 1e-5 + 1e-5 * abs(expected))


def numdifftools_gradient(f: Objective, x: np.ndarray, gradient: np.ndarray) -> bool:
    """numdifftools.Gradient with its defaults and its error estimate."""
    result = numdifftools.Gradient(f, full_output=True)(x)
    info = result[1] if len(result) == 2 else result  # (value, info) before 0.11
    return _within(np.reshape(result[0], -1), np.reshape(info.error_estimate, -1), gradient)


def jacobi_jacobi(f: Objective, x: np.ndarray, gradient: np.ndarray) -> bool:
    """jacobi.jacobi with its defaults and three times its error estimate, which is one standard deviation."""
    numerical, error = jacobi.jacobi(f, x)
    return _within(np.reshape(numerical, -1), 3.0 * np.reshape(error, -1), gradient)


RULES: dict[str, Rule] = {
    "E <= 1e-7 at 1e-7": classical,
    "scipy check_derivative": scipy_check_derivative,
    "scipy check_grad": scipy_check_grad,
    "torch gradcheck": torch_gradcheck,
    "jax check_grads": jax_check_grads,
    "numdifftools": numdifftools_gradient,
    "jacobi": jacobi_jacobi,
}


def judge(rule: Rule, f: Objective, x: np.ndarray, gradient: np.ndarray) -> tuple[bool, int]:
    """Whether a rule accepts the gradient, and how often it evaluated f; a rule that fails does not accept."""
    evaluations = 0

    def counted(point: np.ndarray) -> float:
        nonlocal evaluations
        evaluations += 1
        return f(np.asarray(point, dtype=np.float64))

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            accepted = rule(counted, x, gradient)
        except (ValueError, FloatingPointError, ZeroDivisionError, OverflowError, np.linalg.LinAlgError):
            accepted = False
    return accepted, evaluations


def _central(f: Objective, x: np.ndarray, h: float) -> np.ndarray:
    numerical = np.empty(x.size)
    for i in range(x.size):
        above, below = x.copy(), x.copy()
        above[i] += h
        below[i] -= h
        numerical[i] = (f(above) - f(below)) / (2.0 * h)
    return numerical


def _within(numerical: np.ndarray, error: np.ndarray, gradient: np.ndarray) -> bool:
    allowed = error + RTOL * np.maximum(np.abs(numerical), np.abs(gradient))
    return bool(np.all(np.abs(numerical - gradient) <= allowed))
