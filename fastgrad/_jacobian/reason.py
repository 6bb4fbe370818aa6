"""Why a verdict on a Jacobian was given, in a sentence a person can act on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment
from fastgrad._judge.verdict import INCONCLUSIVE, MISMATCH, Flag, Verdict
from fastgrad._reason import is_between, overall_verdict, worst_first

Index = NDArray[np.int64]
_MOST_NAMED = 3


@dataclass(frozen=True)
class Words:
    """What things are called: the entries by position, the rows by number, the matrix."""

    entry: Callable[[int], str]
    row: Callable[[int], str]
    matrix: str = "Jacobian"
    function: str = "F"


@dataclass(frozen=True)
class RowFacts:
    """What is known of each row besides its entries."""

    value: NDArray[np.float64]
    difference: NDArray[np.float64]  # between two calls at x
    noise: NDArray[np.float64]
    of_entries: Callable[[Any], Index]  # the rows of entries


def give_reason(found: Assessment, analytical: NDArray[Any], facts: RowFacts, words: Words) -> str:
    """The sentence for the overall verdict; `analytical` holds the entries as given."""
    verdict = overall_verdict(found)
    if verdict is Verdict.MISMATCH:
        return _reason_of_mismatch(found, analytical, words)
    if verdict is Verdict.MATCH:
        return _reason_of_match(found, facts, words)
    broken = np.flatnonzero(~np.isfinite(facts.value))
    if broken.size:
        more = f" and {broken.size - 1} more values are not finite" if broken.size > 1 else ""
        return (
            f"{words.row(int(broken[0]))} is {facts.value[broken[0]]} at x{more}: nothing to differentiate there; "
            f"check at another x"
        )
    if not found.seen.all():
        return _reason_of_part(found)
    return _reason_of_doubt(found, analytical, facts, words)


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def _reason_of_mismatch(found: Assessment, analytical: NDArray[Any], words: Words) -> str:
    wrong = int(np.count_nonzero(found.verdict == MISMATCH))
    broken = np.flatnonzero(~np.isfinite(analytical))
    if broken.size:
        more = f" and not finite at {broken.size - 1} more" if broken.size > 1 else ""
        others = wrong - broken.size
        differ = f"; {_entries(others)} wrong besides" if others else ""
        first = int(broken[0])
        return f"the analytical {words.matrix} is {analytical[first]} at {words.entry(first)}{more}{differ}"
    worst = int(worst_first(found, analytical, 1)[0])
    unseen = np.count_nonzero(found.flagged(Flag.UNCONFIRMED))
    also = f" ({unseen} more were left open by first differences and not looked at closely)" if unseen else ""
    return (
        f"{wrong} of {_entries(analytical.size)} differ{'s' if wrong == 1 else ''} by more than "
        f"{'its' if wrong == 1 else 'their'} error bar{also}; worst {words.entry(worst)}: analytical "
        f"{analytical[worst]:.6g}, numerical {found.estimate[worst]:.6g} +- {found.bar[worst]:.1g}"
    )


def _reason_of_match(found: Assessment, facts: RowFacts, words: Words) -> str:
    size = found.verdict.size
    text = f"{'the only entry agrees' if size == 1 else f'all {size} entries agree'} within {found.rtol:g}"
    small = np.count_nonzero(found.flagged(Flag.ABSOLUTE))
    if small:
        text += f", {small} of them too small to be resolved and seen to be small"
    one_sided = np.count_nonzero(found.flagged(Flag.ONE_SIDED))
    if one_sided:
        text += f"; {one_sided} checked from one side only"
    largest = float(facts.difference.max())
    if largest > 0.0:
        differ = f"two calls at x differ by {largest:.1g}, which the bars allow for"
        text += f" ({words.function} is not deterministic: {differ})"
    return text


def _reason_of_part(found: Assessment) -> str:
    seen = int(np.count_nonzero(found.seen))
    stopped = f" before {found.stopped_by} ended the check" if found.stopped_by else ""
    if seen == 0:
        return f"no entry was checked{stopped}"
    undecided = int(np.count_nonzero(found.seen & (found.verdict == INCONCLUSIVE)))
    outcome = "agree" if undecided == 0 else f"show no error, {undecided} of them undecided"
    return f"{seen} of {_entries(found.seen.size)} were checked{stopped} and {outcome}; nothing is known of the others"


def _reason_of_doubt(found: Assessment, analytical: NDArray[Any], facts: RowFacts, words: Words) -> str:
    open_ = np.flatnonzero(found.verdict == INCONCLUSIVE)
    row = facts.of_entries(open_)
    difference = facts.difference[row]
    if 2 * np.count_nonzero(difference) > open_.size:
        i = int(row[np.argmax(difference)])
        return (
            f"{words.function} is not deterministic: {words.row(i)} differs by {facts.difference[i]:.2g} between two "
            f"calls at x, which hides {_share(open_, found)}; fix the seed of its random numbers"
        )
    flags = found.flags[open_]
    for flag, describe in (
        (Flag.KINK, _kinks),
        (Flag.NON_FINITE, _not_finite),
        (Flag.NO_ROOM, _no_room),
        (Flag.STAIRCASE, _staircase),
        (Flag.UNCONFIRMED, _unconfirmed),
        (Flag.SCALE, _contradiction),
    ):
        concerned = open_[(flags & flag) != 0]
        if 2 * concerned.size > open_.size or (concerned.size and flag in (Flag.NON_FINITE, Flag.NO_ROOM)):
            return describe(found, analytical, concerned, words)
    return _noise(found, analytical, open_, facts, words)


def _share(concerned: Index, found: Assessment) -> str:
    return f"{concerned.size} of {_entries(found.verdict.size)}"


def _kinks(found: Assessment, analytical: NDArray[Any], concerned: Index, words: Words) -> str:
    parts = []
    for e in concerned[:_MOST_NAMED].tolist():
        forward, backward = found.slopes[e]
        between = "between them" if is_between(float(analytical[e]), forward, backward) else "outside them"
        parts.append(
            f"{words.entry(e)} (slopes {backward:.4g} and {forward:.4g}, analytical {analytical[e]:.4g} {between})"
        )
    more = f" and {concerned.size - _MOST_NAMED} more" if concerned.size > _MOST_NAMED else ""
    return f"kink at {', '.join(parts)}{more}: {words.function} has no derivative there; check at an x away from it"


def _not_finite(found: Assessment, analytical: NDArray[Any], concerned: Index, words: Words) -> str:
    return (
        f"{words.function} is not finite near x for {_first(concerned, words)}: differences there say too little; pass "
        f"bounds=, or check at an x inside the domain"
    )


def _no_room(found: Assessment, analytical: NDArray[Any], concerned: Index, words: Words) -> str:
    return (
        f"the bounds leave no room to differentiate {_first(concerned, words)}: nothing can be said about "
        f"{'it' if concerned.size == 1 else 'them'}; leave fixed variables out of x"
    )


def _staircase(found: Assessment, analytical: NDArray[Any], concerned: Index, words: Words) -> str:
    return (
        f"{words.function} moves in steps along {_first(concerned, words)}: flat close to x, not from afar; its "
        f"derivative there is a matter of scale"
    )


def _unconfirmed(found: Assessment, analytical: NDArray[Any], concerned: Index, words: Words) -> str:
    return (
        f"{_share(concerned, found)} were left undecided when the evaluations allowed for closer looks were used up; "
        f"the first is {words.entry(int(concerned[0]))}"
    )


def _contradiction(found: Assessment, analytical: NDArray[Any], concerned: Index, words: Words) -> str:
    e = int(concerned[0])
    return (
        f"differences for {words.entry(e)} at small and at large steps contradict each other (analytical "
        f"{analytical[e]:.6g}, best estimate {found.estimate[e]:.6g} +- {found.bar[e]:.1g}): {words.function} varies "
        f"faster than its noise lets one see"
    )


def _noise(found: Assessment, analytical: NDArray[Any], open_: Index, facts: RowFacts, words: Words) -> str:
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(found.estimate[open_]), np.abs(analytical[open_]))
        blind = np.where(size > 0.0, found.bar[open_] / size, np.inf)
        share = np.abs(found.estimate[open_] - analytical[open_]) / found.bar[open_]
    limit = float(np.median(blind))
    worst = int(np.argmax(np.where(np.isfinite(share), share, -1.0)))
    e, i = int(open_[worst]), int(facts.of_entries(open_[worst : worst + 1])[0])
    what = f"relative errors below {limit:.1g} at " if limit < 1.0 else ""
    level = f"{words.row(i)} has a noise level of {facts.noise[i]:.2g}"
    text = f"{level}: differences cannot see {what}{_share(open_, found)}; "
    if np.all(share <= 1.0):
        return text + f"the {words.matrix} agrees within that"
    return (
        text + f"{words.entry(e)} is {share[worst]:.2g} error bars off (analytical {analytical[e]:.6g}, numerical "
        f"{found.estimate[e]:.6g} +- {found.bar[e]:.1g})"
    )


def _first(concerned: Index, words: Words) -> str:
    return words.entry(int(concerned[0])) + (f" and {concerned.size - 1} more" if concerned.size > 1 else "")
