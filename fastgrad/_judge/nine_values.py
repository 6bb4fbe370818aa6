"""A second opinion on a component that agrees without being resolved: nine values where a level has five."""

import math
from collections.abc import Generator
from dataclasses import replace

import numpy as np

from fastgrad._judge.noise import TableState, difference_table
from fastgrad._judge.search import Search
from fastgrad._judge.setting import NOISE_WIDTH
from fastgrad._judge.verdict import LOCAL_NOISE_WIDTH, Flag, Level, Ruling, Verdict, judge_levels

_MARGIN = 1.5  # nine values tell a standard deviation to a third or so


def judge_nine_values(search: Search, ruling: Ruling) -> Generator[list[float], list[float], Ruling]:
    """Judge an undecided component once more, on its widest level that agrees, continued to x +- 4 u.

    Nine values tell the noise along this coordinate alone, which a move of all coordinates may exceed by far, and
    truncation to one order more, O(u^4). Only a match is taken from them; 4 evaluations.
    """
    setting, i = search.setting, search.i
    agreeing = [level for level in search.levels if _agrees(search, level)]
    contradicted = bool(ruling.flags & Flag.SCALE)
    if ruling.verdict is not Verdict.INCONCLUSIVE or contradicted or search.side or not agreeing:
        return ruling
    level = max(agreeing, key=lambda level: level.step)
    x, u = search.x, level.step
    values = yield from search.ask([x - 4 * u, x - 3 * u, x + 3 * u, x + 4 * u])
    table = difference_table(np.array([*values[:2], *level.values, *values[2:]]), u)
    if table.state is not TableState.NOISE:
        return ruling
    far, middle = (values[3] - values[0]) / (8 * u), (level.values[4] - level.values[0]) / (4 * u)
    wider = middle - (far - middle) / 3.0  # the same formula at twice the step
    sigma = _MARGIN * table.sigma
    better = replace(
        level,
        truncation=abs(wider - level.estimate),
        noise=NOISE_WIDTH * max(sigma, level.resolution) / u,
        local_noise=sigma * NOISE_WIDTH / LOCAL_NOISE_WIDTH,
    )
    again = judge_levels(setting, i, [better])
    return again if again.verdict is Verdict.MATCH else ruling


def _agrees(search: Search, level: Level) -> bool:
    """Whether a level is near, agrees, and would tell if f were as quiet as its values are fine."""
    setting, i = search.setting, search.i
    room = setting.tolerance(i, level.estimate) - abs(level.estimate - setting.analytical[i])
    finest = _MARGIN * NOISE_WIDTH * level.resolution / level.step + level.bend
    return bool(setting.is_near(i, level.step) and finest <= 0.5 * room < math.inf)
