"""The gate for functions of products, jvp(x, v), vjp(x, w) and hvp(x, v), and for the vector function beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._calls import Named, call
from fastgrad._inputs import Point, gradient_array, unflatten
from fastgrad._options import described
from fastgrad._vector_objective import VectorObjective, prepare_vector
from fastgrad._vector_trial import VectorTrial, try_vector

Floats = NDArray[np.float64]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """A function of a product with a matrix, at one point; vectors go in and come out flat, in float64."""

    function: Callable[..., Any]
    name: str
    point: Point
    args: tuple[Any, ...]
    takes: Shape  # of the vector
    returns: Shape

    def __call__(self, vector: Floats) -> Floats:
        """What the function returns for a vector, which it sees in its own shape and in the precision of x."""
        given = unflatten(vector.astype(self.point.dtype), self.takes)
        form, need = form_of(self.name), f"an array of shape {self.returns}"
        values = call(self.function, form, need, self.point.own_form(), given, *self.args)
        found = gradient_array(values, name=f"the result of {self.name}", shape=self.returns)
        return found.reshape(-1).astype(np.float64)

    def rounded(self, vector: Floats) -> Floats:
        """The vector as the function sees it, and as differences have to take it."""
        return vector.astype(self.point.dtype).astype(np.float64)


def form_of(name: str) -> str:
    """How a function of a product is called."""
    return f"{name}(x, {'w' if name == 'vjp' else 'v'}, *args)"


def product_of(function: Any, name: str, point: Point, args: tuple[Any, ...], takes: Shape, returns: Shape) -> Product:
    """Check that a product can be called."""
    if not callable(function):
        raise TypeError(f"{name} is {described(function)}; need a function {form_of(name)}.")
    return Product(function, name, point, args, takes, returns)


def prepare_wide_vector(
    named: Named, given: Point, args: tuple[Any, ...], out_shape: Shape | int | None
) -> tuple[VectorObjective, VectorTrial, Point]:
    """F, tried at x; for a float32 x in float64 if F allows, where differences show ten digits more."""
    if given.dtype == np.float32:
        point = given.widened()
        try:
            objective = prepare_vector(named, point, args, out_shape)
            return objective, try_vector(objective, point), point
        except TypeError:  # F was compiled for float32 only
            pass
    objective = prepare_vector(named, given, args, out_shape)
    return objective, try_vector(objective, given), given
