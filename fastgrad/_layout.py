"""How the user names the entries of x: by index, or by named blocks of consecutive entries."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._causes.places import Block
from fastgrad._inputs import name_entry


@dataclass(frozen=True)
class Layout:
    """Shape of x and, if given, the blocks that cover it."""

    shape: tuple[int, ...]
    blocks: tuple[Block, ...] = ()

    def name(self, position: int) -> str:
        """An entry in the user's words: x[3], x[1, 2] or W1[0, 4]."""
        for block in self.blocks:
            if block.start <= position < block.stop:
                return name_entry(block.name, block.shape, position - block.start)
        return name_entry("x", self.shape, position)

    def index(self, position: int) -> tuple[int, ...]:
        """Index of an entry in x."""
        return tuple(int(i) for i in np.unravel_index(position, self.shape))


def make_layout(shape: tuple[int, ...], blocks: Mapping[str, Any] | None) -> Layout:
    """Check that named blocks cover x, in order."""
    if blocks is None:
        return Layout(shape)
    if not isinstance(blocks, Mapping):
        raise TypeError(f'blocks is a {type(blocks).__name__}; need a dict of names and shapes, {{"W1": (5, 4)}}.')
    pieces, start = [], 0
    for name, given in blocks.items():
        piece = Block(str(name), start, _block_shape(name, given))
        pieces.append(piece)
        start = piece.stop
    size = math.prod(shape)
    if start != size:
        raise ValueError(
            f"blocks hold {start} entries ({', '.join(f'{p.name}: {p.size}' for p in pieces)}), but x has {size}; "
            f"need consecutive pieces that cover x exactly."
        )
    return Layout(shape, tuple(pieces))


def _block_shape(name: Any, given: Any) -> tuple[int, ...]:
    shape = tuple(given) if isinstance(given, tuple | list) else (given,)
    if not all(isinstance(k, int | np.integer) and not isinstance(k, bool) and k > 0 for k in shape):
        raise ValueError(f"block {name!r} has shape {given!r}; need positive whole numbers.")
    return tuple(int(k) for k in shape)
