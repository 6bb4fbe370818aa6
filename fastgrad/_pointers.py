"""Pointers to C functions and to their data, as ctypes, cffi, SciPy and Numba hand them out."""

import ctypes
import functools
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from numba.core.ccallback import CFunc
from numpy.typing import NDArray

from fastgrad._options import described

PROTOTYPE = "double f(const double *x, int64_t n, void *data)"
_WORDS = ("double", "double *", "int64", "void *")  # of its result and arguments
_CALLS_PYTHON = 4  # flag of functions of ctypes.PyDLL, which must hold the interpreter lock
_CtypesFunction: Any = ctypes._CFuncPtr  # type: ignore[attr-defined]


def is_c_function(function: Any) -> bool:
    """Whether it is a pointer to a function, of a kind known here."""
    return (
        isinstance(function, CFunc | _CtypesFunction)
        or is_low_level_callable(function)
        or (_is_cffi(function) and _cffi().typeof(function).kind == "function")
    )


def is_low_level_callable(function: Any) -> bool:
    """Whether it is a scipy.LowLevelCallable, which holds a pointer and its data."""
    return type(function).__name__ == "LowLevelCallable" and hasattr(function, "user_data")


# --- what a function declares ----------------------------------------------------------------------------------


def require_prototype(function: Any) -> None:
    """Raise TypeError if this is no pointer to a function, or one that declares another prototype."""
    declared = _declared(function)
    if declared is None:
        return
    fits = (
        len(declared) == len(_WORDS)
        and declared[0] == "double"
        and declared[1] in ("double *", "void *")
        and declared[2] == "int64"
        and declared[3].endswith("*")
    )
    if not fits:
        advice = "; ctypes takes int for the result until restype = ctypes.c_double is set" * (declared[0] == "int32")
        raise TypeError(
            f"function is declared as {declared[0]} f({', '.join(declared[1:])}); need {PROTOTYPE}{advice}."
        )


def _declared(function: Any) -> tuple[str, ...] | None:
    """Result and arguments in the words of C, or None if nothing is declared."""
    if isinstance(function, CFunc):
        signature = function._sig  # type: ignore[attr-defined]
        return tuple(_numba_word(kind) for kind in (signature.return_type, *signature.args))
    if isinstance(function, _CtypesFunction):
        return _declared_to_ctypes(function)
    if _is_cffi(function):
        kind = _cffi().typeof(function)
        if kind.kind == "function":
            return tuple(_cffi_word(part) for part in (kind.result, *kind.args))
    if type(function).__name__ == "PyCapsule":
        return _declared_by_name(_name_of_capsule(function))
    raise TypeError(
        f"function is {described(function)}; need a pointer to a C function of ctypes, cffi, "
        f"scipy.LowLevelCallable or numba.cfunc (for a function of a cffi module, ffi.addressof(lib, 'name'))."
    )


def _declared_to_ctypes(function: Any) -> tuple[str, ...]:
    if function._flags_ & _CALLS_PYTHON:
        raise TypeError("function is of ctypes.PyDLL, which needs the interpreter lock; load it with ctypes.CDLL.")
    arguments = _WORDS[1:] if function.argtypes is None else tuple(map(_ctypes_word, function.argtypes))
    return (_ctypes_word(function.restype), *arguments)


def _declared_by_name(name: bytes | None) -> tuple[str, ...] | None:
    """SciPy and Cython name a capsule by the declaration of its function."""
    declaration = re.fullmatch(r"(.+?)\s*\((.*)\)", (name or b"").decode(errors="replace"))
    if declaration is None:
        return None
    return tuple(_c_word(text) for text in (declaration[1], *declaration[2].split(",")))


def _c_word(text: str) -> str:
    """A type of C without its qualifiers and the name of the argument that may follow."""
    stars = " *" * (text.count("*") + text.count("["))
    words = [word for word in re.findall(r"\w+", text.partition("*")[0]) if word not in _QUALIFIERS]
    base = " ".join(words)
    for pattern, width in _INTEGERS.items():
        if re.search(pattern, base):
            return f"int{width}{stars}"
    return base.partition(" ")[0] + stars if words else text.strip()


_QUALIFIERS = ("const", "restrict", "volatile", "unsigned", "signed", "struct")
_INTEGERS = {  # of C, NumPy and Cython, by what their names have in common
    r"int64|longlong|long long": 64,
    r"int32": 32,
    r"int16|\bshort": 16,
    r"int8|\bchar": 8,
    r"intp|size_t|ptrdiff_t": 8 * ctypes.sizeof(ctypes.c_size_t),
    r"\blong\b(?! double)": 8 * ctypes.sizeof(ctypes.c_long),
    r"\bint\b": 8 * ctypes.sizeof(ctypes.c_int),
}


def _numba_word(kind: Any) -> str:
    if isinstance(kind, types.CPointer):
        return f"{_numba_word(kind.dtype)} *"
    if isinstance(kind, types.Integer):
        return f"int{kind.bitwidth}"
    return {types.voidptr: "void *", types.float64: "double"}.get(kind, str(kind))


def _ctypes_word(kind: Any) -> str:
    if kind is None or kind is ctypes.c_double:
        return "void" if kind is None else "double"
    if isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
        return f"{_ctypes_word(kind._type_)} *"
    if isinstance(kind, type) and issubclass(kind, ctypes._SimpleCData):
        code = kind._type_  # type: ignore[attr-defined]
        if code in "PzZ":
            return "void *"
        return f"int{8 * ctypes.sizeof(kind)}" if code in "bBhHiIlLqQ" else kind.__name__
    dtype = getattr(kind, "_dtype_", None)  # of numpy.ctypeslib.ndpointer
    return "double *" if dtype == np.float64 else f"{dtype or getattr(kind, '__name__', kind)} *"


def _cffi_word(kind: Any) -> str:
    if kind.kind == "pointer":
        return f"{_cffi_word(kind.item)} *"
    if kind.kind == "primitive" and kind.cname not in ("float", "double", "long double"):
        return f"int{8 * _cffi().sizeof(kind)}"
    return str(kind.cname)


# --- where a pointer points ------------------------------------------------------------------------------------


def address_of_function(function: Any) -> int:
    """Where the code is; the function must be kept alive."""
    if isinstance(function, CFunc):
        return function.address or 0
    if isinstance(function, _CtypesFunction):
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    return _address_in_cffi(function) if _is_cffi(function) else _address_in_capsule(function)


def address_of_data(data: Any) -> int:
    """What a function gets as its ``void *``; the data must be kept alive."""
    if data is None:
        return 0
    if isinstance(data, np.ndarray):
        return _address_of_array(data)
    if isinstance(data, int) and not isinstance(data, bool):
        if not 0 <= data < 1 << 64:
            raise ValueError(f"data is {data}, which is no address; need one from 0 to 2**64 - 1.")
        return data
    if isinstance(data, ctypes._Pointer | ctypes.c_void_p):
        return ctypes.cast(data, ctypes.c_void_p).value or 0
    if isinstance(data, ctypes.Structure | ctypes.Union | ctypes.Array | ctypes._SimpleCData):
        return ctypes.addressof(data)
    if _is_cffi(data) and _cffi().typeof(data).kind in ("pointer", "array"):
        return _address_in_cffi(data)
    if type(data).__name__ == "PyCapsule":
        return _address_in_capsule(data)
    raise TypeError(
        f"data is {described(data)}; need an array, a ctypes object or pointer, a cffi pointer, an address or None."
    )


def _address_of_array(data: NDArray[Any]) -> int:
    if not data.flags.c_contiguous:
        raise ValueError("data is an array that is not C-contiguous; need one that is: numpy.ascontiguousarray(data).")
    if data.dtype.hasobject:
        raise TypeError("data is an array of Python objects; need numbers, which a C function can read.")
    return data.ctypes.data


def _name_of_capsule(capsule: Any) -> bytes | None:
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    return get_name(capsule)  # type: ignore[no-any-return]


def _address_in_capsule(capsule: Any) -> int:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return get_pointer(capsule, _name_of_capsule(capsule)) or 0


def _is_cffi(value: Any) -> bool:
    return "_cffi_backend" in sys.modules and isinstance(value, sys.modules["_cffi_backend"]._CDataBase)


def _cffi() -> Any:
    return sys.modules["_cffi_backend"].FFI()


def _address_in_cffi(pointer: Any) -> int:
    return int(_cffi().cast("uintptr_t", pointer))


# --- what is there, for checkpoints ----------------------------------------------------------------------------


class _Place(ctypes.Structure):
    """What dladdr says of an address."""

    _fields_ = [
        ("library", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("start", ctypes.c_void_p),
    ]


def is_pointer(value: Any) -> bool:
    """Whether it is an object of C: pickling it is impossible, or would keep an address."""
    kinds = _CtypesFunction | ctypes._Pointer | ctypes.c_void_p | ctypes.Structure | ctypes.CDLL
    return isinstance(value, kinds) or _is_cffi(value) or type(value).__name__ == "PyCapsule"


def parts_of_pointer(value: Any) -> Iterator[tuple[str, Any]]:
    """What can be read there, and is the same in another process: nothing behind a pointer of unknown length."""
    if isinstance(value, ctypes.Structure):
        for name, kind, *_ in getattr(value, "_fields_", ()):
            if kind is not ctypes.c_void_p:
                yield f".{name}", getattr(value, name)
    elif isinstance(value, ctypes.CDLL):
        yield ".name", value._name
    elif isinstance(value, ctypes._Pointer):
        if value:
            yield ".contents", value.contents
    elif _is_cffi(value) and _cffi().typeof(value).kind != "function":
        yield from _contents_in_cffi(value)
    elif not isinstance(value, ctypes.c_void_p):
        yield from _place_of_function(value)


def _contents_in_cffi(value: Any) -> Iterator[tuple[str, Any]]:
    kind = _cffi().typeof(value)
    if kind.kind in ("pointer", "array") and value != _cffi().NULL and _is_plain_in_cffi(kind.item):
        yield ".contents", bytes(_cffi().buffer(value))


def _is_plain_in_cffi(kind: Any) -> bool:
    if kind.kind == "struct":
        return kind.fields is not None and all(_is_plain_in_cffi(field.type) for _, field in kind.fields)
    return _is_plain_in_cffi(kind.item) if kind.kind == "array" else kind.kind in ("primitive", "enum")


def _place_of_function(function: Any) -> Iterator[tuple[str, Any]]:
    """Contents of its library and where it is in there; of a callback, the Python function."""
    place, address = _Place(), address_of_function(function)
    find = getattr(ctypes.CDLL(None), "dladdr", None)
    if find is not None and find(ctypes.c_void_p(address), ctypes.byref(place)) and place.library:
        yield ".library", _digest_of_file(Path(place.library.decode()))
        yield ".offset", address - (place.base or 0)
    else:
        yield ".name", getattr(function, "__name__", None)
        yield ".callback", [inner for inner in (getattr(function, "_objects", None) or {}).values() if callable(inner)]


@functools.lru_cache(maxsize=64)
def _digest_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # the program itself may be known by a name that is no path
        return path.name
