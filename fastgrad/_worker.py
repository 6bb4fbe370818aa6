"""What a worker of an executor does: a slice of a check that it is told about once."""

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastgrad._inputs import Array, Point
from fastgrad._objective import prepare
from fastgrad._schedule import Evaluator, Floats, Status

_KEPT = 4  # checks that a thread of a worker remembers
# Seconds of work for one of looking whether f has changed its arguments. Some work is counted before any is done, so
# that each of the small tasks in which a check begins, or which are all of it, is followed by a look.
_WORK_PER_INSPECTION, _WORK_CREDITED = 10.0, 0.5


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True)
class Answer:
    """The values of a slice, how each evaluation ended, and how long it took the worker."""

    outputs: Floats
    status: Status
    seconds: float


class _Bench:
    """One check on one thread of a worker."""

    def __init__(self, job: Job) -> None:
        self._job = job  # held here, so that it stays in _jobs
        self._evaluator = Evaluator(prepare(job.f, job.point, job.args), job.point, threads=1, seconds=0.0)
        self._worked, self._inspected = _WORK_CREDITED, 0.0  # seconds

    def work(self, operation: str, arrays: tuple[Array, ...]) -> Answer:
        start = time.perf_counter()
        outputs, status = self._evaluator.run_slice(operation, arrays)
        self._evaluator.budget.let_out()  # an interruption, which reaches all processes of a terminal
        seconds = time.perf_counter() - start
        self._worked += seconds
        if self._worked >= _WORK_PER_INSPECTION * self._inspected:
            self._inspect()
        return Answer(outputs, status, seconds)

    def _inspect(self) -> None:
        start = time.perf_counter()
        self._evaluator.require_intact()
        self._inspected += time.perf_counter() - start


# Threads of a worker share x and the arguments, but each has rows of its own.
_jobs: weakref.WeakValueDictionary[str, Job] = weakref.WeakValueDictionary()
_thread = threading.local()


def work_on(task: Task) -> Answer | Exception | None:
    """Executed by a worker: a slice, or why it could not be done, or None if the check is not known here.

    What is wrong with f is returned, so that what is raised is wrong with the executor.
    """
    benches: OrderedDict[str, _Bench] = _thread.__dict__.setdefault("benches", OrderedDict())
    bench = benches.pop(task.key, None)  # put back last, as the one used most recently
    try:
        if bench is None:
            job = _jobs.get(task.key) if task.job is None else _jobs.setdefault(task.key, task.job)
            if job is None:
                return None
            bench = _Bench(job)
        answer = bench.work(task.operation, task.arrays)
    except Exception as error:
        return error
    benches[task.key] = bench
    while len(benches) > _KEPT:
        benches.popitem(last=False)
    return answer
