"""The last word on an accused component: the closer look of the component-wise check, at its own scale."""

import enum
import math

import numpy as np

from fastgrad._judge.noise import constant_noise
from fastgrad._judge.refine import Closeup, look_closely
from fastgrad._judge.setting import Setting, make_setting
from fastgrad._judge.verdict import Flag, Verdict
from fastgrad._large.probes import Prober
from fastgrad._large.samples import Sample

_MOST_IN_DOUBT = 32  # after one of them was contradicted
_FINE = 64.0  # roundings: noise above that may be structure
_QUIET, _NEAR = 0.03, 1e-3  # parts of the noise: what may be left of it close by, and what the difference makes there
_VISIBLE = 40.0  # roundings, that the difference makes at least
_AGREES = 0.3  # of the difference
_FEWEST_SPACINGS = 64.0  # of x in a step


class Answer(enum.Enum):
    """What the closer look says of an accused component."""

    CONFIRMED = "confirmed"  # a mismatch at every scale at which it can be seen
    CONTRADICTED = "contradicted"  # it agrees, or f differs from scale to scale
    UNSEEN = "unseen"  # within the noise of f


def arbitrate(
    prober: Prober, value: float, accused: list[Sample], answers: dict[int, Answer],
    *, most: int, noise: float, rtol: float, precision: float,
) -> None:  # fmt: skip
    """Look at the first of the accused, at more if one of these is contradicted, and fill `answers` one by one.

    Directions and samples take steps that suit most components. Only here the step of a component goes down to
    where rounding ends, so that no structure of f finer than those steps can pass for a mismatch.
    """
    if not accused:
        return
    index = np.array([s.index for s in accused])
    x, analytical = (a[index].astype(np.float64) for a in (prober.point.flat, prober.analytical))
    setting = make_setting(
        x, analytical, value, rtol=rtol, precision=precision, noise=constant_noise(noise), grid=prober.point.dtype
    )
    for k, sample in enumerate(accused):
        if k >= most:
            return
        answer = _answer_of(_look(prober, setting, k, sample))
        if answer is Answer.CONFIRMED and _is_fine_structure(prober, value, sample, noise):
            answer = Answer.CONTRADICTED
        answers[sample.index] = answer
        if answer is Answer.CONTRADICTED:
            most = _MOST_IN_DOUBT


def _look(prober: Prober, setting: Setting, k: int, sample: Sample) -> Closeup:
    closeup = look_closely(setting, k, sample.step, {}, (-math.inf, math.inf))
    try:
        wanted = next(closeup)
        while True:
            wanted = closeup.send([prober.value_with(sample.index, coordinate) for coordinate in wanted])
    except StopIteration as end:
        found: Closeup = end.value
        return found


def _answer_of(closeup: Closeup) -> Answer:
    if closeup.verdict is Verdict.MISMATCH:
        return Answer.CONFIRMED
    is_hidden = closeup.verdict is Verdict.INCONCLUSIVE and closeup.flags == Flag.NOISE
    return Answer.UNSEEN if is_hidden else Answer.CONTRADICTED


def _is_fine_structure(prober: Prober, value: float, sample: Sample, noise: float) -> bool:
    """Whether what passed for noise is f itself: quiet close by, where two steps see one slope, and another one.

    With that noise, no step that the closer look may take is small enough to follow it.
    """
    rounding = 0.5 * float(np.spacing(abs(value)))
    if noise <= _FINE * rounding:
        return False
    x, difference = float(prober.point.flat[sample.index]), abs(sample.numerical - sample.analytical)
    spacing = float(np.spacing(np.abs(prober.point.flat[sample.index])))
    wide = max(_NEAR * noise / difference, _VISIBLE * rounding / difference, _FEWEST_SPACINGS * spacing)
    slopes = []
    for step in (wide, 0.5 * wide):
        above, below = (prober.value_with(sample.index, x + sign * step) for sign in (1.0, -1.0))
        jump = max(abs(above - value), abs(below - value))
        if not 0.0 < jump <= _QUIET * noise + abs(sample.numerical) * step:  # a plateau, or noise indeed
            return False
        slopes.append((above - below) / (2.0 * step))
    is_one = abs(slopes[0] - slopes[1]) <= _AGREES * difference
    return is_one and all(abs(slope - sample.numerical) > _AGREES * difference for slope in slopes)
