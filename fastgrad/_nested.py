"""Parameters as people keep them: named arrays in dicts, in lists, in named tuples; flat for the computation.

A branch is a dict, a named tuple, or, inside one of these, a list or tuple that holds arrays or branches; a list of
numbers is an array. What is a branch at the top is decided by `is_nested`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._causes.places import Block

Array = NDArray[Any]
Nested = Mapping[str, Any]  # of arrays, of such mappings, or of lists of these; named tuples pass as tuples


def is_nested(value: Any) -> bool:
    """Whether a value has named parts: a dict, a named tuple, or a list with one of these in it."""
    if isinstance(value, Mapping) or _is_named_tuple(value):
        return True
    if type(value) not in (list, tuple) or not value or isinstance(value[0], int | float):
        return False  # the last: a long list of numbers is not looked through
    return any(is_nested(member) for member in value)


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _is_branch(value: Any) -> bool:
    """Inside nested parameters a list of arrays is a branch too."""
    if is_nested(value):
        return True
    return type(value) in (list, tuple) and any(getattr(m, "shape", ()) or _is_branch(m) for m in value)


@dataclass(frozen=True)
class Branch:
    """Parts that belong together: named (`keys` of a dict or fields of a named tuple) or numbered."""

    kind: type  # dict, list, tuple, or a class of named tuples
    keys: tuple[str, ...] | None
    parts: "tuple[Branch | Block, ...]"

    @property
    def stop(self) -> int:
        """One past the last entry of the flat vector."""
        return max((part.stop for part in self.parts), default=0)

    def leaves(self) -> Iterator[Block]:
        """The arrays and numbers, in order; empty arrays hold nothing that a report could name."""
        for part in self.parts:
            if isinstance(part, Branch):
                yield from part.leaves()
            elif part.size:
                yield part

    def unflatten(self, flat: Array) -> Any:
        """Views of a flat array, nested like the parameters; those of shape () are numbers."""
        parts = [part.unflatten(flat) if isinstance(part, Branch) else _view(part, flat) for part in self.parts]
        if self.keys is None:
            return self.kind(parts)
        return self.kind(zip(self.keys, parts, strict=True)) if self.kind is dict else self.kind(*parts)


def _view(block: Block, flat: Array) -> Any:
    return flat[block.slice].reshape(block.shape) if block.shape else flat[block.start]


def branch_of(value: Any, convert: Callable[[Any, str], Array]) -> tuple[Branch, list[Array]]:
    """The structure of nested parameters, and their arrays as `convert(array, name)` makes them, flat."""
    arrays: list[Array] = []

    def grow(value: Any, name: str, start: int) -> Branch | Block:
        if not _is_branch(value):
            array = convert(value, name)
            arrays.append(array.reshape(-1))
            return Block(name, start, array.shape)
        parts: list[Branch | Block] = []
        for key, member in _members(value, name or "x"):
            parts.append(grow(member, _join(name, key), start))
            start = max(start, parts[-1].stop)
        return Branch(_kind(value), _keys(value), tuple(parts))

    structure = grow(value, "", 0)
    assert isinstance(structure, Branch)
    _require_different_names([leaf.name for leaf in structure.leaves()])
    return structure, arrays


def _require_different_names(names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise ValueError(f"two parts of x are called {twice}; need a name of its own for each.")


def _members(value: Any, name: str) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{name} has the key {key!r}; need names: strings.")
        return iter(value.items())
    return zip(value._fields, value, strict=True) if _is_named_tuple(value) else enumerate(value)


def _keys(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, Mapping):
        return tuple(value)
    return tuple(value._fields) if _is_named_tuple(value) else None


def _kind(value: Any) -> type:
    return dict if isinstance(value, Mapping) else type(value)


def _join(name: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{name}[{key}]"
    return f"{name}.{key}" if name else key


# --- values that have to fit --------------------------------------------------------------------------------------


def parts_like(value: Any, branch: Branch, name: str, place: str = "") -> Iterator[tuple[Block, Any]]:
    """Each leaf of the structure with what `value` holds for it; says where the two differ."""
    where = f"{name}{f' at {place}' if place else ''}"
    keys = _keys(value)
    if keys is not None and branch.keys is not None:
        _require_same_keys(keys, branch.keys, where)
        members = [value[key] if isinstance(value, Mapping) else getattr(value, key) for key in branch.keys]
    elif keys is None and isinstance(value, list | tuple) and len(value) == len(branch.parts):
        members = list(value)
    else:
        raise ValueError(f"{where} is {_describe(value)}; need {_wanted(branch)}, as in x.")
    labels: Sequence[str | int] = branch.keys or range(len(members))
    for key, part, member in zip(labels, branch.parts, members, strict=True):
        if isinstance(part, Block):
            yield part, member
        else:
            yield from parts_like(member, part, name, _join(place, key))


def _require_same_keys(given: tuple[str, ...], wanted: tuple[str, ...], where: str) -> None:
    missing, unknown = ([k for k in a if k not in b] for a, b in ((wanted, given), (given, wanted)))
    if missing or unknown:
        complaints = [f"lacks {', '.join(missing)}"] if missing else []
        complaints += [f"has {', '.join(unknown)}, which x has not"] if unknown else []
        raise ValueError(f"{where} {' and '.join(complaints)}; need the names of x: {', '.join(wanted)}.")


def _describe(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}{'' if shape is None else f' of shape {shape}'}"


def _wanted(branch: Branch) -> str:
    if branch.keys is None:
        return f"a list of {len(branch.parts)}"
    return f"a dict with {', '.join(branch.keys)}"


def flatten_like(values: Any, branch: Branch) -> Array:
    """The flat array of values that were nested by `Branch.unflatten`."""
    return np.concatenate([np.asarray(member).reshape(-1) for _, member in parts_like(values, branch, "values")])
