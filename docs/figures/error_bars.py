"""Draws the figure of docs/explanation/error-bars.md and writes its table: error bars beside true errors.

python docs/figures/error_bars.py [--check]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numba as nb
import numpy as np
from matplotlib.figure import Figure
from pages import BLUE, GREEN, ORANGE, PURPLE, fill_pages, save_figure, table

import fastgrad

DRAWN = 250  # derivatives of each kind
FUNCTIONS = 6
STYLES = {
    "plain": (BLUE, "o"),
    "scale": (GREEN, "s"),
    "offset": (ORANGE, "^"),
    "noise": (PURPLE, "v"),
    "steps": ("0.4", "x"),
}
SIGNS = {"noise": 1.0, "steps": -1.0}  # of the grain


@nb.njit
def shape(k, t):
    """One of six functions, and its derivative."""
    if k == 0:
        return math.exp(t), math.exp(t)
    if k == 1:
        return t * math.sin(t), math.sin(t) + t * math.cos(t)
    if k == 2:
        return math.log1p(t * t), 2.0 * t / (1.0 + t * t)
    if k == 3:
        return 1.0 / (1.0 + t * t), -2.0 * t / (1.0 + t * t) ** 2
    if k == 4:
        return math.tanh(t), 1.0 - math.tanh(t) ** 2
    return t**3 - 2.0 * t, 3.0 * t**2 - 2.0


@nb.njit
def f(x, k, scale, offset, grain):
    """The function with an offset; off by a number below grain that looks random, or rounded to multiples of -grain."""
    value = shape(k, x[0] / scale)[0] + offset
    if grain > 0.0:
        hashed = 4e4 * math.sin(1e9 * x[0])
        return value + grain * (hashed - math.floor(hashed) - 0.5)
    return value if grain == 0.0 else -grain * np.round(value / -grain)


def gradient(x, k, scale, offset, grain):
    return np.array([shape(k, x[0] / scale)[1] / scale])


@dataclass(frozen=True)
class Found:
    """One derivative: the relative error of the estimate, and the relative width of its bar."""

    error: float
    bar: float
    evaluations: int
    accused: bool  # wrongly: all gradients here are right


def problems(kind: str, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, tuple]]:
    for number in range(DRAWN):
        scale = 10.0 ** rng.uniform(-12, 12) if kind == "scale" else 1.0
        offset = 10.0 ** rng.uniform(0, 10) if kind == "offset" else 0.0
        grain = SIGNS.get(kind, 0.0) * 10.0 ** rng.uniform(-12, -4)
        yield rng.uniform(-2.0, 2.0, 1) * scale, (number % FUNCTIONS, scale, offset, grain)


def measure(kind: str) -> list[Found]:
    found = []
    for x, args in problems(kind, np.random.default_rng(list(kind.encode()))):
        truth = gradient(x, *args)
        result = fastgrad.check_gradient(f, x, truth, fastgrad.steps.Automatic(), args=args)
        size = abs(float(truth[0]))
        error = abs(float(result.estimate[0] - truth[0])) / size
        accused = result.verdict is fastgrad.Verdict.MISMATCH
        found.append(Found(error, float(result.uncertainty[0]) / size, result.evaluations, accused))
    return found


def draw(measured: dict[str, list[Found]]) -> Figure:
    figure = Figure(figsize=(6.0, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.set(xscale="log", yscale="log", xlabel="error bar, relative", ylabel="true error, relative")
    for kind, found in measured.items():
        color, marker = STYLES[kind]
        bars = [one.bar for one in found]
        errors = [max(one.error, 1e-16) for one in found]
        ax.plot(bars, errors, marker, color=color, markersize=3.5, alpha=0.7, linestyle="none", label=kind)
    ends = np.array([1e-12, 10.0])
    ax.plot(ends, ends, "-", color="0.3", linewidth=1.0)
    ax.text(1.5e-12, 1e-11, "error = bar", rotation=33, color="0.3", fontsize=9)
    ax.set(xlim=(1e-12, 10.0), ylim=(1e-14, 10.0))
    ax.grid(color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, loc="lower right")
    return figure


def coverage(measured: dict[str, list[Found]]) -> str:
    rows = []
    for kind, found in measured.items():
        inside = sum(one.error <= one.bar for one in found)
        false = sum(one.accused for one in found)
        ratios = [one.bar / max(one.error, 1e-16) for one in found]
        rows.append(
            [
                kind,
                f"{inside} of {len(found)}",
                str(false),
                f"{np.median([one.error for one in found]):.0e}",
                f"{np.median([one.bar for one in found]):.0e}",
                f"{np.median(ratios):.0f}",
                f"{np.median([one.evaluations for one in found]):.0f}",
            ]
        )
    head = [
        "kind",
        "truth inside the bar",
        "accused",
        "error, median",
        "bar, median",
        "bar / error, median",
        "evaluations",
    ]
    return table(head, rows)


def main() -> int:
    measured = {kind: measure(kind) for kind in STYLES}
    save_figure(draw(measured), "error_bars")
    return fill_pages({"error-bars": {"coverage": coverage(measured)}})


if __name__ == "__main__":
    sys.exit(main())
