"""From a confirmed mismatch to its components, causes and remainder."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fastgrad._budget import BudgetSpent
from fastgrad._causes.cause import Cause
from fastgrad._causes.places import Block
from fastgrad._large.arbiter import Answer, arbitrate
from fastgrad._large.detect import Detector, Family
from fastgrad._large.explain import Correction, cause_of_directions, causes_of_samples, is_explained
from fastgrad._large.locate import BlockFindings, Locator, default_budget
from fastgrad._large.probes import Prober, key_of
from fastgrad._large.samples import Kind, Sample, Sampler
from fastgrad._large.zeros import Zeros, look_at_zeros

_LAW_SAMPLES = 8
_PURPOSE = 21
_PIECE = 1 << 16
_HALF_SPACING = 2.0**-24  # of float32: what rounding to it changes, relative to a number
_LOOKED_AT = 3  # of the wrong components once more, at all scales, which takes 28 evaluations for each
_LOOKED_AT_IF_ROUGH = 5  # where right ones may be among them: all that are printed
_ROUGH = 64.0  # roundings of f, or as many as a sum of n terms makes one after the other
_SLACK = 1.5
_FEWEST_RESOLVED = 3
_SHOWS_ROUNDING = 0.1  # of it: a difference resolved so well shows whether a component was rounded


@dataclass
class Culprits:
    """What a search for wrong components found."""

    findings: list[BlockFindings] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    law: Cause | None = None  # of the whole gradient, seen by directions alone
    answers: dict[int, Answer] = field(default_factory=dict)  # of the closest look, by component
    cut_short_by: str | None = None  # why the search ended early
    is_left_open: bool = False  # it spent all that it may spend of its own
    is_explained: bool = False  # with the corrections all directions agree

    def of_kind(self, *kinds: Kind) -> list[Sample]:
        return [s for found in self.findings for s in found.of_kind(*kinds)]

    @property
    def wrong(self) -> list[Sample]:
        unique = {s.index: s for s in self.of_kind(Kind.WRONG)}
        return [unique[i] for i in sorted(unique)]

    @property
    def follows_a_law(self) -> bool:
        """Whether one law accounts for all directions and all components looked at."""
        return self.is_explained and self.law is not None and self.law in self.causes

    @property
    def is_confirmed(self) -> bool | None:
        """Whether the closest look agrees on one of the worst; None if it could not tell, or was not taken."""
        answers = set(self.answers.values())
        return None if answers <= {Answer.UNSEEN} else Answer.CONFIRMED in answers

    def acquit(self) -> None:
        """Where others are confirmed, those that the closest look contradicts are not wrong."""
        if not self.is_confirmed:
            return
        for found in self.findings:
            for i, s in found.samples.items():
                if s.kind is Kind.WRONG and self.answers.get(i) is Answer.CONTRADICTED:
                    found.samples[i] = replace(s, kind=Kind.UNRESOLVED)
                    found.density = None  # which rests on samples that are no better


class Investigation:
    """Locates, names and verifies what the directions of a detector disagree with."""

    def __init__(
        self, prober: Prober, detector: Detector, value: float, blocks: tuple[Block, ...],
        constants: Mapping[str, float], *, seed: int, rtol: float, precision: float, budget: int | None,
    ) -> None:  # fmt: skip
        self._prober = prober
        self._value = value
        self._blocks = blocks
        self._constants = constants
        self._seed = seed
        self._rtol = rtol
        self._precision = precision
        self._budget = budget if budget is not None else default_budget(prober.point.size)
        # The family that saw the mismatch first; its scaling suits the search.
        self._families = sorted(detector.families, key=lambda f: not f.confirmed)
        self.culprits = Culprits()
        self._rng = np.random.default_rng(key_of(seed, _PURPOSE, 2))
        key = key_of(seed, _PURPOSE)
        self._sampler = Sampler(prober, self._families, value, rtol=rtol, key=key)

    def run(self) -> Culprits:
        culprits = self.culprits
        try:
            if self._is_rounded_to_single():
                text = "every entry is a float32 number, off by its rounding: computed in single precision"
                culprits.causes = [Cause("float32", None, text, self._prober.point.size)]
                culprits.is_explained = True
                return culprits
            law = cause_of_directions(self._prober, self._families, self._constants)
            culprits.law = None if law is None else law[0]
            if law is None or not self._follow(law, culprits):
                self._search(culprits)
        except BudgetSpent as spent:
            culprits.cut_short_by = str(spent)
        if culprits.cut_short_by is None and any(found.open for found in culprits.findings):
            culprits.cut_short_by, culprits.is_left_open = f"the {self._budget} evaluations set aside for it", True
        self._confirm()
        return culprits

    def _is_rough(self, family: Family) -> bool:
        """Whether f has more noise than rounding explains: structure may hide in it, and pass for a mismatch."""
        rounding = 0.5 * float(np.spacing(abs(self._value)))
        return bool(family.noise > max(_ROUGH, np.sqrt(self._prober.point.size)) * rounding)

    def _confirm(self) -> None:
        family, culprits = self._families[0], self.culprits
        effect = {s.index: abs(s.numerical - s.analytical) * self._scale(family, s.index) for s in culprits.wrong}
        most = _LOOKED_AT_IF_ROUGH if self._is_rough(family) else _LOOKED_AT
        try:
            arbitrate(
                self._prober, self._value, sorted(culprits.wrong, key=lambda s: -effect[s.index]), culprits.answers,
                most=1 if culprits.follows_a_law else most,
                noise=family.noise, rtol=self._rtol, precision=self._precision,
            )  # fmt: skip
        except BudgetSpent as spent:
            culprits.cut_short_by = str(spent)
        culprits.acquit()

    def look_at_zeros(self) -> Zeros:
        """Components that are exactly zero, one by one; the culprits hold those that are wrong."""
        n, family = self._prober.point.size, self._families[0]
        zeros = look_at_zeros(self._prober, self._sampler, self._rng, typical=family.estimate.norm / np.sqrt(n))
        found = BlockFindings(Block("", 0, (n,)), 0.0)
        found.samples.update({s.index: s for s in zeros.samples})
        self.culprits.findings = [found]
        self._confirm()
        return zeros

    def _is_rounded_to_single(self) -> bool:
        """Whether every value is a float32 number, E is what rounding to them makes, and a few components show it."""
        estimate = self._families[0].estimate
        expected = self._effect_of_rounding()
        if expected is None or not (estimate.low <= _SLACK * expected and expected <= _SLACK * estimate.high):
            return False
        samples = self._sample_at_random(3)
        if any(abs(s.numerical - s.analytical) > _HALF_SPACING * abs(s.numerical) + s.bar for s in samples):
            return False
        resolved = [s for s in samples if s.bar <= _SHOWS_ROUNDING * _HALF_SPACING * abs(s.analytical)]
        return len(resolved) < _FEWEST_RESOLVED or any(s.kind is not Kind.RIGHT for s in resolved)

    def _effect_of_rounding(self) -> float | None:
        """E if every component was rounded to float32; None if not all are float32 numbers."""
        a, family = self._prober.analytical, self._families[0]
        if a.dtype != np.float64:
            return None
        square = 0.0
        for start in range(0, a.size, _PIECE):
            index = np.arange(start, min(start + _PIECE, a.size))
            rounded = a[index].astype(np.float32)
            if not (rounded == a[index]).all():
                return None
            changes = family.scaling.at(index) * np.spacing(np.abs(rounded)).astype(np.float64)
            square += float((changes * changes).sum()) / 12.0
        return float(np.sqrt(square)) / family.estimate.norm

    def _sample_at_random(self, draw: int) -> list[Sample]:
        """A few components, looked at closely enough for an equal share of the mismatch."""
        n, estimate = self._prober.point.size, self._families[0].estimate
        index = np.random.default_rng(key_of(self._seed, _PURPOSE, draw)).integers(0, n, _LAW_SAMPLES)
        root = np.sqrt(n)
        return self._sampler.sample(index, expected=estimate.root_mean_square / root, typical=estimate.norm / root)

    def _follow(self, law: tuple[Cause, Correction], culprits: Culprits) -> bool:
        """A law of the whole gradient needs a few components that obey it, and none that does not."""
        cause, correction = law
        n = self._prober.point.size
        found = BlockFindings(Block("", 0, (n,)), self._families[0].estimate.root_mean_square)
        samples = self._sample_at_random(1)
        found.samples.update({s.index: s for s in samples})
        for s in samples:
            change = float(correction.at(np.array([s.index]))[0])
            if s.kind is not Kind.KINK and not abs(s.numerical - s.analytical - change) <= 1.5 * s.bar:
                return False
        culprits.findings = [found]
        culprits.causes = [cause]
        culprits.is_explained = all(is_explained(self._families, [], [correction]))
        return True

    def _search(self, culprits: Culprits) -> None:
        searched: list[Family] = []
        for family in self._families:
            if culprits.is_explained or (searched and not self._is_simple(culprits)):
                return
            locator = Locator(
                self._prober, family, self._sampler, self._blocks,
                seed=self._seed + len(searched), budget=self._budget,
            )  # fmt: skip
            known = {s.index: (s.numerical - s.analytical) * self._scale(family, s.index) for s in culprits.wrong}
            start = len(culprits.findings)
            try:
                locator.run(known)
            finally:
                culprits.findings[start:] = locator.findings
                self._explain(culprits)
            searched.append(family)

    def _explain(self, culprits: Culprits) -> None:
        causes, corrections = causes_of_samples(self._prober, culprits.findings, self._blocks, self._constants)
        culprits.causes = causes or ([culprits.law] if culprits.law is not None else [])
        culprits.is_explained = all(is_explained(self._families, culprits.wrong, corrections))

    @staticmethod
    def _is_simple(culprits: Culprits) -> bool:
        """Whether what was found so far is a list of components."""
        return all(found.density is None and not found.open and not found.dense for found in culprits.findings)

    @staticmethod
    def _scale(family: Family, i: int) -> float:
        return float(family.scaling.at(np.array([i]))[0])
