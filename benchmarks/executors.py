"""What slices cost on each executor, how two processes scale, and a schedule computed from that.

python -m benchmarks.executors          # measure and write docs/explanation/schedule.md
python -m benchmarks.executors --print  # measure and print
mpiexec -n 3 python -m mpi4py.futures -m benchmarks.executors --mpi   # the MPI rows alone, printed
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path

import numba as nb
import numpy as np

import fastgrad
from benchmarks.markdown import ROOT, insert, machine, significant, table
from benchmarks.objectives import iterated, iterated_gradient
from fastgrad._inputs import point_array
from fastgrad._remote import Job, Task, work_on

PAGE = ROOT / "docs" / "explanation" / "schedule.md"


@contextlib.contextmanager
def executors() -> Iterator[dict[str, Executor]]:
    """Two workers of every kind that runs on one machine."""
    from dask.distributed import Client, LocalCluster
    from loky import get_reusable_executor

    with (
        ThreadPoolExecutor(2) as threads,
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
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
    """From outside: time of many one-coordinate tasks of a known check, over their number; median of three.

    Each has another step, because Dask looks up a task that it has done before.
    """
    point = point_array(np.ones(1000))
    steps = iter(np.linspace(1e-6, 2e-6, 4 * count + 8))
    job = Job(cheap, (), point)

    def task(job: Job | None) -> Task:
        return Task("cost of a slice", job, "differences", (np.array([0]), np.array([next(steps)])))

    wait([executor.submit(work_on, task(job)) for _ in range(8)])  # both workers compile
    times = []
    for _ in range(3):
        start = time.perf_counter()
        wait([executor.submit(work_on, task(None)) for _ in range(count)])
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def speedup(executor: Executor) -> float:
    """Time of a check on one thread over that on the executor, f of about 1 ms, median of three."""
    x = np.linspace(0.5, 1.5, 1000)
    args = (1000, 50)
    gradient = iterated_gradient(x, *args)
    ratios = []
    for _ in range(4):
        start = time.perf_counter()
        fastgrad.check_gradient(iterated, x, gradient, args=args, threads=1)
        alone = time.perf_counter() - start
        start = time.perf_counter()
        fastgrad.check_gradient(iterated, x, gradient, args=args, executor=executor)
        ratios.append(alone / (time.perf_counter() - start))
    return statistics.median(ratios[1:])  # the first one compiles in the workers


def progress_cost() -> float:
    """Time with a progress function over time without, f of 1 us, n = 10000: median of pairs."""
    x = np.linspace(0.5, 1.5, 10_000)
    args = (25, 2)
    gradient = iterated_gradient(x, *args)
    ratios = []
    for _ in range(15):
        times = []
        for progress in (None, lambda done, total: None):
            start = time.perf_counter()
            fastgrad.check_gradient(iterated, x, gradient, args=args, progress=progress)
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
    return statistics.median(ratios[1:])


def simulated(workers: int, n: int, evaluation: float, sending: float, slice_seconds: float) -> float:
    """Share of the ideal speed of a schedule: one sender, `workers` workers, slices shrinking towards the end.

    The sender needs `sending` seconds per slice and serves one worker after the other; a worker that is idle waits
    for it. The slice sizes follow the rule of the package.
    """
    left, sender, busy = n, 0.0, [0.0] * workers
    heapq.heapify(busy)
    end = 0.0
    while left > 0:
        size = max(1, min(int(slice_seconds / (2 * evaluation)), -(-left // (2 * workers))))
        left -= size
        sender = max(sender, 0.0) + sending
        start = max(heapq.heappop(busy), sender)
        end = max(end, start + 2 * evaluation * size)
        heapq.heappush(busy, start + 2 * evaluation * size)
    return (2 * n * evaluation / workers) / end


def schedule_table(sending: float) -> str:
    """Efficiency of 1000 workers at n = 1e7 against the work in a slice, for two costs of f."""
    rows = []
    for slice_seconds in (0.05, 0.5, 5.0, 50.0):
        shares = [simulated(1000, 10_000_000, f, sending, slice_seconds) for f in (0.01, 0.1)]
        rows.append((f"{slice_seconds:g} s", *(f"{100 * share:.1f} %" for share in shares)))
    return table(("work in a slice", "f of 10 ms", "f of 100 ms"), rows)


def measured_rows(pools: dict[str, Executor]) -> list[tuple[str, str, str]]:
    return [
        (name, f"{1e3 * seconds_per_slice(pool):.2g} ms", significant(speedup(pool))) for name, pool in pools.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs of executors, as markdown.")
    parser.add_argument("--print", action="store_true", help="to standard output instead of the page")
    parser.add_argument("--mpi", action="store_true", help="measure an MPI pool (run under mpiexec)")
    given = parser.parse_args()
    header = ("executor", "cost of a slice", "speed of two workers over one thread")
    if given.mpi:
        from mpi4py.futures import MPIPoolExecutor

        with MPIPoolExecutor() as pool:
            print(table(header, measured_rows({"MPI": pool})))
        return
    with executors() as pools:
        dask = seconds_per_slice(pools["Dask"])
        costs = table(header, measured_rows(pools))
    parts = {
        "conditions": f"Measured on {machine()} Progress costs a factor of {progress_cost():.3f}.",
        "costs": costs,
        "schedule": f"Sending a slice takes {1e3 * dask:.2g} ms (Dask, above).\n\n{schedule_table(dask)}",
    }
    for name, text in parts.items():
        if given.print or not insert(Path(PAGE), name, text):
            print(text)


if __name__ == "__main__":
    main()
