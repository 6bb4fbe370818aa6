"""A check without small steps: the difference of f against the integral of its gradient along segments."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._causes.places import Block
from fastgrad._inputs import Point, point_array, positive_number
from fastgrad._judge.verdict import Verdict
from fastgrad._large.directional_inputs import seed_of, whole_number
from fastgrad._large.line import Floats, Line, LineMeter, Segment
from fastgrad._large.line_report import LineIntegralCheck
from fastgrad._large.probes import Scaling, key_of
from fastgrad._large.scales import make_scalings
from fastgrad._large.tree import TreeSearch
from fastgrad._layout import Layout, make_layout
from fastgrad._objective import prepare, try_objective
from fastgrad._report import Component

_NEEDED = 2  # segments that must differ
_CONVERGED = 1e-3
_MOST_MEASUREMENTS = 60  # of the tree, each of them a segment
_PURPOSES = {"segment": 31, "block": 32, "tree": 33}


def check_line_integral(
    f: Callable[..., float],
    x: ArrayLike,
    gradient: Callable[..., ArrayLike],
    *,
    args: tuple[Any, ...] = (),
    segments: int = 4,
    rng: int | np.random.Generator | None = None,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    rtol: float = 1e-10,
    scale: ArrayLike | None = None,
    localise: bool = True,
) -> LineIntegralCheck:
    """Is this gradient right? f(b) - f(a) against the quadrature of the gradient along segments through x.

    Nothing is divided by a small step, so nothing cancels: for smooth f relative errors down to 1e-13 show, five
    orders below the best central difference, and noise of f counts once per segment instead of once per step.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``.
    x : array_like of float32, float64 or integers, any shape
        Middle of the segments.
    gradient : callable
        ``(x, *args)``, compiled or plain Python; it is evaluated along the segments.
    args : tuple, optional
        Extra arguments of f and of the gradient.
    segments : int, optional
        Random segments, at least 2.
    rng : int or numpy.random.Generator, optional
        Seed of the segments. Default 0.
    blocks : mapping of str to shape, optional
        Names of consecutive pieces of the flat x; on a mismatch each is tried alone.
    rtol : float, optional
        Relative disagreement that does not matter.
    scale : array_like, optional
        Typical change of each component of x, instead of the sizes of x itself.
    localise : bool, optional
        False stops at the verdict.

    Returns
    -------
    LineIntegralCheck
        Verdict, reason, both sides of each segment with their bars, wrong blocks and components, cost.

    Notes
    -----
    Each segment costs 2 evaluations of f and 15 of the gradient (Gauss-Kronrod); its length is the longest from
    1/16 of the scale downwards for which the quadrature converges to the noise of f.

    Right where f is smooth along the segments, costly or noisy, and the gradient is a function. It tests the
    gradient on segments through x, not at x alone: an error at one isolated point does not show, and neither does
    an objective that is wrong together with its gradient. A kink on a segment gives inconclusive, with its place.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return np.sin(x).sum()
    >>> x = np.linspace(0.5, 1.0, 100)
    >>> check_line_integral(f, x, np.cos).verdict
    <Verdict.MATCH: 'match'>
    >>> check_line_integral(f, x, lambda x: np.cos(x) * (1 + 1e-9)).verdict
    <Verdict.MISMATCH: 'mismatch'>
    """
    started = time.perf_counter()
    if not callable(gradient):
        raise TypeError(
            f"gradient is a {type(gradient).__name__}; need a function of (x, *args), because it is evaluated along "
            f"segments. For a gradient at x alone use check_directional."
        )
    count, tolerance = whole_number(segments, "segments", _NEEDED), positive_number(rtol, "rtol")
    point = point_array(x)
    layout = make_layout(point.shape, blocks)
    objective = prepare(f, point, args)
    trial = try_objective(objective, point)
    line = Line(objective, point, gradient, args, trial.value)
    check = _Check(line, point, layout, seed_of(rng), tolerance, scale)
    if math.isfinite(trial.value):
        with np.errstate(all="ignore"):
            check.run(count, trial.difference, localise)
    return check.result(time.perf_counter() - started)


@dataclass
class _Check:
    line: Line
    point: Point
    layout: Layout
    seed: int
    rtol: float
    scale: ArrayLike | None
    segments: list[Segment] = field(default_factory=list)
    kink: tuple[float, float] | None = None
    components: list[Component] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    verdict: Verdict = Verdict.INCONCLUSIVE
    reason: str = "f(x) is not finite: there is nothing to integrate; check at another x"

    def run(self, count: int, repeat_difference: float, localise: bool) -> None:
        regions = self.layout.blocks or (Block("", 0, self.point.shape or (1,)),)
        chosen = None
        for scaling in make_scalings(self.point, regions, self.scale):
            first = self._direction(scaling, 0)
            self.line.measure_noise(first, repeat_difference)
            chosen = self.line.choose(first, self.rtol)
            if chosen is not None and math.isfinite(self.line.noise):
                break
        else:
            self.reason = "f or the gradient is not finite along segments through x, or too large to be squared"
            return
        self.segments = [chosen]
        for k in range(1, count):
            self.segments.append(self.line.segment(self._direction(scaling, k), chosen.length, chosen.panels))
        self._judge(scaling)
        if self.verdict is Verdict.MISMATCH and localise:
            self._locate(scaling, regions)

    def _direction(self, scaling: Scaling, k: int) -> Floats:
        return scaling.components(key_of(self.seed, _PURPOSES["segment"], k), np.arange(self.point.size))

    def _judge(self, scaling: Scaling) -> None:
        wrong = [k for k, s in enumerate(self.segments) if self._is_wrong(s)]
        confirmed = [k for k in wrong if self._persists(scaling, k)]
        worst = max(self.segments, key=lambda s: s.relative)
        if len(confirmed) >= _NEEDED:
            self.verdict = Verdict.MISMATCH
            self.reason = (
                f"f(b) - f(a) and the integral of the gradient differ on {len(wrong)} of {len(self.segments)} "
                f"segments, by {worst.relative:.1g} of its size; the bars are {worst.resolution:.1g}"
            )
        elif any(s.quadrature > max(s.noise, self.rtol * s.size) for s in self.segments):
            length = self.segments[0].length
            unsettled = max(range(len(self.segments)), key=lambda k: self.segments[k].quadrature)
            self.kink = self.line.find_kink(self._direction(scaling, unsettled), length)
            self.reason = (
                f"the quadrature does not converge near x + t v with t from {self.kink[0] * length:.2g} to "
                f"{self.kink[1] * length:.2g}, on segment {unsettled}: a kink of f, or structure finer than the nodes"
            )
        elif wrong:
            self.reason = f"{len(wrong)} of {len(self.segments)} segments differ, but not as a wrong gradient would"
        elif worst.resolution > self.rtol and worst.relative + worst.resolution > self.rtol:
            self.reason = (
                f"the segments agree within their bars, but these are {worst.resolution:.1g} of the integral, "
                f"wider than rtol = {self.rtol:g}, because of the noise of f"
            )
        else:
            self.verdict = Verdict.MATCH
            self.reason = f"{len(self.segments)} segments agree, to {worst.relative:.1g} of the integral or better"

    def _is_wrong(self, s: Segment) -> bool:
        """Whether both rules agree with each other far better than with f: what they miss cannot explain it."""
        converged = s.quadrature <= _CONVERGED * abs(s.difference - s.integral)
        return converged and s.differs and s.relative > self.rtol + s.resolution

    def _persists(self, scaling: Scaling, k: int) -> bool:
        """Whether shorter segments differ as well, per length ever more equally: noise does not, nor does a kink."""
        s, v = self.segments[k], self._direction(scaling, k)
        near, nearer = (self.line.segment(v, s.length / shrink, s.panels) for shrink in (3.0, 9.0))
        same = abs(nearer.mismatch - near.mismatch) <= 0.3 * abs(near.mismatch) + near.bar + nearer.bar
        return same and self._is_wrong(near)

    # ------------------------------------------------------------------------------------------------ location

    def _locate(self, scaling: Scaling, regions: tuple[Block, ...]) -> None:
        chosen = self.segments[0]
        meter = LineMeter(self.line, scaling, 0, chosen.length, 2.0 * max(s.bar for s in self.segments))
        wrong = list(regions)
        if len(regions) > 1:
            meter.key = key_of(self.seed, _PURPOSES["block"])
            sizes = [abs(meter.moment(b.start, b.stop, coded=False)) for b in regions]
            wrong = [b for b, size in zip(regions, sizes, strict=True) if size > meter.bar]
            self.blocks = [block.name for block in wrong]
        found: dict[int, float] = {}
        rng = np.random.default_rng(self.seed)
        for number, block in enumerate(wrong):
            meter.key = key_of(self.seed, _PURPOSES["tree"], number)
            limit = self.line.evaluations + 2 * _MOST_MEASUREMENTS
            search = TreeSearch(meter, found, rng, self._spent_at(limit))
            search.run(block.start, block.stop)
            if search.open or search.dense:
                self.reason += "; more components are wrong than were located"
                break
        self._list(scaling, found, meter.bar)

    def _spent_at(self, limit: int) -> Callable[[int], bool]:
        return lambda count: self.line.evaluations >= limit

    def _list(self, scaling: Scaling, found: dict[int, float], bar: float) -> None:
        if not found:
            return
        a = self.line.gradient_at(self.point.flat.astype(np.float64))
        for i in sorted(found, key=lambda i: -abs(found[i])):
            scale = float(scaling.at(np.array([i]))[0])
            difference = found[i] / scale
            largest = max(abs(float(a[i])), abs(float(a[i]) + difference))
            self.components.append(
                Component(
                    name=self.layout.name(i), index=self.layout.index(i), verdict=Verdict.MISMATCH,
                    x=float(self.point.flat[i]), step=0.5 * self.segments[0].length * scale,
                    analytical=float(a[i]), numerical=float(a[i]) + difference, uncertainty=bar / scale,
                    absolute=abs(difference), relative=abs(difference) / largest if largest > 0.0 else abs(difference),
                )
            )  # fmt: skip

    def result(self, elapsed: float) -> LineIntegralCheck:
        return LineIntegralCheck(
            verdict=self.verdict,
            reason=self.reason,
            relative_error=max((s.relative for s in self.segments), default=math.nan),
            resolution=max((s.resolution for s in self.segments), default=math.nan),
            segments=tuple(self.segments),
            kink=self.kink,
            components=tuple(self.components),
            blocks=tuple(self.blocks),
            noise=self.line.noise,
            rtol=self.rtol,
            evaluations=self.line.evaluations + 2,
            gradient_evaluations=self.line.gradients,
            elapsed=elapsed,
        )
