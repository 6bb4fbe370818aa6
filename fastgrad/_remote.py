"""Evaluations on any concurrent.futures.Executor: threads, processes, Dask, MPI.

A task names the check it belongs to by a key; what the check consists of (f, its arguments, x) is sent along
with the first tasks only and kept by the worker. A worker that does not know the key says so, and the task is
sent again with everything.
"""

import os
import pickle
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from fastgrad._budget import Budget
from fastgrad._inputs import Array, Point
from fastgrad._journal import Journal
from fastgrad._prepared import Prepared
from fastgrad._schedule import Evaluator, Floats, Operation, Status
from fastgrad._worker import Job, Task, work_on

_TASK_SECONDS = 0.5  # of work in a task: far above what it costs to send one
# One sender serves all workers: with many of them, each task must be worth the time until its worker is served again.
_TASK_SECONDS_PER_WORKER = 0.005
_LEAST_SECONDS = 0.01  # in the last tasks: a few times what it costs to send one
_IN_FLIGHT = 2  # tasks per worker: one in work, one waiting
_GROWTH = 8  # of a task over the largest answered before it: f may be dearer beside x than at x itself


class RemoteEvaluator(Evaluator):
    """An evaluator whose slices are tasks of an executor."""

    def __init__(
        self,
        objective: Prepared,
        point: Point,
        executor: Executor,
        *,
        seconds: float,
        budget: Budget,
        journal: Journal | None = None,
    ) -> None:
        _require_executor(executor)
        super().__init__(objective, point, threads=1, seconds=seconds, budget=budget, journal=journal)
        self._executor = executor
        self.threads = _count_workers(executor)
        self._job = Job(objective.f, objective.args, point)
        self._key = uuid.uuid4().hex
        self._sent = 0
        self._proven = 0  # evaluations in the largest task that was answered

    @property
    def route(self) -> str:
        """Name of the executor, for the report."""
        return type(self._executor).__name__

    def beside(self, objective: Prepared, point: Point, seconds: float) -> "RemoteEvaluator":
        """Another one for another point, under the same budget and with the same checkpoint."""
        return RemoteEvaluator(
            objective, point, self._executor, seconds=seconds, budget=self.budget, journal=self._journal
        )

    def _work(
        self, operation: Operation, shared: tuple[Array, ...], inputs: tuple[Array, ...], outputs: Floats
    ) -> Iterator[tuple[slice, Status]]:
        """Keep every worker busy; slices finish in any order."""
        pending = _Pending(self._executor)
        done, count = 0, inputs[0].size
        try:
            while done < count or pending.tasks:
                while done < count and pending.has_room(self._in_flight):
                    size = self._task_size(operation, count - done, pending.items)
                    if size == 0:
                        count = done
                        break
                    part = slice(done, done + size)
                    pending.submit(part, self._task(operation, shared, tuple(array[part] for array in inputs)))
                    done += size
                if pending.tasks:
                    finished = pending.next_finished(self.budget.seconds_left + self._grace)
                    if finished is None:
                        self.budget.allows(1)  # notes that the time is over
                        return
                    yield from self._collect(operation, pending, finished, outputs)
        except BrokenExecutor as error:
            self.budget.stop(f"a broken pool ({error})")
        except _ExecutorError as failure:
            self._require_sendable()
            self.budget.fail(failure.error, "an error of the executor")
        finally:
            pending.cancel()

    def _collect(
        self, operation: Operation, pending: "_Pending", finished: tuple[slice, Task, Any], outputs: Floats
    ) -> Iterator[tuple[slice, Status]]:
        """What a finished task gave; nothing if its worker must be told about the check first."""
        part, task, answer = finished
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            pending.submit(part, replace(task, job=self._job))
            return
        evaluations = answer.status.size * operation.evaluations
        # Half of what was known before: one quick task among dear ones says little.
        self._seconds_per_evaluation = max(answer.seconds / evaluations, self._seconds_per_evaluation / 2.0)
        self._proven = max(self._proven, evaluations)
        outputs[:, part] = answer.outputs
        yield part, answer.status

    def _task(self, operation: Operation, shared: tuple[Array, ...], arrays: tuple[Array, ...]) -> Task:
        self._sent += 1
        job = self._job if self._sent <= self.threads else None
        return Task(self._key, job, operation.name, (*shared, *arrays))

    def _task_size(self, operation: Operation, left: int, begun: int) -> int:
        item = max(self._seconds_per_evaluation, 1e-9) * operation.evaluations
        # Towards the end ever smaller, so that no worker is left alone with a large one.
        size = max(-(-left // (2 * self.threads)), int(_LEAST_SECONDS / item))
        trusted = _GROWTH * self._proven // operation.evaluations
        size = max(1, min(size, int(task_seconds(self.threads) / item), trusted, left))
        each = operation.evaluations
        return self.budget.allows(size * each, begun * each, each) // each

    @property
    def _in_flight(self) -> int:
        """Tasks that the executor has at most; before the first answer, no worker gets two."""
        return _IN_FLIGHT * self.threads if self._proven else self.threads

    @property
    def _grace(self) -> float:
        """Seconds after the time limit in which tasks may still end: all that a worker has, if f is as dear as known.

        A worker that is gone without a trace never answers.
        """
        return _IN_FLIGHT * task_seconds(self.threads)

    def _require_sendable(self) -> None:
        """Raise if the reason why the executor failed is that something has no serialised form."""
        parts = {"f": self._job.f} | {f"args[{k}]": value for k, value in enumerate(self._job.args)}
        for name, part in parts.items():
            try:
                pickle.dumps(part)
            except Exception as error:
                raise TypeError(
                    f"{name} cannot be sent to the workers of {self.route} ({type(error).__name__}: {error}); need "
                    f"an object that can be pickled, or an executor of threads."
                ) from error


class _Pending:
    """Tasks that an executor has and that are not collected yet."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._finished: SimpleQueue[Future[Any]] = SimpleQueue()
        self.tasks: dict[Future[Any], tuple[slice, Task]] = {}
        self.items = 0

    def submit(self, part: slice, task: Task) -> None:
        with _errors_of_executor:
            future = self._executor.submit(work_on, task)
        self.tasks[future] = (part, task)
        self.items += part.stop - part.start
        future.add_done_callback(self._finished.put)

    def has_room(self, tasks: int) -> bool:
        """Whether another task may be submitted; an answer that waits is looked at first, since it tells the cost."""
        return len(self.tasks) < tasks and self._finished.empty()

    def next_finished(self, seconds: float) -> tuple[slice, Task, Any] | None:
        """A task that has finished and what it gave; None if there is none by then."""
        try:
            future = self._finished.get(timeout=None if seconds > threading.TIMEOUT_MAX else max(seconds, 0.0))
        except Empty:
            return None
        part, task = self.tasks.pop(future)
        self.items -= part.stop - part.start
        with _errors_of_executor:
            return part, task, future.result()

    def cancel(self) -> None:
        """Those in work run to their end, and nobody looks at what they give."""
        for future in self.tasks:
            future.cancel()


class _ExecutorError(Exception):
    """Carries an error that is not one of f."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _ErrorsOfExecutor:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, BrokenExecutor):
            raise _ExecutorError(error) from None


_errors_of_executor = _ErrorsOfExecutor()


def task_seconds(workers: int) -> float:
    """Seconds of work in a task, but for the last ones."""
    return max(_TASK_SECONDS, _TASK_SECONDS_PER_WORKER * workers)


def _require_executor(executor: Any) -> None:
    if not isinstance(executor, Executor):
        advice = "client.get_executor()" if hasattr(executor, "get_executor") else "a ThreadPoolExecutor, for instance"
        raise TypeError(f"executor is a {type(executor).__name__}; need a concurrent.futures.Executor: pass {advice}.")


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
