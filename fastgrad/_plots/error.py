"""The error of each component, relative to what was allowed."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import GradientCheck, JacobianCheck, SparseJacobianCheck, Verdict
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
    require_kind,
    shortened,
)

_MOST_PIXELS = 600  # of an image along each side
_LOWEST, _HIGHEST = 1e-6, 1e6  # of an error relative to what is allowed; beyond lies no information
_MOST_BLOCK_NAMES = 12

_OF_MATRIX = ("row: value of F", "column: coordinate of x")
_CODES = np.array([Verdict.INCONCLUSIVE, Verdict.MATCH, Verdict.MISMATCH], dtype=object)  # of an entry of a Jacobian

Floats = NDArray[np.float64]


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
        places, shape = (result.rows, result.columns), result.numerical_jacobian.shape
        _draw_patches(ax, shares, (_pooled_list(shares, places, shape), shape), _OF_MATRIX)
        _mark(ax, [(mark, *(index[_CODES[result.verdicts] == mark.verdict] for index in places)) for mark in MARKS[1:]])
        return ax
    if isinstance(result, JacobianCheck):
        shares = error_shares(result.analytical_jacobian, result.estimate, result.uncertainty, result.rtol)
        _draw_image(ax, shares, _CODES[result.verdicts], _OF_MATRIX)
        return ax
    flat, verdicts = result.layout.flat, result.layout.flat(result.verdicts)
    shares = error_shares(flat(result.analytical_grad), flat(result.estimate), flat(result.uncertainty), result.rtol)
    if len(result.layout.shape) == 2 and min(result.layout.shape) > 1 and not result.layout.blocks:
        shape = result.layout.shape
        _draw_image(ax, shares.reshape(shape), verdicts.reshape(shape), ("first index of x", "second index of x"))
    else:
        _draw_line(ax, result, shares, verdicts)
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


def _draw_line(ax: Any, result: GradientCheck, shares: Floats, verdicts: NDArray[Any]) -> None:
    height = np.clip(shares, _LOWEST, _HIGHEST)
    for mark in MARKS:
        chosen = np.flatnonzero((verdicts == mark.verdict) & ~np.isnan(shares))
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
    legend_above(ax)
    if result.layout.blocks:
        _name_blocks(ax, result)
    wrong = [row for row in result.worst if row.verdict is Verdict.MISMATCH]
    place = [int(np.ravel_multi_index(row.index, result.layout.shape)) if row.index else 0 for row in wrong]
    label_points(ax, [(row.name, k, height[k]) for row, k in zip(wrong, place, strict=True)])


def _largest_of_each_stretch(chosen: NDArray[np.int64], shares: Floats) -> NDArray[np.int64]:
    if chosen.size <= MOST_DRAWN:
        return chosen
    stretches = np.array_split(chosen, MOST_DRAWN)
    return np.array([stretch[np.argmax(shares[stretch])] for stretch in stretches])


def _name_blocks(ax: Any, result: GradientCheck) -> None:
    """Alternate stripes with the names below the axis; of many blocks, the names of the largest."""
    blocks = result.layout.blocks
    named = sorted(blocks, key=lambda block: -block.size)[:_MOST_BLOCK_NAMES]
    for number, block in enumerate(blocks):
        if number % 2:
            ax.axvspan(block.start - 0.5, block.stop - 0.5, color="0.94", zorder=0, linewidth=0)
    ticks = [(0.5 * (block.start + block.stop - 1), block.name) for block in sorted(named, key=lambda b: b.start)]
    lay_out(ax)
    width = ax.get_window_extent().width / np.ptp(ax.get_xlim())
    pairs = itertools.pairwise(ticks)
    crowded = any((b - a) * width < 4.3 * (len(name) + len(other)) + 8.0 for (a, name), (b, other) in pairs)
    ax.set_xticks(
        [at for at, _ in ticks],
        [shortened(name) for _, name in ticks],
        rotation=35 if crowded else 0,
        parse_math=False,
    )
    if crowded:
        ax.set_xticklabels(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    ax.set_xlabel("")
    ax.grid(axis="x", visible=False)


# --- as an image ---------------------------------------------------------------------------------------------------


def _draw_image(ax: Any, shares: NDArray[Any], verdicts: NDArray[Any], labels: tuple[str, str]) -> None:
    _draw_patches(ax, shares, (_pooled(shares), shares.shape), labels)
    _mark(ax, [(mark, *np.nonzero(verdicts == mark.verdict)) for mark in MARKS[1:]])


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


def _mark(ax: Any, marks: list[tuple[Any, ...]]) -> None:
    """Every wrong or undecided entry, by row and column."""
    for mark, rows, columns in marks:
        if rows.size:
            ax.plot(
                columns, rows, mark.marker, color=mark.colour, markersize=mark.size, markeredgecolor="white",
                markeredgewidth=0.8, label=f"{grouped(rows.size)} {mark.label}", rasterized=rows.size > 1000,
            )  # fmt: skip
    legend_above(ax)


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
