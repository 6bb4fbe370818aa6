"""The last word on an accused component: the closer look of the component-wise check, at its own scale."""

import math

import numpy as np

from fastgrad._judge.noise import constant_noise
from fastgrad._judge.refine import look_closely
from fastgrad._judge.setting import make_setting
from fastgrad._judge.verdict import Verdict
from fastgrad._large.probes import Prober
from fastgrad._large.samples import Sample

_MOST = 3


def confirm(
    prober: Prober, value: float, accused: list[Sample], *, noise: float, rtol: float, precision: float
) -> bool:
    """Whether one of the most wrong components is a mismatch at every scale at which it can be seen.

    Directions and samples take steps that suit most components. Only here the step of a component goes down to
    where rounding ends, so that no structure of f finer than those steps can pass for a mismatch.
    """
    if not accused:
        return False
    index = np.array([s.index for s in accused])
    x, analytical = (a[index].astype(np.float64) for a in (prober.point.flat, prober.analytical))
    setting = make_setting(
        x, analytical, value, rtol=rtol, precision=precision, noise=constant_noise(noise), grid=prober.point.dtype
    )
    effect = np.array([abs(s.numerical - s.analytical) / s.bar if s.bar > 0.0 else math.inf for s in accused])
    for k in np.argsort(-effect, kind="stable")[:_MOST]:
        closeup = look_closely(setting, int(k), accused[k].step, {}, (-math.inf, math.inf))
        try:
            wanted = next(closeup)
            while True:
                wanted = closeup.send([prober.value_with(int(index[k]), coordinate) for coordinate in wanted])
        except StopIteration as end:
            if end.value.verdict is Verdict.MISMATCH:
                return True
    return False
