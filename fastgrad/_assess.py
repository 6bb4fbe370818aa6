"""From evaluations to a judgement of every component: first differences, measured noise, closer looks."""

import contextlib
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment, nothing_known
from fastgrad._budget import BudgetSpent
from fastgrad._far import change_far_away
from fastgrad._first import Bounds, FirstDifferences, add_differences, no_differences
from fastgrad._judge.grid import generic_steps, safe_unit
from fastgrad._judge.noise import NoiseModel, constant_noise, noise_from_residuals
from fastgrad._judge.plain import advise, judge_plain
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING, Floats, make_setting, with_noise, with_sizes_of
from fastgrad._judge.verdict import INCONCLUSIVE, MATCH, MISMATCH, Flag
from fastgrad._looks import CloserLooks
from fastgrad._noise_tables import NoiseTables
from fastgrad._schedule import Evaluator

_MANY = 64  # components that are undecided: worth another difference each before a closer look

Index = NDArray[np.int64]


class Assessor:
    """Judges all components of one gradient at one point, spending evaluations only where it is undecided."""

    def __init__(
        self,
        evaluator: Evaluator,
        value: float,
        repeat_difference: float,
        analytical: NDArray[Any],
        *,
        rtol: float,
        noise: float | None,
        bounds: Bounds | None,
    ) -> None:
        point = evaluator.point
        x = point.flat.astype(np.float64)
        given = analytical.astype(np.float64)
        finite = np.isfinite(given)
        self.evaluator = evaluator
        self.unit = safe_unit(value, given[finite], x[finite])
        self.given_noise = None if noise is None else constant_noise(noise * self.unit)
        self.repeat_noise = 1.5 * repeat_difference * self.unit
        self.bounds = bounds
        self.finite = finite
        self.setting = make_setting(
            x,
            np.where(finite, given, 0.0) * self.unit,
            value * self.unit,
            rtol=rtol,
            precision=float(np.finfo(analytical.dtype).eps),
            noise=constant_noise(max(self.repeat_noise, 0.0)),
            grid=point.dtype,
        )
        self.result = nothing_known(self.setting.scale, finite, rtol)
        self.looks = CloserLooks(evaluator, self.unit, bounds)
        self.first = no_differences(x.size)  # as far as they are taken

    def judge_differences(self, first: FirstDifferences) -> Assessment:
        """Judge first differences of all coordinates, taken at steps that somebody else chose."""
        self.first = first
        index = np.flatnonzero(self.finite & first.seen)
        quick = self._noise_without_tables(first, index)
        undecided = index
        if quick is not None:
            self._set_noise(quick)
            undecided = self._judge_plain(index, first)
            if undecided.size == 0:
                return self._finish(first)
        self._settle_noise()
        if quick is None or quick.largest > self.setting.noise.largest:
            undecided, quick = index, None  # residuals that the noise does not explain excuse nothing
        undecided = self._accept_flat(self._judge_plain(undecided, first), first)
        self._look_closely(self._take_another(undecided, first), 1.0, automatic=False)
        self._weigh_again(first, quick)
        return self._finish(first)

    def judge_piecewise(self, pieces: Iterable[Index], steps: Floats | None) -> tuple[Assessment, FirstDifferences]:
        """Take first differences piece by piece and judge each before the next; None chooses the steps too."""
        first = self.first
        self._settle_noise()
        multiplier = 1.0
        for number, piece in enumerate(pieces):
            part = piece[self.finite[piece]]
            first.seen[piece] = ~self.finite[piece]
            undecided = self._take(part, first, steps if steps is not None else self._automatic_steps(part, multiplier))
            if steps is None and undecided.size:
                suited, undecided = self._try_again(undecided, part, first, is_sample=number == 0)
                multiplier = suited if number == 0 else multiplier
            self._look_closely(self._accept_flat(undecided, first), multiplier, automatic=steps is None)
        self._weigh_again(first, None)
        return self._finish(first), first

    def so_far(self) -> Assessment:
        """What is known in the midst of it all, after an interruption."""
        result, first = self.result, self.first
        first.seen[np.isnan(result.step) & self.finite] = False  # taken, not judged
        open_ = first.seen & (result.verdict == INCONCLUSIVE) & ((result.flags & ~np.uint16(Flag.ABSOLUTE)) == 0)
        result.flags[open_] |= int(Flag.UNCONFIRMED)
        return self._finish(first)

    def _take(self, part: Index, first: FirstDifferences, steps: Floats) -> Index:
        """Take and judge first differences; returns the components that are undecided."""
        add_differences(first, self.evaluator, steps, part, self.bounds, self.setting.value / self.unit)
        return self._judge_plain(part[first.seen[part]], first)

    def _try_again(
        self, undecided: Index, part: Index, first: FirstDifferences, *, is_sample: bool
    ) -> tuple[float, Index]:
        """Take differences once more where another step promises agreement.

        Returns the multiplier that would have suited these components, and what is still undecided. Truncation that
        hides in the noise makes wider steps promise too much: only a sample tries them.
        """
        index = part[first.seen[part]]
        above, below = first.above[index] * self.unit, first.below[index] * self.unit
        quotient = first.quotient[index] * self.unit
        advice = advise(self.setting, index, first.step[index], above, below, quotient)
        factors = np.minimum(self.setting.widest_first_step(index) / first.step[index], math.inf if is_sample else 1.0)
        promising = np.isin(index, undecided) & (advice.factor <= factors)
        again, factor = index[promising], advice.factor[promising]
        if again.size == 0:
            return advice.multiplier, undecided
        steps = np.full(self.setting.x.size, np.nan)
        steps[again] = generic_steps(self.setting.x[again], first.step[again] * factor, again, 3, self.setting.grid)
        still = self._take(again, first, steps)
        widened = factor[(factor > 1.0) & ~np.isin(again, still)]
        multiplier = float(np.median(widened)) if 2 * widened.size > index.size else advice.multiplier
        return multiplier, np.concatenate([still, undecided[~np.isin(undecided, again)]])

    def _take_another(self, undecided: Index, first: FirstDifferences) -> Index:
        """Take one more difference, at automatic steps, where many components are lost in the noise of the first.

        In a sum of many terms the noise of a common step reaches the tolerance for all components at once, and a closer
        look at each costs twice as much. Where the first difference says more than noise, it is worth that; a sample
        shows whether other steps help.
        """
        if undecided.size <= _MANY:
            return undecided
        noise = NOISE_WIDTH * self.setting.sigma(undecided, first.step[undecided]) / first.step[undecided]
        difference = np.abs(first.quotient[undecided] * self.unit - self.setting.analytical[undecided])
        lost = undecided[difference <= noise]
        sample = lost[:: max(1, lost.size // _MANY)]  # of all suspicions, by which they are sorted
        for part in (sample, np.setdiff1d(lost, sample)):
            open_ = self._take(part, no_differences(self.setting.x.size), self._automatic_steps(part, 1.0))
            if 2 * open_.size > part.size:
                break
        still: Index = undecided[self.result.verdict[undecided] != MATCH]
        return still

    def _weigh_again(self, first: FirstDifferences, quick: NoiseModel | None) -> None:
        """Judge those anew that were accepted as small next to components which turned out to be wrong by far.

        The noise of first differences that accepted some of them, `quick`, may do so again.
        """
        result, old = self.result, self.setting
        small = np.flatnonzero((result.verdict == MATCH) & ((result.flags & Flag.ABSOLUTE) != 0) & first.seen)
        wrong = (result.verdict == MISMATCH) & np.isfinite(result.estimate)
        setting = with_sizes_of(old, np.where(wrong, result.estimate, old.analytical))
        shrinks = setting.mean_product < old.mean_product / 2 or setting.largest_gradient < old.largest_gradient / 10
        if small.size and shrinks:
            if quick is not None:
                self.setting = with_noise(setting, quick, setting.grid)
                small = self._judge_plain(small, first)
            self.setting = setting
            self._look_closely(self._judge_plain(small, first), 1.0, automatic=False)
            self._weigh_again(first, quick)

    def give_up(self) -> Assessment:
        """Nothing can be judged (f(x) is not finite); only a gradient that is not finite is wrong by itself."""
        return self._finish(no_differences(self.setting.x.size))

    def _noise_without_tables(self, first: FirstDifferences, index: Index) -> NoiseModel | None:
        if self.given_noise is not None:
            return self.given_noise
        quotient, step = first.quotient[index] * self.unit, first.step[index]
        responds = (first.above[index] != first.below[index]) & np.isfinite(quotient)
        residual = np.abs(quotient - self.setting.analytical[index])
        sigma = noise_from_residuals(residual, step, responds)
        return None if sigma is None else constant_noise(max(sigma, self.repeat_noise))

    def _settle_noise(self) -> None:
        if self.given_noise is not None:
            self._set_noise(self.given_noise)
            return
        with contextlib.suppress(BudgetSpent):
            self.measure_noise()

    def measure_noise(self) -> None:
        """Difference tables along one random direction at three or more spacings; 24 evaluations and up."""
        self._set_noise(*NoiseTables(self.evaluator, self.setting, self.unit, self.bounds).measure(self.repeat_noise))

    def _set_noise(self, noise: NoiseModel, grid: Any = None) -> None:
        self.setting = with_noise(self.setting, noise, self.setting.grid if grid is None else grid)

    def _automatic_steps(self, index: Index, multiplier: float) -> Floats:
        setting = self.setting
        wanted = setting.automatic_step(index, multiplier)
        steps = np.full(setting.x.size, np.nan)
        steps[index] = generic_steps(setting.x[index], wanted, index, 0, setting.grid)
        return steps

    def _judge_plain(self, index: Index, first: FirstDifferences) -> Index:
        """Accept the components that agree; return the others, most suspicious first."""
        unit, result = self.unit, self.result
        above, below = first.above[index] * unit, first.below[index] * unit
        judged = judge_plain(self.setting, index, first.step[index], above, below, first.quotient[index] * unit)
        agree = index[judged.agrees]
        result.verdict[index] = INCONCLUSIVE
        result.verdict[agree] = MATCH
        result.estimate[index] = first.quotient[index] * unit
        result.bar[index] = np.where(judged.agrees, judged.bar, np.inf)
        result.step[index] = first.step[index]
        result.flags[index] = 0
        result.flags[agree] = int(Flag.PLAIN)
        result.flags[index[judged.absolute]] |= int(Flag.ABSOLUTE)
        open_ = ~judged.agrees
        for i, high, low in zip(index[open_].tolist(), above[open_].tolist(), below[open_].tolist(), strict=True):
            h, x = first.step[i], self.setting.x[i]
            if math.isfinite(high + low):
                self.looks.remember(i, {float(x + h): high, float(x - h): low})
        return index[open_][np.argsort(-judged.suspicion[open_], kind="stable")]

    def _accept_flat(self, undecided: Index, first: FirstDifferences) -> Index:
        """Accept zeros where f is the same to the bit at the first step and at a wide one; return the others.

        Unused variables can be many, and need no search each; 2 evaluations.
        """
        value = self.setting.value / self.unit
        flat = (self.setting.analytical == 0.0) & (first.above == value) & (first.below == value)
        index = undecided[flat[undecided]]
        setting = self.setting
        if index.size and setting.largest_product == 0.0 and math.isnan(setting.far_change):
            far = setting.far_away(slice(None))
            change = change_far_away(self.evaluator, setting.x, far, self.bounds, setting.value, self.unit)
            self.setting = setting = replace(setting, far_change=float(change))
        wide = generic_steps(setting.x[index], setting.widest_step(index), index, 2, setting.grid)
        good = np.asarray(setting.is_flat_enough(index, wide))
        if self.bounds is not None:
            low, high = setting.x[index] - wide, setting.x[index] + wide
            good = good & (low >= self.bounds.lower[index]) & (high <= self.bounds.upper[index])
        index, wide = index[good], wide[good]
        found = self.evaluator.differences(index, wide)
        same = (found.above == value) & (found.below == value)
        constant = index[same]
        self.result.verdict[constant] = MATCH
        self.result.estimate[constant] = 0.0
        self.result.bar[constant] = NOISE_WIDTH * ROUNDING * abs(setting.value) / wide[same]
        self.result.step[constant] = wide[same]
        self.result.flags[constant] = int(Flag.CONSTANT)
        return undecided[~np.isin(undecided, constant)]

    def _look_closely(self, undecided: Index, multiplier: float, *, automatic: bool) -> None:
        self.looks.settle(self.setting, undecided, self.result, multiplier, automatic=automatic)

    def _finish(self, first: FirstDifferences) -> Assessment:
        """In the units of f; may be called again."""
        result = self.result
        result.doubt_constants(self.finite, is_flat=self.setting.noise.is_flat)
        return replace(
            result,
            seen=result.seen | first.seen,
            stopped_by=self.evaluator.budget.spent_by,
            estimate=result.estimate / self.unit,
            bar=result.bar / self.unit,
            noise=self.setting.noise.largest / self.unit,
        )
