"""The remainders of a Taylor test against the step."""

from typing import Any

import numpy as np

from fastgrad import TaylorTest
from fastgrad._plots.style import BLUE, GREEN, GREY, ORANGE, axes, grid, require_kind


def plot_taylor(test: TaylorTest, ax: Any = None) -> Any:
    """Draw the remainders of a Taylor test against h, with slopes to compare with, the window and the noise.

    Parameters
    ----------
    test : TaylorTest
        Result of `fastgrad.taylor_test`; its worst direction is drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, both logarithmic. Remainders that are zero have no place there.

    Raises
    ------
    TypeError
        If the result is of another kind, or ax no axes.
    ValueError
        If the test measured no direction, because f(x) is not finite.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numba, numpy as np, fastgrad
    >>> from fastgrad.plotting import plot_taylor
    >>> @numba.njit
    ... def f(x):
    ...     return np.exp(x).sum()
    >>> ax = plot_taylor(fastgrad.taylor_test(f, np.linspace(-1.0, 1.0, 20), np.exp))
    >>> ax.get_xlabel()
    'h'
    >>> import matplotlib.pyplot; matplotlib.pyplot.close(ax.figure)
    """
    require_kind(test, "test", (TaylorTest,), "taylor_test")
    line = test.worst
    if line is None:
        raise ValueError(f"the Taylor test measured no direction ({test.reason}); need one to draw.")
    ax = axes(ax)
    ax.set(xscale="log", yscale="log", xlabel="h", ylabel="remainder")
    rows = line.rows
    _draw_remainder(ax, rows.step, rows.change, ("s", ORANGE), "|f(x+hv) $-$ f(x)|")
    _draw_remainder(ax, rows.step, rows.first, ("o", BLUE), "|f(x+hv) $-$ f(x) $-$ h g$\\cdot$v|")
    _draw_order(ax, rows.step, rows.first, line.order, ("--", BLUE))
    if line.second_order is not None:
        _draw_remainder(ax, rows.step, rows.second, ("^", GREEN), "... $-$ h$^2$/2 v$\\cdot$Hv")
        _draw_order(ax, rows.step, rows.second, line.second_order, (":", GREEN))
    ax.plot(rows.step, rows.noise, "-", color=GREY, linewidth=1.2, zorder=1.5, label="noise of f")
    _frame_remainders(ax, line.rows)
    grid(ax)
    ax.legend(frameon=False, fontsize=9)
    return ax


def _draw_remainder(ax: Any, step: Any, remainder: Any, style: tuple[str, str], label: str) -> None:
    drawn = np.abs(remainder) > 0.0
    marker, color = style
    ax.plot(step[drawn], np.abs(remainder[drawn]), marker, color=color, markersize=4.0, linestyle="none", label=label)


def _draw_order(ax: Any, step: Any, remainder: Any, order: Any, style: tuple[str, str]) -> None:
    """The straight line of the observed order over its window."""
    if not order.exists:
        return
    window = slice(order.first, order.last + 1)
    middle = np.exp(np.mean(np.log(step[window]))), np.exp(np.mean(np.log(np.abs(remainder[window]))))
    dashes, color = style
    ax.plot(
        step[window], middle[1] * (step[window] / middle[0]) ** order.value, dashes,
        color=color, linewidth=1.6, label=f"order {order.value:.2f}",
    )  # fmt: skip


def _frame_remainders(ax: Any, rows: Any) -> None:
    shown = np.concatenate([np.abs(rows.change), np.abs(rows.first), rows.noise])
    shown = shown[np.isfinite(shown) & (shown > 0.0)]
    ax.set_ylim(max(shown.min(), rows.noise[-1] / 30.0) / 2.0, shown.max() * 5.0)
