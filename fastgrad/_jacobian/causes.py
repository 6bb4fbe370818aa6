"""Causes of a wrong Jacobian, by the laws of `_causes` on the matrix, and on the rows or columns that are wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment
from fastgrad._causes.cause import Cause, explain
from fastgrad._causes.evidence import ALLOWANCE, Evidence
from fastgrad._causes.places import Block
from fastgrad._judge.setting import NOISE_WIDTH
from fastgrad._judge.verdict import MISMATCH, Flag

_MOST_LINES = 3  # wrong rows or columns that are explained one by one
_DIFFERENTIATED = {"Jacobian": "F", "Hessian": "the gradient"}
_MOST_ENTRIES = 1 << 22  # of a matrix that is searched for causes: sorting more takes seconds


@dataclass(frozen=True)
class Matrix(Block):
    """A Jacobian or Hessian as a whole; its entries are counted by row and column."""

    kind: str = "Jacobian"

    @property
    def function(self) -> str:
        return _DIFFERENTIATED[self.kind]

    @property
    def title(self) -> str:
        return f"the {self.kind}"

    def number(self, entry: int) -> str:
        return f"({entry // self.shape[1]}, {entry % self.shape[1]})"


@dataclass(frozen=True)
class Line(Block):
    """One row or column of the matrix."""

    line: str = ""
    kind: str = "Jacobian"
    names: tuple[int, ...] | None = None  # numbers of the entries, if they are not consecutive

    def number(self, entry: int) -> str:
        return str(entry if self.names is None else self.names[entry])

    @property
    def function(self) -> str:
        return _DIFFERENTIATED[self.kind]

    @property
    def title(self) -> str:
        return self.line


@dataclass(frozen=True)
class Dense:
    """A full matrix as it was judged, entries column by column."""

    x: NDArray[np.float64]
    analytical: NDArray[Any]
    found: Assessment
    shape: tuple[int, int]
    kind: str
    constants: Mapping[str, float]

    def by_rows(self, values: NDArray[Any]) -> NDArray[Any]:
        m, n = self.shape
        return values.reshape(n, m).T.reshape(-1)


def find_causes(dense: Dense) -> tuple[Cause, ...]:
    """The simple laws behind the wrong entries; empty in any doubt."""
    wrong = dense.by_rows(dense.found.verdict == MISMATCH)
    if not wrong.any() or wrong.size > _MOST_ENTRIES:
        return ()
    evidence, region = evidence_of(dense, wrong), Matrix("", 0, dense.shape, dense.kind)
    broken = wrong & ~np.isfinite(evidence.analytical)
    missing, evidence = _missing_lines(evidence, dense)
    causes = explain(evidence, [region], broken)
    lawful = [cause for cause in causes if cause.kind != "place"]
    return (*missing, *(lawful or _line_by_line(evidence, dense) or causes))


def _missing_lines(evidence: Evidence, dense: Dense) -> tuple[tuple[Cause, ...], Evidence]:
    """Columns and rows that are zero from end to end where they should not be, and the evidence that is left."""
    wrong, zero = evidence.wrong.reshape(dense.shape), evidence.analytical.reshape(dense.shape) == 0.0
    causes, explained = [], np.zeros_like(wrong)
    # A factor x that is 0 empties a line too.
    hint = "" if evidence.at_plain_x or np.any(evidence.x == 0) else ": zeroed or never written"
    for axis, what in ((0, "column"), (1, "row")):
        lines = np.flatnonzero(zero.all(axis=axis) & (wrong & ~explained).any(axis=axis))
        if lines.size == zero.shape[1 - axis] or lines.size > _MOST_LINES:  # not a line but all of it
            continue
        for k in lines.tolist():
            here = wrong[:, k] if axis == 0 else wrong[k]
            (explained[:, k] if axis == 0 else explained[k])[:] = True
            text = f"{what} {k} of the {dense.kind} is exactly zero{hint}"
            causes.append(Cause("zero", f"{what} {k}", text, int(np.count_nonzero(here))))
    return tuple(causes), evidence.without(explained.reshape(-1))


def evidence_of(dense: Dense, wrong: NDArray[np.bool_]) -> Evidence:
    """The entries of a matrix row by row, as laws are tried on them."""
    found, (m, n) = dense.found, dense.shape
    with np.errstate(all="ignore"):
        # Entries that were not looked at closely are no evidence, but can contradict a law.
        unconfirmed = found.flagged(Flag.UNCONFIRMED)
        rough = np.maximum(0.1 * np.abs(found.estimate - dense.analytical), NOISE_WIDTH * found.noise / found.step)
        bar = dense.by_rows(np.where(unconfirmed, rough, found.bar))
        numerical, analytical = dense.by_rows(found.estimate), dense.by_rows(dense.analytical.astype(np.float64))
        known = np.isfinite(numerical) & np.isfinite(bar) & np.isfinite(analytical)
        return Evidence(
            x=np.tile(dense.x, m),
            analytical=analytical,
            numerical=numerical,
            tolerance=bar + ALLOWANCE * np.abs(numerical),
            wrong=wrong & known,
            known=known,
            shape=dense.shape,
            sizes={"m": float(m), "n": float(n)},
            constants=dense.constants,
        )


def _line_by_line(evidence: Evidence, dense: Dense) -> tuple[Cause, ...]:
    """Laws of single rows, or of single columns, if few of them are wrong."""
    wrong = evidence.wrong.reshape(dense.shape)
    index = np.arange(wrong.size).reshape(dense.shape)
    for lines, rows, what in ((index, wrong.any(axis=1), "row"), (index.T, wrong.any(axis=0), "column")):
        touched = np.flatnonzero(rows)
        if 0 < touched.size <= _MOST_LINES:
            causes = [of_line(picked(evidence, lines[k]), f"{what} {k}", dense.kind) for k in touched.tolist()]
            if all(causes):
                return tuple(cause for found in causes for cause in found)
    return ()


def of_line(
    evidence: Evidence, line: str, kind: str = "Jacobian", names: tuple[int, ...] | None = None
) -> tuple[Cause, ...]:
    """The laws of one row or column, in words that name it."""
    region = Line("", 0, evidence.x.shape, line, kind, names)
    found = explain(evidence, [region], np.zeros_like(evidence.wrong))
    return tuple(replace(cause, block=line, sentence=f"in {line}, {cause.sentence}") for cause in found)


def picked(evidence: Evidence, index: NDArray[np.intp]) -> Evidence:
    """The evidence of some entries."""
    return Evidence(
        evidence.x[index], evidence.analytical[index], evidence.numerical[index], evidence.tolerance[index],
        evidence.wrong[index], evidence.known[index], index.shape, evidence.sizes, evidence.constants,
    )  # fmt: skip
