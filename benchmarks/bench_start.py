"""Waiting before the first result: imports, compilation, a fresh process."""

from __future__ import annotations

import statistics
import subprocess
import sys

import numba as nb
import numpy as np

from fastgrad import check_gradient

_OBJECTIVE = """
import numba, numpy as np

@numba.njit
def f(x):
    total = 0.0
    for i in range(x.size - 1):
        total += 100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2
    return total

@numba.njit
def gradient(x):
    g = np.zeros_like(x)
    for i in range(x.size - 1):
        r = x[i + 1] - x[i] * x[i]
        g[i] -= 400.0 * x[i] * r + 2.0 * (1.0 - x[i])
        g[i + 1] += 200.0 * r
    return g

x = np.linspace(-1.5, 1.3, 47)
"""
_OURS = _OBJECTIVE + "import fastgrad; fastgrad.check_gradient(f, x, gradient)"
_SCIPY = _OBJECTIVE + "from scipy.optimize import check_grad; check_grad(f, gradient, x)"
_IMPORTS = 15
_IMPORT = """
import time, numba
start = time.perf_counter()
import fastgrad
print(time.perf_counter() - start)
"""


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_new_objective(comparison):
    """First check of an objective in a process that has checked another; f itself is compiled beforehand."""
    x = np.linspace(-1.0, 1.0, 47)

    def new_objective():
        @nb.njit
        def f(x):
            total = 0.0
            for value in x:
                total += np.exp(value) - value * value
            return total

        f.compile((nb.float64[::1],))
        return f

    gradient = np.exp(x) - 2.0 * x
    check_gradient(new_objective(), x, gradient)
    comparison.run_prepared(new_objective, lambda f: check_gradient(f, x, gradient), rounds=15)
    comparison.record("first check of a new objective, less compiling f", comparison.seconds(), 0.10, unit="s")


def test_compilation_of_f(comparison):
    """For scale: what Numba takes for a small objective by itself."""

    def declare():
        @nb.njit
        def f(x):
            total = 0.0
            for value in x:
                total += np.exp(value) - value * value
            return total

        return f

    comparison.run_prepared(declare, lambda f: f.compile((nb.float64[::1],)), rounds=15)
    comparison.record("compiling f itself (for comparison)", comparison.seconds(), unit="s")


def test_fresh_process(comparison):
    """Import, compile f and its gradient, check at n = 47; kernels in the disk cache."""
    comparison.run(lambda: _python(_OURS), lambda: _python(_SCIPY), rounds=9)
    comparison.record("fresh process: import, compile, check / the same with scipy check_grad", comparison.ratio(), 1.0)
    comparison.record("fresh process: import, compile, check", comparison.seconds(), unit="s")


def test_import(comparison):
    """import fastgrad in a process that has imported numba."""
    seconds: list[float] = []
    comparison.run(lambda: seconds.append(float(_python(_IMPORT))), rounds=_IMPORTS)
    median = statistics.median(seconds[-_IMPORTS:])
    comparison.record("import fastgrad beyond import numba", 1e3 * median, 30.0, unit="ms")
