"""Slices of work: which route a batch of evaluations takes, and how long a launch may keep Python waiting.

Control returns to Python every 50-100 ms, because only there Ctrl-C is noticed.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import _threads
from fastgrad._budget import INTERRUPTION, Budget
from fastgrad._compiled import kernels
from fastgrad._inputs import Array, Point
from fastgrad._journal import Journal, shared_digest
from fastgrad._prepared import Prepared

SLICE_SECONDS = 0.07
_WORTH_THREADS = 1e-4  # seconds of work in a whole check, below which waking threads costs more than it saves
_GROWTH = 8  # of a slice over the largest before it: what a small one took is never trusted far
# A first slice of several items takes this long if f costs what it does at x. It may be far dearer beside it: ten
# thousand times, and the slice takes as long as any other. An f below the second number is cheaper than a launch.
_FIRST_SLICE_SECONDS, _LEAST_SECONDS = SLICE_SECONDS / 1e4, 5e-8

Floats = NDArray[np.float64]
Status = NDArray[np.uint8]


# Besides the bits that kernels set: the evaluation was not made because the budget was spent.
UNSEEN = 4


@dataclass(frozen=True)
class Operation:
    """A kind of work: its kernels, on one thread and on several, and what an item of it costs and yields."""

    name: str
    serial: Any
    parallel: Any
    evaluations: int
    inputs: int  # arrays with an entry per item
    outputs: int


_DIFFERENCES = Operation("differences", kernels.differences_serial, kernels.differences_parallel, 2, 2, 3)
_DISPLACED = Operation("displaced", kernels.displaced_serial, kernels.displaced_parallel, 1, 2, 1)
_ALONG = Operation("along", kernels.along_serial, kernels.along_parallel, 1, 1, 1)
OPERATIONS = {operation.name: operation for operation in (_DIFFERENCES, _DISPLACED, _ALONG)}


@dataclass(frozen=True)
class Differences:
    """Objective above and below each coordinate, the central difference, and how each evaluation ended."""

    above: Floats
    below: Floats
    quotient: Floats
    status: Status


class Evaluator:
    """Evaluates one objective around one point, in parallel where that is safe.

    Results do not depend on the number of threads or on the route: each evaluation sees x to the bit, changed in
    what was asked for only.
    """

    values_per_evaluation: tuple[int, ...] = ()  # one number

    def __init__(
        self,
        objective: Prepared,
        point: Point,
        *,
        threads: int | None,
        seconds: float,
        budget: Budget | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.objective = objective
        self.point = point
        self.evaluations = 0
        self.budget = budget or Budget()
        self._journal = journal
        # A loop that is parallel inside f keeps the threads: two nested levels abort the process under workqueue
        # and oversubscribe the cores under OpenMP.
        wanted = threads if objective.alone is None else 1
        if 2 * point.size * seconds < _WORTH_THREADS:
            wanted = 1 if wanted is None else wanted
        self.threads = min(_threads.count_threads(wanted), max(1, 2 * point.size))
        self._seconds_per_evaluation = seconds
        # Evaluations that may be made in the next slice, whatever they seem to take.
        self._trusted = int(_FIRST_SLICE_SECONDS / max(seconds, _LEAST_SECONDS))
        self._rows = _rows(point, self.threads)

    @property
    def route(self) -> str:
        """How the evaluations run, for the report."""
        if self.objective.alone is not None:
            return self.objective.alone
        if self.threads == 1:
            return "serial"
        return "prange" if _threads.layer_is_safe() else "threads"

    def beside(self, objective: Prepared, point: Point, seconds: float) -> "Evaluator":
        """Another one for another point, under the same budget and with the same checkpoint."""
        return Evaluator(
            objective, point, threads=self.threads, seconds=seconds, budget=self.budget, journal=self._journal
        )

    def differences(self, index: NDArray[np.int64], step: Floats) -> Differences:
        """Central differences at the given coordinates; NaN where f raised or was not evaluated."""
        (above, below, quotient), status = self._run(_DIFFERENCES, (), (index, step))
        return Differences(above, below, quotient, status)

    def displaced(self, index: NDArray[np.int64], coordinate: Floats) -> tuple[Floats, Status]:
        """f with coordinate index[k] set to coordinate[k], and how each evaluation ended."""
        (value,), status = self._run(_DISPLACED, (), (index, coordinate))
        return value, status

    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, Status]:
        """f at x + multiple[k] * direction, and how each evaluation ended."""
        (value,), status = self._run(_ALONG, (direction,), (multiple,))
        return value, status

    def run_slice(self, name: str, arrays: tuple[Array, ...]) -> tuple[NDArray[np.float64], Status]:
        """One operation by name: what all items share, then an entry per item."""
        operation = OPERATIONS[name]
        split = len(arrays) - operation.inputs
        return self._run(operation, arrays[:split], arrays[split:])

    def require_intact(self) -> None:
        """Raise if f left a trace in its arguments: it wrote to x somewhere, or to a work array among args."""
        if not (self._rows[:, : self.point.size] == self.point.flat).all():
            raise ValueError(self.objective.refusal_to_write("x"))
        self.objective.require_arguments_intact()

    def _run(self, operation: Operation, shared: tuple[Array, ...], inputs: tuple[Array, ...]) -> tuple[Floats, Status]:
        """Do the work, except what a checkpoint knows; what the budget does not allow is marked as not seen."""
        count = inputs[0].size
        outputs, status = self._room(operation, count), np.full(count, UNSEEN, np.uint8)
        room, journal, todo, key = outputs, self._journal, None, b""
        if journal is not None:
            key = shared_digest((*shared, str(self.point.dtype)))
            todo = journal.recall(operation.name, key, inputs, outputs, status)
            inputs = tuple(array[todo] for array in inputs)
            room = self._room(operation, todo.size)
        self.budget.begin(count * operation.evaluations)
        try:
            self.budget.count((count - inputs[0].size) * operation.evaluations)
            for part, how in self._work(operation, shared, inputs, room):
                if journal is not None:
                    try:
                        journal.record(operation.name, key, tuple(a[part] for a in inputs), room[:, part], how)
                    except OSError as error:  # a full disk: what was computed is still reported
                        self.budget.fail(error, "a checkpoint that could not be written")
                        journal = None
                if todo is None:
                    status[part] = how
                else:
                    outputs[:, todo[part]], status[todo[part]] = room[:, part], how
                self.evaluations += how.size * operation.evaluations
                self.budget.used += how.size * operation.evaluations
                self.budget.count(how.size * operation.evaluations)
        except KeyboardInterrupt as interruption:
            self.budget.fail(interruption, INTERRUPTION)
        return outputs, status

    def _room(self, operation: Operation, count: int) -> Floats:
        return np.full((operation.outputs, count, *self.values_per_evaluation), np.nan)

    def _work(
        self, operation: Operation, shared: tuple[Array, ...], inputs: tuple[Array, ...], outputs: Floats
    ) -> Iterator[tuple[slice, Status]]:
        """Finished slices: which items, whose outputs are then filled in, and how each evaluation ended."""
        count, done = inputs[0].size, 0
        while done < count:
            size = self._slice_size(operation, count - done)
            if size == 0:
                return
            part = slice(done, done + size)
            how = np.zeros(size, np.uint8)
            start = time.perf_counter()
            try:
                self._launch(operation, shared, (*(array[part] for array in inputs), *outputs[:, part], how))
            except KeyboardInterrupt:  # it can leave Python in the middle of a difference
                self._rows[:, : self.point.size] = self.point.flat
                outputs[:, part] = np.nan
                raise
            elapsed = time.perf_counter() - start
            self._seconds_per_evaluation = elapsed * self.threads / (size * operation.evaluations)
            self._trusted = max(self._trusted, _GROWTH * size * operation.evaluations)
            done += size
            yield part, how

    def _slice_size(self, operation: Operation, left: int) -> int:
        item = max(self._seconds_per_evaluation, 1e-9) * operation.evaluations / self.threads
        size = min(int(SLICE_SECONDS / item), self._trusted // operation.evaluations)
        size = min(max(self.threads, size), left)
        return self.budget.allows(size * operation.evaluations, each=operation.evaluations) // operation.evaluations

    def _launch(self, operation: Operation, shared: tuple[Array, ...], arrays: tuple[Array, ...]) -> None:
        # An operation that shares a direction moves all of x; the others move one coordinate of a row.
        about_x = (self.point.flat, *shared) if shared else (self.point.size,)
        head = (self.objective.function, self.objective.block_address)
        if self.threads == 1:
            self.objective.run(operation.serial, self._rows, *about_x, *arrays)
        elif _threads.layer_is_safe():
            with _threads.launching_parallel():
                operation.parallel(*head, self._rows, *about_x, *arrays)
        else:
            self._launch_on_threads(operation.serial, head, about_x, arrays)

    def _launch_on_threads(
        self, serial: Any, head: tuple[Any, ...], about_x: tuple[Any, ...], arrays: tuple[Array, ...]
    ) -> None:
        count = arrays[0].size

        def run(lane: int) -> None:
            part = slice(count * lane // self.threads, count * (lane + 1) // self.threads)
            serial(*head, self._rows[lane : lane + 1], *about_x, *(array[part] for array in arrays))

        _threads.run_on_threads(run, self.threads)


def _rows(point: Point, count: int) -> Array:
    """Private copies of x, one per thread, far enough apart that no two share a cache line."""
    stride = -(-point.size // 16) * 16 + 16
    rows = np.empty((count, stride), dtype=point.dtype)
    rows[:, : point.size] = point.flat
    return rows
