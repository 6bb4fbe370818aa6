"""The relative error against epsilon."""

from typing import Any

import numpy as np

from fastgrad import EpsilonSweep
from fastgrad._plots.style import BLUE, GREEN, GREY, ORANGE, PALE, VERMILION, axes, grid, require_kind


def plot_sweep(sweep: EpsilonSweep, ax: Any = None) -> Any:
    """Draw the relative error against epsilon, with the predicted curve, its two branches and the best epsilon.

    Parameters
    ----------
    sweep : EpsilonSweep
        Result of `fastgrad.sweep_epsilon`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, both logarithmic. Where E is zero, or was not measured, a mark at the lower edge says so.

    Raises
    ------
    TypeError
        If the result is of another kind, or ax no axes.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numba, numpy as np, fastgrad
    >>> from fastgrad.plotting import plot_sweep
    >>> @numba.njit
    ... def f(x):
    ...     return np.exp(x).sum()
    >>> sweep = fastgrad.sweep_epsilon(f, np.linspace(-1.0, 1.0, 20), lambda x: np.exp(x))
    >>> ax = plot_sweep(sweep)
    >>> ax.get_xlabel()
    'epsilon'
    >>> import matplotlib.pyplot; matplotlib.pyplot.close(ax.figure)
    """
    require_kind(sweep, "sweep", (EpsilonSweep,), "sweep_epsilon")
    ax = axes(ax)
    ax.set(xscale="log", yscale="log", xlabel="epsilon", ylabel="relative error E")
    _draw_law(sweep, ax)
    _draw_measured(sweep, ax)
    _draw_absent(sweep, ax)
    _mark_level(sweep, ax)
    _frame(sweep, ax)
    grid(ax)
    ax.legend(frameon=False, fontsize=9)
    return ax


def _draw_law(sweep: EpsilonSweep, ax: Any) -> None:
    epsilon = np.geomspace(sweep.epsilon[0], sweep.epsilon[-1], 200)
    rounding, truncation = sweep.noise / epsilon, sweep.truncation * epsilon**2
    if sweep.noise > 0.0 and sweep.truncation > 0.0:
        ax.plot(epsilon, rounding + truncation, "-", color=PALE, linewidth=5.0, label="predicted, the sum of:")
    if sweep.noise > 0.0:
        ax.plot(epsilon, rounding, "--", color=ORANGE, linewidth=1.6, label="rounding, N / epsilon")
    if sweep.truncation > 0.0:
        ax.plot(epsilon, truncation, ":", color=GREEN, linewidth=2.2, label="truncation, T epsilon$^2$")


def _draw_measured(sweep: EpsilonSweep, ax: Any) -> None:
    bent = np.array([part.value == "kink" for part in sweep.parts])
    drawn = sweep.relative_error > 0.0
    for group, fill, label in (
        (drawn & ~bent, "full", "measured E"),
        (drawn & bent, "none", "measured, across a kink"),
    ):
        if group.any():
            ax.plot(
                sweep.epsilon[group], sweep.relative_error[group], "o",
                color=BLUE, markersize=4.5, fillstyle=fill, label=label,
            )  # fmt: skip


def _draw_absent(sweep: EpsilonSweep, ax: Any) -> None:
    """Logarithmic axes have no place for these."""
    error = sweep.relative_error
    for group, marker, label in ((error == 0.0, "v", "E = 0"), (np.isnan(error), "x", "not measured")):
        if group.any():
            height = np.full(np.count_nonzero(group), 0.025)
            ax.plot(
                sweep.epsilon[group], height, marker, color=GREY, markersize=5.0,
                transform=ax.get_xaxis_transform(), label=label,
            )  # fmt: skip


def _mark_level(sweep: EpsilonSweep, ax: Any) -> None:
    """The floor if there is one, since any epsilon is as good there; otherwise the best epsilon."""
    if np.isfinite(sweep.floor):
        ax.axhline(
            sweep.floor, color=VERMILION, linewidth=1.2, linestyle="-.", zorder=1.5, label=f"floor {sweep.floor:.1e}"
        )
    elif sweep.smallest_error > 0.0:
        ax.plot(
            sweep.best_epsilon, sweep.smallest_error, "o", color=VERMILION, fillstyle="none", markersize=11.0,
            markeredgewidth=1.6, label=f"best epsilon {sweep.best_epsilon:.1e}",
        )  # fmt: skip


def _frame(sweep: EpsilonSweep, ax: Any) -> None:
    """Room for the measured points and the predicted minimum, not for the far ends of the two branches."""
    shown = np.concatenate([sweep.relative_error, [sweep.predicted_smallest_error]])
    shown = shown[np.isfinite(shown) & (shown > 0.0)]
    if shown.size:
        ax.set_ylim(shown.min() / 5.0, min(shown.max() * 5.0, 3.0))
