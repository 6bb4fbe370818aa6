"""Whether a Hessian is symmetric, and whether the Jacobian of a gradient is. Pure arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDINGS = 1e3  # units in the last place of the largest term by which equal entries may differ
_SHARE_OF_RTOL = 1e-2  # of an entry: what an inverse or a solver leaves, far below what matters
_MISMATCH_BARS = 5.0  # bars by which numerical entries must differ
_STRIPE = 1 << 20  # entries compared at once


@dataclass(frozen=True)
class Asymmetry:
    """The pair of entries that differ most, relative to what rounding allows.

    Attributes
    ----------
    index : tuple of two ints
        (i, j) with i < j.
    values : tuple of two floats
        H[i, j] and H[j, i].
    count : int
        Pairs that differ by more than rounding.
    """

    index: tuple[int, int]
    values: tuple[float, float]
    count: int


def asymmetry(matrix: NDArray[Any], scale: Floats, rtol: float) -> Asymmetry | None:
    """The worst pair of a Hessian that differs beyond rounding; `scale` is a typical size of each coordinate.

    Rounding is a small share of the tolerance of the entries themselves, since a Hessian may come from a solver, and
    that of the largest term of the quadratic form as it reaches them.
    """
    rounding = _ROUNDINGS * float(np.finfo(matrix.dtype).eps)
    own = max(rounding, _SHARE_OF_RTOL * rtol)
    values = matrix.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        largest = max((float(np.nanmax(np.abs(values[i]) * scale[i] * scale)) for i in range(scale.size)), default=0.0)

    def allowed(here: slice) -> Floats:
        size = np.maximum(np.abs(values[here]), np.abs(values[:, here].T))
        return np.asarray(own * size + rounding * (largest / scale / scale[here, None]))

    return _worst_pair(values, allowed)


def numerical_asymmetry(estimate: Floats, bar: Floats, rtol: float) -> Asymmetry | None:
    """The worst pair of numerical entries that differ by far more than their bars."""

    def allowed(here: slice) -> Floats:
        size = np.maximum(np.abs(estimate[here]), np.abs(estimate[:, here].T))
        return np.asarray(_MISMATCH_BARS * (bar[here] + bar[:, here].T) + rtol * size)

    return _worst_pair(estimate, allowed)


def _worst_pair(values: Floats, allowed: Any) -> Asymmetry | None:
    count, worst, place = 0, 1.0, None
    for here in _stripes(values.shape[0]):
        with np.errstate(all="ignore"):
            excess = np.abs(values[here] - values[:, here].T) / allowed(here)
        excess[np.isnan(excess)] = 0.0  # NaN is no question of symmetry
        count += int(np.count_nonzero(excess > 1.0))
        k = int(np.argmax(excess))
        if excess.flat[k] > worst:
            worst, place = float(excess.flat[k]), (here.start + k // values.shape[0], k % values.shape[0])
    if place is None:
        return None
    i, j = min(place), max(place)
    return Asymmetry((i, j), (float(values[i, j]), float(values[j, i])), count // 2)


def _stripes(n: int) -> Iterator[slice]:
    rows = max(1, _STRIPE // n)
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))
