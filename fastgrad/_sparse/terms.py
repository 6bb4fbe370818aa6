"""Sums of terms, each of few variables: their gradient as the diagonal of a Jacobian.

Let G_j be the sum of the terms that contain x_j. Its derivative by x_j is that of the whole sum, and it does not carry
the noise of all the other terms. So component j of the gradient is judged as entry (j, j) of the Jacobian of G.
"""

import contextlib
import math
from dataclasses import dataclass, replace

import numpy as np

from fastgrad._budget import BudgetSpent
from fastgrad._jacobian.assess import EntryAssessor
from fastgrad._jacobian.differences import ColumnDifferences, take_differences
from fastgrad._judge.rows import Entries, RowSetting
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING
from fastgrad._schedule import Floats, Status
from fastgrad._sparse.alone import Alone, Terms, confirm_alone
from fastgrad._sparse.coloring import group_all_columns
from fastgrad._sparse.course import Begun, Course, Mask
from fastgrad._sparse.pattern import Index, Pattern
from fastgrad._sparse.probe import measured, sizes_of_terms
from fastgrad._vector_schedule import Groups, VectorDifferences, VectorEvaluator
from fastgrad._vector_trial import VectorTrial

_ROUNDINGS = 4.0  # that a term is off by, before its noise is measured


def sums_of_terms(pattern: Pattern, values: Floats) -> Floats:
    """For each variable the sum of the terms that contain it, for each row of `values`."""
    rows = np.atleast_2d(values)
    sums = np.empty((rows.shape[0], pattern.shape[1]))
    for k in range(rows.shape[0]):
        sums[k] = np.bincount(pattern.columns, rows[k, pattern.rows], minlength=pattern.shape[1])
    return sums if values.ndim > 1 else sums[0]


class TermSums(VectorEvaluator):
    """Evaluates the terms, and hands on G."""

    def __init__(self, terms: VectorEvaluator, pattern: Pattern, seconds: float) -> None:
        super().__init__(
            terms.objective, terms.point, terms.size,  # type: ignore[arg-type]
            threads=None if terms.objective.alone else terms.threads, seconds=seconds, budget=terms.budget,
        )  # fmt: skip
        self.size = pattern.shape[1]  # of what is handed on; evaluations still take room for all terms
        self.pattern = pattern

    def group_differences(self, groups: Groups, step: Floats) -> VectorDifferences:
        found = super().group_differences(groups, step)
        above, below = (sums_of_terms(self.pattern, values) for values in (found.above, found.below))
        return VectorDifferences(above, below, found.status)

    def group_displaced(self, groups: Groups, coordinate: Floats) -> tuple[Floats, Status]:
        values, status = super().group_displaced(groups, coordinate)
        return sums_of_terms(self.pattern, values), status

    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, Status]:
        values, status = super().along(direction, multiple)
        return sums_of_terms(self.pattern, values), status


@dataclass
class SeparableCourse(Course):
    """A course whose pattern is that of the terms, and whose entries are the components of the gradient of their sum.

    `given` is the gradient. `pattern` grows by the variables on which a term was found to depend all the same.
    """

    seconds: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.alone = Alone()
        self.sums = TermSums(self.evaluator, self.pattern, self.seconds)

    def _begin(self, groups: Groups, before: EntryAssessor | None) -> Begun:
        n, pattern, value = self.pattern.shape[1], self.pattern, self.trial.values
        self.sums.pattern = pattern
        at_x, repeated = sums_of_terms(pattern, value), sums_of_terms(pattern, self.trial.difference)
        trial = VectorTrial(at_x, (n,), repeated, self.trial.seconds, self.trial.name)
        index = np.arange(n)
        assessor = EntryAssessor(
            self.sums, trial, Entries((n, n), (index, index)), groups, self.given,
            rtol=self.rtol, noise=self.noise, bounds=self.bounds,
        )  # fmt: skip
        assessor.setting = _of_one_gradient(assessor.setting)
        if before is not None:
            assessor.adopt_noise(before)
        first = self._take(groups)
        open_ = assessor.begin(first)
        self._sigma = self._noise(assessor)
        return assessor, first, open_

    def run(self) -> tuple[EntryAssessor, ColumnDifferences]:
        """Measure, probe, extend and judge; then move components that differ alone."""
        assessor, first = super().run()
        terms = Terms(self.evaluator, self.pattern, self.trial.values, self._sigma, self.bounds)
        with contextlib.suppress(BudgetSpent):
            self.alone = confirm_alone(terms, assessor.result, self.given.astype(np.float64))
        return assessor, first

    def measure(self) -> ColumnDifferences:
        """The differences alone, of a pattern that the probes found complete, or that was completed.

        The noise is first taken for a few roundings of the terms, and measured if that leaves the probes unexplained.
        """
        groups, colour = self._grouped()
        first = self._take(groups)
        found, pattern, value = measured(self._terms, self.trial.values), self.pattern, self.trial.values
        self._sigma = _ROUNDINGS * ROUNDING * sizes_of_terms(pattern, found, self.evaluator.point, value)
        search = self._search(found, self._sigma, colour)
        self.unexplained = search.unexplained
        if self.unexplained.any():
            self.given = np.nan_to_num(first.all_quotients())
            _, first, _ = self._grow()
        return first

    @property
    def found_outside(self) -> tuple[Index, Index]:
        """Terms and variables that the pattern lacked, in which F responds."""
        rows, columns = self._found_by_probes()
        more = self.alone.pairs
        return np.concatenate([rows, more[0]]), np.concatenate([columns, more[1]])

    def _found_by_probes(self) -> tuple[Index, Index]:
        new = np.flatnonzero(self.outside)
        if new.size == 0:
            return new, new
        found, row = measured(self._terms, self.trial.values), self.pattern.rows[new]
        bar = math.sqrt(2.0) * NOISE_WIDTH * np.maximum(self._sigma[row], ROUNDING * np.abs(self.trial.values[row]))
        new = new[np.abs(found.quotient[new] * found.distance[new]) > bar]
        return self.pattern.rows[new], self.pattern.columns[new]

    @property
    def resolved_sizes(self) -> Floats:
        """|derivative| of terms by their variables where it is clear of the noise, and zero elsewhere."""
        found, row = self._found, self.pattern.rows
        clear = np.abs(found.quotient * found.distance) > 2.0 * NOISE_WIDTH * self._sigma[row]
        return np.where(clear, np.abs(found.quotient), 0.0)

    def _take(self, groups: Groups) -> ColumnDifferences:
        """Differences of the terms, kept, and of their sums."""
        n, pattern, value = self.pattern.shape[1], self.pattern, self.trial.values
        entries, index = Entries(pattern.shape, (pattern.rows, pattern.columns)), np.arange(n)
        self._terms = take_differences(self.evaluator, entries, groups, self.steps, self.bounds, value)
        terms = self._terms
        above, below, near, far = (
            sums_of_terms(pattern, values) for values in (terms.above, terms.below, terms.near, terms.far)
        )
        return replace(
            terms, entries=Entries((n, n), (index, index)), value=sums_of_terms(pattern, value),
            above=above, below=below, near=near, far=far,
        )  # fmt: skip

    def _grouped(self) -> tuple[Groups, Index]:
        return group_all_columns(self.pattern)  # a variable of no term has a derivative too: zero

    def _by_entry(self, first: ColumnDifferences) -> ColumnDifferences:
        return self._terms

    def _noise(self, assessor: EntryAssessor) -> Floats:
        """Of each term: at most that of each sum which it is part of."""
        noise = np.full(self.pattern.shape[0], np.inf)
        np.minimum.at(noise, self.pattern.rows, assessor.noise_by_row[self.pattern.columns])
        return np.where(np.isfinite(noise), noise, 0.0)

    def _is_spoilt(self, open_: Index) -> Mask:
        spoilt = np.zeros(self.pattern.shape[1], dtype=bool)
        spoilt[self.pattern.columns[self.unexplained[self.pattern.rows]]] = True
        return spoilt[open_]

    def _is_new(self, open_: Index) -> Mask:
        return np.zeros(open_.size, dtype=bool)

    def _extend(self, wider: Pattern) -> None:
        self.pattern = wider


def _of_one_gradient(setting: RowSetting) -> RowSetting:
    """A component too small to be resolved counts as small next to all others, as in `check_gradient`."""
    product, unit = setting.mean_product / setting.unit, setting.unit
    largest = float(product.max())
    mean = largest * float(np.sqrt(np.mean((product / largest) ** 2))) if largest > 0.0 else 0.0
    gradient = float((setting.largest_gradient / unit).max())
    return replace(setting, mean_product=mean * unit, largest_gradient=gradient * unit)
