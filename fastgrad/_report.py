"""Result objects: frozen, with verdict, evidence and cost; a table when printed, plain data from to_dict()."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._causes.cause import Cause
from fastgrad._html import HtmlReport
from fastgrad._judge.verdict import Verdict
from fastgrad._layout import Layout
from fastgrad._report_lines import SHOWN, cost_line, headline, norm_lines, table
from fastgrad.metric import ErrorNorms

# From this cost on a report says what a check along random directions would take; that takes so much for any n.
_MANY_EVALUATIONS, _DIRECTIONAL_EVALUATIONS = 10_000, 130


@dataclass(frozen=True)
class Component:
    """One row of a report: a component of the gradient and how its two values compare.

    Attributes
    ----------
    name : str
        As reports print it: "x[3]", "W1[4, 2]".
    index : tuple of int
        Position in x, or in its flat vector for named arrays.
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE.
    x : float
        Value of the coordinate.
    step : float
        At which `numerical` was found, in units of x.
    analytical : float
        As claimed.
    numerical, uncertainty : float
        Best estimate and its error bar.
    absolute, relative : float
        |numerical - analytical|, and the same over max(|numerical|, |analytical|).
    """

    name: str
    index: tuple[int, ...]
    verdict: Verdict
    x: float
    step: float
    analytical: float
    numerical: float
    uncertainty: float
    absolute: float
    relative: float


@dataclass(frozen=True)
class Kink:
    """A component whose two one-sided slopes differ however near x one looks.

    Attributes
    ----------
    name : str
        As reports print it: "x[3]", "W1[4, 2]".
    index : tuple of int
        Position in x, or in its flat vector for named arrays.
    slopes : tuple of float
        Backward and forward.
    analytical_between : bool
        Whether the analytical value lies between them: a subgradient of a convex f.
    """

    name: str
    index: tuple[int, ...]
    slopes: tuple[float, float]
    analytical_between: bool


@dataclass(frozen=True, eq=False, repr=False)
class GradientCheck(HtmlReport, tuple[NDArray[Any], float]):
    """Outcome of `check_gradient`: the tuple (numerical_grad, relative_error), with the evidence as attributes.

    Attributes
    ----------
    numerical_grad : ndarray
        Central differences, with the shape and dtype of x.
    relative_error : float
        ||numerical - analytical|| / (||numerical|| + ||analytical||); 0 when both are zero, NaN if either has one.
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE.
    reason : str
        Why, in a sentence.
    analytical_grad : ndarray
        The gradient checked, with the shape of x.
    step : ndarray
        Step of each component of numerical_grad, with the shape of x.
    estimate, uncertainty : ndarray of float64
        Best estimate of each component and its error bar, with the shape of x; the verdict rests on them.
        For a component that agreed at the first step (flag PLAIN) the bar is noise plus difference.
    resolution : ndarray of float64
        Smallest rtol at which each component would match.
    verdicts : ndarray of Verdict
        Of each component, with the shape of x.
    flags : ndarray of uint16
        What else is known of each component: `fastgrad.Flag` values.
    kinks : tuple of Kink
        Components at a kink, at most 100.
    causes : tuple of Cause
        Bugs that explain the wrong components, only when the data leave no doubt.
    noise : float
        Noise level of f (standard deviation, in units of f) that the verdict reckons with.
    rtol : float
        What counted as equal.
    worst : tuple of Component
        The components that differ most, worst first: mismatches, then undecided ones, then matches.
    norms : ErrorNorms
        The three norms and the error under other normalisations.
    max_absolute, mean_absolute : float
        Of |numerical - analytical| over the components.
    evaluations : int
        Calls of f.
    elapsed : float
        Wall time in seconds, compilation included.
    coverage : float
        Share of the components that were compared; norms and relative error are over these, the others are NaN.
    threads : int
        Threads, or workers of an executor, that evaluated f.
    executor : str
        How they ran: "prange", "threads", "serial", "inside f", "python", "serial, f is not thread-safe", or the
        name of an executor.
    layout : Layout
        Shape of x and its named blocks; ``layout.name(k)`` is the entry at flat position k.

    Notes
    -----
    For nested parameters (a dict of named arrays) everything with the shape of x is nested alike instead.
    """

    numerical_grad: NDArray[Any]
    relative_error: float
    verdict: Verdict
    reason: str
    analytical_grad: NDArray[Any]
    step: NDArray[np.float64]
    estimate: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    resolution: NDArray[np.float64]
    verdicts: NDArray[np.object_]
    flags: NDArray[np.uint16]
    kinks: tuple[Kink, ...]
    causes: tuple[Cause, ...]
    noise: float
    rtol: float
    worst: tuple[Component, ...]
    norms: ErrorNorms
    max_absolute: float
    mean_absolute: float
    evaluations: int
    elapsed: float
    coverage: float
    threads: int
    executor: str
    layout: Layout

    def __new__(cls, numerical_grad: NDArray[Any], relative_error: float, *_: Any, **__: Any) -> "GradientCheck":
        return tuple.__new__(cls, (numerical_grad, relative_error))

    def __getnewargs__(
        self,
    ) -> tuple[NDArray[Any], float]:  # copies and pickles; the attributes travel as state
        return (self.numerical_grad, self.relative_error)

    @property
    def passed(self) -> bool:
        """True for MATCH only."""
        return self.verdict is Verdict.MATCH

    def __repr__(self) -> str:
        return (
            f"<GradientCheck: {self.verdict.value}, relative error {self.relative_error:.3g}, "
            f"{math.prod(self.layout.shape)} components>"
        )

    def __str__(self) -> str:
        parts = [headline(self), norm_lines(self), _worst_lines(self), [*_cheaper_lines(self), cost_line(self)]]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "relative_error": self.relative_error,
            "shape": list(self.layout.shape),
            "blocks": [{"name": b.name, "start": b.start, "shape": list(b.shape)} for b in self.layout.blocks],
            "dtype": str(self.layout.flat(self.numerical_grad).dtype),
            "numerical_grad": _plain(self.numerical_grad),
            "analytical_grad": _plain(self.analytical_grad),
            "step": _plain(self.step),
            "estimate": _plain(self.estimate),
            "uncertainty": _plain(self.uncertainty),
            "resolution": _plain(self.resolution),
            "verdicts": [verdict.value for verdict in self.layout.flat(self.verdicts)],
            "flags": _plain(self.flags),
            "kinks": [{**kink.__dict__, "index": list(kink.index), "slopes": list(kink.slopes)} for kink in self.kinks],
            "causes": [dict(cause.__dict__) for cause in self.causes],
            "noise": self.noise,
            "rtol": self.rtol,
            "norms": {
                "difference": self.norms.difference,
                "analytical": self.norms.analytical,
                "numerical": self.norms.numerical,
                "by_twice_analytical": self.norms.by_twice_analytical,
                "by_analytical": self.norms.by_analytical,
                "by_larger": self.norms.by_larger,
                "root_mean_square": self.norms.root_mean_square,
            },
            "max_absolute": self.max_absolute,
            "mean_absolute": self.mean_absolute,
            "worst": [_row_dict(row) for row in self.worst],
            "evaluations": self.evaluations,
            "elapsed": self.elapsed,
            "coverage": self.coverage,
            "threads": self.threads,
            "executor": self.executor,
        }


def _plain(values: Any) -> Any:
    """Arrays as lists, nested as they are."""
    if isinstance(values, dict):
        return {key: _plain(part) for key, part in values.items()}
    if hasattr(values, "_asdict"):
        return _plain(values._asdict())
    return [_plain(part) for part in values] if isinstance(values, list | tuple) else values.tolist()


def _row_dict(row: Component) -> dict[str, Any]:
    return {**row.__dict__, "index": list(row.index), "verdict": row.verdict.value}


_COLUMNS = ("component", "x", "step", "analytical", "numerical", "+-", "absolute", "relative")


def _worst_lines(result: GradientCheck) -> list[str]:
    if not result.worst:
        return []
    rows = [
        (
            row.name,
            f"{row.x:.4g}",
            f"{row.step:.0e}",
            f"{row.analytical:.6g}",
            f"{row.numerical:.6g}",
            f"{row.uncertainty:.0e}",
            f"{row.absolute:.1e}",
            f"{row.relative:.0e}",
        )
        for row in result.worst
    ]
    counts = Counter(row.verdict for row in result.worst)
    shown = ", ".join(f"{counts[kind]} {word}" for kind, word in SHOWN.items() if counts[kind])
    return [
        f"worst {len(rows)} of {math.prod(result.layout.shape)} components ({shown})",
        *table([_COLUMNS, *rows]),
    ]


def _cheaper_lines(result: GradientCheck) -> list[str]:
    """At large n, what a check along random directions would take instead."""
    if result.evaluations < _MANY_EVALUATIONS:
        return []
    seconds = result.elapsed * _DIRECTIONAL_EVALUATIONS / result.evaluations
    return [f"check_directional would take about {_DIRECTIONAL_EVALUATIONS} evaluations, or {seconds:.1g} s"]
