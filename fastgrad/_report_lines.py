"""Lines that the reports of several checks share."""

import textwrap
from typing import Any

from fastgrad._judge.verdict import Verdict

WIDTH = 80
SHOWN = {Verdict.MISMATCH: "wrong", Verdict.INCONCLUSIVE: "undecided", Verdict.MATCH: "right"}


def difference_of(analytical: float, numerical: float) -> dict[str, float]:
    """The last two fields of a row of any report; the difference of two zeros is 0, relatively too."""
    absolute, size = abs(numerical - analytical), max(abs(analytical), abs(numerical))
    return {"absolute": absolute, "relative": absolute / size if size > 0.0 else absolute}


def headline(result: Any) -> list[str]:
    """Verdict, reason and causes."""
    lines = textwrap.wrap(f"{result.verdict.name}: {result.reason}.", WIDTH)
    for cause in result.causes:
        lines += textwrap.wrap(f"Cause: {cause.sentence}{'' if cause.sentence.endswith('?') else '.'}", WIDTH)
    return lines


def norm_lines(result: Any) -> list[str]:
    """Relative error, norms and differences."""
    norms = result.norms
    pairs = [
        (("relative error", result.relative_error), ("||difference||", norms.difference)),
        (("max |difference|", result.max_absolute), ("||analytical||", norms.analytical)),
        (("mean |difference|", result.mean_absolute), ("||numerical||", norms.numerical)),
    ]
    lines = [f"{a:<18} {u:<14.6g}   {b:<15} {v:.6g}" for (a, u), (b, v) in pairs]
    if result.verdict is Verdict.MATCH and result.relative_error > result.rtol:
        note = "These are of differences at the given step, spoilt here by noise or curvature; the verdict is not."
        lines += textwrap.wrap(note, WIDTH)
    return lines


def table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [line[-WIDTH:] if len(line) > WIDTH else line for line in lines]


def cost_line(result: Any, function: str = "f") -> str:
    """Evaluations, time and threads."""
    kind = "worker" if result.executor.endswith("Executor") else "thread"
    hands = f"{result.threads} {kind}{'s' if result.threads > 1 else ''}"
    return f"{result.evaluations} evaluations of {function} in {result.elapsed:.3g} s on {hands} ({result.executor})"
