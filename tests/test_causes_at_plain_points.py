"""Study: gradients of polynomials at plain points, wrong by a term, a power or an index; which laws are named?

A law counts as named falsely if it does not hold at generic points as well: then the numbers met by accident. Run as a
script for larger samples: `python tests/test_causes_at_plain_points.py 2000` prints the counts of each kind of point.
"""

import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from fastgrad._causes.cause import find_causes

POINTS = {
    "1, 2, ..., n": lambda rng, n: np.arange(1.0, n + 1),
    "integers": lambda rng, n: rng.integers(-3, 4, n).astype(float),
    "positive integers": lambda rng, n: rng.integers(1, 6, n).astype(float),
    "ones": lambda rng, n: np.ones(n),
    "twos": lambda rng, n: np.full(n, 2.0),
    "minus ones": lambda rng, n: -np.ones(n),
    "halves": lambda rng, n: rng.integers(-4, 5, n) / 2,
    "tenths": lambda rng, n: rng.integers(1, 10, n) / 10,
    "hundredths": lambda rng, n: rng.integers(1, 100, n) / 100,
    "one integer": lambda rng, n: np.append(rng.normal(size=n - 1), rng.integers(-2, 3)),
    "generic": lambda rng, n: rng.normal(size=n),
}
POWERS = {  # what is written for p * x**(p - 1)
    "x^p": lambda x, p: x**p,
    "p x": lambda x, p: p * x,
    "p x^p": lambda x, p: p * x**p,
    "right": lambda x, p: p * x ** (p - 1),
}


@dataclass(frozen=True)
class Bug:
    """One term is wrong, in the derivative by one variable or by all; or a power is, in all terms."""

    kind: str
    term: int
    variable: int | None
    order: np.ndarray  # of the variables, as they are mixed up
    power: str

    def concerns(self, term, variable):
        return (self.kind == "power everywhere" or term == self.term) and self.variable in (None, variable)


@dataclass(frozen=True)
class Case:
    """A polynomial, perhaps times a positive number that is not plain, and what is wrong with its gradient."""

    terms: list[tuple[int, dict[int, int]]]  # coefficient; variables and their powers
    bug: Bug
    scale: float

    def gradient(self, x, bug=None):
        total = np.zeros(x.size)
        for k, (coefficient, powers) in enumerate(self.terms):
            for i in powers:
                hit = bug is not None and bug.concerns(k, i)
                if hit and bug.kind == "forgotten":
                    continue
                at = x[bug.order] if hit and bug.kind == "index" else x
                rule = POWERS[bug.power if hit and bug.kind.startswith("power") else "right"]
                factors = (rule(at[j], p) if j == i else at[j] ** p for j, p in powers.items())
                total[i] += coefficient * np.prod(list(factors))
        return self.scale * total


def draw_case(rng, n, scale):
    def term(first):
        variables = {first, int(rng.integers(n))}
        return int(rng.choice([-3, -2, -1, 1, 2, 3])), {i: int(rng.integers(1, 4)) for i in variables}

    terms = [term(i) for i in range(n)] + [term(int(rng.integers(n))) for _ in range(int(rng.integers(0, n + 1)))]
    kind, k = str(rng.choice(["forgotten", "power", "power everywhere", "index"])), int(rng.integers(len(terms)))
    everywhere = kind == "power everywhere" or rng.random() < 0.5
    variable = None if everywhere else int(rng.choice(list(terms[k][1])))
    bug = Bug(kind, k, variable, rng.permutation(n), str(rng.choice(["x^p", "p x", "p x^p"])))
    return Case(terms, bug, scale)


def holds_elsewhere(cause, case, wrong):
    """Whether what a cause says is so at generic points too."""
    for seed in range(2):
        x = np.random.default_rng(seed).uniform(0.3, 1.7, wrong.size) * np.where(np.arange(wrong.size) % 2, -1, 1)
        bugged, right, c = case.gradient(x, case.bug), case.gradient(x), cause.parameter
        swapped = bugged.copy()
        swapped[wrong] = bugged[wrong][::-1]
        number = np.nan if c is None else c
        sides = {
            "sign": (bugged, -right),
            "factor": (bugged, number * right),
            "zero": (bugged, 0 * right),
            "unused": (right, 0 * right),
            "constant": (bugged + number, right),
            "proportional to x": (bugged + number * x, right),
            "proportional to sign(x)": (bugged + number * np.sign(x), right),
            "swapped entries": (swapped, right),
        }.get(cause.kind)
        if sides is None or np.count_nonzero(wrong & np.isclose(*sides, rtol=1e-6, atol=1e-9)) < cause.n_explained:
            return False
    return True


def is_hedged(cause):
    """A fact without an explanation, or with more than one."""
    bare_zero = cause.kind == "zero" and "written" not in cause.sentence
    return bare_zero or "cannot tell" in cause.sentence or "or is stationary" in cause.sentence


def count(point, cases, seed=0):
    """Wrong gradients at one kind of points; causes that are true, hedged and false."""
    rng, counts = np.random.default_rng(seed), Counter()
    for number in range(cases):
        n = int(rng.integers(1, 9))
        case, x = draw_case(rng, n, 1.0 if number % 2 else float(np.exp(rng.normal()))), POINTS[point](rng, n)
        bugged, right = case.gradient(x, case.bug), case.gradient(x)
        bars = 1e-10 * np.maximum(np.abs(right), 1.0)
        numerical = right + 0.5 * bars * rng.uniform(-1, 1, n)
        wrong = np.abs(bugged - right) > 1e-6 * np.maximum(np.abs(bugged), np.abs(right))
        counts["wrong"] += bool(wrong.any())
        for cause in find_causes(x, bugged, numerical, bars, wrong):
            if cause.kind != "place":  # which is no law
                true = holds_elsewhere(cause, case, wrong)
                counts["true" if true else "hedged" if is_hedged(cause) else "false"] += 1
    return counts


@pytest.mark.parametrize("point", POINTS)
def test_accidents_of_plain_numbers_are_not_named(point):
    counts = count(point, 400)
    assert counts["wrong"] > 150
    assert counts["true"] > 8  # and laws that are so everywhere are still found
    assert counts["false"] == 0, counts


@pytest.mark.parametrize("point", ["1, 2, ..., n", "positive integers", "tenths", "generic"])
@pytest.mark.parametrize(("kind", "factor"), [("sign", -1.0), ("factor", 2.0), ("factor", 0.5)])
def test_laws_of_the_whole_gradient_are_named(point, kind, factor):
    rng = np.random.default_rng(1)
    for n in (8, 12, 16):
        case, x = draw_case(rng, n, 1.0), POINTS[point](rng, n)
        right = case.gradient(x)
        bars = 1e-10 * np.maximum(np.abs(right), 1.0)
        assert [c.kind for c in find_causes(x, factor * right, right, bars, right != 0)] == [kind]


if __name__ == "__main__":
    for name in POINTS:
        print(f"{name:18}", dict(count(name, int(sys.argv[1]))))
