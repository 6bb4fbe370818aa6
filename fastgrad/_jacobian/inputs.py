"""The gate for Jacobians: shape, dtype and what a callable returns. Entries leave it flat, column by column."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._calls import call
from fastgrad._inputs import Array, Point, gradient_array
from fastgrad._options import require_tuple
from fastgrad._sparse.pattern import is_sparse

Shape = tuple[int, ...]


@dataclass(frozen=True)
class GivenMatrix:
    """A Jacobian or Hessian as it was given, and the same as a list of entries."""

    array: Any  # or a sparse matrix of SciPy
    name: str

    def entries(self, m: int, n: int) -> Array:
        """Flat, column by column."""
        return np.ascontiguousarray(self.array.reshape(m, n).T).reshape(-1)


def given_matrix(matrix: Any, point: Point, args: tuple[Any, ...], name: str) -> GivenMatrix:
    """The array given, or what the callable returns at (a copy of) x."""
    require_tuple(args)
    if not callable(matrix):
        return _as_given(matrix, name)
    need = "an array with a row for each value and a column for each coordinate"
    return _as_given(call(matrix, f"{name}(x, *args)", need, point.own_form(), *args), f"the result of {name}")


def _as_given(values: Any, name: str) -> GivenMatrix:
    return GivenMatrix(values if is_sparse(values) else gradient_array(values, name=name), name)


def shape_to_fill(given: GivenMatrix, point: Point, name: str) -> Shape:
    """The shape of the array that an F of the form F(x, out) fills, as the shape of its Jacobian tells it."""
    shape: Shape = given.array.shape
    dimension = len(point.shape)
    if shape[len(shape) - dimension :] == point.shape and len(shape) > dimension:
        return shape[: len(shape) - dimension]
    if len(shape) == 2 and shape[1] == point.size:
        return shape[:1]
    raise ValueError(_wrong_shape(given, name, point.shape))


def require_shape(given: GivenMatrix, out_shape: Shape, point: Point, name: str) -> None:
    """Raise unless the Jacobian has the shape of F followed by that of x, or (m, n)."""
    m, n = math.prod(out_shape), point.size
    if given.array.shape in ((*out_shape, *point.shape), (m, n)):
        return
    needed = f"{(m, n)}, a row for each value of {name} and a column for each coordinate"
    if (*out_shape, *point.shape) != (m, n):
        needed += f", or {(*out_shape, *point.shape)}"
    advice = ": it looks transposed; pass jacobian.T" if given.array.shape == (n, m) else ""
    raise ValueError(f"{given.name} has shape {given.array.shape}; need {needed}. Nothing is broadcast{advice}.")


def _wrong_shape(given: GivenMatrix, name: str, x_shape: Shape) -> str:
    return (
        f"{given.name} has shape {given.array.shape}, which does not end in the shape of x, {x_shape}; need the shape "
        f"of {name} followed by that of x, because {name} fills its second argument and says nothing about its size."
    )
