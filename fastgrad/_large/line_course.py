"""The course of a line-integral check: segments, verdict, location and causes, and the result."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._budget import BudgetSpent
from fastgrad._causes.cause import Cause
from fastgrad._causes.places import Block
from fastgrad._inputs import Array, Point
from fastgrad._judge.verdict import Verdict
from fastgrad._large.line import Floats, Line, LineMeter, Segment
from fastgrad._large.line_causes import causes_of_components, law_of_segments
from fastgrad._large.line_report import LineIntegralCheck
from fastgrad._large.outcome import describe_broken
from fastgrad._large.probes import Scaling, key_of
from fastgrad._large.scales import make_scalings
from fastgrad._large.tree import TreeSearch
from fastgrad._layout import Layout
from fastgrad._report import Component

LEAST_SEGMENTS = 2  # so many must differ
_CONVERGED = 1e-3
_MOST_MEASUREMENTS = 60  # of the tree, each of them a segment
_MOST_BLOCKS, _SEGMENTS_OF_BLOCK = 6, 3  # that laws are looked for in
_PURPOSES = {"segment": 31, "block": 32, "tree": 33}


@dataclass
class LineCourse:
    """One line-integral check."""

    line: Line
    point: Point
    layout: Layout
    seed: int
    rtol: float
    scale: ArrayLike | None
    constants: Mapping[str, float]
    at_x: Array = field(default_factory=lambda: np.empty(0))  # the gradient that is checked
    segments: list[Segment] = field(default_factory=list)
    kink: tuple[float, float] | None = None
    components: list[Component] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    verdict: Verdict = Verdict.INCONCLUSIVE
    reason: str = "f(x) is not finite: there is nothing to integrate; check at another x"

    def run(self, count: int, repeat_difference: float, localise: bool) -> None:
        """Find out what can be said; BudgetSpent stays inside."""
        try:
            self._run(count, repeat_difference, localise)
        except BudgetSpent as spent:
            self.end_early(str(spent))

    @property
    def differs(self) -> bool:
        """Whether a segment does, whatever that means."""
        return any(segment.differs for segment in self.segments)

    def add_cause(self, cause: Cause | None) -> None:
        """What the gradient function itself gave away; that it ignores x says little beside a law that explains all."""
        if cause is not None and not (cause.kind == "stale" and self.causes):
            self.causes.append(cause)

    def end_early(self, why: str) -> None:
        """Claim no more than was seen so far."""
        if self.verdict is Verdict.MISMATCH:
            self.reason += f"; the search for what is wrong was ended by {why}"
        else:
            self.verdict, self.reason = Verdict.INCONCLUSIVE, f"ended by {why} before the segments were judged"

    def _run(self, count: int, repeat_difference: float, localise: bool) -> None:
        self.at_x = self.line.gradient_at(self.point.flat.astype(np.float64)).copy()
        broken = describe_broken(self.at_x, self.layout)
        if broken is not None:
            self.verdict, self.reason = Verdict.MISMATCH, broken
            return
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
        directions = [self._direction(scaling, k) for k in range(1, count)]
        self.segments = [chosen, *self.line.segments(directions, chosen.length, chosen.panels)]
        self._judge(scaling)
        if self.verdict is not Verdict.MISMATCH or not localise:
            return
        whole = Block("", 0, (self.point.size,))
        law = law_of_segments(self.point, whole, self.segments, [first, *directions], self.constants)
        if law is not None:
            self.causes = [law]
        else:
            self._locate(scaling, regions)

    def _direction(self, scaling: Scaling, k: int) -> Floats:
        return scaling.components(key_of(self.seed, _PURPOSES["segment"], k), np.arange(self.point.size))

    def _judge(self, scaling: Scaling) -> None:
        wrong = [k for k, s in enumerate(self.segments) if self._is_wrong(s)]
        confirmed = [k for k in wrong if self._persists(scaling, k)]
        worst = max(self.segments, key=lambda s: s.relative)
        if len(confirmed) >= LEAST_SEGMENTS:
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
            explained = [block for block in wrong[:_MOST_BLOCKS] if self._explain_block(scaling, block)]
            wrong = [block for block in wrong if block not in explained]
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

    def _explain_block(self, scaling: Scaling, block: Block) -> bool:
        """Whether segments that move this block alone show a law."""
        directions = []
        for k in range(_SEGMENTS_OF_BLOCK):
            v = np.zeros(self.point.size)
            index = np.arange(block.start, block.stop)
            v[block.slice] = scaling.components(key_of(self.seed, _PURPOSES["block"], k + 1), index)
            directions.append(v)
        chosen = self.segments[0]
        segments = self.line.segments(directions, chosen.length, chosen.panels)
        law = law_of_segments(self.point, block, segments, directions, self.constants)
        self.causes += [law] if law is not None else []
        return law is not None

    def _spent_at(self, limit: int) -> Callable[[int], bool]:
        return lambda count: self.line.evaluations >= limit

    def _list(self, scaling: Scaling, found: dict[int, float], bar: float) -> None:
        if not found:
            return
        a = self.at_x
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
        self.causes += causes_of_components(self.components, sorted(found, key=lambda i: -abs(found[i])), self.point)

    def result(self, elapsed: float) -> LineIntegralCheck:
        """What was found so far."""
        return LineIntegralCheck(
            verdict=self.verdict,
            reason=self.reason,
            relative_error=max((s.relative for s in self.segments), default=math.nan),
            resolution=max((s.resolution for s in self.segments), default=math.nan),
            segments=tuple(self.segments),
            kink=self.kink,
            components=tuple(self.components),
            blocks=tuple(self.blocks),
            causes=tuple(self.causes),
            noise=self.line.noise,
            rtol=self.rtol,
            evaluations=self.line.evaluations + 2,
            gradient_evaluations=self.line.gradients,
            elapsed=elapsed,
            threads=self.line.threads,
            executor=self.line.route,
        )
