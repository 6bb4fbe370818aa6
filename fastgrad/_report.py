"""Result objects: frozen, with verdict, evidence and cost; a table when printed, plain data from to_dict()."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._verdict import Verdict
from fastgrad.metric import ErrorNorms

_WIDTH = 80


@dataclass(frozen=True)
class Component:
    """One row of a report: a component of the gradient and how its two values compare."""

    index: tuple[int, ...]
    x: float
    step: float
    analytical: float
    numerical: float
    absolute: float  # |numerical - analytical|
    relative: float  # the same over max(|numerical|, |analytical|)


@dataclass(frozen=True, eq=False, repr=False)
class GradientCheck(tuple[NDArray[Any], float]):
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
        Step of each coordinate, with the shape of x.
    worst : tuple of Component
        The components that differ most, worst first; those that are not finite come before all others.
    norms : ErrorNorms
        The three norms and the error under other normalisations.
    max_absolute, mean_absolute : float
        Of |numerical - analytical| over the components.
    evaluations : int
        Calls of f.
    elapsed : float
        Wall time in seconds, compilation included.
    coverage : float
        Share of the components that were compared.
    threads : int
        Threads that evaluated f.
    executor : str
        How they ran: "prange", "threads", "serial" or "inside f".
    """

    numerical_grad: NDArray[Any]
    relative_error: float
    verdict: Verdict
    reason: str
    analytical_grad: NDArray[Any]
    step: NDArray[np.float64]
    worst: tuple[Component, ...]
    norms: ErrorNorms
    max_absolute: float
    mean_absolute: float
    evaluations: int
    elapsed: float
    coverage: float
    threads: int
    executor: str

    def __new__(cls, numerical_grad: NDArray[Any], relative_error: float, *_: Any, **__: Any) -> "GradientCheck":
        return tuple.__new__(cls, (numerical_grad, relative_error))

    def __getnewargs__(self) -> tuple[NDArray[Any], float]:  # copies and pickles; the attributes travel as state
        return (self.numerical_grad, self.relative_error)

    @property
    def passed(self) -> bool:
        """True for MATCH only."""
        return self.verdict is Verdict.MATCH

    def __repr__(self) -> str:
        return (
            f"<GradientCheck: {self.verdict.value}, relative error {self.relative_error:.3g}, "
            f"{self.numerical_grad.size} components>"
        )

    def __str__(self) -> str:
        return "\n".join([*_headline(self), "", *_norm_lines(self), "", *_worst_lines(self), "", _cost_line(self)])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "relative_error": self.relative_error,
            "shape": list(self.numerical_grad.shape),
            "dtype": str(self.numerical_grad.dtype),
            "numerical_grad": self.numerical_grad.tolist(),
            "analytical_grad": self.analytical_grad.tolist(),
            "step": self.step.tolist(),
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


def _row_dict(row: Component) -> dict[str, Any]:
    return {**row.__dict__, "index": list(row.index)}


def worst_components(
    x: NDArray[Any], step: NDArray[Any], analytical: NDArray[Any], numerical: NDArray[Any], *, count: int
) -> tuple[Component, ...]:
    """The `count` components of arrays of one shape that differ most; NaN and infinities first."""
    with np.errstate(all="ignore"):
        a, b = analytical.astype(np.float64), numerical.astype(np.float64)
        absolute = np.abs(b - a).reshape(-1)
    size = np.where(np.isnan(absolute), np.inf, absolute)
    count = min(count, size.size)
    candidates = np.argpartition(-size, count - 1)[:count]
    order = candidates[np.lexsort((candidates, -size[candidates]))]
    return tuple(
        _component(np.unravel_index(k, x.shape), float(x.flat[k]), float(step.flat[k]), a.flat[k], b.flat[k])
        for k in order
    )


def _component(index: Any, x: float, step: float, analytical: Any, numerical: Any) -> Component:
    a, b = float(analytical), float(numerical)
    absolute = abs(b - a)
    scale = max(abs(a), abs(b))
    relative = absolute / scale if scale > 0.0 else absolute
    return Component(tuple(int(i) for i in index), x, step, a, b, absolute, relative)


def _headline(result: GradientCheck) -> list[str]:
    import textwrap

    return textwrap.wrap(f"{result.verdict.name}: {result.reason}.", _WIDTH)


def _norm_lines(result: GradientCheck) -> list[str]:
    norms = result.norms
    pairs = [
        (("relative error", result.relative_error), ("||difference||", norms.difference)),
        (("max |difference|", result.max_absolute), ("||analytical||", norms.analytical)),
        (("mean |difference|", result.mean_absolute), ("||numerical||", norms.numerical)),
    ]
    return [f"{a:<18} {u:<14.6g}   {b:<15} {v:.6g}" for (a, u), (b, v) in pairs]


_COLUMNS = ("component", "x", "step", "analytical", "numerical", "absolute", "relative")


def _worst_lines(result: GradientCheck) -> list[str]:
    rows = [
        (
            _index_text(row.index),
            f"{row.x:.4g}",
            f"{row.step:.2g}",
            f"{row.analytical:.7g}",
            f"{row.numerical:.7g}",
            f"{row.absolute:.2e}",
            f"{row.relative:.1e}",
        )
        for row in result.worst
    ]
    shown = f"worst {len(rows)} of {result.numerical_grad.size} components"
    return [shown, *_table([_COLUMNS, *rows])]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _index_text(index: tuple[int, ...]) -> str:
    return f"[{', '.join(str(i) for i in index)}]"


def _cost_line(result: GradientCheck) -> str:
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    return f"{result.evaluations} evaluations of f in {result.elapsed:.3g} s on {threads} ({result.executor})"
