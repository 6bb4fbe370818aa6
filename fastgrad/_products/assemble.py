"""From tangents to the parts of a result: arrays, worst outputs, reasons, causes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.directions import Scale
from fastgrad._along.doubt import doubt
from fastgrad._assessment import verdicts_of
from fastgrad._inputs import name_entry
from fastgrad._judge.verdict import INCONCLUSIVE, MATCH, MISMATCH, VERDICTS, Verdict
from fastgrad._products.report import Output, Products
from fastgrad._products.tangent import Tangent
from fastgrad._report_lines import difference_of

Floats = NDArray[np.float64]
Shape = tuple[int, ...]

_ROWS = 5
_BARS = 5.0  # of an error before it is called one
_MISSED = 0.01
# P(|w . d| < q ||d||) <= 1.4 q for the weights of random directions, whatever d.
_DENSITY = 1.4


def verdict_of(tangents: Sequence[Tangent]) -> Verdict:
    """Mismatch if any output is along any direction, match if all are along all, otherwise inconclusive."""
    found = {tangent.overall for tangent in tangents}
    if Verdict.MISMATCH in found:
        return Verdict.MISMATCH
    return Verdict.MATCH if found == {Verdict.MATCH} else Verdict.INCONCLUSIVE


def products_of(tangents: Sequence[Tangent], x_shape: Shape, out_shape: Shape) -> Products:
    """All directions stacked, in the shapes of the user."""

    def stacked(parts: list[NDArray[Any]], shape: Shape) -> NDArray[Any]:
        return np.stack([part.reshape(shape) for part in parts])

    return Products(
        directions=stacked([t.direction for t in tangents], x_shape),
        analytical=stacked([t.claimed for t in tangents], out_shape),
        numerical=stacked([t.numerical for t in tangents], out_shape),
        uncertainty=stacked([t.bar for t in tangents], out_shape),
        verdicts=verdicts_of(stacked([t.verdict for t in tangents], out_shape)),
        flags=stacked([t.flags for t in tangents], out_shape),
    )


def worst_outputs(tangents: Sequence[Tangent], title: str, shape: Shape) -> tuple[Output, ...]:
    """One row for each of the outputs that differ most, in the direction where they do."""
    rank = np.stack([np.array([1, 2, 0])[t.verdict] for t in tangents])
    relative = np.stack([np.where(np.isnan(t.relative), np.inf, t.relative) for t in tangents])
    worst = np.lexsort((-relative, rank), axis=0)[0]  # the direction of each output
    columns = np.arange(worst.size)
    order = np.lexsort((columns, -relative[worst, columns], rank[worst, columns]))[:_ROWS]
    return tuple(_output(tangents[int(worst[i])], int(worst[i]), int(i), title, shape) for i in order)


def _output(t: Tangent, direction: int, i: int, title: str, shape: Shape) -> Output:
    a, b = float(t.claimed[i]), float(t.numerical[i])
    return Output(
        name=name_entry(title, shape, i),
        position=i,
        direction=direction,
        verdict=VERDICTS[t.verdict[i]],
        analytical=a,
        numerical=b,
        uncertainty=float(t.bar[i]),
        **difference_of(a, b),
    )


def relative_error(tangents: Sequence[Tangent]) -> float:
    """Of the outputs that could be told, the largest."""
    known = [t.relative[t.verdict != INCONCLUSIVE] for t in tangents]
    return float(np.concatenate(known).max(initial=0.0)) if any(k.size for k in known) else math.nan


def smallest_error_seen(tangents: Sequence[Tangent], rtol: float) -> float:
    """Relative error of a row of J that random directions show with 99 % probability, for the worst-known row."""
    kinds = [[t for t in tangents if t.scale is scale] for scale in Scale]
    return float(np.max([_seen_by(of_kind, rtol) for of_kind in kinds if of_kind]))  # NaN if one cannot tell


def _seen_by(tangents: Sequence[Tangent], rtol: float) -> float:
    share = float(_MISSED ** (1.0 / len(tangents))) / _DENSITY
    with np.errstate(all="ignore"):
        claimed = np.linalg.norm([t.claimed for t in tangents], axis=0)
        resolution = np.linalg.norm([t.bar for t in tangents], axis=0) / claimed
    known = np.all([t.verdict == MATCH for t in tangents], axis=0) & np.isfinite(resolution)
    if not known.any():
        return math.nan
    return float(np.maximum(_BARS * resolution, resolution + rtol)[known].max()) / share


def reason_of(tangents: Sequence[Tangent], name: str, worst: Output) -> str:
    """The sentence for a product function of this name."""
    verdict, size, count = verdict_of(tangents), tangents[0].claimed.size, len(tangents)
    if verdict is Verdict.MATCH:
        return f"{name} agrees with differences in all of {size} output{_s(size)} along {count} direction{_s(count)}"
    codes = np.stack([t.verdict for t in tangents])
    if verdict is Verdict.MISMATCH:
        wrong = int((codes == MISMATCH).any(axis=0).sum())
        start = f"{name} is wrong in {wrong} of {size} output{_s(size)}"
        if not math.isfinite(worst.analytical):
            return f"{start}: {worst.name} is {worst.analytical}"
        return (
            f"{start}; worst {worst.name}: analytical {worst.analytical:.6g}, numerical {worst.numerical:.6g} +- "
            f"{worst.uncertainty:.0e}"
        )
    open_ = int((codes == INCONCLUSIVE).any(axis=0).sum())
    why = doubt(tangents[worst.direction].slope_of(worst.position), worst.name, "F")
    return f"{open_} of {size} output{_s(size)} of {name} cannot be told: {why}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def parts_of(tangents: Sequence[Tangent], name: str, title: str, x_shape: Shape, out_shape: Shape) -> dict[str, Any]:
    """What a result says of a jvp or hvp, but for causes, tolerance and cost; the keywords of `JvpCheck`."""
    worst = worst_outputs(tangents, title, out_shape)
    return {
        "verdict": verdict_of(tangents),
        "reason": reason_of(tangents, name, worst[0]),
        "relative_error": relative_error(tangents),
        "noise": max(t.noise for t in tangents),
        "products": products_of(tangents, x_shape, out_shape),
        "worst": worst,
    }


def asymmetry_of(one: Tangent, other: Tangent) -> float:
    """|<u, H v> - <v, H u>| relative to the size of the terms of the larger; NaN counts as 0, being wrong already."""
    with np.errstate(all="ignore"):
        there, back = one.direction * other.claimed, other.direction * one.claimed
        size = max(float(np.linalg.norm(there)), float(np.linalg.norm(back)))
        gap = abs(float(there.sum()) - float(back.sum()))
    return gap / size if math.isfinite(gap) and size > 0.0 else 0.0
