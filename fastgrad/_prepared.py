"""What all kinds of functions have in common: wrapper, arguments in native form, how they are called and replayed."""

import abc
import contextlib
import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import config, types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.core.registry import cpu_target

from fastgrad import _threads
from fastgrad._calls import Named, require_fit
from fastgrad._compiled.bridge import Block, type_of
from fastgrad._inputs import Array
from fastgrad._options import described
from fastgrad._refusals import what_instead, why_not_compiled
from fastgrad.foreign import NOT_THREAD_SAFE, CObjective, PythonObjective

# Two calls of a deterministic f agree to the bit; those of a threaded reduction agree to a few roundings.
SAME_VALUE = 1e-12

_NO_ARGUMENTS = types.Tuple(())


@dataclass(frozen=True)
class Wrapper:
    """Compiled code around f, for one dtype, dimension and kind of arguments.

    ``(x, block) -> float64``, or ``(x, out, block) -> int64`` for a vector function.
    """

    function: Any  # address, or a Python callable: of a PythonObjective, or when compilation is disabled
    has_parallel_loop: bool
    keep_alive: Any
    compiled_from: tuple[Any, Any] | None = None  # signature of f and its compiled version

    def is_current(self, f: Any) -> bool:
        """False once f has been recompiled."""
        return self.compiled_from is None or f.overloads.get(self.compiled_from[0]) is self.compiled_from[1]


@dataclass(frozen=True)
class Prepared(abc.ABC):
    """A function bound to its extra arguments, ready for the kernels."""

    named: Named
    args: tuple[Any, ...]
    shape: tuple[int, ...]
    wrapper: Wrapper
    block: Block | None
    fingerprints: tuple[int, ...]  # of the arguments, before f was called

    @property
    def f(self) -> Callable[..., Any]:
        """As the user has it."""
        return self.named.function  # type: ignore[no-any-return]

    @property
    def function(self) -> Any:
        return self.wrapper.function

    @property
    def block_address(self) -> int:
        return 0 if self.block is None else self.block.address

    @functools.cached_property
    def alone(self) -> str | None:
        """Why evaluations run one by one, in the words of the report; None if they may run side by side."""
        if self.wrapper.has_parallel_loop:
            return "inside f"
        return self.f.alone if isinstance(self.f, CObjective | PythonObjective) else None

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
        return _threads.calling_alone() if self.alone == NOT_THREAD_SAFE else _threads.FREE

    def require_arguments_intact(self) -> None:
        """Raise if f has changed an array among its arguments."""
        for position, (was, now) in enumerate(zip(self.fingerprints, fingerprints(self.args), strict=True)):
            if was != now:
                raise ValueError(self.refusal_to_write(f"args[{position}]"))

    @abc.abstractmethod
    def call(self, point: Array) -> Any:
        """Call f as Python would, at a flat point; raises what f raises, and if what it returns is of no use."""

    def replay(self, point: Array, where: str) -> None:
        """Call f as Python would, so that its own exception arrives, with a note that says where."""
        try:
            with self.launching():
                self.call(point.copy())
        except Exception as error:
            error.add_note(f"{self.named.name} raised at {where}")
            raise
        raise RuntimeError(
            f"{self.named.name} raised at {where}, but not when called there again; need a function that is "
            f"deterministic and safe to call from several threads at once. Look for shared work arrays or random "
            f"numbers."
        )

    def refusal_to_write(self, what: str) -> str:
        name = self.named.name
        return (
            f"{name} writes to {what}; need {'an' if name in 'fF' else 'a'} {name} that only reads its arguments, "
            f"because parallel evaluations would disturb each other. Work on a copy inside {name}."
        )


def compiled_function(given: Named) -> Any:
    """The njit function that it is, or is adapted by; an error that says what to write instead if there is none."""
    f = given.function
    if isinstance(f, CObjective):
        return f.compiled
    if not isinstance(f, Dispatcher) and not (config.DISABLE_JIT and callable(f)):
        raise TypeError(what_instead(given))
    return f


def type_of_arguments(args: tuple[Any, ...], held: tuple[Any, ...]) -> Any:
    """Numba's type of what a Block holds, the shape and `args`; an error that names the argument that has none."""
    if not held:
        return _NO_ARGUMENTS
    kind = type_of(held)
    if kind is None:
        position, value = next((k, value) for k, value in enumerate(args) if type_of(value) is None)
        raise TypeError(
            f"args[{position}] is {described(value)}, which compiled code cannot hold during a check; "
            f"need arrays, numbers, strings, tuples of them, numba.typed containers or jitclass instances."
        )
    return kind


def signature_of(given: Named, arguments: tuple[Any, ...]) -> Any:
    """Compile it for these argument types with its own options and return its signature, or say why not."""
    require_fit(given.function, f"{given.name}(x, *args)", len(arguments))
    try:
        signature = numba.typeof(given.function).get_call_type(cpu_target.typing_context, arguments, {})
    except (NumbaError, TypeError) as error:
        raise TypeError(why_not_compiled(given, arguments, error)) from error
    if signature is None:  # fixed signatures, none of which fits
        raise TypeError(why_not_compiled(given, arguments, None))
    return signature


def compile_wrapper(wrapper: Any, arguments: tuple[Any, ...], f: Any, signature: Any) -> Wrapper:
    """Compile a wrapper, and take its address.

    After f, with plain options: options of a caller leak into a callee that it compiles first.
    """
    wrapper.compile(arguments)
    (compiled,) = wrapper.overloads.values()
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    has_parallel_loop = "@numba_parallel_for" in compiled.library.get_llvm_str()
    return Wrapper(address, has_parallel_loop, wrapper, (signature.args, f.overloads.get(signature.args)))


def fingerprints(args: tuple[Any, ...]) -> tuple[int, ...]:
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
