"""Differences at one point after another, into arrays made once: what a GradientChecker works with."""

import functools
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._compiled.repeated import place
from fastgrad._first import Bounds, all_differences, replay_failure
from fastgrad._inputs import Array, Point
from fastgrad._objective import Objective
from fastgrad._schedule import OPERATIONS, SLICE_SECONDS, Evaluator

_DIFFERENCES = OPERATIONS["differences"]
_WORTH_THREADS = 2e-5  # seconds of work in all; waking other threads takes 2 us, or 10 when they sleep


class Work(Evaluator):
    """Evaluates differences of all coordinates, at one point after another, into arrays made once."""

    def __init__(
        self,
        objective: Objective,
        point: Point,
        steps: NDArray[np.float64],
        relative: float,
        *,
        threads: int | None,
        seconds: float,
    ) -> None:
        super().__init__(objective, point, threads=threads, seconds=seconds)
        self.objective: Objective = objective
        n = point.size
        self.wanted, self.relative = steps, relative
        self.rows = self._rows
        self.step, above, below, self.quotient = np.empty((4, n))
        self.status = np.zeros(n, np.uint8)
        self.numerical = np.empty(n, point.dtype)
        self.numerical_grad = self.numerical.reshape(point.shape)
        self._arrays = (np.arange(n), self.step, above, below, self.quotient, self.status)
        head: tuple[Any, ...] = (_DIFFERENCES.serial, objective.function, objective.block_address)
        if objective.alone is not None:
            head = (objective.run, _DIFFERENCES.serial)
        self._run_serially = functools.partial(head[0], *head[1:], self._rows, n, *self._arrays)

    def move_to(self, x: Array) -> bool:
        """Put x in every row; False if it, or a point a step away, is not finite, or a step vanishes."""
        return bool(place(x, self.wanted, self.relative, self.step, self.rows))

    def fill(self) -> None:
        """Take all differences: on this thread if that is quick, in slices if it takes long."""
        n = self.step.size
        seconds = 2 * n * self._seconds_per_evaluation
        started = time.perf_counter()
        if seconds < _WORTH_THREADS:
            self._run_serially()
            self._seconds_per_evaluation = (time.perf_counter() - started) / (2 * n)
            return
        size = max(self.threads, int(n * SLICE_SECONDS * self.threads / seconds))
        for first in range(0, n, size):
            self._launch(_DIFFERENCES, (), tuple(array[first : first + size] for array in self._arrays))
        # Never more than before: what it takes to wake threads would pass for work that is worth them.
        each = (time.perf_counter() - started) * self.threads / (2 * n)
        self._seconds_per_evaluation = min(self._seconds_per_evaluation, each)

    def fill_inside(self, bounds: Bounds | None, point: Point) -> None:
        """Take them without leaving the bounds, one-sided where there is no room; prepared anew for this point."""
        value, raised = self.objective.value(point.flat.copy())
        if raised:
            self.objective.replay(point.flat, "x itself")
        evaluator = Evaluator(self.objective, point, threads=self.threads, seconds=self._seconds_per_evaluation)
        first = all_differences(evaluator, self.step.copy(), bounds, value)
        evaluator.budget.let_out()
        replay_failure(self.objective, point, first.raised)
        evaluator.require_intact()
        self.quotient[:], self.status[:] = first.quotient, 0


class LocalWork(threading.local):
    """The work arrays of each thread: Python calls this again, with the same arguments, in every thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.work = Work(*arguments, **options)
