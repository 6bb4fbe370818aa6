"""The gate for what directional checks ask for besides f, x and the gradient."""

from typing import Any

import numpy as np

from fastgrad._inputs import Point
from fastgrad._objective import Objective, Trial, prepare, try_objective


def seed_of(rng: Any) -> int:
    """A seed from what the user gave; none is 0, so that a check repeats itself."""
    if rng is None:
        return 0
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(1 << 62))
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer):
        raise TypeError(f"rng is {rng!r}; need a whole number or a numpy.random.Generator.")
    return int(rng)


def whole_number(value: Any, name: str, least: int) -> int:
    """A whole number, large enough."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r}; need a whole number.")
    if value < least:
        raise ValueError(f"{name} is {value}; need {least} or more.")
    return int(value)


def prepare_wide(f: Any, given: Point, args: tuple[Any, ...]) -> tuple[Objective, Trial, Point]:
    """f, tried at x; for a float32 x in float64 if f allows, where differences show ten digits more."""
    if given.dtype == np.float32:
        point = given.widened()
        try:
            objective = prepare(f, point, args)
            return objective, try_objective(objective, point), point
        except TypeError:  # f was compiled for float32 only
            pass
    objective = prepare(f, given, args)
    return objective, try_objective(objective, given), given
