"""The gate for f: kind, arguments, return type, a compiled wrapper, and a trial that f behaves like a function."""

import contextlib
import functools
import inspect
import math
import types as python_types
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import config, types
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.core.registry import cpu_target

from fastgrad import _threads
from fastgrad._compiled.bridge import Block, load_arguments, load_shape, type_of
from fastgrad._compiled.kernels import value_at
from fastgrad._inputs import Array, Point, unflatten
from fastgrad._pointers import is_c_function
from fastgrad.foreign import NOT_THREAD_SAFE, CObjective, PythonObjective

# Two calls of a deterministic f agree to the bit; those of a threaded reduction agree to a few roundings.
_SAME_VALUE = 1e-12

_NO_ARGUMENTS = types.Tuple(())


@dataclass(frozen=True)
class Wrapper:
    """A compiled ``(x, block) -> float64`` around f, for one dtype, dimension and kind of arguments."""

    function: Any  # address, or a Python callable: of a PythonObjective, or when compilation is disabled
    has_parallel_loop: bool
    keep_alive: Any
    compiled_from: tuple[Any, Any] | None = None  # signature of f and its compiled version

    def is_current(self, f: Any) -> bool:
        """False once f has been recompiled."""
        return self.compiled_from is None or f.overloads.get(self.compiled_from[0]) is self.compiled_from[1]


@dataclass(frozen=True)
class Objective:
    """f bound to its extra arguments, ready for the kernels."""

    f: Callable[..., Any]
    args: tuple[Any, ...]
    shape: tuple[int, ...]
    wrapper: Wrapper
    block: Block | None
    fingerprints: tuple[int, ...]  # of the arguments, before f was called

    @property
    def function(self) -> Any:
        return self.wrapper.function

    @property
    def block_address(self) -> int:
        return 0 if self.block is None else self.block.address

    @property
    def alone(self) -> str | None:
        """Why evaluations run one by one, in the words of the report; None if they may run side by side."""
        if self.wrapper.has_parallel_loop:
            return "inside f"
        return self.f.alone if isinstance(self.f, CObjective | PythonObjective) else None

    def value(self, point: Array) -> tuple[float, int]:
        """f at a flat point, and whether it raised."""
        return self.run(value_at, point)  # type: ignore[no-any-return]

    def run(self, kernel: Any, *arguments: Any) -> Any:
        """A kernel on the calling thread; it runs as Python if f does."""
        if callable(self.function):
            kernel = getattr(kernel, "py_func", kernel)
        with self.launching():
            return kernel(self.function, self.block_address, *arguments)

    def launching(self) -> contextlib.AbstractContextManager[Any]:
        """Around every call of f: keeps calls apart if f, or Numba's layer under its parallel loops, needs it."""
        if self.wrapper.has_parallel_loop:
            return _threads.launching_parallel()
        return _threads.calling_alone() if self.alone == NOT_THREAD_SAFE else contextlib.nullcontext()

    def require_arguments_intact(self) -> None:
        """Raise if f has changed an array among its arguments."""
        for position, (was, now) in enumerate(zip(self.fingerprints, _fingerprints(self.args), strict=True)):
            if was != now:
                raise ValueError(refusal_to_write(f"args[{position}]"))

    def replay(self, point: Array, where: str) -> None:
        """Call f as Python would, so that its own exception arrives, with a note that says where."""
        try:
            with self.launching():
                _require_float(self.f(unflatten(point.copy(), self.shape), *self.args))
        except Exception as error:
            error.add_note(f"f raised at {where}")
            raise
        raise RuntimeError(
            f"f raised at {where}, but not when called there again; need an f that is deterministic and safe to "
            f"call from several threads at once. Look for shared work arrays or random numbers."
        )


def prepare(f: Any, point: Point, args: tuple[Any, ...]) -> Objective:
    """Check f against x and args and compile its wrapper (kept, so that a second check compiles nothing)."""
    if not isinstance(args, tuple):
        raise TypeError(f"args is a {type(args).__name__}; need a tuple, args=(data,) for a single argument.")
    if config.DISABLE_JIT or isinstance(f, PythonObjective):
        return _interpreted(f, point, args)
    compiled = compiled_function(f)
    if isinstance(f, CObjective):
        _require_plain_array(point, args)
    held = (point.shape, *args) if args or len(point.shape) != 1 else ()
    arguments_type = _type_of_arguments(args, held)
    dimension = len(point.shape)
    wrapper = _compile_wrapper(compiled, point.dtype, dimension, arguments_type)
    if not wrapper.is_current(compiled):
        _compile_wrapper.cache_clear()
        wrapper = _compile_wrapper(compiled, point.dtype, dimension, arguments_type)
    return Objective(f, args, point.shape, wrapper, Block(held) if held else None, _fingerprints(args))


def compiled_function(f: Any) -> Any:
    """The njit function that f is, or is adapted by; an error that says what to write instead if there is none."""
    if isinstance(f, CObjective):
        return f.compiled
    if not isinstance(f, Dispatcher) and not (config.DISABLE_JIT and callable(f)):
        raise TypeError(_what_instead(f))
    return f


def _require_plain_array(point: Point, args: tuple[Any, ...]) -> None:
    if args:
        raise TypeError("args is not empty, but a C objective takes x alone; use fastgrad.c_objective(f, data=...).")
    if not point.shape or point.dtype != np.float64:
        kind = f"an array of {point.dtype}" if point.shape else "a scalar"
        raise TypeError(f"x is {kind}; a C objective needs an array of float64: np.atleast_1d(x).astype(np.float64).")


def _interpreted(f: Any, point: Point, args: tuple[Any, ...]) -> Objective:
    if not callable(f):
        raise TypeError(_what_instead(f))

    def function(flat: Array) -> float:
        return _require_float(f(unflatten(flat, point.shape), *args))

    return Objective(f, args, point.shape, Wrapper(function, False, None), None, _fingerprints(args))


def _require_float(value: Any) -> float:
    if isinstance(value, float | np.floating):
        return float(value)
    raise TypeError(f"f returns {type(value).__name__}; need a float.")


def _what_instead(f: Any) -> str:
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


def _type_of_arguments(args: tuple[Any, ...], held: tuple[Any, ...]) -> Any:
    if not held:
        return _NO_ARGUMENTS
    for position, value in enumerate(args):
        if type_of(value) is None:
            raise TypeError(
                f"args[{position}] is a {type(value).__name__}, which compiled code cannot hold during a check; "
                f"need arrays, numbers, strings, tuples of them, numba.typed containers or jitclass instances."
            )
    return type_of(held)


@functools.lru_cache(maxsize=256)
def _compile_wrapper(f: Any, dtype: np.dtype[Any], dimension: int, arguments_type: Any) -> Wrapper:
    scalar = numba.from_dtype(dtype)
    x_type = types.Array(scalar, dimension, "C") if dimension else scalar
    extra = tuple(arguments_type)[1:]  # without the shape
    signature = _signature_of(f, (x_type, *extra))
    wrapper = _define_wrapper(f, dimension, arguments_type)
    # Compiled after f, with plain options: options of a caller leak into a callee that it compiles first.
    flat_type = types.Array(scalar, 1, "C")
    wrapper.compile((flat_type, types.intp))
    (compiled,) = wrapper.overloads.values()
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    has_parallel_loop = "@numba_parallel_for" in compiled.library.get_llvm_str()
    return Wrapper(address, has_parallel_loop, wrapper, (signature.args, f.overloads.get(signature.args)))


def _define_wrapper(f: Any, dimension: int, arguments_type: Any) -> Any:
    # float64(): a float32 result is widened here, once.
    load = load_arguments(arguments_type)
    shape = load_shape(dimension)
    if len(arguments_type) == 0:

        def wrapper(x, block):
            return np.float64(f(x))

    elif dimension == 1:

        def wrapper(x, block):
            return np.float64(f(*load(x, block)))

    elif dimension == 0:

        def wrapper(x, block):
            return np.float64(f(*load(x[0], block)))

    else:

        def wrapper(x, block):
            return np.float64(f(*load(x.reshape(shape(block)), block)))

    return numba.njit(wrapper)


def _signature_of(f: Any, arguments: tuple[Any, ...]) -> Any:
    """Compile f for these argument types with its own options and return its signature, or say what is wrong."""
    _require_arity(f, len(arguments) - 1)
    try:
        signature = numba.typeof(f).get_call_type(cpu_target.typing_context, arguments, {})
    except (NumbaError, TypeError) as error:
        raise TypeError(_why_not_compiled(f, arguments, error)) from error
    if signature is None:  # fixed signatures, none of which fits
        raise TypeError(_why_not_compiled(f, arguments, None))
    if not isinstance(signature.return_type, types.Float):
        raise TypeError(_wrong_return(f, signature.return_type))
    return signature


def _require_arity(f: Any, extra: int) -> None:
    parameters = inspect.signature(f.py_func)
    try:
        parameters.bind(*range(1 + extra))
    except TypeError:
        raise TypeError(
            f"f is {f.__name__}{parameters}, and would be called with x and {extra} extra argument"
            f"{'' if extra == 1 else 's'}; need the two to fit: pass the rest of its arguments with args=(...)."
        ) from None


def _why_not_compiled(f: Any, arguments: tuple[Any, ...], error: Exception | None) -> str:
    called = ", ".join(str(argument) for argument in arguments)
    if not f._can_compile:
        return (
            f"f has the fixed signatures {[str(s) for s in f.nopython_signatures]}, none of which takes ({called}); "
            f"need one that does: drop the signature from @numba.njit, or convert x."
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = next((line for line in lines if not line.startswith("Failed in")), type(error).__name__)
    return f"f does not compile for arguments ({called}): {detail}. The full message of Numba is chained above."


def _wrong_return(f: Any, kind: Any) -> str:
    advice = "return a float"
    if isinstance(kind, types.Integer | types.Boolean):
        advice = "a whole-valued objective has no derivative; write float(...) or start sums with 0.0"
    elif isinstance(kind, types.Array):
        advice = "return one number, for instance residual[0] or np.sum(...)"
    elif isinstance(kind, types.BaseTuple):
        advice = "return the value alone; wrap f if it also returns its gradient"
    elif isinstance(kind, types.Complex):
        advice = "return its real part or its magnitude"
    elif isinstance(kind, types.Optional | types.NoneType):
        advice = "return a float on every path"
    return f"f ({f.__name__}) returns {kind}; need a float: {advice}."


# --- a trial before anything is differentiated -----------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """Two evaluations at x: the value, and by how much the second one differed."""

    value: float
    difference: float

    @property
    def is_deterministic(self) -> bool:
        return self.difference == 0.0 or self.difference < _SAME_VALUE * abs(self.value)  # neither for NaN

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
    second, _ = objective.value(place)
    if not np.array_equal(place, point.flat):  # no NaN in x
        raise ValueError(refusal_to_write("x"))
    objective.require_arguments_intact()
    if first == second or (np.isnan(first) and np.isnan(second)):
        return Trial(first, 0.0)
    difference = abs(first - second)
    return Trial(first, math.inf if np.isnan(difference) else difference)


def refusal_to_write(what: str) -> str:
    return (
        f"f writes to {what}; need an f that only reads its arguments, because parallel evaluations would disturb "
        f"each other. Work on a copy inside f."
    )


def _fingerprints(args: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(_fingerprint(value) for value in args)


def _fingerprint(value: Any) -> int:
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return zlib.crc32(np.ascontiguousarray(value).view(np.uint8).data if value.size else b"")
    if isinstance(value, tuple):
        return hash(tuple(_fingerprint(member) for member in value))
    kind = getattr(value, "_numba_type_", None)
    if isinstance(kind, types.ClassInstanceType):  # of a jitclass, where work arrays like to live
        return hash(tuple(_fingerprint(getattr(value, name)) for name in kind.struct))
    return 0
