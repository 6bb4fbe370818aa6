"""From what directions and the search for culprits showed to the tables of a result."""

import math
from collections.abc import Sequence

import numpy as np

from fastgrad._inputs import Array, Point
from fastgrad._judge.verdict import Verdict
from fastgrad._large.detect import Family
from fastgrad._large.directional_report import BlockCheck
from fastgrad._large.locate import BlockFindings
from fastgrad._large.probes import Scaling
from fastgrad._large.samples import Sample
from fastgrad._layout import Layout
from fastgrad._report import Component
from fastgrad._report_lines import difference_of


def describe_broken(analytical: Array, layout: Layout) -> str | None:
    """Which components of the gradient are not finite; None if all are."""
    broken = np.flatnonzero(~np.isfinite(analytical))
    if broken.size == 0:
        return None
    more = f" and not finite at {broken.size - 1} more" if broken.size > 1 else ""
    first = int(broken[0])
    return f"the analytical gradient is {analytical[first]} at {layout.name(first)}{more}"


def component_rows(wrong: Sequence[Sample], point: Point, layout: Layout, scaling: Scaling) -> list[Component]:
    """Wrong components, the largest effect first."""
    if not wrong:
        return []
    size = scaling.at(np.array([s.index for s in wrong], dtype=np.int64))
    order = np.argsort([-abs(s.numerical - s.analytical) * k for s, k in zip(wrong, size, strict=True)])
    return [_row(wrong[int(k)], point, layout) for k in order]


def _row(s: Sample, point: Point, layout: Layout) -> Component:
    return Component(
        name=layout.name(s.index),
        index=layout.index(s.index),
        verdict=Verdict.MISMATCH,
        x=float(point.flat[s.index]),
        step=s.step,
        analytical=s.analytical,
        numerical=s.numerical,
        uncertainty=s.bar,
        **difference_of(s.analytical, s.numerical),
    )


def block_rows(findings: Sequence[BlockFindings]) -> list[BlockCheck]:
    """Blocks that differ, and what was seen of them."""
    return [
        BlockCheck(
            name=found.block.name,
            size=found.block.size,
            sampled=len(found.samples),
            wrong=len(found.wrong),
            density=None if found.density is None else found.density[1:],
            place=None if found.pattern is None else found.pattern.text,
            open_intervals=tuple((lo, hi) for lo, hi, _ in found.open),
        )
        for found in findings
    ]


def interval_of(family: Family | None) -> tuple[float, float]:
    """Of E; from zero if nothing was confirmed."""
    if family is None:
        return math.nan, math.nan
    estimate = family.estimate
    return (estimate.low if family.confirmed else 0.0), estimate.high
