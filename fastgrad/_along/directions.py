"""Directions through x, and f along them."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._causes.places import Block
from fastgrad._inputs import Point, gradient_at
from fastgrad._large.probes import key_of
from fastgrad._large.scales import make_scalings
from fastgrad._nested import Nested
from fastgrad._schedule import Evaluator

Floats = NDArray[np.float64]

_WORTH_THREADS = 5e-5  # seconds


def random_direction(point: Point, seed: int, *purpose: int, floor: bool = True) -> Floats:
    """A direction that moves each component in proportion to its own size, with a floor at least to the median; flat.

    The floor shows errors of components near zero; without it, f need not be smooth on any scale but their own.
    """
    mixed, relative = make_scalings(point, (Block("", 0, point.shape or (1,)),), None)
    scaling = mixed if floor else relative
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
    moving = np.abs(point.flat[direction != 0.0].astype(np.float64))
    typical = float(np.median(moving[moving > 0.0])) if moving.any() else 1.0
    size = largest * math.sqrt(float(np.mean((direction[direction != 0.0] / largest) ** 2)))
    return 2.0 ** max(-500, min(500, round(math.log2(typical) - math.log2(size))))


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
