"""What is known of each component of a gradient: filled in by whoever judges, read by whoever reports."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._judge.refine import Closeup
from fastgrad._judge.setting import Floats
from fastgrad._judge.verdict import INCONCLUSIVE, MISMATCH, VERDICTS, Flag

_FINE_NOISE = 1e-6  # of f: noise below this leaves bars that a gradient worth the name sticks out of
_NAMES = np.array([verdict.value for verdict in VERDICTS], dtype=object)


def verdicts_of(codes: NDArray[np.int8]) -> NDArray[np.object_]:
    """As members of `Verdict`; codes are stored, which take an eighth of the memory."""
    return np.array(VERDICTS, dtype=object)[codes]


def verdict_names(codes: NDArray[np.int8]) -> list[Any]:
    """As words in nested lists, for JSON."""
    names: list[Any] = _NAMES[codes].tolist()
    return names


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
    in_random_order: bool = True  # those seen are a fair sample, wherever the check ended

    def flagged(self, flag: Flag) -> NDArray[np.bool_]:
        """Which components carry it; as a plain number, because NumPy would widen all flags to those of an enum."""
        return np.asarray((self.flags & int(flag)) != 0)

    def record(self, i: int, closeup: Closeup, unit: float) -> None:
        """Enter what a closer look found."""
        self.verdict[i] = VERDICTS.index(closeup.verdict)
        self.flags[i] = int(closeup.flags)
        if math.isfinite(closeup.estimate):
            self.estimate[i], self.bar[i], self.step[i] = closeup.estimate, closeup.bar, closeup.step
        if closeup.slopes is not None:
            self.slopes[i] = (closeup.slopes[0] / unit, closeup.slopes[1] / unit)

    def doubt_constants(self, finite: NDArray[np.bool_], *, is_flat: bool) -> None:
        """Where f moves by steps, being constant along a coordinate says nothing of the derivative there.

        It does if a closer look saw the edge of a step, or if f stands still close by (`is_flat`) and moves all
        the same.
        """
        moves = finite & (np.abs(self.estimate) > 0.0)
        if np.any(self.flags & int(Flag.STAIRCASE)) or (is_flat and moves.any()):
            constant = finite & (self.estimate == 0.0) & (self.verdict != INCONCLUSIVE)
            self.verdict[constant], self.bar[constant] = INCONCLUSIVE, math.inf
            self.flags[constant] = int(Flag.STAIRCASE)

    def is_stationary(self, analytical: Floats, value: float) -> bool:
        """Whether both gradients vanish within the bars; `analytical` and the value of f as given.

        A bar made wide by a kink, by steps that contradict each other or by coarse noise holds any gradient, and says
        nothing about x.
        """
        if (self.flags & (Flag.KINK | Flag.STAIRCASE | Flag.SCALE)).any():
            return False
        if value != 0.0 and self.noise > _FINE_NOISE * abs(value):
            return False
        known = np.isfinite(self.bar) & np.isfinite(self.estimate)
        return bool(np.all(known & (np.abs(self.estimate) <= self.bar) & (np.abs(analytical) <= self.bar)))

    def flag_stationary(self) -> None:
        """Say so at the components that this leaves undecided."""
        self.flags[self.verdict == INCONCLUSIVE] |= int(Flag.STATIONARY)


def nothing_known(scale: Floats, finite: NDArray[np.bool_], rtol: float) -> Assessment:
    """Before the first evaluation; a gradient that is not finite is wrong without any."""
    n = scale.size
    return Assessment(
        verdict=np.where(finite, INCONCLUSIVE, MISMATCH).astype(np.int8),
        estimate=np.full(n, np.nan),
        bar=np.full(n, np.inf),
        step=np.full(n, np.nan),
        flags=np.zeros(n, np.uint16),
        scale=scale,
        noise=math.nan,
        rtol=rtol,
        seen=~finite,
    )
