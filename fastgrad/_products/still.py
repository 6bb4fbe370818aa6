"""Outputs that stand still around x and move farther away: dead samples of a piecewise linear F.

To the measurement of noise a kink at a distance is noise, and to an output that vanishes any noise is large.
"""

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.directions import Floats, unit_of
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING
from fastgrad._vector_schedule import VectorEvaluator
from fastgrad._vector_trial import VectorTrial

Mask = NDArray[np.bool_]

_NEAREST, _NEAR, _FARTHEST = 14, 12, 1  # steps are these powers of 1/2; from the nearest to the near one nothing moves
_BESIDE = 1.0 + 2.0**-10  # where a slope changes an output, and a stair does not


def stands_still(
    evaluator: VectorEvaluator, trial: VectorTrial, direction: Floats, outputs: Mask, smallest: float
) -> Mask:
    """Which outputs are the same to the bit around x, and where they move first, do so by a slope and not by a stair.

    An output has to resolve a derivative of size `smallest`. 12 to 56 evaluations.
    """
    unit = unit_of(direction, evaluator.point)
    with np.errstate(all="ignore"):
        bar = NOISE_WIDTH * ROUNDING * np.abs(trial.values) / (unit * 2.0**-_NEAR)
    good: Mask = outputs & ((bar <= smallest) | (trial.values == 0.0))
    for side in (1.0, -1.0):
        still = good.copy()  # so far on this side
        for power in range(_NEAREST, _FARTHEST - 1, -1):
            if not still.any():
                break
            step = side * unit * 2.0**-power
            values, _ = evaluator.along(direction, np.array([step, step * _BESIDE]))
            evaluator.budget.let_out()  # Ctrl-C
            moved = still & (values[0] != trial.values)
            slides = np.isfinite(values).all(axis=0) & (values[0] != values[1])
            good &= ~moved | (slides & (power < _NEAR))
            still &= ~moved & good
    return good
