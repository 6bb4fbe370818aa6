"""First differences of all coordinates at given steps: central, or one-sided where a bound leaves no room."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._compiled.kernels import RAISED_ABOVE
from fastgrad._inputs import Point, per_coordinate
from fastgrad._prepared import Prepared
from fastgrad._schedule import UNSEEN, Evaluator, Status

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Bounds:
    """Lowest and highest allowed value of each coordinate, flat."""

    lower: Floats
    upper: Floats

    def contain(self, x: Floats) -> NDArray[np.bool_]:
        return (self.lower <= x) & (x <= self.upper)

    def leave_room(self, x: NDArray[Any], step: Floats) -> bool:
        """Whether central differences at x with these steps stay inside."""
        return bool(
            ((x - step).astype(x.dtype) >= self.lower).all() and ((x + step).astype(x.dtype) <= self.upper).all()
        )


def make_bounds(bounds: tuple[ArrayLike, ArrayLike] | None, point: Point) -> Bounds | None:
    """Check bounds=(lower, upper), each one number or an array shaped like x; None on a side means no bound."""
    if bounds is None:
        return None
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise TypeError(
            f"bounds is {bounds!r}; need a pair (lower, upper), each one number or an array shaped like x."
        ) from None
    limits = Bounds(_side(lower, -np.inf, point, "lower"), _side(upper, np.inf, point, "upper"))
    crossed = np.flatnonzero(limits.lower > limits.upper)
    if crossed.size:
        i = int(crossed[0])
        raise ValueError(
            f"the lower bound of {point.name(i)} is {limits.lower[i]}, above its upper bound {limits.upper[i]}; need "
            f"bounds=(lower, upper)."
        )
    outside = np.flatnonzero(~limits.contain(point.flat.astype(np.float64)))
    if outside.size:
        i = int(outside[0])
        raise ValueError(
            f"{point.name(i)} = {point.flat[i]} lies outside its bounds [{limits.lower[i]}, {limits.upper[i]}]; "
            f"need an x inside them."
        )
    return limits


def _side(values: Any, default: float, point: Point, name: str) -> Floats:
    given = per_coordinate(default if values is None else values, point, f"the {name} bound")
    if np.isnan(given).any():
        raise ValueError(f"the {name} bound holds a NaN; need numbers: -inf, inf or None where there is no bound.")
    return given


@dataclass(frozen=True)
class FirstDifferences:
    """For every coordinate of x; NaN where no difference was taken. `above` and `below` only if central."""

    step: Floats
    above: Floats
    below: Floats
    quotient: Floats
    seen: NDArray[np.bool_]  # evaluated, be it in vain
    raised: dict[int, float]  # coordinate -> a value of it at which f raised


def no_differences(n: int) -> FirstDifferences:
    """To be filled piece by piece."""
    step, above, below, quotient = np.full((4, n), np.nan)
    return FirstDifferences(step, above, below, quotient, np.zeros(n, dtype=bool), {})


def all_differences(evaluator: Evaluator, steps: Floats, bounds: Bounds | None, value: float) -> FirstDifferences:
    """Differences at all coordinates; 2 evaluations each, error O(h^2)."""
    n = evaluator.point.size
    index = np.arange(n)
    if bounds is not None:
        first = no_differences(n)
        add_differences(first, evaluator, steps, index, bounds, value)
        return first
    found = evaluator.differences(index, steps)
    first = FirstDifferences(steps, found.above, found.below, found.quotient, found.status < UNSEEN, {})
    _note_failures(evaluator, first, index, found.status)
    return first


def add_differences(
    first: FirstDifferences, evaluator: Evaluator, steps: Floats, index: Index, bounds: Bounds | None, value: float
) -> None:
    """Take differences at coordinates `index` with steps[index], one-sided where a bound leaves no room."""
    inside = np.ones(index.size, dtype=bool)
    if bounds is not None:
        x, dtype = evaluator.point.flat[index], evaluator.point.dtype
        below, above = (x - steps[index]).astype(dtype), (x + steps[index]).astype(dtype)
        inside = (below >= bounds.lower[index]) & (above <= bounds.upper[index])
    central = index[inside]
    first.step[index] = steps[index]
    found = evaluator.differences(central, steps[central])
    first.above[central], first.below[central] = found.above, found.below
    first.quotient[central] = found.quotient
    first.seen[central] = found.status < UNSEEN
    _note_failures(evaluator, first, central, found.status)
    if bounds is not None and not inside.all():
        _one_sided(evaluator, first, index[~inside], bounds, value)


def _note_failures(evaluator: Evaluator, first: FirstDifferences, index: Index, status: Status) -> None:
    if not status.any():
        return
    for k in np.flatnonzero((status > 0) & (status < UNSEEN)).tolist():
        i = int(index[k])
        step = first.step[i] if status[k] & RAISED_ABOVE else -first.step[i]
        first.raised[i] = float(evaluator.point.flat[i] + step)


def _one_sided(evaluator: Evaluator, first: FirstDifferences, index: Index, bounds: Bounds, value: float) -> None:
    """(-3 f(x) + 4 f(x + s h) - f(x + 2 s h)) / (2 s h), looking where there is more room; h shrinks to fit."""
    x = evaluator.point.flat.astype(np.float64)[index]
    room_above, room_below = bounds.upper[index] - x, x - bounds.lower[index]
    side = np.where(room_above >= room_below, 1.0, -1.0)
    step = np.minimum(first.step[index], np.maximum(room_above, room_below) / 2.0)
    dtype, first.seen[index] = evaluator.point.dtype, True
    near, far = (stored(x + k * side * step, bounds, index, dtype) for k in (1.0, 2.0))
    room = (near != x) & (far != near)
    index, x, near, far = index[room], x[room], near[room], far[room]
    values, status = evaluator.displaced(np.repeat(index, 2), np.stack([near, far], axis=1).reshape(-1))
    one, two = values[0::2] - value, values[1::2] - value
    # Not exactly 4, 1 and 2 h, because the stored points are rounded.
    ratio = (far - x) / (near - x)
    first.quotient[index] = (one * ratio - two / ratio) / (far - near)
    first.step[index] = np.abs(near - x)
    first.seen[index[(status >= UNSEEN).reshape(-1, 2).any(axis=1)]] = False
    for k in np.flatnonzero((status > 0) & (status < UNSEEN)).tolist():
        first.raised[int(index[k // 2])] = float((near, far)[k % 2][k // 2])


def stored(place: Floats, bounds: Bounds, index: Index, dtype: np.dtype[Any]) -> Floats:
    """Places as the objective will see them; none is rounded across a bound."""
    lower, upper = bounds.lower[index], bounds.upper[index]
    stored = np.clip(place, lower, upper).astype(dtype)
    stored = np.where(stored > upper, np.nextafter(stored, dtype.type(-np.inf)), stored)
    return np.asarray(np.where(stored < lower, np.nextafter(stored, dtype.type(np.inf)), stored), dtype=np.float64)


def replay_failure(objective: Prepared, point: Point, raised: dict[int, float]) -> None:
    """If f raised at a coordinate, let its own exception arrive, with the coordinate in a note."""
    if not raised:
        return
    i = min(raised)
    place = point.flat.copy()
    place[i] = raised[i]
    h = float(place[i]) - float(point.flat[i])
    objective.replay(place, f"x {'+' if h > 0 else '-'} h, {point.name(i)} = {place[i]} (h = {abs(h):.3g})")
