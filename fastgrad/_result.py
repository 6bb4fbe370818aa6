"""From an assessment to the result that the user gets."""

import itertools
from collections.abc import Mapping

import numpy as np

from fastgrad._assessment import Assessment, verdicts_of
from fastgrad._causes.cause import Cause, find_causes
from fastgrad._first import FirstDifferences
from fastgrad._inputs import Array, Point
from fastgrad._judge.setting import NOISE_WIDTH
from fastgrad._judge.verdict import MISMATCH, VERDICTS, Flag
from fastgrad._layout import Layout
from fastgrad._objective import Trial
from fastgrad._reason import give_reason, is_between, overall_verdict, worst_first
from fastgrad._report import Component, GradientCheck, Kink
from fastgrad._report_lines import difference_of
from fastgrad._schedule import Evaluator
from fastgrad.metric import error_norms

_ROWS = 5
_MOST_KINKS = 100


def make_result(
    point: Point,
    analytical: Array,
    first: FirstDifferences | None,
    found: Assessment,
    *,
    trial: Trial,
    layout: Layout,
    evaluator: Evaluator,
    constants: Mapping[str, float] | None,
    evaluations: int,
    elapsed: float,
) -> GradientCheck:
    """Put together what a check found; without first differences the best estimates are the numerical gradient."""
    given = analytical.astype(np.float64)
    numerical, steps = found.estimate, found.step
    if first is not None:
        # Where f failed at the given step, the estimate of the closer look is all there is.
        taken = np.isfinite(first.quotient)
        numerical, steps = np.where(taken, first.quotient, numerical), np.where(taken, first.step, steps)
    if trial.difference == 0.0 and found.is_stationary(given, trial.value):
        found.flag_stationary()
    seen = found.seen
    norms = error_norms(numerical, given) if seen.all() else error_norms(numerical[seen], given[seen])
    with np.errstate(all="ignore"):
        absolute = np.abs(numerical[seen] - given[seen])
    return GradientCheck(
        numerical_grad=layout.shaped(numerical.astype(point.dtype)),
        relative_error=norms.relative_error,
        verdict=overall_verdict(found),
        reason=give_reason(found, given, trial.value, trial.difference, layout.name),
        analytical_grad=layout.shaped(analytical),
        step=layout.shaped(steps),
        estimate=layout.shaped(found.estimate),
        uncertainty=layout.shaped(found.bar),
        resolution=layout.shaped(_resolution(found, given)),
        verdicts=layout.shaped(verdicts_of(found.verdict)),
        flags=layout.shaped(found.flags),
        kinks=_kinks(found, given, layout),
        causes=_causes(point, given, found, layout, constants),
        noise=found.noise,
        rtol=found.rtol,
        worst=tuple(_row(point, given, found, layout, int(k)) for k in worst_first(found, given, _ROWS)),
        norms=norms,
        max_absolute=float(absolute.max()) if absolute.size else np.nan,
        mean_absolute=float(absolute.mean()) if absolute.size else np.nan,
        evaluations=evaluations,
        elapsed=elapsed,
        coverage=float(seen.mean()),
        threads=evaluator.threads,
        executor=evaluator.route,
        layout=layout,
    )


def _resolution(found: Assessment, analytical: Array) -> Array:
    """Smallest rtol at which each component would match; 0 for two zeros."""
    with np.errstate(all="ignore"):
        gap = np.abs(found.estimate - analytical) + found.bar
        size = np.maximum(np.abs(analytical), np.abs(found.estimate))
        ratio = gap / size
    return np.where(gap == 0.0, 0.0, ratio)


def _row(point: Point, analytical: Array, found: Assessment, layout: Layout, k: int) -> Component:
    a, b = float(analytical[k]), float(found.estimate[k])
    return Component(
        name=layout.name(k),
        index=layout.index(k),
        verdict=VERDICTS[found.verdict[k]],
        x=float(point.flat[k]),
        step=float(found.step[k]),
        analytical=a,
        numerical=b,
        uncertainty=float(found.bar[k]),
        **difference_of(a, b),
    )


def _kinks(found: Assessment, analytical: Array, layout: Layout) -> tuple[Kink, ...]:
    return tuple(
        Kink(
            layout.name(k),
            layout.index(k),
            (backward, forward),
            is_between(float(analytical[k]), forward, backward),
        )
        for k, (forward, backward) in itertools.islice(sorted(found.slopes.items()), _MOST_KINKS)
    )


def _causes(
    point: Point, analytical: Array, found: Assessment, layout: Layout, constants: Mapping[str, float] | None
) -> tuple[Cause, ...]:
    wrong = found.verdict == MISMATCH
    if not wrong.any():
        return ()
    # Components that differ but were not looked at closely are no evidence on their own; with a bar of a tenth
    # of their difference, or of their noise, they can still contradict a law.
    unconfirmed = found.flagged(Flag.UNCONFIRMED)
    with np.errstate(all="ignore"):
        noise = NOISE_WIDTH * found.noise / found.step
        bar = np.where(unconfirmed, np.maximum(0.1 * np.abs(found.estimate - analytical), noise), found.bar)
    return find_causes(
        point.flat, analytical, found.estimate, bar, wrong,
        blocks=layout.blocks or None, shape=layout.shape, constants=constants,
    )  # fmt: skip
