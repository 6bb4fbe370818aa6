"""From differences of columns to a judgement of every entry: the steps of `_assess`, many scalar functions at once."""

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._budget import BudgetSpent
from fastgrad._far import change_far_away
from fastgrad._first import Bounds
from fastgrad._jacobian.assessment import EntryAssessment
from fastgrad._jacobian.differences import ColumnDifferences, Failure, take_differences
from fastgrad._jacobian.looks import CloserLooks
from fastgrad._jacobian.noise import RowTables, noise_of_residuals
from fastgrad._jacobian.screen import Screened, screen_all
from fastgrad._jacobian.setting import make_row_setting
from fastgrad._judge.plain import advise, judge_plain
from fastgrad._judge.row_noise import RowNoise, constant_row_noise
from fastgrad._judge.rows import Entries
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING
from fastgrad._judge.verdict import INCONCLUSIVE, MATCH, Flag
from fastgrad._vector_schedule import Groups, VectorEvaluator
from fastgrad._vector_trial import VectorTrial

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_RETRIES = 3  # times that columns get a better step before single entries are looked at


class EntryAssessor:
    """Judges all entries of one Jacobian at one point, spending evaluations only on columns in doubt."""

    def __init__(
        self,
        evaluator: VectorEvaluator,
        trial: VectorTrial,
        entries: Entries,
        groups: Groups,
        given: NDArray[Any],
        *,
        rtol: float,
        noise: Floats | None,
        bounds: Bounds | None,
    ) -> None:
        """`groups` holds every column once; `noise` is known for each row; `given` are the entries to be judged."""
        self.evaluator, self.entries, self.groups, self.bounds = evaluator, entries, groups, bounds
        self.value = trial.values
        self.finite_rows = np.isfinite(trial.values)
        finite = np.isfinite(given)
        self.setting = make_row_setting(
            entries,
            evaluator.point.flat.astype(np.float64),
            _finite_values(given, finite),
            np.where(self.finite_rows, trial.values, 0.0),
            rtol=rtol,
            precision=float(np.finfo(given.dtype).eps),
            noise=constant_row_noise(1.5 * trial.difference),
            grid=evaluator.point.dtype,
        )
        self.repeat_noise = 1.5 * trial.difference * self.setting.unit
        self.given_noise = None if noise is None else constant_row_noise(noise * self.setting.unit)
        self.looks = CloserLooks(evaluator, groups.count, bounds)
        self.failures: dict[int, Failure] = {}  # by column
        all_finite = bool(finite.all() and self.finite_rows.all())
        every = slice(0, entries.size)
        self.judged = every if all_finite else np.flatnonzero(finite & self.finite_rows[entries.rows(every)])
        self.result = EntryAssessment(self.setting, None if finite.all() else ~finite)
        if not self.finite_rows.all():
            self.result.flags[~self.finite_rows[entries.rows(every)]] = int(Flag.NON_FINITE)

    def judge(self, first: ColumnDifferences | None) -> EntryAssessment:
        """Judge all entries: of differences that somebody else chose the steps for, or of steps chosen here."""
        return self.settle(self.begin(first), first)

    def begin(self, first: ColumnDifferences | None) -> Index:
        """Settle the noise, and judge what the first differences settle; returns the entries that stay open."""
        open_ = self.judged
        if first is not None:
            self.failures.update(first.failures)
            self.result.seen |= self._seen(first)
            self.result.column_step = first.step.copy()
            quick = self._noise_without_tables(first)
            if quick is not None:
                self.setting = self.setting.with_noise(quick)
                open_ = self._judge_plain(self.judged, first)
                if open_.size == 0:
                    return open_
        with contextlib.suppress(BudgetSpent):
            self._measure_noise()
        if first is not None:
            open_ = self._accept_flat(self._judge_plain(self.judged, first), first)
        return self._listed(open_)

    def settle(self, open_: Index, first: ColumnDifferences | None) -> EntryAssessment:
        """Take other steps, and closer looks, for the entries that are open."""
        if open_.size:
            left = self._at_better_steps(open_, first)
            self.looks.settle(self.setting, left, self.result)
            self.result.doubt_constants_of_rows(open_, self.setting.noise.is_flat)
        return self._finish()

    def adopt_noise(self, other: "EntryAssessor") -> None:
        """Take the noise that was settled for other entries of the same F, instead of measuring it."""
        noise = other.setting.noise
        unit = self.setting.unit / other.setting.unit
        self.given_noise = replace(noise, sigmas=noise.sigmas * unit)
        self.setting = self.setting.with_noise(self.given_noise, other.setting.coarse)

    def leave_open(self, entries: Index) -> None:
        """Say of entries that they were not looked at closely."""
        self.result.flags[entries] |= int(Flag.UNCONFIRMED)

    def _listed(self, which: Any) -> Index:
        return np.arange(self.entries.size) if isinstance(which, slice) else which

    def _seen(self, first: ColumnDifferences) -> NDArray[np.bool_]:
        if first.seen.all():
            return np.ones(1, dtype=bool)
        return first.seen[self.entries.columns(slice(0, self.entries.size))]

    # --- noise ---

    def _noise_without_tables(self, first: ColumnDifferences) -> RowNoise | None:
        if self.given_noise is not None:
            return self.given_noise
        return noise_of_residuals(self.setting, first, self.judged, self.repeat_noise)

    def _measure_noise(self) -> None:
        if self.given_noise is not None:
            self.setting = self.setting.with_noise(self.given_noise)
            return
        tables = RowTables(self.evaluator, self.setting, self.groups, self.finite_rows, self.bounds)
        self.setting = self.setting.with_noise(*tables.measure(self.repeat_noise))

    # --- differences of whole columns ---

    def _judge_plain(self, which: Any, first: ColumnDifferences) -> Index:
        """Accept the entries that agree; return the others that were seen, most suspicious first."""
        if isinstance(which, slice) and len(self.setting.noise.spacings) == 1 and (first.group >= 0).all():
            return self._judge_screened(first)
        open_, suspicions = [], []
        for part in self.entries.parts(which):
            row, column = self.entries.rows(part), self.entries.columns(part)
            unit, step = self.setting.unit[row], first.step[column]
            above, below, quotient = (values * unit for values in first.read(part))
            here = np.arange(quotient.size)
            judged = judge_plain(self.setting.of(part), here, step, above, below, quotient)
            agrees = judged.agrees
            self._record_plain(part, agrees, judged.absolute, quotient, judged.bar, step)
            if not agrees.all():
                rest = np.flatnonzero(~agrees & first.seen[column])
                open_.append(part.start + rest if isinstance(part, slice) else part[rest])
                suspicions.append(judged.suspicion[rest])
        if not open_:
            return np.zeros(0, np.int64)
        return np.concatenate(open_)[np.argsort(-np.concatenate(suspicions), kind="stable")]

    def _judge_screened(self, first: ColumnDifferences) -> Index:
        """The same for all entries at once, of which most agree; what the compiled rule leaves open is judged again."""
        result = self.result
        found = Screened(result.estimate, result.bar, result.flags)
        count, largest = screen_all(self.setting, first, result.weight, found, lanes=self.evaluator.threads)
        result.verdict = np.where(found.flags != 0, np.int8(MATCH), np.int8(INCONCLUSIVE))
        left = self._judge_plain(np.flatnonzero(found.flags == 0), first) if count else np.zeros(0, np.int64)
        result.note_first_look(largest, left)
        return left

    def _record_plain(
        self,
        part: Any,
        agrees: NDArray[np.bool_],
        absolute: NDArray[np.bool_],
        quotient: Floats,
        bar: Floats,
        step: Floats,
    ) -> None:
        result, unit = self.result, self.setting.unit[self.entries.rows(part)]
        result.verdict[part] = np.where(agrees, MATCH, INCONCLUSIVE)
        result.estimate[part] = quotient / unit
        result.bar[part] = np.where(agrees, bar / unit, np.inf)
        result.step[part] = step
        result.flags[part] = np.where(agrees, int(Flag.PLAIN), 0) | np.where(absolute, int(Flag.ABSOLUTE), 0)

    def _accept_flat(self, open_: Index, first: ColumnDifferences) -> Index:
        """Accept zeros where F_i is the same to the bit at the first step and at a wide one; return the others.

        Zeros of a sparse Jacobian can be many, and need no search each; 2 evaluations per group of columns.
        """
        above, below = first.around(open_)
        value = self.value[self.entries.rows(open_)]
        flat = (self.setting.given[open_] == 0.0) & (above == value) & (below == value)
        zeros = open_[flat]
        if zeros.size == 0:
            return open_
        rows = self.setting
        if (rows.largest_product[self.entries.rows(zeros)] == 0.0).any() and np.isnan(rows.far_change).all():
            change = change_far_away(self.evaluator, rows.x, rows.far_away(), self.bounds, rows.value, rows.unit)
            self.setting = rows.with_far_change(change)
        setting = self.setting.of(zeros)
        steps = self.setting.common_steps(zeros, np.asarray(setting.widest_step(slice(None))), 2)
        wide = steps[self.entries.columns(zeros)]
        good = np.asarray(setting.is_flat_enough(slice(None), wide)) & self._within_bounds(zeros, wide)
        zeros, wide = zeros[good], wide[good]
        if zeros.size == 0:
            return open_
        found = self._take(zeros, steps)
        above, below = found.around(zeros)
        same = (above == self.value[self.entries.rows(zeros)]) & (below == self.value[self.entries.rows(zeros)])
        constant, wide = zeros[same], wide[same]
        value = self.value[self.entries.rows(constant)]
        self.result.verdict[constant] = MATCH
        self.result.estimate[constant] = 0.0
        self.result.bar[constant] = NOISE_WIDTH * ROUNDING * np.abs(value) / wide
        self.result.step[constant] = wide
        self.result.flags[constant] = int(Flag.CONSTANT)
        return open_[~np.isin(open_, constant)]

    def _within_bounds(self, entry: Index, step: Floats) -> NDArray[np.bool_]:
        if self.bounds is None:
            return np.ones(entry.size, dtype=bool)
        j = self.entries.columns(entry)
        x = self.setting.x[j]
        return np.asarray((x - step >= self.bounds.lower[j]) & (x + step <= self.bounds.upper[j]))

    def _take(self, entry: Index, steps: Floats) -> ColumnDifferences:
        """Differences of the columns that some entries are in."""
        wanted = np.zeros(self.setting.x.size, dtype=bool)
        wanted[self.entries.columns(entry)] = True
        groups = self.groups.only(wanted[self.groups.index])
        found = take_differences(self.evaluator, self.entries, groups, steps, self.bounds, self.value)
        self.failures.update(found.failures)
        return found

    def _at_better_steps(self, open_: Index, first: ColumnDifferences | None) -> Index:
        """Give columns in doubt another step, first that which suits most of their entries; return what stays open."""
        if open_.size == 0:
            return open_
        promising, wanted = open_, self.setting.automatic_steps(open_)
        for attempt in range(_RETRIES):
            found = self._take(promising, self.setting.common_steps(promising, wanted, 3 + attempt))
            if first is None and attempt == 0:
                self.result.seen |= self._seen(found)
            left = self._accept_flat(self._judge_plain(promising, found), found)
            open_ = np.concatenate([left, open_[~np.isin(open_, promising)]])
            promising, wanted = self._advised_steps(left, found)
            if promising.size == 0 or 4 * promising.size < open_.size:
                break
        return open_

    def _advised_steps(self, open_: Index, found: ColumnDifferences) -> tuple[Index, Floats]:
        """The entries that would agree at another step if they are right, and that step."""
        entries, steps = [], []
        for part in self.entries.parts(open_):
            row, column = self.entries.rows(part), self.entries.columns(part)
            unit, step = self.setting.unit[row], found.step[column]
            around_and_quotient = (values * unit for values in found.read(part))
            advice = advise(self.setting.of(part), np.arange(part.size), step, *around_and_quotient)
            promising = np.isfinite(advice.factor) & np.isfinite(step)
            entries.append(part[promising])
            steps.append((step * advice.factor)[promising])
        if not entries:
            return np.zeros(0, np.int64), np.zeros(0)
        return np.concatenate(entries), np.concatenate(steps)

    def _finish(self) -> EntryAssessment:
        self.result.stopped_by = self.evaluator.budget.spent_by
        self.result.noise = float(self.noise_by_row[self.finite_rows].max(initial=0.0))
        return self.result

    @property
    def noise_by_row(self) -> Floats:
        """Standard deviation of F_i that the verdict reckons with, in the units of F."""
        return np.asarray(self.setting.noise.largest / self.setting.unit)

    @property
    def all_failures(self) -> dict[int, Failure]:
        """Where F failed, by column."""
        return {**self.failures, **self.looks.memory.failures}

    @property
    def unexplained_failures(self) -> dict[int, Failure]:
        """Columns where F failed and of which some entry was never seen at all."""
        failures = self.all_failures
        if not failures:
            return {}
        blind = np.zeros(self.entries.shape[1], dtype=bool)
        judged = self._listed(self.judged)
        blind[self.entries.columns(judged[np.isnan(self.result.estimate[judged])])] = True
        return {j: failure for j, failure in failures.items() if blind[j]}


def _finite_values(given: NDArray[Any], finite: NDArray[np.bool_]) -> Floats:
    values = given if finite.all() else np.where(finite, given, 0.0)
    return values.astype(np.float64, copy=False)
