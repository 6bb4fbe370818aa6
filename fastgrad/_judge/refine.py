"""A closer look at one component: a search over steps, written as a conversation.

`look_closely` is a generator. It yields lists of values of the coordinate at which it wants to know f, is sent f
there (NaN where f failed), and returns a Closeup. So the decisions are sequential and testable alone, while
whoever drives many of them evaluates all their requests at once.
"""

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._judge.confirm import kink_slopes
from fastgrad._judge.nine_values import judge_nine_values
from fastgrad._judge.search import Search
from fastgrad._judge.setting import Setting
from fastgrad._judge.stairs import height_of_step, is_flat_close_by, steepest_slope
from fastgrad._judge.verdict import MISMATCH_BARS, Flag, Level, Ruling, Verdict, judge_levels, set_bars, uncontradicted

_FASTEST = 1000.0  # radians over the scale of a coordinate, of what may hide in the noise
_VANISHES = 2.0  # bars from zero
_STEP_NOISE = 0.1  # of the height of steps: rounding to them has a standard deviation of 0.29
_LEVELS_OF_A_SLOPE, _SPAN_OF_A_SLOPE = 3, 100.0  # levels that agree, and their largest step over the smallest
_CLOSE_BY = (0.25, 0.06)  # of the widest step over which f is quiet
_NEXT = 0.4  # between steps that show the same, if there is anything to see

Look = Generator[list[float], list[float], "Closeup"]


@dataclass(frozen=True)
class Closeup:
    """What the search found out about a component."""

    verdict: Verdict
    estimate: float
    bar: float
    flags: Flag
    step: float
    slopes: tuple[float, float] | None  # forward and backward, at a kink


def look_closely(setting: Setting, i: int, step: float, known: dict[float, float], bounds: tuple[float, float]) -> Look:
    """Judge component i, starting at `step`; `known` maps values of the coordinate to f there."""
    search = Search(setting, i, known, *bounds)
    decided = yield from search.descend(step, math.inf)
    if not decided and search.has_second_scale():
        yield from search.descend(search.generic(search.reach / 3.0), search.reach / 2.0)
    if not search.levels:
        # Unknown noise makes every bar infinite; it could not be measured because f is not finite around x.
        no_room = not search.met_non_finite and math.isfinite(setting.noise.largest)
        flags = Flag.NO_ROOM if no_room else Flag.NON_FINITE
        return Closeup(Verdict.INCONCLUSIVE, math.nan, math.inf, flags, step, None)
    if setting.analytical[i] == 0.0 and search.is_flat():
        wide = yield from search.look(search.generic(float(setting.widest_step(i))))
        if wide is not None and search.is_flat() and setting.is_flat_enough(i, wide.step):
            return Closeup(Verdict.MATCH, 0.0, wide.bar, Flag.CONSTANT, wide.step, None)
    ruling = _judge(search)
    if ruling.verdict is Verdict.MISMATCH:
        ruling = yield from _contest(search)
    if ruling.verdict is Verdict.MISMATCH or (ruling.verdict is Verdict.MATCH and ruling.flags & Flag.SCALE):
        steepest = yield from steepest_slope(search, ruling.best)
        if (yield from _is_on_stairs(search, ruling, steepest)):
            return _see_past_stairs(search, ruling, steepest)
    if ruling.verdict is Verdict.MATCH and ruling.flags & Flag.SCALE:
        ruling = yield from _match_again(search, ruling)
    if ruling.verdict is Verdict.MATCH and not setting.is_calm(i, ruling.best.step):
        ruling = yield from _match_from_close_by(search, ruling)
    ruling = yield from judge_nine_values(search, ruling)
    return _conclude(search, ruling)


def _match_again(search: Search, ruling: Ruling) -> Generator[list[float], list[float], Ruling]:
    """What a match has to stand if levels at other scales exclude it: another level close to the one that agrees.

    Values rounded to a grain may happen to lie on a line, of a slope that is not theirs, but hardly twice. Nor do
    levels closer to x show a mismatch: from afar a fine term of f averages out, and with it its derivative.
    """
    yield from search.look(search.generic(_NEXT * ruling.best.step))
    again = judge_levels(search.setting, search.i, search.levels)
    excluded = any(
        search.excludes(level) for level in search.levels if 0.3 * _NEXT < level.step / ruling.best.step < 1.0
    )
    if again.verdict is Verdict.MATCH and not excluded and not search.shows_mismatch(below=again.best.step):
        return again
    return Ruling(Verdict.INCONCLUSIVE, again.best, again.flags | Flag.SCALE)


def _match_from_close_by(search: Search, ruling: Ruling) -> Generator[list[float], list[float], Ruling]:
    """What a match has to stand if f is much quieter close by: levels there.

    What passes for noise from afar may be a fine term of f, whose derivative has then averaged out.
    """
    calm = search.setting.calm_step(search.i)
    for factor in _CLOSE_BY:
        level = yield from search.look(search.generic(max(factor * calm, search.floor)))
        if level is None or not search.excludes(level, MISMATCH_BARS):
            return ruling
    return Ruling(Verdict.INCONCLUSIVE, ruling.best, ruling.flags | Flag.SCALE)


def _contest(search: Search) -> Generator[list[float], list[float], Ruling]:
    """What a mismatch has to stand: other scales, a second witness, what noise may hide."""
    setting, i = search.setting, search.i
    yield from search.verify(_judge(search))
    ruling = _judge(search)
    if ruling.verdict is Verdict.MISMATCH:
        confirmed = yield from search.confirm(ruling)
        if not confirmed or 0.0 < abs(setting.analytical[i]) <= _hidden_slope(search, ruling.best):
            return Ruling(Verdict.INCONCLUSIVE, ruling.best, ruling.flags | Flag.SCALE)
    return ruling


def _judge(search: Search) -> Ruling:
    """Judge all levels; a zero that some of them agree with is not saved by those that finer ones contradict."""
    ruling = judge_levels(search.setting, search.i, search.levels)
    forgotten = search.setting.analytical[search.i] == 0.0 and _is_one_slope(search)
    if ruling.verdict is not Verdict.INCONCLUSIVE or not forgotten:
        return ruling
    return judge_levels(search.setting, search.i, uncontradicted(set_bars(search.levels)))


def _is_one_slope(search: Search) -> bool:
    """Whether levels over two decades of steps agree on a slope, and exclude zero.

    Any oscillation averages out to zero from afar, which is no agreement with a derivative that was forgotten.
    """
    shown = [
        level.step
        for level in uncontradicted(set_bars(search.levels))
        if abs(level.estimate) > MISMATCH_BARS * level.bar + search.setting.tolerance(search.i, level.estimate)
    ]
    return len(shown) >= _LEVELS_OF_A_SLOPE and max(shown) > _SPAN_OF_A_SLOPE * min(shown)


def _is_on_stairs(search: Search, ruling: Ruling, steepest: float) -> Generator[list[float], list[float], bool]:
    """Whether stairs that hide a derivative of up to `steepest` leave the verdict open."""
    if ruling.verdict is Verdict.MISMATCH:
        hidden = 0.0 < abs(search.setting.analytical[search.i]) <= steepest
        return hidden or (yield from is_flat_close_by(search))
    return any(0.0 < abs(level.estimate) <= steepest for level in search.near_levels())


def _see_past_stairs(search: Search, ruling: Ruling, steepest: float) -> Closeup:
    """What the levels say that see f move, if the noise that its steps make was measured; if not, nothing.

    A zero is right on each tread, and remains open.
    """
    every, search.levels = search.levels, [level for level in search.levels if len(set(level.values)) > 1]
    is_measured = search.setting.noise.largest >= _STEP_NOISE * height_of_step(search)
    if search.levels and is_measured and search.setting.analytical[search.i] != 0.0:
        again = judge_levels(search.setting, search.i, search.levels)
        if again.verdict is Verdict.MATCH or (again.verdict is Verdict.MISMATCH and search.shows_mismatch()):
            return _conclude(search, again)
    search.levels = every
    open_ = Ruling(Verdict.INCONCLUSIVE, ruling.best, ruling.flags | Flag.STAIRCASE)
    return _conclude(search, open_, steepest)


def _hidden_slope(search: Search, best: Level) -> float:
    """How large the derivative of an oscillation may be that hides in the noise and averages out to the estimate.

    Its amplitude is at most three standard deviations, or twice what levels no wider than the best scatter, hence
    it varies the faster the larger its derivative. It leaves a slope of zero to see: any other is there besides.
    """
    if abs(best.estimate) > _VANISHES * best.bar:
        return 0.0
    sigma = max(float(search.setting.sigma(search.i, np.float64(best.step))), best.resolution)
    scatter = max((level.local_noise for level in search.near_levels() if level.step <= best.step), default=0.0)
    return max(3.0 * sigma, 2.0 * scatter) * _FASTEST / search.scale


def _conclude(search: Search, ruling: Ruling, unseen: float = 0.0) -> Closeup:
    """What is to be said of the component, with a bar that holds a slope that f does not show."""
    flags = ruling.flags
    slopes = kink_slopes(search.levels)
    if slopes is not None:
        flags |= Flag.KINK
    if search.side:
        flags |= Flag.ONE_SIDED
    if search.met_non_finite:
        flags |= Flag.NON_FINITE
    best = ruling.best
    if ruling.verdict is Verdict.INCONCLUSIVE and slopes is None and best.bar > 0.0:
        noise = best.bar - best.truncation - best.bend
        if noise > best.truncation + best.bend or noise > search.setting.tolerance(search.i, best.estimate):
            flags |= Flag.NOISE
    bar = max(_honest_bar(search, ruling.verdict, best, is_contradicted=bool(flags & Flag.SCALE)), unseen)
    return Closeup(ruling.verdict, best.estimate, bar, flags, best.step, slopes)


def _honest_bar(search: Search, verdict: Verdict, best: Level, *, is_contradicted: bool) -> float:
    """The bar of the best level, widened until it holds what other levels say and what may hide in the noise.

    A match needs no more than its level, and of a mismatch it remains true that it is one.
    """
    if verdict is Verdict.MATCH:
        return best.bar
    levels = search.near_levels() if is_contradicted else [best]
    widest = max(abs(level.estimate - best.estimate) + level.bar for level in levels)
    if verdict is Verdict.INCONCLUSIVE:
        return max(best.bar, widest, _hidden_slope(search, best))
    difference = abs(best.estimate - float(search.setting.analytical[search.i]))
    return max(best.bar, min(widest, difference / MISMATCH_BARS))


def hold_all(
    talks: dict[int, Look], answer: Callable[[dict[int, list[float]]], dict[int, list[float]]]
) -> Iterator[tuple[int, Closeup]]:
    """Hold conversations side by side, answering the questions of all in one batch per round; gives the closed ones."""
    answers: dict[int, Any] = dict.fromkeys(talks)  # None opens a conversation
    while answers:
        questions = {}
        for i, given in answers.items():
            try:
                questions[i] = talks[i].send(given)
            except StopIteration as stop:
                yield i, stop.value
        answers = answer(questions) if questions else {}
