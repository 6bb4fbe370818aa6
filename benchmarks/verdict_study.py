"""Checks of random right and wrong gradients, by our verdict and by the rules of others, and what is counted."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import peer_rules
from benchmarks.random_suite import KINDS, Problem, is_visible, make_problem, objective, spoil
from fastgrad import GradientCheck, Verdict, _looks, check_gradient
from fastgrad._judge.verdict import Flag
from fastgrad.steps import Automatic

STEPS = {"default": None, "automatic": Automatic()}
PEER_KINDS = tuple(kind for kind in KINDS if kind != "float32 x")  # the rules of others are for float64
BINS = ("at least 10 %", "0.1 % to 10 %", "2 rtol to 0.1 %", "below 2 rtol")


@dataclass
class Tally:
    """Counts over many checks of one kind, size and step rule."""

    right: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    wrong: dict[tuple[str, Verdict], int] = field(
        default_factory=lambda: dict.fromkeys(itertools.product(BINS, Verdict), 0)
    )
    passed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BINS, 0))  # wrong, and accepted as a whole
    evaluations: list[int] = field(default_factory=list)  # of right gradients
    looked_at: int = 0  # components with a bar from a closer look
    misses: list[tuple[float, str]] = field(default_factory=list)  # of these, |error| / bar above 1
    look_costs: dict[str, list[int]] = field(default_factory=lambda: {"right": [], "wrong": []})
    absolute_only: int = 0  # wrong components accepted, openly, as too small to matter
    false_verdicts: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for key, count in other.right.items():
            self.right[key] += count
        for place, count in other.wrong.items():
            self.wrong[place] += count
        for place, count in other.passed.items():
            self.passed[place] += count
        self.evaluations += other.evaluations
        self.looked_at += other.looked_at
        self.misses += other.misses
        for which, costs in other.look_costs.items():
            self.look_costs[which] += costs
        self.absolute_only += other.absolute_only
        self.false_verdicts += other.false_verdicts


def default_rtol(kind: str) -> float:
    """A gradient computed in float32 is judged as one, also where x is float64."""
    return 1e-3 if kind.startswith("float32") else 1e-5


def study(kind: str, size: int, step: str, numbers: Iterable[int], seed: int) -> Tally:
    """Check the right and a wrong gradient of each problem."""
    tally = Tally()
    for number in numbers:
        problem = make_problem(kind, size, number, seed=seed)
        with counted_looks() as costs:
            right = check(problem, problem.gradient, step)
        tally.look_costs["right"] += costs.values()
        tally.right[right.verdict] += 1
        tally.evaluations.append(right.evaluations)
        _see(tally, problem, problem.gradient, right, f"right gradient, step {step}")
        gradient, which, delta = spoil(problem, 0.01 * default_rtol(kind), seed=seed)
        with counted_looks() as costs:
            wrong = check(problem, gradient, step)
        tally.look_costs["wrong"] += [cost for i, cost in costs.items() if i == which]
        _see(tally, problem, gradient, wrong, f"component {which} times 1{delta:+.3g}, step {step}")
        place = _bin(_relative(gradient, problem.gradient)[which], default_rtol(kind))
        tally.wrong[place, wrong.verdicts[which]] += 1
        tally.passed[place] += wrong.passed
    return tally


@contextlib.contextmanager
def counted_looks() -> Iterator[dict[int, int]]:
    """Evaluations that the closer look at each component asks for, by component."""
    costs: dict[int, int] = {}
    original = _looks.look_closely

    def counted(setting: Any, i: int, *rest: Any) -> Any:
        talk = original(setting, i, *rest)
        costs[i], answer = 0, None
        while True:
            try:
                question = talk.send(answer)
            except StopIteration as stop:
                return stop.value
            costs[i] += len(question)
            answer = yield question

    _looks.look_closely = counted  # type: ignore[assignment]
    try:
        yield costs
    finally:
        _looks.look_closely = original


def check(problem: Problem, gradient: np.ndarray, step: str) -> GradientCheck:
    return check_gradient(
        objective,
        problem.x,
        gradient.astype(problem.x.dtype),
        STEPS[step],
        args=problem.args,
        rtol=default_rtol(problem.kind),
        threads=1,
    )


def _see(tally: Tally, problem: Problem, gradient: np.ndarray, result: GradientCheck, what: str) -> None:
    """Count bars that miss the truth, and note false verdicts of components."""
    rtol = default_rtol(problem.kind)
    error = np.abs(gradient - problem.gradient)
    relative = _relative(gradient, problem.gradient)
    matched, accused = (result.verdicts == verdict for verdict in (Verdict.MATCH, Verdict.MISMATCH))
    absolute = (result.flags & Flag.ABSOLUTE) != 0
    excused = matched & absolute & (error <= 2.0 * _absolute_tolerance(problem, gradient, rtol))
    false_match = matched & (relative >= 2.0 * rtol) & ~excused
    tally.absolute_only += int(np.count_nonzero(excused & (relative >= 2.0 * rtol)))
    for i in np.flatnonzero(false_match | (accused & (relative < rtol))):
        hidden = "" if is_visible(problem, i) else "hidden in the noise, "
        tally.false_verdicts.append(
            f"false {'match' if false_match[i] else 'mismatch'} of component {i} ({hidden}{what}): "
            f"analytical {gradient[i]:.10g}, truth {problem.gradient[i]:.10g}, "
            f"estimate {result.estimate[i]:.10g} +- {result.uncertainty[i]:.2g},"
            f" {Flag(int(result.flags[i])).name}; {problem.describe(i)}"
        )
    near = ((result.flags & Flag.PLAIN) == 0) & np.isfinite(result.uncertainty) & np.isfinite(result.estimate)
    with np.errstate(all="ignore"):
        share = np.abs(result.estimate - problem.gradient)[near] / result.uncertainty[near]
    share = np.where(np.isnan(share), 0.0, share)  # 0 / 0: exact
    tally.looked_at += share.size
    tally.misses += [
        (
            float(share[k]),
            f"{'' if is_visible(problem, i) else 'hidden in the noise, '}{what}, {Flag(int(result.flags[i])).name}; "
            f"{problem.describe(i)}",
        )
        for k, i in enumerate(np.flatnonzero(near).tolist())
        if share[k] > 1.0
    ]


def _relative(gradient: np.ndarray, truth: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(gradient - truth) / np.maximum(np.abs(gradient), np.abs(truth))


def _absolute_tolerance(problem: Problem, gradient: np.ndarray, rtol: float) -> np.ndarray:
    """What may differ in a component that is negligible beside the others, in the sense of x_i g_i."""
    scale = np.abs(problem.x.astype(np.float64))
    weight = np.abs(gradient) * scale
    largest = np.abs(gradient).max()
    rounding = np.minimum(4.0 * np.finfo(problem.x.dtype).eps * weight.max() / scale, 0.01 * rtol * largest)
    mean = weight.max() * np.sqrt(np.mean((weight / weight.max()) ** 2)) if weight.any() else 0.0
    return np.maximum(rtol * np.minimum(mean / scale, largest), rtol * np.abs(gradient) + rounding)


def _bin(relative: float, rtol: float) -> str:
    if relative < 2.0 * rtol:
        return BINS[3]
    if relative < 1e-3:
        return BINS[2]
    return BINS[1] if relative < 0.1 else BINS[0]


# --- other rules -----------------------------------------------------------------------------------------------


@dataclass
class PeerTally:
    """Counts for one rule; `noticed` are gradients with a component wrong by 1 % or 10 %."""

    right: int = 0
    rejected: int = 0
    undecided: int = 0  # of the right ones; the rules of others always decide
    wrong: dict[float, int] = field(default_factory=lambda: {0.01: 0, 0.1: 0})
    accepted: dict[float, int] = field(default_factory=lambda: {0.01: 0, 0.1: 0})
    evaluations: int = 0

    def add(self, other: PeerTally) -> None:
        self.right += other.right
        self.rejected += other.rejected
        self.undecided += other.undecided
        self.evaluations += other.evaluations
        for limit in self.wrong:
            self.wrong[limit] += other.wrong[limit]
            self.accepted[limit] += other.accepted[limit]

    def enter_wrong(self, relative: float, accepted: bool) -> None:
        for limit in self.wrong:
            if relative >= limit:
                self.wrong[limit] += 1
                self.accepted[limit] += accepted


def study_peers(kind: str, size: int, numbers: Iterable[int], seed: int) -> dict[str, PeerTally]:
    """The same gradients under the rules of others."""
    tallies = {name: PeerTally() for name in peer_rules.RULES}
    for number in numbers:
        problem = make_problem(kind, size, number, seed=seed)
        gradient, which, _ = spoil(problem, 0.01 * default_rtol(kind), seed=seed)
        relative = float(_relative(gradient, problem.gradient)[which])
        for name, rule in peer_rules.RULES.items():
            accepted, evaluations = peer_rules.judge(rule, _bound(problem), problem.x, problem.gradient)
            tallies[name].right += 1
            tallies[name].rejected += not accepted
            tallies[name].evaluations += evaluations
            accepted, _ = peer_rules.judge(rule, _bound(problem), problem.x, gradient)
            tallies[name].enter_wrong(relative, accepted)
    return tallies


def _bound(problem: Problem) -> peer_rules.Objective:
    return lambda x: float(objective(x, *problem.args))


def ours_as_peer(tally: Tally) -> PeerTally:
    """Our counts in the same form; a miss is a match, a false alarm a mismatch."""
    peer = PeerTally(
        right=sum(tally.right.values()),
        rejected=tally.right[Verdict.MISMATCH],
        undecided=tally.right[Verdict.INCONCLUSIVE],
        evaluations=sum(tally.evaluations),
    )
    # The bins are finer than 1 %; all of 0.1 % to 10 % is counted there, to our disadvantage.
    for limit, bins in ((0.1, BINS[:1]), (0.01, BINS[:2])):
        peer.wrong[limit] = sum(tally.wrong[place, verdict] for place in bins for verdict in Verdict)
        peer.accepted[limit] = sum(tally.passed[place] for place in bins)
    return peer
