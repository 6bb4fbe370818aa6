"""Laws that segments through x show: of the whole gradient, or of a block that they move alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fastgrad._causes.cause import Cause, find_causes
from fastgrad._causes.places import Block
from fastgrad._inputs import Point
from fastgrad._large.explain import laws_of
from fastgrad._large.line import Floats, Segment
from fastgrad._report import Component

_FEWEST = 3  # segments, and wrong components
_LEAST_FACTOR = 1e-6  # of a factor from 1: below, a number would be made up


def law_of_segments(
    point: Point,
    block: Block,
    segments: Sequence[Segment],
    directions: Sequence[Floats],
    constants: Mapping[str, float],
) -> Cause | None:
    """One law for the block that reproduces the mismatch of every segment; no evaluations.

    Mismatches are averages over a segment, and so are the sums here: exactly for a factor, a constant and a term in x,
    and for a term in sign(x) where no component changes its sign.
    """
    if len(segments) < _FEWEST:
        return None
    x = point.flat.astype(np.float64)
    values = {"constant": np.ones_like(x), "proportional to sign(x)": np.sign(x)}

    def column(kind: str, count: int) -> Floats:
        if kind == "factor":
            return np.array([s.integral / (2.0 * s.length) for s in segments[:count]])
        pairs = list(zip(segments, directions, strict=True))[:count]
        if kind == "proportional to x":
            return np.array([((x + s.middle * v) * v).sum() for s, v in pairs])
        return np.array([(values[kind] * v).sum() for _, v in pairs])

    y, bar = np.array([s.mismatch for s in segments]), np.array([s.bar for s in segments])
    for cause in laws_of(y, bar, column, constants, block.size):
        if cause.kind == "factor" and cause.parameter and abs(cause.parameter - 1.0) < _LEAST_FACTOR:
            continue
        if not block.name:
            return cause
        return replace(cause, block=block.name, sentence=cause.sentence.replace("the whole gradient", block.name))
    return None


def causes_of_components(rows: Sequence[Component], positions: Sequence[int], point: Point) -> list[Cause]:
    """A law that all located components obey."""
    if len(rows) < _FEWEST:
        return []
    x = point.flat[np.array(positions)]
    causes = find_causes(
        x, [row.analytical for row in rows], [row.numerical for row in rows], [row.uncertainty for row in rows],
        np.ones(len(rows), np.bool_), blocks=[Block("these components", 0, (len(rows),))],
    )  # fmt: skip
    named = [cause for cause in causes if cause.parameter is not None or cause.kind in ("sign", "zero")]
    return [replace(cause, block=None) for cause in named]
