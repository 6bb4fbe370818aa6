"""A checkpoint on a disk with room for its first records only (a limit on the size of files): full_disk.py FOLDER."""

import resource
import signal
import sys
from pathlib import Path

import numba as nb
import numpy as np

import fastgrad


@nb.njit
def objective(x):
    return np.sum(x**4) + x[0] * x[1]


def gradient(x):
    result = 4.0 * x**3
    result[0] += x[1]
    result[1] += x[0]
    return result


x = np.linspace(1.0, 2.0, 300)
epsilon = 0.1  # so wide that all components need closer looks, hence many records
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fastgrad.numerical_gradient(objective, x)  # compile (and cache) before the disk is full
fastgrad.check_gradient(objective, x, gradient, epsilon)
resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, resource.RLIM_INFINITY))
try:
    fastgrad.check_gradient(objective, x, gradient, epsilon, checkpoint=Path(sys.argv[1]) / "file")
except OSError as error:
    print(error)
    print("0 < coverage <= 1" if 0.0 < error.result.coverage <= 1.0 else "nothing left")
