"""A first look at all entries at once: the plain judgement, compiled, for noise that does not depend on the step."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad import _threads
from fastgrad._compiled.entry_kernels import screen
from fastgrad._jacobian.differences import ColumnDifferences
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
    open: int  # entries not accepted
    largest: Floats  # by column, the largest weighted difference of an accepted entry


def screen_all(setting: RowSetting, first: ColumnDifferences, weight: Floats, lanes: int) -> Screened:
    """Judge all entries of columns that have central differences; `weight` makes differences of rows comparable."""
    entries, size = setting.entries, setting.entries.size
    n = entries.shape[1]
    estimate, bar, flags = np.empty(size), np.empty(size), np.empty(size, np.uint16)
    summary = np.zeros((n, 2))
    row = np.zeros(0, np.int64) if entries.listed is None else entries.listed[0].astype(np.int64, copy=False)
    start = entries.starts
    columns = (setting.x, first.step, first.distance, setting.plain_scale, first.group)
    rows = (
        setting.unit, setting.value, setting.noise.sigmas[0],
        setting.largest_product, setting.mean_product, setting.largest_gradient, weight,
    )  # fmt: skip
    rule = (setting.rtol, setting.precision, ROUNDING)
    lanes = lanes if size >= _WORTH_THREADS else 1

    def run(lane: int) -> None:
        share = (n * lane // lanes, n * (lane + 1) // lanes)
        given = ((start, row, setting.given), columns, rows, (first.above, first.below), rule, _CONSTANTS)
        screen(*given, *share, estimate, bar, flags, summary)

    _threads.run_on_threads(run, lanes)
    return Screened(estimate, bar, flags, int(summary[:, 0].sum()), summary[:, 1])
