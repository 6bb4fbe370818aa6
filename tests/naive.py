"""The slow, obvious twins of the compiled code: plain Python, one coordinate after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def central_difference(f: Callable[..., float], x: ArrayLike, step: ArrayLike, args: tuple[Any, ...] = ()):
    """(f(x + step e_i) - f(x - step e_i)) / (distance of the two points), in float64 and in the shape of x.

    `step` is a number or an array shaped like `x`. The two points are rounded to the dtype of `x`; integers
    become float64.
    """
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    steps = np.broadcast_to(np.asarray(step).astype(x.dtype), x.shape)
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        forward, backward = x.copy(), x.copy()
        forward[index] = x[index] + steps[index]
        backward[index] = x[index] - steps[index]
        distance = float(forward[index]) - float(backward[index])
        gradient[index] = (float(f(forward, *args)) - float(f(backward, *args))) / distance
    return gradient


def central_jacobian(F: Callable[..., Any], x: ArrayLike, step: ArrayLike, args: tuple[Any, ...] = ()):
    """`central_difference` of every value of F: a row for each of them and a column for each coordinate."""
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    steps = np.broadcast_to(np.asarray(step).astype(x.dtype), x.shape)
    columns = []
    for index in np.ndindex(x.shape):
        forward, backward = x.copy(), x.copy()
        forward[index] = x[index] + steps[index]
        backward[index] = x[index] - steps[index]
        distance = float(forward[index]) - float(backward[index])
        above, below = (np.asarray(F(place, *args), dtype=np.float64).ravel() for place in (forward, backward))
        columns.append((above - below) / distance)
    return np.stack(columns, axis=1)


def relative_error(numerical: ArrayLike, analytical: ArrayLike) -> float:
    """||numerical - analytical|| / (||numerical|| + ||analytical||).

    0 if both are zero, NaN if any number is NaN or infinite.
    """
    numerical = np.asarray(numerical, dtype=np.float64).ravel().tolist()
    analytical = np.asarray(analytical, dtype=np.float64).ravel().tolist()
    largest = max((abs(value) for value in numerical + analytical), default=0.0)
    if not all(map(math.isfinite, numerical + analytical)):
        return math.nan
    if largest == 0.0:
        return 0.0
    # Numbers of size 1, by an exact power of two: neither a difference nor a sum of norms can overflow.
    exponent = math.frexp(largest)[1]
    numerical = [math.ldexp(value, -exponent) for value in numerical]
    analytical = [math.ldexp(value, -exponent) for value in analytical]
    difference = [g - a for g, a in zip(numerical, analytical, strict=True)]
    return norm(difference) / (norm(numerical) + norm(analytical))


def norm(values: Iterable[float]) -> float:
    """Euclidean norm of finite numbers."""
    values = list(values)
    largest = max((abs(value) for value in values), default=0.0)
    if largest == 0.0:
        return 0.0
    return largest * math.sqrt(math.fsum((value / largest) ** 2 for value in values))
