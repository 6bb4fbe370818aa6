"""The result of a check of a Jacobian: frozen, with verdict, evidence and cost; a table when printed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import verdict_names, verdicts_of
from fastgrad._causes.cause import Cause
from fastgrad._html import HtmlReport
from fastgrad._jacobian.symmetry import Asymmetry
from fastgrad._judge.verdict import Verdict
from fastgrad._report_lines import SHOWN, cost_line, headline, norm_lines, table
from fastgrad.metric import ErrorNorms


@dataclass(frozen=True)
class Entry:
    """One row of a report: an entry of the Jacobian and how its two values compare."""

    row: str
    column: str
    index: tuple[int, int]
    verdict: Verdict
    x: float
    step: float  # at which `numerical` was found
    analytical: float
    numerical: float  # best estimate
    uncertainty: float  # its error bar
    absolute: float  # |numerical - analytical|
    relative: float  # the same over max(|numerical|, |analytical|)


@dataclass(frozen=True)
class KinkedEntry:
    """An entry whose two one-sided slopes differ however near x one looks."""

    row: str
    column: str
    index: tuple[int, int]
    slopes: tuple[float, float]  # backward, forward
    analytical_between: bool  # the analytical value lies between them


@dataclass(frozen=True, eq=False, repr=False)
class JacobianCheck(HtmlReport, tuple[NDArray[Any], float]):
    """Outcome of `check_jacobian` and `check_hessian`: the tuple (numerical_jacobian, relative_error), with evidence.

    Matrices are of shape (m, n), a row for each value of F and a column for each coordinate of x, both flat.

    Attributes
    ----------
    numerical_jacobian : ndarray, shape (m, n)
        Central differences, in the dtype of x.
    relative_error : float
        ||numerical - analytical|| / (||numerical|| + ||analytical||) in Frobenius norms; 0 when both are zero, NaN
        if either has one.
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE.
    reason : str
        Why, in a sentence.
    analytical_jacobian : ndarray, shape (m, n)
        The Jacobian checked.
    step : ndarray, shape (n,)
        Step of each column of numerical_jacobian.
    estimate, uncertainty : ndarray of float64, shape (m, n)
        Best estimate of each entry and its error bar; the verdict rests on them. For an entry that agreed at the
        first step (flag PLAIN) the bar is noise plus difference.
    verdicts : ndarray of Verdict, shape (m, n)
        Of each entry; made anew whenever asked for.
    flags : ndarray of uint16, shape (m, n)
        What else is known of each entry: `fastgrad.Flag` values.
    kinks : tuple of KinkedEntry
        Entries at a kink, at most 100.
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

    numerical_jacobian: NDArray[Any]
    relative_error: float
    verdict: Verdict
    reason: str
    analytical_jacobian: NDArray[Any]
    step: NDArray[np.float64]
    estimate: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    _codes: NDArray[np.int8]  # of `verdicts`
    flags: NDArray[np.uint16]
    kinks: tuple[KinkedEntry, ...]
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
    _function: ClassVar[str] = "F"

    def __new__(cls, numerical_jacobian: NDArray[Any], relative_error: float, *_: Any, **__: Any) -> "JacobianCheck":
        return tuple.__new__(cls, (numerical_jacobian, relative_error))

    def __getnewargs__(self) -> tuple[NDArray[Any], float]:  # copies and pickles; the attributes travel as state
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
        return f"<{type(self).__name__}: {self.verdict.value}, relative error {self.relative_error:.3g}, {m} x {n}>"

    def __str__(self) -> str:
        cost = [cost_line(self, self._function)]
        m, n = self.numerical_jacobian.shape
        worst = worst_lines(self.worst, f"{m} x {n} entries")
        parts = [headline(self), norm_lines(self), block_lines(self.row_errors), worst, cost]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        kinks = [{**kink.__dict__, "index": list(kink.index), "slopes": list(kink.slopes)} for kink in self.kinks]
        arrays = ("numerical_jacobian", "analytical_jacobian", "step", "estimate", "uncertainty", "flags", "noise")
        return {**plain_fields(self, arrays), "kinks": kinks}


@dataclass(frozen=True, eq=False, repr=False)
class HessianCheck(JacobianCheck):
    """Outcome of `check_hessian`: a `JacobianCheck` of the gradient, and the symmetry of the Hessian.

    Attributes
    ----------
    asymmetry : Asymmetry or None
        The pair of entries that differ most beyond rounding: index, values, and how many such pairs there are.
    """

    asymmetry: Asymmetry | None
    _function: ClassVar[str] = "the gradient"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        found = self.asymmetry
        plain = None if found is None else {**found.__dict__, "index": list(found.index), "values": list(found.values)}
        return {**super().to_dict(), "asymmetry": plain}


def block_lines(row_errors: Mapping[str, float]) -> list[str]:
    """A table of the blocks of rows, worst first; nothing without blocks."""
    worst_first = sorted(row_errors.items(), key=lambda item: -np.nan_to_num(item[1], nan=np.inf))
    rows = [(name, f"{error:.3g}") for name, error in worst_first]
    return table([("rows", "relative error"), *rows]) if rows else []


def worst_lines(worst: tuple[Entry, ...], total: str) -> list[str]:
    """A table of the worst entries; `total` says of how many."""
    if not worst:
        return []
    rows = [
        (
            entry.row, entry.column, f"{entry.x:.4g}", f"{entry.step:.0e}", f"{entry.analytical:.6g}",
            f"{entry.numerical:.6g}", f"{entry.uncertainty:.0e}", f"{entry.absolute:.1e}",
        )
        for entry in worst
    ]  # fmt: skip
    counts = Counter(entry.verdict for entry in worst)
    shown = ", ".join(f"{counts[kind]} {word}" for kind, word in SHOWN.items() if counts[kind])
    columns = ("row", "column", "x", "step", "analytical", "numerical", "+-", "absolute")
    return [f"worst {len(rows)} of {total} ({shown})", *table([columns, *rows])]


def plain_fields(result: Any, arrays: tuple[str, ...]) -> dict[str, Any]:
    """What checks of dense and of sparse Jacobians have in common, and some arrays, as plain data."""
    numbers = ("relative_error", "rtol", "max_absolute", "mean_absolute", "evaluations", "elapsed", "threads")
    norms = result.norms
    return {
        "verdict": result.verdict.value,
        **{name: getattr(result, name) for name in ("reason", *numbers, "executor")},
        "shape": list(result.numerical_jacobian.shape),
        "dtype": str(result.numerical_jacobian.dtype),
        **{name: getattr(result, name).tolist() for name in arrays},
        "verdicts": verdict_names(result._codes),
        "row_errors": dict(result.row_errors),
        "causes": [dict(cause.__dict__) for cause in result.causes],
        "worst": [
            {**entry.__dict__, "index": list(entry.index), "verdict": entry.verdict.value} for entry in result.worst
        ],
        "norms": {"difference": norms.difference, "analytical": norms.analytical, "numerical": norms.numerical},
    }
