"""A vector function tried at x before anything is differentiated: it returns, repeats itself, and only reads."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad._inputs import Point, name_entry
from fastgrad._prepared import SAME_VALUE
from fastgrad._vector_objective import Shape, VectorObjective

Floats = NDArray[np.float64]

_TRACE = -0.0078125  # left in an array to be filled, to see whether it is


@dataclass(frozen=True)
class VectorTrial:
    """Two evaluations at x: the values (flat, and their shape), by how much the second ones differed, the time."""

    values: Floats
    shape: Shape
    difference: Floats
    seconds: float
    name: str  # what the signature calls the function

    @property
    def size(self) -> int:
        return int(self.values.size)

    @property
    def is_deterministic(self) -> bool:
        same = (self.difference == 0.0) | (self.difference < SAME_VALUE * np.abs(self.values))
        return bool(same.all())

    def require_deterministic(self) -> None:
        """Raise if the function does not repeat itself."""
        if not self.is_deterministic:
            i = int(np.argmax(np.where(np.isnan(self.difference), np.inf, self.difference)))
            raise ValueError(
                f"{self.name} is not deterministic: two calls at x gave {name_entry(self.name, self.shape, i)} = "
                f"{float(self.values[i])!r} and a value {self.difference[i]:.2g} away; need a function that repeats "
                f"itself: fix the seed of its random numbers."
            )


def try_vector(objective: VectorObjective, point: Point) -> VectorTrial:
    """Evaluate F twice at x and see that it returns, leaves x and args alone, and repeats itself; 2 evaluations."""
    place = point.flat.copy()
    try:
        with objective.launching():
            first = objective.call(place)
    except Exception as error:
        error.add_note(f"{objective.named.name} raised at x itself")
        raise
    shape, values = first.shape, np.array(first, np.float64).reshape(-1)
    started = time.perf_counter()
    again, count = objective.values(place, values.size, filled=_TRACE)
    seconds = time.perf_counter() - started
    if not np.array_equal(place, point.flat):  # no NaN in x
        raise ValueError(objective.refusal_to_write("x"))
    objective.require_arguments_intact()
    _require_values(objective, values, again, count)
    both = np.isnan(values) & np.isnan(again)
    with np.errstate(invalid="ignore"):
        difference = np.where((values == again) | both, 0.0, np.abs(values - again))
    difference = np.where(np.isnan(difference), np.inf, difference)
    return VectorTrial(values, shape, difference, seconds, objective.named.name)


def _require_values(objective: VectorObjective, values: Floats, again: Floats, count: int) -> None:
    name = objective.named.name
    if values.size == 0:
        raise ValueError(f"{name} returns no values (an array of size 0); need at least one.")
    if count == -1:
        raise RuntimeError(
            f"{name} raised at x itself, but only in the second of two calls; need a function that repeats itself."
        )
    if count != values.size:
        raise ValueError(
            f"{name} returned {values.size} values at x and then {count} at the same x; need the same number every "
            f"time."
        )
    kept = np.flatnonzero(np.isnan(values) & ~np.isnan(again))
    if objective.out_shape is not None and kept.size:  # NaN and another number are what was in it before
        more = f" and {kept.size - 1} more" if kept.size > 1 else ""
        raise ValueError(
            f"{name} leaves {name_entry('out', objective.out_shape, int(kept[0]))}{more} as it was, or adds to it; "
            f"need every entry assigned at every call, because the array is not cleared in between."
        )
