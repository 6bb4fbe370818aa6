"""The second derivative along a direction, judged from f on both sides of x. Pure arithmetic."""

import math

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Claim, Slope, SlopeSetting
from fastgrad._judge.confirm import shows_mismatch
from fastgrad._judge.levels import resolution_of
from fastgrad._judge.noise import constant_noise
from fastgrad._judge.setting import NOISE_WIDTH, make_setting
from fastgrad._judge.verdict import Flag, Level, Verdict, judge_levels

Floats = NDArray[np.float64]

_NOISE = 3.3  # standard deviation of the extrapolated second difference, in units of sigma / h^2


def curvature_levels(step: Floats, value: float, above: Floats, below: Floats, sigma: float) -> list[Level]:
    """A level, with an estimate of v . H v, for each step and the next larger one; steps descend. Error O(h^4)."""
    with np.errstate(all="ignore"):
        second = ((above - value) + (below - value)) / step**2
    levels = []
    for far, near in zip(range(step.size - 1), range(1, step.size), strict=True):
        values = (below[far], below[near], value, above[near], above[far])
        if math.isfinite(second[far]) and math.isfinite(second[near]):
            pair = second[[far, near]], step[[far, near]]
            levels.append(_level(*pair, tuple(float(v) for v in values), sigma))
    return levels


def _level(second: Floats, step: Floats, values: tuple[float, ...], sigma: float) -> Level:
    (far, near), (wide, narrow) = second.tolist(), step.tolist()
    truncation = abs(far - near)
    least = resolution_of(values, values[2])
    return Level(
        step=narrow,
        estimate=near - (far - near) / ((wide / narrow) ** 2 - 1.0),
        truncation=truncation,
        bend=0.0,
        noise=NOISE_WIDTH * _NOISE * max(sigma, least) / narrow**2,
        resolution=least,
        local_noise=0.0,
        noise_factor=_NOISE,
        slope_jump=0.0,
        slopes=(math.nan, math.nan),
        values=values,
    )


def judge_curvature(claim: Claim, levels: list[Level], value: float, sigma: float, *, small: float) -> Slope:
    """Judge a claimed v . H v; without levels nothing is known of it.

    If it is zero term by term there is no size to be precise to. Then a curvature is `small` that cannot be told from
    the bar of this size: over the distance that x varies, it changes f by rtol of what the slope does.
    """
    claimed, noise = np.array([claim.slope if math.isfinite(claim.slope) else 0.0]), constant_noise(sigma)
    plain = make_setting(np.ones(1), claimed, value, rtol=claim.rtol, precision=0.0, noise=noise, grid=np.float64)
    setting = SlopeSetting(**vars(plain), size=claim.size)
    verdict, best, flags = Verdict.INCONCLUSIVE, None, Flag.NON_FINITE
    if not math.isfinite(claim.slope):
        verdict, flags = Verdict.MISMATCH, Flag.NONE
    elif levels:
        ruling = judge_levels(setting, 0, levels)
        verdict, best, flags = ruling.verdict, ruling.best, ruling.flags
        if verdict is Verdict.MISMATCH and not shows_mismatch(setting, 0, levels):
            verdict = Verdict.INCONCLUSIVE
        if claim.size == 0.0 and abs(best.estimate) <= best.bar <= small and setting.is_near(0, best.step):
            verdict = Verdict.MATCH
    return Slope(
        verdict=verdict,
        analytical=claim.slope,
        numerical=math.nan if best is None else best.estimate,
        bar=math.inf if best is None else best.bar,
        size=claim.size,
        step=math.nan if best is None else best.step,
        flags=flags,
        sides=None,
        noise=sigma,
        evaluations=0,
    )
