"""In which rows the probes of a pattern had power: where an entry that matters would have been seen, had it been there.

What matters is measured against the row itself. An entry outside the pattern that moves the row as much as its largest
entry does, each by the step of its coordinate, must not be missed with more than a small probability; steps follow
the sizes of the coordinates, so that this compares entries times coordinates, in the units of F. Near a stationary
point the entries are small by accident: what counts is what curvature makes of them when a coordinate moves by a
tenth. A row in which nothing is resolved, of zeros say, has no largest entry: |F_i| over the coordinates takes its
place.
"""

import numpy as np
from numpy.typing import NDArray

from fastgrad._sparse.pattern import Pattern
from fastgrad._sparse.probe import Measured, Remainder

Floats = NDArray[np.float64]

_NEARBY = 0.1  # of the size of a coordinate
_MOST_MISSED = 1e-4  # probability that both probes miss an entry as large as the largest of its row


def blind_rows(
    pattern: Pattern, found: Measured, size: Floats, value: Floats, left: list[Remainder], reach: Floats
) -> NDArray[np.bool_]:
    """Rows in which the probes may have missed what matters.

    `size` holds |entry| where it was resolved, and zero elsewhere; `reach` the steps of the columns over the sizes of
    their coordinates.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        scale = largest_by_row(pattern, size * np.abs(found.distance))
        curved = largest_by_row(pattern, _NEARBY * found.bend / reach[pattern.columns])
        level = np.where(np.isfinite(value), np.abs(value), 0.0) * 2.0 * float(np.median(reach))
        scale = np.maximum(np.where(scale > 0.0, scale, level), curved)
        missed = np.ones(value.size)
        for one in left:
            share = np.where(one.bar > 0.0, one.bar / scale, 0.0)
            missed *= np.where(one.unknown, 1.0, np.minimum(share, 1.0))
    return np.asarray(missed > _MOST_MISSED)


def largest_by_row(pattern: Pattern, values: Floats) -> Floats:
    """The largest of each row; zero for a row without any, and what is not finite is passed over."""
    largest = np.zeros(pattern.shape[0])
    np.maximum.at(largest, pattern.rows, np.where(np.isfinite(values), values, 0.0))
    return largest
