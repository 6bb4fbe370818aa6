"""The result of a Taylor test: frozen, a table when printed, plain data from to_dict()."""

import math
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Slope
from fastgrad._html import HtmlReport
from fastgrad._judge.verdict import Verdict
from fastgrad._taylor.order import Order, pairwise_rates
from fastgrad._taylor.rows import Rows

_WIDTH = 80
_MOST_ROWS = 12
_BEYOND = 2  # rows shown below the window, to see the remainder drown


@dataclass(frozen=True)
class TaylorLine:
    """What one direction showed.

    Attributes
    ----------
    direction : ndarray shaped like x
        The direction v.
    rows : Rows
        Arrays of the steps h, of f(x + h v) - f(x), of the remainders of first and second order, and of their noise.
    order : Order
        Observed order of the remainder of first order: 2 for a right gradient.
    second_order : Order or None
        Of the remainder of second order, with a Hessian: 3 for a right one.
    slope : Slope
        g . v as claimed and as found by differences, with its error bar and verdict.
    curvature : Slope or None
        v . H v likewise.
    """

    direction: NDArray[np.float64]
    rows: Rows
    order: Order
    second_order: Order | None
    slope: Slope
    curvature: Slope | None

    @property
    def verdict(self) -> Verdict:
        """MISMATCH if the gradient or the Hessian is wrong along v, MATCH if all that was given is right."""
        found = [part.verdict for part in (self.slope, self.curvature) if part is not None]
        if Verdict.MISMATCH in found:
            return Verdict.MISMATCH
        return Verdict.MATCH if set(found) == {Verdict.MATCH} else Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class TaylorTest(HtmlReport):
    """Outcome of `taylor_test`.

    Attributes
    ----------
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE.
    reason : str
        Why, in a sentence.
    lines : tuple of TaylorLine
        One per direction, as drawn.
    order : Order
        Observed order of the remainder along the worst direction, with its 99 % confidence interval.
    relative_error : float
        Largest |numerical - analytical| of g . v, relative to |g.v| or, where its terms cancel, to ||g v||.
    smallest_error : float
        Power: the smallest relative error of the whole gradient, its components weighed as the directions move them (on
        any of their scales), that these would have shown with 99 % probability; NaN for a direction given by the user,
        which shows errors along itself alone.
    rtol : float
        What counted as equal.
    noise : float
        Noise of f (standard deviation, in units of f).
    evaluations : int
        Calls of f.
    elapsed : float
        Wall time in seconds, compilation included.
    threads : int
        Threads that worked.
    executor : str
        How they ran: "prange", "threads", "serial", "inside f" or "python".
    """

    verdict: Verdict
    reason: str
    lines: tuple[TaylorLine, ...]
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

    @property
    def worst(self) -> TaylorLine | None:
        """The direction that speaks most against what was given; None if none was measured."""
        return max(self.lines, key=_badness, default=None)

    @property
    def order(self) -> Order | None:
        """Of the worst direction; None if none was measured."""
        return None if self.worst is None else self.worst.order

    @property
    def relative_error(self) -> float:
        """Of g . v, the largest of all directions."""
        return max((line.slope.relative for line in self.lines), default=math.nan)

    def __repr__(self) -> str:
        order = "" if self.order is None or not self.order.exists else f", order {self.order.value:.2f}"
        return f"<TaylorTest: {self.verdict.value}{order}, relative error {self.relative_error:.3g}>"

    def __str__(self) -> str:
        lines = textwrap.wrap(f"{self.verdict.name}: {self.reason}.", _WIDTH)
        if self.worst is not None:
            number = 1 + next(k for k, line in enumerate(self.lines) if line is self.worst)
            lines += ["", *_table(self.worst, number, len(self.lines)), "", *_numbers(self)]
        return "\n".join([*lines, "", self._cost()])

    def _cost(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.evaluations} evaluations of f in {self.elapsed:.3g} s on {threads} ({self.executor})"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "order": _plain_order(self.order),
            "relative_error": self.relative_error,
            "smallest_error": self.smallest_error,
            "lines": [_plain_line(line) for line in self.lines],
            "rtol": self.rtol,
            "noise": self.noise,
            "evaluations": self.evaluations,
            "elapsed": self.elapsed,
            "threads": self.threads,
            "executor": self.executor,
        }


_SEVERITY = (Verdict.MATCH, Verdict.INCONCLUSIVE, Verdict.MISMATCH)


def _badness(line: TaylorLine) -> tuple[int, float]:
    relative = line.slope.relative
    return _SEVERITY.index(line.verdict), relative if math.isfinite(relative) else math.inf


def _plain_order(order: Order | None) -> dict[str, Any] | None:
    return None if order is None else dict(order.__dict__)


def _plain_slope(slope: Slope | None) -> dict[str, Any] | None:
    if slope is None:
        return None
    sides = None if slope.sides is None else list(slope.sides)
    return {**slope.__dict__, "verdict": slope.verdict.value, "flags": int(slope.flags), "sides": sides}


def _plain_line(line: TaylorLine) -> dict[str, Any]:
    rows = line.rows
    return {
        "direction": line.direction.tolist(),
        **{name: array.tolist() for name, array in rows.__dict__.items()},
        "change_rates": rows.change_rates.tolist(),
        "first_rates": rows.first_rates.tolist(),
        "second_rates": rows.second_rates.tolist(),
        "order": _plain_order(line.order),
        "second_order": _plain_order(line.second_order),
        "slope": _plain_slope(line.slope),
        "curvature": _plain_slope(line.curvature),
    }


def _table(line: TaylorLine, number: int, count: int) -> list[str]:
    """The table that Taylor tests print: step, remainder, rate from row to row."""
    orders = [order for order in (line.second_order, line.order) if order is not None and order.exists]
    count_shown = min(max((order.last for order in orders), default=3) + 1 + _BEYOND, line.rows.step.size)
    shown = np.arange(count_shown)[:: math.ceil(count_shown / _MOST_ROWS)]
    step = line.rows.step[shown]
    parts = {"|f(x+hv) - f(x)|": line.rows.change, "|... - h g.v|": line.rows.first}
    if line.second_order is not None:
        parts["|... - h^2/2 v.Hv|"] = line.rows.second
    columns = [["h", *(f"{h:.2e}" for h in step)]]
    for name, remainder in parts.items():
        size = np.abs(remainder[shown])
        columns.append([name, *(f"{r:.3e}" for r in size)])
        columns.append(["rate", *("" if math.isnan(r) else f"{r:.2f}" for r in pairwise_rates(step, size))])
    widths = [max(len(cell) for cell in column) for column in columns]
    table = [
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
    return [f"direction {number} of {count}{', the worst' if count > 1 else ''}", *table]


def _numbers(result: TaylorTest) -> list[str]:
    line = result.worst
    assert line is not None
    lines = [f"order of the remainder   {_order(line.order, line.rows, 2)}", _slope_line("g.v", line.slope)]
    if line.second_order is not None and line.curvature is not None:
        lines.insert(1, f"with the Hessian         {_order(line.second_order, line.rows, 3)}")
        lines.append(_slope_line("v.Hv", line.curvature))
    if math.isfinite(result.smallest_error):
        seen = f"a gradient wrong by {result.smallest_error:.2g} of its size, with 99 % probability"
        lines.append(f"would have seen          {seen}")
    return lines


def _order(order: Order, rows: Rows, expected: int) -> str:
    if not order.exists:
        return "none: no step leaves a remainder clear of the noise"
    window = f"h = {rows.step[order.last]:.1e} to {rows.step[order.first]:.1e}"
    return f"{order.value:.2f}  (99 %: {order.low:.2f} to {order.high:.2f}; right: {expected})  {window}"


def _slope_line(name: str, slope: Slope) -> str:
    claimed = f"{name:<24} {slope.analytical:.8g}, by differences {slope.numerical:.8g} +- {slope.bar:.0e}"
    return f"{claimed}  (relative {slope.relative:.0e})" if slope.size > 0.0 else claimed
