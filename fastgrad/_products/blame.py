"""Which of a tangent and an adjoint code is wrong: differences decide, and where they cannot, the two themselves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fastgrad._along.doubt import doubt
from fastgrad._judge.verdict import Verdict
from fastgrad._products.report import AdjointPair, JvpCheck

_BARS = 5.0
_MISSED = 0.01
_BISECTIONS = 60
_NAME, _FUNCTION = "<J^T w, v>", "<w, F>"


@dataclass(frozen=True)
class Blame:
    """The verdict of a check of a vjp, and its reason."""

    verdict: Verdict
    reason: str
    of_vjp: bool  # vjp is wrong, whatever else


def blame(pairs: Sequence[AdjointPair], jvp: JvpCheck | None, rtol: float) -> Blame:
    """Judge by what differences say of each, and by the gap between the two."""
    adjoint = _verdict_of(pairs)
    if jvp is None:
        return Blame(adjoint, _words_on_vjp(pairs, adjoint), adjoint is Verdict.MISMATCH)
    gap = max((pair.gap for pair in pairs), key=lambda gap: math.inf if math.isnan(gap) else gap)
    are_adjoint = gap <= 2.0 * rtol
    wrong = [name for name, verdict in (("vjp", adjoint), ("jvp", jvp.verdict)) if verdict is Verdict.MISMATCH]
    if wrong:
        return Blame(Verdict.MISMATCH, _accusation(pairs, jvp, wrong, are_adjoint, gap), "vjp" in wrong)
    if not are_adjoint:
        return Blame(Verdict.MISMATCH, _words_on_gap(adjoint, jvp.verdict, gap), False)
    if adjoint is Verdict.MATCH and jvp.passed:
        text = f"jvp and vjp agree with differences in {_count(pairs)}, and with each other to {gap:.1g}"
        return Blame(Verdict.MATCH, text, False)
    open_ = jvp.reason if adjoint is Verdict.MATCH else _words_on_vjp(pairs, adjoint)
    return Blame(Verdict.INCONCLUSIVE, f"jvp and vjp are adjoint to each other to {gap:.1g}, but {open_}", False)


def _verdict_of(pairs: Sequence[AdjointPair]) -> Verdict:
    found = {pair.slope.verdict for pair in pairs}
    if Verdict.MISMATCH in found or any(not math.isfinite(pair.slope.analytical) for pair in pairs):
        return Verdict.MISMATCH
    return Verdict.MATCH if found == {Verdict.MATCH} else Verdict.INCONCLUSIVE


def _count(pairs: Sequence[AdjointPair]) -> str:
    return f"{len(pairs)} random pair{'' if len(pairs) == 1 else 's'}"


def _words_on_vjp(pairs: Sequence[AdjointPair], verdict: Verdict) -> str:
    if verdict is Verdict.MATCH:
        return f"vjp agrees with differences: {_NAME} in {_count(pairs)}"
    if verdict is Verdict.INCONCLUSIVE:
        return doubt(next(p.slope for p in pairs if p.slope.verdict is verdict), _NAME, _FUNCTION)
    wrong = [p.slope for p in pairs if p.slope.verdict is verdict or not math.isfinite(p.slope.analytical)]
    worst = max(wrong, key=lambda slope: slope.relative if math.isfinite(slope.relative) else math.inf)
    seen = f"analytical {worst.analytical:.6g}, numerical {worst.numerical:.6g} +- {worst.bar:.0e}"
    return f"vjp is wrong: {_NAME} differs in {len(wrong)} of {_count(pairs)}; worst: {seen}"


def _accusation(pairs: Sequence[AdjointPair], jvp: JvpCheck, wrong: list[str], are_adjoint: bool, gap: float) -> str:
    if wrong == ["vjp"]:
        rest = "jvp is right" if jvp.passed else "jvp cannot be told"
        return f"{rest}, {_words_on_vjp(pairs, Verdict.MISMATCH)}"
    if wrong == ["jvp"]:
        rest = "vjp is right" if _verdict_of(pairs) is Verdict.MATCH else "vjp cannot be told"
        return f"{rest}, {jvp.reason}"
    if are_adjoint:
        return (
            f"jvp and vjp are both wrong, and in the same way: they are adjoint to each other to {gap:.1g}, but "
            f"differentiate another function than F; {jvp.reason}"
        )
    return f"jvp and vjp are both wrong: {jvp.reason}; {_words_on_vjp(pairs, Verdict.MISMATCH)}"


def _words_on_gap(adjoint: Verdict, tangent: Verdict, gap: float) -> str:
    start = f"jvp and vjp are not adjoint to each other: <w, J v> and {_NAME} differ by {gap:.2g} of their size"
    if adjoint is tangent:
        return f"{start}; differences cannot tell which of the two is wrong"
    right, other = ("vjp", "jvp") if adjoint is Verdict.MATCH else ("jvp", "vjp")
    return f"{start}; {right} agrees with differences, so {other} is wrong"


def smallest_adjoint_error(pairs: Sequence[AdjointPair], rtol: float) -> float:
    """Relative error of J^T as a whole that random pairs show with 99 % probability.

    For an error a b^T, <w, a> and <b, v> are both small with a probability of 1.4 q each, which gives p (1 - log p),
    p = 1.96 q, for their product; other errors are seen more easily.
    """
    each = _MISSED ** (1.0 / len(pairs))
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        p = 0.5 * (low + high)
        low, high = (p, high) if p * (1.0 - math.log(p)) < each else (low, p)
    resolution = max(max(_BARS * pair.slope.resolution, pair.slope.resolution + rtol) for pair in pairs)
    return resolution / (low / 1.4**2)
