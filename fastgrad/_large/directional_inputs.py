"""The gate for f where the precision of x does not matter."""

from typing import Any

import numpy as np

from fastgrad._inputs import Point
from fastgrad._objective import Objective, Trial, prepare, try_objective


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
