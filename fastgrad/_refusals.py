"""Why a function cannot be used, and what to write instead: the texts of the gates for compiled functions."""

import functools
import inspect
import types as python_types
from typing import Any

import numpy as np
from numba import types
from numba.core.ccallback import CFunc

from fastgrad._calls import ONE_FLOAT, Named
from fastgrad._options import described
from fastgrad._pointers import is_c_function


def what_instead(given: Named) -> str:
    """For what is no compiled function."""
    f, name = given.function, given.name
    if isinstance(f, CFunc) or is_c_function(f):
        return f"{name} is {_what_instead_of_c(given)}"
    if isinstance(f, np.ufunc) or type(f).__name__ in ("DUFunc", "GUFunc"):
        return f"{name} is a ufunc, which works element by element; need an njit function that returns {given.returns}."
    if isinstance(f, functools.partial):
        return f"{name} is a functools.partial; need an njit function: pass the bound values with args=(...)."
    if isinstance(f, python_types.MethodType) or type(f).__name__ == "BoundMethod":
        return f"{name} is a method; need an njit function {name}(x, obj) that calls obj.method(x), with args=(obj,)."
    if callable(f):
        return (
            f"{name} is {_kind(f)}, not compiled; need a numba-compiled function: decorate it with @numba.njit, or "
            f"pass fastgrad.python_objective({name}) to run it as Python, one evaluation at a time."
        )
    return f"{name} is {described(f)}; need a function compiled with @numba.njit."


def _what_instead_of_c(given: Named) -> str:
    is_cfunc = isinstance(given.function, CFunc)
    kind = "a numba cfunc" if is_cfunc else f"a C function ({type(given.function).__name__})"
    if given.returns != ONE_FLOAT:
        return f"{kind}, which returns one number; need an njit function that returns {given.returns}."
    if is_cfunc:
        return f"{kind}; need an njit function: use @numba.njit instead, or fastgrad.c_objective({given.name})."
    return f"{kind}; need an objective: pass fastgrad.c_objective({given.name})."


def _kind(f: Any) -> str:
    return f"the Python function {f.__name__}" if inspect.isfunction(f) else f"a Python {type(f).__name__}"


def why_not_compiled(given: Named, arguments: tuple[Any, ...], error: Exception | None) -> str:
    """For a compiled function that refuses these types."""
    f, name, called = given.function, given.name, ", ".join(str(argument) for argument in arguments)
    if not f._can_compile:
        return (
            f"{name} has the fixed signatures {[str(s) for s in f.nopython_signatures]}, none of which takes "
            f"({called}); need one that does: drop the signature from @numba.njit, or convert x."
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = next((line for line in lines if not line.startswith("Failed in")), type(error).__name__)
    return (
        f"{name} does not compile for arguments ({called}): {detail.rstrip('.:')}; need {name} to compile for x and "
        f"args as given. {_advice_on_types(name, arguments)}The full message of Numba is chained above."
    )


def _advice_on_types(name: str, arguments: tuple[Any, ...]) -> str:
    if takes_complex(arguments):
        return _COMPLEX_ADVICE
    is_number = isinstance(arguments[0], types.Number)
    return f"x is a number here: pass [x] if {name} takes a vector. " if is_number else ""


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
