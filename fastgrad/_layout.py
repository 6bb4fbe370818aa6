"""How the user names the entries of x: by index, or by named blocks of consecutive entries."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._causes.places import Block
from fastgrad._inputs import Array, name_entry
from fastgrad._nested import Branch, flatten_like
from fastgrad._options import described


@dataclass(frozen=True)
class Layout:
    """Shape of x and, if given, the blocks that cover it; nested parameters are blocks of one vector."""

    shape: tuple[int, ...]
    blocks: tuple[Block, ...] = ()
    structure: Branch | None = None
    title: str = "x"  # what is shaped so

    def name(self, position: int) -> str:
        """An entry in the user's words: x[3], x[1, 2] or W1[0, 4]."""
        for block in self.blocks:
            if block.start <= position < block.stop:
                return name_entry(block.name, block.shape, position - block.start)
        return name_entry(self.title, self.shape, position)

    def index(self, position: int) -> tuple[int, ...]:
        """Index of an entry in x."""
        return tuple(int(i) for i in np.unravel_index(position, self.shape))

    def shaped(self, flat: Array) -> Any:
        """Values of all entries, shaped or nested like x."""
        return flat.reshape(self.shape) if self.structure is None else self.structure.unflatten(flat)

    def flat(self, values: Any) -> Array:
        """What `shaped` was made from."""
        return values.reshape(-1) if self.structure is None else flatten_like(values, self.structure)


def make_layout(
    shape: tuple[int, ...],
    blocks: Mapping[str, Any] | None,
    structure: Branch | None = None,
    title: str = "x",
    *,
    name: str = "blocks",
) -> Layout:
    """Check that named blocks cover x, in order; parts of nested parameters are blocks already."""
    if structure is not None:
        if blocks is not None:
            raise ValueError(f"{name} is given, but x has named parts already; need one of them: leave {name} out.")
        return Layout(shape, tuple(structure.leaves()), structure)
    if blocks is None:
        return Layout(shape, title=title)
    if not isinstance(blocks, Mapping):
        raise TypeError(f'{name} is {described(blocks)}; need a dict of names and shapes, {{"W1": (5, 4)}}.')
    pieces, start = [], 0
    for key, given in blocks.items():
        piece = Block(str(key), start, _block_shape(key, given))
        pieces.append(piece)
        start = piece.stop
    size = math.prod(shape)
    if start != size:
        raise ValueError(
            f"{name} hold {start} entries ({', '.join(f'{p.name}: {p.size}' for p in pieces)}), but {title} has "
            f"{size}; need consecutive pieces that cover {title} exactly."
        )
    return Layout(shape, tuple(pieces), title=title)


def _block_shape(name: Any, given: Any) -> tuple[int, ...]:
    shape = tuple(given) if isinstance(given, tuple | list) else (given,)
    if not all(isinstance(k, int | np.integer) and not isinstance(k, bool) and k > 0 for k in shape):
        raise ValueError(f"block {name!r} has shape {given!r}; need positive whole numbers.")
    return tuple(int(k) for k in shape)
