"""Differences along seeded directions: which route they take, and what they cost."""

import time
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import _threads
from fastgrad._budget import Budget, BudgetSpent
from fastgrad._compiled import direction_kernels as kernels
from fastgrad._compiled.instructions import LINE
from fastgrad._inputs import Array, Point
from fastgrad._judge.grid import scramble
from fastgrad._objective import Objective
from fastgrad._schedule import SLICE_SECONDS

Floats = NDArray[np.float64]
Span = tuple[int, int]

# Up to here every thread gets two points of its own and evaluates alone; beyond, threads share two points.
_MOST_BYTES_OF_POINTS = 1 << 28
_LARGE = 1 << 16  # entries from which x is not restored between launches that move all of it

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
    """Evaluates an objective along directions, in parallel over the pairs of points or, for large n, within each.

    No result depends on the threads. BudgetSpent is raised where the budget does not allow what is asked for.
    """

    def __init__(
        self, objective: Objective, point: Point, analytical: Array, *, threads: int | None, budget: Budget
    ) -> None:
        self.objective = objective
        self.point = point
        self.analytical = analytical
        self.evaluations = 0
        self.threads = _threads.count_threads(threads)
        self.budget = budget
        self._lanes = _count_lanes(point, 1 if objective.alone is not None else self.threads)
        self._moved = (0, 0)  # where the shared points may differ from x
        self._seconds = 1e-9
        self._is_watched = False  # whether f was seen to leave a point as it is, away from x

    @cached_property
    def _points(self) -> Array:
        """Two copies of x for each lane; made when first needed, as what comes before needs memory too."""
        stride = _stride(self.point)
        per_line = LINE // self.point.dtype.itemsize
        whole = np.empty(self._lanes * 2 * stride + per_line, dtype=self.point.dtype)
        first = -whole.ctypes.data % LINE // whole.itemsize
        points = whole[first : first + self._lanes * 2 * stride].reshape(self._lanes, 2, stride)
        points[:, :, : self.point.size] = self.point.flat
        return points

    @property
    def route(self) -> str:
        """How the evaluations run, for the report."""
        if self.objective.alone is not None:
            return self.objective.alone
        if self._lanes > 1:
            return "prange" if _threads.layer_is_safe() else "threads"
        return "inside the passes" if self._is_shared else "serial"

    @property
    def _is_shared(self) -> bool:
        """Whether threads work side by side within one pair of points."""
        return self.threads > 1 and self._lanes == 1 and _threads.layer_is_safe()

    def pairs(
        self, scaling: Scaling, key: list[int], step: Floats, spans: list[Span] | None = None, *, coded: bool = False
    ) -> Pairs:
        """Differences along v of each key with its step; only the entries of its span move.

        A coded direction is multiplied by the position in the span, from -1 to 1.
        """
        lo, hi = np.array(spans or [(0, self.point.size)] * len(key), dtype=np.int64).T.copy()
        slope = 1.0 / np.maximum(0.5 * (hi - lo), 1.0) if coded else np.zeros(lo.size)
        steps = np.array(step, dtype=np.float64)
        keys = np.array(key, dtype=np.uint64)
        above, below, product, square = self._probe(scaling, (lo, hi, 0.5 * (lo + hi - 1), slope, keys, steps))
        return Pairs(steps, above, below, product, square / (2.0 * steps) ** 2)

    def value_with(self, i: int, coordinate: float) -> float:
        """f with one coordinate replaced; NaN if it raised."""
        self._require(1)
        self._restore()
        row = self._points[0, 0, : self.point.size]
        row[i] = coordinate
        value, _ = self.objective.value(row)
        row[i] = self.point.flat[i]
        self._count(1)
        self._require_unwritten(row, self.point.flat)  # before it is restored, and the trace lost
        return float(value)

    def value_at(self, flat: Array) -> float:
        """f at another point; NaN if it raised."""
        self._require(1)
        value, _ = self.objective.value(flat.astype(self.point.dtype))
        self._count(1)
        return float(value)

    def _require_unwritten(self, row: Array, expected: Array) -> None:
        if not np.array_equal(row, expected):
            raise ValueError(self.objective.refusal_to_write("x"))

    def require_intact(self) -> None:
        """Raise if f left a trace in its arguments."""
        self._restore()
        for row in self._points.reshape(2 * self._lanes, -1):
            self._require_unwritten(row[: self.point.size], self.point.flat)
        self.objective.require_arguments_intact()

    def _require(self, evaluations: int) -> None:
        """Raise unless so many may be made; fewer may still be."""
        # Of none that are wanted none are allowed: what was begun goes on then, unless the time has run out.
        if self.budget.allows(max(evaluations, 1)) < evaluations or self.budget.spent_by is not None:
            raise BudgetSpent(self.budget.spent_by or f"the limit of {self.budget.evaluations} evaluations")

    def _count(self, evaluations: int) -> None:
        self.evaluations += evaluations
        self.budget.used += evaluations

    def _probe(self, scaling: Scaling, probe: tuple[Array, ...]) -> Floats:
        """Values of f and the two sums; NaN where f raised. In slices, since only between them Ctrl-C is noticed."""
        count = probe[0].size
        self._require(2 * count)
        result = np.full((4, count), np.nan)
        done, size = 0, count
        while done < count:
            wanted = max(self._lanes, min(int(SLICE_SECONDS / self._seconds), _GROWTH * size))
            size = min(wanted, count - done)
            part = slice(done, done + size)
            self._require(0)  # the time may have run out
            started = time.perf_counter()
            self._launch(scaling, tuple(a[part] for a in probe), tuple(a[part] for a in result))
            done += size
            self._count(2 * size)
            self._seconds = (time.perf_counter() - started) / size
        return result

    def _launch(self, scaling: Scaling, probe: tuple[Array, ...], result: tuple[Floats, ...]) -> None:
        shared = (self.point.flat, self.analytical, scaling.arrays)
        head = (self.objective.function, self.objective.block_address)
        lanes = self._lanes
        if not self._is_watched:  # the first pair, where the points can be looked at
            self._probe_shared(shared, tuple(a[0] for a in probe), tuple(a[:1] for a in result))
            self._restore()
            probe, result = tuple(a[1:] for a in probe), tuple(a[1:] for a in result)
        count = probe[0].size
        if count == 0:
            return
        if lanes == 1 and (self._is_shared or callable(self.objective.function) or self.point.size > _LARGE):
            for k in range(count):
                self._probe_shared(shared, tuple(a[k] for a in probe), tuple(a[k : k + 1] for a in result))
        elif lanes == 1:
            self._restore()
            self.objective.run(kernels.pairs_serial, self._points, *shared, probe, result)
        elif _threads.layer_is_safe():
            with _threads.launching_parallel():
                kernels.pairs_parallel(*head, self._points, *shared, probe, result)
        else:

            def run(lane: int) -> None:
                part = slice(count * lane // lanes, count * (lane + 1) // lanes)
                cut = tuple(tuple(a[part] for a in arrays) for arrays in (probe, result))
                kernels.pairs_serial(*head, self._points[lane : lane + 1], *shared, *cut)

            _threads.run_on_threads(run, lanes)

    # ---------------------------------------------------------------------------------- two points for all threads

    def _probe_shared(self, shared: tuple[Any, ...], probe: tuple[Any, ...], result: tuple[Floats, ...]) -> None:
        two, start = (self._points[0, 0, : self.point.size], self._points[0, 1, : self.point.size]), shared[2][1]
        lo, hi, middle, slope, key, step = probe
        if (lo, hi) != self._moved:
            self._restore()
        self._moved = (int(lo), int(hi))
        first = int(np.searchsorted(start, lo, side="right")) - 1
        partial = np.zeros((int(np.searchsorted(start, hi, side="left")) - first, 2))
        span = (lo, hi, middle, slope)
        if self._is_shared and partial.shape[0] > 1:
            with _threads.launching_parallel():
                kernels.displace_parallel(*two, *shared, span, key, step, self.threads, partial)
        else:
            kernels.displace_serial(*two, *shared, span, key, step, partial)
        above, below, product, square = result
        above[0], below[0] = self._values(*two) if self._is_watched else self._watched_values(*two)
        product[0], square[0] = kernels.merge(partial)

    def _watched_values(self, above: Array, below: Array) -> tuple[float, float]:
        """What f writes to a point is lost when the next one is made; so once it is looked for."""
        before = [zlib.crc32(point.data) for point in (above, below)]
        values = self._values(above, below)
        if before != [zlib.crc32(point.data) for point in (above, below)]:
            raise ValueError(self.objective.refusal_to_write("x"))
        self._is_watched = True
        return values

    def _values(self, above: Array, below: Array) -> tuple[float, float]:
        if self._is_shared and self.objective.alone is None:
            value = np.empty(2)
            with _threads.launching_parallel():
                kernels.evaluate_both(self.objective.function, self.objective.block_address, above, below, value)
            return float(value[0]), float(value[1])
        return self.objective.value(above)[0], self.objective.value(below)[0]

    def _restore(self) -> None:
        part = slice(*self._moved)
        self._points[0, :, part] = self.point.flat[part]
        self._moved = (0, 0)


def _stride(point: Point) -> int:
    """Entries from one point to the next: whole cache lines, and one between them, which no two threads share."""
    per_line = LINE // point.dtype.itemsize
    return (-(-point.size // per_line) + 1) * per_line


def _count_lanes(point: Point, threads: int) -> int:
    """Threads that get two points of their own, as far as memory allows; 1 if that is none."""
    return max(1, min(threads, _MOST_BYTES_OF_POINTS // (2 * _stride(point) * point.dtype.itemsize)))
