"""The simple laws that tie a wrong gradient to the right one, and the arithmetic that accepts or refuses them.

A law says what the numerical gradient should be, given the analytical one: -analytical, analytical + c * x, the
transpose, ... It is accepted when it reproduces every wrong entry within its error bar and when unstructured errors
of the same size would do so with a probability below `SURE` (as a logarithm to base 10).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

SURE = -6.0
# The error bars are estimates themselves: agreement is never demanded beyond eight digits.
ALLOWANCE = 1e-8
# An entry speaks for a law only if its error is this many times its bar; the others may merely contradict.
CLEAR = 30.0
# No single entry may count for more than this many digits, however narrow its bar.
MOST_DIGITS = 12.0

# How many alternatives each kind of law had, in other words how easily one of them could fit by accident.
SIMPLE, COMMON, MANY, RARE = 4, 100, 200, 500


@dataclass(frozen=True)
class Evidence:
    """One stretch of the gradient: what was claimed, what was measured, and how well."""

    x: Floats
    analytical: Floats
    numerical: Floats
    tolerance: Floats
    wrong: Mask  # confirmed mismatches
    known: Mask  # entries with a finite bar, wrong or not
    shape: tuple[int, ...]
    sizes: Mapping[str, float]  # lengths by name: usual factors
    constants: Mapping[str, float]  # the user's own

    def cut(self, stretch: slice, shape: tuple[int, ...], sizes: Mapping[str, float]) -> "Evidence":
        """The same evidence for consecutive entries only."""
        arrays = (self.x, self.analytical, self.numerical, self.tolerance, self.wrong, self.known)
        return Evidence(*(array[stretch] for array in arrays), shape, {**self.sizes, **sizes}, self.constants)

    def without(self, explained: Mask) -> "Evidence":
        """Leave out entries that have their own explanation: neither wrong nor right from here on."""
        return replace(self, wrong=self.wrong & ~explained, known=self.known & ~explained)

    def agrees(self, prediction: Floats) -> Mask:
        """Where a predicted gradient lies within the error bars."""
        return np.abs(self.numerical - prediction) <= self.tolerance

    @cached_property
    def difference(self) -> Floats:
        return self.numerical - self.analytical

    @cached_property
    def surprise(self) -> Floats:
        """Per entry, log10 of the chance that an unstructured error of its size hits a value within its bar."""
        size = np.abs(self.difference)
        clear = self.wrong & (size >= CLEAR * self.tolerance)
        return np.where(clear, np.fmax(np.log10(2 * self.tolerance / size), -MOST_DIGITS), 0.0)

    @cached_property
    def granular_surprise(self) -> Floats:
        """The same where analytical values are multiples of a quantum: small integers agree easily."""
        quantum = granularity(self.analytical[self.wrong])
        return np.fmax(self.surprise, -np.log10(1 + 2 * np.abs(self.difference) / quantum))


@dataclass(frozen=True)
class Fit:
    """A law that passed; `sentence` has gaps: {who}, {has}, {is} for entries, {whole} for the stretch."""

    kind: str
    sentence: str
    holds: Mask
    log_chance: float
    parameters: int = 0
    parameter: float | None = None
    covers: Mask | None = None  # entries that the law speaks about, if not all
    only_whole: bool = False  # a rearrangement must hold wherever it can be seen


Law = Callable[[Evidence], Iterator[Fit]]


def best_law(evidence: Evidence) -> Fit | None:
    """The law with the fewest parameters, then the least likely to fit by accident; None when in doubt."""
    fits = [fit for law in (zeroed, unused, multiplied, added, rearranged) for fit in law(evidence)]
    fits = fits or list(multiplied_and_added(evidence))
    return min(fits, key=lambda fit: (fit.parameters, fit.log_chance), default=None)


def log_chance(surprise: Floats, *inputs: Floats, parameters: int, hypotheses: float) -> float:
    """Log10 of the probability that unstructured errors obey a law as well as these wrong entries do.

    Each parameter costs the most significant entry. Entries in which the law sees the same `inputs` (as happens
    at symmetric points) agree with each other for any law, and count once.
    """
    order = np.argsort(surprise)
    if inputs:
        # Values closer than the bars cannot be told apart: with 10**surprise as the resolution, keep that many bits.
        resolution = 2.0 ** math.ceil(math.log2(max(2.0**-20, 10 ** float(np.median(surprise)))))
        columns = np.stack([rounded(column, resolution)[order] for column in inputs], axis=1)
        order = order[np.unique(columns, axis=0, return_index=True)[1]]
    return float(np.sort(surprise[order])[parameters:].sum()) + math.log10(hypotheses)


def rounded(values: Floats, resolution: float) -> Floats:
    """Values rounded to a relative resolution (a power of two)."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa / resolution) * resolution, exponent)


def granularity(values: Floats) -> float:
    """The largest power of two of which all values are multiples; 0 if all of them are 0."""
    mantissa, exponent = np.frexp(values[np.isfinite(values) & (values != 0)])
    digits = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    return float(np.ldexp((digits & -digits).astype(np.float64), exponent - 53).min(initial=np.inf)) % np.inf


# ---------------------------------------------------------------------------------- laws without a parameter


def zeroed(evidence: Evidence) -> Iterator[Fit]:
    """Every wrong entry is exactly zero, or what fresh memory holds: zeros and subnormal numbers."""
    written = evidence.analytical[evidence.wrong]
    holds = empty_memory(evidence)
    if np.all(holds[evidence.wrong]):
        chance = -MOST_DIGITS * written.size + math.log10(SIMPLE)
        if np.all(written == 0):
            yield Fit("zero", "{who} {is} exactly zero: zeroed or never written", holds, chance)
        else:
            yield Fit("unwritten", "{who} {is} never written: zeros and subnormal numbers", holds, chance)


def empty_memory(evidence: Evidence) -> Mask:
    """Where the analytical value is 0 or subnormal and the numerical value is not that small."""
    tiny = np.finfo(np.float64).tiny
    ordinary = np.abs(evidence.numerical) > 1e8 * tiny
    return (evidence.analytical == 0) | ((np.abs(evidence.analytical) < tiny) & ordinary)


def unused(evidence: Evidence) -> Iterator[Fit]:
    """The function does not react to the entries."""
    holds = evidence.agrees(np.zeros_like(evidence.numerical))
    if np.all(holds[evidence.wrong]):
        chance = log_chance(evidence.surprise[evidence.wrong], parameters=0, hypotheses=SIMPLE)
        if chance < SURE:
            yield Fit("unused", "f does not depend on {who}: the numerical derivative is zero", holds, chance)


def resembles(evidence: Evidence, prediction: Floats, population: Floats) -> float:
    """Log10 of the chance that wrong entries match the prediction, a choice of values from a population.

    Where many values of the population lie within a bar (few distinct values, smooth gradients), a match says little.
    """
    wrong = evidence.wrong
    if not np.all(evidence.agrees(prediction)[wrong] | np.isnan(prediction[wrong])):
        return math.inf
    ordered = np.sort(population)
    low, high = (evidence.numerical[wrong] + s * evidence.tolerance[wrong] for s in (-1, 1))
    others = np.searchsorted(ordered, high, "right") - np.searchsorted(ordered, low, "left") - 1
    common = np.log10(np.maximum(others, 1e-300) / population.size)
    surprise = np.where(np.isnan(prediction[wrong]), 0.0, np.fmax(evidence.surprise[wrong], common))
    return log_chance(surprise, parameters=0, hypotheses=MANY)


def rearranged(evidence: Evidence) -> Iterator[Fit]:
    """The right values in the wrong places, perhaps with the wrong sign as well."""
    for (kind, sentence, source), sign in itertools.product(rearrangements(evidence), (1, -1)):
        prediction = np.where(source < 0, np.nan, sign * evidence.analytical[source])
        chance = resembles(evidence, prediction, sign * evidence.analytical)
        if chance < SURE:
            text = sentence if sign > 0 else sentence + ", with the wrong sign"
            holds = evidence.agrees(prediction) | (source < 0)
            yield Fit(kind, text, holds, chance, covers=source >= 0, only_whole=True)


def rearrangements(evidence: Evidence) -> Iterator[tuple[str, str, Indices]]:
    """Where each derivative may have ended up: the index in the analytical gradient, -1 for nowhere."""
    shape, size = evidence.shape, evidence.x.size
    index = np.arange(size)
    if len(shape) > 1:
        yield "transpose", "{whole} is transposed", index.reshape(shape[::-1]).T.ravel()
        yield "transpose", "{whole} is stored in the other (C or Fortran) order", index.reshape(shape).T.ravel()
        yield "reversed", "the rows of {whole} are in reverse order", np.flip(index.reshape(shape), 0).ravel()
        yield "reversed", "the columns of {whole} are in reverse order", np.flip(index.reshape(shape), -1).ravel()
    yield "reversed", "{whole} is in reverse order", index[::-1]
    for shift in sorted({1, 2, 3, shape[-1]} & set(range(size))):
        for source, text in (
            (index + shift, f"{{whole}} is shifted: analytical[i + {shift}] is the derivative of entry i"),
            (index - shift, f"{{whole}} is shifted: analytical[i] is the derivative of entry i + {shift}"),
        ):
            yield "shift", text + ", cyclically", source % size
            yield "shift", text, np.where((source >= 0) & (source < size), source, -1)
    pair = np.flatnonzero(evidence.wrong)
    if pair.size == 2:
        index[pair] = pair[::-1]
        yield "swapped entries", "{who} are swapped", index


# ------------------------------------------------------------------------------------- laws with a parameter


def feasible(target: Floats, column: Floats, tolerance: Floats) -> tuple[float, float]:
    """All c with |target - c * column| <= tolerance, as an interval (low > high: there is none)."""
    bare = column == 0
    if np.any(np.abs(target[bare]) > tolerance[bare]) or np.all(bare):
        return math.inf, -math.inf
    centre, reach = target[~bare] / column[~bare], tolerance[~bare] / np.abs(column[~bare])
    return float(np.max(centre - reach)), float(np.min(centre + reach))


def multiplied(evidence: Evidence) -> Iterator[Fit]:
    """Every wrong entry is the same multiple of the right value."""
    wrong, analytical = evidence.wrong, evidence.analytical
    low, high = feasible(evidence.numerical[wrong], analytical[wrong], evidence.tolerance[wrong])
    if low > high or low * high <= 0:
        return
    sign = math.copysign(1.0, low)
    low, high = sorted((1 / abs(low), 1 / abs(high)))
    for factor in recognised(low, high, evidence):
        surprise = evidence.surprise if factor.hypotheses == SIMPLE else evidence.granular_surprise
        ratio = sign * factor.value
        slack = 0.0 if factor.parameters == 0 else np.abs(analytical) * (1 / low - 1 / high) / 2
        holds = np.abs(evidence.numerical - analytical / ratio) <= evidence.tolerance + slack
        chance = log_chance(
            surprise[wrong], analytical[wrong], parameters=factor.parameters, hypotheses=factor.hypotheses
        )
        if np.all(holds[wrong]) and chance < SURE:
            kind, sentence = ("sign", "{who} {has} the wrong sign") if ratio == -1 else ("factor", factor.sentence)
            if sign < 0 and kind == "factor":
                sentence += ", and {has} the wrong sign"
            yield Fit(kind, sentence, holds, chance, factor.parameters, ratio)
            return
