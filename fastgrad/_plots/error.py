"""The error of each component, relative to what was allowed."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import GradientCheck, JacobianCheck, SparseJacobianCheck, Verdict
from fastgrad._plots.compared import Compared, Floats, compared
from fastgrad._plots.style import (
    GREY,
    MARKS,
    MOST_DRAWN,
    axes,
    grid,
    grouped,
    label_points,
    lay_out,
    legend_above,
    note_in_legend,
    require_kind,
    shortened,
    whole_numbers,
)

_MOST_PIXELS = 600  # of an image along each side
_LOWEST, _HIGHEST = 1e-6, 1e6  # of an error relative to what is allowed; beyond lies no information
_LETTER, _TURNED = 8.6, 26.0  # pixels at 100 dpi: width of a letter, and from one turned line of text to the next
_OF_MATRIX = ("row: value of F", "column: coordinate of x")


def plot_error(result: GradientCheck | JacobianCheck | SparseJacobianCheck, ax: Any = None) -> Any:
    """Draw the error of each component relative to its error bar and tolerance: above 1 it is too large.

    Drawn is ``|estimate - analytical| / (uncertainty + rtol max(|estimate|, |analytical|))``, by position in x with
    the named blocks, or as an image for an x of two dimensions and for a Jacobian or Hessian. Of a sparse Jacobian the
    entries listed are drawn, those found outside the pattern among them; the rest stays white.

    Parameters
    ----------
    result : GradientCheck, JacobianCheck, SparseJacobianCheck or HessianCheck
        Result of `fastgrad.check_gradient`, `fastgrad.check_jacobian` or `fastgrad.check_hessian`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Of more than 4000 components the largest error of each of 4000 stretches is drawn (of 600 by 600
        patches in an image), and every wrong or undecided one.

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
    >>> from fastgrad.plotting import plot_error
    >>> @numba.njit
    ... def f(x):
    ...     return (x * x).sum()
    >>> x = np.linspace(-1.0, 1.0, 20)
    >>> ax = plot_error(fastgrad.check_gradient(f, x, 2 * np.abs(x)))
    >>> ax.get_ylabel()
    'error / allowed'
    >>> import matplotlib.pyplot; matplotlib.pyplot.close(ax.figure)
    """
    maker = "check_gradient, check_hessian or check_jacobian"
    require_kind(result, "result", (GradientCheck, JacobianCheck, SparseJacobianCheck), maker)
    ax = axes(ax)
    if isinstance(result, SparseJacobianCheck):
        shares = error_shares(result.analytical, result.estimate, result.uncertainty, result.rtol)
        places, shape, verdicts = (result.rows, result.columns), result.numerical_jacobian.shape, result.verdicts
        _draw_patches(ax, shares, (_pooled_list(shares, places, shape), shape), _OF_MATRIX)
        _mark(ax, shares, [(mark, *(index[verdicts == mark.verdict] for index in places)) for mark in MARKS[1:]])
        return ax
    entries = compared(result)
    shares = error_shares(entries.analytical, entries.estimate, entries.uncertainty, result.rtol)
    if isinstance(result, JacobianCheck):
        shape = result.verdicts.shape
        _draw_image(ax, shares.reshape(shape), entries.verdicts.reshape(shape), _OF_MATRIX)
    elif len(result.layout.shape) == 2 and min(result.layout.shape) > 1 and not result.layout.blocks:
        shape, labels = result.layout.shape, ("first index of x", "second index of x")
        _draw_image(ax, shares.reshape(shape), entries.verdicts.reshape(shape), labels)
    else:
        _draw_line(ax, result.layout.blocks, shares, entries)
    return ax


def error_shares(analytical: NDArray[Any], estimate: Floats, uncertainty: Floats, rtol: float) -> Floats:
    """Errors relative to what was allowed; inf for a gradient that is not finite, NaN where nothing was compared."""
    given = analytical.astype(np.float64)
    with np.errstate(all="ignore"):
        difference = np.abs(estimate - given)
        allowed = uncertainty + rtol * np.maximum(np.abs(estimate), np.abs(given))
        shares = np.where(difference == 0.0, 0.0, difference / allowed)
    return np.asarray(np.where(np.isfinite(given), shares, np.inf), dtype=np.float64)


# --- by position ---------------------------------------------------------------------------------------------------


def _draw_line(ax: Any, blocks: tuple[Any, ...], shares: Floats, entries: Compared) -> None:
    height = np.clip(shares, _LOWEST, _HIGHEST)
    for mark in MARKS:
        chosen = np.flatnonzero((entries.verdicts == mark.verdict) & ~np.isnan(shares))
        if chosen.size:
            shown = _largest_of_each_stretch(chosen, shares) if mark.verdict is Verdict.MATCH else chosen
            ax.plot(
                shown, height[shown], mark.marker, color=mark.colour, markersize=mark.size,
                markeredgecolor=mark.edge, markeredgewidth=0.6, label=f"{grouped(chosen.size)} {mark.label}",
                rasterized=shown.size > 1000, zorder=3,
            )  # fmt: skip
    ax.axhline(1.0, color=GREY, linewidth=1.0, linestyle="--", zorder=2)
    n = shares.size
    known = height[~np.isnan(height)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 1.0)
    ax.set(yscale="log", xlabel="position in x", ylabel="error / allowed")
    ax.set(xlim=(-0.5 - 0.02 * n, n - 0.5 + 0.02 * n), ylim=(min(low / 3.0, 0.1), max(8.0 * high, 10.0)))
    grid(ax)
    _explain_marks(ax, shares)
    whole_numbers(ax.xaxis)
    if blocks:
        _name_blocks(ax, blocks, entries.verdicts == Verdict.MISMATCH)
    label_points(ax, [(name, k, height[k]) for name, k in entries.worst])


def _explain_marks(ax: Any, shares: Floats) -> None:
    absent = int(np.count_nonzero(np.isnan(shares)))
    if absent:
        note_in_legend(ax, f"{grouped(absent)} not compared")
    legend_above(ax)


def _largest_of_each_stretch(chosen: NDArray[np.int64], shares: Floats) -> NDArray[np.int64]:
    if chosen.size <= MOST_DRAWN:
        return chosen
    stretches = np.array_split(chosen, MOST_DRAWN)
    return np.array([stretch[np.argmax(shares[stretch])] for stretch in stretches])


def _name_blocks(ax: Any, blocks: tuple[Any, ...], wrong: NDArray[np.bool_]) -> None:
    """Alternate stripes with the names below the axis: those of wrong blocks first, and none that covers another."""
    for number, block in enumerate(blocks):
        if number % 2:
            ax.axvspan(block.start - 0.5, block.stop - 0.5, color="0.94", zorder=0, linewidth=0)
    lay_out(ax)
    pixels = ax.get_window_extent().width / np.ptp(ax.get_xlim()) * 100.0 / ax.figure.dpi  # at 100 dpi, of an entry
    ticks = [(0.5 * (block.start + block.stop - 1), shortened(block.name)) for block in blocks]
    crowded = any(
        (right - left) * pixels < _LETTER * (len(name) + len(other)) / 2.0 + 8.0
        for (left, name), (right, other) in itertools.pairwise(ticks)
    )
    chosen: list[int] = []
    for k in sorted(range(len(blocks)), key=lambda k: (-np.count_nonzero(wrong[blocks[k].slice]), -blocks[k].size)):
        if not crowded or not any(_covers(ticks[min(k, m)], ticks[max(k, m)], pixels) for m in chosen):
            chosen.append(k)
    chosen.sort()
    ax.set_xticks(
        [ticks[k][0] for k in chosen],
        [ticks[k][1] for k in chosen],
        rotation=35 if crowded else 0,
        parse_math=False,
    )
    if crowded:
        ax.set_xticklabels(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    ax.set_xlabel("")
    ax.grid(axis="x", visible=False)


def _covers(left: tuple[float, str], right: tuple[float, str], pixels: float) -> bool:
    """Whether two turned names meet: lines of text lie side by side, or a short one ends before the other begins."""
    return (right[0] - left[0]) * pixels < min(_TURNED, 1.14 * _LETTER * len(right[1]))


# --- as an image ---------------------------------------------------------------------------------------------------


def _draw_image(ax: Any, shares: NDArray[Any], verdicts: NDArray[Any], labels: tuple[str, str]) -> None:
    _draw_patches(ax, shares, (_pooled(shares), shares.shape), labels)
    _mark(ax, shares, [(mark, *np.nonzero(verdicts == mark.verdict)) for mark in MARKS[1:]])


def _draw_patches(ax: Any, shares: Floats, picture: tuple[Floats, tuple[int, ...]], labels: tuple[str, str]) -> None:
    """An image of patches that covers a matrix of some shape, in colours that suit all shares."""
    from matplotlib.colors import LogNorm

    pooled, (m, n) = picture
    known = np.clip(shares[np.isfinite(shares) & (shares > 0.0)], _LOWEST, _HIGHEST)
    low, high = (known.min(), known.max()) if known.size else (0.1, 1.0)
    image = ax.imshow(
        np.clip(pooled, _LOWEST, _HIGHEST), norm=LogNorm(min(low, 0.1), max(high, 10.0)), cmap="cividis",
        interpolation="nearest", aspect="auto", extent=(-0.5, n - 0.5, m - 0.5, -0.5),
    )  # fmt: skip
    ax.figure.colorbar(image, ax=ax, label="error / allowed")
    ax.set(xlabel=labels[1], ylabel=labels[0], xlim=(-0.5, n - 0.5), ylim=(m - 0.5, -0.5))
    whole_numbers(ax.xaxis)
    whole_numbers(ax.yaxis)


def _mark(ax: Any, shares: Floats, marks: list[tuple[Any, ...]]) -> None:
    """Every wrong or undecided entry, by row and column."""
    for mark, rows, columns in marks:
        if rows.size:
            ax.plot(
                columns, rows, mark.marker, color=mark.colour, markersize=mark.size, markeredgecolor="white",
                markeredgewidth=0.8, label=f"{grouped(rows.size)} {mark.label}", rasterized=rows.size > 1000,
            )  # fmt: skip
    _explain_marks(ax, shares)


def _pooled_list(shares: Floats, places: tuple[Any, Any], shape: tuple[int, ...]) -> Floats:
    """The largest error of each patch, of entries in a list; patches without any are NaN."""
    size = [min(n, _MOST_PIXELS) for n in shape]
    row, column = (index * count // n for index, count, n in zip(places, size, shape, strict=True))
    pooled = np.full(size, np.nan)
    np.fmax.at(pooled, (row, column), shares)
    return pooled


def _pooled(shares: NDArray[Any]) -> NDArray[Any]:
    """The largest error of each patch; patches that were not seen stay NaN."""
    edges = [np.unique(np.linspace(0, n, min(n, _MOST_PIXELS) + 1).astype(int))[:-1] for n in shares.shape]
    with np.errstate(all="ignore"):
        rows = np.fmax.reduceat(shares, edges[0], axis=0)
        return np.asarray(np.fmax.reduceat(rows, edges[1], axis=1))
