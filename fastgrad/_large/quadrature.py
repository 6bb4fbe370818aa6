"""Gauss-Kronrod quadrature with 7 and 15 nodes (Kronrod 1965; constants as in QUADPACK, 1983)."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_HALF_NODES = (
    (0.991455371120812639206854697526329, 0.022935322010529224963732008058970, 0.0),
    (0.949107912342758524526189684047851, 0.063092092629978553290700663189204, 0.129484966168869693270611432679082),
    (0.864864423359769072789712788640926, 0.104790010322250183839876322541518, 0.0),
    (0.741531185599394439863864773280788, 0.140653259715525918745189590510238, 0.279705391489276667901467771423780),
    (0.586087235467691130294144838258730, 0.169004726639267902826583426598550, 0.0),
    (0.405845151377397166906606412076961, 0.190350578064785409913256402421014, 0.381830050505118944950369775488975),
    (0.207784955007898467600689403773245, 0.204432940075298892414161999234649, 0.0),
)
_CENTRE = (0.209482141084727828012999174891714, 0.417959183673469387755102040816327)

_half = np.array(_HALF_NODES)
NODES: Floats = np.concatenate([-_half[:, 0], [0.0], _half[::-1, 0]])
WEIGHTS: Floats = np.concatenate([_half[:, 1], [_CENTRE[0]], _half[::-1, 1]])
GAUSS_WEIGHTS: Floats = np.concatenate([_half[:, 2], [_CENTRE[1]], _half[::-1, 2]])


@dataclass(frozen=True)
class Integral:
    """An integral over [-1, 1], with what the two rules say about its error, panel by panel."""

    value: float
    error: float  # |15 nodes - 7 nodes|, summed over the panels: the error of the poorer rule
    size: float  # integral of the size of the integrand's terms
    panels: tuple[tuple[float, float, float], ...]  # from, to, error


def integrate(integrand: Callable[[float], tuple[float, float]], panels: int, span: tuple[float, float]) -> Integral:
    """Integrate value and size over a span, in panels of equal length."""
    borders = np.linspace(*span, panels + 1)
    value = error = size = 0.0
    parts = []
    for first, last in itertools.pairwise(borders):
        half, middle = 0.5 * (last - first), 0.5 * (first + last)
        terms = np.array([integrand(float(middle + half * node)) for node in NODES])
        inner = half * float(WEIGHTS @ terms[:, 0])
        off = abs(inner - half * float(GAUSS_WEIGHTS @ terms[:, 0]))
        value, error, size = value + inner, error + off, size + half * float(WEIGHTS @ terms[:, 1])
        parts.append((float(first), float(last), off))
    return Integral(value, error, size, tuple(parts))
