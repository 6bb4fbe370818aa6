"""Objectives of adjustable cost, the loops that set the limits, and kernels prepared for direct launches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from fastgrad._compiled import kernels
from fastgrad._inputs import point_array
from fastgrad._objective import prepare
from fastgrad._schedule import Evaluator

STEP = 1e-7


@nb.njit
def iterated(x, active, repeats):
    """Sum over the first `active` coordinates of t, where t <- sin(t) / 2 + x_k is iterated: cheap or dear at will."""
    total = 0.0
    for k in range(active):
        t = x[k]
        for _ in range(repeats):
            t = 0.5 * math.sin(t) + x[k]
        total += t
    return total


@nb.njit
def iterated_gradient(x, active, repeats):
    """Gradient of `iterated`; zero beyond the active coordinates."""
    gradient = np.zeros_like(x)
    for k in range(active):
        t, slope = x[k], 1.0
        for _ in range(repeats):
            slope = 0.5 * math.cos(t) * slope + 1.0
            t = 0.5 * math.sin(t) + x[k]
        gradient[k] = slope
    return gradient


@nb.njit(nogil=True)
def evaluate_iterated(x, active, repeats, count):
    """The compiled loop that nothing can beat: `count` evaluations, x written to in between as in a difference."""
    total = 0.0
    for k in range(count):
        i = k % x.size
        x[i] += 1e-300  # changes no bit, but the compiler cannot know
        total += iterated(x, active, repeats)
    return total


@nb.njit
def rosenbrock(x):
    """Chained Rosenbrock function, the objective of the comparison with other packages."""
    total = 0.0
    for i in range(x.size - 1):
        total += 100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2
    return total


@nb.njit
def rosenbrock_gradient(x):
    gradient = np.zeros_like(x)
    for i in range(x.size - 1):
        residual = x[i + 1] - x[i] * x[i]
        gradient[i] -= 400.0 * x[i] * residual + 2.0 * (1.0 - x[i])
        gradient[i + 1] += 200.0 * residual
    return gradient


@nb.njit(nogil=True)
def evaluate_rosenbrock(x, count):
    """As `evaluate_iterated`."""
    total = 0.0
    for k in range(count):
        x[k % x.size] += 1e-300
        total += rosenbrock(x)
    return total


@dataclass(frozen=True)
class Load:
    """`iterated` tuned to cost about `seconds`, at a point of n coordinates, with the loops to compare with."""

    x: np.ndarray
    args: tuple[int, int]

    @property
    def gradient(self) -> np.ndarray:
        return np.asarray(iterated_gradient(self.x, *self.args))

    def loop(self, threads: int) -> Callable[[], None]:
        """2 n evaluations, divided among plain threads that each have their own x."""
        count = 2 * self.x.size
        points = [self.x.copy() for _ in range(threads)]
        evaluate_iterated(points[0], *self.args, 1)
        if threads == 1:
            return lambda: evaluate_iterated(points[0], *self.args, count)
        pool = ThreadPoolExecutor(threads)

        def run() -> None:
            futures = [pool.submit(evaluate_iterated, x, *self.args, count // threads) for x in points]
            for future in futures:
                future.result()

        return run


def make_load(seconds: float, size: int, *, active: int = 64) -> Load:
    """Choose the number of iterations so that one evaluation takes about `seconds`.

    No f of a microsecond reads 1e5 coordinates, so it depends on 64 of them.
    """
    x = np.random.default_rng(0).normal(size=size)
    evaluate_iterated(x.copy(), active, 1, 1)
    per_iteration = min(_time(lambda: evaluate_iterated(x.copy(), active, 50, 200)) for _ in range(5)) / (200 * 50)
    return Load(x, (active, max(1, round(seconds / per_iteration))))


def _time(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def prepared_kernel(
    f: Any, x: np.ndarray, args: tuple[Any, ...], threads: int
) -> tuple[Callable[[], None], np.ndarray, Any]:
    """All central differences by one launch of a kernel on arrays made beforehand: (launch, differences, owner).

    `owner` keeps the memory of the arguments alive.
    """
    point = point_array(x)
    objective = prepare(f, point, args)
    evaluator = Evaluator(objective, point, threads=threads, seconds=1e-6)
    kernel = kernels.differences_serial if threads == 1 else kernels.differences_parallel
    index, step = np.arange(point.size), np.full(point.size, STEP)
    above, below, quotient = np.empty((3, point.size))
    status = np.zeros(point.size, np.uint8)
    arguments = (
        objective.function, objective.block_address, evaluator._rows, point.size,
        index, step, above, below, quotient, status,
    )  # fmt: skip
    kernel(*arguments)
    return (lambda: kernel(*arguments)), quotient, (evaluator, objective)
