"""The gate for what a Taylor test asks for besides f, x and the gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._inputs import Point, gradient_array, unflatten

Floats = NDArray[np.float64]
HessianProduct = Callable[[Floats], Floats]  # v -> H v, flat


def taylor_steps(steps: ArrayLike | None) -> Floats | None:
    """The user's steps, descending."""
    if steps is None:
        return None
    given = np.asarray(steps)
    if given.dtype.kind not in "fiu":
        raise TypeError(f"steps is {steps!r}; need positive numbers, for instance np.logspace(-1, -8, 15).")
    found = -np.unique(-given.astype(np.float64).reshape(-1))
    if found.size < 2 or not (np.isfinite(found).all() and (found > 0.0).all()):
        raise ValueError(
            f"steps holds {found.size} different numbers from {given.min(initial=np.inf):g} on; need two or more, all "
            f"positive and finite, for instance np.logspace(-1, -8, 15)."
        )
    return found


def hessian_product(hessian: Any, hvp: Any, point: Point, args: tuple[Any, ...]) -> HessianProduct | None:
    """v -> H v from a matrix, a function that returns one, or a function of the product; None if neither is given."""
    if hessian is not None and hvp is not None:
        raise ValueError("both hessian and hvp are given; need one of them.")
    if hvp is not None:
        return _from_function(hvp, point, args)
    if hessian is None:
        return None
    matrix = hessian(point.own_form(), *args) if callable(hessian) else hessian
    if not hasattr(matrix, "shape"):
        matrix = np.asarray(matrix)
    if matrix.shape != (point.size, point.size):
        raise ValueError(
            f"hessian has shape {matrix.shape}; need ({point.size}, {point.size}), a row for each entry of x.ravel()."
        )
    return lambda v: np.asarray(matrix @ v, dtype=np.float64).reshape(-1)


def _from_function(hvp: Any, point: Point, args: tuple[Any, ...]) -> HessianProduct:
    if not callable(hvp):
        raise TypeError(
            f"hvp is a {type(hvp).__name__}; need a function hvp(x, v, *args); a matrix goes into hessian=."
        )

    def product(v: Floats) -> Floats:
        found = hvp(point.own_form(), unflatten(v.astype(point.dtype), point.shape), *args)
        array = gradient_array(found, name="the result of hvp", shape=point.shape)
        return array.reshape(-1).astype(np.float64)

    return product
