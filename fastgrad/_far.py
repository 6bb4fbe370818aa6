"""What a function changes by far away from x: a measure of small changes where a gradient that is zero gives none."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgrad._first import Bounds
from fastgrad._judge.grid import keys, scramble

Floats = NDArray[np.float64]


class _Evaluator(Protocol):
    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, NDArray[np.uint8]]: ...


def change_far_away(
    evaluator: _Evaluator, x: Floats, distance: Floats, bounds: Bounds | None, value: Any, unit: Any
) -> Floats:
    """The largest |f - value|, for each output of f, where all coordinates move by their distance; 2 evaluations.

    What is not finite there counts as no change, and coordinates that bounds hold back stay where they are.
    """
    sign = np.where(scramble(keys(np.arange(x.size), 999)) & np.uint64(1) == 1, 1.0, -1.0)
    direction = sign * distance
    if bounds is not None:
        direction[~(bounds.contain(x + direction) & bounds.contain(x - direction))] = 0.0
    values, _ = evaluator.along(direction, np.array([1.0, -1.0]))
    with np.errstate(invalid="ignore"):
        change = np.abs(values * unit - value)
    return np.asarray(np.max(change, axis=0, initial=0.0, where=np.isfinite(change)))
