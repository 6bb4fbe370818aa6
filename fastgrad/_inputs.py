"""The gate for x, gradients and steps: shape, dtype, finite. Nothing later checks again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Point:
    """Where a gradient is checked: a private, contiguous, finite copy of x, flat, and the shape it came in."""

    flat: Array
    shape: tuple[int, ...]
    largest: float  # max |x_i|

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
        """The coordinate at a flat position as the user would write it: x[3], x[1, 2], x."""
        return name_entry("x", self.shape, position)


def unflatten(flat: Array, shape: tuple[int, ...]) -> Any:
    return flat.reshape(shape) if shape else flat[0]


def name_entry(array: str, shape: tuple[int, ...], position: int) -> str:
    if not shape:
        return array
    return f"{array}[{', '.join(str(int(i)) for i in np.unravel_index(position, shape))}]"


def point_array(x: ArrayLike) -> Point:
    """Check x and copy it; integers become float64, float32 and float64 stay."""
    given = _real_array(x, name="x")
    if given.size == 0:
        raise ValueError(f"x is empty (shape {given.shape}); need at least one coordinate to differentiate in.")
    flat = np.array(given, dtype=_kernel_dtype(given.dtype), order="C").reshape(-1)
    largest = float(np.abs(flat).max())
    if not np.isfinite(largest):
        position = int(np.flatnonzero(~np.isfinite(flat))[0])
        raise ValueError(
            f"{name_entry('x', given.shape, position)} is {flat[position]}; need finite coordinates: "
            f"a difference taken there says nothing. Check at another x."
        )
    return Point(flat, given.shape, largest)


def _kernel_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float32) if dtype.type is np.float32 else np.dtype(np.float64)


def _real_array(values: ArrayLike, *, name: str) -> Array:
    """`values` as an array of real numbers that float32 or float64 holds without loss."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from error
    if array.dtype.kind in "iu" or (array.dtype.kind == "f" and array.dtype.itemsize in (4, 8)):
        return array
    advice = {
        "c": "check the real and the imaginary part as separate coordinates",
        "O": "convert it with np.asarray(..., dtype=float)",
        "b": "convert it with .astype(float)",
        "f": "convert it with .astype(np.float64)",
    }.get(array.dtype.kind, "pass numbers")
    raise TypeError(f"{name} has dtype {array.dtype}; need float64, float32 or integers: {advice}.")


def gradient_array(values: ArrayLike, *, name: str, shape: tuple[int, ...] | None = None) -> Array:
    """A gradient as a float32 or float64 array of exactly the given shape; NaN passes, and never matches."""
    given = _real_array(values, name=name)
    if shape is not None and given.shape != shape:
        raise ValueError(
            f"{name} has shape {given.shape}; need {shape}, one entry per coordinate. Nothing is broadcast: "
            f"{_shape_advice(given, shape)}."
        )
    return np.ascontiguousarray(given, dtype=_kernel_dtype(given.dtype)).reshape(given.shape)


def _shape_advice(given: Array, shape: tuple[int, ...]) -> str:
    if given.size == int(np.prod(shape)):
        return f"if only the form differs, pass gradient.reshape({shape})"
    return f"it holds {given.size} numbers for {int(np.prod(shape))} coordinates"


def analytical_gradient(gradient: Any, point: Point, args: tuple[Any, ...]) -> Array:
    """The analytical gradient, flat: the array given, or what the callable returns at (a copy of) x."""
    if not callable(gradient):
        return gradient_array(gradient, name="analytical_grad", shape=point.shape).reshape(-1)
    return call_gradient(gradient, point, args).reshape(-1)


def call_gradient(gradient: Callable[..., Any], point: Point, args: tuple[Any, ...]) -> Array:
    try:
        values = gradient(point.own_form(), *args)
    except Exception as error:
        error.add_note("raised by the analytical gradient, called as gradient(x, *args)")
        raise
    if values is None:
        raise TypeError(
            "the analytical gradient returned None; need an array shaped like x. If it fills an argument, "
            "wrap it in a function that allocates the array, fills it and returns it."
        )
    return gradient_array(values, name="the analytical gradient's result", shape=point.shape)


def positive_number(value: Any, name: str) -> float:
    """A positive finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {value!r}; need a positive number.")
    if not (value > 0 and np.isfinite(value)):
        raise ValueError(f"{name} is {value}; need a positive, finite number.")
    return float(value)
