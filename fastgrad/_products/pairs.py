"""The dot-product test: random pairs, who is to blame, and where."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Slope
from fastgrad._causes.cause import Cause, find_causes
from fastgrad._judge.verdict import INCONCLUSIVE, MISMATCH, VERDICTS, Flag, Verdict
from fastgrad._layout import make_layout
from fastgrad._products.adjoint import claim_of, is_transposed, judge_components, judge_pair
from fastgrad._products.assemble import parts_of, smallest_error_seen
from fastgrad._products.blame import Blame, blame, smallest_adjoint_error
from fastgrad._products.inputs import Product
from fastgrad._products.report import AdjointPair, JvpCheck, VjpCheck
from fastgrad._products.session import Session
from fastgrad._products.tangent import Tangent
from fastgrad._reason import worst_first
from fastgrad._report import Component, difference_of

Floats = NDArray[np.float64]

_ROWS = 5


@dataclass
class AdjointTest:
    """One check of a vjp, with or without a jvp."""

    session: Session
    vjp: Product
    jvp: Product | None
    pairs: list[AdjointPair] = field(default_factory=list)
    tangents: list[Tangent] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    causes: tuple[Cause, ...] = ()
    where: str = ""  # ends the reason, once wrong components are found

    def add(self, k: int) -> None:
        """Judge the k-th random pair."""
        pair, tangent = self.session.along(lambda v: self._judge(v, k), lambda found: found[0].slope, k)
        self.pairs.append(pair)
        if tangent is not None:
            self.tangents.append(tangent)

    def _judge(self, direction: Floats, k: int) -> tuple[AdjointPair, Tangent | None]:
        session = self.session
        v = self.vjp.rounded(direction)
        w = self.vjp.rounded(session.weights(v, k))
        claim = claim_of(self.vjp(w), v, session.rtol)
        slope = judge_pair(session.evaluator, session.trial, v, w, claim)
        tangent, product, gap = None, math.nan, math.nan
        if self.jvp is not None:
            forward = claim_of(self.jvp(v), w, session.rtol)
            product, size = forward.slope, max(claim.size, forward.size)
            gap = abs(product - claim.slope) / size if size > 0.0 else abs(product - claim.slope)
            tangent = session.judge_tangent(self.jvp, v)
        shaped = v.reshape(session.given.shape), w.reshape(session.trial.shape)
        return AdjointPair(*shaped, slope, product, gap), tangent

    # ------------------------------------------------------------------------------------------------ location

    def locate(self) -> None:
        """The components of J^T w that are wrong, for the w of the worst pair, and why."""
        worst = max(self.pairs, key=lambda pair: _badness(pair.slope))
        if worst.slope.verdict is not Verdict.MISMATCH:
            return
        session = self.session
        w = worst.w.reshape(-1)
        claimed = self.vjp(w)
        found = judge_components(session.evaluator, session.trial, w, claimed, session.rtol)
        wrong = found.verdict == MISMATCH
        if not wrong.any():
            return
        layout = make_layout(session.given.shape, None, session.given.structure)
        rows = worst_first(found, claimed, _ROWS)
        self.components = [self._component(int(i), claimed, found, layout.name(int(i))) for i in rows if wrong[i]]
        seen, n = int(np.count_nonzero(found.seen)), claimed.size
        among = f"{n}" if seen == n else f"{seen} looked at (of {n})"
        self.where = f"; wrong components of J^T w: {int(wrong.sum())} of {among}, worst {self.components[0].name}"
        self.causes = self._causes(w, claimed, found)

    def _component(self, i: int, claimed: Floats, found: Any, name: str) -> Component:
        a, b = float(claimed[i]), float(found.estimate[i])
        return Component(
            name=name,
            index=tuple(int(k) for k in np.unravel_index(i, self.session.given.shape)),
            verdict=VERDICTS[found.verdict[i]],
            x=float(self.session.point.flat[i]),
            step=float(found.step[i]),
            analytical=a,
            numerical=b,
            uncertainty=float(found.bar[i]),
            **difference_of(a, b),
        )

    def _causes(self, w: Floats, claimed: Floats, found: Any) -> tuple[Cause, ...]:
        session, wrong = self.session, found.verdict == MISMATCH
        if is_transposed(session.evaluator, session.trial, (w, claimed), session.rtol, of_tangent=False):
            text = "vjp multiplies by the Jacobian, not by its transpose"
            return (Cause("transpose", None, text, int(wrong.sum())),)
        unconfirmed = (found.flags & Flag.UNCONFIRMED) != 0
        bar = np.where(unconfirmed, 0.1 * np.abs(found.estimate - claimed), found.bar)
        bar = np.where(found.verdict == INCONCLUSIVE, np.inf, bar)
        x = session.point.flat.astype(np.float64)
        return find_causes(x, claimed, found.estimate, bar, wrong, shape=session.given.shape)

    # ---------------------------------------------------------------------------------------------- the result

    def result(self) -> VjpCheck:
        session, shapes = self.session, (self.session.given.shape, self.session.trial.shape)
        jvp_causes: tuple[Cause, ...] = ()
        tangent: JvpCheck | None = None
        if self.tangents:
            jvp_causes = session.causes(self.tangents, "jvp")
            tangent = JvpCheck(
                **parts_of(self.tangents, "jvp", "F", *shapes),
                causes=jvp_causes,
                smallest_error=smallest_error_seen(self.tangents, session.rtol),
                **session.facts(),
            )
        found: Blame = blame(self.pairs, tangent, session.rtol)
        return VjpCheck(
            verdict=found.verdict,
            reason=found.reason + (self.where if found.of_vjp else ""),
            causes=(*self.causes, *jvp_causes),
            relative_error=max(pair.slope.relative for pair in self.pairs),
            smallest_error=smallest_adjoint_error(self.pairs, session.rtol),
            noise=max((t.noise for t in self.tangents), default=max(pair.slope.noise for pair in self.pairs)),
            pairs=tuple(self.pairs),
            components=tuple(self.components),
            jvp=tangent,
            **session.facts(),
        )


def _badness(slope: Slope) -> tuple[int, float]:
    severity = (Verdict.MATCH, Verdict.INCONCLUSIVE, Verdict.MISMATCH).index(slope.verdict)
    return severity, slope.relative if math.isfinite(slope.relative) else math.inf
