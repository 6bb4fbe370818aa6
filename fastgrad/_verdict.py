"""Verdicts and the arithmetic behind them: pure NumPy, no evaluation of anything."""

import enum
import math

import numpy as np

# The customary thresholds on the relative error of the whole gradient.
CLASSICAL_TOLERANCE = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-3}


class Verdict(enum.Enum):
    """What a check found."""

    MATCH = "match"
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"


def judge_classical(relative_error: float, tolerance: float) -> tuple[Verdict, str]:
    """The customary rule on the relative error alone; a NaN never matches."""
    if relative_error < tolerance:
        return Verdict.MATCH, f"relative error {relative_error:.2e} is below {tolerance:g}"
    if math.isnan(relative_error):
        return Verdict.INCONCLUSIVE, "the relative error is not a number"
    return Verdict.MISMATCH, f"relative error {relative_error:.2e} is not below {tolerance:g}"
