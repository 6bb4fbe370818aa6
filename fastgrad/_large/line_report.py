"""The result of a line-integral check: frozen, a table when printed, plain data from to_dict()."""

import textwrap
from dataclasses import dataclass
from typing import Any

from fastgrad._causes.cause import Cause
from fastgrad._html import HtmlReport
from fastgrad._judge.verdict import Verdict
from fastgrad._large.line import Segment
from fastgrad._report import Component
from fastgrad._report_lines import cost_line

_WIDTH = 80
_ROWS = 5


@dataclass(frozen=True)
class LineIntegralCheck(HtmlReport):
    """Outcome of `check_line_integral`.

    Attributes
    ----------
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE.
    reason : str
        Why, in a sentence.
    relative_error : float
        Largest |f(b) - f(a) - integral| of a segment, relative to the integral of ||g v||; NaN if there was none.
    resolution : float
        The smallest such error that would be seen.
    segments : tuple of Segment
        Each with its length, both sides and their error bars, in units of f.
    kink : tuple of float or None
        Where the quadrature fails, if it does: t from and to, at x + t L v of the first segment.
    components : tuple of Component
        Wrong components of the gradient that were located.
    blocks : tuple of str
        Named blocks whose own segments differ.
    causes : tuple of Cause
        Laws behind the mismatch, where segments or components leave no doubt.
    noise : float
        Noise level of f (standard deviation, in units of f).
    rtol : float
        What counted as equal.
    evaluations, gradient_evaluations : int
        Calls of f and of the gradient.
    elapsed : float
        Wall time in seconds, compilation included.
    threads : int
        Threads that integrated segments side by side.
    executor : str
        How they ran: "threads" or "serial".
    """

    verdict: Verdict
    reason: str
    relative_error: float
    resolution: float
    segments: tuple[Segment, ...]
    kink: tuple[float, float] | None
    components: tuple[Component, ...]
    blocks: tuple[str, ...]
    causes: tuple[Cause, ...]
    noise: float
    rtol: float
    evaluations: int
    gradient_evaluations: int
    elapsed: float
    threads: int
    executor: str

    @property
    def passed(self) -> bool:
        """True for MATCH only."""
        return self.verdict is Verdict.MATCH

    def __repr__(self) -> str:
        return f"<LineIntegralCheck: {self.verdict.value}, relative error {self.relative_error:.3g}>"

    def __str__(self) -> str:
        lines = textwrap.wrap(f"{self.verdict.name}: {self.reason}.", _WIDTH)
        for cause in self.causes:
            lines += textwrap.wrap(f"Cause: {cause.sentence}{'' if cause.sentence.endswith('?') else '.'}", _WIDTH)
        rows: list[tuple[str, ...]] = [("segment", "length", "panels", "f(b) - f(a)", "integral", "difference", "+-")]
        rows += [
            (
                str(k), f"{s.length:.1e}", str(s.panels), f"{s.difference:.9g}", f"{s.integral:.9g}",
                f"{s.difference - s.integral:.1e}", f"{s.noise + s.quadrature:.0e}",
            )
            for k, s in enumerate(self.segments)
        ]  # fmt: skip
        lines += ["", *_table(rows)] if self.segments else []
        if self.components:
            wrong: list[tuple[str, ...]] = [("component", "x", "analytical", "numerical", "+-", "relative")]
            wrong += [
                (
                    c.name, f"{c.x:.4g}", f"{c.analytical:.9g}", f"{c.numerical:.9g}", f"{c.uncertainty:.0e}",
                    f"{c.relative:.0e}",
                )
                for c in self.components[:_ROWS]
            ]  # fmt: skip
            count = min(_ROWS, len(self.components))
            lines += ["", f"worst {count} of {len(self.components)} components found wrong", *_table(wrong)]
        return "\n".join([*lines, "", cost_line(self, f"f and {self.gradient_evaluations} of the gradient")])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        plain = dict(self.__dict__)
        plain["verdict"] = self.verdict.value
        plain["segments"] = [dict(segment.__dict__) for segment in self.segments]
        plain["kink"] = None if self.kink is None else list(self.kink)
        plain["components"] = [
            {**row.__dict__, "index": list(row.index), "verdict": row.verdict.value} for row in self.components
        ]
        plain["blocks"] = list(self.blocks)
        plain["causes"] = [dict(cause.__dict__) for cause in self.causes]
        return plain


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [line[-_WIDTH:] for line in lines]
