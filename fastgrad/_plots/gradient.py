"""The numerical against the analytical gradient."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import GradientCheck, JacobianCheck, Verdict
from fastgrad._plots.compared import Compared, Floats, compared
from fastgrad._plots.style import (
    MARKS,
    Mark,
    axes,
    grid,
    grouped,
    label_points,
    legend_above,
    note_in_legend,
    require_kind,
    thinned,
)

_MOST_BARS = 1000  # more of them, or of points, are neither told apart nor fast as lines
_NARROW = 1e-3  # spread over largest magnitude up to which all values count as one
_WIDE = 1e3  # largest over median magnitude from which the axes are logarithmic on both sides of zero


def plot_gradient(result: GradientCheck | JacobianCheck, ax: Any = None) -> Any:
    """Draw each component's numerical against its analytical value; right ones lie on the diagonal.

    Parameters
    ----------
    result : GradientCheck, JacobianCheck or HessianCheck
        Result of `fastgrad.check_gradient`, `fastgrad.check_jacobian` (without a sparsity pattern) or
        `fastgrad.check_hessian`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the best estimate of each component and its error bar. Of more than 4000 right components
        4000 are drawn, evenly from the smallest to the largest; wrong and undecided ones are all drawn, those
        whose analytical value is not finite at the edge: at the left for -inf, at the right for inf and NaN. The axes
        are logarithmic (symmetrically, linear around zero) when the magnitudes span more than three decades.

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
    >>> from fastgrad.plotting import plot_gradient
    >>> @numba.njit
    ... def f(x):
    ...     return (x * x).sum()
    >>> x = np.linspace(-1.0, 1.0, 20)
    >>> ax = plot_gradient(fastgrad.check_gradient(f, x, 2 * np.abs(x)))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('analytical', 'numerical')
    >>> import matplotlib.pyplot; matplotlib.pyplot.close(ax.figure)
    """
    maker = "check_gradient, check_hessian or check_jacobian (without a sparsity pattern)"
    require_kind(result, "result", (GradientCheck, JacobianCheck), maker)
    ax = axes(ax, width=6.0, height=5.0)
    entries = compared(result)
    given = np.isfinite(entries.analytical)
    numerical = np.where(given, entries.estimate, entries.plain)
    measured = np.isfinite(numerical)
    _frame(ax, entries.analytical[measured & given], numerical[measured])
    shown = _at_the_edge(ax, entries.analytical)
    points = np.stack([shown, numerical, entries.uncertainty])
    for mark in MARKS:
        chosen = np.flatnonzero(measured & (entries.verdicts == mark.verdict))
        if mark.verdict is Verdict.MATCH:
            _draw(ax, mark, thinned(chosen, shown), chosen.size, points)
        elif chosen.size:
            _draw(ax, mark, chosen, chosen.size, points)
    _count_absent(ax, entries)
    legend_above(ax)
    names = [(name if given[k] else f"{name}: {entries.analytical[k]}", k) for name, k in entries.worst if measured[k]]
    label_points(ax, [(name, shown[k], numerical[k]) for name, k in names])
    return ax


def _at_the_edge(ax: Any, analytical: Floats) -> Floats:
    """The analytical values, those that are not finite just inside the frame."""
    left, right = ax.transData.inverted().transform(ax.transAxes.transform([(0.02, 0.0), (0.98, 0.0)]))[:, 0]
    return np.where(np.isfinite(analytical), analytical, np.where(analytical == -np.inf, left, right))


def _draw(ax: Any, mark: Mark, shown: NDArray[np.int64], count: int, points: Floats) -> None:
    """Components as points with their error bars; `points` holds analytical values, numerical values and bars."""
    if not shown.size:
        return
    label = f"{grouped(count)} {mark.label}" + (f", {grouped(shown.size)} drawn" if shown.size < count else "")
    analytical, numerical, bar = points[:, shown]
    # A bar that is not finite, or that no pixel would show, only slows the drawing down.
    smallest = 1e-3 * np.ptp(ax.get_ylim()) if ax.get_yscale() == "linear" else 0.0
    seen = np.isfinite(bar) & (bar > smallest)
    if 0 < np.count_nonzero(seen) <= _MOST_BARS:
        ax.errorbar(
            analytical[seen], numerical[seen], bar[seen], fmt="none", ecolor=mark.colour, elinewidth=1.2, capsize=2.5
        )
    ax.plot(
        analytical, numerical, mark.marker, color=mark.colour, markersize=mark.size,
        markeredgecolor=mark.edge, markeredgewidth=0.6, label=label, rasterized=shown.size > _MOST_BARS, zorder=3,
    )  # fmt: skip


def _frame(ax: Any, analytical: Floats, numerical: Floats) -> None:
    """The same limits and scale both ways, and the diagonal."""
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    both = np.concatenate([analytical, numerical])
    size = np.abs(both[both != 0.0])
    if not size.size:
        both, size = np.array([-1.0, 1.0]), np.ones(1)
    low, high = float(both.min()), float(both.max())
    if size.max() > _WIDE * np.median(size):
        threshold = max(float(np.quantile(size, 0.1)), float(size.max()) * 1e-9)
        for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
            scale("symlog", linthresh=threshold, linscale=0.6)
            axis.set_major_locator(_few_decades(threshold, low, high))
            axis.set_minor_locator(NullLocator())
        low, high = (2.0 * low if low < 0.0 else 0.0), (2.0 * high if high > 0.0 else 0.0)
    else:
        # Values that are one value, rounding aside, would fill the frame with rounding.
        margin = 0.06 * (high - low) if high - low > _NARROW * size.max() else 0.5 * float(size.max())
        low, high = low - margin, high + margin
        for axis in (ax.xaxis, ax.yaxis):
            # Whole numbers at the ticks; a factor or an offset would be written over the legend.
            handy = 1e-3 <= size.max() < 1e5
            axis.set_major_formatter(ScalarFormatter(useOffset=False) if handy else "{x:g}")
            axis.set_major_locator(MaxNLocator(nbins=9 if handy else 5, steps=[1, 2, 2.5, 5, 10]))
    ax.set(xlim=(low, high), ylim=(low, high), xlabel="analytical", ylabel="numerical")
    ax.plot([low, high], [low, high], "-", color="0.6", linewidth=1.0, zorder=1)
    ax.set_aspect("equal", adjustable="box")
    grid(ax)


def _few_decades(threshold: float, low: float, high: float) -> Any:
    """Zero, and up to three powers of ten on each side that is used."""
    from matplotlib.ticker import FixedLocator

    top, bottom = math.floor(math.log10(max(-low, high))), math.log10(threshold)
    stride = max(1, math.ceil((top - bottom) / 3.5))
    powers = [10.0**k for k in range(top, math.ceil(bottom), -stride)]
    return FixedLocator([*(-p for p in powers if low < 0.0), 0.0, *(p for p in reversed(powers) if high > 0.0)])


def _count_absent(ax: Any, entries: Compared) -> None:
    """Say in the legend what has no place of its own: components that are not finite, or were not compared."""
    broken = int(np.count_nonzero(~np.isfinite(entries.analytical)))
    unseen = int(np.count_nonzero(np.isfinite(entries.analytical) & ~np.isfinite(entries.estimate)))
    words = [f"{grouped(broken)} not finite"] if broken else []
    words += [f"{grouped(unseen)} not compared"] if unseen else []
    if words:
        note_in_legend(ax, ", ".join(words))
