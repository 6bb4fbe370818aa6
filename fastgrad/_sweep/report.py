"""The result of a sweep over epsilon: frozen, a table with the curve drawn in it when printed, plain data."""

import math
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._html import HtmlReport
from fastgrad._judge.verdict import Verdict
from fastgrad._report import GradientCheck
from fastgrad._sweep.branches import Branches, Part
from fastgrad.metric import ErrorNorms

_WIDTH = 80
_MOST_ROWS = 16
_CURVE = 37  # characters across the drawing


@dataclass(frozen=True, eq=False, repr=False)
class EpsilonSweep(HtmlReport):
    """Outcome of `sweep_epsilon`: the relative error E against epsilon, and the law it follows.

    Attributes
    ----------
    epsilon : ndarray
        Steps tried, ascending; the same in every coordinate.
    relative_error : ndarray
        E at each of them; NaN where it could not be measured (see `notes`).
    norms : tuple of ErrorNorms
        The three norms and E under the other customary normalisations, at each epsilon.
    parts : tuple of Part
        What governs E at each epsilon.
    noise : float
        N from the noise of f, measured: sigma sqrt(n / 2) / (||numerical|| + ||analytical||).
    fitted_noise : float
        N from the numerical gradients left of the minimum; 0 if that branch was not seen.
    truncation : float
        T from the numerical gradients right of the minimum; 0 if that branch was not seen.
    predicted : ndarray
        noise / epsilon + truncation * epsilon^2.
    best_epsilon, smallest_error : float
        Where E is smallest, and how small; NaN if E was measured nowhere. An E below a third of what the fitted
        branches leave is taken to be small by luck, and not for the minimum.
    predicted_best_epsilon, predicted_smallest_error : float
        (N / 2T)^(1/3), and `predicted` there; inf and 0 if no truncation was seen.
    slopes : tuple of two floats
        Power of epsilon that E follows in its rounding part and in its truncation part; -1 and 2 by the law,
        NaN for fewer than three points.
    floor : float
        Level that E keeps although the law would let it fall at least tenfold lower; NaN if there is none.
    reason : str
        How E behaves, and why, in a sentence.
    notes : tuple of str
        Why E was not measured at some epsilon.
    check : GradientCheck
        The component-wise check at the same point, with a step of its own for each component.
    evaluations : int
        Calls of f, those of the check included.
    elapsed : float
        Wall time in seconds, compilation included.
    """

    epsilon: NDArray[np.float64]
    relative_error: NDArray[np.float64]
    norms: tuple[ErrorNorms, ...]
    parts: tuple[Part, ...]
    noise: float
    fitted_noise: float
    truncation: float
    best_epsilon: float
    smallest_error: float
    slopes: tuple[float, float]
    floor: float
    reason: str
    notes: tuple[str, ...]
    check: GradientCheck
    evaluations: int
    elapsed: float

    @property
    def verdict(self) -> Verdict:
        """That of the component-wise check: E, a single number, cannot show a wrong component beside large ones."""
        return self.check.verdict

    @property
    def predicted(self) -> NDArray[np.float64]:
        return self._law.at(self.epsilon)

    @property
    def predicted_best_epsilon(self) -> float:
        return self._law.best_epsilon

    @property
    def predicted_smallest_error(self) -> float:
        return self._law.smallest_error

    @property
    def _law(self) -> Branches:
        return Branches(self.noise, self.truncation)

    def __repr__(self) -> str:
        return f"<EpsilonSweep: {self.epsilon.size} epsilons, smallest error {self.smallest_error:.3g}>"

    def __str__(self) -> str:
        lines = textwrap.wrap(f"{self.reason}.", _WIDTH)
        lines += textwrap.wrap(f"{self.check.verdict.name}: {self.check.reason}.", _WIDTH)
        lines += ["", *_summary_lines(self), "", *_curve_lines(self), ""]
        for note in self.notes:
            lines += textwrap.wrap(f"Not measured: {note}", _WIDTH)
        return "\n".join([*lines, f"{self.evaluations} evaluations of f in {self.elapsed:.3g} s"])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN and infinities stay floats)."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "check_reason": self.check.reason,
            "epsilon": self.epsilon.tolist(),
            "relative_error": self.relative_error.tolist(),
            "predicted": self.predicted.tolist(),
            "parts": [part.value for part in self.parts],
            "noise": self.noise,
            "fitted_noise": self.fitted_noise,
            "truncation": self.truncation,
            "best_epsilon": self.best_epsilon,
            "predicted_best_epsilon": self.predicted_best_epsilon,
            "smallest_error": self.smallest_error,
            "predicted_smallest_error": self.predicted_smallest_error,
            "slopes": list(self.slopes),
            "floor": self.floor,
            "norms": {
                "difference": [norms.difference for norms in self.norms],
                "analytical": [norms.analytical for norms in self.norms],
                "numerical": [norms.numerical for norms in self.norms],
                "by_twice_analytical": [norms.by_twice_analytical for norms in self.norms],
                "by_analytical": [norms.by_analytical for norms in self.norms],
                "by_larger": [norms.by_larger for norms in self.norms],
                "root_mean_square": [norms.root_mean_square for norms in self.norms],
            },
            "notes": list(self.notes),
            "evaluations": self.evaluations,
            "elapsed": self.elapsed,
        }


def _summary_lines(sweep: EpsilonSweep) -> list[str]:
    rows = [
        ("", "measured", "predicted", ""),
        ("best epsilon", _number(sweep.best_epsilon), _number(sweep.predicted_best_epsilon), ""),
        ("smallest E", f"{sweep.smallest_error:.3g}", _number(sweep.predicted_smallest_error), ""),
        ("rounding N / epsilon", _branch(sweep.fitted_noise), _number(sweep.noise), _power(sweep.slopes[0])),
        ("truncation T epsilon^2", _branch(sweep.truncation), "", _power(sweep.slopes[1])),
    ]
    return [f"{name:<23} {measured:<10} {predicted:<10} {power}".rstrip() for name, measured, predicted, power in rows]


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) and value != 0.0 else "-"


def _branch(value: float) -> str:
    return f"{value:.3g}" if value > 0.0 else "not seen"


def _power(slope: float) -> str:
    return f"E ~ epsilon^{slope:.2f}" if math.isfinite(slope) else ""


def _curve_lines(sweep: EpsilonSweep) -> list[str]:
    """A row per epsilon (some of them, if there are many) with E drawn against a logarithmic scale."""
    error = sweep.relative_error
    positive = np.concatenate([error, [sweep.predicted_smallest_error]])
    positive = positive[np.isfinite(positive) & (positive > 0.0)]
    lowest = math.floor(math.log10(positive.min())) if positive.size else -1
    lowest = max(min(lowest, -1), -18)
    scale = f"1e{lowest}".ljust(_CURVE - 1) + "1"
    lines = [f"{'epsilon':>8} {'E':>8} {'predicted':>9} {'governed by':<11}  {scale}"]
    for k in _rows_shown(sweep):
        place, expected = _column(error[k], lowest), _column(sweep.predicted[k], lowest)
        drawing = [" "] * _CURVE
        if expected is not None:
            drawing[expected] = "."
        if place is not None:
            drawing[place] = "*"
        numbers = f"{sweep.epsilon[k]:>8.2e} {error[k]:>8.1e} {sweep.predicted[k]:>9.1e} {sweep.parts[k].value:<11}"
        lines.append(f"{numbers}  {''.join(drawing)}".rstrip())
    return [*lines, f"{'':>40}* measured   . predicted"]


def _rows_shown(sweep: EpsilonSweep) -> list[int]:
    count = sweep.epsilon.size
    shown = set(range(0, count, -(-count // _MOST_ROWS))) | {count - 1}
    return sorted(shown | set(np.flatnonzero(sweep.epsilon == sweep.best_epsilon).tolist()))


def _column(value: float, lowest: int) -> int | None:
    if not (math.isfinite(value) and value > 0.0):
        return None
    share = 1.0 - math.log10(value) / lowest
    return round(share * (_CURVE - 1)) if 0.0 <= share <= 1.0 else None
