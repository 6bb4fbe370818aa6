"""The noise of many functions at once: the rows of a vector function, evaluated together. Pure NumPy.

The arithmetic is that of `noise`, row by row; one direction and 8 evaluations give a difference table for every row.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.grid import quantum
from fastgrad._judge.noise import (
    AGREEMENT,
    FIRST_ORDER,
    QUANTUM_SHARE,
    NoiseModel,
    TableState,
)

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_NOISE, _PLATEAU, _CURVED = (state.value for state in (TableState.NOISE, TableState.PLATEAU, TableState.CURVED))
_TOO_WIDE, _TOO_NARROW = -1, -2  # tables that a row did not need
_FEWEST = 16  # residuals that tell the noise of a row


@dataclass(frozen=True)
class Tables:
    """`Table` of every row, all at one relative spacing."""

    spacing: float
    sigma: Floats
    state: NDArray[np.int8]  # values of TableState
    coarseness: Floats

    def rows_that_are(self, state: TableState) -> NDArray[np.bool_]:
        return np.asarray(self.state == state.value)

    def wider_for(self, rows: NDArray[np.bool_]) -> "Tables":
        """For these rows only; the others take what a narrower table says."""
        return self._only(rows, _TOO_WIDE)

    def closer_for(self, rows: NDArray[np.bool_]) -> "Tables":
        """For these rows only; the others take what a wider table says."""
        return self._only(rows, _TOO_NARROW)

    def _only(self, rows: NDArray[np.bool_], instead: int) -> "Tables":
        state = np.where(rows, self.state, np.int8(instead))
        return replace(self, sigma=np.where(rows, self.sigma, 0.0), state=state)


def difference_tables(values: Floats, spacing: float) -> Tables:
    """Noise of every row of F from its equally spaced values, of shape (points, m), of which the first are F(x)."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(values).all(axis=0)
        sound = np.where(finite, values, 0.0)
        grid = quantum(sound.T, sound[0][:, None])
        largest = np.abs(sound).max(axis=0)
        scale = np.where(largest > 0.0, largest, 1.0)
        sigma, state = _pick_levels(sound / scale, scale)
        sigma = np.where(state == _PLATEAU, 0.0, sigma)
        sigma = np.where(finite, np.maximum(sigma, QUANTUM_SHARE * grid), math.inf)
        coarseness = np.where(largest > 0.0, QUANTUM_SHARE * grid / scale, 0.0)
    return Tables(spacing, sigma, np.where(finite, state, _CURVED).astype(np.int8), coarseness)


def _pick_levels(differences: Floats, scale: Floats) -> tuple[Floats, NDArray[np.int8]]:
    count = differences.shape[0]
    levels, sign_changes, weight = [], [], 1.0
    plateau = np.zeros(scale.size, dtype=bool)
    for order in range(1, count):
        differences = np.diff(differences, axis=0)
        if order == 1:
            plateau = 2 * np.count_nonzero(differences == 0.0, axis=0) >= count
        weight *= 0.5 * order / (2 * order - 1)  # (order!)^2 / (2 order)!
        levels.append(np.sqrt(weight * np.mean(differences**2, axis=0)) * scale)
        sign_changes.append((differences.min(axis=0) < 0.0) & (differences.max(axis=0) > 0.0))
    sigma = np.min(levels[FIRST_ORDER - 1 :], axis=0)
    state = np.full(scale.size, _CURVED, np.int8)
    for k in reversed(range(FIRST_ORDER - 1, len(levels) - 2)):
        three = np.stack(levels[k : k + 3])
        agree = (three.max(axis=0) <= AGREEMENT * three.min(axis=0)) & sign_changes[k]
        sigma, state = np.where(agree, levels[k], sigma), np.where(agree, np.int8(_NOISE), state)
    return sigma, np.where(plateau, np.int8(_PLATEAU), state)


@dataclass(frozen=True)
class RowNoise:
    """`NoiseModel` of every row: sigmas of shape (spacings, m) at relative spacings that all share."""

    spacings: tuple[float, ...]
    sigmas: Floats
    is_flat: NDArray[np.bool_]

    @cached_property
    def largest(self) -> Floats:
        return np.asarray(self.sigmas.max(axis=0))

    @cached_property
    def running(self) -> Floats:
        """The most seen at each spacing and those below it."""
        return np.asarray(np.maximum.accumulate(self.sigmas, axis=0))

    def of_row(self, i: int) -> NoiseModel:
        return NoiseModel(self.spacings, tuple(self.sigmas[:, i].tolist()), bool(self.is_flat[i]))

    def of_entries(self, row: Index) -> "EntryNoise":
        return EntryNoise(self, row)


@dataclass(frozen=True)
class EntryNoise:
    """The noise that a list of entries meets, each in its row."""

    rows: RowNoise
    row: Index

    @property
    def smallest(self) -> Floats:
        return np.asarray(self.rows.sigmas[0, self.row])

    @property
    def largest(self) -> Floats:
        return np.asarray(self.rows.largest[self.row])

    @property
    def is_flat(self) -> NDArray[np.bool_]:
        return np.asarray(self.rows.is_flat[self.row])

    def at(self, relative_step: Floats) -> Floats:
        """As `NoiseModel.at`, entry by entry."""
        if len(self.rows.spacings) == 1:
            return np.asarray(self.rows.sigmas[0, self.row])
        place = np.searchsorted(np.array(self.rows.spacings), 32.0 * relative_step, side="right") - 1
        return np.asarray(self.rows.running[np.maximum(place, 0), self.row])


def constant_row_noise(sigma: Floats) -> RowNoise:
    """The same noise at every scale, row by row; one that is not a number could be anything."""
    return RowNoise((0.0,), np.where(np.isnan(sigma), math.inf, sigma)[None, :], np.zeros(sigma.size, dtype=bool))


def combine_row_tables(tables: list[Tables], floor: Floats) -> RowNoise:
    """As `combine_tables`, for every row; `floor` is what repeated evaluations at one point showed."""
    sigma, state = np.stack([t.sigma for t in tables]), np.stack([t.state for t in tables])
    seen = np.where(state == _NOISE, sigma, np.nan)
    silent = np.isnan(seen).all(axis=0)
    lowest_curved = np.where(state == _CURVED, sigma, math.inf).min(axis=0)
    anything = np.where((state == _CURVED).any(axis=0), lowest_curved, sigma.max(axis=0))
    seen = np.where(silent, anything, seen)
    wider, narrower = _next_seen(seen[::-1])[::-1], _next_seen(seen)
    looks_wider = (state == _PLATEAU) | (state == _TOO_NARROW)
    inherited = np.where(looks_wider, _either(wider, narrower), _either(narrower, wider))
    sigmas = np.where(np.isnan(seen), inherited, seen)
    for k in range(len(tables) - 2, -1, -1):
        near = (sigmas[k] < sigmas[k + 1]) & (sigmas[k + 1] <= 8.0 * sigmas[k])
        sigmas[k] = np.where(near, sigmas[k + 1], sigmas[k])
    floor = np.where(np.isnan(floor), math.inf, floor)
    is_flat = ((state == _PLATEAU) | (state < 0)).all(axis=0)
    return RowNoise(tuple(t.spacing for t in tables), np.maximum(sigmas, floor), is_flat)


def _next_seen(seen: Floats) -> Floats:
    """For each table the nearest one before it that saw noise; NaN if none did."""
    before = np.full_like(seen, np.nan)
    for k in range(1, seen.shape[0]):
        before[k] = _either(seen[k - 1], before[k - 1])
    return before


def _either(first: Floats, second: Floats) -> Floats:
    return np.where(np.isnan(first), second, first)


# --- from residuals -----------------------------------------------------------------------------------------------


def row_noise_from_residuals(level: Floats, responds: NDArray[np.bool_], row: Index, size: Floats) -> Floats | None:
    """Noise of every row from sqrt(2) |numerical - analytical| step of entries; None if they cannot tell.

    The rule of `noise_from_residuals`, for rows with 16 entries or more that show a residual. Exact zeros are left
    out, which can only make the noise look larger: linear entries have them. Rows with fewer are pooled, each level
    relative to the `size` of its row: the largest of its terms, in whose roundings noise begins. A pool cannot show
    that one row is far noisier; its entries then do not agree and are looked at closely.
    """
    telling = responds & (level != 0.0)
    if 4 * np.count_nonzero(telling) < np.count_nonzero(responds):
        return None
    level, row = level[telling], row[telling]
    sigma = np.full(size.size, np.nan)
    full = np.bincount(row, minlength=size.size) >= _FEWEST
    if full.any():
        mine = full[row]
        sigma[full] = _rule(level[mine], row[mine], size.size)[full]
    left = np.isnan(sigma)
    if not left.any():
        return sigma
    pooled = left[row] & (size[row] > 0.0)
    pool = level[pooled] / size[row[pooled]]
    if pool.size < _FEWEST:
        return None
    shared = _rule(pool, np.zeros(pool.size, np.int64), 1)[0]
    return None if np.isnan(shared) else np.where(left, shared * size, sigma)


def _rule(level: Floats, row: Index, m: int) -> Floats:
    """The larger of what median and upper decile say, by row; NaN where levels are not finite."""
    order = np.argsort(level)
    order = order[np.argsort(row[order].astype(np.min_scalar_type(m)), kind="stable")]  # short numbers sort faster
    level, row = level[order], row[order]
    count = np.bincount(row, minlength=m)
    start = np.cumsum(count) - count
    broken = np.bincount(row[~np.isfinite(level)], minlength=m)
    padded = np.append(level, np.nan)
    said = [_quantile(padded, start, count, q) / width for q, width in ((0.5, 0.6745), (0.9, 1.6449))]
    usable = (count > 0) & (broken == 0)
    return np.where(usable, np.maximum(*said), np.nan)


def _quantile(padded: Floats, start: Index, count: Index, q: float) -> Floats:
    """Quantiles of sorted stretches, interpolated linearly."""
    place = start + q * np.maximum(count - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, start + np.maximum(count - 1, 0))
    below, above = padded[low], padded[high]
    with np.errstate(invalid="ignore"):
        return np.asarray(below + (place - low) * (above - below))
