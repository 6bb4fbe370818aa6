"""Differences along seeded directions: which route they take, and what they cost."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import _threads
from fastgrad._budget import BudgetSpent
from fastgrad._compiled import direction_kernels as kernels
from fastgrad._inputs import Array, Point
from fastgrad._judge.grid import scramble
from fastgrad._objective import Objective, refusal_to_write

Floats = NDArray[np.float64]
Span = tuple[int, int]

# Up to here every thread gets a point of its own and evaluates alone; beyond, threads share one point.
_MOST_BYTES_OF_ROWS = 1 << 28

_SLICE_SECONDS = 0.07
_GROWTH = 8  # of a slice over the one before


def key_of(seed: int, *purpose: int) -> int:
    """A 64-bit key for each seed and purpose; the keys of two purposes have nothing in common."""
    key = scramble((seed + 0x632BE59BD9B4E019) & ((1 << 64) - 1))
    for number in purpose:
        key = scramble((key ^ (number + 1) * 0xD1342543DE82EF95) & ((1 << 64) - 1))
    return int(key)


@dataclass(frozen=True)
class Scaling:
    """How far a direction moves each component: its magnitude, or a typical value if that is at or below a cutoff."""

    name: str
    magnitude: Array
    start: NDArray[np.int64]  # borders of the chunks of a pass; no chunk crosses a border of named blocks
    typical: Floats
    cutoff: Floats

    @property
    def arrays(self) -> tuple[Array, NDArray[np.int64], Floats, Floats]:
        """As the kernels take it."""
        return self.magnitude, self.start, self.typical, self.cutoff

    def components(self, key: int, index: NDArray[np.int64]) -> Floats:
        """Components of a direction at a few places."""
        found = np.empty(index.size)
        kernels.components(*self.arrays, np.uint64(key), index, found)
        return found

    def at(self, index: NDArray[np.int64]) -> Floats:
        """The scale of some components."""
        size = np.abs(self.magnitude[index].astype(np.float64))
        chunk = np.searchsorted(self.start, index, side="right") - 1
        return np.where(size > self.cutoff[chunk], size, self.typical[chunk])

    def restricted_to(self, magnitude: Array) -> "Scaling":
        """The same chunks with other magnitudes; where they are zero, a direction does not move."""
        nothing = np.zeros_like(self.typical)
        return Scaling(self.name, magnitude, self.start, nothing, nothing)


def chunk_borders(pieces: list[Span]) -> NDArray[np.int64]:
    """Borders of chunks of at most CHUNK entries that respect those of the pieces."""
    starts = [np.arange(lo, hi, kernels.CHUNK, dtype=np.int64) for lo, hi in pieces]
    return np.concatenate([*starts, np.array([pieces[-1][1]], np.int64)])


@dataclass(frozen=True)
class Pairs:
    """f at x + t v and at x - t v for several directions, and what the analytical gradient says."""

    step: Floats
    above: Floats
    below: Floats
    product: Floats  # sum of a_i times the distance of the two stored points
    square: Floats  # sum of (a_i v_i)^2

    @property
    def mismatch(self) -> Floats:
        """Central difference minus analytical directional derivative, (grad f - a) . v."""
        with np.errstate(all="ignore"):
            return ((self.above - self.below) - self.product) / (2.0 * self.step)

    @property
    def slope(self) -> Floats:
        """Analytical directional derivative a . v."""
        return self.product / (2.0 * self.step)


class Prober:
    """Evaluates an objective along directions, in parallel over the points or, for large n, inside each pass.

    No result depends on the threads. BudgetSpent is raised where the limit does not allow what is asked for.
    """

    def __init__(
        self, objective: Objective, point: Point, analytical: Array, *, threads: int | None, limit: int | None
    ) -> None:
        self.objective = objective
        self.point = point
        self.analytical = analytical
        self.evaluations = 0
        self.threads = _threads.count_threads(threads)
        self._limit = limit
        alone = objective.alone is not None
        self._is_wide = self.threads > 1 and (alone or point.flat.nbytes * self.threads > _MOST_BYTES_OF_ROWS)
        rows = 1 if self._is_wide or alone else self.threads
        self._rows = np.empty((rows, -(-point.size // 16) * 16 + 16), dtype=point.dtype)
        self._rows[:, : point.size] = point.flat
        self._seconds = 1e-9

    @property
    def route(self) -> str:
        """How the evaluations run, for the report."""
        if self.objective.alone is not None:
            return self.objective.alone
        if self._is_wide:
            return "inside the passes" if _threads.layer_is_safe() else "serial"
        if self._rows.shape[0] == 1:
            return "serial"
        return "prange" if _threads.layer_is_safe() else "threads"

    def pairs(
        self, scaling: Scaling, key: list[int], step: Floats, spans: list[Span] | None = None, *, coded: bool = False
    ) -> Pairs:
        """Differences along v of each key with its step; only the entries of its span move.

        A coded direction is multiplied by the position in the span, from -1 to 1.
        """
        lo, hi = np.repeat(np.array(spans or [(0, self.point.size)] * len(key), dtype=np.int64), 2, axis=0).T.copy()
        slope = 1.0 / np.maximum(0.5 * (hi - lo), 1.0) if coded else np.zeros(lo.size)
        keys = np.repeat(np.array(key, dtype=np.uint64), 2)
        steps = np.stack([step, -np.asarray(step)], axis=1).reshape(-1)
        value, product, square = self._probe(scaling, (lo, hi, 0.5 * (lo + hi - 1), slope, keys, steps))
        return Pairs(steps[0::2], value[0::2], value[1::2], product[1::2], square[1::2])

    def value_with(self, i: int, coordinate: float) -> float:
        """f with one coordinate replaced; NaN if it raised."""
        self._require(1)
        row = self._rows[0, : self.point.size]
        row[i] = coordinate
        value, _ = self.objective.value(row)
        row[i] = self.point.flat[i]
        self.evaluations += 1
        return float(value)

    def require_intact(self) -> None:
        """Raise if f left a trace in its arguments."""
        if not (self._rows[:, : self.point.size] == self.point.flat).all():
            raise ValueError(refusal_to_write("x"))
        self.objective.require_arguments_intact()

    def _require(self, evaluations: int) -> None:
        if self._limit is not None and self.evaluations + evaluations > self._limit:
            raise BudgetSpent

    def _probe(self, scaling: Scaling, probe: tuple[Array, ...]) -> Floats:
        """Values of f and the two sums; NaN where f raised. In slices, since only between them Ctrl-C is noticed."""
        count = probe[0].size
        self._require(count)
        result = np.full((3, count), np.nan)
        done, size = 0, count
        while done < count:
            wanted = max(2 * self._rows.shape[0], min(int(_SLICE_SECONDS / self._seconds), _GROWTH * size))
            size = min(wanted, count - done)
            part = slice(done, done + size)
            started = time.perf_counter()
            self._launch(scaling, tuple(a[part] for a in probe), tuple(a[part] for a in result))
            done += size
            self.evaluations += size
            self._seconds = (time.perf_counter() - started) / size
        return result

    def _launch(self, scaling: Scaling, probe: tuple[Array, ...], result: tuple[Floats, ...]) -> None:
        status = np.zeros(probe[0].size, np.uint8)
        head = (self.objective.function, self.objective.block_address)
        shared = (self.point.flat, self.analytical, scaling.arrays)
        lanes = self._rows.shape[0]
        if self._is_wide and _threads.layer_is_safe():
            for k in range(status.size):
                self._probe_wide(shared, tuple(a[k] for a in probe), tuple(a[k : k + 1] for a in result))
        elif lanes == 1:
            self.objective.run(kernels.probes_serial, self._rows, *shared, probe, result, status)
        elif _threads.layer_is_safe():
            with _threads.launching_parallel():
                kernels.probes_parallel(*head, self._rows, *shared, probe, result, status)
        else:

            def run(lane: int) -> None:
                part = slice(status.size * lane // lanes, status.size * (lane + 1) // lanes)
                cut = tuple(tuple(a[part] for a in arrays) for arrays in (probe, result))
                kernels.probes_serial(*head, self._rows[lane : lane + 1], *shared, *cut, status[part])

            _threads.run_on_threads(run, lanes)

    def _probe_wide(self, shared: tuple[Any, ...], probe: tuple[Any, ...], result: tuple[Floats, ...]) -> None:
        row, start = self._rows[0, : self.point.size], shared[2][1]
        lo, hi, middle, slope, key, step = probe
        first = int(np.searchsorted(start, lo, side="right")) - 1
        partial = np.zeros((int(np.searchsorted(start, hi, side="left")) - first, 2))
        with _threads.launching_parallel():
            kernels.displace(row, *shared, (lo, hi, middle, slope), key, step, self.threads, partial)
        value, product, square = result
        value[0], _ = self.objective.value(row)
        product[0], square[0] = kernels.merge(partial)
        row[lo:hi] = self.point.flat[lo:hi]
