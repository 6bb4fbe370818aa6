"""docs/directional_rates.md from the records of the studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.directional_studies import BUGS, STUDIES
from benchmarks.large_objectives import LARGE, RIGHT
from benchmarks.markdown import machine, percent, significant, table

Records = list[list[Any]]
Results = dict[str, dict[str, Records]]

HEAD = """\
# Measured rates of directional checks

How often `check_directional` and `check_line_integral` are right, what they cost, and what others see with one
direction. Written by `python -m benchmarks.directional_rates --write` from the records in
`benchmarks/directional_rates.json`; every seed draws another point and other directions.
"""


def _verdicts(rows: Records) -> list[str]:
    counts = Counter(row[0] for row in rows)
    return [str(counts[v]) for v in ("match", "mismatch", "inconclusive")]


def _middle(values: list[Any]) -> str:
    """Median and largest."""
    return f"{int(np.median(values))} ({max(values)})"


def right(records: dict[str, Records]) -> str:
    rows = [
        [RIGHT[kind]().name, str(len(rows)), *_verdicts(rows), percent(sum(r[0] == "inconclusive" for r in rows),
         len(rows)), _middle([r[1] for r in rows]), f"{np.median([r[2] for r in rows]):.0e}"]
        for kind, rows in records.items()
    ]  # fmt: skip
    head = ("objective", "seeds", "match", "mismatch", "inconclusive", "share", "evaluations", "E seen (median)")
    text = (
        "Evaluations: median, and the most in brackets. Inconclusive are points close to a kink (the ReLU network has "
        "2048 units per evaluation that may switch within a step)."
    )
    return f"## Right gradients\n\n{table(head, rows)}\n\n{text}"


def large(records: dict[str, Records]) -> str:
    rows = [
        [LARGE[kind]().name, str(len(rows)), *_verdicts(rows), _middle([r[1] for r in rows]),
         f"{np.median([r[3] for r in rows]):.2g} s", f"{np.median([r[4] for r in rows]):.3g} s",
         f"{np.median([r[2] for r in rows]):.0e}"]
        for kind, rows in records.items()
    ]  # fmt: skip
    head = (
        "objective", "seeds", "match", "mismatch", "inconclusive", "evaluations", "time", "2 n evaluations",
        "component seen",
    )  # fmt: skip
    text = (
        "Time is the wall time of a check, `2 n evaluations` what as many calls of f at their measured time would "
        "take on one thread, `component seen` the stated power: an error in one component, relative to a typical one."
    )
    return f"## Right gradients of a million components\n\n{table(head, rows)}\n\n{text}"


def planted(records: dict[str, Records]) -> str:
    rows = []
    for kind, found in records.items():
        count = 1 if "1 wrong" in kind else 2 if "cancel" in kind else int(kind.split()[-2])
        rows.append(
            [kind, str(len(found)), str(sum(r[0] == "mismatch" for r in found)),
             str(sum(r[1] == count and r[2] == 0 for r in found)), str(sum(r[2] for r in found)),
             str(sum(not r[4] for r in found)), _middle([r[3] for r in found])]
        )  # fmt: skip
    head = (
        "wrong by a median component", "seeds", "mismatch", "all located", "right ones accused", "remainder not told",
        "evaluations",
    )  # fmt: skip
    return f"## Wrong components among a million\n\n{table(head, rows)}"


def on_a_line(records: dict[str, Records]) -> str:
    rows = [
        [kind, str(len(found)), str(sum(r[0] == "mismatch" for r in found)), str(sum(r[1] == 1 for r in found)),
         str(sum(r[2] for r in found)), _middle([r[3] for r in found]), _middle([r[4] for r in found])]
        for kind, found in records.items()
    ]  # fmt: skip
    head = ("line integral, n = 1e6", "seeds", "mismatch", "located", "right ones accused", "f", "gradient")
    return f"## A small error among a million, by the line integral\n\n{table(head, rows)}"


def bugs(records: dict[str, Records]) -> str:
    names = [name for name in records if name != "fastgrad"]
    ours = records.get("fastgrad", [])
    rows = []
    for k, bug in enumerate(BUGS):
        cells = [f"{sum(r[k][0] for r in ours)}", f"{sum(r[k][1] for r in ours)}", f"{sum(r[k][2] for r in ours)}",
                 _middle([r[k][3] for r in ours])] if ours else [""] * 4  # fmt: skip
        rows.append([bug, *cells, *(f"{sum(r[k] for r in records[name])}" for name in names)])
    rows.append(["seeds", *([str(len(ours))] * 4), *(str(len(records[name])) for name in names)])
    head = ("seen in so many seeds", "fastgrad", "named, located", "right ones accused", "evaluations", *names)
    text = (
        "Rosenbrock with a regulariser, n = 50 000, three named blocks. `named, located`: the cause by name where "
        "there is a law, otherwise exactly the wrong components, or the block and its share. The row `right` shows "
        "false alarms. Where a name ends in (rule), the library was not installed and its rule was written out. scipy "
        "returns a number and no verdict: it accepts here what is within 1e-4 of |g . v|. A float32 cast counts as "
        "seen where the report names it; it is within the default rtol of 1e-6."
    )
    return f"## A list of bugs, and the single directions of others\n\n{table(head, rows)}\n\n{text}"


def power(records: dict[str, Records]) -> str:
    rows = [[kind, str(len(found)), percent(sum(r[0] for r in found), len(found))] for kind, found in records.items()]
    text = (
        "An error of exactly the size that the report states would have been seen (99 %), planted: in one random "
        "component, or at random in all."
    )
    return f"## Stated power\n\n{table(('errors of the stated size in', 'seeds', 'seen'), rows)}\n\n{text}"


def cost(records: dict[str, Records]) -> str:
    rows = []
    for kind, found in records.items():
        two, pair, copy = (float(np.median([r[k] for r in found])) for k in range(3))
        ratio = float(np.median([r[1] / r[0] for r in found]))
        rows.append([kind, *(f"{1e3 * t:.3g} ms" for t in (two, pair, copy)), significant(ratio)])
    head = ("check on", "two calls of f", "a direction, both evaluations in it", "two copies", "ratio")
    text = (
        "n = 1e7, and f takes 1 ns per element on one thread; medians over several tries. The pass of a direction "
        "reads x and the gradient once and streams two points to memory, as much as `two copies` moves: NumPy copies x "
        "and the gradient, on one thread. On several threads the pass is shared and both points evaluated at once."
    )
    return f"## Cost of one direction\n\n{table(head, rows)}\n\n{text}"


def line(records: dict[str, Records]) -> str:
    rows = [
        [kind, str(len(found)), f"{max(r[0] for r in found):.0e}", *(str(sum(r[1] == v for r in found)) for v in
         ("match", "mismatch", "inconclusive")), str(sum(r[2] == "mismatch" for r in found)),
         str(sum(r[2] == "match" for r in found))]
        for kind, found in records.items()
    ]  # fmt: skip
    head = (
        "objective", "seeds", "disagreement", "right: match", "mismatch", "inconclusive", "1 + 1e-9: mismatch",
        "1 + 1e-9: match",
    )  # fmt: skip
    text = (
        "`disagreement` is the largest of a right gradient, relative to the integral. `offset` is rounded to multiples "
        "of 2e-6, `sines` spans 24 decades, `exponentials` overflows when squared, `relu_network` has kinks: there "
        "nothing can be said, and nothing is."
    )
    return f"## Line integral, all problems of the tests\n\n{table(head, rows)}\n\n{text}"


def memory(records: list[dict[str, Any]]) -> str:
    rows = [
        [f"{r['n']:.0e}", "one component" if r["wrong"] else "nothing", r["verdict"], "yes" if r["located"] else "no",
         str(r["evaluations"]), f"{r['seconds']} s", f"{r['seconds of f']} s", f"{r['seconds of 2 n evaluations']} s",
         f"{r['peak in GB']} GB", str(r["vectors in all"])]
        for r in records
    ]  # fmt: skip
    head = (
        "n", "wrong", "verdict", "located", "evaluations", "time", "one f", "2 n evaluations", "peak memory", "vectors",
    )  # fmt: skip
    text = (
        "`vectors` is the peak of resident memory beyond that of the process before, in arrays of the size of x: x and "
        "the gradient are two of them. By `python -m benchmarks.directional_memory --save`."
    )
    return f"## Memory\n\n{table(head, rows)}\n\n{text}"


SECTIONS: dict[str, Callable[[dict[str, Records]], str]] = {
    "right": right, "large": large, "planted": planted, "planted on a line": on_a_line, "bugs": bugs, "power": power,
    "cost": cost, "line": line,
}  # fmt: skip


def page(results: Results, of_memory: list[dict[str, Any]]) -> str:
    """The page; studies without records are left out."""
    parts = [HEAD, f"Measured on {machine()}"]
    for study, section in SECTIONS.items():
        records = results.get(study, {})
        ordered = {kind: records[kind] for kind in [*STUDIES[study], *records] if records.get(kind)}
        if ordered:
            parts.append(section(ordered))
    if of_memory:
        parts.append(memory(of_memory))
    return "\n\n".join(part.strip() for part in parts) + "\n"
