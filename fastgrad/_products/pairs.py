"""The dot-product test: random pairs, who is to blame, and where."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.claim import Slope
from fastgrad._along.directions import Draw, Scale
from fastgrad._causes.cause import Cause, find_causes
from fastgrad._judge.verdict import INCONCLUSIVE, MISMATCH, VERDICTS, Flag, Verdict
from fastgrad._layout import make_layout
from fastgrad._products.adjoint import claim_of, judge_components, judge_pair
from fastgrad._products.assemble import parts_of, smallest_error_seen
from fastgrad._products.blame import Blame, blame, smallest_adjoint_error
from fastgrad._products.causes import common, is_jacobian, not_linear
from fastgrad._products.inputs import Product
from fastgrad._products.report import AdjointPair, JvpCheck, VjpCheck
from fastgrad._products.session import Session
from fastgrad._products.tangent import Tangent
from fastgrad._reason import worst_first
from fastgrad._report import Component
from fastgrad._report_lines import difference_of

Floats = NDArray[np.float64]

Kind = tuple[Scale, int]  # how far v moves each component, and how the outputs weigh in w

_ROWS = 5


@dataclass
class AdjointTest:
    """One check of a vjp, with or without a jvp."""

    session: Session
    vjp: Product
    jvp: Product | None
    pairs: list[AdjointPair] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)  # of the pairs
    tangents: list[Tangent] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    causes: tuple[Cause, ...] = ()
    where: str = ""  # ends the reason, once wrong components are found

    def add(self, draw: Draw) -> None:
        """Judge a random pair."""

        def judge(v: Floats, scale: Scale) -> tuple[AdjointPair, Kind, Tangent | None]:
            return self._judge(v, scale, draw.number)

        pair, kind, tangent = self.session.along(judge, lambda found: found[0].slope, draw)
        self.pairs.append(pair)
        self.kinds.append(kind)
        if tangent is not None:
            self.tangents.append(tangent)

    def _judge(self, direction: Floats, scale: Scale, k: int) -> tuple[AdjointPair, Kind, Tangent | None]:
        session = self.session
        v = self.vjp.rounded(direction)
        weights, weighting = session.weights(v, k)
        w = self.vjp.rounded(weights)
        claim = claim_of(self.vjp(w), v, session.rtol)
        slope = judge_pair(session.evaluator, session.trial, v, w, claim)
        tangent, product, gap = None, math.nan, math.nan
        if self.jvp is not None:
            forward = claim_of(self.jvp(v), w, session.rtol)
            product, size = forward.slope, max(claim.size, forward.size)
            gap = abs(product - claim.slope) / size if size > 0.0 else abs(product - claim.slope)
            tangent = replace(session.judge_tangent(self.jvp, v), scale=scale)
        shaped = v.reshape(session.given.shape), w.reshape(session.trial.shape)
        return AdjointPair(*shaped, slope, product, gap), (scale, weighting), tangent

    # ------------------------------------------------------------------------------------------------ location

    def locate(self) -> None:
        """The components of J^T w that are wrong, for the w of the worst pair, and why."""
        order = sorted(self.pairs, key=lambda pair: _badness(pair.slope), reverse=True)
        bad = [pair.w.reshape(-1) for pair in order if pair.slope.verdict is Verdict.MISMATCH]
        if not bad:
            return
        session = self.session
        claimed, found = self._look(bad[0])
        wrong = found.verdict == MISMATCH
        if not wrong.any():
            return
        layout = make_layout(session.given.shape, None, session.given.structure)
        rows = worst_first(found, claimed, _ROWS)
        self.components = [self._component(int(i), claimed, found, layout.name(int(i))) for i in rows if wrong[i]]
        seen, n = int(np.count_nonzero(found.seen)), claimed.size
        among = f"{n}" if seen == n else f"{seen} looked at (of {n})"
        self.where = f"; wrong components of J^T w: {int(wrong.sum())} of {among}, worst {self.components[0].name}"
        self.causes = self._causes(bad, claimed, found)

    def _look(self, w: Floats) -> tuple[Floats, Any]:
        """J^T w as claimed, and what is found of its components."""
        claimed = self.vjp(w)
        return claimed, judge_components(self.session.evaluator, self.session.trial, w, claimed, self.session.rtol)

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

    def _causes(self, bad: list[Floats], claimed: Floats, found: Any) -> tuple[Cause, ...]:
        """What explains the components for the worst w, and holds for the others: the transpose for all, a law for two.

        A law costs as much as the location to confirm.
        """
        session, wrong = self.session, found.verdict == MISMATCH
        cause = not_linear(self.vjp, bad[0], claimed, wrong)
        if cause is not None:
            return (cause,)
        about = session.evaluator, session.trial
        if is_jacobian(*about, bad[0], claimed, wrong, session.rtol) and all(
            is_jacobian(*about, w, self.vjp(w), np.zeros(wrong.size, bool), session.rtol) for w in bad[1:]
        ):
            text = "vjp multiplies by the Jacobian, not by its transpose"
            return (Cause("transpose", None, text, int(wrong.sum())),)
        laws = self._laws(claimed, found)
        return common(laws, self._laws(*self._look(bad[1]))) if laws and len(bad) > 1 else laws

    def _laws(self, claimed: Floats, found: Any) -> tuple[Cause, ...]:
        """The simple laws behind the wrong components for one w."""
        unconfirmed = found.flagged(Flag.UNCONFIRMED)
        bar = np.where(unconfirmed, 0.1 * np.abs(found.estimate - claimed), found.bar)
        bar = np.where(found.verdict == INCONCLUSIVE, np.inf, bar)
        x = self.session.point.flat.astype(np.float64)
        wrong = found.verdict == MISMATCH
        return find_causes(x, claimed, found.estimate, bar, wrong, shape=self.session.given.shape)

    # ---------------------------------------------------------------------------------------------- the result

    def result(self) -> VjpCheck:
        session, shapes = self.session, (self.session.given.shape, self.session.trial.shape)
        jvp_causes: tuple[Cause, ...] = ()
        tangent: JvpCheck | None = None
        if self.jvp is not None:
            jvp_causes = session.causes(self.jvp, self.tangents)
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
            smallest_error=self._smallest_error(),
            noise=max((t.noise for t in self.tangents), default=max(pair.slope.noise for pair in self.pairs)),
            pairs=tuple(self.pairs),
            components=tuple(self.components),
            jvp=tangent,
            **session.facts(),
        )

    def _smallest_error(self) -> float:
        """What pairs of every kind would have shown: the least telling kind decides."""
        kinds: dict[Kind, list[AdjointPair]] = {}
        for pair, kind in zip(self.pairs, self.kinds, strict=True):
            kinds.setdefault(kind, []).append(pair)
        return max(smallest_adjoint_error(pairs, self.session.rtol) for pairs in kinds.values())


def _badness(slope: Slope) -> tuple[int, float]:
    severity = (Verdict.MATCH, Verdict.INCONCLUSIVE, Verdict.MISMATCH).index(slope.verdict)
    return severity, slope.relative if math.isfinite(slope.relative) else math.inf
