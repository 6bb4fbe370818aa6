"""From a course with a pattern to the result that the user gets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment
from fastgrad._causes.cause import Cause
from fastgrad._inputs import Array, Point
from fastgrad._jacobian.assess import EntryAssessor
from fastgrad._jacobian.differences import ColumnDifferences
from fastgrad._jacobian.reason import RowFacts, Words, give_reason
from fastgrad._jacobian.report import Entry
from fastgrad._judge.verdict import MATCH, MISMATCH, MISMATCH_BARS, VERDICTS, Flag, Verdict
from fastgrad._layout import Layout
from fastgrad._reason import overall_verdict, worst_first
from fastgrad._report_lines import difference_of
from fastgrad._sparse.causes import Given, find_causes
from fastgrad._sparse.course import Course
from fastgrad._sparse.local_causes import Listed, find_local_causes
from fastgrad._sparse.pattern import Index, Pattern
from fastgrad._sparse.report import PatternCheck, SparseJacobianCheck
from fastgrad.metric import error_norms

Floats = NDArray[np.float64]

_ROWS = 5
_MOST_MISSING = 100
_MOST_NAMED = 3


@dataclass(frozen=True)
class Subject:
    """What was given, for the report."""

    point: Point
    jacobian: tuple[Pattern, Array]  # entries and values
    declared: Pattern
    rows: Layout
    columns: Layout
    constants: Mapping[str, float]
    build: Callable[[Index, Index, Array], Any]  # a matrix in the form of the given one, from a list of entries


@dataclass(frozen=True)
class _Listed:
    """The entries that are reported, with names."""

    subject: Subject
    pattern: Pattern
    found: Assessment
    analytical: Array
    outside: NDArray[np.bool_]

    def name(self, e: int) -> str:
        i, j = int(self.pattern.rows[e]), int(self.pattern.columns[e])
        return f"J[{i}, {j}] (d {self.subject.rows.name(i)} / d {self.subject.columns.name(j)})"


def make_sparse_result(
    course: Course,
    assessor: EntryAssessor,
    first: ColumnDifferences,
    subject: Subject,
    *,
    evaluations: int,
    elapsed: float,
) -> SparseJacobianCheck:
    """Put together what a check with a pattern found."""
    # Guesses that proved empty are no entries of anything.
    kept = ~(course.outside & (assessor.result.verdict == MATCH))
    listed = _listed(course, assessor.result, subject, kept)
    numerical = _numerical(course, assessor.result, first)[kept]
    analytical, found, seen = listed.analytical.astype(np.float64), listed.found, listed.found.seen
    norms = error_norms(numerical[seen], analytical[seen])
    with np.errstate(all="ignore"):
        absolute = np.abs(numerical[seen] - analytical[seen])
    blind = course.blind(_resolved_sizes(assessor.result))
    pattern = pattern_check(course, subject.declared, _lacking(subject, listed), blind)
    verdict = _verdict(found, pattern)
    return SparseJacobianCheck(
        numerical_jacobian=subject.build(listed.pattern.rows, listed.pattern.columns, numerical),
        relative_error=norms.relative_error,
        verdict=verdict,
        reason=_reason(listed, course, pattern, assessor, (verdict, blind)),
        rows=listed.pattern.rows,
        columns=listed.pattern.columns,
        analytical=listed.analytical,
        numerical=numerical,
        estimate=found.estimate,
        uncertainty=found.bar,
        _codes=found.verdict,
        flags=found.flags,
        outside=listed.outside,
        pattern=pattern,
        step=course.steps,
        causes=_causes(listed, course),
        noise=assessor.noise_by_row,
        rtol=course.rtol,
        row_errors=_row_errors(listed, numerical),
        worst=tuple(_entry(listed, int(e)) for e in worst_first(found, analytical, _ROWS)),
        norms=norms,
        max_absolute=float(absolute.max()) if absolute.size else np.nan,
        mean_absolute=float(absolute.mean()) if absolute.size else np.nan,
        evaluations=evaluations,
        elapsed=elapsed,
        threads=assessor.evaluator.threads,
        executor=assessor.evaluator.route,
    )


def _causes(listed: _Listed, course: Course) -> tuple[Cause, ...]:
    """Laws that probes show of the whole matrix; else those of full matrices, on what is listed."""
    wrong = np.flatnonzero(listed.found.verdict == MISMATCH)
    if wrong.size == 0:
        return ()
    given = Given(*_as_floats(listed.subject.jacobian), course.probes, course.first_left, course.rtol)
    x = listed.subject.point.flat.astype(np.float64)
    analytical = listed.analytical.astype(np.float64)
    entries = Listed(x, listed.pattern, analytical, listed.found, course.unexplained, listed.subject.constants)
    return find_causes(given, (listed.pattern.rows[wrong], listed.pattern.columns[wrong])) or find_local_causes(entries)


def _numerical(course: Course, found: Assessment, first: ColumnDifferences) -> Floats:
    """First differences; where F failed, or an entry that was not found disturbs, what a closer look is worth."""
    numerical = first.all_quotients()
    looked = np.isfinite(found.bar) & ~found.flagged(Flag.PLAIN)
    spoilt = np.isnan(numerical) | (looked & course.unexplained[course.pattern.rows])
    numerical[spoilt] = found.estimate[spoilt]
    return numerical


def _listed(course: Course, found: Assessment, subject: Subject, kept: NDArray[np.bool_]) -> _Listed:
    pattern = Pattern(course.pattern.shape, course.pattern.rows[kept], course.pattern.columns[kept])
    return _Listed(subject, pattern, _only(found, kept), course.given[kept], course.outside[kept])


def _as_floats(jacobian: tuple[Pattern, Array]) -> tuple[Pattern, Floats]:
    return jacobian[0], jacobian[1].astype(np.float64)


def _only(found: Assessment, kept: NDArray[np.bool_]) -> Assessment:
    place = np.cumsum(kept) - 1
    return Assessment(
        found.verdict[kept], found.estimate[kept], found.bar[kept], found.step[kept], found.flags[kept],
        found.scale[kept], found.noise, found.rtol, found.seen[kept], found.stopped_by,
        {int(place[e]): slopes for e, slopes in found.slopes.items() if kept[e]},
    )  # fmt: skip


def _resolved_sizes(found: Assessment) -> Floats:
    """|entry| of those that agree for their own size, not because they are too small to be resolved; zero of others."""
    resolved = (found.verdict == MATCH) & ((found.flags & (Flag.ABSOLUTE | Flag.CONSTANT)) == 0)
    return np.where(resolved, np.abs(found.estimate), 0.0)


def pattern_check(
    course: Course, declared: Pattern, missing: tuple[Index, Index], blind: NDArray[np.bool_]
) -> PatternCheck:
    """What is known of a pattern; `missing` are entries that it lacks, though they were given otherwise or found."""
    with np.errstate(invalid="ignore"):
        visible = np.max([left.bar for left in course.first_left], axis=0) / float(np.median(course.steps))
    rows, columns = missing
    return PatternCheck(
        entries=declared.size,
        groups=course.groups_at_first,
        probes=len(course.probes),
        suspicious=int(np.count_nonzero(course.suspicious)),
        unexplained=int(np.count_nonzero(course.unexplained)),
        unknown=int(np.count_nonzero(course.unknown)),
        blind=int(np.count_nonzero(blind)),
        visible=visible,
        lacking=int(rows.size),
        missing=tuple(zip(rows[:_MOST_MISSING].tolist(), columns[:_MOST_MISSING].tolist(), strict=True)),
    )


def _lacking(subject: Subject, listed: _Listed) -> tuple[Index, Index]:
    """Entries of the Jacobian, and of F, that the pattern declared for it has not."""
    rows, columns = listed.pattern.rows, listed.pattern.columns
    lacking = (subject.declared.find(rows, columns) < 0) & ~listed.outside
    lacking &= np.abs(listed.found.estimate) > MISMATCH_BARS * listed.found.bar
    return rows[lacking], columns[lacking]


def _verdict(found: Assessment, pattern: PatternCheck) -> Verdict:
    verdict = Verdict.MISMATCH if pattern.lacking else overall_verdict(found)
    return Verdict.INCONCLUSIVE if verdict is Verdict.MATCH and not pattern.held else verdict


# --- the reason ---------------------------------------------------------------------------------------------------


def _reason(
    listed: _Listed,
    course: Course,
    pattern: PatternCheck,
    assessor: EntryAssessor,
    outcome: tuple[Verdict, NDArray[np.bool_]],
) -> str:
    verdict, blind = outcome
    facts = RowFacts(
        course.trial.values, course.trial.difference, assessor.noise_by_row, lambda e: listed.pattern.rows[e]
    )
    words = Words(listed.name, listed.subject.rows.name, "Jacobian", listed.subject.rows.title)
    outside = np.flatnonzero(listed.outside & (listed.found.verdict == MISMATCH))
    inside = np.flatnonzero(~listed.outside & (listed.found.verdict == MISMATCH))
    if outside.size:
        text = _outside(listed, outside, pattern)
        if inside.size == 0:
            return text
        worst = int(inside[np.argmax(np.abs(listed.found.estimate[inside] - listed.analytical[inside]))])
        return text + f"; {inside.size} entries inside it differ, the most {_compared(listed, worst)}"
    if verdict is not Verdict.INCONCLUSIVE or overall_verdict(listed.found) is Verdict.INCONCLUSIVE:
        text = give_reason(listed.found, listed.analytical, facts, words)
        return _lack(pattern) + text + (", and nothing shows outside the pattern" if verdict is Verdict.MATCH else "")
    return _not_verified(listed.subject.rows, course, blind)


def _not_verified(rows: Layout, course: Course, blind: NDArray[np.bool_]) -> str:
    """The entries agree, but there may be others."""
    unexplained, unknown = np.flatnonzero(course.unexplained), np.flatnonzero(course.unknown)
    if unexplained.size:
        return (
            f"the entries agree, but {rows.name(int(unexplained[0]))} does not respond as their sum, and no entry "
            f"outside the pattern was found to explain it ({unexplained.size} such row"
            f"{'s' if unexplained.size > 1 else ''}): a kink of F, noise, or too large a step?"
        )
    which = unknown if unknown.size else np.flatnonzero(blind)
    where = f"{which.size} rows, of which the first is " if which.size > 1 else ""
    text = f"the entries agree, but the pattern could not be verified in {where}{rows.name(int(which[0]))}: "
    if unknown.size:
        return text + "F is not finite when all coordinates move; check at another x"
    noise, bend = (max(getattr(one, part)[which[0]] for one in course.first_left) for part in ("noise", "bend"))
    if bend > noise:
        return text + "F bends so much within the steps that an entry outside would not show; pass a smaller epsilon"
    return text + "its noise would hide an entry outside; pass a larger epsilon"


def _compared(listed: _Listed, e: int) -> str:
    return (
        f"{listed.name(e)}: analytical {listed.analytical[e]:.6g}, numerical {listed.found.estimate[e]:.6g} +- "
        f"{listed.found.bar[e]:.1g}"
    )


def _outside(listed: _Listed, outside: Index, pattern: PatternCheck) -> str:
    """What lies outside the pattern, the largest first."""
    total = int(np.count_nonzero(listed.outside))
    order = outside[np.argsort(-np.abs(listed.found.estimate[outside]), kind="stable")]
    named = ", ".join(
        f"{listed.name(e)} = {listed.found.estimate[e]:.6g} +- {listed.found.bar[e]:.1g}"
        for e in order[:_MOST_NAMED].tolist()
    )
    more = f" and {total - _MOST_NAMED} more" if total > _MOST_NAMED else ""
    rows = f"{pattern.unexplained} row{'s' if pattern.unexplained > 1 else ''}"
    rest = f"; more is outside it in {rows}" if pattern.unexplained else ""
    return f"outside the pattern F has {'an entry' if total == 1 else 'entries'} {named}{more}{rest}"


def _lack(pattern: PatternCheck) -> str:
    if not pattern.missing:
        return ""
    i, j = pattern.missing[0]
    more = f" and {pattern.lacking - 1} more" if pattern.lacking > 1 else ""
    return f"the sparsity given lacks ({i}, {j}){more}, where the Jacobian has an entry and F too; for the rest, "


# --- entries and rows ---------------------------------------------------------------------------------------------


def _entry(listed: _Listed, e: int) -> Entry:
    i, j = int(listed.pattern.rows[e]), int(listed.pattern.columns[e])
    found = listed.found
    a, b = float(listed.analytical[e]), float(found.estimate[e])
    return Entry(
        row=listed.subject.rows.name(i),
        column=listed.subject.columns.name(j),
        index=(i, j),
        verdict=VERDICTS[found.verdict[e]],
        x=float(listed.subject.point.flat[j]),
        step=float(found.step[e]),
        analytical=a,
        numerical=b,
        uncertainty=float(found.bar[e]),
        **difference_of(a, b),
    )


def _row_errors(listed: _Listed, numerical: Floats) -> dict[str, float]:
    errors, analytical = {}, listed.analytical.astype(np.float64)
    for block in listed.subject.rows.blocks:
        mine = (listed.pattern.rows >= block.start) & (listed.pattern.rows < block.stop)
        errors[block.name] = error_norms(numerical[mine], analytical[mine]).relative_error
    return errors
