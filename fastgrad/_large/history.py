"""Gradient functions whose result depends on what was called before: found by calling them again."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad._causes.cause import Cause
from fastgrad._inputs import Array, Point, call_gradient

_AWAY = 1e-3  # of the size of each component
_NOISES, _ROUNDINGS = 24.0, 8.0  # below so many, a second difference of f may be none


def cause_of_history(
    gradient: Callable[..., Any], point: Point, args: tuple[Any, ...], analytical: Array,
    *, f: Callable[[Array], float], noise: float,
) -> Cause | None:  # fmt: skip
    """A cause if the function ignores x, or answers differently when asked again; 2 calls of the gradient.

    `analytical` is a copy of what it returned first. The gradient of a linear function is the same everywhere: only
    where f is curved, which takes 3 evaluations, is that a sign of a result that was kept.
    """
    step = np.asarray(_AWAY * np.maximum(np.abs(point.flat), 1.0), dtype=point.dtype)
    moved = Point(point.flat + step, point.shape, point.largest, point.structure)
    try:
        is_same_elsewhere = np.array_equal(call_gradient(gradient, moved, args), analytical, equal_nan=True)
        is_same_again = np.array_equal(call_gradient(gradient, point, args), analytical, equal_nan=True)
        if not is_same_again:
            text = "the gradient function returns another result when called at the same x again: it keeps a state"
            return Cause("stateful", None, text, point.size)
        if is_same_elsewhere and _is_curved(f, point.flat, step, noise):
            text = "the gradient function returns the same numbers at another x: a result kept from an earlier call?"
            return Cause("stale", None, text, point.size)
    except Exception:  # beyond the domain of f, perhaps: it says nothing about the gradient at x
        return None
    return None


def _is_curved(f: Callable[[Array], float], x: Array, step: Array, noise: float) -> bool:
    """Whether f bends on the way to the other point, by more than its noise."""
    below, middle, above = f(x - step), f(x), f(x + step)
    tolerance = _NOISES * noise + _ROUNDINGS * float(np.spacing(max(abs(below), abs(middle), abs(above))))
    return abs(below - 2.0 * middle + above) > tolerance
