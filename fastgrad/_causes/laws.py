"""The simple laws that tie a wrong gradient to the right one.

A law says what the numerical gradient should be, given the analytical one: its opposite, its transpose,
itself plus c * x, ... It is accepted when it reproduces every wrong entry within its error bar and
unstructured errors of the same size would practically never do so.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fastgrad._causes.evidence import (
    FINE,
    MOST_COARSE,
    MOST_DIGITS,
    SURE,
    Evidence,
    Fit,
    Floats,
    Mask,
    feasible,
    is_plain,
    log_chance,
    round_mantissa,
)
from fastgrad._causes.numbers import MANY, SIMPLE, Number, describe_ratio, recognise_coefficient
from fastgrad._causes.rearrangements import rearranged

# From this many entries on, a number that fits them all is hardly one that varies slowly from entry to entry.
MANY_ENTRIES = 10
# Entries that differ in x and in value, none of them right, for a simple factor to be no accident at plain numbers.
FEWEST_THROUGHOUT, THREE_DIGITS = 3, -3.0
ZERO = "{who} {is} exactly zero"
# Two free parameters fit too much by accident: entries needed.
FEWEST_FOR_TWO = 6


def best_law(evidence: Evidence) -> Fit | None:
    """The law with the fewest parameters, then the one least likely to fit by accident; None in doubt."""
    simple = (zeroed, unused, rounded_to_single, multiplied, added, rearranged)
    fits = [fit for law in simple for fit in law(evidence)] or list(multiplied_and_added(evidence))
    return min(fits, key=lambda fit: (fit.parameters, fit.log_chance), default=None)


# ---------------------------------------------------------------------------------- laws without a parameter


def zeroed(evidence: Evidence) -> Iterator[Fit]:
    """Every wrong entry is exactly zero, or what fresh memory holds: zeros and subnormal numbers."""
    wrong, holds = evidence.wrong, unwritten(evidence)
    if np.all(holds[wrong]):
        chance = -MOST_DIGITS * np.count_nonzero(wrong) + math.log10(SIMPLE)
        if np.all(evidence.analytical[wrong] == 0):
            yield Fit("zero", ZERO + hint_of_zeros(evidence, wrong), holds, chance)
        else:
            yield Fit("unwritten", "{who} {is} subnormal: memory that was never written", holds, chance)


def unwritten(evidence: Evidence) -> Mask:
    """Where the analytical value is zero, or subnormal while the numerical value is nowhere near."""
    tiny = np.finfo(np.float64).tiny
    ordinary = np.abs(evidence.numerical) > 1e8 * tiny
    return np.asarray((evidence.analytical == 0) | ((np.abs(evidence.analytical) < tiny) & ordinary))


def zeroed_among_others(evidence: Evidence) -> Fit | None:
    """Some of the wrong entries are exactly zero, which the others are not by accident."""
    holds = unwritten(evidence)
    steps = 2 * np.abs(evidence.difference[holds & evidence.wrong]) / evidence.quantum
    chance = math.log10(SIMPLE) - float(np.fmin(np.log10(1 + steps), MOST_DIGITS).sum())
    if chance >= SURE:
        return None
    return Fit("zero", ZERO + hint_of_zeros(evidence, holds & evidence.wrong), holds, chance)


def hint_of_zeros(evidence: Evidence, zeros: Mask) -> str:
    """What made them zero, unless a formula may have done so at this x: then the fact is all there is."""
    return "" if evidence.vanishes_by_accident(zeros) else ": zeroed or never written"


def unused(evidence: Evidence) -> Iterator[Fit]:
    """The function does not react to the entries, or x is one of its stationary points."""
    holds = evidence.agrees(np.zeros_like(evidence.numerical))
    chance = log_chance(evidence.surprise, free=0, among=SIMPLE)
    if np.all(holds[evidence.wrong]) and chance < SURE:
        wrong = evidence.wrong
        certain = np.all(evidence.numerical[wrong] == 0) and not evidence.vanishes_by_accident(wrong)
        hint = ": {f} does not react" if certain else " ({f} does not react, or is stationary in x)"
        yield Fit("unused", "{who} {has} a numerical derivative of zero" + hint, holds, chance)


def rounded_to_single(evidence: Evidence) -> Iterator[Fit]:
    """Every value is a float32 number, and off by no more than float32 arithmetic explains."""
    analytical, known = evidence.analytical, evidence.known
    largest = np.max(np.abs(evidence.numerical[known]), initial=0.0)
    holds = (analytical.astype(np.float32) == analytical) & (np.abs(evidence.difference) <= 1e-6 * largest)
    # Integers and simple fractions are float32 numbers too: only long mantissas speak.
    long = evidence.wrong & (round_mantissa(analytical, 2.0**-12) != analytical)
    chance = math.log10(MANY) - 29 * math.log10(2) * np.count_nonzero(long)
    if np.all(holds[known]) and chance < SURE:
        text = "{who} {is} a float32 number, off by its rounding: computed in single precision"
        yield Fit("float32", text, holds, chance)


# -------------------------------------------------------------------------------------- laws with parameters


def multiplied(evidence: Evidence) -> Iterator[Fit]:
    """Every wrong entry is the same multiple of the right value."""
    wrong, analytical, numerical = evidence.wrong, evidence.analytical, evidence.numerical
    interval = feasible(numerical[wrong], analytical[wrong], evidence.tolerance[wrong])
    if interval is None:
        return
    sign, low, high = interval
    ratio, number, change = describe_ratio(low, high, evidence.sizes, evidence.constants)
    if evidence.relative_width(numerical) > widest_bars(number, evidence):
        return
    slack = number.parameters * (high - low) * np.abs(analytical)
    holds = np.abs(numerical - sign * ratio * analytical) <= evidence.tolerance + slack
    inputs = evidence.granular_surprise, analytical
    chance = log_chance(*inputs, free=number.parameters, among=number.alternatives)
    certain = chance < SURE or (number.alternatives == SIMPLE and is_wrong_throughout(evidence))
    if np.all(holds[wrong]) and certain:
        flipped = "" if sign > 0 else ", and {has} the wrong sign"
        kind, text = "factor", f"{{who}} {{is}} {change}{flipped}{number.hint}"
        if sign < 0 and ratio == 1:
            kind, text = "sign", "{who} {has} the wrong sign"
        yield Fit(kind, text + doubt_of_powers(evidence, kind), holds, chance, number.parameters, sign / ratio)


def is_wrong_throughout(evidence: Evidence) -> bool:
    """Whether no entry is right, and enough of them differ: the same simple factor in all is then no accident.

    Of 98 000 gradients of random polynomials at plain points, wrong by a term, a power or an index, none obeyed one so.
    """
    clear = evidence.surprise < THREE_DIGITS
    distinct = (np.unique(np.abs(values[clear])).size for values in (evidence.x, evidence.analytical))
    return bool(np.all(evidence.wrong[evidence.known]) and min(distinct) >= FEWEST_THROUGHOUT)


def doubt_of_powers(evidence: Evidence, kind: str) -> str:
    """At a single plain number, x**2 for 2 * x is a factor too, the same in every entry; at -1 a sign."""
    x = evidence.x[evidence.wrong]
    alike = np.all(is_plain(x)) and np.ptp(np.abs(x)) == 0 and (kind == "factor" or np.any(x < 0))
    return " (or a wrong power of x: x cannot tell)" if alike else ""


def widest_bars(number: Number, evidence: Evidence) -> float:
    """Relative bars up to which a number is believed to be constant: what is the same to 1 % may vary slowly."""
    many = np.count_nonzero(evidence.wrong) >= MANY_ENTRIES
    if number.parameters:
        return MOST_COARSE if many else FINE
    return math.inf if many and number.alternatives == SIMPLE else MOST_COARSE


@dataclass(frozen=True)
class Term:
    """What may have been forgotten in, or added to, every wrong entry: a multiple of a column."""

    kind: str
    symbol: str
    hint: str


CONSTANT = Term("constant", "", "")
IN_X = Term("proportional to x", " * x", ": a regulariser?")
IN_SIGN = Term("proportional to sign(x)", " * sign(x)", ": an L1 penalty?")


def added(evidence: Evidence) -> Iterator[Fit]:
    """The same constant, or the same multiple of x or of sign(x), is missing or too much."""
    x = evidence.x
    columns = ((CONSTANT, np.ones_like(x)), (IN_X, x), (IN_SIGN, np.sign(x)))
    fits = [fit for term, column in columns for fit in added_term(evidence, term, column)]
    if fits:
        best = min(fits, key=lambda fit: (fit.parameters, fit.log_chance))
        # All x alike, or of one sign: the same numbers are several laws, and the sentence says so.
        others = " or ".join(fit.kind for fit in fits if fit is not best)
        text = f"{best.sentence} (or {others}: x cannot tell)" if others else best.sentence
        yield replace(best, sentence=text)


def added_term(evidence: Evidence, term: Term, column: Floats) -> Iterator[Fit]:
    """The law numerical = analytical + c * column."""
    wrong, difference = evidence.wrong, evidence.difference
    interval = feasible(difference[wrong], column[wrong], evidence.tolerance[wrong])
    if interval is None:
        return
    sign, low, high = interval
    number = recognise_coefficient(low, high, evidence.constants)
    if np.ptp(column[wrong]) == 0 and evidence.relative_width(difference) > widest_bars(number, evidence):
        return
    slack = number.parameters * (high - low) * np.abs(column)
    holds = np.abs(difference - sign * number.value * column) <= evidence.tolerance + slack
    chance = log_chance(
        evidence.granular_surprise,
        evidence.analytical,
        column,
        free=number.parameters,
        among=number.alternatives,
        most_digits=most_digits_of(column[wrong]),
    )
    if np.all(holds[wrong]) and chance < SURE:
        what = f"{'term' if term.symbol else 'constant'} {number.text}{term.symbol}"
        text = f"a {what} is missing from {{who}}" if sign > 0 else f"an extra {what} is in {{who}}"
        yield Fit(term.kind, text + term.hint, holds, chance, number.parameters, sign * number.value)


def most_digits_of(column: Floats) -> float:
    """How much one entry may say for a column: errors often take few values, +c and -c above all."""
    if np.ptp(np.abs(column)) > 0:
        return MOST_DIGITS
    return 3.0 if np.ptp(column) == 0 else 1.0


def multiplied_and_added(evidence: Evidence) -> Iterator[Fit]:
    """A factor and a term in x at once, as when a mean was forgotten and the regulariser was not."""
    wrong, columns = evidence.wrong, np.stack([evidence.analytical, evidence.x], axis=1)
    if np.count_nonzero(evidence.granular_surprise) < FEWEST_FOR_TWO:
        return
    coefficients, spread = weighted_least_squares(columns[wrong], evidence.numerical[wrong], evidence.tolerance[wrong])
    ratio, slope = (float(c) for c in coefficients)
    needed = np.abs((ratio, ratio - 1, slope)) > 6 * spread[[0, 0, 1]]  # else one of the two would do
    prediction = columns @ coefficients
    inputs = (evidence.analytical, evidence.x)
    chance = log_chance(evidence.granular_surprise, *inputs, free=2, among=MANY)
    if np.all(needed) and np.all(evidence.agrees(prediction)[wrong]) and chance < SURE:
        low, high = (abs(ratio) + s * 4 * float(spread[0]) for s in (-1, 1))
        _, _, change = describe_ratio(low, high, evidence.sizes, evidence.constants)
        flipped = "" if ratio > 0 else ", and {has} the wrong sign"
        text = f"apart from a term in x, {{who}} {{is}} {change}{flipped}"
        slack = np.abs(columns) @ (4 * spread)
        holds = np.abs(evidence.numerical - prediction) <= evidence.tolerance + slack
        yield Fit("factor and term in x", text, holds, chance, 2, 1 / ratio)


def weighted_least_squares(columns: Floats, target: Floats, bars: Floats) -> tuple[Floats, Floats]:
    """Coefficients and their spread, both infinite or NaN for collinear columns."""
    weighted = columns / bars[:, None]
    scale = np.max(np.abs(weighted), axis=0)
    q, r = np.linalg.qr(weighted / scale)
    # Two columns: the triangle is inverted by hand, without an exception for collinear ones.
    inverse = np.array([[1 / r[0, 0], -r[0, 1] / (r[0, 0] * r[1, 1])], [0.0, 1 / r[1, 1]]])
    return inverse @ (q.T @ (target / bars)) / scale, np.sqrt(np.sum(inverse**2, axis=1)) / scale
