"""The pictures of a result, for pages that show it."""

import io
from collections.abc import Callable
from typing import Any

from fastgrad import plotting

# By the name of the class of the result, so that no family is imported for the sake of another.
_OF_GRADIENT: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("Error of each component, relative to its error bar and tolerance", plotting.plot_error),
    ("Numerical against analytical gradient", plotting.plot_gradient),
)
_OF_MATRIX: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("Error of each entry, relative to its error bar and tolerance", plotting.plot_error),
    ("Numerical against analytical entries", plotting.plot_gradient),
)
_PICTURES: dict[str, tuple[tuple[str, Callable[..., Any]], ...]] = {
    "GradientCheck": _OF_GRADIENT,
    "SeparableCheck": _OF_GRADIENT,
    "JacobianCheck": _OF_MATRIX,
    "SparseJacobianCheck": _OF_MATRIX[:1],  # plot_gradient draws full matrices
    "HessianCheck": _OF_MATRIX,
    "EpsilonSweep": (("Relative error against epsilon", plotting.plot_sweep),),
    "TaylorTest": (("Remainders along the worst direction", plotting.plot_taylor),),
    "DirectionalCheck": (("Components located", plotting.plot_localisation),),
}


def pictures_of(result: Any) -> list[tuple[str, str]]:
    """Captions and pictures as SVG; none where matplotlib is missing, or a Taylor test measured nothing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    if getattr(result, "lines", None) == ():
        return []
    drawn = []
    for caption, draw in _PICTURES.get(type(result).__name__, ()):
        figure = Figure(figsize=(7.0, 4.6), layout="constrained")
        draw(result, figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", dpi=150, metadata={"Date": None})
        drawn.append((caption, text.getvalue().partition("<svg")[2]))
    return [(caption, f'<svg role="img"{rest}') for caption, rest in drawn]


def page_of(result: Any, title: str, **asked: str) -> str:
    """A page about a result that needs no other file."""
    import fastgrad
    from fastgrad._html import page

    return page(
        result, title=title, asked=asked, pictures=pictures_of(result), made_by=f"fastgrad {fastgrad.__version__}"
    )
