"""Evaluations on any concurrent.futures.Executor: threads, processes, Dask, MPI.

A task names the check it belongs to by a key; what the check consists of (f, its arguments, x) is sent along
with the first tasks only and kept by the worker. A worker that does not know the key says so, and the task is
sent again with everything.
"""

import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from typing import Any

from fastgrad._budget import Budget
from fastgrad._inputs import Array, Point
from fastgrad._journal import Journal
from fastgrad._objective import Objective, prepare
from fastgrad._schedule import Evaluator, Floats, Operation, Status

_TASK_SECONDS = 0.5  # of work in a task: far above what it costs to send one
_IN_FLIGHT = 2  # tasks per worker: one in work, one waiting
_KEPT = 4  # checks that a worker remembers


@dataclass(frozen=True)
class Job:
    """What a worker needs to know about a check."""

    f: Callable[..., Any]
    args: tuple[Any, ...]
    point: Point


@dataclass(frozen=True)
class Task:
    """One slice of a check."""

    key: str
    job: Job | None
    operation: str
    arrays: tuple[Array, ...]


_known = threading.local()  # per thread of a worker, because an evaluator's rows must not be shared


def work_on(task: Task) -> tuple[Floats, Status] | None:
    """Executed by a worker: the values of a slice and their status, or None if the check is not known here."""
    evaluators = _known.__dict__.setdefault("evaluators", OrderedDict())
    if task.key not in evaluators:
        if task.job is None:
            return None
        objective = prepare(task.job.f, task.job.point, task.job.args)
        evaluators[task.key] = Evaluator(objective, task.job.point, threads=1, seconds=0.0)
        while len(evaluators) > _KEPT:
            evaluators.popitem(last=False)
    evaluator = evaluators[task.key]
    outputs, status = evaluator.run_slice(task.operation, task.arrays)
    evaluator.require_intact()
    return outputs, status


class RemoteEvaluator(Evaluator):
    """An evaluator whose slices are tasks of an executor."""

    def __init__(
        self,
        objective: Objective,
        point: Point,
        executor: Executor,
        *,
        seconds: float,
        budget: Budget,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(objective, point, threads=1, seconds=seconds, budget=budget, journal=journal)
        self._executor = executor
        self.threads = _count_workers(executor)
        self._job = Job(objective.f, objective.args, point)
        self._key = uuid.uuid4().hex
        self._sent = 0

    @property
    def route(self) -> str:
        """Name of the executor, for the report."""
        return type(self._executor).__name__

    def beside(self, objective: Objective, point: Point, seconds: float) -> "RemoteEvaluator":
        """Another one for another point, under the same budget and with the same checkpoint."""
        return RemoteEvaluator(
            objective, point, self._executor, seconds=seconds, budget=self.budget, journal=self._journal
        )

    def _work(
        self, operation: Operation, shared: tuple[Array, ...], inputs: tuple[Array, ...]
    ) -> Iterator[tuple[slice, Floats, Status]]:
        """Keep every worker busy; slices finish in any order."""
        running: dict[Future[Any], tuple[slice, Task]] = {}
        left = inputs[0].size
        try:
            while left or running:
                while left and len(running) < _IN_FLIGHT * self.threads:
                    size = self._task_size(operation, left, running)
                    part = slice(inputs[0].size - left, inputs[0].size - left + size)
                    left = left - size if size else 0
                    if size:
                        task = self._task(operation, shared, tuple(array[part] for array in inputs))
                        running[self._executor.submit(work_on, task)] = (part, task)
                yield from self._collect(operation, running)
        except KeyboardInterrupt as interruption:
            self.budget.fail(interruption, "an interruption")
        except BrokenExecutor as error:
            self.budget.stop(f"a broken pool ({error})")
        finally:
            for future in running:
                future.cancel()

    def _collect(
        self, operation: Operation, running: dict[Future[Any], tuple[slice, Task]]
    ) -> Iterator[tuple[slice, Floats, Status]]:
        """What has finished, at least one task unless nothing runs."""
        start = time.perf_counter()
        done, _ = wait(list(running), return_when=FIRST_COMPLETED)
        for future in done:
            part, task = running.pop(future)
            answer = future.result()
            if answer is None:
                again = replace(task, job=self._job)
                running[self._executor.submit(work_on, again)] = (part, again)
                continue
            self._learn(operation, part.stop - part.start, time.perf_counter() - start)
            yield part, *answer

    def _learn(self, operation: Operation, items: int, waited: float) -> None:
        # Waiting overlaps with other tasks: an underestimate, so tasks grow slowly rather than fast.
        seconds = waited / (items * operation.evaluations)
        self._seconds_per_evaluation = max(seconds, self._seconds_per_evaluation / 2.0)

    def _task(self, operation: Operation, shared: tuple[Array, ...], arrays: tuple[Array, ...]) -> Task:
        self._sent += 1
        job = self._job if self._sent <= self.threads else None
        return Task(self._key, job, operation.name, (*shared, *arrays))

    def _task_size(self, operation: Operation, left: int, running: dict[Future[Any], tuple[slice, Task]]) -> int:
        item = max(self._seconds_per_evaluation, 1e-9) * operation.evaluations
        # Towards the end ever smaller, so that no worker is left alone with a large one.
        size = max(1, min(int(_TASK_SECONDS / item), -(-left // (2 * self.threads))))
        begun = operation.evaluations * sum(part.stop - part.start for part, _ in running.values())
        return int(self.budget.allows(size * operation.evaluations, begun)) // operation.evaluations


def _count_workers(executor: Executor) -> int:
    """Workers of an executor: executors have no common way to tell."""
    client = getattr(executor, "_client", None)  # Dask
    if client is not None:
        return max(1, int(sum(client.nthreads().values())))
    for name in ("num_workers", "_max_workers"):  # MPI; the standard library and loky
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return os.cpu_count() or 1
