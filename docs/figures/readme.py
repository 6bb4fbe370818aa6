"""Draws the picture of README.md and writes its tables from those of docs/verdict_rates.md and docs/benchmarks.md.

python docs/figures/readme.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from matplotlib.figure import Figure
from pages import DOCS, table

sys.path.insert(0, str(DOCS.parent / "examples"))

import neural_network as network

import fastgrad
from fastgrad.plotting import plot_error

README = DOCS.parent / "README.md"
PICTURE = DOCS / "readme.png"
KINDS = ("plain", "scale", "offset", "noise", "float32")
RULES = ("fastgrad", "scipy check_derivative", "scipy check_grad", "torch gradcheck", "jax check_grads")
TIMED = ("check_gradient", "numerical_gradient", "scipy 3-point", "statsmodels centered", "numdifftools", "jacobi")
SIZES = ("n = 47", "n = 1000", "n = 4000")


def draw() -> Figure:
    """The error of each component of a network whose first layer forgets the derivative of its activation."""
    x, args = network.problem()
    blocks = {"W1": (5, 4), "b1": 5, "W2": (3, 5), "b2": 3, "W3": (1, 3), "b3": 1}
    result = fastgrad.check_gradient(network.f, x, network.gradient_with_bug, args=args, blocks=blocks)
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    plot_error(result, figure.subplots())
    return figure


def rows_of(page: Path, block: str) -> list[dict[str, str]]:
    """The rows of a table between markers, by the heads of its columns."""
    text = re.search(rf"<!-- {block}:begin -->\n(.*?)<!-- {block}:end -->", page.read_text(), re.DOTALL)
    lines = [line for line in text[1].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head, _, *rows = cells
    return [dict(zip(head, row, strict=True)) for row in rows]


def verdicts() -> str:
    """False alarms and misses of each rule, and what fastgrad leaves undecided."""
    page = DOCS / "verdict_rates.md"
    shares: dict[tuple[str, str], dict[str, str]] = {}
    rule = ""
    for row in rows_of(page, "peers-1"):
        rule = row["rule"] or rule
        shares[rule, row[""]] = row
    undecided = {row["kind"]: row["inconclusive"] for row in rows_of(page, "ours-1") if row["step"] == "automatic"}
    both = [(name, shares[name, "false alarms"], shares[name, "missed, wrong by 10 % or more"]) for name in RULES]
    rows = [[name, *(f"{short(right[kind])} / {short(wrong[kind])}" for kind in KINDS)] for name, right, wrong in both]
    rows.append(["fastgrad, undecided", *(short(undecided[kind]) for kind in KINDS)])
    return table(["right rejected / wrong accepted", *KINDS], rows)


def short(share: str) -> str:
    return f"{float(share.removesuffix('%')):.0f} %"


def speeds() -> str:
    timed = {row[""]: row for row in rows_of(DOCS / "benchmarks.md", "peers")}
    return table(["time of one gradient", *SIZES], [[name, *(timed[name][size] for size in SIZES)] for name in TIMED])


def main() -> int:
    readme = README.read_text()
    fresh = readme
    for block, text in {"verdicts": verdicts(), "speeds": speeds()}.items():
        marked = re.compile(rf"(<!-- {block}:begin -->\n).*?(<!-- {block}:end -->)", re.DOTALL)
        fresh = marked.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", fresh)
    if "--check" in sys.argv:
        print("" if fresh == readme else f"README.md is out of date: run python {sys.argv[0]}")
        return int(fresh != readme)
    README.write_text(fresh)
    draw().savefig(PICTURE, dpi=100)
    return 0


if __name__ == "__main__":
    sys.exit(main())
