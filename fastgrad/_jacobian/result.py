"""From a judgement of all entries to the result that the user gets."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad._causes.cause import Cause
from fastgrad._inputs import Array, Point
from fastgrad._jacobian.assess import EntryAssessor
from fastgrad._jacobian.assessment import EntryAssessment
from fastgrad._jacobian.causes import Dense, find_causes
from fastgrad._jacobian.differences import ColumnDifferences
from fastgrad._jacobian.reason import RowFacts, Words, give_reason
from fastgrad._jacobian.report import Entry, JacobianCheck, KinkedEntry
from fastgrad._judge.verdict import VERDICTS
from fastgrad._layout import Layout
from fastgrad._reason import is_between, overall_verdict
from fastgrad._report_lines import difference_of
from fastgrad._vector_trial import VectorTrial
from fastgrad.metric import error_norms

Floats = NDArray[np.float64]

_ROWS = 5
_MOST_KINKS = 100


@dataclass(frozen=True)
class Names:
    """How the user names rows and columns, and what the matrix is."""

    rows: Layout
    columns: Layout
    kind: str  # "Jacobian" or "Hessian"

    def entry(self, e: int) -> str:
        """The entry at a position, column by column."""
        j, i = divmod(e, math.prod(self.rows.shape))
        text = f"{self.kind[0]}[{i}, {j}]"
        if all(len(layout.shape) == 1 and not layout.blocks for layout in (self.rows, self.columns)):
            return text
        return f"{text} ({self.rows.name(i)} by {self.columns.name(j)})"


def make_result(
    point: Point,
    analytical: Array,
    first: ColumnDifferences | None,
    found: EntryAssessment,
    *,
    assessor: EntryAssessor,
    trial: VectorTrial,
    names: Names,
    constants: Mapping[str, float] | None,
    evaluations: int,
    elapsed: float,
) -> JacobianCheck:
    """Put together what a check found; `analytical` holds the entries as given, column by column, as all do here."""
    m, n = assessor.entries.shape
    numerical, step = _at_given_steps(first, found, n)
    seen = found.seen
    norms = error_norms(numerical, analytical) if seen.all() else error_norms(numerical[seen], analytical[seen])
    words = Words(names.entry, names.rows.name, names.kind, names.rows.title)
    facts = RowFacts(trial.values, trial.difference, assessor.noise_by_row, assessor.entries.rows)
    absolute = _absolute(numerical, analytical) if seen.all() else _absolute(numerical[seen], analytical[seen])
    return JacobianCheck(
        numerical_jacobian=numerical.astype(point.dtype, copy=False).reshape(n, m).T,
        relative_error=norms.relative_error,
        verdict=overall_verdict(found),
        reason=give_reason(found, analytical, facts, words),
        analytical_jacobian=analytical.reshape(n, m).T,
        step=step,
        estimate=found.estimate.reshape(n, m).T,
        uncertainty=found.bar.reshape(n, m).T,
        _codes=found.verdict.reshape(n, m).T,
        flags=found.flags.reshape(n, m).T,
        kinks=_kinks(found, analytical, names),
        causes=_causes(point, analytical, found, names, constants, (m, n)),
        noise=facts.noise,
        rtol=found.rtol,
        row_errors=_row_errors(numerical, analytical, names.rows, (m, n)),
        worst=tuple(_entry(point, analytical, found, names, int(e)) for e in found.worst_first(analytical, _ROWS)),
        norms=norms,
        max_absolute=float(absolute.max()) if absolute.size else np.nan,
        mean_absolute=float(absolute.mean()) if absolute.size else np.nan,
        evaluations=evaluations,
        elapsed=elapsed,
        threads=assessor.evaluator.threads,
        executor=assessor.evaluator.route,
    )


def _absolute(numerical: Floats, analytical: Array) -> Floats:
    with np.errstate(all="ignore"):
        difference = numerical - analytical
    return np.abs(difference, out=difference)


def _at_given_steps(first: ColumnDifferences | None, found: EntryAssessment, n: int) -> tuple[Floats, Floats]:
    """The differences that were asked for, and their steps; where F failed at them, or none were, the estimates."""
    if first is None:
        return found.estimate, _median_steps(found, n)
    if found.still_holds(first.step):
        return found.estimate, first.step
    numerical = first.all_quotients()
    missing = np.flatnonzero(np.isnan(numerical))
    numerical[missing] = found.estimate[missing]
    return numerical, first.step


def _median_steps(found: EntryAssessment, n: int) -> Floats:
    """For each column the step in the middle of those that its entries were settled at."""
    steps = np.sort(found.step.reshape(n, -1), axis=1)  # NaN last
    count = np.maximum(np.count_nonzero(np.isfinite(steps), axis=1), 1)
    return np.asarray(steps[np.arange(n), (count - 1) // 2])


def _entry(point: Point, analytical: Array, found: EntryAssessment, names: Names, e: int) -> Entry:
    j, i = divmod(e, math.prod(names.rows.shape))
    a, b = float(analytical[e]), float(found.estimate[e])
    return Entry(
        row=names.rows.name(i),
        column=names.columns.name(j),
        index=(i, j),
        verdict=VERDICTS[found.verdict[e]],
        x=float(point.flat[j]),
        step=found.step_of(e),
        analytical=a,
        numerical=b,
        uncertainty=float(found.bar[e]),
        **difference_of(a, b),
    )


def _kinks(found: EntryAssessment, analytical: Array, names: Names) -> tuple[KinkedEntry, ...]:
    m = math.prod(names.rows.shape)
    return tuple(
        KinkedEntry(
            names.rows.name(e % m),
            names.columns.name(e // m),
            (e % m, e // m),
            (backward, forward),
            is_between(float(analytical[e]), forward, backward),
        )
        for e, (forward, backward) in itertools.islice(sorted(found.slopes.items()), _MOST_KINKS)
    )


def _causes(
    point: Point,
    analytical: Array,
    found: EntryAssessment,
    names: Names,
    constants: Mapping[str, float] | None,
    shape: tuple[int, int],
) -> tuple[Cause, ...]:
    x = point.flat.astype(np.float64)
    return find_causes(Dense(x, analytical, found, shape, names.kind, constants or {}))


def _row_errors(numerical: Array, analytical: Array, rows: Layout, shape: tuple[int, int]) -> dict[str, float]:
    m, n = shape
    num, ana = numerical.reshape(n, m), analytical.reshape(n, m)
    return {
        block.name: error_norms(
            np.ascontiguousarray(num[:, block.slice]).reshape(-1), np.ascontiguousarray(ana[:, block.slice]).reshape(-1)
        ).relative_error
        for block in rows.blocks
    }
