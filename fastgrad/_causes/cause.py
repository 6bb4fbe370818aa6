"""The cause of a wrong gradient, named only when the data leave no doubt.

The whole gradient is tried first, then each block: does one simple law reproduce all wrong entries, and does
no right entry contradict what is said about the place?
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._causes.evidence import ALLOWANCE, MOST_COARSE, SURE, Evidence, Fit, Mask
from fastgrad._causes.laws import best_law, zeroed_among_others
from fastgrad._causes.numbers import MANY
from fastgrad._causes.places import MOST_LISTED, Block, Place, Selection, find_blocks, find_place, join_names, listed
from fastgrad._causes.rearrangements import log_chance_of_places

__all__ = ["Block", "Cause", "find_causes"]

# The user drew the blocks: that only one of them is wrong needs less than a pattern that we made up.
SURE_OF_BLOCK = 3.0


@dataclass(frozen=True)
class Cause:
    """Why entries of the gradient are wrong.

    Attributes
    ----------
    kind : str
        "sign", "factor", "zero", "unwritten", "unused", "not finite", "float32", "constant",
        "proportional to x", "proportional to sign(x)", "factor and term in x", "transpose", "reversed",
        "shift", "swapped entries", "swapped blocks", "misplaced block"; without a law "one block",
        "some blocks", "place". Of products also "not linear".
    block : str or None
        The block concerned; None without blocks, or if there are several.
    sentence : str
        What is wrong, for people. Entries of a block are counted from its start.
    n_explained : int
        Number of wrong entries that this accounts for.
    parameter : float or None
        The number in the law: analytical / numerical for factors; c in numerical = analytical + c, + c * x or
        + c * sign(x).
    """

    kind: str
    block: str | None
    sentence: str
    n_explained: int
    parameter: float | None = None


def find_causes(
    x: ArrayLike,
    analytical: ArrayLike,
    numerical: ArrayLike,
    uncertainty: ArrayLike,
    wrong: ArrayLike,
    *,
    blocks: Sequence[Block] | None = None,
    shape: tuple[int, ...] | None = None,
    constants: Mapping[str, float] | None = None,
) -> tuple[Cause, ...]:
    """Name the simple laws behind the wrong entries of a gradient.

    Parameters
    ----------
    x, analytical, numerical, uncertainty : array_like of float, shape (n,)
        The point, the two gradients, and the error bar of each numerical derivative (inf or NaN: unknown).
    wrong : array_like of bool, shape (n,)
        Confirmed mismatches.
    blocks : sequence of Block, optional
        Consecutive pieces that cover x.
    shape : tuple of int, optional
        The shape x has in the user's code; not used if there are blocks.
    constants : mapping of str to float, optional
        Numbers of the problem (batch size, weight of a regulariser) that may turn up as factors.

    Returns
    -------
    tuple of Cause
        Empty in any doubt. No function is evaluated.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([0.3, -1.7, 2.2])
    >>> for cause in find_causes(x, x, 2 * x, np.full(3, 1e-9), np.full(3, True)):
    ...     print(cause.sentence)
    every entry is 2 times too small (numerical = 2 * analytical): a missing or doubled factor
    """
    x, analytical, numerical, bars = (
        np.asarray(values, np.float64) for values in (x, analytical, numerical, uncertainty)
    )
    wrong = np.asarray(wrong, np.bool_)
    regions = list(blocks or [Block("", 0, shape or x.shape)])
    known = np.isfinite(x) & np.isfinite(numerical) & np.isfinite(bars) & np.isfinite(analytical)
    with np.errstate(all="ignore"):
        evidence = Evidence(
            x=x,
            analytical=analytical,
            numerical=numerical,
            tolerance=bars + ALLOWANCE * np.abs(numerical),
            wrong=wrong & known,
            known=known,
            shape=x.shape if blocks else regions[0].shape,
            sizes={"n": float(x.size)},
            constants=constants or {},
        )
        return explain(evidence, regions, wrong & ~np.isfinite(analytical))


@np.errstate(all="ignore")
def explain(evidence: Evidence, regions: list[Block], broken: Mask) -> tuple[Cause, ...]:
    """The causes behind the wrong entries of one piece of evidence; `broken` ones are not finite."""
    return (*_not_finite(broken, regions), *_explain(evidence, regions))


def _not_finite(broken: Mask, regions: list[Block]) -> Iterator[Cause]:
    for block in regions:
        here = broken[block.slice]
        if here.any():
            place = find_place(Selection(here, ~here, here), block)
            text = f"{place.text} {'are' if place.plural else 'is'} not finite"
            yield Cause("not finite", block.name or None, text, int(here.sum()))


def _explain(evidence: Evidence, regions: list[Block]) -> list[Cause]:
    """One law for all, else one for each block, else at least the place."""
    touched = [block for block in regions if evidence.wrong[block.slice].any()]
    if not touched:
        return []
    if len(touched) == 1:
        causes = _explain_block(evidence, touched[0])
        if len(regions) > 1 and _others_right(evidence, touched):
            text = f"only block {touched[0].name} is wrong: "
            causes = [replace(cause, sentence=text + cause.sentence) for cause in causes]
    else:
        causes = _explain_blocks(evidence, touched)
    return causes or _where(evidence, touched, regions)


def _explain_blocks(evidence: Evidence, touched: list[Block]) -> list[Cause]:
    """A law that covers several blocks from end to end comes first, one for scattered entries last."""
    whole, law = Block("", 0, evidence.shape), best_law(evidence)
    if law is not None:
        place = find_blocks(_selection(evidence, law), touched)
        if place or law.covers is not None:
            return [_cause(law, evidence, whole, place or listed(evidence.wrong, whole))]
    misplaced = _misplaced_blocks(evidence, touched)
    causes: list[Cause] = []
    for block in touched:
        found = [misplaced[block.name]] if block.name in misplaced else _explain_block(evidence, block)
        causes += [cause for cause in found if cause not in causes]
    complete = sum(cause.n_explained for cause in causes) == np.count_nonzero(evidence.wrong)
    if law is not None and not (complete and len(causes) <= MOST_LISTED):
        return [_cause(law, evidence, whole, listed(evidence.wrong, whole))]
    return causes


def _explain_block(evidence: Evidence, block: Block) -> list[Cause]:
    """One law for the wrong entries of a block; or zeros, and one law for the rest."""
    part = evidence.cut(block.slice, block.shape, block.lengths)
    laws = [(part, best_law(part))]
    if laws[0][1] is None and (zeros := zeroed_among_others(part)):
        rest = part.without(zeros.holds)
        laws = [(part, zeros), (rest, best_law(rest))]
    return [_cause(law, of, block, _place(law, of, block)) for of, law in laws if law]


def _misplaced_blocks(evidence: Evidence, touched: list[Block]) -> dict[str, Cause]:
    """Blocks whose derivatives were written to another block of the same size."""
    home = {block.name: _home(evidence, block, touched) for block in touched}
    causes: dict[str, Cause] = {}
    for block in touched:
        other = home.get(block.name)
        if other is None or block.name in causes:
            continue
        entries = int(np.count_nonzero(evidence.wrong[block.slice]))
        if home.get(other.name) == block:
            entries += int(np.count_nonzero(evidence.wrong[other.slice]))
            text = f"blocks {block.name} and {other.name} are swapped"
            causes[block.name] = causes[other.name] = Cause("swapped blocks", None, text, entries)
        else:
            text = f"the gradient of block {block.name} is in the place of block {other.name}"
            causes[block.name] = Cause("misplaced block", block.name, text, entries)
    return causes


def _home(evidence: Evidence, block: Block, touched: list[Block]) -> Block | None:
    """The other block, if any, where the derivatives of a block were written."""
    part = evidence.cut(block.slice, block.shape, {})
    others = [other for other in touched if other.size == block.size and other != block]
    probe = int(np.flatnonzero(part.wrong)[0])
    values = evidence.analytical[[other.start + probe for other in others]]
    near = np.abs(part.numerical[probe] - values) <= part.tolerance[probe]
    for other in (others[i] for i in np.flatnonzero(near)):
        prediction = evidence.analytical[other.slice]
        right = np.all(part.agrees(prediction)[part.known])
        if right and log_chance_of_places(part, prediction, prediction) < SURE:
            return other
    return None


def _selection(evidence: Evidence, law: Fit) -> Selection:
    """The entries that a law explains, those that contradict it, and those that show it."""
    covers = np.ones_like(evidence.wrong) if law.covers is None else law.covers
    shown = evidence.known & ((np.abs(evidence.difference) > evidence.tolerance) | (evidence.analytical == 0))
    return Selection(
        meant=evidence.wrong & law.holds & covers,
        excluded=evidence.known & ~law.holds,
        alike=shown & law.holds,
    )


def _place(law: Fit, evidence: Evidence, block: Block) -> Place:
    """Words for the entries that a law explains: each one counts if they were rearranged."""
    selection = _selection(evidence, law)
    return find_place(selection, block) if law.covers is None else listed(selection.meant, block)


def _cause(law: Fit, evidence: Evidence, block: Block, place: Place) -> Cause:
    words = {
        "{who}": place.text,
        "{has}": "have" if place.plural else "has",
        "{is}": "are" if place.plural else "is",
        "{whole}": block.title,
        "{f}": block.function,
    }
    text = law.sentence
    for gap, word in words.items():
        text = text.replace(gap, word)
    count = np.count_nonzero(_selection(evidence, law).meant)
    return Cause(law.kind, block.name or None, text, int(count), law.parameter)


# -------------------------------------------------------------------------------- no law, but a place


def _others_right(evidence: Evidence, blocks: list[Block]) -> bool:
    """Whether everything outside some blocks was seen to be right."""
    outside = np.ones_like(evidence.known)
    for block in blocks:
        outside[block.slice] = False
    return _right(evidence, outside)


def _right(evidence: Evidence, entries: Mask) -> bool:
    """Whether entries are known to be right, with bars that leave no room for more errors."""
    right = evidence.known & evidence.agrees(evidence.analytical)
    widths, values = (np.linalg.norm(a[entries]) for a in (evidence.tolerance, evidence.numerical))
    return bool(np.all(right[entries]) and widths <= MOST_COARSE * values)


def _where(evidence: Evidence, touched: list[Block], regions: list[Block]) -> list[Cause]:
    """Whole blocks that are wrong, or a pattern in x, while the rest is right."""
    wrong, count = evidence.wrong, int(np.count_nonzero(evidence.wrong))
    choices = _log_subsets(int(np.count_nonzero(evidence.known)), count)
    if len(regions) > 1:
        filled = all(2 * np.count_nonzero(wrong[block.slice]) >= block.size for block in touched)
        inside = sum(int(np.count_nonzero(evidence.known[block.slice])) for block in touched)
        certain = choices - _log_subsets(inside, count) >= SURE_OF_BLOCK
        if not (filled and certain and _others_right(evidence, touched)):
            return []
        if len(touched) == 1:
            return [Cause("one block", touched[0].name, f"only block {touched[0].name} is wrong", count)]
        return [Cause("some blocks", None, f"only the blocks {join_names(touched)} are wrong", count)]
    place = find_place(Selection(wrong, evidence.known & ~wrong, wrong), regions[0])
    if not place.pattern or choices < math.log10(MANY) - SURE or not _right(evidence, ~wrong):
        return []
    verb = "are" if place.plural else "is"
    return [Cause("place", None, f"{place.text} {verb} wrong, and no others", count)]


def _log_subsets(size: int, count: int) -> float:
    """Log10 of the number of ways to choose so many entries."""
    ways = math.lgamma(size + 1) - math.lgamma(count + 1) - math.lgamma(size - count + 1)
    return ways / math.log(10)
