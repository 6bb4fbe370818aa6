"""Slices of work: which route a batch of evaluations takes, and how long a launch may keep Python waiting.

Control returns to Python every 50-100 ms, because only there Ctrl-C is noticed.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import _kernels, _threads
from fastgrad._inputs import Array, Point
from fastgrad._objective import Objective, refusal_to_write

_SLICE_SECONDS = 0.07
_GROWTH = 8  # of a slice over the one before: the first ones are small, and a first timing is never trusted far

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Differences:
    """Objective above and below each coordinate, the central difference, and which evaluations raised."""

    above: Floats
    below: Floats
    quotient: Floats
    status: NDArray[np.uint8]


class Evaluator:
    """Evaluates one objective around one point, in parallel where that is safe.

    Results do not depend on the number of threads or on the route: each evaluation sees x to the bit, changed in
    what was asked for only.
    """

    def __init__(self, objective: Objective, point: Point, *, threads: int | None, seconds: float) -> None:
        self.objective = objective
        self.point = point
        self.evaluations = 0
        # A loop that is parallel inside f keeps the threads: two nested levels abort the process under workqueue
        # and oversubscribe the cores under OpenMP.
        wanted = 1 if objective.wrapper.has_parallel_loop else threads
        self.threads = min(_threads.count_threads(wanted), max(1, 2 * point.size))
        self._seconds_per_evaluation = seconds
        self._rows = _rows(point, self.threads)

    @property
    def route(self) -> str:
        """How the evaluations run, for the report."""
        if self.objective.wrapper.has_parallel_loop:
            return "inside f"
        if self.threads == 1:
            return "serial"
        return "prange" if _threads.layer_is_safe() else "threads"

    def differences(self, index: NDArray[np.int64], step: Floats) -> Differences:
        """Central differences at the given coordinates; NaN where f raised."""
        count = index.size
        above, below, quotient = np.full((3, count), np.nan)
        found = Differences(above, below, quotient, np.zeros(count, np.uint8))
        for part in self._slices(count, 2):
            self._launch(
                (_kernels.differences_serial, _kernels.differences_parallel),
                (self.point.size,),
                (index[part], step[part], found.above[part], found.below[part], found.quotient[part]),
                found.status[part],
            )
        return found

    def displaced(self, index: NDArray[np.int64], coordinate: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        """f with coordinate index[k] set to coordinate[k], and whether it raised."""
        value, status = np.full(index.size, np.nan), np.zeros(index.size, np.uint8)
        for part in self._slices(index.size, 1):
            self._launch(
                (_kernels.displaced_serial, _kernels.displaced_parallel),
                (self.point.size,),
                (index[part], coordinate[part], value[part]),
                status[part],
            )
        return value, status

    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        """f at x + multiple[k] * direction, and whether it raised."""
        value, status = np.full(multiple.size, np.nan), np.zeros(multiple.size, np.uint8)
        for part in self._slices(multiple.size, 1):
            self._launch(
                (_kernels.along_serial, _kernels.along_parallel),
                (self.point.flat, direction),
                (multiple[part], value[part]),
                status[part],
            )
        return value, status

    def require_intact(self) -> None:
        """Raise if f left a trace in its arguments: it wrote to x somewhere, or to a work array among args."""
        if not (self._rows[:, : self.point.size] == self.point.flat).all():
            raise ValueError(refusal_to_write("x"))
        self.objective.require_arguments_intact()

    def _slices(self, count: int, evaluations_per_item: int) -> Iterator[slice]:
        done, size = 0, count
        while done < count:
            item = max(self._seconds_per_evaluation, 1e-9) * evaluations_per_item / self.threads
            size = max(self.threads, min(int(_SLICE_SECONDS / item), _GROWTH * size, count - done))
            part = slice(done, min(done + size, count))
            start = time.perf_counter()
            yield part
            elapsed = time.perf_counter() - start
            work = (part.stop - part.start) * evaluations_per_item
            self.evaluations += work
            self._seconds_per_evaluation = elapsed * self.threads / work
            done = part.stop

    def _launch(
        self, kernels: tuple[Any, Any], shared: tuple[Any, ...], arrays: tuple[Array, ...], status: Array
    ) -> None:
        serial, parallel = kernels
        head = (self.objective.function, self.objective.block_address)
        if self.threads == 1:
            with self.objective.launching():
                serial(*head, self._rows, *shared, *arrays, status)
        elif _threads.layer_is_safe():
            with _threads.launching_parallel():
                parallel(*head, self._rows, *shared, *arrays, status)
        else:
            self._launch_on_threads(serial, head, shared, (*arrays, status))

    def _launch_on_threads(
        self, serial: Any, head: tuple[Any, ...], shared: tuple[Any, ...], arrays: tuple[Array, ...]
    ) -> None:
        count = arrays[0].size

        def run(lane: int) -> None:
            part = slice(count * lane // self.threads, count * (lane + 1) // self.threads)
            serial(*head, self._rows[lane : lane + 1], *shared, *(array[part] for array in arrays))

        _threads.run_on_threads(run, self.threads)


def _rows(point: Point, count: int) -> Array:
    """Private copies of x, one per thread, far enough apart that no two share a cache line."""
    stride = -(-point.size // 16) * 16 + 16
    rows = np.empty((count, stride), dtype=point.dtype)
    rows[:, : point.size] = point.flat
    return rows
