"""Directions through x, and f along them."""

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._causes.places import Block
from fastgrad._inputs import Point, gradient_at
from fastgrad._large.probes import key_of
from fastgrad._large.scales import make_scalings
from fastgrad._large.zeros import without_zeros
from fastgrad._nested import Nested
from fastgrad._schedule import Evaluator

Floats = NDArray[np.float64]

_WORTH_THREADS = 5e-5  # seconds
_FAR = 10.0  # times its size: a component that the floor moves farther may drown the others


class Scale(enum.IntEnum):
    """How far a random direction moves each component."""

    FLOORED = 0  # by its own size, and at least by the median size: shows errors of components near zero
    OWN = 1  # by its own size, zeros by the median: f need not be smooth on any scale but theirs
    NONZERO = 2  # by its own size, zeros not at all: nobody knows what a small step is there


@dataclass(frozen=True)
class Draw:
    """One of the random directions of a check."""

    scale: Scale
    number: int  # from 0, whatever the scale


def is_spread(point: Point) -> bool:
    """Whether the floor moves some component by more than 10 times its size, as if all had the same unit."""
    size = np.abs(point.flat[point.flat != 0.0].astype(np.float64))
    return bool(size.size and float(size.min()) * _FAR < float(np.median(size)))


def plan_draws(point: Point, count: int, more: int | None = None) -> list[Draw]:
    """So many directions with the floor; where sizes spread, so many more of each other scale, or half as many.

    With the floor the small components of a spread x may make up all of g . v, without it components near zero none:
    only an error that both would show is one that is seen for sure.
    """
    scales = [Scale.FLOORED] * count
    if is_spread(point):
        further = [Scale.OWN, Scale.NONZERO] if (point.flat == 0.0).any() else [Scale.OWN]
        scales += [scale for scale in further for _ in range(more or (count + 1) // 2)]
    return [Draw(scale, number) for number, scale in enumerate(scales)]


def instead_of(scale: Scale, point: Point) -> Scale | None:
    """How a direction is drawn again that told nothing; not without zeros where it was to show errors there."""
    if scale is Scale.FLOORED:
        return Scale.OWN
    return Scale.NONZERO if scale is Scale.OWN and (point.flat == 0.0).any() else None


def random_direction(point: Point, seed: int, *purpose: int, scale: Scale = Scale.FLOORED) -> Floats:
    """A random direction that moves the components so far, flat; the same at every call."""
    mixed, relative = make_scalings(point, (Block("", 0, point.shape or (1,)),), None)
    scaling = mixed if scale is Scale.FLOORED else relative
    if scale is Scale.NONZERO:
        scaling = without_zeros(relative) or relative
    return scaling.components(key_of(seed, *purpose), np.arange(point.size))


def given_direction(direction: ArrayLike | Nested, point: Point) -> Floats:
    """The user's direction, checked, flat."""
    flat = gradient_at(point, direction, name="direction").astype(np.float64)
    if not np.isfinite(flat).all():
        raise ValueError("direction holds a NaN or an infinity; need finite components, shaped like x.")
    if not flat.any():
        raise ValueError("direction is zero; need one that moves x.")
    return flat


def unit_of(direction: Floats, point: Point) -> float:
    """How far to go for changes of the size of x itself, as a power of two; 1 for random directions."""
    largest = float(np.abs(direction).max())
    both = (direction != 0.0) & (point.flat != 0.0)
    ratio = np.abs(point.flat[both].astype(np.float64)) / np.abs(direction[both])
    if ratio.size and 0.0 < ratio.max() <= _FAR * ratio.min() < math.inf:  # in proportion to x, whatever its sizes
        return _power_of_two(math.log2(float(np.median(ratio))))
    moving = np.abs(point.flat[direction != 0.0].astype(np.float64))
    typical = float(np.median(moving[moving > 0.0])) if moving.any() else 1.0
    size = largest * math.sqrt(float(np.mean((direction[direction != 0.0] / largest) ** 2)))
    return _power_of_two(math.log2(typical) - math.log2(size))


def _power_of_two(exponent: float) -> float:
    return 2.0 ** max(-500, min(500, round(exponent)))


def worth_threads(seconds: float) -> float:
    """What an evaluation costs, or nothing if it is so little that the few along a line are made on one thread."""
    return seconds if seconds > _WORTH_THREADS else 0.0


def reach_of(direction: Floats, point: Point) -> float:
    """How far to go until some component has moved by its own size, as a power of two; inf for an x of zeros.

    Farther away f may have become another function: an exponential has overflown or vanished, a term saturated.
    """
    moves = (direction != 0.0) & (point.flat != 0.0)
    if not moves.any():
        return math.inf
    ratio = float((np.abs(point.flat[moves].astype(np.float64)) / np.abs(direction[moves])).min())
    return 2.0 ** max(-900, math.floor(math.log2(ratio))) if ratio > 0.0 else 2.0**-900


class AlongDirection:
    """f(x + t v) for given t, evaluated side by side."""

    def __init__(self, evaluator: Evaluator, direction: Floats) -> None:
        self._evaluator = evaluator
        self._direction = direction

    def __call__(self, t: Floats) -> Floats:
        """NaN where f raised."""
        values, status = self._evaluator.along(self._direction, t)
        self._evaluator.budget.let_out()  # Ctrl-C
        return np.where(status == 0, values, np.nan)
