"""Which rows that probes suspect are suspected because of noise: the same comparison once more, at wider steps."""

import numpy as np
from numpy.typing import NDArray

from fastgrad._first import Bounds
from fastgrad._jacobian.differences import take_differences
from fastgrad._judge.rows import Entries
from fastgrad._sparse.outside import Ground
from fastgrad._sparse.probe import Probe, Remainder, measured, remainder, take_probe
from fastgrad._vector_schedule import Groups

_SHARE = 0.5  # of what an entry outside the pattern would leave at the wider steps


def false_alarms(
    ground: Ground, groups: Groups, probes: list[Probe], before: list[Remainder], bounds: Bounds | None
) -> NDArray[np.bool_]:
    """Rows in which less is left at wider steps than an entry outside the pattern would leave.

    Its part grows as the steps, noise does not. Among a million rows some have more noise than their bars say, which
    are made from what all have in common. 2 evaluations for each group, and 2 for each probe.
    """
    evaluator, pattern, value = ground.evaluator, ground.pattern, ground.value
    wide = ground.wide_steps()
    entries = Entries(pattern.shape, (pattern.rows, pattern.columns))
    found = measured(take_differences(evaluator, entries, groups, wide, bounds, value), value)
    alarms = np.asarray(np.any([left.shows for left in before], axis=0))
    cleared = alarms.copy()
    for number, (near, left) in enumerate(zip(probes, before, strict=True)):
        far = take_probe(evaluator, value, wide, bounds, number + 1)
        after = remainder(far, pattern, found, value, ground.sigma)
        moved = (near.distance != 0.0) & (far.distance != 0.0)
        with np.errstate(invalid="ignore"):
            gain = float(np.abs(far.distance[moved] / near.distance[moved]).min(initial=np.inf))
            cleared &= ~left.shows | (np.abs(after.left) + after.noise < _SHARE * gain * np.abs(left.left))
    return cleared
