"""Laws without a parameter that move values: the right ones in the wrong places, perhaps with the wrong sign."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastgrad._causes.evidence import SURE, Evidence, Fit, Floats, Mask, log_chance
from fastgrad._causes.numbers import MANY


def rearranged(evidence: Evidence) -> Iterator[Fit]:
    """The right values in the wrong places, perhaps with the wrong sign as well."""
    for (kind, sentence, source), sign in itertools.product(rearrangements(evidence), (1, -1)):
        prediction = np.where(source < 0, np.nan, sign * evidence.analytical[source])
        chance = log_chance_of_places(evidence, prediction, sign * evidence.analytical)
        holds = evidence.agrees(prediction) | (source < 0)
        if chance < SURE and np.all(holds[evidence.known]):
            text = sentence if sign > 0 else sentence + ", with the wrong sign"
            yield Fit(kind, text, holds, chance, covers=source >= 0)


def log_chance_of_places(evidence: Evidence, prediction: Floats, population: Floats) -> float:
    """Log10 of the chance that wrong entries match a prediction drawn from a population of values.

    Where many of these values lie within a bar (few distinct values, a smooth gradient), a match says little.
    """
    wrong = evidence.wrong
    silent = np.isnan(prediction[wrong])
    if not np.all(evidence.agrees(prediction)[wrong] | silent):
        return math.inf
    ordered, numerical, tolerance = np.sort(population), evidence.numerical[wrong], evidence.tolerance[wrong]
    alike = np.searchsorted(ordered, numerical + tolerance, "right")
    alike -= np.searchsorted(ordered, numerical - tolerance, "left")
    by_accident = np.log10(np.maximum(alike - 1, 1e-300) / population.size)
    surprise = np.where(silent, 0.0, np.fmax(evidence.granular_surprise[wrong], by_accident))
    # A wrong entry that the law leaves open costs as much as a parameter.
    return log_chance(surprise, free=int(np.count_nonzero(silent)), among=MANY)


def rearrangements(evidence: Evidence) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
    """Where each derivative may have ended up: its index in the analytical gradient, -1 for nowhere."""
    shape, size = evidence.shape, evidence.x.size
    index = np.arange(size)
    if len(shape) > 1:
        yield "transpose", "{whole} is transposed", index.reshape(shape[::-1]).T.ravel()
        yield (
            "transpose",
            "{whole} is stored in the other (C or Fortran) order",
            index.reshape(shape).T.ravel(),
        )
    pair = np.flatnonzero(evidence.wrong)
    if pair.size == 2:
        swapped = index.copy()
        swapped[pair] = pair[::-1]
        yield "swapped entries", "{who} are swapped", swapped
    if len(shape) > 1:
        yield "reversed", "the rows of {whole} are in reverse order", np.flip(index.reshape(shape), 0).ravel()
        yield (
            "reversed",
            "the columns of {whole} are in reverse order",
            np.flip(index.reshape(shape), -1).ravel(),
        )
    if len(shape) == 2:
        yield from _moved_rows(index.reshape(shape), evidence.wrong.reshape(shape), "row")
        yield from _moved_rows(index.reshape(shape).T, evidence.wrong.reshape(shape).T, "column")
    yield "reversed", "{whole} is in reverse order", index[::-1]
    shifted = "{whole} is shifted" if len(shape) < 2 else "{whole}, read as one row, is shifted"
    for distance in sorted({1, 2, 3, *shape[-1:]}):
        for shift, text in (
            (distance, f"{shifted}: analytical[i + {distance}] is the derivative of entry i"),
            (-distance, f"{shifted}: analytical[i] is the derivative of entry i + {distance}"),
        ):
            if distance < size:
                source = index + shift
                yield "shift", text + ", cyclically", source % size
                yield "shift", text, np.where((source >= 0) & (source < size), source, -1)


def _moved_rows(index: NDArray[np.intp], wrong: Mask, what: str) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
    """Rows of a matrix (or columns, of its transpose) in each other's place: two swapped, or all off by one."""
    source = index.copy()
    touched = np.flatnonzero(wrong.any(axis=1))
    if touched.size == 2:
        source[touched] = index[touched[::-1]]
        text = f"{what}s {touched[0]} and {touched[1]} of {{whole}} are swapped"
        yield f"swapped {what}s", text, _in_order(source, what)
    for distance in (1, -1):
        source = np.roll(index, -distance, axis=0)
        there, here = (f"{what} i + 1", f"{what} i")[::distance]
        text = f"the {what}s of {{whole}} are shifted: {there} of {{whole}} is that of {here}"
        yield "shift", text + ", cyclically", _in_order(source, what)
        source = source.copy()
        source[-1 if distance == 1 else 0] = -1
        yield "shift", text, _in_order(source, what)


def _in_order(source: NDArray[np.intp], what: str) -> NDArray[np.intp]:
    return (source if what == "row" else source.T).ravel()
