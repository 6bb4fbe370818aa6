"""A wrong gradient as evidence: how surprising it is that its wrong entries obey a law."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A law is certain if unstructured errors would obey it with a probability below 10**SURE.
SURE = -6.0
# The error bars are estimates themselves: agreement is never demanded beyond eight digits.
ALLOWANCE = 1e-8
# An entry speaks for a law only if its error is this many times its bar; the others may merely contradict.
CLEAR = 30.0
# No single entry counts for more than this many digits, however narrow its bar.
MOST_DIGITS = 12.0

# Where x is made of plain numbers, factors and zeros come about by accident, whatever the other digits of an entry are.
MOST_DIGITS_AT_PLAIN_X, FEW_ZEROS = 1.5, 3
# Entries that are looked at for a common quantum, and steps of it up to which a number counts as a multiple.
_SAMPLED, _MOST_STEPS = 64, 1e7

# Relative bars: wider than MOST_COARSE they hide errors that would change the picture, below FINE they hide nothing.
MOST_COARSE, FINE = 2e-3, 1e-6


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
    sizes: Mapping[str, float]  # lengths by name: the usual factors
    constants: Mapping[str, float]  # the user's own

    def cut(self, stretch: slice, shape: tuple[int, ...], sizes: Mapping[str, float]) -> "Evidence":
        """The evidence of consecutive entries only."""
        return Evidence(
            x=self.x[stretch],
            analytical=self.analytical[stretch],
            numerical=self.numerical[stretch],
            tolerance=self.tolerance[stretch],
            wrong=self.wrong[stretch],
            known=self.known[stretch],
            shape=shape,
            sizes={**self.sizes, **sizes},
            constants=self.constants,
        )

    def without(self, explained: Mask) -> "Evidence":
        """Leave out wrong entries that have their own explanation; another law must not claim them."""
        return replace(self, wrong=self.wrong & ~explained)

    def agrees(self, prediction: Floats) -> Mask:
        """Where a predicted gradient lies within the error bars."""
        return np.asarray(np.abs(self.numerical - prediction) <= self.tolerance)

    def relative_width(self, values: Floats) -> float:
        """How wide the bars of wrong entries are, relative to some values."""
        return float(np.median(self.tolerance[self.wrong] / np.abs(values[self.wrong])))

    @cached_property
    def difference(self) -> Floats:
        """Numerical minus analytical."""
        return self.numerical - self.analytical

    @cached_property
    def surprise(self) -> Floats:
        """Per entry, log10 of the chance that an unstructured error of its size lands within its bar."""
        size = np.abs(self.difference)
        clear = self.wrong & (size > self.tolerance) & (size >= CLEAR * self.tolerance)
        return np.where(clear, np.fmax(np.log10(2 * self.tolerance / size), -MOST_DIGITS), 0.0)

    @cached_property
    def quantum(self) -> float:
        """What all wrong values, right and claimed, are multiples of: 1 for integers, next to nothing for others."""
        entries = np.flatnonzero(self.wrong)
        entries = entries[:: math.ceil(entries.size / _SAMPLED) or 1]
        analytical, numerical = self.analytical[entries], self.numerical[entries]
        rounding = np.full(entries.size, 1e-12 * np.max(np.abs(analytical), initial=0.0))
        quantum = common_quantum(
            np.concatenate([analytical, numerical]), np.concatenate([rounding, self.tolerance[entries]])
        )
        return quantum or largest_common_power_of_two(self.analytical[self.wrong])

    @cached_property
    def at_plain_x(self) -> bool:
        """Whether at least half of x are plain numbers: 1, 2, 3, or 0.1 and 0.5."""
        return bool(2 * np.count_nonzero(is_plain(self.x)) >= self.x.size)

    @cached_property
    def granular_surprise(self) -> Floats:
        """The surprise where values are multiples of a quantum, or x is plain: small integers agree easily."""
        digits = np.fmax(self.surprise, -np.log10(1 + 2 * np.abs(self.difference) / self.quantum))
        doubtful = is_plain(self.x) | self.at_plain_x
        return np.where(doubtful, np.fmax(digits, -MOST_DIGITS_AT_PLAIN_X), digits)

    def vanishes_by_accident(self, entries: Mask) -> bool:
        """Whether x alone may make a derivative zero: plain numbers, 0 above all, or a difference of equal x."""
        values, count = np.unique(self.x, return_counts=True)
        copies = max(1.0, self.x.size / self.sizes["n"])  # a matrix has one of x for each row
        alone = np.isin(self.x[entries], values[count <= copies])
        # A 0 can empty anything, another plain number among ordinary ones a few entries.
        few = np.count_nonzero(entries) <= FEW_ZEROS
        plain = self.at_plain_x or np.any(self.x == 0) or (few and np.any(is_plain(self.x)))
        return bool(plain or not np.all(alone))


@dataclass(frozen=True)
class Fit:
    """A law that passed; its sentence has gaps: {who} {has} {is} for the entries, {whole} for the stretch, {f} for
    what was differentiated."""

    kind: str
    sentence: str
    holds: Mask  # where the law agrees with the data, among wrong and right entries
    log_chance: float
    parameters: int = 0
    parameter: float | None = None
    covers: Mask | None = None  # a rearrangement: it must hold wherever it can be seen, and covers these entries


def log_chance(surprise: Floats, *inputs: Floats, free: int, among: float, most_digits: float = MOST_DIGITS) -> float:
    """Log10 of the probability that unstructured errors obey one of `among` laws as these entries do.

    Each free parameter costs the most significant entry. Entries in which the law sees the same `inputs` (one
    or two columns), as happens at symmetric points, obey any law together: they count once. No entry counts for
    more than `most_digits`.
    """
    clear = surprise < 0
    surprise = surprise[clear]
    if inputs and surprise.size:
        # Inputs closer than the bars cannot be told apart either; power of two, so that rounding is exact.
        resolution = 2.0 ** math.ceil(math.log2(max(2.0**-20, 10.0 ** float(np.median(surprise)))))
        first, second = (round_mantissa(column[clear], resolution) for column in (inputs[0], inputs[-1]))
        order = np.argsort(surprise)
        surprise = surprise[order][np.unique((first + 1j * second)[order], return_index=True)[1]]
    return float(np.fmax(np.sort(surprise)[free:], -most_digits).sum()) + math.log10(among)


def round_mantissa(values: Floats, resolution: float) -> Floats:
    """Values rounded to a relative resolution, a power of two."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa / resolution) * resolution, exponent)


def largest_common_power_of_two(values: Floats) -> float:
    """The largest power of two of which all values are multiples; 0 if there is no value but 0."""
    mantissa, exponent = np.frexp(values[values != 0])
    if mantissa.size == 0:
        return 0.0
    digits = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    return float(np.min(np.ldexp((digits & -digits).astype(np.float64), exponent - 53)))


def common_quantum(values: Floats, tolerance: Floats) -> float:
    """The largest power of two or ten of which all values are multiples, within a tolerance; 0 if it is too fine."""
    largest = float(np.max(np.abs(values), initial=0.0))
    if not 0 < largest < math.inf:
        return 0.0
    powers = [math.ldexp(1.0, k - math.frexp(_MOST_STEPS)[1]) for k in range(math.frexp(_MOST_STEPS)[1] + 1)]
    unit = math.ldexp(1.0, min(math.frexp(largest)[1], 1023))  # the next one is no number
    top = math.floor(math.log10(largest))
    tens = [float(f"1e{k}") for k in range(max(top - 7, -300), top + 1)]
    for quantum in sorted((*(unit * power for power in powers), *tens), reverse=True):
        steps = values / quantum
        if quantum and np.all(np.abs(steps - np.rint(steps)) * quantum <= tolerance):
            return quantum
    return 0.0


def is_plain(values: Floats) -> Mask:
    """Where a number is one that people type: at most two decimal digits, or as few bits; 0, 1, -0.5, 2.5, 0.03, 40."""
    mantissa, _ = np.frexp(values)
    with np.errstate(all="ignore"):
        digits = np.abs(values) / 10.0 ** (np.floor(np.log10(np.abs(values))) - 1)
        rounding = np.where(values.astype(np.float32) == values, 1e-7, 1e-14)
        decimal = np.abs(digits - np.rint(digits)) <= rounding * digits
    return np.asarray((64 * mantissa == np.rint(64 * mantissa)) | decimal)


def feasible(target: Floats, column: Floats, tolerance: Floats) -> tuple[float, float, float] | None:
    """All c != 0 with |target - c * column| <= tolerance, as (sign, least |c|, largest |c|), or None."""
    bare = column == 0
    if np.all(bare) or np.any(np.abs(target[bare]) > tolerance[bare]):
        return None
    centre, reach = target[~bare] / column[~bare], tolerance[~bare] / np.abs(column[~bare])
    low, high = float(np.max(centre - reach)), float(np.min(centre + reach))
    if 0 < low <= high < math.inf:
        return 1.0, low, high
    if -math.inf < low <= high < 0:
        return -1.0, -high, -low
    return None
