"""The result of a directional check: frozen, a table when printed, plain data from to_dict()."""

import textwrap
from dataclasses import dataclass
from typing import Any

from fastgrad._causes.cause import Cause
from fastgrad._html import HtmlReport
from fastgrad._judge.verdict import Verdict
from fastgrad._layout import Layout
from fastgrad._report import Component

_WIDTH = 80
_ROWS = 5


@dataclass(frozen=True)
class BlockCheck:
    """What was seen of one block that differs, or of x as a whole."""

    name: str  # empty: x
    size: int
    sampled: int  # components looked at alone
    wrong: int  # of these
    density: tuple[float, float] | None  # 99 % bounds of the share of wrong components, if many are
    place: str | None  # where they are, if that was seen and verified
    open_intervals: tuple[tuple[int, int], ...]  # of x, differ but were not searched to the end


@dataclass(frozen=True)
class DirectionalCheck(HtmlReport):
    """Outcome of `check_directional`.

    Attributes
    ----------
    verdict : Verdict
        MATCH, MISMATCH or INCONCLUSIVE.
    reason : str
        Why, in a sentence.
    relative_error : float
        Estimate of E = ||S (numerical - analytical)|| / ||S gradient||, S the scale by which each component of x
        moves; NaN if nothing could be measured.
    interval : tuple of float
        Its 99 % confidence interval.
    scale : str
        Which scale that is: "mixed scale" (|x_i|, at least the median of its block), "relative scale" or "given scale".
    smallest_error : float
        Power: the smallest relative error of the whole gradient that would be seen with 99 % probability: two
        directions differ by more than their bars, again at smaller steps.
    smallest_component_error : float
        Power: the same for an error in one component only, relative to a component of root mean square size.
    components : tuple of Component
        Wrong components, each confirmed by differences of its own; the largest effect first.
    blocks : tuple of BlockCheck
        The blocks that differ.
    causes : tuple of Cause
        Bugs that explain the wrong components, only when the data leave no doubt.
    unexplained : str or None
        What remains of the mismatch after the components and causes found.
    noise : float
        Noise level of f (standard deviation, in units of f).
    rtol : float
        What counted as equal.
    directions : int
        Random directions measured.
    evaluations : int
        Calls of f.
    elapsed : float
        Wall time in seconds, compilation included.
    threads : int
        Threads that worked.
    executor : str
        How they ran: "prange", "threads", "serial", "inside f", "inside the passes", "python" or
        "serial, f is not thread-safe".
    layout : Layout
        Shape of x and its named blocks; ``layout.name(k)`` is the entry at flat position k.
    """

    verdict: Verdict
    reason: str
    relative_error: float
    interval: tuple[float, float]
    scale: str
    smallest_error: float
    smallest_component_error: float
    components: tuple[Component, ...]
    blocks: tuple[BlockCheck, ...]
    causes: tuple[Cause, ...]
    unexplained: str | None
    noise: float
    rtol: float
    directions: int
    evaluations: int
    elapsed: float
    threads: int
    executor: str
    layout: Layout

    @property
    def passed(self) -> bool:
        """True for MATCH only."""
        return self.verdict is Verdict.MATCH

    def __repr__(self) -> str:
        return f"<DirectionalCheck: {self.verdict.value}, relative error {self.relative_error:.3g}>"

    def __str__(self) -> str:
        lines = [*_headline(self), "", *_numbers(self)]
        for part in (_component_lines(self), _block_lines(self)):
            lines += ["", *part] if part else []
        return "\n".join([*lines, "", _cost(self)])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        plain = dict(self.__dict__)
        del plain["layout"]
        plain["shape"] = list(self.layout.shape)
        plain["verdict"] = self.verdict.value
        plain["interval"] = list(self.interval)
        plain["components"] = [
            {**row.__dict__, "index": list(row.index), "verdict": row.verdict.value} for row in self.components
        ]
        plain["blocks"] = [
            {
                **block.__dict__,
                "density": None if block.density is None else list(block.density),
                "open_intervals": [list(pair) for pair in block.open_intervals],
            }
            for block in self.blocks
        ]
        plain["causes"] = [dict(cause.__dict__) for cause in self.causes]
        return plain


def _headline(result: DirectionalCheck) -> list[str]:
    lines = textwrap.wrap(f"{result.verdict.name}: {result.reason}.", _WIDTH)
    for cause in result.causes:
        lines += textwrap.wrap(f"Cause: {cause.sentence}{'' if cause.sentence.endswith('?') else '.'}", _WIDTH)
    if result.unexplained:
        lines += textwrap.wrap(f"Unexplained: {result.unexplained}.", _WIDTH)
    return lines


def _numbers(result: DirectionalCheck) -> list[str]:
    low, high = result.interval
    return [
        f"relative error E    {result.relative_error:.3g}  (99 %: {low:.2g} to {high:.2g}; {result.scale})",
        f"would have seen     E of {result.smallest_error:.2g}, or one component wrong by "
        f"{result.smallest_component_error:.2g}",
        "                    of a typical one (99 %)",
    ]


_COLUMNS = ("component", "x", "analytical", "numerical", "+-", "absolute", "relative")


def _component_lines(result: DirectionalCheck) -> list[str]:
    if not result.components:
        return []
    rows = [
        (
            row.name,
            f"{row.x:.4g}",
            f"{row.analytical:.6g}",
            f"{row.numerical:.6g}",
            f"{row.uncertainty:.0e}",
            f"{row.absolute:.1e}",
            f"{row.relative:.0e}",
        )
        for row in result.components[:_ROWS]
    ]
    return [f"worst {len(rows)} of {len(result.components)} components found wrong", *_table([_COLUMNS, *rows])]


def _block_lines(result: DirectionalCheck) -> list[str]:
    rows: list[tuple[str, ...]] = [("block", "size", "sampled", "wrong", "share wrong (99 %)")]
    for block in result.blocks:
        share = "" if block.density is None else f"{100 * block.density[0]:.0f}..{100 * block.density[1]:.0f} %"
        rows.append((block.name, str(block.size), str(block.sampled), str(block.wrong), share))
    return _table(rows) if any(block.name for block in result.blocks) else []


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [" ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [line[-_WIDTH:] for line in lines]


def _cost(result: DirectionalCheck) -> str:
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    return (
        f"{result.directions} directions, {result.evaluations} evaluations of f in {result.elapsed:.3g} s "
        f"on {threads} ({result.executor})"
    )
