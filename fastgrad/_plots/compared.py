"""What pictures need of a check of a gradient or of a Jacobian: its entries in one row, and which are wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import GradientCheck, JacobianCheck, Verdict

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """The entries of a derivative, flat, and the worst of the wrong ones by name and position."""

    analytical: Floats
    estimate: Floats
    plain: Floats  # the central differences; of an analytical value that is not finite there is no better estimate
    uncertainty: Floats
    verdicts: NDArray[Any]
    worst: tuple[tuple[str, int], ...]


def compared(result: GradientCheck | JacobianCheck) -> Compared:
    """The entries of a check."""
    wrong: list[Any] = [row for row in result.worst if row.verdict is Verdict.MISMATCH]
    flat: Callable[[Any], Any]
    if isinstance(result, JacobianCheck):
        shape, flat = result.verdicts.shape, np.ravel
        names, given = [f"{row.row}, {row.column}" for row in wrong], result.analytical_jacobian
    else:
        shape, flat = result.layout.shape, result.layout.flat
        names, given = [row.name for row in wrong], result.analytical_grad
    places = [int(np.ravel_multi_index(row.index, shape)) if row.index else 0 for row in wrong]
    return Compared(
        analytical=flat(given).astype(np.float64),
        estimate=flat(result.estimate),
        plain=flat(result[0]).astype(np.float64),
        uncertainty=flat(result.uncertainty),
        verdicts=flat(result.verdicts),
        worst=tuple(zip(names, places, strict=True)),
    )
