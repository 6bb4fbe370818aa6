"""Gradient functions whose result depends on what was called before: found by calling them again, without f."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad._causes.cause import Cause
from fastgrad._inputs import Array, Point, call_gradient

_AWAY = 1e-3  # of the size of each component


def cause_of_history(
    gradient: Callable[..., Any], point: Point, args: tuple[Any, ...], analytical: Array
) -> Cause | None:
    """A cause if the function ignores x, or answers differently when asked again; 2 calls of the gradient.

    `analytical` is a copy of what it returned first.
    """
    moved = point.flat + np.asarray(_AWAY * np.maximum(np.abs(point.flat), 1.0), dtype=point.dtype)
    try:
        is_same_elsewhere = np.array_equal(call_gradient(gradient, Point(
            moved, point.shape, point.largest, point.structure), args), analytical)  # fmt: skip
        is_same_again = np.array_equal(call_gradient(gradient, point, args), analytical)
    except Exception:  # beyond the domain of f, perhaps: it says nothing about the gradient at x
        return None
    if not is_same_again:
        text = "the gradient function returns another result when called at the same x again: it keeps a state"
        return Cause("stateful", None, text, point.size)
    if is_same_elsewhere:
        text = "the gradient function returns the same numbers at another x: a result kept from an earlier call?"
        return Cause("stale", None, text, point.size)
    return None
