"""Objectives that are not Numba functions: C and Fortran functions, Numba cfuncs, plain Python callables."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import config
from numpy.typing import ArrayLike

from fastgrad import _threads
from fastgrad._options import described, is_whole, switch
from fastgrad._pointers import (
    address_of_data,
    address_of_function,
    is_low_level_callable,
    require_prototype,
)

NOT_THREAD_SAFE = "serial, f is not thread-safe"


@dataclass(frozen=True, eq=False)
class CObjective:
    """A C function as an objective ``f(x)``; made by `c_objective`.

    Attributes
    ----------
    compiled : njit function
        The same, to be called from other compiled code: ``compiled(x)``.
    alone : str or None
        Why evaluations run one by one, if they do.
    """

    compiled: Callable[..., float]
    alone: str | None

    def __call__(self, x: ArrayLike) -> float:
        given = np.asarray(x)
        if given.dtype.kind not in "fiu":
            raise TypeError(f"x has dtype {given.dtype}; need real numbers, which become float64.")
        array = np.ascontiguousarray(given, dtype=np.float64)
        if self.alone is None:
            return float(self.compiled(array))
        with _threads.calling_alone():
            return float(self.compiled(array))


@dataclass(frozen=True)
class PythonObjective:
    """A Python callable as an objective, never compiled; made by `python_objective`."""

    py_func: Callable[..., float]
    alone = "python"

    def __call__(self, x: Any, *args: Any) -> float:
        return self.py_func(x, *args)


def python_objective(function: Callable[..., float]) -> PythonObjective:
    """Make a plain Python callable usable as an objective: it runs as Python, one evaluation at a time.

    A bare Python function is refused by the checks, because the one thing that makes it 100 times slower than it
    need be is a forgotten ``@numba.njit``. This says that it is meant. Nothing is compiled; the report names the
    executor "python".

    Parameters
    ----------
    function : callable
        ``function(x, *args) -> float``; x is an array of its own shape. It must only read its arguments. A
        0-dimensional array of floats counts as a float.

    Returns
    -------
    PythonObjective
        To be passed as ``f`` to the checks.

    Raises
    ------
    TypeError
        If it is not callable.

    Examples
    --------
    >>> import fastgrad
    >>> f = fastgrad.python_objective(lambda x: sum(v**2 for v in x.tolist()))
    >>> fastgrad.check_gradient(f, [3.0, 4.0], [6.0, 8.0]).executor
    'python'
    """
    if not callable(function):
        raise TypeError(f"function is {described(function)}; need a callable function(x, *args) -> float.")
    return PythonObjective(function)


def c_objective(function: Any, *, data: Any = None, thread_safe: bool = True) -> CObjective:
    """Make a C or Fortran function usable as an objective, as parallel as a Numba function.

    The function has the prototype ``double f(const double *x, int64_t n, void *data)``: x is C-contiguous, with n
    entries in all. It cannot raise; it returns NaN where it is not defined.

    Parameters
    ----------
    function : pointer to a function
        Of ctypes (with ``restype = ctypes.c_double``), of cffi, a `scipy.LowLevelCallable`, or a
        `numba.cfunc`. It is kept alive as long as the objective.
    data : optional
        What the function gets as its third argument: a C-contiguous array, a ctypes object (its address is
        passed; of a ctypes pointer, its value), a cffi pointer, an address, or None for NULL. It is kept alive,
        not copied. Default: the user_data of a `scipy.LowLevelCallable`, else NULL.
    thread_safe : bool, optional
        False for a function that must not run twice at once (static variables, scratch memory in `data`): then
        evaluations run one by one, also those of several checks in several threads, and the report says so.

    Returns
    -------
    CObjective
        To be passed as ``f`` to the checks; ``.compiled`` is a Numba function for use in compiled code.

    Raises
    ------
    TypeError
        If it is not a pointer to a function, or one with another prototype as far as it declares one.
    ValueError
        If the pointer is NULL, or `data` is an array that is not C-contiguous.

    Notes
    -----
    The function is called without the interpreter lock. An exception in a `numba.cfunc` is printed by Numba and its
    value is 0: pass the Python function through ``numba.njit`` instead.

    Examples
    --------
    >>> import numba, fastgrad
    >>> from numba import types
    >>> @numba.cfunc(types.float64(types.CPointer(types.float64), types.int64, types.voidptr))
    ... def f(x, n, data):
    ...     return x[0] ** 2 + x[1] ** 2
    >>> fastgrad.check_gradient(fastgrad.c_objective(f), [3.0, 4.0], [6.0, 8.0]).verdict
    <Verdict.MATCH: 'match'>
    """
    if is_low_level_callable(function):
        data = function.user_data if data is None else data
        function = function.function
    require_prototype(function)
    address = address_of_function(function)
    if not address:
        raise ValueError("function is a NULL pointer; need a pointer to a function.")
    alone = None if switch(thread_safe, "thread_safe") else NOT_THREAD_SAFE
    # For checkpoints. An address is not the same in another process.
    stands_for = {".function": function, ".data": None if is_whole(data) else data}
    compiled = _compiled(address, address_of_data(data), stands_for)
    return CObjective(compiled, alone)


def _compiled(address: int, data: int, stands_for: dict[str, Any]) -> Callable[..., float]:
    # Compiled code checks the type of the array this way; Python, for which x.ctypes is untyped, needs another.
    pointer_type = ctypes.c_void_p if config.DISABLE_JIT else ctypes.POINTER(ctypes.c_double)
    pointer = ctypes.CFUNCTYPE(ctypes.c_double, pointer_type, ctypes.c_int64, ctypes.c_size_t)(address)
    pointer.keep_alive = stands_for  # type: ignore[attr-defined]

    def call(x):  # type: ignore[no-untyped-def]
        if not x.flags.c_contiguous:
            raise ValueError("x is not C-contiguous")
        return pointer(x.ctypes, x.size, data)

    call.stands_for = stands_for  # type: ignore[attr-defined]
    return numba.njit(call)  # type: ignore[no-any-return]
