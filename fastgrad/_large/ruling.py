"""The verdict of a directional check and its reason, from what directions and the search for culprits showed."""

import math
from collections.abc import Callable

from fastgrad._judge.verdict import Verdict
from fastgrad._large.detect import Family, Finding
from fastgrad._large.investigate import Culprits
from fastgrad._large.samples import Kind
from fastgrad._large.zeros import Zeros

Ruling = tuple[Verdict, str]

# A mismatch is confirmed at a third of the step, where noise is three times as large, in the two clearest of K
# directions, whose weights of a single component are rarely below 1.2; for many errors directions scatter like normal
# numbers, and the two clearest lie beyond one standard deviation. So an error of so many bars is seen with 99 %
# probability by 8 directions or more; docs/directional_rates.md has the shares measured. The fewer, the larger is what
# both of them may miss.
_BARS, _ENOUGH = 4.0, 8
_FEW = 4
_WIDEST = 1e-2  # the smallest error of the whole gradient seen, from which agreement says too little


def power_of(families: list[Family]) -> float:
    """The error seen with 99 % probability, in bars of a direction."""
    drawn = sum(len(f.directions) for f in families)
    return _BARS * max(1.0, _ENOUGH / drawn)


def rule_without_directions(value: float) -> Ruling:
    """f, or a sum over the gradient, is not finite where directions lead."""
    if not math.isfinite(value):
        return Verdict.INCONCLUSIVE, f"f(x) is {value}: there is nothing to differentiate; check at another x"
    return Verdict.INCONCLUSIVE, (
        "f is not finite close to x in random directions, or too large to be squared; check at a point inside the "
        "domain of f, or pass scale=(typical changes of x)"
    )


def rule_on_directions(finding: Finding, families: list[Family], rtol: float) -> Ruling:
    """Without a search for the components."""
    drawn = sum(len(f.directions) for f in families)
    if finding is Finding.NOT_FINITE:
        return rule_without_directions(0.0)
    if finding is Finding.AGREES:
        high = max(f.estimate.high for f in families)
        floor = min(f.estimate.floor for f in families)
        smallest = power_of(families) * floor
        if not smallest < _WIDEST:
            return Verdict.INCONCLUSIVE, (
                f"{drawn} random directions agree within their error bars, but these are {floor:.1g} of the gradient: "
                f"the noise of f hides it"
            )
        return Verdict.MATCH, f"{drawn} random directions agree within their error bars; E is at most {high:.1g}"
    if finding is Finding.KINKED:
        return Verdict.INCONCLUSIVE, (
            "directions differ, but f has a kink at or near x, which can explain it; check at another x, or the "
            "components with check_gradient"
        )
    if finding is Finding.UNCLEAR:
        return Verdict.INCONCLUSIVE, (
            "directions differ, but not in the same way at smaller steps: f may vary on scales finer than the steps "
            "can follow; pass scale=(typical changes of x)"
        )
    low = max(f.estimate.low for f in families if f.confirmed)
    if low > rtol:
        return Verdict.MISMATCH, f"{_confirmed(families)} random directions differ, confirmed at smaller steps"
    return Verdict.INCONCLUSIVE, (
        f"directions differ, but E is only {_error(families):.1g}: as a whole within rtol = {rtol:g}, though a few "
        f"components may be wrong"
    )


def rule_on_culprits(culprits: Culprits, families: list[Family], rtol: float, names: Callable[[int], str]) -> Ruling:
    """After the search for the components of a confirmed mismatch."""
    wrong = culprits.wrong
    low = max(f.estimate.low for f in families if f.confirmed)
    if wrong and culprits.is_confirmed:
        worst = max(wrong, key=lambda s: abs(s.numerical - s.analytical) / max(s.bar, 1e-300))
        more = "at least " if any(found.dense for found in culprits.findings) else ""
        count = _density(culprits) or f"{more}{len(wrong)} component{'s are' if len(wrong) > 1 else ' is'} wrong"
        return Verdict.MISMATCH, (
            f"{count}, for instance {names(worst.index)}: analytical {worst.analytical:.6g}, "
            f"numerical {worst.numerical:.6g} +- {worst.bar:.1g}"
        )
    if wrong and culprits.is_confirmed is False:
        return Verdict.INCONCLUSIVE, (
            f"directions differ, and so does {names(wrong[0].index)}, but a look at all scales cannot confirm it"
        )
    if culprits.law is not None and low > rtol:
        return Verdict.MISMATCH, "all random directions differ by the same simple law"
    if low > rtol and (culprits.cut_short_by is not None or wrong):
        return Verdict.MISMATCH, _without_confirmation(culprits, families, names)
    return _rule_without_culprits(culprits, families, rtol, names)


def _without_confirmation(culprits: Culprits, families: list[Family], names: Callable[[int], str]) -> str:
    """Directions that differ beyond doubt, and components that do, as far as they were looked at."""
    text = f"{_confirmed(families)} random directions differ, confirmed at smaller steps"
    worst = max(culprits.wrong, key=lambda s: abs(s.numerical - s.analytical) / max(s.bar, 1e-300), default=None)
    if worst is not None:
        text += f"; so does {names(worst.index)}, not confirmed at all scales"
    if culprits.cut_short_by is not None:
        return f"{text}; the search for wrong components was ended by {culprits.cut_short_by}"
    return f"{text} because of the noise of f"


def _rule_without_culprits(
    culprits: Culprits, families: list[Family], rtol: float, names: Callable[[int], str]
) -> Ruling:
    high = max(f.estimate.high for f in families if f.confirmed)
    if any(cause.kind == "float32" for cause in culprits.causes):
        within = high <= rtol
        return (Verdict.MATCH if within else Verdict.MISMATCH), (
            f"the gradient is inexact, with E = {_error(families):.1g}, {'within' if within else 'beyond'} "
            f"rtol = {rtol:g}"
        )
    if culprits.of_kind(Kind.KINK):
        return Verdict.INCONCLUSIVE, "directions differ, but the components that do are at a kink of f"
    if high <= rtol and _is_spread(culprits):
        return Verdict.MATCH, (
            f"the gradient is inexact, with E = {_error(families):.1g}, within rtol = {rtol:g}, and no component "
            f"stands out"
        )
    if culprits.cut_short_by is not None:
        return Verdict.INCONCLUSIVE, (
            f"directions differ (E = {_error(families):.1g}), and the search for wrong components was ended by "
            f"{culprits.cut_short_by}"
        )
    if culprits.wrong:
        return Verdict.INCONCLUSIVE, (
            f"directions differ (E = {_error(families):.1g}), and so does {names(culprits.wrong[0].index)}, but at the "
            f"scale of this component the noise of f hides it"
        )
    hidden = "look like a kink of f" if _may_be_kinks(culprits) else "are hidden in the noise of f"
    return Verdict.INCONCLUSIVE, (
        f"directions differ (E = {_error(families):.1g}), but no single component could be shown to be wrong: "
        f"their differences {hidden}"
    )


def _is_spread(culprits: Culprits) -> bool:
    """Whether a search that went to its end, or a fair sample, shows many tiny differences and none that is large."""
    if culprits.wrong or not culprits.of_kind(Kind.TINY):
        return False
    if culprits.cut_short_by is None:
        return True
    fair = [found.samples[i].kind for found in culprits.findings for i in found.fair if i in found.samples]
    resolved = [kind for kind in fair if kind in (Kind.TINY, Kind.RIGHT)]
    return culprits.is_left_open and 2 * resolved.count(Kind.TINY) > max(len(resolved), _FEW)


def _may_be_kinks(culprits: Culprits) -> bool:
    return any(math.isinf(s.bar) and s.step > 0.0 for s in culprits.of_kind(Kind.UNRESOLVED))


def rule_on_zeros(zeros: Zeros, culprits: Culprits, with_zeros_held: Ruling, names: Callable[[int], str]) -> Ruling:
    """Where directions agree as long as zeros are held, and the zeros were looked at one by one."""
    wrong, kinks = culprits.wrong, zeros.of_kind(Kind.KINK)
    if wrong and culprits.is_confirmed:
        s = wrong[0]
        return Verdict.MISMATCH, (
            f"{len(wrong)} of {len(zeros.samples)} components looked at that are exactly zero differ, for instance "
            f"{names(s.index)}: analytical {s.analytical:.6g}, numerical {s.numerical:.6g} +- {s.bar:.1g}"
        )
    if zeros.all_right:
        return with_zeros_held
    seen = f"{zeros.count} components of x are exactly zero; with them held, {with_zeros_held[1]}"
    if wrong:
        s = wrong[0]
        return Verdict.INCONCLUSIVE, (
            f"f has a kink at or near zeros of x, and {names(s.index)} = 0 is one where the gradient given, "
            f"{s.analytical:.6g}, lies outside the slopes of both sides, about {s.numerical:.6g}. {seen}; check at "
            f"an x away from zero"
        )
    if not kinks:
        return Verdict.INCONCLUSIVE, f"f has a kink near x. {seen}; check at an x away from zero"
    first = kinks[0]
    return Verdict.INCONCLUSIVE, (
        f"f has a kink at {len(kinks)} of {len(zeros.samples)} looked at, for instance {names(first.index)}, and the "
        f"gradient given there lies between the slopes of both sides. {seen}; check at an x away from zero"
    )


def _density(culprits: Culprits) -> str:
    """The share of wrong components in a whole x, or the blocks in which many are."""
    if culprits.law is not None and culprits.law in culprits.causes:
        return "the whole gradient is wrong"
    many = [found for found in culprits.findings if found.density is not None]
    if not many:
        return ""
    if len(many) == 1 and not many[0].block.name:
        low, high = (100.0 * bound for bound in many[0].density[1:])  # type: ignore[index]
        return f"between {low:.0f} and {high:.0f} % of the components are wrong"
    names = [found.block.name for found in many]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"many components of {', '.join(names[:3])}{more} are wrong"


def describe_remainder(culprits: Culprits) -> str | None:
    """What the components and causes found do not explain."""
    if culprits.is_explained:
        return None
    opened = [interval for found in culprits.findings for interval in found.open]
    if opened:
        size = sum(hi - lo for lo, hi, _ in opened)
        return f"{len(opened)} interval{'s' if len(opened) > 1 else ''} with {size} components differ, not searched"
    many = [found.block.name or "x" for found in culprits.findings if found.density is not None or found.dense]
    if many:
        return f"many components of {', '.join(many[:6])} are wrong; only a sample of them was looked at"
    if culprits.cut_short_by is not None:
        return f"the search was ended by {culprits.cut_short_by}"
    return "directions still differ after correcting what was found"


def _confirmed(families: list[Family]) -> int:
    return sum(len(f.confirmed) for f in families)


def _error(families: list[Family]) -> float:
    return max((f.estimate.error for f in families if f.confirmed), default=math.nan)
