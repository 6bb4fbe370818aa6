"""The course of a directional check: detection, zeros held where f has its kinks, location, and the result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._budget import BudgetSpent
from fastgrad._causes.cause import Cause
from fastgrad._causes.places import Block
from fastgrad._judge.verdict import Verdict
from fastgrad._large.detect import Detector, Family, Finding
from fastgrad._large.directional_report import DirectionalCheck
from fastgrad._large.investigate import Culprits, Investigation
from fastgrad._large.outcome import block_rows, component_rows, describe_broken, interval_of
from fastgrad._large.probes import Prober, Scaling
from fastgrad._large.ruling import (
    POWER,
    describe_remainder,
    rule_on_culprits,
    rule_on_directions,
    rule_on_zeros,
    rule_without_directions,
)
from fastgrad._large.scales import make_scalings
from fastgrad._large.zeros import without_zeros
from fastgrad._layout import Layout
from fastgrad._objective import Trial

TRIALS = 2  # evaluations at x


@dataclass(frozen=True)
class Settings:
    """What the user asked for, checked."""

    seed: int
    directions: int
    rtol: float
    localise: bool
    constants: Mapping[str, float]
    limit: int | None


class Course:
    """One directional check: detection, then, on a mismatch, location."""

    def __init__(
        self, prober: Prober, trial: Trial, layout: Layout, regions: tuple[Block, ...], settings: Settings
    ) -> None:
        self._prober = prober
        self._trial = trial
        self._layout = layout
        self._regions = regions
        self._settings = settings
        self._families: list[Family] = []
        self._culprits = Culprits()
        self._searched = False
        self._ruling = rule_without_directions(trial.value)
        self.causes: list[Cause] = []

    @property
    def is_mismatch(self) -> bool:
        return self._ruling[0] is Verdict.MISMATCH

    @property
    def noise(self) -> float:
        """Of f, as far as it was measured."""
        return max((family.noise for family in self._families if family.directions), default=math.nan)

    def add_cause(self, cause: Cause | None) -> None:
        """What the gradient function itself gave away; that it ignores x says little beside a law that explains all."""
        if cause is not None and not (cause.kind == "stale" and self.causes):
            self.causes.append(cause)

    def interrupt(self) -> None:
        """Claim no more than was seen so far."""
        if self._searched:
            self._culprits.cut_short_by = "Ctrl-C"
            self._conclude()
        elif not self.is_mismatch:
            seen = sum(len(f.directions) for f in self._families)
            self._ruling = Verdict.INCONCLUSIVE, f"interrupted by Ctrl-C after {seen} random directions"

    def run(self, scale: ArrayLike | None) -> None:
        """Find out what can be said; BudgetSpent stays inside."""
        broken = describe_broken(self._prober.analytical, self._layout)
        if broken is not None:
            self._ruling = Verdict.MISMATCH, broken
        elif math.isfinite(self._trial.value):
            scalings = make_scalings(self._prober.point, self._regions, scale)
            with np.errstate(all="ignore"):
                try:
                    self._detect(scalings)
                except BudgetSpent as spent:
                    what = f"{spent} did not suffice for the random directions"
                    self._ruling = Verdict.INCONCLUSIVE, what

    def _detector(self) -> Detector:
        return Detector(
            self._prober, self._trial.value, seed=self._settings.seed,
            precision=float(np.finfo(self._prober.analytical.dtype).eps), noise=self._trial.difference,
        )  # fmt: skip

    def _detect(self, scalings: list[Scaling]) -> None:
        detector = self._detector()
        self._families = detector.families
        for scaling in scalings:
            beside = len(self._families) > 0  # another family, which needs fewer then
            detector.draw(scaling, max(2, self._settings.directions // 2) if beside else self._settings.directions)
        if not self._families:
            return
        finding = detector.decide()
        self._ruling = rule_on_directions(finding, self._families, self._settings.rtol)
        if finding is Finding.DIFFERS and self._settings.localise:
            self._locate(self._investigation(detector))
        if finding is Finding.KINKED:
            self._hold_zeros(detector, scalings[-1])

    def _investigation(self, detector: Detector) -> Investigation:
        return Investigation(
            self._prober, detector, self._trial.value, self._regions, self._settings.constants,
            seed=self._settings.seed, rtol=self._settings.rtol,
            precision=float(np.finfo(self._prober.analytical.dtype).eps), budget=self._settings.limit,
        )  # fmt: skip

    def _locate(self, investigation: Investigation) -> None:
        self._culprits, self._searched = investigation.culprits, True
        investigation.run()
        self._conclude()

    def _conclude(self) -> None:
        self.causes = list(self._culprits.causes)
        self._ruling = rule_on_culprits(self._culprits, self._families, self._settings.rtol, self._layout.name)

    def _hold_zeros(self, kinked: Detector, scaling: Scaling) -> None:
        """Directions again, without the components that are exactly zero; these one by one."""
        held = without_zeros(scaling)
        if held is None:
            return
        detector = self._detector()
        if not detector.draw(held, self._settings.directions):
            return
        finding = detector.decide()
        if finding not in (Finding.AGREES, Finding.DIFFERS):
            return
        self._families = detector.families
        self._ruling = rule_on_directions(finding, self._families, self._settings.rtol)
        if finding is Finding.DIFFERS:
            if self._settings.localise:
                self._locate(self._investigation(detector))
            return
        for family in kinked.families:  # to which the kink was noise
            family.noise = min(family.noise, detector.families[0].noise)
        investigation = self._investigation(kinked)
        zeros = investigation.look_at_zeros()
        self._culprits = investigation.culprits
        self._ruling = rule_on_zeros(zeros, self._culprits, self._ruling, self._layout.name)

    # ---------------------------------------------------------------------------------------------- the result

    def result(self, elapsed: float) -> DirectionalCheck:
        """What was found so far."""
        verdict, reason = self._ruling
        families = [family for family in self._families if family.directions]
        family = max(families, key=lambda f: len(f.confirmed), default=None)
        estimate = None if family is None else family.estimate
        floor = math.nan if estimate is None else estimate.floor
        accused = verdict is Verdict.MISMATCH
        return DirectionalCheck(
            verdict=verdict,
            reason=reason,
            relative_error=math.nan if estimate is None else estimate.error,
            interval=interval_of(family),
            scale="" if family is None else family.scaling.name,
            smallest_error=POWER * floor,
            smallest_component_error=POWER * floor * math.sqrt(self._prober.point.size),
            components=tuple(
                component_rows(self._culprits.wrong, self._prober.point, self._layout, families[0].scaling)
            )
            if accused and families
            else (),
            blocks=tuple(block_rows(self._culprits.findings)) if accused else (),
            causes=tuple(self.causes) if verdict is not Verdict.INCONCLUSIVE else (),
            unexplained=describe_remainder(self._culprits) if accused and self._searched else None,
            noise=self.noise,
            rtol=self._settings.rtol,
            directions=sum(len(f.directions) for f in families),
            evaluations=self._prober.evaluations + TRIALS,
            elapsed=elapsed,
            threads=self._prober.threads,
            executor=self._prober.route,
            layout=self._layout,
        )
