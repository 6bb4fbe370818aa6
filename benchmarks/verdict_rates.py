"""How often is a verdict wrong? Our check and seven other rules on random right and wrong gradients.

    python -m benchmarks.verdict_rates                      # the whole study, into docs/verdict_rates.md
    python -m benchmarks.verdict_rates --quick              # 100 problems per kind, to standard output
    python -m benchmarks.verdict_rates --show noise 32 17   # one problem in full

Every false verdict is listed with what it takes to see it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks import peer_rules
from benchmarks.markdown import ROOT, insert, machine, percent, significant, table
from benchmarks.random_suite import KINDS, UNCANCELLED, make_problem, spoil
from benchmarks.real_problems import study_real_problems
from benchmarks.verdict_study import (
    BINS,
    PEER_KINDS,
    STEPS,
    PeerTally,
    Tally,
    check,
    default_rtol,
    ours_as_peer,
    study,
    study_peers,
)
from fastgrad import Verdict

SIZES = (1, 32)
SHARE = {1: 1, 32: 5}  # one in so many of the problems: 32 components are 32 judgements
_CHUNK = 250
_HIDDEN = "(hidden in the noise, "
_LISTED = 20  # false verdicts, and bars that miss, written out


# --- many at once ----------------------------------------------------------------------------------------------


def run(tasks: list[tuple[Any, ...]], workers: int) -> list[Any]:
    """Run (function, *arguments) tuples in fresh processes, in order."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(*task) for task in tasks]
        for done, future in enumerate(futures):
            future.result()
            print(f"\r{done + 1} of {len(tasks)} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [future.result() for future in futures]


def _parts(count: int) -> list[range]:
    return [range(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK)]


def collect(count: int, seed: int, workers: int) -> tuple[dict[Any, Tally], dict[Any, dict[str, PeerTally]]]:
    """All tallies: ours by (size, kind, step), those of the others by (size, kind)."""
    ours = [(s, k, step, part) for s in SIZES for k in KINDS for step in STEPS for part in _parts(count // SHARE[s])]
    theirs = [(s, k, part) for s in SIZES for k in PEER_KINDS for part in _parts(count // SHARE[s])]
    found = run(
        [(study, k, s, step, part, seed) for s, k, step, part in ours]
        + [(study_peers, k, s, part, seed) for s, k, part in theirs],
        workers,
    )
    tallies: dict[Any, Tally] = {}
    peers: dict[Any, dict[str, PeerTally]] = {}
    for (size, kind, step, _), tally in zip(ours, found, strict=False):
        tallies.setdefault((size, kind, step), Tally()).add(tally)
    for (size, kind, _), part in zip(theirs, found[len(ours) :], strict=True):
        total = peers.setdefault((size, kind), {name: PeerTally() for name in peer_rules.RULES})
        for name, tally in part.items():
            total[name].add(tally)
    return tallies, peers


# --- tables ----------------------------------------------------------------------------------------------------


def our_table(tallies: dict[Any, Tally], size: int) -> str:
    """Verdicts and cost, one row per kind and step."""
    header = (
        "kind", "step", "right: match", "mismatch", "inconclusive", "evaluations, median", "mean",
        *(f"wrong by {place}: caught" for place in BINS[:3]), "false matches", "absolute only", "truth inside bar",
    )  # fmt: skip
    rows = []
    for (n, kind, step), tally in tallies.items():
        if n == size:
            rows.append((kind, step, *_our_row(tally)))
    return table(header, rows)


def _our_row(tally: Tally) -> tuple[str, ...]:
    total = sum(tally.right.values())
    caught = []
    for place in BINS[:3]:
        whole = sum(tally.wrong[place, verdict] for verdict in Verdict)
        caught.append(percent(tally.wrong[place, Verdict.MISMATCH], whole))
    false_matches = sum(text.startswith("false match ") for text in tally.false_verdicts)
    return (
        percent(tally.right[Verdict.MATCH], total),
        str(tally.right[Verdict.MISMATCH]),
        percent(tally.right[Verdict.INCONCLUSIVE], total),
        significant(float(np.median(tally.evaluations))),
        significant(float(np.mean(tally.evaluations))),
        *caught,
        str(false_matches),
        str(tally.absolute_only),
        percent(tally.looked_at - len(tally.misses), tally.looked_at),
    )


def peer_table(tallies: dict[Any, Tally], peers: dict[Any, dict[str, PeerTally]], size: int) -> str:
    """False alarms, misses and evaluations of every rule, ours (automatic step) first."""
    header = ("rule", "", *PEER_KINDS)
    rows: list[tuple[str, ...]] = []
    by_kind = {kind: {"fastgrad": ours_as_peer(tallies[size, kind, "automatic"])} for kind in PEER_KINDS}
    for kind in PEER_KINDS:
        by_kind[kind].update(peers[size, kind])
    for name in ("fastgrad", *peer_rules.RULES):
        column = [by_kind[kind][name] for kind in PEER_KINDS]
        rows.append((name, "false alarms", *(percent(t.rejected, t.right) for t in column)))
        if any(t.undecided for t in column):
            rows.append(("", "right, left inconclusive", *(percent(t.undecided, t.right) for t in column)))
        rows.append(("", "missed, wrong by 10 % or more", *(percent(t.accepted[0.1], t.wrong[0.1]) for t in column)))
        rows.append(("", "evaluations, mean", *(significant(t.evaluations / t.right) for t in column)))
    return table(header, rows)


def reach_table(tallies: dict[Any, Tally], wide: dict[str, list[int]]) -> str:
    """Measured against what was to be reached."""
    every = list(tallies.values())
    false = [text for tally in every for text in tally.false_verdicts]
    mismatches = sum(text.startswith("false mismatch") for text in false)
    on_steps = [text for key in tallies if key[1] == "steps" for text in tallies[key].false_verdicts]
    on_steps = [text for text in on_steps if text.startswith("false match ")]
    matches = len(false) - mismatches - len(on_steps)
    looked_at, missed = sum(t.looked_at for t in every), [text for t in every for _, text in t.misses]
    outside, unseen = len(missed), sum(text.startswith("hidden in the noise, ") for text in missed)
    smooth = [tallies[key] for key in tallies if key[1] in ("plain", "scale")]
    decided = sum(t.right[Verdict.MATCH] for t in smooth), sum(sum(t.right.values()) for t in smooth)
    cheap = float(np.median(tallies[32, "plain", "default"].evaluations))
    medians = {kind: float(np.median(counts)) for kind, counts in wide.items()}
    rows = [
        ("false mismatches", str(mismatches), "0", mismatches == 0),
        ("false matches (error of 2 rtol or more), all kinds but steps", str(matches), "0", matches == 0),
        ("false matches, steps (of these on components hidden in the steps)",
         f"{len(on_steps)} ({sum(_HIDDEN in text for text in on_steps)})", "-", not on_steps),
        ("right gradients decided, plain and scale", percent(*decided), "100 %", decided[0] == decided[1]),
        ("truth inside the bar (closer looks)", percent(looked_at - outside, looked_at), ">= 99.9 %",
         outside <= 0.001 * looked_at),
        ("truth inside the bar, components hidden in the noise not counted as outside",
         percent(looked_at - outside + unseen, looked_at), ">= 99.9 %", outside - unseen <= 0.001 * looked_at),
        *((f"evaluations, {kind}, n = 64, automatic step, median", significant(median), "<= 2.2 n + 26 = 166",
           median <= 2.2 * 64 + 26) for kind, median in medians.items()),
        ("evaluations, plain, n = 32, default step, median", significant(cheap), "<= 2 n + 3 = 67", cheap <= 67),
    ]  # fmt: skip
    return table(("measure", "measured", "reach", "met"), [(*row[:3], _met(*row[2:])) for row in rows])


def _met(reach: str, met: bool) -> str:
    return "-" if reach == "-" else "yes" if met else "no"


def cheap_table(cheap: dict[tuple[str, int], Tally]) -> str:
    """Right gradients of well-scaled problems at the default step: the cost, and what becomes of wrong ones."""
    header = ("kind", "n", "2 n + 3", "median", "mean", "share within", "matches", "mismatches",
              "wrong by 2 rtol or more: caught", "accepted as too small, openly", "false matches")  # fmt: skip
    rows = []
    for (kind, n), tally in cheap.items():
        counts = np.array(tally.evaluations)
        caught = sum(tally.wrong[place, Verdict.MISMATCH] for place in BINS[:3])
        whole = sum(tally.wrong[place, verdict] for place in BINS[:3] for verdict in Verdict)
        false = sum(text.startswith("false match ") for text in tally.false_verdicts)
        rows.append((kind, str(n), str(2 * n + 3), significant(float(np.median(counts))),
                     significant(float(np.mean(counts))),
                     percent(int(np.count_nonzero(counts <= 2 * n + 3)), counts.size),
                     str(tally.right[Verdict.MATCH]), str(tally.right[Verdict.MISMATCH]),
                     percent(caught, whole), str(tally.absolute_only), str(false)))  # fmt: skip
    return table(header, rows)


def look_table(tallies: dict[Any, Tally]) -> str:
    """Evaluations of closer looks over all sizes and steps, at right components and at the wrong ones."""
    rows = []
    for which, what in (("right", "components of right gradients"), ("wrong", "wrong components")):
        for kinds in (("plain", "scale"), tuple(kind for kind in KINDS if kind not in ("plain", "scale"))):
            costs = np.array([c for key, t in tallies.items() if key[1] in kinds for c in t.look_costs[which]])
            if costs.size:
                shown = (*np.quantile(costs, [0.05, 0.5, 0.95, 0.999]), costs.max())
                rows.append((what, ", ".join(kinds), str(costs.size), *(significant(float(v)) for v in shown)))
    return table(("closer looks at", "kinds", "number", "5 %", "median", "95 %", "99.9 %", "most"), rows)


def wide_evaluations(kind: str, numbers: Iterable[int], seed: int) -> list[int]:
    """Evaluations for right gradients of 64 components with the automatic step."""
    problems = (make_problem(kind, 64, number, seed=seed) for number in numbers)
    return [check(problem, problem.gradient, "automatic").evaluations for problem in problems]


def report(count: int, seed: int, workers: int) -> dict[str, str]:
    """All sections by marker name."""
    tallies, peers = collect(count, seed, workers)
    kinds = ("plain", "scale")
    few = range(max(count // 10, 10))
    wide = run([(wide_evaluations, kind, few, seed) for kind in kinds], workers)
    cheapest = [(kind, n) for kind in ("plain", UNCANCELLED) for n in (16, 32, 64, 256)]
    cheap = run(
        [(study, kind, n, "default", few if n < 256 else few[: len(few) // 5], seed) for kind, n in cheapest], workers
    )
    false = [text for tally in tallies.values() for text in tally.false_verdicts]
    misses = sorted((miss for tally in tallies.values() for miss in tally.misses), reverse=True)
    texts = {
        "conditions": f"For each kind and step {count} right and {count} wrong gradients of one component, "
        f"{count // SHARE[32]} and {count // SHARE[32]} of 32; seed {seed}. {machine()}",
        "reach": reach_table(tallies, dict(zip(kinds, wide, strict=True))),
        "cheap": cheap_table(dict(zip(cheapest, cheap, strict=True))),
        "looks": look_table(tallies),
        "false": _listed([*false, *(text for tally in cheap for text in tally.false_verdicts)]),
        "misses": _listed([f"{share:.3g} bars: {text}" for share, text in misses]),
    }
    texts["real"] = study_real_problems()
    for size in SIZES:
        texts[f"ours-{size}"] = our_table(tallies, size)
        texts[f"peers-{size}"] = peer_table(tallies, peers, size)
    return texts


def _listed(texts: list[str]) -> str:
    """The first few, one for each component: what ends alike is the same component of another gradient."""
    once = {text.rpartition("; ")[2]: text for text in reversed(texts)}
    return "\n".join(f"- {text}" for text in list(once.values())[: -_LISTED - 1 : -1]) or "None."


def show(kind: str, size: int, number: int, seed: int) -> None:
    """One problem in full, for both gradients and both steps."""
    problem = make_problem(kind, size, number, seed=seed)
    print("\n".join(problem.describe(i) for i in range(size)))
    print("truth", problem.gradient.tolist())
    gradient, which, delta = spoil(problem, 0.01 * default_rtol(kind), seed=seed)
    for step in STEPS:
        print(f"\n--- right gradient, {step} step\n{check(problem, problem.gradient, step)}")
        print(f"\n--- component {which} times 1{delta:+.6g}, {step} step\n{check(problem, gradient, step)}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Rates of right and wrong verdicts on random gradients.")
    parser.add_argument("--quick", action="store_true", help="100 problems per kind, printed and not written")
    parser.add_argument("--count", type=int, default=5000, help="problems per kind of one component; a fifth of 32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--show", nargs=3, metavar=("KIND", "N", "NUMBER"), help="print one problem in full")
    given = parser.parse_args(arguments)
    if given.show:
        kind, size, number = given.show
        show(kind, int(size), int(number), given.seed)
        return
    started = time.perf_counter()
    texts = report(100 if given.quick else given.count, given.seed, given.workers)
    for name, text in texts.items():
        print(f"\n## {name}\n\n{text}")
        if not given.quick:
            insert(ROOT / "docs" / "verdict_rates.md", name, text)
    print(f"\n{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
