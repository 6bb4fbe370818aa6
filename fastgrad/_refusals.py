"""Why an f cannot be used, and what to write instead: the texts of the gate for objectives."""

import functools
import inspect
import types as python_types
from typing import Any

import numpy as np
from numba import types
from numba.core.ccallback import CFunc

from fastgrad._pointers import is_c_function


def what_instead(f: Any) -> str:
    if isinstance(f, CFunc):
        return "f is a numba cfunc; need an njit function: use @numba.njit instead, or fastgrad.c_objective(f)."
    if is_c_function(f):
        return f"f is a C function ({type(f).__name__}); need an objective: pass fastgrad.c_objective(f)."
    if isinstance(f, np.ufunc) or type(f).__name__ in ("DUFunc", "GUFunc"):
        return "f is a ufunc, which works element by element; need an njit function that returns one float."
    if isinstance(f, functools.partial):
        return "f is a functools.partial; need an njit function: pass the bound values with args=(...)."
    if isinstance(f, python_types.MethodType) or type(f).__name__ == "BoundMethod":
        return "f is a method; need an njit function f(x, obj) that calls obj.method(x), with args=(obj,)."
    if callable(f):
        return (
            f"f is {_name(f)}, not compiled; need a numba-compiled function: decorate it with @numba.njit, or pass "
            f"fastgrad.python_objective(f) to run it as Python, one evaluation at a time."
        )
    return f"f is a {type(f).__name__}; need a function compiled with @numba.njit."


def _name(f: Any) -> str:
    return f"the Python function {f.__name__}" if inspect.isfunction(f) else f"a Python {type(f).__name__}"


def require_arity(f: Any, extra: int) -> None:
    parameters = inspect.signature(f.py_func)
    try:
        parameters.bind(*range(1 + extra))
    except TypeError:
        raise TypeError(
            f"f is {f.__name__}{parameters}, and would be called with x and {extra} extra argument"
            f"{'' if extra == 1 else 's'}; need the two to fit: pass the rest of its arguments with args=(...)."
        ) from None


def why_not_compiled(f: Any, arguments: tuple[Any, ...], error: Exception | None) -> str:
    called = ", ".join(str(argument) for argument in arguments)
    if not f._can_compile:
        return (
            f"f has the fixed signatures {[str(s) for s in f.nopython_signatures]}, none of which takes ({called}); "
            f"need one that does: drop the signature from @numba.njit, or convert x."
        )
    advice = _COMPLEX_ADVICE if takes_complex(arguments) else ""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = next((line for line in lines if not line.startswith("Failed in")), type(error).__name__)
    return f"f does not compile for arguments ({called}): {detail}. {advice}The full message of Numba is chained above."


def takes_complex(arguments: tuple[Any, ...]) -> bool:
    """Whether the first of these types is complex, or an array of complex numbers."""
    return isinstance(getattr(arguments[0], "dtype", arguments[0]), types.Complex)


def wrong_return(f: Any, kind: Any, x_is_complex: bool) -> str | None:
    """What is wrong with the type that f returns; None if it is as needed: a float, or complex for a complex x."""
    if isinstance(kind, types.Complex if x_is_complex else types.Float):
        return None
    if isinstance(kind, types.Float):
        return (
            f"f ({f.__name__}) returns {kind} for a complex x; need a complex number, whose imaginary part carries the "
            f"derivative: abs, .real, a norm or a float array drop it. Write z * z for abs(z)**2 and "
            f"np.sqrt(np.sum(z * z)) for a norm, or take differences: drop fastgrad.steps.ComplexStep."
        )
    needed = "complex number" if x_is_complex else "float"
    return f"f ({f.__name__}) returns {kind}; need a {needed}: {_advice_on_return(kind, needed)}."


def _advice_on_return(kind: Any, needed: str) -> str:
    if isinstance(kind, types.Integer | types.Boolean):
        return "a whole-valued objective has no derivative; write float(...) or start sums with 0.0"
    if isinstance(kind, types.Array):
        return "return one number, for instance residual[0] or np.sum(...)"
    if isinstance(kind, types.BaseTuple):
        return "return the value alone; wrap f if it also returns its gradient"
    if isinstance(kind, types.Complex):
        return "return its real part or its magnitude"
    if isinstance(kind, types.Optional | types.NoneType):
        return "return a float on every path"
    return f"return a {needed}"


_COMPLEX_ADVICE = (
    "A complex step needs an f without comparisons of x, math.* and float work arrays (use np.*, np.zeros_like(x)); "
    "differences do not: drop fastgrad.steps.ComplexStep. "
)
