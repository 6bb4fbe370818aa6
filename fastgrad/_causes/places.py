"""Which entries, in words: the simplest description of all entries meant and no other that is known."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastgrad._causes.evidence import Mask

# Up to this many entries are listed one by one; patterns are looked for in more.
MOST_LISTED = 3
ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}


@dataclass(frozen=True)
class Block:
    """Consecutive entries of x under a name (empty: x itself), shaped as in the user's code."""

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        """One past the last entry."""
        return self.start + self.size

    @property
    def slice(self) -> slice:
        """The entries as a slice of the flat x."""
        return slice(self.start, self.stop)

    @property
    def title(self) -> str:
        """What it is called as a whole."""
        return f"block {self.name}" if self.name else "the gradient"

    @property
    def function(self) -> str:
        """What the derivatives are of."""
        return "f"

    def number(self, entry: int) -> str:
        """What an entry is called, as in the tables: 3, [1, 0], W1[1, 0], or the bare name of a scalar."""
        if not self.name and len(self.shape) < 2:
            return str(entry)
        index = ", ".join(str(int(i)) for i in np.unravel_index(entry, self.shape))
        return f"{self.name}[{index}]" if self.shape else self.name

    @property
    def lengths(self) -> dict[str, float]:
        """Sizes by name: they turn up as wrong factors."""
        if not self.name:
            return {}
        named = {f"size of {self.name}": float(self.size)}
        if len(self.shape) > 1:
            named[f"rows of {self.name}"] = float(self.shape[0])
            named[f"columns of {self.name}"] = float(self.shape[-1])
        return named


@dataclass(frozen=True)
class Selection:
    """Entries to be described: those meant, those not to be included, those that may vouch for others."""

    meant: Mask
    excluded: Mask
    alike: Mask

    def fits(self, mask: Mask) -> bool:
        """Whether a mask holds all entries meant, none excluded, and is not filled up with unknown ones."""
        if np.any(self.meant & ~mask) or np.any(self.excluded & mask):
            return False
        return bool(2 * np.count_nonzero(self.alike & mask) >= np.count_nonzero(mask))


@dataclass(frozen=True)
class Place:
    """Words for entries; `pattern` if they are more than a list."""

    text: str
    plural: bool = True
    pattern: bool = True


def find_place(selection: Selection, block: Block) -> Place:
    """The simplest words for the selected entries of a block."""
    of = f" of {block.name}" if block.name else ""
    if block.size > 1 and selection.fits(np.ones(block.size, np.bool_)):
        return Place(f"the entries{of}") if of else Place("every entry", plural=False)
    if np.count_nonzero(selection.meant) > MOST_LISTED:
        for text, mask in _patterns(block, selection.meant):
            if selection.fits(mask):
                return Place(text.replace("{of}", of), plural=not text.startswith("every"))
    return listed(selection.meant, block)


def find_blocks(selection: Selection, touched: list[Block]) -> Place | None:
    """Words for entries spread over several blocks, if they fill them."""
    everything = np.ones(selection.meant.size, np.bool_)
    if selection.fits(everything):
        return Place("every entry", plural=False)
    mask = np.zeros_like(everything)
    for block in touched:
        mask[block.slice] = True
    return Place(f"the entries of {join_names(touched)}") if selection.fits(mask) else None


def listed(meant: Mask, block: Block) -> Place:
    """The entries one by one, or how many there are."""
    entries = [block.number(int(i)) for i in np.flatnonzero(meant)[: MOST_LISTED + 1]]
    if len(entries) == 1:
        return Place(f"entry {entries[0]}" if block.shape else entries[0], plural=False, pattern=False)
    if len(entries) > MOST_LISTED:
        of = f" of {block.name}" if block.name else ""
        return Place(f"the {np.count_nonzero(meant)} wrong entries{of}", pattern=False)
    return Place(f"entries {', '.join(entries[:-1])} and {entries[-1]}", pattern=False)


def join_names(blocks: list[Block]) -> str:
    """The names of a few blocks: W1, b1 and W2."""
    names = [block.name for block in blocks]
    if len(names) > 2 * MOST_LISTED:
        return f"{len(names)} blocks ({', '.join(names[:MOST_LISTED])}, ...)"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _patterns(block: Block, meant: Mask) -> Iterator[tuple[str, Mask]]:
    """The smallest set of each kind that holds all entries meant."""
    flat = np.arange(meant.size)
    if len(block.shape) > 1:
        yield from _grid_patterns(block.shape, meant)
    first, last = (int(i) for i in np.flatnonzero(meant)[[0, -1]])
    yield f"entries {block.number(first)}..{block.number(last)}", (flat >= first) & (flat <= last)
    for period, ordinal in ORDINALS.items():
        offset = first % period
        yield f"every {ordinal} entry from {block.number(offset)} on", flat % period == offset


def _grid_patterns(shape: tuple[int, ...], meant: Mask) -> Iterator[tuple[str, Mask]]:
    """Rows, columns, the border, and where a square matrix has its diagonal."""
    first, last = (axis.ravel() for axis in np.indices(shape)[[0, -1]])
    words = (
        (first, *(("in row", "in rows") if len(shape) == 2 else ("with first index", "with first index"))),
        (last, *(("in column", "in columns") if len(shape) == 2 else ("with last index", "with last index"))),
    )
    for axis, one, several in words:
        low, high = int(axis[meant].min()), int(axis[meant].max())
        where = f"{one} {low}" if low == high else f"{several} {low}..{high}"
        yield f"the entries {where}{{of}}", (axis >= low) & (axis <= high)
    if len(shape) == 2:
        border = (first % (shape[0] - 1 or 1) == 0) | (last % (shape[1] - 1 or 1) == 0)
        yield "the entries on the border{of}", border
        if shape[0] == shape[1]:
            yield "the entries on the diagonal{of}", first == last
            yield "the entries off the diagonal{of}", first != last
            yield "the entries above the diagonal{of}", first < last
            yield "the entries below the diagonal{of}", first > last
