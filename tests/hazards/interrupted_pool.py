"""A check on a process of a pool that never ends, to be interrupted as a terminal does it: all processes at once.

"progress" says that a task has been answered, "waiting" that the check has sent all it can, "working" that the worker
is inside f. Then an interruption is safe. One that meets a process while it takes a lock of the pool, and several
workers do so for each task, can leave that lock taken for ever: Python has no remedy.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import fastgrad
from fastgrad import _remote

X = np.linspace(1.0, 2.0, 100)
interrupted = []
wait = _remote._Pending.next_finished


def f(x):
    if not interrupted and (x[1:] != X[1:]).any():  # the first coordinate is quick
        try:
            print("working", flush=True)
            time.sleep(3600.0)
        except KeyboardInterrupt:
            interrupted.append(True)
            raise
    return float(np.sum(x**2))


def waiting(pending, seconds):
    print("waiting", flush=True)
    return wait(pending, seconds)


if __name__ == "__main__":
    _remote._Pending.next_finished = waiting
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            fastgrad.check_gradient(
                fastgrad.python_objective(f), X, 2.0 * X, executor=pool,
                progress=lambda done, total: print("progress", flush=True),
            )  # fmt: skip
        except KeyboardInterrupt as interruption:
            print(interruption.result.reason)
            print("part" if 0.0 < interruption.result.coverage < 1.0 else "nothing or all")
