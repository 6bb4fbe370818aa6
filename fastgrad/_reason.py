"""Why a verdict was given, in a sentence a person can act on."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._assessment import Assessment
from fastgrad._judge.verdict import INCONCLUSIVE, MATCH, MISMATCH, Flag, Verdict

Name = Callable[[int], str]

_DECISIVE = (Flag.NON_FINITE, Flag.NO_ROOM)  # one such component is worth the whole reason


def overall_verdict(assessment: Assessment) -> Verdict:
    """Mismatch if any component is, match if all are, otherwise inconclusive."""
    if (assessment.verdict == MISMATCH).any():
        return Verdict.MISMATCH
    if (assessment.verdict == MATCH).all():
        return Verdict.MATCH
    return Verdict.INCONCLUSIVE


def give_reason(
    assessment: Assessment, analytical: NDArray[Any], value: float, repeat_difference: float, name: Name
) -> str:
    """The sentence for the overall verdict; `analytical` is flat and as given."""
    verdict = overall_verdict(assessment)
    if verdict is Verdict.MISMATCH:
        return _reason_of_mismatch(assessment, analytical, name)
    if verdict is Verdict.MATCH:
        return _reason_of_match(assessment, repeat_difference)
    if not np.isfinite(value):
        return f"f(x) is {value}: there is nothing to differentiate; check at another x"
    if not assessment.seen.all():
        return _reason_of_part(assessment, analytical, repeat_difference, name)
    if repeat_difference == 0.0 and assessment.is_stationary(analytical, value):
        return "x is a stationary point: both gradients vanish within the error bars, so any would; check elsewhere"
    return _reason_of_doubt(assessment, analytical, repeat_difference, name)


def worst_first(assessment: Assessment, analytical: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Flat positions: mismatches before doubts before matches, then by the effect of the difference on f.

    A difference counts times the scale of its coordinate, so that the order does not depend on units of x.
    """
    seen, effect = assessment.seen, _effect(assessment, analytical)
    rank = np.array([1, 2, 0])[assessment.verdict]  # INCONCLUSIVE, MATCH, MISMATCH
    chosen = np.zeros(0, dtype=np.int64)
    for worst_rank in range(3):
        among = np.flatnonzero(seen & (rank == worst_rank))
        wanted = min(count - chosen.size, among.size)
        if wanted > 0:  # a partition, since n may be large and the rows shown few
            top = among[np.argpartition(-effect[among], wanted - 1)[:wanted]]
            chosen = np.concatenate([chosen, top[np.lexsort((top, -effect[top]))]])
    return chosen


def _effect(assessment: Assessment, analytical: NDArray[Any]) -> NDArray[np.float64]:
    """Of each difference on f; infinite where nothing is known."""
    with np.errstate(all="ignore"):
        effect = np.abs(assessment.estimate - analytical) * assessment.scale
    return np.where(np.isnan(effect), np.inf, effect)


def _reason_of_mismatch(assessment: Assessment, analytical: NDArray[Any], name: Name) -> str:
    broken = np.flatnonzero(~np.isfinite(analytical))
    if broken.size:
        more = f" and not finite at {broken.size - 1} more" if broken.size > 1 else ""
        others = np.count_nonzero(assessment.verdict == MISMATCH) - broken.size
        differ = f"; {others} other component{'s' if others > 1 else ''} wrong as well" if others else ""
        return f"the analytical gradient is {analytical[broken[0]]} at {name(int(broken[0]))}{more}{differ}"
    wrong = np.count_nonzero(assessment.verdict == MISMATCH)
    worst = int(worst_first(assessment, analytical, 1)[0])
    unseen = int(np.count_nonzero(assessment.flagged(Flag.UNCONFIRMED)))
    also = f" ({_not_looked_at(unseen, assessment)})" if unseen else ""
    n = analytical.size
    return (
        f"{wrong} of {n} component{'s' if n > 1 else ''} differ{'s' if wrong == 1 else ''} by more than "
        f"{'its' if wrong == 1 else 'their'} error bar{also}; worst {name(worst)}: analytical {analytical[worst]:.6g}, "
        f"numerical {assessment.estimate[worst]:.6g} +- {assessment.bar[worst]:.1g}"
    )


def _reason_of_match(assessment: Assessment, repeat_difference: float) -> str:
    n = assessment.verdict.size
    small = np.count_nonzero(assessment.flagged(Flag.ABSOLUTE))
    both = "the only component agrees" if n == 1 else f"all {n} components agree"
    text = f"{both} within {assessment.rtol:g}"
    if small:
        text += f", {small} of them too small to be resolved and seen to be small"
    one_sided = np.count_nonzero(assessment.flagged(Flag.ONE_SIDED))
    if one_sided:
        text += f"; {one_sided} checked from one side only"
    if repeat_difference > 0.0:
        text += f" (f is not deterministic: two calls at x differ by {repeat_difference:.1g}, which the bars allow for)"
    return text


def _reason_of_part(assessment: Assessment, analytical: NDArray[Any], repeat_difference: float, name: Name) -> str:
    seen = int(np.count_nonzero(assessment.seen))
    if seen == 0:
        return "no component was checked" + (f": {assessment.stopped_by}" if assessment.stopped_by else "")
    open_ = np.flatnonzero(assessment.seen & (assessment.verdict == INCONCLUSIVE))
    undecided, agreeing = open_.size, seen - open_.size
    stopped = f" before {assessment.stopped_by} ended the check" if assessment.stopped_by else ""
    text = f"{seen} of {analytical.size} components were checked{stopped} and "
    if undecided == 0:
        text += "agree"
    else:
        agree = f"{agreeing or 'none'} of them agree{'s' if agreeing == 1 else ''}"
        text += f"{agree}, {undecided} {'is' if undecided == 1 else 'are'} undecided, the worst "
        text += _example(assessment, analytical, open_, name)
    if undecided == seen or not assessment.in_random_order:
        return text
    share = 100 * detectable_share(seen - undecided)
    return (
        f"{text}; if they are a fair sample, and more than {share:.2g} % of all were wrong, one would have been seen "
        f"with 99 % probability"
    )


def detectable_share(seen: int) -> float:
    """Share of wrong components that a fair sample of this size misses with 1 % probability."""
    return 1.0 - 0.01 ** (1.0 / seen) if seen else 1.0


def _reason_of_doubt(assessment: Assessment, analytical: NDArray[Any], repeat_difference: float, name: Name) -> str:
    open_ = np.flatnonzero(assessment.seen & (assessment.verdict == INCONCLUSIVE))
    flags = assessment.flags[open_]
    # A domain that ends far away is not what limits a component seen from both sides, if noise does.
    both_sides = (flags & (Flag.NOISE | Flag.ONE_SIDED)) == Flag.NOISE
    flags = np.where(both_sides & np.isfinite(assessment.bar[open_]), flags & ~np.uint16(Flag.NON_FINITE), flags)
    if repeat_difference > 0.0:
        return (
            f"f is not deterministic: two calls at x differ by {repeat_difference:.2g}, which hides the gradient at "
            f"{_count(open_, analytical.size)}; fix the seed of its random numbers"
        )
    if not np.isfinite(assessment.noise):
        return (
            "the noise of f could not be measured: f is not finite around x when all coordinates move at once; "
            "pass noise=, or check at an x inside the domain"
        )
    for flag, describe in (
        (Flag.KINK, _describe_kinks),
        (Flag.NON_FINITE, _describe_non_finite),
        (Flag.NO_ROOM, _describe_no_room),
        (Flag.STAIRCASE, _describe_staircase),
        (Flag.UNCONFIRMED, _describe_unconfirmed),
        (Flag.SCALE, _describe_scale),
    ):
        concerned = open_[(flags & flag) != 0]
        if 2 * concerned.size > open_.size or (concerned.size and flag in _DECISIVE):
            return describe(assessment, analytical, concerned, name)
    return _describe_noise(assessment, analytical, open_, name)


def is_between(analytical: float, forward: float, backward: float) -> bool:
    """Whether an analytical value is a subgradient, that is, lies between the slopes of a kink."""
    slack = 1e-3 * abs(forward - backward)
    return min(forward, backward) - slack <= analytical <= max(forward, backward) + slack


def _count(positions: NDArray[np.int64], n: int) -> str:
    return f"{positions.size} of {n} component{'s' if n > 1 else ''}"


def _describe_kinks(assessment: Assessment, analytical: NDArray[Any], concerned: NDArray[np.int64], name: Name) -> str:
    parts = []
    for i in concerned[:3].tolist():
        forward, backward = assessment.slopes[i]
        between = "between them" if is_between(float(analytical[i]), forward, backward) else "outside them"
        parts.append(f"{name(i)} (slopes {backward:.4g} and {forward:.4g}, analytical {analytical[i]:.4g} {between})")
    more = f" and {concerned.size - 3} more" if concerned.size > 3 else ""
    return f"kink at {', '.join(parts)}{more}: f has no derivative there; check at an x away from it"


def _describe_non_finite(
    assessment: Assessment, analytical: NDArray[Any], concerned: NDArray[np.int64], name: Name
) -> str:
    return (
        f"f is not finite near x in {name(int(concerned[0]))}"
        f"{f' and {concerned.size - 1} more' if concerned.size > 1 else ''}: differences there say too little; "
        f"pass bounds=, or check at an x inside the domain"
    )


def _describe_no_room(
    assessment: Assessment, analytical: NDArray[Any], concerned: NDArray[np.int64], name: Name
) -> str:
    return (
        f"{name(int(concerned[0]))}{f' and {concerned.size - 1} more' if concerned.size > 1 else ''} "
        f"cannot be moved between {'its' if concerned.size == 1 else 'their'} bounds: nothing can be said about "
        f"{'that component' if concerned.size == 1 else 'those components'}; leave fixed variables out of x"
    )


def _describe_scale(assessment: Assessment, analytical: NDArray[Any], concerned: NDArray[np.int64], name: Name) -> str:
    i = int(concerned[0])
    return (
        f"differences of {name(i)} at small and at large steps contradict each other (analytical {analytical[i]:.6g}, "
        f"best estimate {assessment.estimate[i]:.6g} +- {assessment.bar[i]:.1g}): f varies on a scale between them"
    )


def _describe_staircase(
    assessment: Assessment, analytical: NDArray[Any], concerned: NDArray[np.int64], name: Name
) -> str:
    return (
        f"f moves in steps along {name(int(concerned[0]))}: flat close to x, not from afar; its derivative there is a "
        f"matter of scale"
    )


def _describe_unconfirmed(
    assessment: Assessment, analytical: NDArray[Any], concerned: NDArray[np.int64], name: Name
) -> str:
    return (
        f"{_count(concerned, analytical.size)} {_not_looked_at(None, assessment)}; the worst is "
        f"{_example(assessment, analytical, concerned, name)}"
    )


def _not_looked_at(count: int | None, assessment: Assessment) -> str:
    """Of components that first differences left open: why nothing more is known."""
    why = f" before {assessment.stopped_by} ended the check" if assessment.stopped_by else ""
    return (
        f"{'' if count is None else f'{count} more '}were left open by first differences and not looked at closely{why}"
    )


def _example(assessment: Assessment, analytical: NDArray[Any], among: NDArray[np.int64], name: Name) -> str:
    """The one of some components that is furthest off, with its numbers."""
    i = int(among[np.argmax(_effect(assessment, analytical)[among])])
    return f"{name(i)} (analytical {analytical[i]:.6g}, numerical {assessment.estimate[i]:.6g})"


def _describe_noise(assessment: Assessment, analytical: NDArray[Any], open_: NDArray[np.int64], name: Name) -> str:
    estimate, bar = assessment.estimate[open_], assessment.bar[open_]
    difference = np.abs(estimate - analytical[open_])
    size = np.maximum(np.abs(estimate), np.abs(analytical[open_]))
    with np.errstate(all="ignore"):
        blind = np.where(size > 0.0, bar / size, np.inf)
        share = difference / bar
    worst = int(np.nanargmax(np.where(np.isfinite(share), share, -1.0)))
    limit = float(np.median(blind))
    level = f"f has a noise level of {assessment.noise:.2g}"
    if np.all(share <= 1.0):
        what = f"relative errors below {limit:.1g} at " if limit < 1.0 else ""
        return (
            f"{level}: differences cannot see {what}{_count(open_, analytical.size)}; the gradient agrees within that"
        )
    i = int(open_[worst])
    return (
        f"{level}, which leaves {_count(open_, analytical.size)} undecided; {name(i)} is {share[worst]:.2g} error bars "
        f"off (analytical {analytical[i]:.6g}, numerical {assessment.estimate[i]:.6g} +- {assessment.bar[i]:.1g})"
    )
