"""Checks for large n: a verdict in a handful of evaluations, and the wrong components located."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._budget import BudgetSpent
from fastgrad._causes.places import Block
from fastgrad._inputs import Point, analytical_gradient, point_array, positive_number
from fastgrad._judge.verdict import Verdict
from fastgrad._large.detect import Detector, Family, Finding
from fastgrad._large.directional_inputs import seed_of, whole_number
from fastgrad._large.directional_report import BlockCheck, DirectionalCheck
from fastgrad._large.investigate import Culprits, Investigation
from fastgrad._large.probes import Prober
from fastgrad._large.ruling import (
    POWER,
    describe_remainder,
    rule_on_culprits,
    rule_on_directions,
    rule_without_directions,
)
from fastgrad._large.samples import Sample
from fastgrad._large.scales import make_scalings
from fastgrad._layout import Layout, make_layout
from fastgrad._objective import Objective, Trial, prepare, try_objective
from fastgrad._report import Component

_FEWEST_DIRECTIONS = 4
_FEWEST_EVALUATIONS = 100
_TRIALS = 2  # evaluations at x


def check_directional(
    f: Callable[..., float],
    x: ArrayLike,
    gradient: ArrayLike | Callable[..., ArrayLike],
    *,
    args: tuple[Any, ...] = (),
    directions: int = 8,
    rng: int | np.random.Generator | None = None,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    rtol: float = 1e-6,
    scale: ArrayLike | None = None,
    localise: bool = True,
    max_evaluations: int | None = None,
    constants: Mapping[str, float] | None = None,
    threads: int | None = None,
) -> DirectionalCheck:
    """Is this gradient right? For large n: along random directions, then which components are wrong.

    Each direction is a central difference of fourth order with its own error bar; the noise of f is measured and the
    step chosen automatically. A mismatch needs two directions that differ, both confirmed at smaller steps, and a
    component that differs at every scale. Wrong components are located by an interval tree, or, if many are wrong,
    sampled.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``.
    x : array_like of float32, float64 or integers, any shape
        Where to check.
    gradient : array_like shaped like x, or callable
        The gradient, or a function ``(x, *args)`` that returns it.
    args : tuple, optional
        Extra arguments of f.
    directions : int, optional
        Random directions whose components move at least by the median of their block; half as many more move every
        component in proportion to itself.
    rng : int or numpy.random.Generator, optional
        Seed of the directions. Default 0: the same directions at every call.
    blocks : mapping of str to shape, optional
        Names of consecutive pieces of the flat x, ``{"W1": (5, 4), "b1": 5}``; located first, and named in causes.
    rtol : float, optional
        Relative difference of a component, or of the whole gradient, that does not matter.
    scale : array_like, optional
        Typical change of each component of x, instead of the sizes of x itself.
    localise : bool, optional
        False stops at the detection.
    max_evaluations : int, optional
        Limit for all evaluations of f. Default: none for the detection, max(400, 64 log2 n) for the location.
    constants : mapping of str to float, optional
        Numbers of the problem (batch size, weight of a regulariser) that a bug may have misplaced.
    threads : int, optional
        Default all that Numba would use. No result depends on it.

    Returns
    -------
    DirectionalCheck
        Verdict, reason, estimate of the relative error, power, wrong components, causes and cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Notes
    -----
    130 evaluations of f when the gradient is right, whatever n; 14 to 30 more for one wrong component, 10 to 20 for
    each of many. The memory besides x and the gradient is a copy of x and one point per thread (one point in all
    from 256 MB of them on).

    A wrong component is invisible when its effect on f is below the noise of f: `smallest_component_error` says where
    that begins. At a kink of f nothing is said.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return (x * x).sum()
    >>> x = np.linspace(1.0, 2.0, 10_000)
    >>> gradient = 2 * x
    >>> gradient[1234] *= 1.5
    >>> result = fastgrad.check_directional(f, x, gradient)
    >>> result.verdict, [row.name for row in result.components]
    (<Verdict.MISMATCH: 'mismatch'>, ['x[1234]'])
    """
    started = time.perf_counter()
    given = point_array(x)
    layout = make_layout(given.shape, blocks)
    settings = _Settings(
        seed=seed_of(rng),
        directions=whole_number(directions, "directions", _FEWEST_DIRECTIONS),
        rtol=positive_number(rtol, "rtol"),
        localise=localise,
        constants=dict(constants or {}),
        limit=None
        if max_evaluations is None
        else whole_number(max_evaluations, "max_evaluations", _FEWEST_EVALUATIONS),
    )
    objective, trial, point = _prepare(f, given, args)
    analytical = analytical_gradient(gradient, given, args)
    regions = layout.blocks or (Block("", 0, given.shape or (1,)),)
    limit = None if settings.limit is None else settings.limit - _TRIALS
    prober = Prober(objective, point, analytical, threads=threads, limit=limit)
    check = _Check(prober, trial, layout, regions, settings)
    check.run(scale)
    prober.require_intact()
    return check.result(time.perf_counter() - started)


@dataclass(frozen=True)
class _Settings:
    seed: int
    directions: int
    rtol: float
    localise: bool
    constants: Mapping[str, float]
    limit: int | None


class _Check:
    """One directional check: detection, then, on a mismatch, location."""

    def __init__(
        self, prober: Prober, trial: Trial, layout: Layout, regions: tuple[Block, ...], settings: _Settings
    ) -> None:
        self._prober = prober
        self._trial = trial
        self._layout = layout
        self._regions = regions
        self._settings = settings
        self._families: list[Family] = []
        self._culprits = Culprits()
        self._searched = False
        self._ruling = rule_without_directions(trial.value)

    def run(self, scale: ArrayLike | None) -> None:
        broken = np.flatnonzero(~np.isfinite(self._prober.analytical))
        if broken.size:
            more = f" and not finite at {broken.size - 1} more" if broken.size > 1 else ""
            first = int(broken[0])
            where = f"{self._prober.analytical[first]} at {self._layout.name(first)}{more}"
            self._ruling = Verdict.MISMATCH, f"the analytical gradient is {where}"
        elif math.isfinite(self._trial.value):
            scalings = make_scalings(self._prober.point, self._regions, scale)
            detector = Detector(
                self._prober, self._trial.value, seed=self._settings.seed,
                precision=float(np.finfo(self._prober.analytical.dtype).eps), noise=self._trial.difference,
            )  # fmt: skip
            self._families = detector.families
            with np.errstate(all="ignore"):
                self._detect(detector, scalings)

    def _detect(self, detector: Detector, scalings: list[Any]) -> None:
        counts = (self._settings.directions, max(2, self._settings.directions // 2))
        try:
            drawn = [detector.draw(scaling, count) for scaling, count in zip(scalings, counts, strict=False)]
            if not any(drawn):
                return
            finding = detector.decide()
        except BudgetSpent:
            self._ruling = Verdict.INCONCLUSIVE, "the evaluations allowed did not suffice for the random directions"
            return
        self._ruling = rule_on_directions(finding, self._families, self._settings.rtol)
        if finding is Finding.DIFFERS and self._settings.localise:
            self._locate(detector)

    def _locate(self, detector: Detector) -> None:
        settings = self._settings
        investigation = Investigation(
            self._prober, detector, self._trial.value, self._regions, settings.constants,
            seed=settings.seed, rtol=settings.rtol,
            precision=float(np.finfo(self._prober.analytical.dtype).eps), budget=settings.limit,
        )  # fmt: skip
        self._culprits = investigation.run()
        self._searched = True
        self._ruling = rule_on_culprits(self._culprits, self._families, settings.rtol, self._layout.name)

    # ---------------------------------------------------------------------------------------------- the result

    def result(self, elapsed: float) -> DirectionalCheck:
        verdict, reason = self._ruling
        families = [family for family in self._families if family.directions]
        family = max(families, key=lambda f: len(f.confirmed), default=None)
        estimate = None if family is None else family.estimate
        floor = math.nan if estimate is None else estimate.floor
        accused = verdict is Verdict.MISMATCH
        return DirectionalCheck(
            verdict=verdict,
            reason=reason,
            relative_error=math.nan if estimate is None else estimate.error,
            interval=_interval(family),
            scale="" if family is None else family.scaling.name,
            smallest_error=POWER * floor,
            smallest_component_error=POWER * floor * math.sqrt(self._prober.point.size),
            components=tuple(self._rows()) if accused else (),
            blocks=tuple(self._blocks()) if accused else (),
            causes=tuple(self._culprits.causes) if verdict is not Verdict.INCONCLUSIVE else (),
            unexplained=describe_remainder(self._culprits) if accused and self._searched else None,
            noise=max((f.noise for f in families), default=math.nan),
            rtol=self._settings.rtol,
            directions=sum(len(f.directions) for f in families),
            evaluations=self._prober.evaluations + _TRIALS,
            elapsed=elapsed,
            threads=self._prober.threads,
            executor=self._prober.route,
        )

    def _rows(self) -> list[Component]:
        wrong = self._culprits.wrong
        if not wrong:
            return []
        scaling = self._families[0].scaling
        size = scaling.at(np.array([s.index for s in wrong], dtype=np.int64))
        order = np.argsort([-abs(s.numerical - s.analytical) * k for s, k in zip(wrong, size, strict=True)])
        return [self._row(wrong[int(k)]) for k in order]

    def _row(self, s: Sample) -> Component:
        absolute, largest = abs(s.numerical - s.analytical), max(abs(s.numerical), abs(s.analytical))
        return Component(
            name=self._layout.name(s.index),
            index=self._layout.index(s.index),
            verdict=Verdict.MISMATCH,
            x=float(self._prober.point.flat[s.index]),
            step=s.step,
            analytical=s.analytical,
            numerical=s.numerical,
            uncertainty=s.bar,
            absolute=absolute,
            relative=absolute / largest if largest > 0.0 else absolute,
        )

    def _blocks(self) -> list[BlockCheck]:
        return [
            BlockCheck(
                name=found.block.name,
                size=found.block.size,
                sampled=len(found.samples),
                wrong=len(found.wrong),
                density=None if found.density is None else found.density[1:],
                place=None if found.pattern is None else found.pattern.text,
                open_intervals=tuple((lo, hi) for lo, hi, _ in found.open),
            )
            for found in self._culprits.findings
        ]


def _interval(family: Family | None) -> tuple[float, float]:
    """Of E; from zero if nothing was confirmed."""
    if family is None:
        return math.nan, math.nan
    estimate = family.estimate
    return (estimate.low if family.confirmed else 0.0), estimate.high


def _prepare(f: Any, given: Point, args: tuple[Any, ...]) -> tuple[Objective, Trial, Point]:
    """f, tried at x; for a float32 x in float64 if f allows, where differences show ten digits more."""
    if given.dtype == np.float32:
        point = point_array(given.flat.astype(np.float64).reshape(given.shape))
        try:
            objective = prepare(f, point, args)
            return objective, try_objective(objective, point), point
        except TypeError:  # f was compiled for float32 only
            pass
    objective = prepare(f, given, args)
    return objective, try_objective(objective, given), given
