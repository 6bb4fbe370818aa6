"""The verdict of a Taylor test and its reason, from what its directions showed."""

import math
from collections.abc import Sequence

from fastgrad._along.claim import Slope
from fastgrad._along.directions import Scale
from fastgrad._along.doubt import doubt
from fastgrad._judge.verdict import Verdict
from fastgrad._taylor.report import TaylorLine

Ruling = tuple[Verdict, str]

# P(|w . d| < q ||d||) <= 1.4 q for the weights of random directions, whatever the error d (simulated for 13 shapes
# of d, from one wrong component to all of them).
_DENSITY = 1.4
_MISSED = 0.01


def smallest_error_seen(lines: tuple[TaylorLine, ...], scales: Sequence[Scale], rtol: float) -> float:
    """Relative error of the whole gradient that random directions show with 99 % probability, on any scale."""
    kinds = [[line.slope for line, own in zip(lines, scales, strict=True) if own is scale] for scale in Scale]
    return max((_seen_by(slopes, rtol) for slopes in kinds if slopes), default=math.nan)


def _seen_by(slopes: list[Slope], rtol: float) -> float:
    share = float(_MISSED ** (1.0 / len(slopes))) / _DENSITY
    return max(max(5.0 * slope.resolution, slope.resolution + rtol) for slope in slopes) / share


def rule(lines: tuple[TaylorLine, ...], worst: TaylorLine) -> Ruling:
    """Judge all directions by the worst of them."""
    verdict = worst.verdict
    if verdict is Verdict.MISMATCH:
        return verdict, _accusation(lines, worst)
    if verdict is Verdict.MATCH:
        return verdict, _agreement(lines, worst)
    if worst.slope.verdict is not Verdict.MATCH or worst.curvature is None:
        return verdict, doubt(worst.slope, "g.v")
    return verdict, doubt(worst.curvature, "v.Hv")


def _accusation(lines: tuple[TaylorLine, ...], worst: TaylorLine) -> str:
    slope, curvature = worst.slope, worst.curvature
    where = f"along {sum(line.verdict is Verdict.MISMATCH for line in lines)} of {_directions(lines)}"
    if slope.verdict is not Verdict.MISMATCH and curvature is not None:
        return (
            f"the Hessian is wrong {where}: v.Hv = {curvature.analytical:.6g}, by differences "
            f"{curvature.numerical:.6g} +- {curvature.bar:.0e}; the gradient agrees"
        )
    seen = ""
    if worst.order.exists:
        seen = f"the remainder falls with order {worst.order.value:.2f}"
        if worst.order.contains(2.0) or worst.order.value > 1.5:  # a small error, seen at smaller steps
            seen += ", but below these steps not"
        seen += ": "
    part = f"{slope.relative:.2g} of g.v" if slope.size > 0.0 else "and g.v is zero, term by term"
    return f"the gradient is wrong {where}: {seen}a slope of {slope.error:.3g} +- {slope.bar:.0e} is left, {part}"


def _agreement(lines: tuple[TaylorLine, ...], worst: TaylorLine) -> str:
    found = [line.order for line in lines if line.order.exists]
    along = f"along {_directions(lines)}"
    if not found:
        bent = [line.curvature for line in lines if line.curvature is not None]
        straight = ", as the Hessian says" if bent and all(curvature.size == 0.0 for curvature in bent) else ""
        return (
            f"the remainder is rounding at every step {along}: f is linear there as far as can be seen, with slope "
            f"g.v{straight}"
        )
    least = min(found, key=lambda order: order.value)
    text = f"the remainder falls with order {least.value:.2f} {along}"
    if not least.contains(2.0) and least.value < 1.9:
        text += (
            f", because a slope of {worst.slope.relative:.1g} of g.v is left, within rtol"
            if worst.slope.relative > worst.slope.resolution
            else ", but no slope is left at smaller steps"
        )
    second = [line.second_order for line in lines if line.second_order is not None and line.second_order.exists]
    if second:
        text += f", with the Hessian {min(order.value for order in second):.2f}"
    return text


def _directions(lines: tuple[TaylorLine, ...]) -> str:
    return "1 direction" if len(lines) == 1 else f"{len(lines)} directions"
