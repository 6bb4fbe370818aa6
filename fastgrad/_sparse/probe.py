"""Whether F depends on anything outside a pattern: its response to a random direction against the sum over the entries.

All coordinates move at once, x_j by its step h_j times a random weight w_j. Where the pattern holds, row i answers with
the sum of its entries times the distances; what is left over comes from outside the pattern. An entry (i, k) outside it
leaves a_ik h_k (w_k - w_j) twice over, where j is the column of row i that was measured together with k and so took
its part for its own, or 0 if there is none. The weights are drawn independently and uniformly from [-1, -1/2] and
[1/2, 1], a set of length 1: whatever the others are, the last one makes what is left over fall below a bar b with a
probability of at most b / |a_ik h_k| (the sum of any number of entries outside, too, judged by the largest of them).
Probes are independent, so that two miss an entry of r bars with probability r^-2 at most.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad._first import Bounds
from fastgrad._inputs import Point
from fastgrad._jacobian.differences import ColumnDifferences
from fastgrad._judge.grid import keys, scramble
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING
from fastgrad._sparse.pattern import Pattern
from fastgrad._vector_schedule import VectorEvaluator

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

PROBES = 2
_SHRINK = 1.0 / 64.0  # of the steps, where F fails further out


@dataclass(frozen=True)
class Measured:
    """Differences by groups, entry by entry: quotients, and what they were made of."""

    quotient: Floats
    distance: Floats  # between the two points, along the column of the entry
    bend: Floats  # |F_i above + F_i below - 2 F_i|


def measured(first: ColumnDifferences, value: Floats) -> Measured:
    """The first differences of all entries of a list."""
    entries = first.entries
    everything = slice(0, entries.size)
    above, below = first.around(everything)
    at_x = value[entries.rows(everything)]
    with np.errstate(invalid="ignore", over="ignore"):
        bend = np.abs((above - at_x) + (below - at_x))
    return Measured(first.all_quotients(), first.distance[entries.columns(everything)], bend)


@dataclass(frozen=True)
class Probe:
    """Response of F to one direction."""

    distance: Floats  # between the two points, by column
    response: Floats  # F(x + v) - F(x - v), by row; NaN where F is not finite
    bend: Floats

    @property
    def answered(self) -> bool:
        return bool(np.isfinite(self.response).any())


def take_probe(evaluator: VectorEvaluator, value: Floats, step: Floats, bounds: Bounds | None, seed: int) -> Probe:
    """Move every coordinate by its step times a random weight; 2 evaluations, 4 if F fails there.

    Coordinates that have no room within the bounds stay where they are.
    """
    direction = step * weights(step.size, seed)
    if bounds is not None:
        x = evaluator.point.flat.astype(np.float64)
        room = bounds.contain(x + step) & bounds.contain(x - step)
        direction = np.where(room, direction, 0.0)
    for reach in (1.0, _SHRINK):
        probe = respond(evaluator, value, reach * direction)
        if probe.answered:
            break
    return probe


def sizes_of_terms(pattern: Pattern, found: Measured, point: Point, value: Floats) -> Floats:
    """For each row |F_i| and the sum of |entry * coordinate|: what its rounding begins with."""
    with np.errstate(invalid="ignore", over="ignore"):
        terms = np.abs(found.quotient * point.flat[pattern.columns])
    total = np.bincount(pattern.rows, np.where(np.isfinite(terms), terms, 0.0), minlength=value.size)
    return np.asarray(np.where(np.isfinite(value), np.abs(value), 0.0) + total)


def weights(n: int, seed: int) -> Floats:
    """Uniform on [-1, -1/2] and [1/2, 1]; they depend on the seed and the coordinate alone."""
    bits = scramble(keys(np.arange(n), seed))
    size = 0.5 + 0.5 * (bits >> np.uint64(12)).astype(np.float64) * 2.0**-52
    return np.asarray(np.where(bits & np.uint64(1) == 1, size, -size))


def respond(evaluator: VectorEvaluator, value: Floats, direction: Floats) -> Probe:
    """F a direction above x and below; 2 evaluations."""
    values, status = evaluator.along(direction, np.array([1.0, -1.0]))
    above, below = np.where(status[:, None] == 0, values, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        return Probe(
            distance=distances(evaluator.point, direction),
            response=above - below,
            bend=np.abs((above - value) + (below - value)),
        )


def distances(point: Point, step: Floats, columns: Index | slice = slice(None)) -> Floats:
    """Between x + step and x - step as they are stored."""
    x = point.flat[columns]
    above, below = (x + step).astype(point.dtype), (x - step).astype(point.dtype)
    return np.asarray(above.astype(np.float64) - below)


@dataclass(frozen=True)
class Remainder:
    """What the entries of the pattern do not explain of a probe, by row, and how much noise and bends could."""

    left: Floats
    noise: Floats
    bend: Floats

    @property
    def bar(self) -> Floats:
        return self.noise + self.bend

    @property
    def shows(self) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.left) > self.bar)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Rows about which nothing is known: F was not finite."""
        return ~(np.isfinite(self.left) & np.isfinite(self.bar))


def remainder(probe: Probe, pattern: Pattern, found: Measured, value: Floats, sigma: Floats) -> Remainder:
    """Compare a probe with the sum over the entries; `sigma` is the noise of every row.

    The bar has a part for the noise of the probe and of each quotient, and one for a slope that changes within the
    steps: half of a kink is seen by one of the two sides and not by the other.
    """
    m = value.size
    with np.errstate(invalid="ignore", over="ignore"):
        moved = probe.distance[pattern.columns]
        stays = moved == 0.0
        ratio = np.where(stays, 0.0, np.abs(moved / found.distance))
        part = np.where(stays, 0.0, found.quotient * moved)
        explained = np.bincount(pattern.rows, part, minlength=m)
        spread = np.sqrt(1.0 + np.bincount(pattern.rows, ratio**2, minlength=m))
        bend = probe.bend + np.bincount(pattern.rows, np.where(stays, 0.0, ratio * found.bend), minlength=m)
        noise = NOISE_WIDTH * math.sqrt(2.0) * np.maximum(sigma, ROUNDING * np.abs(value)) * spread
        # The roundings of the sum itself: of terms that cancel.
        noise += 4.0 * 2.0**-53 * np.bincount(pattern.rows, np.abs(part), minlength=m)
        return Remainder(probe.response - explained, noise, bend)
