"""From evaluations to a judgement of every component: first differences, measured noise, closer looks."""

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._budget import BudgetSpent
from fastgrad._first import Bounds, FirstDifferences, add_differences, no_differences
from fastgrad._judge.grid import generic_steps, keys, scramble
from fastgrad._judge.noise import (
    TABLE_POINTS,
    NoiseModel,
    Table,
    TableState,
    combine_tables,
    constant_noise,
    difference_table,
    noise_from_residuals,
)
from fastgrad._judge.refine import Closeup, look_closely
from fastgrad._judge.verdict import (
    INCONCLUSIVE,
    MATCH,
    MISMATCH,
    NOISE_WIDTH,
    ROUNDING,
    VERDICTS,
    Flag,
    Floats,
    Verdict,
    judge_plain,
    make_setting,
    with_noise,
)
from fastgrad._schedule import UNSEEN, Evaluator

_SPACINGS = {
    np.dtype(np.float64): (2.0**-40, 2.0**-30, 2.0**-20),
    np.dtype(np.float32): (2.0**-19, 2.0**-15, 2.0**-11),
}
_COARSE = 2.0**-27  # rounding to a grid, relative to f, that only float32 has
_NEARBY = 2.0**-20  # relative spacing of the widest table that is always made
_WIDEST_SPACING = 2.0**-8
_CHUNK = 64  # components looked at together
_ENOUGH_MISMATCHES = 128  # confirmed; the rest that differ are then reported unconfirmed
_EXTRA_PER_COMPONENT, _EXTRA = 6, 2000  # evaluations that closer looks may take, beyond 2 n

Index = NDArray[np.int64]


@dataclass
class Assessment:
    """What is known of each component; in the units of f and the gradient as given."""

    verdict: NDArray[np.int8]  # codes, see VERDICTS
    estimate: Floats
    bar: Floats
    step: Floats
    flags: NDArray[np.uint16]
    scale: Floats
    noise: float  # standard deviation of f that the first differences met
    rtol: float
    seen: NDArray[np.bool_]  # compared at all
    stopped_by: str | None = None  # what ended the check early
    slopes: dict[int, tuple[float, float]] = field(default_factory=dict)
    failed: dict[int, float] = field(default_factory=dict)  # a value of the coordinate where f raised


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
        self.unit = _unit(value, given[finite], x[finite])
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
        n = x.size
        self.result = Assessment(
            verdict=np.zeros(n, np.int8),
            estimate=np.full(n, np.nan),
            bar=np.full(n, np.inf),
            step=np.full(n, np.nan),
            flags=np.zeros(n, np.uint16),
            scale=self.setting.scale,
            noise=math.nan,
            rtol=rtol,
            seen=~finite,
        )
        self.result.verdict[~finite] = MISMATCH
        self._side: Floats | None = None  # direction of the noise tables where f has one finite side only
        self.known: dict[int, dict[float, float]] = {}

    def judge_differences(self, first: FirstDifferences) -> Assessment:
        """Judge first differences of all coordinates, taken at steps that somebody else chose."""
        index = np.flatnonzero(self.finite & first.seen)
        quick = self._noise_without_tables(first, index)
        if quick is not None:
            self._set_noise(quick)
            if self._judge_plain(index, first).size == 0:
                return self._finish(first)
        self._settle_noise()
        undecided = self._accept_flat(self._judge_plain(index, first), first)
        self._look_closely(undecided, 1.0, automatic=False)
        return self._finish(first)

    def judge_piecewise(self, pieces: Iterable[Index], steps: Floats | None) -> tuple[Assessment, FirstDifferences]:
        """Take first differences piece by piece and judge each before the next; None chooses the steps too."""
        first = no_differences(self.setting.x.size)
        self._settle_noise()
        multiplier, start = 1.0, True
        for piece in pieces:
            part = piece[self.finite[piece]]
            first.seen[piece] = ~self.finite[piece]
            wanted = steps if steps is not None else self._automatic_steps(part, multiplier)
            add_differences(first, self.evaluator, wanted, part, self.bounds, self.setting.value / self.unit)
            seen = part[first.seen[part]]
            undecided = self._accept_flat(self._judge_plain(seen, first), first)
            ratios = self._look_closely(undecided, multiplier, automatic=steps is None)
            if start and steps is None and 2 * len(ratios) > part.size:
                # Most of it needed another step: the rule is off by a factor that the rest can use.
                multiplier = float(np.median(ratios))
            start = False
        return self._finish(first), first

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
        spacings = list(_SPACINGS[self.evaluator.point.dtype])
        tables = [self._table(spacing) for spacing in spacings]
        if not all(math.isfinite(table.sigma) for table in tables):
            self._side = self._finite_side()
            tables = [self._table(spacing) for spacing in spacings]
        # Seen from afar: close by, near a zero of f, the grid of x itself looks coarse.
        grid = np.dtype(np.float32) if tables[-1].coarseness > _COARSE else self.setting.grid
        while tables[-1].state is TableState.PLATEAU and spacings[-1] < _WIDEST_SPACING:
            spacings.append(spacings[-1] * 16.0)
            tables.append(self._table(spacings[-1]))
        if grid == np.float64:
            for _ in range(2):
                if tables[0].state is not TableState.CURVED:
                    break
                tables.insert(0, self._table(tables[0].spacing / 64.0))
        self._set_noise(combine_tables(tables, self.repeat_noise), grid)

    def _table(self, relative: float) -> Table:
        setting = self.setting
        index = np.arange(setting.x.size)
        step = generic_steps(setting.x, relative * setting.scale, index, 1000 + int(-math.log2(relative)), setting.grid)
        sign = np.where(scramble(keys(index, 999)) & np.uint64(1) == 1, 1.0, -1.0)
        direction = self._inside(step * (sign if self._side is None else self._side))
        values, status = self.evaluator.along(direction, np.arange(1.0, TABLE_POINTS + 1.0))
        _require_seen(status)
        return difference_table(np.concatenate([[setting.value], values * self.unit]), relative)

    def _finite_side(self) -> Floats:
        """Which way each coordinate can move at the edge of the domain of f: +1, -1 or 0; 2 n evaluations."""
        setting, index = self.setting, np.arange(self.setting.x.size)
        step = generic_steps(setting.x, TABLE_POINTS * _NEARBY * setting.scale, index, 998, setting.grid)
        ahead, behind = self._inside(step), self._inside(-step)
        places = np.stack([setting.x + ahead, setting.x + behind], axis=1)
        values, status = self.evaluator.displaced(np.repeat(index, 2), places.reshape(-1))
        _require_seen(status)
        finite = np.isfinite(values).reshape(-1, 2)
        return np.where(finite[:, 0], np.sign(ahead), np.where(finite[:, 1], np.sign(behind), 0.0))

    def _inside(self, direction: Floats) -> Floats:
        """Turn, or stop, the coordinates that would leave the bounds."""
        if self.bounds is None:
            return direction
        x = self.setting.x
        direction = np.where(self.bounds.contain(x + TABLE_POINTS * direction), direction, -direction)
        return np.where(self.bounds.contain(x + TABLE_POINTS * direction), direction, 0.0)

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
            self.known[i] = {float(x + h): high, float(x - h): low} if math.isfinite(high + low) else {}
        return index[open_][np.argsort(-judged.suspicion[open_], kind="stable")]

    def _accept_flat(self, undecided: Index, first: FirstDifferences) -> Index:
        """Accept zeros where f is the same to the bit at the first step and at a wide one; return the others.

        Unused variables can be many, and need no search each; 2 evaluations.
        """
        setting, value = self.setting, self.setting.value / self.unit
        flat = (setting.analytical == 0.0) & (first.above == value) & (first.below == value)
        index = undecided[flat[undecided]]
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

    def _look_closely(self, undecided: Index, multiplier: float, *, automatic: bool) -> list[float]:
        """Refine chunk by chunk; returns, for those that matched, how much wider their step was than the rule's."""
        confirmed, ratios = 0, []
        allowed = self.evaluator.evaluations + _EXTRA_PER_COMPONENT * self.setting.x.size + _EXTRA
        for start in range(0, undecided.size, _CHUNK):
            part = undecided[start : start + _CHUNK]
            if confirmed >= _ENOUGH_MISMATCHES or self.evaluator.evaluations > allowed:
                self.result.flags[undecided[start:]] |= int(Flag.UNCONFIRMED)
                break
            steps = self.result.step[part] if automatic else self._starting_steps(part, multiplier)
            try:
                conversations = self._converse(part, steps)
            except BudgetSpent:
                self.result.flags[undecided[start:]] |= int(Flag.UNCONFIRMED)
                break
            for i, step, seen in conversations:
                self._record(i, seen)
                confirmed += seen.verdict is Verdict.MISMATCH
                if seen.verdict is Verdict.MATCH:
                    ratios.append(multiplier * seen.step / step)
            if not automatic and len(ratios) > (start + part.size) / 2:
                multiplier = float(np.median(ratios))
        return ratios

    def _starting_steps(self, part: Index, multiplier: float) -> Floats:
        wanted = self.setting.automatic_step(part, multiplier)
        return generic_steps(self.setting.x[part], wanted, part, 1, self.setting.grid)

    def _converse(self, part: Index, steps: Floats) -> list[tuple[int, float, Closeup]]:
        """Hold one conversation per component, answering the questions of all in one batch per round."""
        talks = {
            i: look_closely(self.setting, i, step, self.known.pop(i, {}), limits(self.bounds, i))
            for i, step in zip(part.tolist(), steps.tolist(), strict=True)
        }
        finished: dict[int, Closeup] = {}
        answers: dict[int, Any] = dict.fromkeys(talks)  # None opens a conversation
        while answers:
            questions = {}
            for i, answer in answers.items():
                try:
                    questions[i] = talks[i].send(answer)
                except StopIteration as stop:
                    finished[i] = stop.value
            answers = self._answer(questions) if questions else {}
        return [(i, step, finished[i]) for i, step in zip(part.tolist(), steps.tolist(), strict=True)]

    def _answer(self, questions: dict[int, list[float]]) -> dict[int, list[float]]:
        index = np.array([i for i, points in questions.items() for _ in points], dtype=np.int64)
        coordinate = np.array([p for points in questions.values() for p in points])
        values, status = self.evaluator.displaced(index, coordinate)
        _require_seen(status)
        for k in np.flatnonzero(status):
            self.result.failed.setdefault(int(index[k]), float(coordinate[k]))
        ends = np.cumsum([len(points) for points in questions.values()])[:-1]
        return {i: part.tolist() for i, part in zip(questions, np.split(values * self.unit, ends), strict=True)}

    def _record(self, i: int, seen: Closeup) -> None:
        result = self.result
        result.verdict[i] = VERDICTS.index(seen.verdict)
        result.flags[i] = int(seen.flags)
        if math.isfinite(seen.estimate):
            result.estimate[i], result.bar[i], result.step[i] = seen.estimate, seen.bar, seen.step
        if seen.slopes is not None:
            result.slopes[i] = (seen.slopes[0] / self.unit, seen.slopes[1] / self.unit)

    def _finish(self, first: FirstDifferences) -> Assessment:
        result = self.result
        result.seen |= first.seen
        result.stopped_by = self.evaluator.budget.spent_by
        result.estimate /= self.unit
        result.bar /= self.unit
        result.noise = self.setting.noise.largest / self.unit
        return result


def _require_seen(status: NDArray[np.uint8]) -> None:
    if (status >= UNSEEN).any():
        raise BudgetSpent


def limits(bounds: Bounds | None, i: int) -> tuple[float, float]:
    """Lowest and highest value that coordinate i may take."""
    if bounds is None:
        return (-math.inf, math.inf)
    return (float(bounds.lower[i]), float(bounds.upper[i]))


def _unit(value: float, analytical: Floats, x: Floats) -> float:
    """A power of two that keeps f, the gradient and their products with x away from overflow and underflow."""
    with np.errstate(over="ignore"):
        products = np.abs(analytical) * np.maximum(np.abs(x), 1.0)
    products = np.where(np.isfinite(products), products, np.abs(analytical))
    largest = max(abs(value), float(products.max(initial=0.0)))
    if not math.isfinite(largest) or largest == 0.0 or 1e-100 < largest < 1e100:
        return 1.0
    return math.ldexp(1.0, max(-1000, min(1000, -math.frexp(largest)[1])))
