"""A first look at all entries at once: the plain judgement, compiled, for noise that does not depend on the step."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad import _threads
from fastgrad._compiled.entry_kernels import screen
from fastgrad._jacobian.differences import ColumnDifferences
from fastgrad._jacobian.setting import for_kernels
from fastgrad._judge.plain import JUMP_NOISE, STRAIGHT, UNSEEN
from fastgrad._judge.rows import RowSetting
from fastgrad._judge.setting import GRADIENT_ROUNDINGS, MOST_ROUNDING, NOISE_WIDTH, ROUNDING, SMALLEST_SCALE
from fastgrad._judge.verdict import Flag

Floats = NDArray[np.float64]

_WORTH_THREADS = 1 << 16  # entries
_CONSTANTS = (
    NOISE_WIDTH / math.sqrt(2.0), STRAIGHT, UNSEEN, JUMP_NOISE, GRADIENT_ROUNDINGS, MOST_ROUNDING, SMALLEST_SCALE,
    int(Flag.PLAIN), int(Flag.ABSOLUTE),
)  # fmt: skip


@dataclass(frozen=True)
class Screened:
    """What the first differences say of every entry; those not accepted have flag 0 and an infinite bar."""

    estimate: Floats
    bar: Floats
    flags: NDArray[np.uint16]


def screen_all(
    setting: RowSetting, first: ColumnDifferences, weight: Floats, found: Screened, *, lanes: int
) -> tuple[int, Floats]:
    """Judge all entries of columns that have central differences; `weight` makes differences of rows comparable.

    Fills in `found`; returns how many entries were not accepted, and the largest weighted difference of the others by
    column.
    """
    entries, size = setting.entries, setting.entries.size
    n = entries.shape[1]
    summary = np.zeros((n, 2))
    listed = for_kernels(entries, setting.given)
    columns = (setting.x, first.step, first.distance, setting.plain_scale, first.group)
    rows = (
        setting.unit, setting.value, setting.noise.sigmas[0],
        setting.largest_product, setting.mean_product, setting.largest_gradient, weight,
    )  # fmt: skip
    rule = (setting.rtol, setting.precision, ROUNDING)
    lanes = lanes if size >= _WORTH_THREADS else 1

    def run(lane: int) -> None:
        share = (n * lane // lanes, n * (lane + 1) // lanes)
        given = (listed, columns, rows, (first.above, first.below), rule, _CONSTANTS)
        screen(*given, *share, found.estimate, found.bar, found.flags, summary)

    _threads.run_on_threads(run, lanes)
    return int(summary[:, 0].sum()), summary[:, 1]
