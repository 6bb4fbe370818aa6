"""Checkpoints: every finished slice on disk before it counts, and found again by a later call.

The file is a line of JSON that says what was being checked, then records. A record is the values of one slice,
with its length in front and checksums of both. A process killed while writing leaves a last record without its
end, which is dropped; any other damage is named and the file is not used. Nothing in it is ever executed.
"""

import fcntl
import json
import math
import os
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._contents import digest
from fastgrad._identity import Settled, differing
from fastgrad._options import described
from fastgrad._prepared import SAME_VALUE

_FORMAT = "fastgrad checkpoint 2"
_BEGINNING = json.dumps({"format": _FORMAT})[:-1].encode()
_HEAD = struct.Struct("<4sQI")  # marker, length of the body, checksum of the two
_BODY = struct.Struct("<16s16sQBB")  # operation, shared arrays, items, inputs, outputs
_TAIL = struct.Struct("<I")
_MOST_LISTED = 3  # parts of an objective that differ, by name
_MARKER = b"FGR1"
_CHANGES = b"changes".ljust(16)  # in place of an operation: names of what f changes of itself

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """What is being checked."""

    x: str  # digest, as the next one
    step: str
    contents: Settled  # of the objective and its arguments
    value: float  # f(x)
    difference: float  # by which a second call differed

    def other_than(self, found: dict[str, Any]) -> str:
        """In which respects the header of a file is that of another check; empty if in none."""
        names = differing(found["contents"], self.contents)
        args, inside = (_listed([n for n in names if n.startswith("args[") == is_arg]) for is_arg in (True, False))
        details = {"x": found["x"] != self.x, "step": found["step"] != self.step, "args": args, "objective": inside}
        other = [
            f"{name} ({detail})" if isinstance(detail, str) else name for name, detail in details.items() if detail
        ]
        if other:
            return f"{' and '.join(other)} differ{'s' if len(other) == 1 else ''}"
        return "" if self._has_value_of(found) else f"f(x) is {self.value!r} and was {found['value']!r}"

    def _has_value_of(self, found: dict[str, Any]) -> bool:
        # A difference of two calls is one sample of the noise, which may have come out far too small.
        noise = 1000.0 * max(self.difference, found["difference"])
        apart = abs(self.value - found["value"])
        return math.isnan(self.value) == math.isnan(found["value"]) and not apart > noise + SAME_VALUE * abs(self.value)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more


_open: set["Journal"] = set()


def _after_fork() -> None:
    # A child that outlives this process, such as the worker of a pool, would keep the file locked.
    for journal in _open:
        journal.let_go()
    _open.clear()


os.register_at_fork(after_in_child=_after_fork)


class Journal:
    """The finished work of one check, in memory and in a file."""

    def __init__(self, path: str | os.PathLike[str], subject: Subject) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"checkpoint is {described(path)}; need the path of a file, new or begun before.")
        self._path = Path(path)
        self._known: dict[bytes, tuple[bytes, int]] = {}
        self._changing = {name for name, value in subject.contents.items() if value is None}
        self._file = self._opened()
        _open.add(self)
        try:
            self._read_or_begin(subject)
        except BaseException:
            self.close()
            raise

    def _opened(self) -> Any:
        # Unbuffered: after a failed write nothing is left that closing would try to write again.
        try:
            return open(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        except (OSError, ValueError) as error:
            error.add_note(f"checkpoint={str(self._path)!r} cannot be written; need a path in a writable folder")
            raise

    def _read_or_begin(self, subject: Subject) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{self._path} is in use by another check; need a path of its own for each.") from None
        except OSError:  # a file system that knows no locks
            pass
        data = self._file.read()
        # Or killed before the header was whole.
        is_new = b"\n" not in data and (data.startswith(_BEGINNING) or _BEGINNING.startswith(data))
        end = 0 if is_new else self._load(data, subject)
        self._file.truncate(end)
        self._file.seek(end)
        if is_new:
            self._write(json.dumps({"format": _FORMAT, **asdict(subject)}).encode() + b"\n")

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
        """Put a finished slice on disk, without those where f raised: it may be well again when called later."""
        well = status == 0
        if not well.any():
            return
        if not well.all():
            inputs, outputs, status = tuple(array[well] for array in inputs), outputs[:, well], status[well]
        body = _BODY.pack(_name(operation), shared, status.size, len(inputs), outputs.shape[0])
        body += b"".join(array.tobytes() for array in (*inputs, outputs, status))
        self._append(body)
        self._remember(_keys(operation, shared, inputs), outputs, status)

    def note_changes(self, names: list[str]) -> None:
        """Put on disk what f has changed of itself while it was checked, which later calls then leave out."""
        if not self._changing.issuperset(names):
            self._append(_BODY.pack(_CHANGES, bytes(16), 0, 0, 0) + json.dumps(names).encode())

    def close(self) -> None:
        """Close the file; what it holds stays."""
        _open.discard(self)
        try:
            # Closing alone leaves the lock to processes forked meanwhile that have not closed it yet.
            fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError:
            pass
        self.let_go()

    def let_go(self) -> None:
        """Close the file here; the lock stays with whoever else has it open."""
        self._file.close()

    def _append(self, body: bytes) -> None:
        self._write(_head(len(body)) + body + _TAIL.pack(zlib.crc32(body)))

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            error.filename = str(self._path)
            raise

    def _remember(self, keys: list[bytes], outputs: Rows, status: NDArray[np.uint8]) -> None:
        for k, key in enumerate(keys):
            self._known[key] = (outputs[:, k].tobytes(), int(status[k]))

    def _load(self, data: bytes, subject: Subject) -> int:
        """Read all whole records; the position behind the last one."""
        start = data.find(b"\n") + 1
        found = self._header(data[:start])
        while start < len(data):
            body = self._whole_body(data, start)
            if body is None:
                break
            self._read_body(body)
            start += _HEAD.size + len(body) + _TAIL.size
        found["contents"] |= dict.fromkeys(self._changing)
        other = subject.other_than(found)
        if other:
            raise ValueError(
                f"{self._path} belongs to another check: {other}. Pass another path, or delete the file to start anew."
            )
        return start

    def _header(self, line: bytes) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(line)
            if found["format"] != _FORMAT:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(
                f"{self._path} is not a checkpoint of this version of fastgrad; need its path, or that of a new file."
            ) from None
        return found

    def _whole_body(self, data: bytes, start: int) -> bytes | None:
        """The body of the record at `start`, or None for a last record that was not written to its end."""
        if len(data) - start < _HEAD.size:
            return None
        length = _HEAD.unpack_from(data, start)[1]
        body = data[start + _HEAD.size : start + _HEAD.size + length]
        tail = data[start + _HEAD.size + length : start + _HEAD.size + length + _TAIL.size]
        is_head = data.startswith(_head(length), start)
        if is_head and len(tail) < _TAIL.size:
            return None
        if not is_head or _TAIL.unpack(tail)[0] != zlib.crc32(body):
            raise ValueError(
                f"{self._path} is damaged at byte {start}; need an intact checkpoint. Delete the file to start anew."
            )
        return body

    def _read_body(self, body: bytes) -> None:
        operation, shared, count, n_inputs, n_outputs = _BODY.unpack_from(body)
        values = body[_BODY.size :]
        if operation == _CHANGES:
            self._changing |= set(json.loads(values))
            return
        width = 8 * count
        inputs = [values[k * width : (k + 1) * width] for k in range(n_inputs)]
        outputs = np.frombuffer(values[n_inputs * width : (n_inputs + n_outputs) * width]).reshape(n_outputs, count)
        status = np.frombuffer(values[(n_inputs + n_outputs) * width :], dtype=np.uint8)
        columns = [np.frombuffer(column, dtype="V8") for column in inputs]
        self._remember(_join(operation + shared, columns), outputs, status)


def _head(length: int) -> bytes:
    plain = _MARKER + length.to_bytes(8, "little")
    return _HEAD.pack(_MARKER, length, zlib.crc32(plain))


def _name(operation: str) -> bytes:
    return operation.encode().ljust(16)


def _keys(operation: str, shared: bytes, inputs: tuple[NDArray[Any], ...]) -> list[bytes]:
    return _join(_name(operation) + shared, [np.ascontiguousarray(array).view("V8") for array in inputs])


def _join(prefix: bytes, columns: list[NDArray[Any]]) -> list[bytes]:
    return [prefix + b"".join(item.tobytes() for item in row) for row in zip(*columns, strict=True)]


def shared_digest(arrays: tuple[Any, ...]) -> bytes:
    """The same in 16 bytes, for the arrays that all items of an operation share."""
    return bytes.fromhex(digest(*arrays))
