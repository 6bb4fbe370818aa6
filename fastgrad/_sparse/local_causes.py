"""Causes of a wrong sparse Jacobian by the laws of full ones: on the whole matrix if it is small, else on its lines.

Entries that are not listed are zero in the Jacobian, and zero in F where the pattern held.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment
from fastgrad._causes.cause import Cause
from fastgrad._causes.evidence import Evidence
from fastgrad._causes.places import MOST_LISTED
from fastgrad._causes.rearrangements import rearranged
from fastgrad._jacobian.causes import Dense, evidence_of, find_causes, of_line, picked
from fastgrad._judge.verdict import MATCH, MISMATCH
from fastgrad._sparse.pattern import Index, Pattern

Floats = NDArray[np.float64]

_MOST_FULL = 1 << 16  # entries of a matrix that is searched as a whole
_MOST_IN_LINES = 1 << 18  # and of rows or columns of a larger one
_MOST_LINES = 3
_OF_NEIGHBOURS = ("shift", "reversed", "transpose", "place")


@dataclass(frozen=True)
class Listed:
    """The entries of a sparse matrix as they were judged; of `doubtful` rows others may not be zero."""

    x: Floats
    pattern: Pattern
    analytical: Floats
    found: Assessment
    doubtful: NDArray[np.bool_]
    constants: Mapping[str, float]

    def filled(self, rows: Index, columns: Index) -> Dense:
        """Some rows and columns of the matrix, each once and in order, as a full one."""
        shape = (rows.size, columns.size)
        i, j = np.searchsorted(rows, self.pattern.rows), np.searchsorted(columns, self.pattern.columns)
        i, j = np.minimum(i, rows.size - 1), np.minimum(j, columns.size - 1)
        own = np.flatnonzero((rows[i] == self.pattern.rows) & (columns[j] == self.pattern.columns))
        place = j[own] * rows.size + i[own]
        found, size = self.found, rows.size * columns.size

        def spread(values: NDArray[Any], elsewhere: Any) -> NDArray[Any]:
            full = np.empty(size, values.dtype)
            full[:] = elsewhere
            full[place] = values[own]
            return full

        unknown = np.tile(np.where(self.doubtful[rows], np.inf, 0.0), columns.size)
        return Dense(
            x=self.x[columns],
            analytical=spread(self.analytical, 0.0),
            found=Assessment(
                spread(found.verdict, MATCH), spread(found.estimate, 0.0), spread(found.bar, unknown),
                spread(found.step, 1.0), spread(found.flags, 0), np.ones(size), found.noise, found.rtol,
                np.ones(size, dtype=bool), found.stopped_by, {},
            ),
            shape=shape,
            kind="Jacobian",
            constants=self.constants,
        )  # fmt: skip


def find_local_causes(listed: Listed) -> tuple[Cause, ...]:
    """The simple laws behind wrong entries, of the whole matrix or of few rows, columns or entries."""
    m, n = listed.pattern.shape
    if m * n <= _MOST_FULL:
        return find_causes(listed.filled(np.arange(m), np.arange(n)))
    wrong = listed.found.verdict == MISMATCH
    for index, what in ((listed.pattern.rows, "row"), (listed.pattern.columns, "column")):
        touched = np.unique(index[wrong])
        if touched.size <= _MOST_LINES:
            found = _of_lines(listed, touched, what)
            if found:
                return found
    return ()


@np.errstate(all="ignore")
def _of_lines(listed: Listed, touched: Index, what: str) -> tuple[Cause, ...]:
    """The laws of some rows, or of some columns; nothing unless all of them have one."""
    pattern = listed.pattern
    own, other = (pattern.rows, pattern.columns) if what == "row" else (pattern.columns, pattern.rows)
    across = np.unique(other[np.isin(own, touched)])
    if touched.size * across.size > _MOST_IN_LINES:
        return ()
    dense = listed.filled(*((touched, across) if what == "row" else (across, touched)))
    evidence = evidence_of(dense, dense.by_rows(dense.found.verdict == MISMATCH))
    if any(fit.kind == f"swapped {what}s" for fit in rearranged(evidence)):
        text = f"{what}s {touched[0]} and {touched[1]} of the Jacobian are swapped"
        return (Cause(f"swapped {what}s", None, text, int(np.count_nonzero(evidence.wrong))),)
    lines = np.arange(evidence.wrong.size).reshape(dense.shape)
    lines = lines if what == "row" else lines.T
    causes = [_of_one(picked(evidence, lines[k]), f"{what} {j}", across) for k, j in enumerate(touched.tolist())]
    return tuple(cause for found in causes for cause in found) if all(causes) else ()


def _of_one(evidence: Evidence, line: str, across: Index) -> tuple[Cause, ...]:
    """Only what can be said by the numbers of entries: zeros between those at hand were left out."""
    few = np.count_nonzero(evidence.wrong) <= MOST_LISTED
    if not (few or evidence.wrong[evidence.known & (evidence.analytical != 0.0)].all()):
        return ()
    return tuple(c for c in of_line(evidence, line, names=tuple(across.tolist())) if c.kind not in _OF_NEIGHBOURS)
