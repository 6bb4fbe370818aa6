"""A derivative of a function of one variable as it is claimed, and as it was found. Pure arithmetic."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._judge.setting import Setting
from fastgrad._judge.verdict import Flag, Verdict


@dataclass(frozen=True)
class Claim:
    """What an analytical derivative says about a function of one variable, and how near it has to be."""

    slope: float  # g . v
    size: float  # the larger of |g.v| and ||g v||: the terms of the sum may cancel
    rtol: float


@dataclass(frozen=True)
class SlopeSetting(Setting):
    """Tolerances relative to the size of the terms of g . v, which may cancel and leave nothing to refer to."""

    size: float = 0.0

    def tolerance(self, i: Any, value: Any) -> Any:
        return self.rtol * np.maximum(self.size, np.maximum(np.abs(self.analytical[i]), np.abs(value)))

    def absolute_tolerance(self, i: Any) -> Any:
        return np.full(np.shape(self.scale[i]), self.rtol * self.size)


@dataclass(frozen=True)
class Slope:
    """A derivative as claimed and as found; in the units of f."""

    verdict: Verdict
    analytical: float
    numerical: float
    bar: float
    size: float  # the larger of |g.v| and ||g v||, which errors are relative to
    step: float  # of the difference that decided, as a multiple of v
    flags: Flag
    sides: tuple[float, float] | None  # forward and backward slope, at a kink
    noise: float  # standard deviation of the function
    evaluations: int

    @property
    def overall(self) -> Verdict:
        return self.verdict

    @property
    def is_suspect(self) -> bool:
        """Whether it differs, but only so far from x that this proves nothing."""
        return bool(self.flags & Flag.UNCONFIRMED)

    def outweighs(self, undecided: "Slope") -> bool:
        """Whether another direction's verdict may stand for that of an undecided one; no match clears a suspicion."""
        return self.verdict is Verdict.MISMATCH or (self.verdict is Verdict.MATCH and not undecided.is_suspect)

    @property
    def error(self) -> float:
        """Numerical minus analytical."""
        return self.numerical - self.analytical

    @property
    def relative(self) -> float:
        """|error| relative to the size; of a claim of zero, term by term, everything that was found is an error."""
        if self.size == 0.0:
            return 0.0 if self.error == 0.0 else abs(self.error) / abs(self.error)  # 1, or NaN
        return abs(self.error) / self.size

    @property
    def resolution(self) -> float:
        """Error bar relative to the size; infinite where there is none."""
        if self.size == 0.0:
            return 0.0 if self.bar == 0.0 else math.inf
        return self.bar / self.size
