"""What an objective is made of, for checkpoints: its code, and every value that it reaches, by name.

What f changes by itself (counters, start values, caches) is told from what the user changes by looking twice, before
and after f is tried.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from fastgrad._contents import digest, kind_of, leaf, package_of, parts_of

Contents = dict[str, str]  # name -> digest
Settled = dict[str, str | None]  # the same; None for what f changes, with all that lies in it

_MOST_NAMED = 1000  # parts with a name of their own; beyond it deeper ones are put together


class Identity:
    """What f and its arguments are made of: begun before f is tried, `settled` after it."""

    def __init__(self, f: Any, args: Any) -> None:
        self._parts = {"f": f}
        if isinstance(args, tuple):
            self._parts |= {f"args[{k}]": value for k, value in enumerate(args)}
        # An f that writes to an array among its arguments is refused anyway.
        self._can_change = {k: v for k, v in self._parts.items() if not isinstance(v, np.ndarray)}
        self._before = contents(self._can_change)

    def settled(self) -> Settled:
        """Digests of all that they are made of, None for what has changed since."""
        changed = self.changed()
        kept = {name: value for name, value in contents(self._parts).items() if not _is_in(name, changed)}
        return {**kept, **dict.fromkeys(changed)}

    def changed(self) -> list[str]:
        """Names of what has changed since; what it holds is not listed besides."""
        now = contents(self._can_change)
        return _outermost([name for name, value in self._before.items() if now.get(name) != value])


def differing(one: Settled, other: Settled) -> list[str]:
    """Names of what differs, leaving out what f was seen to change."""
    names = {**one, **other}
    changing = {name for name in names if None in (one.get(name, ""), other.get(name, ""))}
    return _outermost([name for name in names if one.get(name) != other.get(name) and not _is_in(name, changing)])


def _outermost(names: list[str]) -> list[str]:
    found = set(names)
    return [name for name in names if not _is_in(name, found - {name})]


def _is_in(name: str, others: Collection[str]) -> bool:
    """Whether it is one of the others, or lies in one."""
    if not others:
        return False
    return any(name[:k] in others for k in range(1, len(name) + 1) if k == len(name) or name[k] in ".[")


def contents(parts: dict[str, Any]) -> Contents:
    """Digests of all that these values are made of, by names like ``f.table['weights']``."""
    walk = _Walk(package_of(getattr(parts.get("f"), "py_func", parts.get("f"))))
    for name, value in parts.items():
        try:
            walk.add((name,), value)
        except RecursionError:
            walk.items[(name,)] = "nested too deep"
    items, depth = walk.items, max(map(len, walk.items))
    while len(items) > _MOST_NAMED and depth > 1:
        depth -= 1
        items = _grouped(walk.items, depth)
    return {"".join(path): value for path, value in items.items()}


Items = dict[tuple[str, ...], str]


def _grouped(items: Items, depth: int) -> Items:
    groups: dict[tuple[str, ...], list[str]] = {}
    for path, value in items.items():
        groups.setdefault(path[:depth], []).append("".join(path) + value)
    return {path: digest(*members) for path, members in groups.items()}


class _Walk:
    """Goes through a value and all that it refers to; what is met again is not entered again."""

    def __init__(self, own: str) -> None:
        self.items: Items = {}
        self._own = own
        self._seen: dict[int, tuple[tuple[str, ...], Any]] = {}  # held, so that no address is used twice

    def add(self, path: tuple[str, ...], value: Any) -> None:
        found = leaf(value)
        if found is None and id(value) in self._seen:
            found = "see " + "".join(self._seen[id(value)][0])
        if found is not None:
            self._put(path, found)
            return
        self._seen[id(value)] = path, value
        parts = self._parts_of(value)
        # With its keys: a container that grows has changed as a whole.
        self._put(path, digest(kind_of(value), *(name for name, _ in parts if name.startswith("["))))
        for name, part in parts:
            self.add((*path, name) if name else path, part)

    def _parts_of(self, value: Any) -> list[tuple[str, Any]]:
        try:
            return list(parts_of(value, self._own))
        except RecursionError:
            raise
        except Exception:  # of an attribute that is computed: an object that nothing more can be said of
            return []

    def _put(self, path: tuple[str, ...], found: str) -> None:
        # A decorated function has its own part under its own name.
        self.items[path] = digest(self.items[path], found) if path in self.items else found
