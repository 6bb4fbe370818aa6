"""A check with a checkpoint that says when a slice of it has been written, to be killed then: killed.py PATH."""

import sys

import numba as nb
import numpy as np

import fastgrad


@nb.njit
def objective(x, repeats):
    total = 0.0
    for _ in range(repeats):
        for i in range(x.size - 1):
            total += (100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2) / repeats
    return total


def gradient(x, repeats):
    result = np.zeros_like(x)
    bend = x[1:] - x[:-1] ** 2
    result[:-1] += -400.0 * x[:-1] * bend - 2.0 * (1.0 - x[:-1])
    result[1:] += 200.0 * bend
    return result


path = sys.argv[1]
x = np.linspace(0.5, 1.4, 400)
args = (400,)
# On one thread the first slices are of 1, 8 and 64 components on every machine.
options = {"args": args, "threads": 1, "progress": lambda done, total: print("slice", flush=True)}
result = fastgrad.check_gradient(objective, x, gradient, checkpoint=path, **options)
parts = (result.numerical_grad, result.estimate, result.uncertainty, result.flags)
print(result.verdict.value, *(part.tobytes().hex()[:4000] for part in parts), result.evaluations)
