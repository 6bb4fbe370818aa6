"""Causes of a wrong sparse Jacobian: laws of the whole matrix, tried on the probes, and rows or columns of zeros.

The responses of all rows to random directions are compared with what a corrected matrix would answer, which costs no
evaluation and does not need the entries to be known: a transposed Jacobian has most of its entries off its pattern.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad._causes.cause import Cause
from fastgrad._sparse.pattern import Pattern
from fastgrad._sparse.probe import Probe, Remainder

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_MOST_LINES = 3  # rows or columns named one by one
_FEWEST_ROWS = 8  # that must follow a law of the whole matrix, with responses that show it
_CLEAR = 100.0  # bars that such a response has
_DENOMINATORS = 12  # of the factors that are named


@dataclass(frozen=True)
class Given:
    """The Jacobian as it was given, and the probes."""

    pattern: Pattern
    values: Floats
    probes: list[Probe]
    bars: list[Remainder]
    rtol: float


def find_causes(given: Given, wrong: tuple[Index, Index]) -> tuple[Cause, ...]:
    """What explains the wrong entries, whose rows and columns are given; empty in any doubt."""
    if wrong[0].size == 0 or not np.isfinite(given.values).all():
        return ()
    law = _law_of_all(given, wrong[0].size)
    return law or tuple(_lines_of_zeros(given, wrong))


def _law_of_all(given: Given, count: int) -> tuple[Cause, ...]:
    m, n = given.pattern.shape
    straight = [_product(given.pattern.rows, given.pattern.columns, given.values, p.distance, m) for p in given.probes]
    factor = _factor(given, straight)
    if factor is not None and _explains(given, straight, factor):
        if factor == -1.0:
            return (Cause("sign", None, "every entry has the wrong sign (numerical = -analytical)", count, -1.0),)
        how = f"{factor:g} times too small" if abs(factor) > 1.0 else f"{1.0 / factor:g} times too large"
        text = f"every entry is {how} (numerical = {factor:g} * analytical): a missing or doubled factor"
        return (Cause("factor", None, text, count, 1.0 / factor),)
    if m == n:
        crossed = [
            _product(given.pattern.columns, given.pattern.rows, given.values, p.distance, m) for p in given.probes
        ]
        if _explains(given, crossed, 1.0) and _shows(given, crossed):
            return (Cause("transpose", None, "the Jacobian is transposed: J.T agrees with F", count),)
    return _shifted(given, straight, count)


def _shifted(given: Given, products: list[tuple[Floats, Floats]], count: int) -> tuple[Cause, ...]:
    """Rows that are all off by one; the row that has no neighbour there may be anything."""
    for distance, text, edge in (
        (1, "row i + 1 of the Jacobian is that of row i", -1),
        (-1, "row i of the Jacobian is that of row i + 1", 0),
    ):
        moved = [(np.roll(answer, -distance), np.roll(size, -distance)) for answer, size in products]
        for answer, size in moved:
            answer[edge], size[edge] = np.nan, np.nan
        if _explains(given, moved, 1.0) and _shows(given, moved):
            return (Cause("shift", None, f"the rows of the Jacobian are shifted: {text}", count),)
    return ()


def _product(rows: Index, columns: Index, values: Floats, distance: Floats, m: int) -> tuple[Floats, Floats]:
    """What a matrix answers to a probe, and the sum of the sizes of its terms, by row."""
    part = values * distance[columns]
    answer, size = (np.bincount(rows, terms, minlength=m) for terms in (part, np.abs(part)))
    return answer.astype(np.float64), size.astype(np.float64)


def _explains(given: Given, products: list[tuple[Floats, Floats]], factor: float) -> bool:
    """Whether the matrix, times a factor, answers every probe in every row as F does."""
    for probe, bar, (answer, size) in zip(given.probes, given.bars, products, strict=True):
        with np.errstate(invalid="ignore"):
            near = np.abs(probe.response - factor * answer) <= bar.bar + given.rtol * abs(factor) * size
        if not (near | np.isnan(answer)).all():
            return False
    return True


def _shows(given: Given, products: list[tuple[Floats, Floats]]) -> bool:
    """Whether enough rows answer loud enough to tell one law from another."""
    loud = np.abs(products[0][0]) > _CLEAR * given.bars[0].bar
    return int(np.count_nonzero(loud)) >= min(_FEWEST_ROWS, loud.size)


def _factor(given: Given, products: list[tuple[Floats, Floats]]) -> float | None:
    """A simple number, other than 1, that the answers of F are of those of the matrix."""
    answer, response, bar = products[0][0], given.probes[0].response, given.bars[0].bar
    with np.errstate(all="ignore"):
        loud = (np.abs(answer) > _CLEAR * bar) & (np.abs(response) > _CLEAR * bar)
        if np.count_nonzero(loud) < min(_FEWEST_ROWS, answer.size):
            return None
        ratio = float(np.median(response[loud] / answer[loud]))
    for below in range(1, _DENOMINATORS + 1):
        above = round(ratio * below)
        if above and above != below and abs(ratio - above / below) <= 10.0 * given.rtol * abs(ratio):
            return above / below
    return None


def _lines_of_zeros(given: Given, wrong: tuple[Index, Index]) -> Iterator[Cause]:
    """Rows, or columns, in which the Jacobian holds nothing and F answers."""
    m, n = given.pattern.shape
    for index, own, count, line in (
        (wrong[0], given.pattern.rows, m, "row"),
        (wrong[1], given.pattern.columns, n, "column"),
    ):
        touched, entries = np.unique(index, return_counts=True)
        if touched.size > _MOST_LINES:
            continue
        largest = np.zeros(count)
        np.maximum.at(largest, own, np.abs(given.values))
        if (largest[touched] == 0.0).all():
            for k, size in zip(touched.tolist(), entries.tolist(), strict=True):
                text = f"{line} {k} of the Jacobian is exactly zero: zeroed or never written"
                yield Cause("zero", None, text, size)
            return
