"""The gate for vector functions F: R^n -> R^m: kind, arguments, return type, and a compiled wrapper.

F returns an array of floats of any shape, or fills one: ``F(x, out, *args)``, recognised by the one parameter more.
Everything above sees its m values flat, in float64.
"""

import functools
import inspect
import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import config, types
from numpy.typing import NDArray

from fastgrad._compiled.bridge import Block, load_arguments, load_shape
from fastgrad._compiled.vector_kernels import values_at
from fastgrad._inputs import Array, Point, unflatten
from fastgrad._prepared import (
    Prepared,
    Wrapper,
    compile_wrapper,
    compiled_function,
    fingerprints,
    signature_of,
    type_of_arguments,
)
from fastgrad.foreign import CObjective, PythonObjective

Floats = NDArray[np.float64]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class VectorObjective(Prepared):
    """A vector function; `out_shape` is that of the array it fills, None if it returns one."""

    out_shape: Shape | None

    def values(self, point: Array, size: int, filled: float = math.nan) -> tuple[Floats, int]:
        """F at a flat point, and how many values arrived: -1 if F raised, NaN unless they are `size`.

        An F that fills an array finds `filled` in it.
        """
        out = np.full(size, filled)
        count = int(self.run(values_at, point, out))
        if count != size:
            out[:] = np.nan
        return out, count

    def call(self, point: Array) -> Array:
        """F as Python would call it, at a flat point: its array, in its own shape."""
        x = unflatten(point, self.shape)
        if self.out_shape is None:
            return _array_of_floats(self.f(x, *self.args))
        out = np.full(self.out_shape, np.nan, point.dtype)
        self.f(x, out, *self.args)
        return out

    def replay_size(self, point: Array, size: int, where: str) -> None:
        """Like `replay`, for a point where F raised or returned another number of values than at x."""
        try:
            arrived = self.call(point.copy()).size
        except Exception:
            self.replay(point, where)
        else:
            if arrived != size:
                raise ValueError(
                    f"F returns {size} values at x and {arrived} at {where}; need the same number everywhere: a "
                    f"Jacobian has a fixed number of rows."
                )
            self.replay(point, where)  # which says that it did not raise again


# --- preparation ------------------------------------------------------------------------------------------------


def prepare_vector(F: Any, point: Point, args: tuple[Any, ...], out_shape: Shape | None = None) -> VectorObjective:
    """Check F against x and args and compile its wrapper; `out_shape` is needed if F fills an argument."""
    if not isinstance(args, tuple):
        raise TypeError(f"args is a {type(args).__name__}; need a tuple, args=(data,) for a single argument.")
    if isinstance(F, CObjective):
        raise TypeError("F is a C objective, which returns one number; need a function that returns an array.")
    in_python = config.DISABLE_JIT or isinstance(F, PythonObjective)
    compiled = F if in_python else compiled_function(F)
    shape = _shape_to_fill(compiled, len(args), out_shape)
    if in_python:
        return _interpreted(F, point, args, shape)
    given = args if shape is None else (shape, *args)
    held = (point.shape, *given) if given or len(point.shape) != 1 else ()
    kinds = (point.dtype, len(point.shape), type_of_arguments(args, held), None if shape is None else len(shape))
    wrapper = _compile(compiled, *kinds)
    if not wrapper.is_current(compiled):
        _compile.cache_clear()
        wrapper = _compile(compiled, *kinds)
    return VectorObjective(F, args, point.shape, wrapper, Block(held) if held else None, fingerprints(args), shape)


def _interpreted(F: Any, point: Point, args: tuple[Any, ...], shape: Shape | None) -> VectorObjective:
    def function(flat: Array, out: Floats) -> int:
        values = objective.call(flat)
        if values.size == out.size:
            out[:] = values.reshape(-1)
        return int(values.size)

    objective = VectorObjective(F, args, point.shape, Wrapper(function, False, None), None, fingerprints(args), shape)
    return objective


def fills_argument(F: Any, extra: int) -> bool:
    """Whether F takes one positional argument more than x and `extra` others: the array that it fills."""
    try:
        parameters = inspect.signature(getattr(F, "py_func", F))
    except (TypeError, ValueError):  # of a built-in function
        return False
    return not _takes(parameters, 1 + extra) and _takes(parameters, 2 + extra)


def _takes(parameters: inspect.Signature, count: int) -> bool:
    try:
        parameters.bind(*range(count))
    except TypeError:
        return False
    return True


def _shape_to_fill(F: Any, extra: int, out_shape: Shape | None) -> Shape | None:
    if not fills_argument(F, extra):
        return None
    if out_shape is None:
        function = getattr(F, "py_func", F)
        raise TypeError(
            f"F is {function.__name__}{inspect.signature(function)}, which takes one argument more than x and args; "
            f"need the shape of the array that it fills: pass out_shape=, or args=(...) if it fills none."
        )
    return out_shape


@functools.lru_cache(maxsize=256)
def _compile(F: Any, dtype: np.dtype[Any], dimension: int, held: Any, fills: int | None) -> Wrapper:
    """Compile ``(x, out, block) -> size``, which fills the flat `out` if it has the size of what F returns."""
    scalar = numba.from_dtype(dtype)
    x_type = types.Array(scalar, dimension, "C") if dimension else scalar
    extra = tuple(held)[1:]  # without the shape
    if fills is None:
        signature = signature_of(F, (x_type, *extra))
        _require_array_of_floats(F, signature.return_type)
        wrapper = _returning(F, dimension, held, signature.return_type)
    else:
        filled = types.Array(scalar, fills, "C") if fills else scalar
        signature = signature_of(F, (x_type, filled, *extra[1:]))
        wrapper = _filling(F, dimension, held, dtype)
    kinds = (types.Array(scalar, 1, "C"), types.Array(types.float64, 1, "C"), types.intp)
    return compile_wrapper(numba.njit(wrapper), kinds, F, signature)


def _returning(F: Any, dimension: int, held: Any, returned: Any) -> Any:
    load, form, flat = load_arguments(held), _own_form(dimension), _flat(returned)
    if len(held) == 0:

        def wrapper(x, out, block):
            values = flat(F(x))
            if values.size == out.size:
                out[:] = values
            return values.size

    else:

        def wrapper(x, out, block):
            values = flat(F(*load(form(x, block), block)))
            if values.size == out.size:
                out[:] = values
            return values.size

    return wrapper


def _filling(F: Any, dimension: int, held: Any, dtype: np.dtype[Any]) -> Any:
    load, form = load_arguments(held), _own_form(dimension)
    if dtype == np.float64:

        def wrapper(x, out, block):
            given = load(form(x, block), block)
            F(given[0], out.reshape(given[1]), *given[2:])
            return out.size

    else:

        def wrapper(x, out, block):
            given = load(form(x, block), block)
            values = out.astype(x.dtype).reshape(given[1])
            F(given[0], values, *given[2:])
            out[:] = values.reshape(-1)
            return out.size

    return wrapper


def _own_form(dimension: int) -> Any:
    """A compiled function that gives a flat x its own shape, or makes it a number."""
    shape = load_shape(dimension)
    if dimension == 1:

        def form(x, block):
            return x

    elif dimension == 0:

        def form(x, block):
            return x[0]

    else:

        def form(x, block):
            return x.reshape(shape(block))

    return numba.njit(form)


def _flat(kind: Any) -> Any:
    """A compiled function that gives arrays of this kind as contiguous ones of one dimension."""
    if kind.layout == "C":
        return numba.njit(lambda values: values.reshape(-1))
    return numba.njit(lambda values: np.ascontiguousarray(values).reshape(-1))


# --- what F returns ---------------------------------------------------------------------------------------------

_NEED = "need an array of floats"


def _require_array_of_floats(F: Any, kind: Any) -> None:
    if isinstance(kind, types.Array) and isinstance(kind.dtype, types.Float) and kind.ndim > 0:
        return
    number = kind.dtype if isinstance(kind, types.Array) else kind
    advice = "return the values as one array, np.array([...])"
    if isinstance(number, types.Float):
        advice = "for one number use check_gradient; a vector of one entry is np.array([value])"
    elif isinstance(number, types.Integer | types.Boolean):
        advice = "whole numbers have no derivative; make the array with np.empty(m) or .astype(np.float64)"
    elif isinstance(number, types.Complex):
        advice = "return real and imaginary part as separate entries"
    elif isinstance(kind, types.Optional | types.NoneType):
        advice = "return one on every path, or take the array to fill as the second argument, F(x, out, *args)"
    raise TypeError(f"F ({F.__name__}) returns {kind}; {_NEED}: {advice}.")


def _array_of_floats(values: Any) -> Array:
    """What a function of Python returned, if compiled code could have returned it."""
    if isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64) and values.ndim > 0:
        return values
    what = f"an array of {values.dtype}, {values.ndim}d" if isinstance(values, np.ndarray) else type(values).__name__
    raise TypeError(f"F returns {what}; {_NEED}.")
