"""Results of checks of products: frozen, a table when printed, plain data from to_dict()."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Slope
from fastgrad._causes.cause import Cause
from fastgrad._html import HtmlReport
from fastgrad._judge.verdict import Verdict
from fastgrad._report import Component
from fastgrad._report_lines import SHOWN, cost_line, headline, table


@dataclass(frozen=True)
class Output:
    """One row of a report: an entry of a product along one direction, and how its two values compare."""

    name: str
    position: int  # in the flat product
    direction: int  # number of the direction, from 0
    verdict: Verdict
    analytical: float  # as claimed
    numerical: float
    uncertainty: float  # error bar of `numerical`
    absolute: float  # |numerical - analytical|
    relative: float  # the same over max(|numerical|, |analytical|)


@dataclass(frozen=True)
class Products:
    """What was claimed of the products with all directions, and what differences say; an array row per direction."""

    directions: NDArray[np.float64]  # (K, *shape of x)
    analytical: NDArray[np.float64]  # (K, *shape of the product)
    numerical: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    verdicts: NDArray[np.object_]  # of `Verdict`, shaped like the products
    flags: NDArray[np.uint16]

    def to_dict(self) -> dict[str, Any]:
        verdicts = np.vectorize(lambda verdict: verdict.value, otypes=[object])(self.verdicts)
        return {name: values.tolist() for name, values in {**self.__dict__, "verdicts": verdicts}.items()}


@dataclass(frozen=True)
class _Check(HtmlReport):
    """What all checks of products tell."""

    verdict: Verdict
    reason: str
    causes: tuple[Cause, ...]
    relative_error: float
    smallest_error: float
    rtol: float
    noise: float
    evaluations: int
    elapsed: float
    threads: int
    executor: str

    @property
    def passed(self) -> bool:
        """True for MATCH only."""
        return self.verdict is Verdict.MATCH

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.verdict.value}, relative error {self.relative_error:.3g}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        return {name: _plain(value) for name, value in self.__dict__.items()}

    def _powers(self, what: str) -> list[str]:
        seen = f"{what} wrong by {self.smallest_error:.2g} of its size, with 99 % probability"
        return [f"relative error   {self.relative_error:.3g}", f"would have seen  {seen}"]


def _plain(value: Any) -> Any:
    if isinstance(value, Verdict):
        return value.value
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, int):  # flags too, whose own attributes lead to themselves
        return int(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "__dict__"):
        return {name: _plain(part) for name, part in value.__dict__.items()}
    return value


@dataclass(frozen=True, repr=False)
class JvpCheck(_Check):
    """Outcome of `check_jvp`.

    Attributes
    ----------
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE.
    reason : str
        Why, in a sentence.
    causes : tuple of Cause
        Bugs that explain the wrong outputs, only when the data leave no doubt.
    relative_error : float
        Largest |numerical - analytical| of an output, relative to the larger of the two.
    smallest_error : float
        Power: the smallest relative error of a row of the matrix that these directions would have shown with 99 %
        probability.
    rtol : float
        What counted as equal.
    noise : float
        Largest noise of an output of F (standard deviation, in its units).
    evaluations : int
        Calls of F.
    elapsed : float
        Wall time in seconds, compilation included.
    threads : int
        Threads that worked.
    executor : str
        How they ran: "prange", "threads", "serial", "inside f" or "python".
    products : Products
        Directions, products as claimed and as found, error bars, verdicts of all outputs.
    worst : tuple of Output
        The outputs that differ most, worst first: mismatches, then undecided ones, then matches.
    """

    products: Products
    worst: tuple[Output, ...]

    def __str__(self) -> str:
        lines = [*headline(self), "", *self._numbers(), ""]
        return "\n".join([*lines, *output_lines(self.worst, self.products), "", self._cost()])

    def _numbers(self) -> list[str]:
        return self._powers("a row of J")

    def _cost(self) -> str:
        return cost_line(self, "F")


@dataclass(frozen=True, repr=False)
class HvpCheck(JvpCheck):
    """Outcome of `check_hvp`: that of `check_jvp` for the gradient, and `asymmetry`.

    Attributes
    ----------
    asymmetry : float
        Largest |<u, H v> - <v, H u>|, relative to the size of its terms; 0 for a symmetric H up to rounding.
    """

    asymmetry: float

    def _numbers(self) -> list[str]:
        return [*self._powers("a row of H"), f"asymmetry        {self.asymmetry:.3g}"]

    def _cost(self) -> str:
        return cost_line(self, "the gradient")


@dataclass(frozen=True)
class AdjointPair:
    """One pair of random vectors v, shaped like x, and w, shaped like F(x)."""

    v: NDArray[np.float64]
    w: NDArray[np.float64]
    slope: Slope  # <J^T w, v> as claimed and as found by differences of <w, F>
    tangent: float  # <w, J v> as jvp has it; NaN without one
    gap: float  # |<w, J v> - <J^T w, v>| of the two functions, relative to the size of its terms; NaN without a jvp


@dataclass(frozen=True, repr=False)
class VjpCheck(_Check):
    """Outcome of `check_vjp`.

    Attributes
    ----------
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE; of vjp, and of jvp if it was given.
    reason : str
        Why, in a sentence; which of the two is wrong.
    causes : tuple of Cause
        Bugs that explain the wrong components, only when the data leave no doubt.
    relative_error : float
        Largest |numerical - analytical| of <J^T w, v>, relative to the size of its terms.
    smallest_error : float
        Power: the smallest relative error of the whole matrix that these pairs would have shown with 99 % probability.
    rtol, noise, evaluations, elapsed, threads, executor
        As in `JvpCheck`.
    pairs : tuple of AdjointPair
        The random vectors and both sides of <w, J v> = <J^T w, v>.
    components : tuple of Component
        The components of J^T w that differ most, for the w of the worst pair; empty unless vjp is wrong.
    jvp : JvpCheck or None
        What was found of jvp.
    """

    pairs: tuple[AdjointPair, ...]
    components: tuple[Component, ...]
    jvp: JvpCheck | None

    def __str__(self) -> str:
        lines = [*headline(self), "", *self._powers("J^T"), "", *_pair_lines(self.pairs)]
        if self.components:
            rows = [(row.name, *_cells(row)) for row in self.components]
            lines += ["", "worst components of J^T w", *table([_OF_COMPONENTS, *rows])]
        if self.jvp is not None and not self.jvp.passed:
            lines += ["", "jvp", *output_lines(self.jvp.worst, self.jvp.products)]
        return "\n".join([*lines, "", cost_line(self, "F")])


_OF_OUTPUTS = ("output", "direction", "analytical", "numerical", "+-", "absolute", "relative")
_OF_COMPONENTS = ("component", "analytical", "numerical", "+-", "absolute", "relative")


def output_lines(rows: tuple[Output, ...], products: Products) -> list[str]:
    """A table of the worst outputs."""
    counts = Counter(row.verdict for row in rows)
    shown = ", ".join(f"{counts[kind]} {word}" for kind, word in SHOWN.items() if counts[kind])
    count, size = products.analytical.shape[0], products.analytical[0].size
    cells = [(row.name, str(row.direction), *_cells(row)) for row in rows]
    return [f"worst of {size} outputs along {count} directions ({shown})", *table([_OF_OUTPUTS, *cells])]


def _cells(row: Component | Output) -> tuple[str, ...]:
    return (
        f"{row.analytical:.6g}",
        f"{row.numerical:.6g}",
        f"{row.uncertainty:.0e}",
        f"{row.absolute:.1e}",
        f"{row.relative:.0e}",
    )


def _pair_lines(pairs: tuple[AdjointPair, ...]) -> list[str]:
    with_tangent = any(not np.isnan(pair.tangent) for pair in pairs)
    head = ("pair", "<J^T w, v>", *(("<w, J v>",) if with_tangent else ()), "differences", "+-", "relative")
    rows = [
        (
            str(k),
            f"{pair.slope.analytical:.9g}",
            *((f"{pair.tangent:.9g}",) if with_tangent else ()),
            f"{pair.slope.numerical:.9g}",
            f"{pair.slope.bar:.0e}",
            f"{pair.slope.relative:.0e}",
        )
        for k, pair in enumerate(pairs)
    ]
    return table([head, *rows])
