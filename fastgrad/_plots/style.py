"""What all pictures share: colours and marks that every kind of colour vision tells apart, axes, thinning."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import Verdict

# Okabe and Ito's colours; lines also differ in dashes, points in shape.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PALE, GREY = "0.75", "0.45"

MOST_DRAWN = 4000  # right components, or bins of them: more are beyond what a screen shows
MOST_LABELS = 3
_MOST_TRIED = 50  # names that are drawn to see whether they cover another; drawing text is slow
_GAP = 3.0  # pixels around a name


@dataclass(frozen=True)
class Mark:
    """How the components of one verdict are drawn."""

    verdict: Verdict
    label: str
    marker: str
    colour: str
    size: float
    edge: str


MARKS = (
    Mark(Verdict.MATCH, "right", "o", BLUE, 4.0, "none"),
    Mark(Verdict.INCONCLUSIVE, "undecided", "^", ORANGE, 6.5, "0.2"),
    Mark(Verdict.MISMATCH, "wrong", "X", VERMILION, 8.5, "white"),
)


def require_kind(value: Any, name: str, kinds: tuple[type, ...], maker: str) -> None:
    """Raise unless it is a result of the kind that can be drawn."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        article = "an" if wanted[0] in "AEIOU" else "a"
        raise TypeError(f"{name} is of type {type(value).__name__}; need {article} {wanted}: what {maker} returns.")


def axes(ax: Any, *, width: float = 6.0, height: float = 4.2) -> Any:
    """The axes given, or those of a new figure."""
    if ax is not None:
        if not hasattr(ax, "transAxes"):
            raise TypeError(f"ax is of type {type(ax).__name__}; need one axes of matplotlib: plt.subplots()[1].")
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib, which is missing: pip install matplotlib.") from error
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def grid(ax: Any) -> None:
    """Thin lines behind everything."""
    ax.grid(color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)


def thinned(positions: NDArray[np.int64], order: NDArray[np.float64]) -> NDArray[np.int64]:
    """At most MOST_DRAWN of the positions, evenly through the order given, both ends included."""
    if positions.size <= MOST_DRAWN:
        return positions
    ranked = positions[np.argsort(order[positions], kind="stable")]
    return ranked[np.linspace(0, ranked.size - 1, MOST_DRAWN).astype(np.int64)]


def legend_above(ax: Any) -> None:
    """What the marks mean, where no component can lie."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(
            frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3,
            borderaxespad=0.2, columnspacing=1.2, handletextpad=0.3,
        )  # fmt: skip


def note_in_legend(ax: Any, words: str) -> None:
    """Words beside what the marks mean; to be called before `legend_above`."""
    ax.plot([], [], linestyle="none", label=words)


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers only: there is no component 0.5."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def lay_out(ax: Any) -> None:
    """Let places on the axes be places on the figure; they are not before it is laid out."""
    ax.figure.canvas.figure.draw_without_rendering()


def label_points(ax: Any, points: list[tuple[str, float, float]]) -> None:
    """Names beside points, the first ones first; one that would cover another is left out."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground="white")]
    lay_out(ax)
    taken: list[Any] = []
    for name, x, y in points[:_MOST_TRIED]:
        left = ax.transAxes.inverted().transform(ax.transData.transform((x, y)))[0] > 0.7
        label = ax.annotate(
            shortened(name), (x, y), xytext=(-8 if left else 8, 4), textcoords="offset points",
            ha="right" if left else "left", fontsize=9, annotation_clip=False, parse_math=False,
            path_effects=halo, zorder=4,
        )  # fmt: skip
        place = label.get_window_extent().padded(_GAP)
        if any(place.overlaps(other) for other in taken):
            label.remove()
        else:
            taken.append(place)
        if len(taken) == MOST_LABELS:
            return


def shortened(name: str) -> str:
    """A name that fits beside a point or below an axis."""
    return name if len(name) <= 24 else f"{name[:11]}\u2026{name[-12:]}"


def grouped(count: int) -> str:
    """A number that can be read: 1 000 000 with thin spaces."""
    return f"{count:,}".replace(",", "\u2009")
