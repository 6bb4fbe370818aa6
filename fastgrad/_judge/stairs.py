"""Stairs: an f that moves by steps only has, for a derivative, whatever slope its treads leave room for."""

import math
from collections.abc import Generator

from fastgrad._judge.search import Search
from fastgrad._judge.verdict import Level

_COARSE = 2.0**-21  # noise over f: what is coarser may be stairs seen from afar
_FAR = (1.0, 4.0, 16.0)  # in scales of the coordinate
_HALVINGS = 12  # by then the rise of a continuous f is a thousandth of what it was
_STEEPEST = 8.0  # slope times the way to the edge, over the height of the step: 4 close to an extremum


def is_flat_close_by(search: Search) -> Generator[list[float], list[float], bool]:
    """Whether f is flat close to x while its noise is coarse: then a zero derivative is as right as any."""
    setting = search.setting
    if setting.analytical[search.i] != 0.0 or setting.noise.smallest <= _COARSE * abs(setting.value):
        return False
    step = search.scale * 2.0**-40
    values = yield from search.ask([search.x - 2 * step, search.x - step, search.x + step, search.x + 2 * step])
    return all(f == setting.value for f in values)


def steepest_slope(search: Search, best: Level) -> Generator[list[float], list[float], float]:
    """The largest derivative of an f whose rounding to steps shows what is seen here; 0 if f is no stairs.

    f has to be constant at the best level, whose bar then knows nothing of the height of a step, and to jump at the
    edge of this tread. What sets in without a jump, as a unit that switches on further away, is no stairs; 18
    evaluations at most.
    """
    if len(set(best.values)) > 1:
        return 0.0
    x, value = search.x, search.setting.value
    for far in _FAR:
        if not _moving(search):
            yield from search.ask([x - far * search.scale, x + far * search.scale])
    moving = _moving(search)
    if not moving:
        return 0.0
    outer = min(moving, key=lambda point: abs(point - x))
    flat = [p for p, f in search.known.items() if f == value and 0.0 < (p - x) / (outer - x) < 1.0]
    inner = max(flat, key=lambda point: abs(point - x), default=x + (best.step if outer > x else -best.step))
    for _ in range(_HALVINGS):
        middle = 0.5 * (inner + outer)
        (there,) = yield from search.ask([middle])
        if there == value:
            inner = middle
        else:
            outer = middle
    return _STEEPEST * abs(search.known[outer] - value) / abs(inner - x)


def height_of_step(search: Search) -> float:
    """The smallest change of f that was seen; infinite if none was."""
    return min((abs(search.known[point] - search.setting.value) for point in _moving(search)), default=math.inf)


def _moving(search: Search) -> list[float]:
    return [p for p, f in search.known.items() if abs(f - search.setting.value) > 0.0]
