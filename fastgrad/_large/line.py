"""Segments through x: the difference of f between their ends against the integral of the gradient along them."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import _threads
from fastgrad._budget import BudgetSpent
from fastgrad._calls import call
from fastgrad._inputs import Array, Point, gradient_at, unflatten
from fastgrad._judge.setting import NOISE_WIDTH
from fastgrad._large.ladder import NOISE_POINTS, noise_spacing, table_noise
from fastgrad._large.probes import Scaling
from fastgrad._large.quadrature import NODES, Integral, integrate
from fastgrad._objective import Objective

Floats = NDArray[np.float64]

_LENGTHS = tuple(2.0**-k for k in range(4, 21, 2))
_LONGER, _PANELS = 4.0, 4  # where noise decides: a longer segment, in pieces
_NOISE_SPACINGS = (1.0, 77.7)
_START = -0.83  # of a segment, in units of L v; its end is at 1.17
_GRADIENT_ROUNDING = 8.0
_BISECTIONS = 8
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Segment:
    """x + t L v for t from -0.83 to 1.17, in units of f. Not centred, lest a kink at x sit where the rules agree."""

    length: float
    panels: int
    difference: float  # f(b) - f(a)
    integral: float
    noise: float  # half width of what noise and rounding can do to either
    quadrature: float
    size: float  # integral of ||g v||, which a relative error refers to

    @property
    def middle(self) -> float:
        """The middle, as a multiple of v."""
        return (_START + 1.0) * self.length

    @property
    def mismatch(self) -> float:
        """(grad f - g) . v, averaged over the segment."""
        return (self.difference - self.integral) / (2.0 * self.length)

    @property
    def bar(self) -> float:
        """Half width of the mismatch of a right gradient."""
        return (self.noise + self.quadrature) / (2.0 * self.length)

    @property
    def relative(self) -> float:
        """|difference - integral| relative to the size of the integral."""
        return float(abs(self.difference - self.integral)) / max(float(self.size), _TINY)  # infinite, without a warning

    @property
    def resolution(self) -> float:
        """The smallest relative error that it shows."""
        return float(self.noise + self.quadrature) / max(float(self.size), _TINY)

    @property
    def differs(self) -> bool:
        return abs(self.difference - self.integral) > self.noise + self.quadrature


class Line:
    """Evaluates f at ends and the gradient at nodes of segments through one point."""

    def __init__(
        self, objective: Objective, point: Point, gradient: Callable[..., Any], args: tuple[Any, ...], value: float,
        *, deadline: float, threads: int | None,
    ) -> None:  # fmt: skip
        self._objective = objective
        self._point = point
        self._gradient = gradient
        self._args = args
        self._value = value
        self._x = point.flat.astype(np.float64)
        self._counting = threading.Lock()
        self._deadline = deadline
        self._is_threaded = False
        self.threads = _threads.count_threads(threads)
        self.noise = 0.0
        self.evaluations = 0
        self.gradients = 0
        self.precision = float(np.finfo(np.float64).eps)

    @property
    def route(self) -> str:
        """How segments are integrated, for the report."""
        return "threads" if self.threads > 1 else "serial"

    def measure_noise(self, direction: Floats, least: float) -> None:
        """From values close to x along a direction, at two spacings: a regular one may alias; 16 evaluations."""
        self.noise = least
        for wider in _NOISE_SPACINGS:
            steps = wider * noise_spacing(float(np.finfo(self._point.dtype).eps)) * NOISE_POINTS
            above, below = (np.array([self.f(self._x + s * t * direction) for t in steps]) for s in (1, -1))
            self.noise = max(self.noise, table_noise(self._value, above, below))

    def counted(self, *arguments: Any) -> Any:
        """The gradient function as it is, its calls counted."""
        with self._counting:
            self.gradients += 1
        return self._gradient(*arguments)

    def f(self, x: Array) -> float:
        with self._counting:
            self.evaluations += 1
        value, _ = self._objective.value(x.astype(self._point.dtype))
        return float(value)

    def gradient_at(self, x: Floats) -> Array:
        """Read it at once: the function may overwrite what it returned at its next call."""
        if time.perf_counter() > self._deadline:
            raise BudgetSpent("the time limit")
        form = unflatten(x.astype(self._point.dtype), self._point.shape)
        # Beside other threads a gradient with parallel loops needs Numba's layer to itself, where that asks for it.
        with _threads.launching_parallel() if self._is_threaded else contextlib.nullcontext():
            values = call(self._gradient, "gradient(x, *args)", "an array shaped like x", form, *self._args)
        found = gradient_at(self._point, values, name="the result of gradient")
        with self._counting:
            self.gradients += 1
            self.precision = max(self.precision, float(np.finfo(found.dtype).eps))
        return found

    def segments(self, directions: Sequence[Floats], length: float, panels: int) -> list[Segment]:
        """Several segments, side by side on threads."""
        found: list[Segment | None] = [None] * len(directions)
        lanes = min(self.threads, len(directions))

        def run(lane: int) -> None:
            for k in range(lane, len(directions), lanes):
                found[k] = self.segment(directions[k], length, panels)

        if directions:
            self._is_threaded = lanes > 1
            _threads.run_on_threads(run, lanes)
            self._is_threaded = False
        return [segment for segment in found if segment is not None]

    def segment(self, v: Floats, length: float, panels: int = 1) -> Segment:
        """2 evaluations of f and 15 of the gradient for each panel."""
        a, b = (self._stored(self._x + t * length * v) for t in (_START, _START + 2.0))
        middle, half = 0.5 * (a + b), 0.5 * (b - a)  # of the points as stored: x + L v is rounded
        below, above = self.f(a), self.f(b)
        found = self._integrate(middle, half, panels, (-1.0, 1.0))
        rounding = _GRADIENT_ROUNDING * self.precision * found.size
        coarse = float(np.spacing(max(abs(above), abs(below), 1e-300)))
        noise = NOISE_WIDTH * math.sqrt(2.0) * max(self.noise, 0.5 * coarse)
        return Segment(length, panels, above - below, found.value, noise + rounding, found.error, found.size)

    def _stored(self, x: Floats) -> Floats:
        return x.astype(self._point.dtype).astype(np.float64)

    def _integrate(self, middle: Floats, half: Floats, panels: int, span: tuple[float, float]) -> Integral:
        def integrand(t: float) -> tuple[float, float]:
            terms = self.gradient_at(middle + t * half) * half
            return float(terms.sum()), math.sqrt(float((terms * terms).sum()))  # no BLAS: it wakes its threads

        return integrate(integrand, panels, span)

    def choose(self, v: Floats, rtol: float) -> Segment | None:
        """The longest segment whose quadrature has converged; a longer one in panels if noise is then too large."""
        best: Segment | None = None
        if not math.isfinite(self.noise):
            return None
        for length in _LENGTHS:
            tried = self.segment(v, length)
            if not math.isfinite(tried.difference + tried.integral + tried.size):
                continue
            if best is None or tried.resolution < best.resolution:
                best = tried
            if tried.quadrature <= tried.noise:
                break
        if best is None or best.resolution <= rtol or best.length * _LONGER > 0.25:
            return best
        longer = self.segment(v, best.length * _LONGER, _PANELS)
        return longer if longer.resolution < best.resolution else best

    def find_kink(self, v: Floats, length: float) -> tuple[float, float]:
        """Where along the segment, in units of L v, the quadrature fails: bisection towards the larger error."""
        span = (_START, _START + 2.0)
        for _ in range(_BISECTIONS):
            left, right = self._integrate(self._x, length * v, 2, span).panels
            span = left[:2] if left[2] >= right[2] else right[:2]
        return span


class LineMeter:
    """Moments of intervals for the tree, by segments that move these components only."""

    def __init__(self, line: Line, scaling: Scaling, key: int, length: float, bar: float) -> None:
        self._line = line
        self._scaling = scaling
        self._length = length
        self.key = key
        self.bar = bar
        self.cost = 2 + NODES.size

    def weights(self, index: NDArray[np.int64]) -> Floats:
        return self._scaling.components(self.key, index) / self._scaling.at(index)

    def moment(self, lo: int, hi: int, *, coded: bool) -> float:
        index = np.arange(lo, hi)
        v = self._scaling.components(self.key, index)
        if coded:
            v = v * (index - 0.5 * (lo + hi - 1)) / max(0.5 * (hi - lo), 1.0)
        return self._mismatch(lo, hi, v, self._length)

    def error(self, i: int) -> float:
        """At half the length: not the measurement that led here."""
        return self._mismatch(i, i + 1, self._scaling.at(np.array([i])), 0.5 * self._length)

    def _mismatch(self, lo: int, hi: int, v: Floats, length: float) -> float:
        whole = np.zeros(self._scaling.magnitude.size)
        whole[lo:hi] = v
        return self._line.segment(whole, length).mismatch
