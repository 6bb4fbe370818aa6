"""Components of the gradient of a sum that differ, moved alone: all terms are watched, whatever the sparsity says.

A component is read from the terms that are said to contain it, while others move too. If the sparsity lacks entries,
what those leave may look like an error of the gradient. Moving the coordinate alone shows the whole derivative.
"""

from dataclasses import dataclass, field

import numpy as np

from fastgrad._assessment import Assessment
from fastgrad._first import Bounds
from fastgrad._judge.setting import NOISE_WIDTH, ROUNDING
from fastgrad._judge.verdict import INCONCLUSIVE, MISMATCH, Flag
from fastgrad._reason import worst_first
from fastgrad._schedule import Floats
from fastgrad._sparse.pattern import Index, Pattern
from fastgrad._sparse.probe import Probe, respond
from fastgrad._vector_schedule import VectorEvaluator

_MOST = 16  # components moved alone, the worst first; 2 evaluations each
_STANDS = 0.5  # of the difference must be left for an accusation to stand


@dataclass
class Alone:
    """What moving components alone showed."""

    acquitted: list[int] = field(default_factory=list)
    missing: list[tuple[int, int]] = field(default_factory=list)  # term and variable that the sparsity lacks

    @property
    def pairs(self) -> tuple[Index, Index]:
        """Terms and variables as index arrays."""
        found = np.array(self.missing, np.int64).reshape(-1, 2)
        return found[:, 0], found[:, 1]


@dataclass(frozen=True)
class Terms:
    """All terms, as they are at x."""

    evaluator: VectorEvaluator
    pattern: Pattern
    value: Floats
    sigma: Floats  # noise of each
    bounds: Bounds | None


def confirm_alone(terms: Terms, result: Assessment, analytical: Floats) -> Alone:
    """Withdraw accusations that do not stand when the coordinate moves alone; the verdicts are changed in place.

    If one of those tried falls, others that were not tried are withdrawn too.
    """
    alone, accused = Alone(), int(np.count_nonzero(result.verdict == MISMATCH))
    wrong = worst_first(result, analytical, _MOST)
    wrong = wrong[(result.verdict[wrong] == MISMATCH) & np.isfinite(analytical[wrong])]
    for j in wrong.tolist():
        probe = _moved_alone(terms, j, float(result.step[j]))
        if probe is not None and not _stands(terms, probe, j, (float(result.estimate[j]), float(analytical[j])), alone):
            alone.acquitted.append(j)
    _withdraw(result, np.array(alone.acquitted, np.int64))
    if alone.acquitted and accused > wrong.size:
        untried = np.flatnonzero((result.verdict == MISMATCH) & np.isfinite(analytical))
        _withdraw(result, np.setdiff1d(untried, wrong))
    return alone


def _withdraw(result: Assessment, components: Index) -> None:
    result.verdict[components] = INCONCLUSIVE
    result.flags[components] |= int(Flag.UNCONFIRMED)


def _moved_alone(terms: Terms, j: int, step: float) -> Probe | None:
    """None where it has no room."""
    x = terms.evaluator.point.flat.astype(np.float64)
    direction = np.zeros(x.size)
    direction[j] = step
    if not np.isfinite(step):
        return None
    if terms.bounds is not None and not (terms.bounds.contain(x + direction) & terms.bounds.contain(x - direction))[j]:
        return None
    probe = respond(terms.evaluator, terms.value, direction)
    return probe if probe.distance[j] > 0.0 and np.isfinite(probe.response).all() else None


def _stands(terms: Terms, probe: Probe, j: int, values: tuple[float, float], alone: Alone) -> bool:
    """Whether the analytical derivative is about as far from the whole one as from the estimate."""
    estimate, analytical = values
    whole = float(probe.response.sum()) / float(probe.distance[j])
    bar = 2.0 * NOISE_WIDTH * np.maximum(terms.sigma, ROUNDING * np.abs(terms.value))
    outside = np.abs(probe.response) > bar
    outside[terms.pattern.rows[terms.pattern.entries_of_column(j)]] = False
    alone.missing += [(t, j) for t in np.flatnonzero(outside).tolist()]
    return abs(analytical - whole) > _STANDS * abs(analytical - estimate)
