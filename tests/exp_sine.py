"""A small objective for tests of what is done with results: its gradient, and one with six wrong components."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit
def f(x):
    return (np.exp(x) * np.sin(x)).sum()


@nb.njit
def gradient(x):
    return np.exp(x) * (np.sin(x) + np.cos(x))


def wrong(x):
    g = gradient(x)
    g[3:9] *= 1.5
    return g
