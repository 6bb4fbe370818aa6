"""Numbers worth a name: what a narrow interval of values stands for."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

# How many alternatives a number was chosen from. The simple ones are what people get wrong: 1 (a sign) and 2.
SIMPLE, COMMON, MANY, RARE = 4, 50, 200, 500
# A name is given only while `alternatives * relative width of the interval` stays below this.
NARROW = 0.2

USUAL = {
    "180/pi": (180 / math.pi, ": degrees for radians?"),
    "ln 10": (math.log(10), ": log10 for ln?"),
    "1/ln 2": (1 / math.log(2), ": log2 for ln?"),
    "pi": (math.pi, ""),
    "2 pi": (2 * math.pi, ""),
    "4 pi": (4 * math.pi, ""),
    "pi/2": (math.pi / 2, ""),
    "sqrt 2": (math.sqrt(2), ""),
    "sqrt(2 pi)": (math.sqrt(2 * math.pi), ""),
}


@dataclass(frozen=True)
class Number:
    """A positive number: recognised, hence exact, or merely measured (one free parameter)."""

    value: float
    text: str
    hint: str = ""
    alternatives: int = MANY
    parameters: int = 0

    @property
    def decimal(self) -> str:
        """The value in digits."""
        if self.parameters:
            return self.text
        return str(round(self.value)) if self.value == round(self.value) else f"{self.value:.6g}"


def shortest_decimal(low: float, high: float) -> str:
    """The decimal number with the fewest digits between two numbers of the same sign."""
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        if low <= float(f"{middle:.{digits}g}") <= high:
            return f"{float(f'{middle:.{digits}g}'):.{max(digits, 6)}g}"
    return repr(middle)


def recognise_factor(low: float, high: float, sizes: Mapping[str, float], constants: Mapping[str, float]) -> Number:
    """Name a factor between `low` and `high`, both about 1 or larger: the simplest name that fits."""
    middle = low + (high - low) / 2
    return _recognise(low, high, _factors(middle, sizes, constants))


def describe_ratio(
    low: float, high: float, sizes: Mapping[str, float], constants: Mapping[str, float]
) -> tuple[float, Number, str]:
    """The ratio behind low <= |numerical / analytical| <= high, its name, and what that makes the analytical."""
    if low + high < 2:
        number = recognise_factor(1 / high, 1 / low, sizes, constants)
        words = "{0.decimal} times too large (analytical = {0.text} * numerical)"
    else:
        number = recognise_factor(low, high, sizes, constants)
        words = "{0.decimal} times too small (numerical = {0.text} * analytical)"
    return (1 / number.value if low + high < 2 else number.value), number, words.format(number)


def recognise_coefficient(low: float, high: float, constants: Mapping[str, float]) -> Number:
    """Name a positive coefficient by one of the user's constants."""
    return _recognise(low, high, _multiples(constants, "", COMMON))


def _recognise(low: float, high: float, candidates: Iterator[Number]) -> Number:
    for number in candidates:
        if low <= number.value <= high and (high - low) * number.alternatives <= NARROW * number.value:
            return number
    return Number(low + (high - low) / 2, shortest_decimal(low, high), parameters=1)


def _factors(middle: float, sizes: Mapping[str, float], constants: Mapping[str, float]) -> Iterator[Number]:
    yield Number(1.0, "1", "", SIMPLE)
    yield Number(2.0, "2", ": a missing or doubled factor", SIMPLE)
    yield from _multiples(constants, "", COMMON)
    if 2.5 < middle < 10.5:  # small integers are more likely themselves than a length
        yield Number(float(round(middle)), str(round(middle)), "", MANY)
    yield from _multiples(sizes, ": a sum for a mean, or the reverse?", COMMON)
    if 10 < middle < 1e9:
        yield Number(float(round(middle)), str(round(middle)), "", max(MANY, 4 * round(middle)))
    for name, (value, hint) in USUAL.items():
        yield Number(value, name, hint, RARE)
    if middle < 1e3:
        ratio = Fraction(middle).limit_denominator(12)
        yield Number(float(ratio), str(ratio), "", 4 * RARE)


def _multiples(named: Mapping[str, float], hint: str, alternatives: int) -> Iterator[Number]:
    """Each named value, its half, its double and their inverses."""
    for name, value in named.items():
        size = abs(value)
        if size in (0, 1, 2) or not math.isfinite(size):
            continue
        for number, text in (
            (size, name),
            (1 / size, f"1/{name}"),
            (2 * size, f"2 {name}"),
            (2 / size, f"2/{name}"),
            (size / 2, f"{name}/2"),
            (1 / (2 * size), f"1/(2 {name})"),
        ):
            yield Number(number, text, hint, alternatives * len(named))
