"""The gate for f: kind, arguments, return type, a compiled wrapper, and a trial that f behaves like a function."""

import functools
import math
import time
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import config, types

from fastgrad._calls import Named, require_fit, scalar_function
from fastgrad._compiled.bridge import Block, load_arguments, load_shape
from fastgrad._compiled.kernels import value_at
from fastgrad._inputs import Array, Point, unflatten
from fastgrad._options import described, require_tuple
from fastgrad._prepared import (
    SAME_VALUE,
    Prepared,
    Wrapper,
    compile_wrapper,
    compiled_function,
    fingerprints,
    signature_of,
    type_of_arguments,
)
from fastgrad._refusals import takes_complex, what_instead, wrong_return
from fastgrad.foreign import CObjective, PythonObjective


@dataclass(frozen=True)
class Objective(Prepared):
    """A scalar objective."""

    def value(self, point: Array) -> tuple[float, int]:
        """f at a flat point, and whether it raised."""
        return self.run(value_at, point)  # type: ignore[no-any-return]

    def call(self, point: Array) -> float:
        return _number(self.f(unflatten(point, self.shape), *self.args), point.dtype)


def prepare(f: Any, point: Point, args: tuple[Any, ...]) -> Objective:
    """Check f against x and args and compile its wrapper (kept, so that a second check compiles nothing)."""
    require_tuple(args)
    named = scalar_function(f)
    if config.DISABLE_JIT or isinstance(f, PythonObjective):
        return _interpreted(named, point, args)
    compiled = compiled_function(named)
    if isinstance(f, CObjective):
        _require_plain_array(point, args)
    held = (point.shape, *args) if args or len(point.shape) != 1 else ()
    arguments_type = type_of_arguments(args, held)
    dimension = len(point.shape)
    wrapper = _compile_wrapper(compiled, point.dtype, dimension, arguments_type)
    if not wrapper.is_current(compiled):
        _compile_wrapper.cache_clear()
        wrapper = _compile_wrapper(compiled, point.dtype, dimension, arguments_type)
    block = Block(held, arguments_type) if held else None
    return Objective(named, args, point.shape, wrapper, block, fingerprints(args))


def _require_plain_array(point: Point, args: tuple[Any, ...]) -> None:
    if args:
        raise TypeError("args is not empty, but a C objective takes x alone; need none: c_objective(f, data=...).")
    if not point.shape or point.dtype != np.float64:
        kind = f"an array of {point.dtype}" if point.shape else "a scalar"
        raise TypeError(f"x is {kind}; a C objective needs an array of float64: np.atleast_1d(x).astype(np.float64).")


def _interpreted(named: Named, point: Point, args: tuple[Any, ...]) -> Objective:
    f = named.function
    if not callable(f):
        raise TypeError(what_instead(named))
    require_fit(f, "f(x, *args)", 1 + len(args))

    def function(flat: Array) -> float:
        return _number(f(unflatten(flat, point.shape), *args), flat.dtype)

    return Objective(named, args, point.shape, Wrapper(function, False, None), None, fingerprints(args))


def _number(value: Any, dtype: np.dtype[Any]) -> float:
    """What compiled wrappers return: the value of f, or, at a complex point, its imaginary part."""
    if dtype.kind == "c" and isinstance(value, complex | np.complexfloating):
        return float(value.imag)
    if dtype.kind != "c" and isinstance(value, float | np.floating):
        return float(value)
    need = "a complex number" if dtype.kind == "c" else "a float: return float(...), of one number"
    raise TypeError(f"f returns {described(value)}; need {need}.")


@functools.lru_cache(maxsize=256)
def _compile_wrapper(f: Any, dtype: np.dtype[Any], dimension: int, arguments_type: Any) -> Wrapper:
    scalar = numba.from_dtype(dtype)
    x_type = types.Array(scalar, dimension, "C") if dimension else scalar
    extra = tuple(arguments_type)[1:]  # without the shape
    signature = signature_of(scalar_function(f), (x_type, *extra))
    wrong = wrong_return(f, signature.return_type, takes_complex(signature.args))
    if wrong is not None:
        raise TypeError(wrong)
    number = _imaginary_part if dtype.kind == "c" else np.float64
    wrapper = _define_wrapper(f, number, dimension, arguments_type)
    return compile_wrapper(wrapper, (types.Array(scalar, 1, "C"), types.intp), f, signature)


@numba.njit
def _imaginary_part(value):
    return np.float64(value.imag)


def _define_wrapper(f: Any, number: Any, dimension: int, arguments_type: Any) -> Any:
    # number: float64, so that a float32 result is widened here, once.
    load = load_arguments(arguments_type)
    shape = load_shape(dimension)
    if len(arguments_type) == 0:

        def wrapper(x, block):
            return number(f(x))

    elif dimension == 1:

        def wrapper(x, block):
            return number(f(*load(x, block)))

    elif dimension == 0:

        def wrapper(x, block):
            return number(f(*load(x[0], block)))

    else:

        def wrapper(x, block):
            return number(f(*load(x.reshape(shape(block)), block)))

    return numba.njit(wrapper)


# --- a trial before anything is differentiated -----------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """Two evaluations at x: the value, by how much the second one differed, and the time it took."""

    value: float
    difference: float
    seconds: float = 0.0  # of one evaluation

    @property
    def is_deterministic(self) -> bool:
        return self.difference == 0.0 or self.difference < SAME_VALUE * abs(self.value)  # neither for NaN

    def require_deterministic(self) -> None:
        """Raise if f does not repeat itself."""
        if not self.is_deterministic:
            raise ValueError(
                f"f is not deterministic: two calls at x gave {self.value!r} and a value {self.difference:.2g} away; "
                f"need an f that repeats itself: fix the seed of its random numbers."
            )


def try_objective(objective: Objective, point: Point) -> Trial:
    """Evaluate f twice at x and see that it returns, leaves x and args alone, and repeats itself; 2 evaluations."""
    place = point.flat.copy()
    first, raised = objective.value(place)
    if raised:
        objective.replay(point.flat, "x itself")
    started = time.perf_counter()
    second, _ = objective.value(place)
    seconds = time.perf_counter() - started
    if not np.array_equal(place, point.flat):  # no NaN in x
        raise ValueError(objective.refusal_to_write("x"))
    objective.require_arguments_intact()
    if first == second or (np.isnan(first) and np.isnan(second)):
        return Trial(first, 0.0, seconds)
    difference = abs(first - second)
    return Trial(first, math.inf if np.isnan(difference) else difference, seconds)
