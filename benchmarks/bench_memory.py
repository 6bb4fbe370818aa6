"""Large n: the pass over both gradients, and the memory of a check."""

from __future__ import annotations

import statistics
import subprocess
import sys

import numba as nb
import numpy as np

from fastgrad.metric import error_norms

_MEMORY = """
import re, sys
import numba as nb, numpy as np
from pathlib import Path
from fastgrad._inputs import point_array
from fastgrad._objective import prepare, try_objective
from fastgrad._schedule import Evaluator

@nb.njit
def f(x):
    return x[0] * x[1] + x[-1] ** 2

def differences(x, threads):
    point = point_array(x)
    objective = prepare(f, point, ())
    try_objective(objective, point)
    evaluator = Evaluator(objective, point, threads=threads, seconds=1e-6)
    index = np.array([0, 1, x.size - 1])
    evaluator.differences(index, np.full(3, 1e-7))
    evaluator.require_intact()

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

threads = int(sys.argv[1])
differences(np.ones(1000), threads)
x = np.ones(10**7)
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = peak()
differences(x, threads)
print((peak() - before) / x.nbytes)
"""


@nb.njit(parallel=True, fastmath=True)
def read_both(a, b):
    """A plain parallel read of both arrays: their sum."""
    total = 0.0
    for i in nb.prange(a.size):
        total += a[i] + b[i]
    return total


def test_norms(comparison):
    """Norms of num - ana, num and ana in one pass, n = 2e7."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20_000_000))

    def by_numpy():
        return np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b))

    comparison.run(lambda: error_norms(a, b), by_numpy, lambda: read_both(a, b), rounds=15)
    comparison.record("fused norms, n = 2e7 / three NumPy norms", comparison.ratio(0), 0.3)
    comparison.record("fused norms, n = 2e7 / a plain parallel read of both arrays", comparison.ratio(1), 1.1)


def test_memory(comparison):
    """Peak memory beyond x when three of 1e7 coordinates are checked, in copies of x."""
    for threads in (1, 2):
        copies: list[float] = []

        def child(threads=threads, copies=copies):
            command = [sys.executable, "-c", _MEMORY, str(threads)]
            copies.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

        if threads == 1:
            child()
        else:
            comparison.run(child, rounds=3)
        name = f"memory at n = 1e7 beyond x, a few coordinates, {threads} thread{'s' * (threads > 1)}"
        comparison.record(name, statistics.median(copies), threads + 1.0, unit="copies of x")
