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
