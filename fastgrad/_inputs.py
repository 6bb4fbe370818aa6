"""The gate for x, gradients and steps: shape, dtype, finite. Nothing later checks again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import call
from fastgrad._nested import Branch, branch_of, is_nested, parts_like

Array = NDArray[Any]

# What counts as equal: half the digits that a good central difference has, in either precision.
DEFAULT_RTOL = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-3}


@dataclass(frozen=True)
class Point:
    """Where a gradient is checked: a private, contiguous, finite copy of x, flat, and the shape it came in.

    Nested parameters are one flat vector for the objective; `structure` is how they came.
    """

    flat: Array
    shape: tuple[int, ...]
    largest: float  # max |x_i|
    structure: Branch | None = None

    @property
    def size(self) -> int:
        return int(self.flat.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.flat.dtype

    def own_form(self) -> Any:
        """A fresh copy as the objective sees it: an array of x's shape, or a scalar for shape ()."""
        return unflatten(self.flat.copy(), self.shape)

    def name(self, position: int) -> str:
        """The coordinate at a flat position as the user would write it: x[3], x[1, 2], x, W1[0, 4]."""
        if self.structure is None:
            return name_entry("x", self.shape, position)
        part = next(leaf for leaf in self.structure.leaves() if position < leaf.stop)
        return name_entry(part.name, part.shape, position - part.start)

    def widened(self) -> "Point":
        """The same point in float64."""
        return Point(self.flat.astype(np.float64), self.shape, self.largest, self.structure)

    def shaped(self, flat: Array) -> Any:
        """Values of all coordinates, shaped or nested like x."""
        return flat.reshape(self.shape) if self.structure is None else self.structure.unflatten(flat)


def unflatten(flat: Array, shape: tuple[int, ...]) -> Any:
    return flat.reshape(shape) if shape else flat[0]


def name_entry(array: str, shape: tuple[int, ...], position: int) -> str:
    if not shape:
        return array
    return f"{array}[{', '.join(str(int(i)) for i in np.unravel_index(position, shape))}]"


def point_array(x: Any) -> Point:
    """Check x and copy it; integers become float64, float32 and float64 stay; nested arrays become one vector."""
    try:
        structure, given = _joined(x) if is_nested(x) else (None, real_array(x, name="x"))
    except RecursionError:
        raise ValueError("x is nested without end; need parameters of which no part contains itself.") from None
    if given.size == 0:
        raise ValueError(f"x is empty (shape {given.shape}); need at least one coordinate to differentiate in.")
    flat = np.array(given, dtype=_kernel_dtype(given.dtype), order="C").reshape(-1)
    point = Point(flat, given.shape, float(np.abs(flat).max()), structure)
    if not np.isfinite(point.largest):
        position = int(np.flatnonzero(~np.isfinite(flat))[0])
        raise ValueError(
            f"{point.name(position)} is {flat[position]}; need finite coordinates: "
            f"a difference taken there says nothing. Check at another x."
        )
    return point


def _joined(x: Any) -> tuple[Branch, Array]:
    """Nested parameters as one vector, in float32 only if all of them are."""

    def convert(value: Any, name: str) -> Array:
        array = real_array(value, name=name)
        return array.astype(_kernel_dtype(array.dtype), copy=False)

    structure, arrays = branch_of(x, convert)
    arrays = [array for array in arrays if array.size]  # an empty part has no derivatives, and no precision
    if not arrays:
        raise ValueError("x holds no number; need at least one coordinate to differentiate in.")
    return structure, np.concatenate(arrays)


def flat_like(values: Any, point: Point, name: str) -> Any:
    """Nested values for nested x as one vector, a number standing for all entries of its part; others as they are."""
    if not is_nested(values):
        return values
    if point.structure is None:
        raise TypeError(f"{name} has named parts, but x is an array; need both of one kind: give x its names too.")
    flat = np.empty(point.size)
    for part, value in parts_like(values, point.structure, name):
        given = real_array(value, name=f"{name} at {part.name}")
        if given.shape not in ((), part.shape):
            raise ValueError(f"{name} at {part.name} has shape {given.shape}; need one number or shape {part.shape}.")
        flat[part.slice] = given.reshape(-1)
    return flat


def per_coordinate(values: Any, point: Point, name: str) -> NDArray[np.float64]:
    """One number for all coordinates, or one for each, flat; nested for nested x."""
    given = real_array(flat_like(values, point, name), name=name)
    if given.shape not in ((), point.shape):
        raise ValueError(f"{name} has shape {given.shape}; need one number or shape {point.shape}.")
    return np.broadcast_to(given, point.shape).reshape(-1).astype(np.float64)


def _kernel_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float32) if dtype.type is np.float32 else np.dtype(np.float64)


def real_array(values: ArrayLike, *, name: str) -> Array:
    """`values` as an array of real numbers that float32 or float64 holds without loss."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is {_unequal(values)}.") from error
    except (RuntimeError, TypeError) as error:  # a tensor that is being differentiated, or lives on a device
        raise TypeError(
            f"{name} is a {type(values).__name__} that is not to be read as an array ({error}); need numbers in main "
            f"memory: of a tensor pass .detach().cpu().numpy()."
        ) from error
    if np.ma.is_masked(values):
        raise TypeError(f"{name} has masked entries; need a number everywhere: pass {name}.filled(...).")
    if array.dtype.kind == "O" and not isinstance(values, np.ndarray) and hasattr(values, "__dlpack__"):
        tensor: Any = values
        array = np.from_dlpack(tensor)
    if array.dtype.kind in "iu" or (array.dtype.kind == "f" and array.dtype.itemsize in (4, 8)):
        return array
    advice = {
        "c": "check the real and the imaginary part as separate coordinates",
        "O": "convert it with np.asarray(..., dtype=float)",
        "b": "convert it with .astype(float)",
        "f": "convert it with .astype(np.float64)",
    }.get(array.dtype.kind, "pass numbers")
    raise TypeError(f"{name} has dtype {array.dtype}; need float64, float32 or integers: {advice}.")


def _unequal(values: Any) -> str:
    """What a list is that makes no array, and what to do with it."""
    if isinstance(values, list | tuple) and any(getattr(member, "shape", ()) for member in values):
        return (
            f"a {type(values).__name__} of arrays of different shapes; need one array, or arrays under names, in x and "
            f'the gradient alike: {{"W": ..., "b": ...}}'
        )
    return "not a rectangular array; need rows of one length"


def gradient_array(values: ArrayLike, *, name: str, shape: tuple[int, ...] | None = None) -> Array:
    """A gradient as a float32 or float64 array of exactly the given shape; NaN passes, and never matches."""
    given = real_array(values, name=name)
    if shape is not None and given.shape != shape:
        raise ValueError(
            f"{name} has shape {given.shape}; need {shape}, one entry per coordinate. Nothing is broadcast: "
            f"{_shape_advice(given, shape)}."
        )
    return np.ascontiguousarray(given, dtype=_kernel_dtype(given.dtype)).reshape(given.shape)


def _shape_advice(given: Array, shape: tuple[int, ...]) -> str:
    if given.size == int(np.prod(shape)):
        return f"if only the form differs, reshape it, .reshape({shape})"
    return f"it holds {given.size} numbers for {int(np.prod(shape))} coordinates"


def analytical_gradient(gradient: Any, point: Point, args: tuple[Any, ...], name: str = "gradient") -> Array:
    """The analytical gradient, flat: what is given, or a copy of what the callable returns at (a copy of) x."""
    if not callable(gradient):
        return gradient_at(point, gradient, name=name)
    return call_gradient(gradient, point, args, name).copy()  # it may return an array that it overwrites later


def call_gradient(gradient: Callable[..., Any], point: Point, args: tuple[Any, ...], name: str = "gradient") -> Array:
    """What the callable returns, flat."""
    values = call(gradient, f"{name}(x, *args)", "an array shaped like x", point.own_form(), *args)
    return gradient_at(point, values, name=f"the result of {name}")


def gradient_at(point: Point, values: Any, *, name: str) -> Array:
    """A gradient, flat: an array shaped like x, or, for nested x, nested as x is or one vector."""
    if point.structure is None:
        if is_nested(values):
            raise TypeError(f"{name} has named parts, but x is an array; need both of one kind: give x its names too.")
        return gradient_array(values, name=name, shape=point.shape).reshape(-1)
    if not is_nested(values) and not isinstance(values, list | tuple):
        return gradient_array(values, name=name, shape=point.shape)
    parts = [
        gradient_array(value, name=f"{name} at {part.name}", shape=part.shape).reshape(-1)
        for part, value in parts_like(values, point.structure, name)
    ]
    return np.concatenate(parts)
