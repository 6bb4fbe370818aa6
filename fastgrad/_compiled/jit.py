"""How fastgrad's own kernels are compiled and cached: the one place for compile options."""

import contextlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit, types
from numba.core.caching import FunctionCache

# nogil: any kernel may run on a plain Python thread while others work.
# error_model="numpy": a division by zero in a kernel gives inf or nan, which the judge sees; Python's model
# would raise inside a parallel loop, where exceptions are lost.
# Never fastmath near an objective or a step: it folds (x + h) - (x - h) to 2 h.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

_DISABLE_CACHE = "FASTGRAD_DISABLE_CACHE"


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a kernel: njit with our options and, where a place can be found, the disk cache."""

    def decorate(function: Callable[..., Any]) -> Any:
        compiled: Any = njit(**_OPTIONS, **options)(function)
        if not config.DISABLE_JIT and not os.environ.get(_DISABLE_CACHE):
            try:
                compiled._cache = _KernelCache(function)
            except RuntimeError as error:  # numba found no writable place: compile anew in every process
                _warn_uncached(str(error))
        return compiled

    return decorate


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Numba's disk cache, except that a broken or full disk costs a compilation and never the check."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        # Numba's stamp is that of the file of the function alone; a kernel also inlines helpers that live in
        # the other files of this folder (and of no other), and must not outlive an edit to one of them.
        self._cache_file._source_stamp = _STAMP

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        if not _is_portable(signature):
            return None
        try:
            found = super().load_overload(signature, target_context)
        except Exception:  # a torn file raises whatever pickle meets first
            self._start_anew()
            return None
        # Two processes that fill an empty cache at the same time can store two kernels under one name.
        return found if found is not None and found.signature.args == signature else None

    def save_overload(self, signature: Any, result: Any) -> None:
        if not _is_portable(signature):
            return
        try:
            super().save_overload(signature, result)
        except Exception as error:
            self._start_anew()  # the index may already name a file that was not written
            _warn_uncached(f"{type(error).__name__}: {error}")

    def _start_anew(self) -> None:
        with contextlib.suppress(OSError):
            self.flush()


def _is_portable(signature: Any) -> bool:
    """Whether the argument types mean the same in another process (a jitclass or a function does not)."""
    arguments = signature if isinstance(signature, tuple) else signature.args
    return all(_is_plain(argument) for argument in arguments)


def _is_plain(kind: Any) -> bool:
    if isinstance(kind, types.Array):
        return _is_plain(kind.dtype)
    if isinstance(kind, types.BaseAnonymousTuple):
        return all(_is_plain(member) for member in kind)
    return isinstance(kind, types.Number | types.Boolean)


def _stamp_of_folder() -> tuple[float, int]:
    states = [path.stat() for path in Path(__file__).parent.glob("*.py")]
    return max(state.st_mtime for state in states), sum(state.st_size for state in states)


def _warn_uncached(why: str) -> None:
    """Once per process: what keeps one kernel from the disk keeps them all."""
    global _has_warned
    if _has_warned:
        return
    _has_warned = True
    warnings.warn(
        f"fastgrad's kernels are compiled anew in this process (a few seconds), because the disk cache could "
        f"not be used: {why}. Set NUMBA_CACHE_DIR to a writable folder, or {_DISABLE_CACHE}=1 to stop trying.",
        RuntimeWarning,
        stacklevel=3,
    )


_STAMP = _stamp_of_folder()
_has_warned = False
