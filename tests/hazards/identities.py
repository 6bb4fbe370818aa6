"""Prints what checkpoints know an objective with all kinds of contents by; has to be the same in every process."""

import ctypes
import functools
import logging
import math
import threading
from enum import Enum
from pathlib import Path

import numba as nb
import numpy as np
from numba.typed import Dict, List

import fastgrad
from fastgrad._identity import Identity

log, lock = logging.getLogger("model"), threading.Lock()
names = {"alpha", "beta", "gamma", "delta"}
table = {name: len(name) for name in names}  # in another order in each process
table["weights"] = np.arange(5.0)


class Kind(Enum):
    FIRST = "first"
    SECOND = "second"


class Helper:
    def __init__(self):
        self.table, self.kind, self.path, self.lock = table, Kind.SECOND, Path("data"), threading.Lock()
        self.random, self.names = np.random.default_rng(3), frozenset(names)
        self.library, self.own = ctypes.CDLL(None), self

    def value(self, x):
        return float(np.dot(x, x)) if len(self.table) in {"one", "two", 3, "four"} else 0.0


@nb.experimental.jitclass([("k", nb.float64[:])])
class Compiled:
    def __init__(self, k):
        self.k = k

    def total(self):
        return self.k.sum()


@nb.njit(fastmath={"nnan", "ninf", "contract", "reassoc"})
def term(v):
    return v * v if v in (1.0, 2.0) else nb.float64(math.sin(v))


@nb.cfunc(nb.float64(nb.types.CPointer(nb.float64), nb.int64, nb.types.voidptr))
def in_c(x, n, data):
    return x[0]


helper = Helper()


def f(x, *args):
    import statistics  # where it is used

    with lock:
        log.debug("value")
        return helper.value(x) + term(x[0]) + statistics.fmean(x) + int("a" in {"a", "b", "c"})


in_library = ctypes.CDLL(None).hypot
in_library.restype = ctypes.c_double
words = Dict.empty(nb.types.unicode_type, nb.types.float64)
for name in names:
    words[name] = float(len(name))
args = (table, List([1.0, 2.0]), words, Compiled(np.ones(3)), nb.float64, [nb.types.Array(nb.float64, 1, "C")])
objectives = (
    fastgrad.python_objective(f),
    term,
    functools.partial(f, 1.0),
    fastgrad.pieces(nb.njit(lambda p: p.a.sum() + p.b), like={"a": np.ones(2), "b": 1.0}),
    fastgrad.c_objective(in_c, data=np.arange(3.0)),
    fastgrad.c_objective(in_library, data=ctypes.c_void_p(id(f))),
    fastgrad.c_objective(in_library, data=id(f)),
)
for objective in objectives:
    for name, digest in Identity(objective, args).settled().items():
        print(name, digest)
