"""Four-point levels: Richardson-extrapolated differences with a bar each. Pure arithmetic."""

import math
from collections.abc import Sequence

import numpy as np

from fastgrad._judge.grid import quantum
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING
from fastgrad._judge.verdict import Level

_QUANTUM_SHARE = 0.3
_ONE_SIDED_NOISE = 3.5  # the one-sided formula amplifies noise by so much more


def central_level(x: float, step: float, value: float, around: Sequence[float], sigma: float) -> Level:
    """Level from f at x - 2u, x - u, x + u, x + 2u (`around`); error O(u^4)."""
    below2, below, above, above2 = around
    near = (above - below) / ((x + step) - (x - step))
    far = (above2 - below2) / ((x + 2 * step) - (x - 2 * step))
    fourth = abs((above2 - value) + (below2 - value) - 4.0 * ((above - value) + (below - value)))
    forward, backward = (above - value) / step, (value - below) / step
    truncation = abs(far - near)
    values = (below2, below, value, above, above2)
    resolution = resolution_of(values, value)
    return Level(
        step=step,
        estimate=near - (far - near) / 3.0,
        truncation=truncation,
        bend=fourth / (4.0 * step),
        noise=NOISE_WIDTH * max(sigma, resolution) / step,
        resolution=resolution,
        local_noise=math.hypot(fourth / math.sqrt(140.0), truncation * 4.0 * step / math.sqrt(40.0)),
        noise_factor=1.0,
        slope_jump=forward - backward,
        slopes=(forward, backward),
        values=values,
    )


def one_sided_level(step: float, value: float, ahead: Sequence[float], sigma: float, side: int) -> Level:
    """Level from f at x + s u, x + 2 s u, x + 4 s u, x + 8 s u, s = side; error O(u^3)."""
    one, two, four, eight = (f - value for f in ahead)
    near = side * (4.0 * one - two) / (2.0 * step)
    middle = side * (4.0 * two - four) / (4.0 * step)
    far = side * (4.0 * four - eight) / (8.0 * step)
    estimate = near - (middle - near) / 3.0
    truncation = abs(middle - near)
    slope = side * one / step
    values = (value, *ahead)
    resolution = resolution_of(values, value)
    return Level(
        step=step,
        estimate=estimate,
        truncation=truncation,
        bend=abs((4.0 * middle - far) / 3.0 - estimate) / 2.0,
        noise=_ONE_SIDED_NOISE * NOISE_WIDTH * max(sigma, resolution) / step,
        resolution=resolution,
        local_noise=truncation * step / 2.2,
        noise_factor=_ONE_SIDED_NOISE,
        slope_jump=0.0,
        slopes=(slope, slope),
        values=values,
    )


def resolution_of(values: tuple[float, ...], value: float) -> float:
    """Noise that these values have at least: their rounding, or the grid they live on."""
    grid = float(quantum(np.array(values), value))
    return max(ROUNDING * max(abs(f) for f in values), _QUANTUM_SHARE * grid)
