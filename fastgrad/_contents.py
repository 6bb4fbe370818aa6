"""What values are made of: a digest for those that are plain data, named parts for all others.

The same program gives the same answers in another process: nothing rests on addresses, on hash(), or on the order of
a set. Libraries are known by name. What has no contents that can be read (a lock, a file, memory behind a pointer) is
known by its kind.
"""

import dis
import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np

from fastgrad._pointers import is_pointer, parts_of_pointer

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})
_PRESENT_IN_PLACE = frozenset({"fastgrad", "numba", "numpy", "scipy"})  # libraries, wherever they are installed
_NO_CELL = CellType()
_LONGEST_KEY = 60  # of a dict, as part of a name
_MANY = 1000  # numbers or words in a dict, which then have no names of their own

Parts = Iterator[tuple[str, Any]]


def digest(*parts: Any) -> str:
    """A short name for contents: arrays by dtype, shape and bytes, everything else by repr."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype} {part.shape}".encode())
            if part.nbytes:
                sha.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        elif isinstance(part, tuple):
            sha.update(digest(*part).encode())
        else:
            sha.update(repr(part).encode())
    return sha.hexdigest()[:32]


# --- plain data ------------------------------------------------------------------------------------------------


def leaf(value: Any) -> str | None:
    """A digest of plain data; None of what has parts."""
    if _is_plain(value):
        return digest(type(value).__name__, repr(value))
    if type(value) is np.ndarray and not value.dtype.hasobject:
        return digest(value)
    if isinstance(value, np.generic | np.dtype | np.ufunc):
        return digest(type(value).__name__, str(getattr(value, "dtype", "")), repr(value))
    if isinstance(value, CodeType):
        return digest(*_pieces_of_code(value))
    if type(value) is dict and len(value) > _MANY and all(map(_is_plain, value.items())):
        return digest("".join(sorted(map(repr, value.items()))))
    if isinstance(value, set | frozenset):
        return digest(type(value).__name__, *sorted(repr(member) for member in value if _is_plain(member)))
    if type(value).__module__.startswith("numba.core.types"):
        return digest(str(value))
    return None


def _is_plain(value: Any) -> bool:
    kind = type(value)
    return kind in _ATOMS or (kind in (tuple, list) and all(map(_is_plain, value)))


def _pieces_of_code(code: CodeType) -> list[Any]:
    shape = (code.co_argcount, code.co_kwonlyargcount, code.co_flags)
    return [code.co_code, code.co_exceptiontable, shape, code.co_names, *map(_constant, code.co_consts)]


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return digest(*_pieces_of_code(value))
    if isinstance(value, tuple | frozenset):  # repr of a set of strings has another order in each process
        members = [_constant(member) for member in value]
        return digest(type(value).__name__, *(sorted(members) if isinstance(value, frozenset) else members))
    return repr(value)


# --- parts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Used:
    """A module, and the names that code which refers to it uses."""

    module: ModuleType
    names: tuple[str, ...]


def parts_of(value: Any, own: str) -> Parts:
    """What a value is made of, by names; `own` is the package that counts as the user's, even if installed."""
    is_library = _is_library(package_of(value), own)
    if isinstance(value, FunctionType):
        return _of_function(value, is_library)
    if isinstance(value, Used):
        return iter(()) if is_library else _of_module(value)
    if isinstance(value, type):
        return (
            iter([("._fields", value._fields)] if hasattr(value, "_fields") else ()) if is_library else _of_class(value)
        )
    if isinstance(value, dict):
        return iter(sorted(((f"[{_key(key)}]", part) for key, part in value.items()), key=itemgetter(0)))
    if isinstance(value, tuple | list):
        return ((f"[{k}]", member) for k, member in enumerate(value))
    if isinstance(value, BuiltinFunctionType | MethodType | MethodWrapperType):
        return _of_method(value)
    return _of_pointer_or_object(value, is_library)


def _key(key: Any) -> str:
    text = repr(key) if _is_plain(key) else leaf(key) or type(key).__qualname__
    return text if len(text) <= _LONGEST_KEY else digest(text)


def kind_of(value: Any) -> str:
    """What it is, besides its parts; a class, module or function of a library by its name."""
    if isinstance(value, Used):
        return value.module.__name__.rpartition(".")[2]
    by_name = type | BuiltinFunctionType | MethodType | MethodWrapperType
    return f"{type(value).__qualname__} {value.__qualname__ if isinstance(value, by_name) else ''}"


def _of_function(function: Any, is_library: bool) -> Parts:
    stands_for = getattr(function, "stands_for", None)
    if stands_for is not None:  # a C function: its closure holds addresses
        yield from stands_for.items()
        return
    code = function.__code__
    yield ".__code__", code
    names = _names(code)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if cell != _NO_CELL:
            yield f".{name}", _used(cell.cell_contents, names)
    for name in ("__defaults__", "__kwdefaults__"):
        if getattr(function, name):
            yield f".{name}", getattr(function, name)
    if not is_library:
        for name in names:
            if name in function.__globals__:
                yield f".{name}", _used(function.__globals__[name], names)
        for name in sorted(_imported(function)):
            yield f".{name}", _used(sys.modules[name], names)


def _of_module(used: Used) -> Parts:
    inside = vars(used.module)
    return ((f".{name}", _used(inside[name], used.names)) for name in used.names if name in inside)


def _of_class(value: type) -> Parts:
    compiled = getattr(value, "class_type", None)
    if compiled is not None:  # a jitclass
        yield from _of_compiled_class(compiled)
        return
    for name, part in vars(value).items():
        function = getattr(part, "fget", getattr(part, "__func__", getattr(part, "func", part)))
        if isinstance(function, FunctionType) or hasattr(function, "py_func"):
            yield f".{name}", function
        elif not name.startswith("__") and leaf(part) is not None:
            yield f".{name}", part
    for base in value.__bases__:
        yield f".{base.__name__}", base


def _of_compiled_class(kind: Any) -> Parts:
    yield ".struct", str(kind.struct)
    for methods in (kind.jit_methods, kind.jit_static_methods):
        for name in sorted(methods):
            yield f".{name}", methods[name]
    for name in sorted(kind.jit_props):
        yield f".{name}", kind.jit_props[name].get("get")


def _of_method(method: Any) -> Parts:
    if isinstance(method, MethodType):
        yield "", method.__func__
    if not isinstance(method.__self__, ModuleType | None):
        yield ".self", method.__self__


def _of_pointer_or_object(value: Any, is_library: bool) -> Parts:
    for name in ("py_func", "__wrapped__", "_pyfunc", "_dispatcher"):  # compiled or decorated
        inner = getattr(value, name, None)
        if callable(inner):
            yield "", inner
            if hasattr(value, "targetoptions"):
                yield ".options", value.targetoptions
            return
    if isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
        return
    if is_pointer(value):
        yield from parts_of_pointer(value)
        return
    compiled: Any = getattr(value, "_numba_type_", None)
    if hasattr(compiled, "class_type"):
        yield ".class", type(value)
        yield from _of_compiled_class(compiled.class_type)
        yield from ((f".{name}", getattr(value, name)) for name in compiled.struct)
    elif type(value).__module__.startswith("numba.typed"):
        yield "", dict(value) if hasattr(value, "keys") else list(value)
    else:
        yield from _of_object(value, is_library)


def _of_object(value: Any, is_library: bool) -> Parts:
    """What pickling would keep of it; if that is impossible, its attributes, those of libraries being handles."""
    try:
        reduced = value.__reduce_ex__(2)
    except RecursionError:
        raise
    except Exception:
        reduced = (None, (type(value),), None if is_library else getattr(value, "__dict__", None))
    if isinstance(reduced, str):
        yield ".name", reduced
        return
    _, arguments, state, members, items = (*reduced, None, None, None)[:5]
    state, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for attributes in (state, slots):
        if isinstance(attributes, dict):
            yield from ((f".{name}", attributes[name]) for name in sorted(attributes, key=repr))
        elif attributes is not None:
            yield ".state", attributes
    if arguments != (type(value),):
        yield ".arguments", arguments
    if members is not None:
        yield ".members", list(members)
    if items is not None:
        yield ".items", dict(items)
    yield ".class", type(value)


# --- names, and whose they are ---------------------------------------------------------------------------------


def _codes(code: CodeType) -> Iterator[CodeType]:
    """It and all code defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _names(code: CodeType) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in _codes(code) for name in part.co_names))


def _used(value: Any, names: tuple[str, ...]) -> Any:
    return Used(value, names) if isinstance(value, ModuleType) else value


def _imported(function: Any) -> set[str]:
    """Modules that the function imports when it runs, and has imported."""
    package, found = str(function.__globals__.get("__package__") or ""), set()
    for code in _codes(function.__code__):
        for name in (step.argval for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME"):
            found |= {name, f"{package}.{name}".strip(".")}
    return found & sys.modules.keys()


def package_of(value: Any) -> str:
    """The package that a function, class or module comes from; empty for other values."""
    name = value.module.__name__ if isinstance(value, Used) else getattr(value, "__module__", None)
    return name.partition(".")[0] if isinstance(name, str) else ""


def _is_library(package: str, own: str) -> bool:
    return package in _PRESENT_IN_PLACE or (package != own and _is_installed(package))


@functools.cache
def _is_installed(package: str) -> bool:
    if package in ("", "__main__"):
        return False
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None:
        return package in sys.stdlib_module_names
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    is_there = any(Path(file).is_relative_to(folder) for folder in folders)
    return is_there or not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
