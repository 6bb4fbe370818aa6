"""Draws the figures of docs/explanation/step-size.md and metric.md and writes their tables.

python docs/figures/step_size.py [--check]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import matplotlib
import numba as nb
import numpy as np
from exercise import exercise, network, output, stable, textbook
from matplotlib.figure import Figure
from pages import fill_pages, save_figure, table

import fastgrad

CUSTOMARY = 1e-7


def sweep(loss: Callable[..., float], dtype: str = "float64") -> fastgrad.EpsilonSweep:
    x, samples, labels = (array.astype(dtype) for array in exercise())
    gradient = network.gradient(*exercise())
    return fastgrad.sweep_epsilon(loss, x, gradient, args=(samples, labels))


# --- figures --------------------------------------------------------------------------------------------------------

# Okabe and Ito's colours; markers differ too.
STYLES = (("#D55E00", "^"), ("#0072B2", "o"), ("#009E73", "s"), ("#CC79A7", "v"), ("#E69F00", "D"), ("#000000", "x"))


def new_axes() -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(6.0, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.set(xscale="log", yscale="log", xlabel="epsilon")
    ax.grid(color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    return figure, ax


def draw_curves(curves: dict[str, fastgrad.EpsilonSweep]) -> Figure:
    figure, ax = new_axes()
    for (name, found), (color, marker) in zip(curves.items(), STYLES, strict=False):
        smooth = np.array([part.value != "kink" for part in found.parts])
        ax.plot(found.epsilon[smooth], found.predicted[smooth], "-", color=color, linewidth=1.2)
        ax.plot(found.epsilon, found.relative_error, marker, color=color, markersize=4.0, label=name)
    ax.axvline(CUSTOMARY, color="0.4", linewidth=1.0, linestyle="--")
    ax.text(CUSTOMARY / 1.4, 0.4, "1e-7", color="0.3", ha="right")
    ax.set(ylabel="relative error E", ylim=(1e-12, 3.0), xlim=(5e-13, 2.0))
    ax.legend(frameon=False, fontsize=9, title="measured (lines: predicted)", title_fontsize=9, loc="lower left")
    return figure


def draw_normalisations(found: fastgrad.EpsilonSweep) -> Figure:
    figure, ax = new_axes()
    for k, ((name, values), (color, marker)) in enumerate(zip(normalised(found).items(), STYLES, strict=True)):
        # Markers take turns, so that curves on top of each other all show.
        ax.plot(
            found.epsilon, values, marker + "-", color=color, markersize=5, linewidth=0.8, markevery=(k, 6), label=name
        )
    ax.set(ylabel="size of the difference d = numerical - analytical")
    ax.legend(frameon=False, fontsize=9)
    return figure


def normalised(found: fastgrad.EpsilonSweep) -> dict[str, list[float]]:
    return {
        r"$\|d\|$": [norms.difference for norms in found.norms],
        r"$\|d\| / \|ana\|$": [norms.by_analytical for norms in found.norms],
        r"$\|d\| / \max(\|num\|, \|ana\|)$": [norms.by_larger for norms in found.norms],
        r"$\|d\| / (\|num\| + \|ana\|)$": found.relative_error.tolist(),
        r"$\|d\| / (2 \|ana\|)$": [norms.by_twice_analytical for norms in found.norms],
        r"$\|d\| / \sqrt{n}$": [norms.root_mean_square for norms in found.norms],
    }


# --- tables ---------------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    return f"{value:.1e}" if math.isfinite(value) else "-"


def at(found: fastgrad.EpsilonSweep, epsilon: float) -> int:
    return int(np.flatnonzero(found.epsilon == epsilon)[0])


def decades(found: fastgrad.EpsilonSweep) -> list[int]:
    return [k for k, epsilon in enumerate(found.epsilon.tolist()) if f"{epsilon:.2e}".startswith("1.00")]


def anatomy(found: fastgrad.EpsilonSweep) -> str:
    """E and the two parts it is made of, decade by decade."""
    rows = [
        [
            f"{found.epsilon[k]:.0e}",
            number(found.relative_error[k]),
            number(found.noise / found.epsilon[k]),
            number(found.truncation * found.epsilon[k] ** 2),
            found.parts[k].value,
        ]
        for k in decades(found)
    ]
    return table(["epsilon", "E, measured", "N / epsilon, predicted", "T epsilon^2, fitted", "governed by"], rows)


def answer(found: fastgrad.EpsilonSweep) -> str:
    k = at(found, CUSTOMARY)
    epsilon, noise = found.epsilon[k], found.noise / found.epsilon[k]
    return (
        f"At epsilon = 1e-7 the truncation term is **{number(found.truncation * epsilon**2)}**, the rounding term "
        f"**{number(noise)}**, and the error measured is **{found.relative_error[k]:.2e}**."
    )


def cancellation(curves: Sequence[fastgrad.EpsilonSweep]) -> str:
    x, samples, labels = exercise()
    activation = [
        1.0 / (1.0 + math.exp(-output(x, sample))) for sample, y in zip(samples, labels, strict=True) if y == 0
    ]
    return (
        f"Here the sample with label 0 has a = {activation[0]:.5f}, and the stable loss makes N "
        f"{curves[0].noise / curves[1].noise:.0f} times smaller ({curves[0].fitted_noise / curves[1].fitted_noise:.0f} "
        f"times by the fits)."
    )


def minima(curves: dict[str, fastgrad.EpsilonSweep]) -> str:
    rows = [
        [
            name,
            number(found.noise),
            number(found.fitted_noise),
            number(found.truncation) if found.truncation > 0.0 else "not seen",
            number(found.best_epsilon),
            number(found.predicted_best_epsilon),
            number(found.smallest_error),
            number(found.predicted_smallest_error) if found.truncation > 0.0 else "-",
            number(found.relative_error[at(found, CUSTOMARY)]),
        ]
        for name, found in curves.items()
    ]
    best, least = "best epsilon", "smallest E"
    head = ["loss", "N, measured noise", "N, fitted", "T, fitted", best, "(N/2T)^(1/3)", least, "1.5 N / that"]
    return table([*head, "E at 1e-7"], rows)


def above(found: fastgrad.EpsilonSweep) -> str:
    still = np.count_nonzero(network.gradient(*exercise()) == 0.0)
    return (
        f"The predicted N is {found.noise / found.fitted_noise:.1f} times the fitted one in the first row: the noise "
        f"of f is estimated on the safe side, and {still} of the {found.check.analytical_grad.size} parameters have no "
        f"effect on these samples, so that their differences are exactly zero and free of noise."
    )


def coincidence(found: fastgrad.EpsilonSweep) -> str:
    norms = found.norms[at(found, CUSTOMARY)]
    return (
        f"(That d / sqrt(n) falls on E too is chance: here sqrt(n) = {math.sqrt(norms.size):.2f}, and the sum of the "
        f"norms is {norms.numerical + norms.analytical:.2f}.)"
    )


def side_by_side(found: fastgrad.EpsilonSweep) -> str:
    names = ["E", "/ 2 ana", "/ ana", "/ max", "/ sqrt(n)", "d"]
    rows = []
    for epsilon in (1e-10, 1e-8, CUSTOMARY, 1e-6, 1e-4, 1e-2):
        norms = found.norms[at(found, epsilon)]
        rows.append([f"{epsilon:.0e}", *measures(norms, norms.relative_error)])
    return table(["epsilon", *names], rows)


def measures(norms: object, relative_error: float) -> list[str]:
    """One difference under every normalisation, in the order of the tables."""
    return [
        f"{value:.2e}" if math.isfinite(value) else "infinite"
        for value in (
            relative_error,
            norms.by_twice_analytical,
            norms.by_analytical,
            norms.by_larger,
            norms.root_mean_square,
            norms.difference,
        )
    ]


@nb.njit
def stable_in_thousandths(x, samples, labels):
    """The loss in units a thousand times smaller."""
    return 1000.0 * stable(x, samples, labels)


def wrong_gradients() -> str:
    """The same normalisations for gradients with known errors, at an epsilon that leaves no doubt."""
    x, samples, labels = exercise()
    right = network.gradient(x, samples, labels)
    smallest = right.copy()
    smallest[np.argmin(np.where(right == 0.0, np.inf, np.abs(right)))] *= 1.01
    block = right.copy()
    block[:20] *= 1.01
    cases = {
        "right": (stable, right),
        "right, f in units of 1/1000": (stable_in_thousandths, 1000.0 * right),
        "smallest component 1 % too large": (stable, smallest),
        "block W1 1 % too large": (stable, block),
        "all twice too large": (stable, 2.0 * right),
        "all half as large": (stable, 0.5 * right),
        "all of the wrong sign": (stable, -right),
        "all zero": (stable, np.zeros_like(right)),
    }
    rows = []
    for name, (loss, gradient) in cases.items():
        found = fastgrad.check_gradient(loss, x, gradient, 1e-5, args=(samples, labels))
        rows.append([name, found.verdict.value, *measures(found.norms, found.relative_error)])
    return table(["gradient", "verdict", "E", "/ 2 ana", "/ ana", "/ max", "/ sqrt(n)", "d"], rows)


def lost_steps(found: fastgrad.EpsilonSweep) -> str:
    absent = found.epsilon[np.isnan(found.relative_error)]
    if absent.size == 0:
        return ""
    return (
        f"Of the {found.epsilon.size} steps tried, those up to {absent.max():.2g} are lost when they are added to the "
        f"largest parameter, and have no E at all."
    )


def single_precision(double: fastgrad.EpsilonSweep, single: fastgrad.EpsilonSweep) -> str:
    with_its_noise = math.cbrt(single.noise / (2.0 * double.truncation))
    return (
        f"The best epsilon moves from {number(double.best_epsilon)} to **{number(single.best_epsilon)}** "
        f"(the law, with the T of float64 and the N of float32, says {number(with_its_noise)}), and the "
        f"smallest E from {number(double.smallest_error)} to **{number(single.smallest_error)}**. The measured N is "
        f"{single.noise / double.noise:.1e} times larger in float32; the ratio of the two machine epsilons is "
        f"{np.finfo(np.float32).eps / np.finfo(np.float64).eps:.1e}. {lost_steps(single)}"
    ).rstrip()


# --- the pages ------------------------------------------------------------------------------------------------------


def main() -> int:
    curves = {
        "textbook loss, float64": sweep(textbook),
        "stable loss, float64": sweep(stable),
        "stable loss, float32": sweep(stable, "float32"),
    }
    first, second, third = curves.values()
    save_figure(draw_curves(curves), "step_size")
    save_figure(draw_normalisations(first), "step_size_normalisations")
    step_size = {
        "answer": answer(first),
        "anatomy": anatomy(first),
        "minima": minima(curves),
        "above": above(first),
        "cancellation": cancellation([first, second]),
        "single precision": single_precision(second, third),
    }
    metric = {
        "coincidence": coincidence(first),
        "normalisations": side_by_side(first),
        "wrong gradients": wrong_gradients(),
    }
    return fill_pages({"step-size": step_size, "metric": metric})


if __name__ == "__main__":
    sys.exit(main())
