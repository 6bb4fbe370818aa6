"""Where a directional check found the gradient wrong."""

from typing import Any

import numpy as np

from fastgrad import DirectionalCheck
from fastgrad._plots.style import (
    GREY,
    ORANGE,
    VERMILION,
    axes,
    grid,
    grouped,
    label_points,
    legend_above,
    require_kind,
    whole_numbers,
)


def plot_localisation(result: DirectionalCheck, ax: Any = None) -> Any:
    """Draw the wrong components that a directional check found, by position in x and relative error.

    Parameters
    ----------
    result : DirectionalCheck
        Result of `fastgrad.check_directional`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes: each wrong component with its error bar, blocks that differ as stripes with the share of their
        components that is wrong, and hatched what differs but was not searched to the end.

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
    >>> from fastgrad.plotting import plot_localisation
    >>> @numba.njit
    ... def f(x):
    ...     return (x * x).sum()
    >>> x = np.linspace(1.0, 2.0, 10_000)
    >>> gradient = 2 * x
    >>> gradient[1234] *= 1.5
    >>> ax = plot_localisation(fastgrad.check_directional(f, x, gradient))
    >>> ax.get_xlabel()
    'position in x, of 10\u2009000'
    >>> import matplotlib.pyplot; matplotlib.pyplot.close(ax.figure)
    """
    require_kind(result, "result", (DirectionalCheck,), "check_directional")
    ax = axes(ax)
    n = int(np.prod(result.layout.shape, dtype=np.int64))
    _shade_blocks(ax, result)
    if result.components:
        _draw_components(ax, result)
    else:
        words = "no wrong component" if result.passed else "no component was located"
        ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=GREY)
        ax.set_yticks([])
    ax.set(xlim=(-0.5 - 0.02 * n, n - 0.5 + 0.02 * n), xlabel=f"position in x, of {grouped(n)}")
    whole_numbers(ax.xaxis)
    grid(ax)
    legend_above(ax)
    label_points(
        ax, [(row.name, float(k), row.relative) for row, k in zip(result.components, _places(result), strict=True)]
    )
    return ax


def _places(result: DirectionalCheck) -> list[int]:
    return [int(np.ravel_multi_index(row.index, result.layout.shape)) if row.index else 0 for row in result.components]


def _draw_components(ax: Any, result: DirectionalCheck) -> None:
    rows = result.components
    relative = np.array([row.relative for row in rows])
    size = np.array([max(abs(row.analytical), abs(row.numerical)) or 1.0 for row in rows])
    bar = np.array([row.uncertainty for row in rows]) / size
    ax.set_yscale("log")
    # A bar that reaches zero has no lower end on a logarithmic axis.
    ax.errorbar(
        _places(result), relative, [np.minimum(bar, 0.999 * relative), bar], fmt="X", color=VERMILION, markersize=8.5,
        markeredgecolor="white", markeredgewidth=0.6, elinewidth=1.2, capsize=2.5, zorder=3,
        label=f"{grouped(len(rows))} wrong component{'s' if len(rows) > 1 else ''}", rasterized=len(rows) > 1000,
    )  # fmt: skip
    ax.set(ylabel="relative error of the component", ylim=(relative.min() / 8.0, relative.max() * 8.0))


def _shade_blocks(ax: Any, result: DirectionalCheck) -> None:
    known = {block.name: block for block in result.layout.blocks}
    for number, found in enumerate(result.blocks):
        if found.name in known:
            block = known[found.name]
            ax.axvspan(block.start - 0.5, block.stop - 0.5, color=("0.94", "0.89")[number % 2], zorder=0, linewidth=0)
            ax.text(
                0.5 * (block.start + block.stop), 0.97, _block_words(found), transform=ax.get_xaxis_transform(),
                ha="center", va="top", fontsize=9, clip_on=True, parse_math=False,
            )  # fmt: skip
        for low, high in found.open_intervals:
            ax.axvspan(
                low - 0.5, high - 0.5, facecolor="none", edgecolor=ORANGE, hatch="///", zorder=1, linewidth=0.8,
                label="differs, not searched to the end" if "differs" not in _labels(ax) else None,
            )  # fmt: skip


def _labels(ax: Any) -> str:
    return " ".join(ax.get_legend_handles_labels()[1])


def _block_words(found: Any) -> str:
    if found.density is None:
        return str(found.name)
    low, high = (100.0 * share for share in found.density)
    return f"{found.name}\n{low:.0f} to {high:.0f} % wrong"
