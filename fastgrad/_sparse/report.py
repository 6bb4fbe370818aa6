"""The result of a check of a sparse Jacobian: entries in a list, and what is known of the pattern."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import verdicts_of
from fastgrad._causes.cause import Cause
from fastgrad._html import HtmlReport
from fastgrad._jacobian.report import Entry, block_lines, plain_fields, worst_lines
from fastgrad._judge.verdict import Verdict
from fastgrad._report_lines import WIDTH, cost_line, headline, norm_lines
from fastgrad.metric import ErrorNorms


@dataclass(frozen=True)
class PatternCheck(HtmlReport):
    """How a sparsity pattern was used and verified.

    Attributes
    ----------
    entries, groups : int
        Entries of the pattern, and groups of columns without a common row that it allowed: 2 evaluations each.
    probes : int
        Random directions along which F was compared with the sum over the entries, 2 evaluations each.
    suspicious : int
        Rows in which the probes saw something outside the pattern.
    unexplained : int
        Those of them in which more is outside than was found.
    unknown : int
        Rows that could not be probed, because F is not finite nearby.
    blind : int
        Rows in which noise or curvature is so large that the probes might have missed, with a probability of more than
        1e-4, an entry that moves the row as much as its largest entry does, each by its step.
    visible : ndarray of float64, shape (m,)
        Size of an entry that is as large as the bar of its row, in units of F over x at the median step. An entry of
        r times this size outside the pattern is missed with a probability of r^-probes at most, likewise several in
        one row of which the largest has that size.
    lacking : int
        Entries of the Jacobian, and of F, that the pattern declared for it lacks.
    missing : tuple of (int, int)
        Where they are; the first 100.
    """

    entries: int
    groups: int
    probes: int
    suspicious: int
    unexplained: int
    unknown: int
    blind: int
    visible: NDArray[np.float64]
    lacking: int
    missing: tuple[tuple[int, int], ...]

    @property
    def held(self) -> bool:
        """Whether nothing shows outside the pattern in any row, and would have if there were something."""
        return not (self.unexplained or self.unknown or self.blind)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        missing = [list(entry) for entry in self.missing]
        return {**self.__dict__, "visible": self.visible.tolist(), "missing": missing}

    def __str__(self) -> str:
        known = self.visible[np.isfinite(self.visible)]
        median, worst = (float(np.median(known)), float(known.max())) if known.size else (np.nan, np.nan)
        return (
            f"{self.entries} entries in {self.groups} group{'s' if self.groups != 1 else ''} of columns; {self.probes} "
            f"probes see entries outside the pattern: one of r times {median:.1g} (median row; worst row {worst:.1g}) "
            f"is missed with probability 1 / r^{self.probes} at most."
        )


@dataclass(frozen=True, eq=False, repr=False)
class SparseJacobianCheck(HtmlReport, tuple[Any, float]):
    """Outcome of `check_jacobian` with a pattern: the tuple (numerical_jacobian, relative_error), and the evidence.

    Entries are listed column by column: those of the pattern and of the Jacobian given, and those found outside them.

    Attributes
    ----------
    numerical_jacobian : scipy.sparse.csc_array or ndarray, shape (m, n)
        Central differences, in the dtype of x; dense if the Jacobian was given so.
    relative_error : float
        ||numerical - analytical|| / (||numerical|| + ||analytical||) in Frobenius norms over the entries listed.
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE. A match includes that the pattern held, and that it was seen to in every row.
        A pattern declared that lacks entries which the Jacobian and F have is a mismatch.
    reason : str
        Why, in a sentence.
    rows, columns : ndarray of int64, shape (entries,)
        Where the entries are.
    analytical, numerical : ndarray, shape (entries,)
        The Jacobian checked, zero outside its own entries; and the differences.
    estimate, uncertainty : ndarray of float64, shape (entries,)
        Best estimate of each entry and its error bar; the verdict rests on them.
    verdicts : ndarray of Verdict, shape (entries,)
        Of each entry; made anew whenever asked for.
    flags : ndarray of uint16, shape (entries,)
        What else is known of each entry: `fastgrad.Flag` values.
    outside : ndarray of bool, shape (entries,)
        Entries that are neither in the pattern nor in the Jacobian, but were found in F.
    pattern : PatternCheck
        How the pattern was used and verified.
    step : ndarray of float64, shape (n,)
        Step of each column.
    causes : tuple of Cause
        Bugs that explain the wrong entries, only when the data leave no doubt.
    noise : ndarray of float64, shape (m,)
        Noise level of each value of F (standard deviation) that the verdict reckons with.
    rtol : float
        What counted as equal.
    row_errors : dict of str to float
        Relative error of each block of rows; empty without blocks.
    worst : tuple of Entry
        The entries that differ most, worst first: mismatches, then undecided ones, then matches.
    norms : ErrorNorms
        The three norms and the error under other normalisations.
    max_absolute, mean_absolute : float
        Of |numerical - analytical| over the entries.
    evaluations : int
        Calls of F.
    elapsed : float
        Wall time in seconds, compilation included.
    threads : int
        Threads that evaluated F.
    executor : str
        How they ran: "prange", "threads", "serial", "inside f" or "python".
    """

    numerical_jacobian: Any
    relative_error: float
    verdict: Verdict
    reason: str
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    analytical: NDArray[Any]
    numerical: NDArray[np.float64]
    estimate: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    _codes: NDArray[np.int8]  # of `verdicts`
    flags: NDArray[np.uint16]
    outside: NDArray[np.bool_]
    pattern: PatternCheck
    step: NDArray[np.float64]
    causes: tuple[Cause, ...]
    noise: NDArray[np.float64]
    rtol: float
    row_errors: Mapping[str, float]
    worst: tuple[Entry, ...]
    norms: ErrorNorms
    max_absolute: float
    mean_absolute: float
    evaluations: int
    elapsed: float
    threads: int
    executor: str

    def __new__(cls, numerical_jacobian: Any, relative_error: float, *_: Any, **__: Any) -> "SparseJacobianCheck":
        return tuple.__new__(cls, (numerical_jacobian, relative_error))

    def __getnewargs__(self) -> tuple[Any, float]:  # copies and pickles; the attributes travel as state
        return (self.numerical_jacobian, self.relative_error)

    @property
    def verdicts(self) -> NDArray[np.object_]:
        """Of each entry."""
        return verdicts_of(self._codes)

    @property
    def passed(self) -> bool:
        """True for MATCH only."""
        return self.verdict is Verdict.MATCH

    def __repr__(self) -> str:
        m, n = self.numerical_jacobian.shape
        return (
            f"<SparseJacobianCheck: {self.verdict.value}, relative error {self.relative_error:.3g}, "
            f"{self.rows.size} entries of {m} x {n}>"
        )

    def __str__(self) -> str:
        pattern = textwrap.wrap(f"pattern: {self.pattern}", WIDTH)
        worst = worst_lines(self.worst, f"{self.rows.size} entries")
        parts = [headline(self), norm_lines(self), block_lines(self.row_errors), worst, pattern]
        return "\n\n".join("\n".join(lines) for lines in [*parts, [cost_line(self, "F")]] if lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        arrays = (
            *("rows", "columns", "analytical", "numerical", "estimate", "uncertainty", "flags", "outside"),
            *("step", "noise"),
        )
        return {**plain_fields(self, arrays), "pattern": self.pattern.to_dict()}
