"""Numerical gradients inside other compiled code: factories of njit functions."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import config, types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import TypingError
from numba.extending import overload

from fastgrad._calls import scalar_function
from fastgrad._compiled.repeated import moves, relative_error_of
from fastgrad._options import described, positive_number
from fastgrad._prepared import compiled_function
from fastgrad.foreign import CObjective, PythonObjective
from fastgrad.steps import DEFAULT_EPSILON

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def make_gradient(f: Callable[..., float], epsilon: float | None = None) -> Callable[..., None]:
    """Make an njit function ``gradient(x, out, *args)`` that writes central differences of f to `out`.

    To be called from compiled code of your own: it uses the calling thread only and allocates nothing.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``, or the value of `c_objective`.
    epsilon : float, optional
        Step in units of x. Default 1e-7 in float64 and 4.9e-3 in float32 (eps^(1/3) |x_i| at coordinates where that
        would vanish).

    Returns
    -------
    njit function
        ``gradient(x, out, *args)``: x is a C-contiguous array of float32 or float64 of any shape, `out` another one
        of the same shape that shares no memory with it. It takes 2 n evaluations, with an error of order epsilon^2
        plus the rounding error of f over epsilon, the same bits as `numerical_gradient`. If f raises, its exception
        arrives and x is as it was; ValueError if epsilon vanishes against an entry of x, or `out` does not fit.

    Raises
    ------
    TypeError, ValueError
        If f is not compiled, or epsilon is not a positive number.

    Notes
    -----
    During the call, x itself holds the displaced points, and each entry is restored by assignment. Threads that call it
    at the same time need an x each, and no array of `args` may share memory with x.

    This is a factory, and its result is compiled anew in every process, on purpose. A function of yours with
    ``cache=True`` that calls it keeps the code of the fastgrad it was compiled with: after an upgrade, delete
    that cache.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return x[0] * x[1]
    >>> gradient = fastgrad.make_gradient(f)
    >>> @numba.njit
    ... def descend(x, steps):
    ...     slope = np.empty_like(x)
    ...     for _ in range(steps):
    ...         gradient(x, slope)
    ...         x -= 0.1 * slope
    ...     return x
    >>> descend(np.array([3.0, 4.0]), 1).round(6)
    array([2.6, 3.7])
    """
    if isinstance(f, PythonObjective) or not (isinstance(f, Dispatcher | CObjective) or config.DISABLE_JIT):
        raise TypeError(
            f"f is {described(f)}, which compiled code cannot call; need a function compiled with @numba.njit, or the "
            f"value of c_objective: for others, numerical_gradient(f, x)."
        )
    function = compiled_function(scalar_function(f))
    wanted = {dtype: default if epsilon is None else positive_number(epsilon, "epsilon")
              for dtype, default in DEFAULT_EPSILON.items()}  # fmt: skip
    in_single, in_double = wanted[_SINGLE], wanted[_DOUBLE]
    relative_single, relative_double = (
        (float(np.cbrt(np.finfo(dtype).eps)) if epsilon is None else 0.0) for dtype in (_SINGLE, _DOUBLE)
    )
    evaluate, replay = _make_evaluate(function)

    @numba.njit
    def gradient(x, out, *args):  # type: ignore[no-untyped-def]
        _require_arrays(x, out)
        if out.shape != x.shape:
            raise ValueError("out is not shaped like x; need an array of its shape: np.empty_like(x)")
        x_begin, out_begin = x.ctypes.data, out.ctypes.data
        if x_begin < out_begin + out.size * out.itemsize and out_begin < x_begin + x.size * x.itemsize:
            raise ValueError("out shares memory with x; need another array: np.empty_like(x)")
        point, quotient = x.reshape(x.size), out.reshape(out.size)
        if x.dtype.type(0.5) != 0.5:
            raise ValueError("x does not hold floats; need an array that does: x.astype(np.float64)")
        if out.size > 0:
            quotient[0] = 0.5
            if quotient[0] != 0.5:
                raise ValueError("out does not hold floats; need an array that does: np.empty_like(x)")
        wanted, relative = (in_single, relative_single) if x.itemsize == 4 else (in_double, relative_double)
        for i in range(point.size):
            x_i, h = point[i], wanted
            if not moves(x_i, h, point.dtype):
                h = relative * abs(np.float64(x_i))
                if not moves(x_i, h, point.dtype):
                    raise ValueError("epsilon vanishes against an entry of x, or x is not finite; need a larger one")
            point[i] = x_i + h
            upper = np.float64(point[i])
            above, raised_above = evaluate(x, args)
            point[i] = x_i - h
            lower = np.float64(point[i])
            below, raised_below = evaluate(x, args)
            point[i] = x_i
            if raised_above or raised_below:
                replay(x, i, upper if raised_above else lower, args)
            quotient[i] = (above - below) / (upper - lower)

    return gradient  # type: ignore[no-any-return]


def _require_arrays(x: Any, out: Any) -> None:
    """Compiled code is refused unless both are C-contiguous and can be written to."""


@overload(_require_arrays)
def _typed_require_arrays(x, out):  # type: ignore[no-untyped-def]  # whose implementation would need the same types
    for name, given in (("x", x), ("out", out)):
        if not isinstance(given, types.Array) or given.layout != "C" or not given.mutable:
            raise TypingError(f"{name} is {given}; need a C-contiguous array that can be written to: {name}.copy()")
    return lambda x, out: None


def _make_evaluate(f: Any) -> tuple[Any, Any]:
    """Njit functions: (value, raised) of f at a point, and f once more to let its exception out."""

    # Three functions, because the call with a star does not compile inside a try.
    @numba.njit
    def call(x, args):  # type: ignore[no-untyped-def]
        return np.float64(f(x, *args))

    @numba.njit
    def evaluate(x, args):  # type: ignore[no-untyped-def]
        try:
            value = call(x, args)
        except Exception:
            return np.nan, True
        return value, False

    @numba.njit
    def replay(x, i, coordinate, args):  # type: ignore[no-untyped-def]
        place = x.copy()
        place.reshape(place.size)[i] = coordinate
        call(place, args)
        raise RuntimeError("f raised near x, but not when called there again; need an f that is deterministic")

    return evaluate, replay


def make_relative_error() -> Callable[..., float]:
    """Make an njit function ``relative_error(numerical, analytical)``: `fastgrad.relative_error` for compiled code.

    It uses the calling thread only and allocates nothing. A factory for the reason given at `make_gradient`.

    Returns
    -------
    njit function
        ``||numerical - analytical||_2 / (||numerical||_2 + ||analytical||_2)`` of two C-contiguous arrays of real
        numbers of one shape: 0 when both are zero, NaN when either holds a NaN or an infinity, safe from overflow
        and underflow. ValueError if the shapes differ.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> relative_error = fastgrad.make_relative_error()
    >>> relative_error(np.array([1.0, 0.0]), np.array([-1.0, 0.0]))
    1.0
    """

    @numba.njit
    def relative_error(numerical, analytical):  # type: ignore[no-untyped-def]
        if numerical.shape != analytical.shape:
            raise ValueError("numerical and analytical differ in shape; need arrays of one shape")
        return relative_error_of(numerical.reshape(numerical.size), analytical.reshape(analytical.size))

    return relative_error  # type: ignore[no-any-return]
