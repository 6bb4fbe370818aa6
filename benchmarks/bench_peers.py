"""The numerical gradient of one compiled objective, by us and by others."""

from __future__ import annotations

import statistics
import time

import jacobi
import numdifftools
import numpy as np
import pytest
from scipy.optimize._numdiff import approx_derivative
from statsmodels.tools.numdiff import approx_fprime

from benchmarks.objectives import prepared_kernel, rosenbrock, rosenbrock_gradient
from fastgrad import check_gradient, numerical_gradient

_SECONDS = 2.0  # for all rounds of one contender
_MOST_ROUNDS = 200


def python_loop(x: np.ndarray) -> np.ndarray:
    """What one writes by hand: a Python loop over the compiled f."""
    gradient, point = np.empty(x.size), x.copy()
    for i in range(x.size):
        point[i] = x[i] + 1e-7
        above = rosenbrock(point)
        point[i] = x[i] - 1e-7
        below = rosenbrock(point)
        point[i] = x[i]
        gradient[i] = (above - below) / 2e-7
    return gradient


def _time(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize("size", [2, 47, 1000, pytest.param(4000, marks=pytest.mark.large)])
def test_peers(comparison, size):
    """Whole calls, interleaved; the slow ones take part in fewer rounds."""
    x = np.linspace(-1.5, 1.3, size)
    truth = rosenbrock_gradient(x)
    launch, _differences, _owner = prepared_kernel(rosenbrock, x, (), 2)
    numdifftools_gradient = numdifftools.Gradient(rosenbrock)
    contenders = {
        "prepared kernel": launch,
        "check_gradient": lambda: check_gradient(rosenbrock, x, truth),
        "Python loop": lambda: python_loop(x),
        "scipy 3-point": lambda: approx_derivative(rosenbrock, x, method="3-point"),
        "statsmodels centered": lambda: approx_fprime(x, rosenbrock, centered=True),
        "numdifftools": lambda: numdifftools_gradient(x),
        "jacobi": lambda: jacobi.jacobi(rosenbrock, x),
    }
    for call in contenders.values():
        call() if size < 1000 else None
    rounds = {name: _rounds(_time(call)) for name, call in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    turn = iter(range(_MOST_ROUNDS + 1))

    def others() -> None:
        now = next(turn)
        for name, call in contenders.items():
            if now < rounds[name]:
                times[name].append(_time(call))

    comparison.run(lambda: numerical_gradient(rosenbrock, x), others, rounds=max(rounds.values()) - 1)
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    comparison.record_peers(size, {"numerical_gradient": comparison.seconds(), **medians})


def _rounds(seconds: float) -> int:
    return int(np.clip(_SECONDS / max(seconds, 1e-9), 2, _MOST_ROUNDS))
