"""What slices cost on each executor, how two processes scale, and a schedule computed from that.

python -m benchmarks.executors          # measure and write docs/explanation/schedule.md
python -m benchmarks.executors --print  # measure and print
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path

import numba as nb
import numpy as np

import fastgrad
from benchmarks.markdown import ROOT, insert, machine, significant, table
from benchmarks.objectives import iterated, iterated_gradient
from fastgrad._inputs import point_array
from fastgrad._remote import _GROWTH, _IN_FLIGHT, task_seconds
from fastgrad._worker import Job, Task, work_on

PAGE = ROOT / "docs" / "explanation" / "schedule.md"


@contextlib.contextmanager
def executors() -> Iterator[dict[str, Executor]]:
    """Two workers of every kind that runs on one machine."""
    from dask.distributed import Client, LocalCluster
    from loky import get_reusable_executor

    with (
        ThreadPoolExecutor(2) as threads,
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield {
            "threads": threads,
            "processes (spawn)": processes,
            "loky": get_reusable_executor(2),
            "Dask": client.get_executor(),
        }


@nb.njit
def cheap(x):
    """An objective that costs nothing, so that only the sending is measured."""
    return x[0] * x[1]


def seconds_per_slice(executor: Executor, count: int = 400) -> float:
    """From outside: time of many one-coordinate tasks of a known check, over their number; the best of five.

    Each has another step, because Dask looks up a task that it has done before.
    """
    point = point_array(np.ones(1000))
    steps = iter(np.linspace(1e-6, 2e-6, 6 * count + 8))
    job = Job(cheap, (), point)

    def task(job: Job | None) -> Task:
        return Task("cost of a slice", job, "differences", (np.array([0]), np.array([next(steps)])))

    wait([executor.submit(work_on, task(job)) for _ in range(8)])  # both workers compile
    times = []
    for _ in range(5):
        start = time.perf_counter()
        wait([executor.submit(work_on, task(None)) for _ in range(count)])
        times.append((time.perf_counter() - start) / count)
    return min(times)


def speedup(executor: Executor) -> float:
    """Time of a check on one thread over that on the executor, f of about 1 ms, the best of ten each."""
    x = np.linspace(0.5, 1.5, 1000)
    args = (1000, 80)
    gradient = iterated_gradient(x, *args)
    alone, together = [], []
    for _ in range(10):
        start = time.perf_counter()
        fastgrad.check_gradient(iterated, x, gradient, args=args, threads=1)
        alone.append(time.perf_counter() - start)
        start = time.perf_counter()
        fastgrad.check_gradient(iterated, x, gradient, args=args, executor=executor)
        together.append(time.perf_counter() - start)
    return min(alone) / min(together)


def progress_cost() -> float:
    """Time with a progress function over time without, f of 1 us, n = 10000: median of pairs, each order as often."""
    x = np.linspace(0.5, 1.5, 10_000)
    args = (25, 4)
    gradient = iterated_gradient(x, *args)

    def seconds(progress: Callable[[int, int], None] | None) -> float:
        start = time.perf_counter()
        fastgrad.check_gradient(iterated, x, gradient, args=args, progress=progress)
        return time.perf_counter() - start

    def ignore(done: int, total: int) -> None:
        pass

    seconds(None)  # compiles
    ratios = []
    for _ in range(100):
        without = seconds(None)
        ratios.append(seconds(ignore) / without)
        ratios.append(seconds(ignore) / seconds(None))
    return statistics.median(ratios)


def simulated(workers: int, n: int, evaluation: float, sending: float, slice_seconds: float) -> float:
    """Share of the ideal speed of a schedule: one sender, `workers` workers, slices shrinking towards the end.

    The sender needs `sending` seconds per slice and serves one worker after the other; a worker that is idle waits
    for it. The slice sizes follow the rule of the package: one item first, then as far as the answers reach.
    """
    left, sender, end, proven = n, 0.0, 0.0, 0
    idle_from, answers = [0.0] * workers, []
    while left > 0:
        while answers and (answers[0][0] <= sender or len(answers) >= (_IN_FLIGHT if proven else 1) * workers):
            answered, size = heapq.heappop(answers)
            sender, proven = max(sender, answered), max(proven, size)
        size = max(1, min(int(slice_seconds / (2 * evaluation)), -(-left // (2 * workers)), _GROWTH * proven))
        left -= size
        sender += sending
        end_of_slice = max(heapq.heappop(idle_from), sender) + 2 * evaluation * size
        heapq.heappush(idle_from, end_of_slice)
        heapq.heappush(answers, (end_of_slice, size))
        end = max(end, end_of_slice)
    return (2 * n * evaluation / workers) / end


def schedule_table(sending: float) -> str:
    """Efficiency of 1000 workers at n = 1e7 against the work in a slice, for two costs of f."""
    rows = []
    chosen = task_seconds(1000)
    for slice_seconds in sorted({0.05, 0.5, 50.0, chosen}):
        shares = [simulated(1000, 10_000_000, f, sending, slice_seconds) for f in (0.01, 0.1)]
        name = f"{slice_seconds:g} s" + (", the package's choice" if slice_seconds == chosen else "")
        rows.append((name, *(f"{100 * share:.1f} %" for share in shares)))
    return table(("work in a slice", "f of 10 ms", "f of 100 ms"), rows)


def measured_on_mpi() -> tuple[float, float]:
    """The same two figures on an MPI pool of two workers, which its launcher has to start."""
    launcher = Path(sys.executable).with_name("mpiexec")
    command = [launcher, "-n", "3", sys.executable, "-m", "mpi4py.futures", "-m", "benchmarks.executors", "--mpi"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    slice_seconds, speed = json.loads(printed)
    return slice_seconds, speed


def measure() -> dict[str, tuple[float, float]]:
    """Seconds per slice and speed of two workers, by executor."""
    with executors() as pools:
        rows = {name: (seconds_per_slice(pool), speedup(pool)) for name, pool in pools.items()}
    return {**rows, "MPI": measured_on_mpi()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs of executors, as markdown.")
    parser.add_argument("--print", action="store_true", help="to standard output instead of the page")
    parser.add_argument("--mpi", action="store_true", help="measure an MPI pool only (run by the launcher of MPI)")
    given = parser.parse_args()
    if given.mpi:
        from mpi4py.futures import MPIPoolExecutor

        with MPIPoolExecutor() as pool:
            print(json.dumps([seconds_per_slice(pool), speedup(pool)]))
        return
    found = measure()
    dask, _ = found["Dask"]
    rows = [(name, f"{1e3 * seconds:.2g} ms", significant(speed)) for name, (seconds, speed) in found.items()]
    parts = {
        "conditions": f"Measured on {machine()} Progress costs a factor of {progress_cost():.3f}.",
        "costs": table(("executor", "cost of a slice", "speed of two workers over one thread"), rows),
        "schedule": f"Sending a slice takes {1e3 * dask:.2g} ms (Dask, above).\n\n{schedule_table(dask)}",
    }
    for name, text in parts.items():
        if given.print or not insert(Path(PAGE), name, text):
            print(text)


if __name__ == "__main__":
    main()
