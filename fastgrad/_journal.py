"""Checkpoints: every finished slice on disk before it counts, and found again by a later call.

The file is a line of JSON that says what was being checked, then records. A record is the values of one slice,
with its length in front and a checksum behind. A process killed while writing leaves a last record without its
end, which is dropped; any other damage is named and the file is not used. Nothing in it is ever executed.
"""

import fcntl
import hashlib
import json
import os
import struct
import zlib
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._options import described

_FORMAT = "fastgrad checkpoint 1"
_HEAD = struct.Struct("<4sQ")  # marker and length of the body
_BODY = struct.Struct("<16s16sQBB")  # operation, shared arrays, items, inputs, outputs
_TAIL = struct.Struct("<I")
_MARKER = b"FGR1"

Rows = NDArray[np.float64]


class Journal:
    """The finished work of one check, in memory and in a file."""

    def __init__(self, path: str | os.PathLike[str], subject: dict[str, str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"checkpoint is {described(path)}; need the path of a file, new or begun before.")
        self._path = Path(path)
        self._known: dict[bytes, tuple[bytes, int]] = {}
        self._file = self._opened()
        try:
            self._read_or_begin(subject)
        except BaseException:
            self._file.close()
            raise

    def _opened(self) -> Any:
        # Unbuffered: after a failed write nothing is left that closing would try to write again.
        try:
            return open(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        except OSError as error:
            error.add_note(f"checkpoint={str(self._path)!r} cannot be written; need a path in a writable folder")
            raise

    def _read_or_begin(self, subject: dict[str, str]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{self._path} is in use by another check; need a path of its own for each.") from None
        except OSError:  # a file system that knows no locks
            pass
        data, header = self._file.read(), json.dumps({"format": _FORMAT, **subject}).encode() + b"\n"
        is_begun = not header.startswith(data)  # or killed before the header was whole
        end = self._load(data, subject) if is_begun else 0
        self._file.truncate(end)
        self._file.seek(end)
        if not is_begun:
            self._write(header)

    def recall(
        self, operation: str, shared: bytes, inputs: tuple[NDArray[Any], ...], outputs: Rows, status: NDArray[np.uint8]
    ) -> NDArray[np.int64]:
        """Fill in what is known; return the positions of the items that are not."""
        missing = []
        for k, key in enumerate(_keys(operation, shared, inputs)):
            found = self._known.get(key)
            if found is None:
                missing.append(k)
            else:
                outputs[:, k], status[k] = np.frombuffer(found[0]), found[1]
        return np.array(missing, dtype=np.int64)

    def record(
        self, operation: str, shared: bytes, inputs: tuple[NDArray[Any], ...], outputs: Rows, status: NDArray[np.uint8]
    ) -> None:
        """Put a finished slice on disk."""
        body = _BODY.pack(_name(operation), shared, status.size, len(inputs), outputs.shape[0])
        body += b"".join(array.tobytes() for array in (*inputs, outputs, status))
        self._write(_HEAD.pack(_MARKER, len(body)) + body + _TAIL.pack(zlib.crc32(body)))
        self._remember(_keys(operation, shared, inputs), outputs, status)

    def close(self) -> None:
        """Close the file; what it holds stays."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]
        os.fsync(self._file.fileno())

    def _remember(self, keys: list[bytes], outputs: Rows, status: NDArray[np.uint8]) -> None:
        for k, key in enumerate(keys):
            self._known[key] = (outputs[:, k].tobytes(), int(status[k]))

    def _load(self, data: bytes, subject: dict[str, str]) -> int:
        """Read all whole records; the position behind the last one."""
        start = data.find(b"\n") + 1
        self._require_same(data[:start], subject)
        while start < len(data):
            body = self._whole_body(data, start)
            if body is None:
                break
            self._read_body(body)
            start += _HEAD.size + len(body) + _TAIL.size
        return start

    def _require_same(self, header: bytes, subject: dict[str, str]) -> None:
        try:
            found = json.loads(header)
            if found.pop("format") != _FORMAT:
                raise ValueError
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ValueError(
                f"{self._path} is not a checkpoint of this version of fastgrad; need its path, or that of a new file."
            ) from None
        other = [name for name, digest in subject.items() if found.get(name) != digest]
        if other:
            raise ValueError(
                f"{self._path} belongs to another check: {' and '.join(other)} differ{'s' if len(other) == 1 else ''}. "
                f"Pass another path, or delete the file to start anew."
            )

    def _whole_body(self, data: bytes, start: int) -> bytes | None:
        """The body of the record at `start`, or None for a last record that was not written to its end."""
        if len(data) - start < _HEAD.size:
            return None
        marker, length = _HEAD.unpack_from(data, start)
        body = data[start + _HEAD.size : start + _HEAD.size + length]
        tail = data[start + _HEAD.size + length : start + _HEAD.size + length + _TAIL.size]
        if marker == _MARKER and len(tail) < _TAIL.size:
            return None
        if marker != _MARKER or _TAIL.unpack(tail)[0] != zlib.crc32(body):
            raise ValueError(
                f"{self._path} is damaged at byte {start}; need an intact checkpoint. Delete the file to start anew."
            )
        return body

    def _read_body(self, body: bytes) -> None:
        operation, shared, count, n_inputs, n_outputs = _BODY.unpack_from(body)
        values = body[_BODY.size :]
        width = 8 * count
        inputs = [values[k * width : (k + 1) * width] for k in range(n_inputs)]
        outputs = np.frombuffer(values[n_inputs * width : (n_inputs + n_outputs) * width]).reshape(n_outputs, count)
        status = np.frombuffer(values[(n_inputs + n_outputs) * width :], dtype=np.uint8)
        columns = [np.frombuffer(column, dtype="V8") for column in inputs]
        self._remember(_join(operation + shared, columns), outputs, status)


def _name(operation: str) -> bytes:
    return operation.encode().ljust(16)


def _keys(operation: str, shared: bytes, inputs: tuple[NDArray[Any], ...]) -> list[bytes]:
    return _join(_name(operation) + shared, [np.ascontiguousarray(array).view("V8") for array in inputs])


def _join(prefix: bytes, columns: list[NDArray[Any]]) -> list[bytes]:
    return [prefix + b"".join(item.tobytes() for item in row) for row in zip(*columns, strict=True)]


def digest(*parts: Any) -> str:
    """A short name for contents: arrays by dtype, shape and bytes, everything else by repr."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype} {part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, tuple):
            sha.update(digest(*part).encode())
        else:
            sha.update(repr(part).encode())
    return sha.hexdigest()[:32]


def shared_digest(arrays: tuple[Any, ...]) -> bytes:
    """The same in 16 bytes, for the arrays that all items of an operation share."""
    return bytes.fromhex(digest(*arrays))


def function_digest(function: Any) -> str:
    """A name for what a function computes: its code, defaults, closure, and the functions and constants it uses."""
    return digest(*_describe(getattr(function, "py_func", function), set()))


def _describe(function: Any, seen: set[int]) -> list[Any]:
    code = getattr(function, "__code__", None)
    if code is None or id(function) in seen:
        return [getattr(function, "__qualname__", repr(type(function)))]
    seen.add(id(function))
    used = [function.__globals__[name] for name in code.co_names if name in function.__globals__]
    used += [cell.cell_contents for cell in function.__closure__ or ()]
    parts: list[Any] = [*_code_parts(code), repr(function.__defaults__)]
    for value in used:
        inner = getattr(value, "py_func", value)
        if hasattr(inner, "__code__"):
            parts += _describe(inner, seen)
        elif isinstance(value, np.ndarray | int | float | complex | str | bytes | tuple | bool):
            parts.append(value)
    return parts


def _code_parts(code: CodeType) -> list[Any]:
    constants = [part for part in code.co_consts if not isinstance(part, CodeType)]
    inner = [piece for part in code.co_consts if isinstance(part, CodeType) for piece in _code_parts(part)]
    return [code.co_code, repr(constants), code.co_names, *inner]
