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

from fastgrad._calls import Named, require_fit, takes
from fastgrad._compiled.bridge import Block, load_arguments, load_shape
from fastgrad._compiled.vector_kernels import values_at
from fastgrad._inputs import Array, Point, unflatten
from fastgrad._options import described, is_whole, require_tuple
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

_GUARD = 256  # entries behind an array to be filled, at x; compiled code does not notice where it ends


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
            return self._array_of_floats(self.f(x, *self.args))
        size = math.prod(self.out_shape)
        guarded = np.full(2 * size + _GUARD, np.nan, point.dtype)
        out = guarded[:size].reshape(self.out_shape)
        self.f(x, out, *self.args)
        if not np.isnan(guarded[size:]).all():
            raise ValueError(
                f"{self.named.name} writes beyond the end of the array that it fills, of shape {self.out_shape}; need "
                f"an array as large as what it writes: pass its shape as out_shape=, or a derivative that fits."
            )
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
                    f"{self.named.name} returns {size} values at x and {arrived} at {where}; need the same number "
                    f"everywhere: a Jacobian has a fixed number of rows."
                )
            self.replay(point, where)  # which says that it did not raise again

    def _array_of_floats(self, values: Any) -> Array:
        """What a function of Python returned, if compiled code could have returned it."""
        if isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float64) and values.ndim > 0:
            return values
        what = f"an array of {values.dtype}, {values.ndim}d" if isinstance(values, np.ndarray) else described(values)
        raise TypeError(f"{self.named.name} returns {what}; {_NEED}: return np.array([...], dtype=float).")


# --- preparation ------------------------------------------------------------------------------------------------


def prepare_vector(
    named: Named, point: Point, args: tuple[Any, ...], out_shape: Shape | int | None = None
) -> VectorObjective:
    """Check F against x and args and compile its wrapper; `out_shape` is needed if F fills an argument."""
    require_tuple(args)
    F, wanted = named.function, _as_shape(out_shape)
    if isinstance(F, CObjective):
        raise TypeError(f"{named.name} is a C objective, which returns one number; {_NEED} from an njit function.")
    in_python = callable(F) and (config.DISABLE_JIT or isinstance(F, PythonObjective))
    compiled = F if in_python else compiled_function(named)
    shape = _shape_to_fill(named, len(args), wanted)
    if in_python:
        return _interpreted(named, point, args, shape)
    given = args if shape is None else (shape, *args)
    held = (point.shape, *given) if given or len(point.shape) != 1 else ()
    held_type = type_of_arguments(args, held)
    kinds = (point.dtype, len(point.shape), held_type, None if shape is None else len(shape))
    wrapper = _compile(named, *kinds)
    if not wrapper.is_current(compiled):
        _compile.cache_clear()
        wrapper = _compile(named, *kinds)
    block = Block(held, held_type) if held else None
    return VectorObjective(named, args, point.shape, wrapper, block, fingerprints(args), shape)


def _as_shape(out_shape: Any) -> Shape | None:
    """The shape of the array that F fills, from a number of values or a shape."""
    if out_shape is None:
        return None
    given = tuple(out_shape) if isinstance(out_shape, list | tuple) else (out_shape,)
    if not given or not all(is_whole(k) for k in given):
        raise TypeError(f"out_shape is {out_shape!r}; need a whole number, or the shape of the array, (5, 2).")
    if min(given) < 1:
        raise ValueError(f"out_shape is {out_shape!r}; need at least one value: positive whole numbers.")
    return tuple(int(k) for k in given)


def _interpreted(named: Named, point: Point, args: tuple[Any, ...], shape: Shape | None) -> VectorObjective:
    form = f"{named.name}(x, *args)" if shape is None else f"{named.name}(x, out, *args)"
    require_fit(named.function, form, (1 if shape is None else 2) + len(args))

    def function(flat: Array, out: Floats) -> int:
        values = objective.call(flat)
        if values.size == out.size:
            out[:] = values.reshape(-1)
        return int(values.size)

    objective = VectorObjective(
        named, args, point.shape, Wrapper(function, False, None), None, fingerprints(args), shape
    )
    return objective


def fills_argument(F: Any, extra: int) -> bool:
    """Whether F takes one positional argument more than x and `extra` others: the array that it fills."""
    try:
        parameters = inspect.signature(getattr(F, "py_func", F))
    except (TypeError, ValueError):  # of a built-in function
        return False
    return not takes(parameters, 1 + extra) and takes(parameters, 2 + extra)


def _shape_to_fill(named: Named, extra: int, out_shape: Shape | None) -> Shape | None:
    if not fills_argument(named.function, extra):
        return None
    if out_shape is None:
        function = getattr(named.function, "py_func", named.function)
        own = f"{getattr(function, '__name__', type(function).__name__)}{inspect.signature(function)}"
        raise TypeError(
            f"{named.name} is {own}, which takes one argument more than x and args; "
            f"need the shape of the array that it fills: pass out_shape=, or args=(...) if it fills none."
        )
    return out_shape


@functools.lru_cache(maxsize=256)
def _compile(named: Named, dtype: np.dtype[Any], dimension: int, held: Any, fills: int | None) -> Wrapper:
    """Compile ``(x, out, block) -> size``, which fills the flat `out` if it has the size of what F returns."""
    F, scalar = named.function, numba.from_dtype(dtype)
    x_type = types.Array(scalar, dimension, "C") if dimension else scalar
    extra = tuple(held)[1:]  # without the shape
    if fills is None:
        signature = signature_of(named, (x_type, *extra))
        _require_array_of_floats(named, signature.return_type)
        wrapper = _returning(F, dimension, held, signature.return_type)
    else:
        signature = signature_of(named, (x_type, types.Array(scalar, fills, "C"), *extra[1:]))
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


def _require_array_of_floats(named: Named, kind: Any) -> None:
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
    raise TypeError(f"{named.name} ({named.function.__name__}) returns {kind}; {_NEED}: {advice}.")
