"""How often is a sweep over epsilon read right? On random right, wrong, imprecise, noisy and kinked cases.

    python -m benchmarks.sweep_rates            # into docs/sweep_rates.md
    python -m benchmarks.sweep_rates --quick    # 30 of each kind, to standard output
    python -m benchmarks.sweep_rates --show kinked 17

What governs E is known: the sweep of the right gradient, smoothed, says where its minimum is; the level of a wrong
gradient and the place of a kink are those put in.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import dataclass

import numba as nb
import numpy as np

from benchmarks.markdown import ROOT, insert, machine, percent, table
from benchmarks.random_suite import Problem, make_problem, objective
from fastgrad import sweep_epsilon
from fastgrad._sweep.branches import Part
from fastgrad._sweep.report import EpsilonSweep

SIZE = 12
KINDS = ("right", "noisy", "wrong", "imprecise", "kinked")
_QUICK, _WHOLE = 30, 200


@nb.njit
def kinked(x, places, weight, family, scale, amplitude, offset, level, seed, rounded, grain):
    """The random objective and weight |x_i - place_i| in each coordinate."""
    total = objective(x, family, scale, amplitude, offset, level, seed, rounded, grain)
    for i in range(x.size):
        total += weight * abs(x[i] - places[i])
    return total


@dataclass(frozen=True)
class Case:
    """A problem, the gradient given for it, and what a sweep should find."""

    problem: Problem
    args: tuple[object, ...]
    truth: np.ndarray
    gradient: np.ndarray
    floor: float = math.nan  # level of E where noise and truncation are small
    kink: float = math.nan  # distance of the nearest kink

    def sweep(self, gradient: np.ndarray) -> EpsilonSweep:
        f = objective if math.isnan(self.kink) else kinked
        return sweep_epsilon(f, self.problem.x, gradient, args=self.args, threads=1)


def make_case(kind: str, number: int, seed: int) -> Case:
    """Case `number` of a kind: the same at every call."""
    rng = np.random.default_rng([seed, KINDS.index(kind), number])
    problem = make_problem("noise" if kind == "noisy" else "plain", SIZE, number, seed=seed + KINDS.index(kind))
    truth = problem.gradient
    if kind == "kinked":
        distance = 10.0 ** rng.uniform(-4.0, -1.5)
        away = rng.uniform(1.0, 30.0, SIZE)
        away[rng.integers(SIZE)] = 1.0
        places = problem.x + distance * rng.choice([-1.0, 1.0], SIZE) * away
        weight = 10.0 ** rng.uniform(0.0, 1.5) * float(np.median(np.abs(truth)))
        truth = truth + weight * np.sign(problem.x - places)
        return Case(problem, (places, weight, *problem.args), truth, truth, kink=distance)
    if kind == "wrong":
        delta = 10.0 ** rng.uniform(-3.0, 0.3) * rng.choice([-1.0, 1.0])
        gradient = truth * (1.0 + delta) if rng.random() < 0.5 else truth + delta * _like(truth, rng)
        return Case(problem, problem.args, truth, gradient, floor=_distance(gradient, truth))
    if kind == "imprecise":
        gradient = truth * (1.0 + 10.0 ** rng.uniform(-7.0, -5.5) * rng.uniform(-1.0, 1.0, SIZE))
        return Case(problem, problem.args, truth, gradient, floor=_distance(gradient, truth))
    return Case(problem, problem.args, truth, truth)


def _like(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random vector of the same norm."""
    vector = rng.standard_normal(truth.size)
    return vector * np.linalg.norm(truth) / np.linalg.norm(vector)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / (np.linalg.norm(one) + np.linalg.norm(other)))


# --- what a reading is asked -----------------------------------------------------------------------------------


def judge(case: Case) -> dict[str, bool]:
    """What was asked of the reading, and whether the answer is right."""
    found, right = case.sweep(case.gradient), case.sweep(case.truth)
    asked = {"right or wrong": _verdict_is_right(case, found, right)}
    best = _smoothed_best(right)
    if math.isnan(case.floor):
        asked["best epsilon within a factor of 10"] = 0.1 <= found.best_epsilon / best <= 10.0
        asked["branches"] = _branches_are_right(case, found, best)
    if np.isfinite(found.noise) and found.truncation > 0.0 and math.isnan(case.kink):
        predicted = math.cbrt(found.noise / (2.0 * found.truncation))
        asked["(N / 2T)^(1/3) within a factor of 10"] = 0.1 <= predicted / best <= 10.0
    if _shows_kink(case, right):
        asked["kink found, and where"] = _kink_is_right(case, found)
    return asked


def _shows_kink(case: Case, right: EpsilonSweep) -> bool:
    """Whether the kink changes E by a factor of ten; others hide behind the truncation of larger components."""
    if math.isnan(case.kink):
        return False
    smooth = sweep_epsilon(objective, case.problem.x, case.problem.gradient, args=case.problem.args, threads=1)
    with np.errstate(invalid="ignore"):
        ratio = (right.relative_error / smooth.relative_error)[right.epsilon > 2.0 * case.kink]
    return bool(ratio.size and ratio[0] > 10.0)


def _verdict_is_right(case: Case, found: EpsilonSweep, right: EpsilonSweep) -> bool:
    """A floor is named where there is one to see, with its level, and nowhere else."""
    has_floor = not math.isnan(found.floor)
    if math.isnan(case.floor):
        return not has_floor and "the gradient is wrong" not in found.reason
    smallest = float(np.nanmin(right.relative_error))
    if case.floor < 30.0 * smallest:  # noise and truncation leave too little of it to see
        return not has_floor or 0.3 < found.floor / case.floor < 3.0
    level = has_floor and 0.3 < found.floor / case.floor < 3.0
    return level and ("the gradient is wrong" in found.reason) == (case.floor > 2.0 * found.check.rtol)


def _smoothed_best(right: EpsilonSweep) -> float:
    """Where E is smallest for the right gradient, by medians of five neighbours: no lucky point counts."""
    error = np.log(np.maximum(np.where(np.isfinite(right.relative_error), right.relative_error, np.inf), 1e-300))
    padded = np.pad(error, 2, mode="edge")
    smooth = np.median(np.stack([padded[k : k + error.size] for k in range(5)]), axis=0)
    return float(right.epsilon[int(np.argmin(smooth))])


def _branches_are_right(case: Case, found: EpsilonSweep, best: float) -> bool:
    """Rounding well below the best epsilon, truncation or a kink well above it."""
    measured = np.isfinite(found.relative_error)
    below, above = measured & (found.epsilon < best / 10.0), measured & (found.epsilon > best * 10.0)
    parts = np.array(found.parts, dtype=object)
    small, large = Counter(parts[below]), Counter(parts[above])
    rounding = small[Part.ROUNDING] >= 0.9 * below.sum()
    return rounding and large[Part.TRUNCATION] + large[Part.KINK] >= 0.9 * above.sum()


def _kink_is_right(case: Case, found: EpsilonSweep) -> bool:
    """The first epsilon called a kink is the first that reaches across it, or the next."""
    behind = [epsilon for epsilon, part in zip(found.epsilon, found.parts, strict=True) if part is Part.KINK]
    return bool(behind) and 1.0 <= behind[0] / case.kink <= 1.0 * 10.0**0.5


# --- the table -------------------------------------------------------------------------------------------------


def rates(count: int, seed: int) -> tuple[str, list[str]]:
    """A row for each kind and question, and the cases answered wrong."""
    rows, failures = [], []
    for kind in KINDS:
        asked: Counter[str] = Counter()
        right: Counter[str] = Counter()
        for number in range(count):
            for question, answer in judge(make_case(kind, number, seed)).items():
                asked[question] += 1
                right[question] += answer
                if not answer:
                    failures.append(f"{question}: {kind} {number}")
        rows += [
            (kind, question, str(asked[question]), percent(right[question], asked[question])) for question in asked
        ]
    return table(("case", "asked", "cases", "read right"), rows), failures


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How often a sweep over epsilon is read right.")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} of each kind, printed and not written")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", nargs=2, metavar=("KIND", "NUMBER"), help="print one sweep in full")
    given = parser.parse_args(arguments)
    if given.show:
        case = make_case(given.show[0], int(given.show[1]), given.seed)
        print(case.sweep(case.gradient), judge(case), f"floor {case.floor:.3g}, kink at {case.kink:.3g}", sep="\n")
        return
    count = _QUICK if given.quick else _WHOLE
    text, failures = rates(count, given.seed)
    print(text, *failures, sep="\n")
    if not given.quick:
        page = ROOT / "docs" / "sweep_rates.md"
        insert(page, "conditions", f"{count} cases of each kind, {SIZE} components, seed {given.seed}. {machine()}")
        insert(page, "rates", text)


if __name__ == "__main__":
    main()
