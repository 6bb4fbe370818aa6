"""What the command line reads: functions out of the user's modules, arrays out of NumPy files."""

import difflib
import importlib
import importlib.util
import os
import sys
import traceback
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

_OF_SPARSE = {"format", "shape", "data"}  # arrays that every sparse matrix is saved as, besides those of its format


class UnusableInput(Exception):
    """A request that cannot be carried out; the message is the line that the user reads."""


def object_named(target: str, *, role: str, otherwise: str = "") -> Any:
    """The object that FILE.py:NAME or package.module:NAME stands for; imports its module.

    `otherwise` is said if the target is nothing of this kind: what else it could be.
    """
    place, _, name = target.rpartition(":")
    if not (place and name):
        raise UnusableInput(
            f"{role} is {target!r}; need FILE.py:NAME or package.module:NAME, such as model.py:{role}{otherwise}."
        )
    module = _module_in(Path(place)) if place.endswith(".py") else _module_named(place)
    try:
        return getattr(module, name)
    except AttributeError:
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("__")]
        raise UnusableInput(f"{place} has no {name!r}; {_instead(name, own)}") from None


def _instead(wanted: str, available: Iterable[str]) -> str:
    names = sorted(available)
    close = difflib.get_close_matches(wanted, names)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"need one of its functions: {', '.join(names[:8])}." if names else "it defines no function."


def _module_in(path: Path) -> ModuleType:
    """The module in a file, under the name that a plain import of it would give.

    So a second file that imports the first meets the same module, and caches and pickles find its functions.
    """
    if not path.is_file():
        close = difflib.get_close_matches(str(path), [str(other) for other in path.parent.glob("*.py")])
        hint = f"did you mean {close[0]!r}?" if close else "need the path of a Python file, seen from this folder."
        raise UnusableInput(f"there is no file {str(path)!r}; {hint}")
    path = path.resolve()
    known = sys.modules.get(path.stem)
    if known is None:
        return _import_file(path, path.stem)
    if getattr(known, "__file__", None) == str(path):
        return known
    # Another module has the name: model.py of another folder, or a library that is called the same.
    name = f"{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
    return sys.modules.get(name) or _import_file(path, name)


def _import_file(path: Path, name: str) -> ModuleType:
    _search_first(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # the path ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UnusableInput(_why_not_imported(str(path), error)) from error
    return module


def _module_named(name: str) -> ModuleType:
    _search_first(os.getcwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise UnusableInput(_why_not_imported(name, error)) from error


def _search_first(folder: str) -> None:
    """Put a folder in front of the module search path, for good: functions may import when they are called."""
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _why_not_imported(place: str, error: BaseException) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
    where = f" (line {lines[-1]})" if lines else ""
    advice = "need a module that imports without an error"
    if "relative import" in str(error):
        advice = "a file of a package is named with dots: package.module:NAME, run from the folder above it"
    elif isinstance(error, SystemExit):
        advice = 'put the part that runs as a script under if __name__ == "__main__"'
    return f"cannot import {place}{where}: {type(error).__name__}: {error}; {advice}."


# --- arrays --------------------------------------------------------------------------------------------------------


def point_in(text: str, dtype: str | None) -> Any:
    """x from a .npy file (its own shape), from named arrays (.npz) or from numbers separated by commas (1-D)."""
    if text.endswith(".npz"):
        return {name: _converted(array, dtype) for name, array in named_arrays_in(text, role="--at").items()}
    if text.endswith(".npy"):
        x = array_in(text, role="--at")
    else:
        x = np.array([_number(part, text) for part in text.split(",")])
    return _converted(x, dtype)


def _converted(x: Any, dtype: str | None) -> Any:
    # What is no real number is left to the gate of the check, which says so.
    return x.astype(dtype) if dtype is not None and x.dtype.kind in "iuf" else x


def _number(part: str, text: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise UnusableInput(
            f"--at is {text!r}, and {part!r} is not a number; need numbers separated by commas, such as 1,2.5,-3, "
            f"or a .npy or .npz file."
        ) from None


def array_in(path: str, *, role: str) -> Any:
    """The array in a .npy file."""
    loaded = _load(path, role, "numpy.save(path, array)")
    if not isinstance(loaded, np.ndarray):
        raise UnusableInput(f"{role}: {path} holds several arrays; need one, written by numpy.save(path, array).")
    return loaded


def arrays_in(path: str) -> tuple[Any, ...]:
    """The arrays in a .npz file, in the order they were saved; those of shape () as Python scalars."""
    arrays = named_arrays_in(path, role="--args").values()
    return tuple(array if array.shape else array.item() for array in arrays)


def named_arrays_in(path: str, *, role: str) -> dict[str, Any]:
    """The arrays in a .npz file by their names, in the order they were saved."""
    loaded = _load(path, role, "numpy.savez(path, first, second)")
    if isinstance(loaded, np.ndarray):
        raise UnusableInput(f"{role}: {path} holds one bare array; need a file written by numpy.savez(path, array).")
    try:
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:
        raise UnusableInput(_why_not_read(path, role, error)) from error


def matrix_or_arrays_in(path: str, *, role: str) -> Any:
    """The sparse matrix in a file of scipy.sparse.save_npz; or the arrays in another .npz file by their names."""
    arrays = named_arrays_in(path, role=role)
    if not _OF_SPARSE <= arrays.keys():
        return arrays
    try:
        from scipy.sparse import load_npz  # type: ignore[import-untyped]
    except ImportError as error:
        raise UnusableInput(
            f"{role}: {path} holds a sparse matrix, and SciPy is missing: pip install scipy."
        ) from error
    try:
        return load_npz(path)
    except Exception as error:
        raise UnusableInput(_why_not_read(path, role, error)) from error


def _load(path: str, role: str, writer: str) -> Any:
    if not Path(path).is_file():
        raise UnusableInput(f"{role}: there is no file {path!r}; need one written by {writer}.")
    try:
        return np.load(path)
    except Exception as error:  # a torn file raises whatever its decoder meets first
        raise UnusableInput(_why_not_read(path, role, error)) from error


def _why_not_read(path: str, role: str, error: Exception) -> str:
    why = str(error).partition(". ")[0]  # NumPy goes on with how to load untrusted objects
    return (
        f"{role}: {path} cannot be read ({type(error).__name__}: {why}); need arrays of numbers, no Python objects, "
        f"written by numpy.save or numpy.savez."
    )
