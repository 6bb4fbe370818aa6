"""Checks with a checkpoint on a pool of forked processes: forked_pool.py PATH once|again.

"once" prints the workers when the file is begun, and waits to be killed; "again" checks twice on one pool.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import fastgrad


def f(x):
    return float(np.sum(x**2))


def show_workers(done, total):
    print(*pool._processes, flush=True)
    time.sleep(600.0)


if __name__ == "__main__":
    path, how = sys.argv[1:]
    x = np.linspace(1.0, 2.0, 40)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        options = {"checkpoint": path, "executor": pool}
        if how == "once":
            fastgrad.check_gradient(fastgrad.python_objective(f), x, 2.0 * x, progress=show_workers, **options)
        fastgrad.check_gradient(fastgrad.python_objective(f), x, 2.0 * x, max_evaluations=60, **options)
        print(fastgrad.check_gradient(fastgrad.python_objective(f), x, 2.0 * x, **options).verdict)
