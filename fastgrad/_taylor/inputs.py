"""The gate for what a Taylor test asks for besides f, x and the gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import call
from fastgrad._inputs import Point, gradient_array, real_array, unflatten
from fastgrad._options import described
from fastgrad._sparse.pattern import is_sparse

Floats = NDArray[np.float64]
_NEED_STEPS = "need positive numbers, for instance np.logspace(-1, -8, 15)"
HessianProduct = Callable[[Floats], Floats]  # v -> H v, flat


def taylor_steps(steps: ArrayLike | None) -> Floats | None:
    """The user's steps, descending."""
    if steps is None:
        return None
    try:
        given = np.asarray(steps)
    except ValueError as error:  # ragged
        raise TypeError(f"steps is {steps!r}; {_NEED_STEPS}.") from error
    if given.dtype.kind not in "fiu":
        raise TypeError(f"steps is {steps!r}; {_NEED_STEPS}.")
    found = -np.unique(-given.astype(np.float64).reshape(-1))
    if found.size < 2 or not (np.isfinite(found).all() and (found > 0.0).all()):
        raise ValueError(
            f"steps holds {_count(found)}; need two or more, all positive and finite, for instance "
            f"np.logspace(-1, -8, 15)."
        )
    return found


def _count(numbers: Floats) -> str:
    if numbers.size == 0:
        return "no numbers"
    return f"{numbers.size} different number{'' if numbers.size == 1 else 's'}, the least {numbers.min():g}"


def hessian_product(hessian: Any, hvp: Any, point: Point, args: tuple[Any, ...]) -> HessianProduct | None:
    """v -> H v from a matrix, a function that returns one, or a function of the product; None if neither is given."""
    if hessian is not None and hvp is not None:
        raise ValueError("both hessian and hvp are given; need one of them.")
    if hvp is not None:
        return _from_function(hvp, point, args)
    if hessian is None:
        return None
    matrix, name = hessian, "hessian"
    if callable(hessian):
        matrix = call(hessian, "hessian(x, *args)", "a matrix", point.own_form(), *args)
        name = "the result of hessian"
    if not is_sparse(matrix):
        matrix = real_array(matrix, name=name)
    if matrix.shape != (point.size, point.size):
        raise ValueError(
            f"{name} has shape {matrix.shape}; need ({point.size}, {point.size}), a row for each entry of x.ravel()."
        )
    return lambda v: np.asarray(matrix @ v, dtype=np.float64).reshape(-1)


def _from_function(hvp: Any, point: Point, args: tuple[Any, ...]) -> HessianProduct:
    if not callable(hvp):
        raise TypeError(f"hvp is {described(hvp)}; need a function hvp(x, v, *args); a matrix goes into hessian=.")

    def product(v: Floats) -> Floats:
        given = unflatten(v.astype(point.dtype), point.shape)
        found = call(hvp, "hvp(x, v, *args)", "an array shaped like x", point.own_form(), given, *args)
        array = gradient_array(found, name="the result of hvp", shape=point.shape)
        return array.reshape(-1).astype(np.float64)

    return product
