"""Causes for what was located or what whole directions say, and what remains when they are put right."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgrad._causes.cause import Cause, find_causes
from fastgrad._causes.evidence import ALLOWANCE, SURE, feasible
from fastgrad._causes.numbers import describe_ratio, recognise_coefficient
from fastgrad._causes.places import Block
from fastgrad._large.detect import Family
from fastgrad._large.locate import BlockFindings
from fastgrad._large.probes import Prober
from fastgrad._large.samples import Kind, Sample

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_PIECE = 1 << 16
_MOST_FOR_PLACES = 1 << 22  # entries: rearrangements are looked for in the gradient as a whole
_REARRANGED = {"transpose", "reversed", "shift", "swapped entries", "swapped blocks", "misplaced block"}
_SLACK = 1.5  # the bars are estimates themselves
_CLEAR, _FEWEST_CLEAR, _FEWEST = 10.0, 4, 6
_TRIED = 2


@dataclass(frozen=True)
class Correction:
    """What to add to the analytical gradient, for positions in a block."""

    block: Block
    at: Callable[[Index], Floats]


# ------------------------------------------------------------------------------------- causes of what was located


def causes_of_samples(
    prober: Prober, findings: Sequence[BlockFindings], blocks: tuple[Block, ...], constants: Mapping[str, float]
) -> tuple[list[Cause], list[Correction]]:
    """Name the law behind the wrong samples of each block, and how to put the block right."""
    rearranged = _rearrangements(prober, findings, blocks, constants)
    causes, corrections = list(rearranged.values()), []
    for found in findings:
        cause = rearranged.get(found.block.name) or _cause_of_block(prober, found, constants)
        if cause is None:
            continue
        if cause not in causes:
            causes.append(cause)
        correction = _correction(prober, found, cause)
        if correction is not None and found.density is not None:
            corrections.append(correction)
    return _without_doubles(causes), corrections


def _without_doubles(causes: list[Cause]) -> list[Cause]:
    return list(dict.fromkeys(causes))


def _rearrangements(
    prober: Prober, findings: Sequence[BlockFindings], blocks: tuple[Block, ...], constants: Mapping[str, float]
) -> dict[str, Cause]:
    """Derivatives in the wrong places: the whole gradient is needed to see them."""
    n = prober.point.size
    samples = [s for found in findings for s in found.samples.values()]
    if n > _MOST_FOR_PLACES or sum(s.kind is Kind.WRONG for s in samples) < 2:
        return {}
    numerical, bar, wrong = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.bool_)
    for s in samples:
        numerical[s.index], bar[s.index], wrong[s.index] = s.numerical, s.bar, s.kind is Kind.WRONG
    named = blocks if blocks[0].name else None
    causes = find_causes(
        prober.point.flat, prober.analytical, numerical, bar, wrong,
        blocks=named, shape=blocks[0].shape, constants=constants,
    )  # fmt: skip
    touched = {found.block.name for found in findings}
    found_causes = {}
    for cause in causes:
        if cause.kind in _REARRANGED:
            # A swap concerns several blocks and names none.
            names = [cause.block or ""] if cause.block or len(touched) == 1 else _named_in(cause, touched)
            found_causes.update(dict.fromkeys(names, cause))
    return found_causes


def _named_in(cause: Cause, names: set[str]) -> list[str]:
    words = set(cause.sentence.replace(",", " ").split())
    return [name for name in names if name in words]


def _cause_of_block(prober: Prober, found: BlockFindings, constants: Mapping[str, float]) -> Cause | None:
    """One law for all wrong samples of a block, as if they were the block."""
    wrong = found.wrong
    if not wrong:
        return None
    index = np.array([s.index for s in wrong])
    name = found.block.name or "x"
    blocks = [Block(name, 0, (index.size,))]
    causes = find_causes(
        prober.point.flat[index], prober.analytical[index],
        [s.numerical for s in wrong], [s.bar for s in wrong], np.ones(index.size, np.bool_),
        blocks=blocks,
        constants={"n": float(prober.point.size), **_sizes(found.block), **constants},
    )  # fmt: skip
    if len(causes) != 1 or causes[0].kind in _REARRANGED | {"place", "one block", "some blocks"}:
        return None
    cause = causes[0]
    where = _where(found)
    text = cause.sentence.replace(f"the entries of {name}", where).replace(f"entry {blocks[0].number(0)}", where)
    return replace(cause, block=found.block.name or None, sentence=text)


def _sizes(block: Block) -> dict[str, float]:
    return {**block.lengths, "size": float(block.size)} if block.name else {}


def _where(found: BlockFindings) -> str:
    of = f" of {found.block.name}" if found.block.name else " of x"
    if found.pattern is not None:
        return found.pattern.text + of
    if found.density is not None and found.density[1] < 0.5:
        return f"the wrong entries{of}"
    if found.density is not None or found.block.size <= len(found.wrong):
        return f"the entries{of}"
    positions = [s.index - found.block.start for s in found.wrong]
    if len(positions) == 1:
        number = found.block.number(positions[0])
        return f"entry {number}" if found.block.name else f"entry {number}{of}"
    return f"the {len(positions)} wrong entries{of}"


# ----------------------------------------------------------------------------------------- putting things right


def _correction(prober: Prober, found: BlockFindings, cause: Cause) -> Correction | None:
    """The law as a formula, if it also predicts the samples that are right (else restricted to the pattern)."""
    formula = _formula(prober, found.block, cause)
    if formula is None:
        return None
    choices = [formula]
    if found.pattern is not None:
        pattern = found.pattern
        choices.append(lambda k: np.where(pattern.holds(k), formula(k), 0.0))
    for choice in choices:
        if all(_predicts(choice, s, found.block) for s in found.of_kind(Kind.WRONG, Kind.RIGHT)):
            return Correction(found.block, choice)
    return None


def _predicts(formula: Callable[[Index], Floats], s: Sample, block: Block) -> bool:
    correction = float(formula(np.array([s.index - block.start]))[0])
    return abs(s.numerical - s.analytical - correction) <= _SLACK * s.bar + 1e-7 * abs(s.numerical)


def _formula(prober: Prober, block: Block, cause: Cause) -> Callable[[Index], Floats] | None:
    a = prober.analytical[block.slice]
    x = prober.point.flat[block.slice]
    c = cause.parameter
    if cause.kind == "sign":
        return lambda k: -2.0 * a[k]
    if cause.kind == "unused":
        return lambda k: -1.0 * a[k]
    if cause.kind == "transpose" and len(block.shape) > 1:
        turned = np.arange(block.size).reshape(block.shape[::-1]).T.ravel()
        return lambda k: a[turned[k]] - a[k]
    if c is None:
        return None
    formulas: dict[str, Callable[[Index], Floats]] = {
        "factor": lambda k: (1.0 / c - 1.0) * a[k],
        "constant": lambda k: np.full(k.size, c),
        "proportional to x": lambda k: c * x[k],
        "proportional to sign(x)": lambda k: c * np.sign(x[k]),
    }
    return formulas.get(cause.kind)


def is_explained(
    families: Sequence[Family], samples: Sequence[Sample], corrections: Sequence[Correction]
) -> list[bool]:
    """For each family, whether the directions of the detection agree with the corrected gradient; no evaluations."""
    covered = [(c.block.start, c.block.stop) for c in corrections]
    single = [s for s in samples if not any(lo <= s.index < hi for lo, hi in covered)]
    index = np.array([s.index for s in single], dtype=np.int64)
    change = np.array([s.numerical - s.analytical for s in single])
    bars = np.array([s.bar for s in single])
    agrees = []
    for family in families:
        clean = True
        for d in family.usable:
            v = family.scaling.components(d.key, index)
            known = float(v @ change) + sum(_along(family, d.key, c) for c in corrections)
            bar = _SLACK * (d.bar + float(np.linalg.norm(v * bars)) + 1e-7 * abs(d.estimate))
            clean &= abs(d.estimate - known) <= bar
        agrees.append(clean)
    return agrees


def _along(family: Family, key: int, correction: Correction) -> float:
    # Not with @, which wakes the threads of BLAS for every piece.
    return math.fsum(
        float((family.scaling.components(key, k + correction.block.start) * correction.at(k)).sum())
        for k in _pieces(correction.block.size)
    )


def _pieces(size: int) -> Iterator[Index]:
    for start in range(0, size, _PIECE):
        yield np.arange(start, min(start + _PIECE, size), dtype=np.int64)


# --------------------------------------------------------------------------------- laws that whole directions show


def cause_of_directions(
    prober: Prober, families: Sequence[Family], constants: Mapping[str, float]
) -> tuple[Cause, Correction] | None:
    """One law for the whole gradient that reproduces every measured direction; no evaluations.

    All components speak at once, so this sees a factor where no single component can be resolved.
    """
    seen = [(family, d) for family in families for d in family.usable]
    y = np.array([d.estimate for _, d in seen])
    bar = np.array([d.bar for _, d in seen])
    if y.size < _FEWEST or np.count_nonzero(np.abs(y) > _CLEAR * bar) < _FEWEST_CLEAR:
        return None
    n = prober.point.size

    def column(kind: str, count: int) -> Floats:
        part = seen[:count]
        return np.array([d.slope for _, d in part]) if kind == "factor" else _sums(prober, part, kind)

    for cause in laws_of(y, bar, column, constants, n):
        formula = _formula(prober, Block("", 0, (n,)), cause)
        if formula is not None:
            return cause, Correction(Block("", 0, (n,)), formula)
    return None


def laws_of(
    y: Floats, bar: Floats, column: Callable[[str, int], Floats], constants: Mapping[str, float], n: int
) -> Iterator[Cause]:
    """Laws of one parameter, y = c * column, that reproduce all mismatches y within their bars.

    `column` is asked for its first few entries, each a pass over x, and for all of them only if these fit.
    """
    tolerance = 1.3 * bar + 10.0 * ALLOWANCE * np.abs(y)
    chance = np.sort(np.log10(np.minimum(1.0, 2.0 * tolerance / np.maximum(np.abs(y), 1e-300))))[1:].sum()
    if chance + math.log10(200.0) >= SURE:
        return
    for kind in ("factor", "proportional to x", "constant", "proportional to sign(x)"):
        few = min(_TRIED, y.size)
        if feasible(y[:few], column(kind, few), tolerance[:few]) is None:
            continue
        interval = feasible(y, column(kind, y.size), tolerance)
        if interval is not None:
            yield _named(kind, interval, constants, n)


def _sums(prober: Prober, seen: Sequence[tuple[Family, object]], kind: str) -> Floats:
    """Sum of v_i times x_i, 1 or sign(x_i), for each direction."""
    x = prober.point.flat
    values: dict[str, Callable[[Index], Floats]] = {
        "proportional to x": lambda k: x[k],
        "constant": lambda k: np.ones(k.size),
        "proportional to sign(x)": lambda k: np.sign(x[k]),
    }
    correction = Correction(Block("", 0, (x.size,)), values[kind])
    return np.array([_along(family, d.key, correction) for family, d in seen])  # type: ignore[attr-defined]


def _named(kind: str, interval: tuple[float, float, float], constants: Mapping[str, float], n: int) -> Cause:
    sign, low, high = interval
    if kind != "factor":
        number = recognise_coefficient(low, high, constants)
        symbol = {"proportional to x": " * x", "constant": "", "proportional to sign(x)": " * sign(x)"}[kind]
        verb = "is missing from" if sign > 0 else "too much is in"
        text = f"a term {number.text}{symbol} {verb} the whole gradient"
        return Cause(kind, None, text, n, sign * number.value)
    first, last = sorted((1.0 + sign * low, 1.0 + sign * high))
    if first <= 0.0 <= last:
        return Cause("factor", None, "the whole gradient should be zero: f does not react", n, math.inf)
    negative = last < 0.0
    low, high = (-last, -first) if negative else (first, last)
    ratio, number, change = describe_ratio(low, high, {"n": float(n)}, constants)
    if negative and ratio == 1.0:
        return Cause("sign", None, "the whole gradient has the wrong sign", n, -1.0)
    flipped = ", and has the wrong sign" if negative else ""
    return Cause(
        "factor", None, f"the whole gradient is {change}{flipped}{number.hint}", n, (-1 if negative else 1) / ratio
    )
