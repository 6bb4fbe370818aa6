"""Checks that every executor must answer to the bit as one thread does; imported by tests and by scripts under MPI."""

import numba as nb
import numpy as np
from numba import types

import fastgrad

usleep = types.ExternalFunction("usleep", types.int32(types.uint32))

FIELDS = ("numerical_grad", "estimate", "uncertainty", "step", "flags", "verdicts")


@nb.njit
def uneven(x, weights):
    """A chained quartic whose cost grows with the coordinate that was moved away from 1: from 1 us to 0.2 ms."""
    burned = 0.0
    for i in range(x.size):
        if x[i] != 1.0:
            for k in range(400 * i):
                burned += np.sin(0.1 * k)
    total = 1e-300 * burned
    for i in range(x.size - 1):
        total += weights[i] * (x[i + 1] - x[i] ** 2) ** 2 + x[i] ** 4
    return total


def uneven_gradient(x, weights):
    gradient = np.zeros(x.size)
    bend = 2.0 * weights * (x[1:] - x[:-1] ** 2)
    gradient[:-1] += 4.0 * x[:-1] ** 3 - 2.0 * bend * x[:-1]
    gradient[1:] += bend
    return gradient


X = np.ones(60)
WEIGHTS = np.linspace(0.5, 1.5, 59)


def wrong_gradient(x, weights):
    gradient = uneven_gradient(x, weights)
    gradient[17] *= 1.2
    return gradient


def check(gradient=uneven_gradient, x=X, **options):
    return fastgrad.check_gradient(uneven, x, gradient, args=(WEIGHTS.astype(x.dtype),), **options)


CASES = {
    "match": dict(),
    "mismatch": dict(gradient=wrong_gradient),
    "closer looks at all": dict(epsilon=0.1),
    "automatic steps": dict(epsilon=fastgrad.steps.Automatic()),
    "float32": dict(x=X.astype(np.float32), gradient=wrong_gradient),
    "limited": dict(max_evaluations=50),
    "sample": dict(sample=20, gradient=wrong_gradient),
}


@nb.njit(nogil=True)
def asleep(x, microseconds):
    """Takes its time without taking a core."""
    usleep(microseconds)
    return np.sum(x**4)


def asleep_gradient(x, microseconds):
    return 4.0 * x**3


@nb.njit
def narrow(x):
    """Cheap at any number of coordinates, because it reads forty of them."""
    return np.sum(x[:40] ** 2)


def narrow_gradient(x):
    gradient = np.zeros(x.size)
    gradient[:40] = 2.0 * x[:40]
    return gradient


def difference(result, other):
    """Names of what differs between two results, by the bit."""
    names = [name for name in FIELDS if not same(getattr(result, name), getattr(other, name))]
    plain = ("verdict", "reason", "relative_error", "coverage", "evaluations", "noise")
    return names + [name for name in plain if repr(getattr(result, name)) != repr(getattr(other, name))]


def same(array, other):
    if array.dtype == object:
        return bool((array == other).all())
    return array.dtype == other.dtype and array.tobytes() == other.tobytes()
