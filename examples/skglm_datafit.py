"""A datafit written for skglm: a jitclass with a value and partial derivatives, log-cosh instead of squares.

skglm compiles a datafit to a jitclass and calls its methods from compiled solvers, where a wrong derivative does not
fail but makes coordinate descent slow or stuck. The instance goes into `args`. Needs skglm.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from skglm.datafits import BaseDatafit
from skglm.utils.jit_compilation import compiled_clone

import fastgrad


class LogCosh(BaseDatafit):
    """Mean of delta^2 log(cosh(residual / delta)): quadratic near zero, linear far away."""

    def __init__(self, delta=1.0):
        self.delta = delta

    def get_spec(self):
        return (("delta", nb.float64),)

    def params_to_dict(self):
        return {"delta": self.delta}

    def value(self, y, w, Xw):
        z = np.abs(Xw - y) / self.delta
        return self.delta**2 * np.mean(z + np.log1p(np.exp(-2.0 * z)) - np.log(2.0))

    def gradient_scalar(self, X, y, w, Xw, j):
        return self.delta * (X[:, j] @ np.tanh((Xw - y) / self.delta)) / len(y)


class WithBug(LogCosh):
    """Planted bug: the inner derivative 1 / delta is applied twice."""

    def gradient_scalar(self, X, y, w, Xw, j):
        return (X[:, j] @ np.tanh((Xw - y) / self.delta)) / len(y)


@nb.njit
def f(w, X, y, datafit):
    return datafit.value(y, w, X @ w)


@nb.njit
def gradient(w, X, y, datafit):
    Xw = X @ w
    out = np.empty_like(w)
    for j in range(w.size):
        out[j] = datafit.gradient_scalar(X, y, w, Xw, j)
    return out


def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.normal(size=(80, 12)))  # the order that skglm uses
    return rng.normal(size=12), X, rng.normal(size=80)


def check(datafit: LogCosh) -> fastgrad.GradientCheck:
    w, X, y = problem()
    compiled = compiled_clone(datafit)
    constants = {"delta": datafit.delta}
    return fastgrad.check_gradient(f, w, gradient, args=(X, y, compiled), constants=constants)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bug", action="store_true", help="check the datafit with the planted bug instead")
    result = check((WithBug if parser.parse_args().bug else LogCosh)(delta=0.7))
    print(result)
    raise SystemExit(0 if result.passed else 1)
