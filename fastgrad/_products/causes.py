"""Why a product is wrong: only what holds for every output and along every direction."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.directions import random_direction
from fastgrad._causes.cause import Cause, find_causes
from fastgrad._judge.verdict import MATCH, MISMATCH, Flag, Verdict
from fastgrad._products.adjoint import claim_of, judge_components, judge_pair
from fastgrad._products.inputs import Product
from fastgrad._products.tangent import Tangent, judge_tangent
from fastgrad._vector_schedule import VectorEvaluator
from fastgrad._vector_trial import VectorTrial

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PROBES = 2
_PURPOSE = 63
_TIMES = -2.0  # changes length and sign, and is exact
_NOT_LINEAR = 0.01  # relative: products by differences are linear up to their truncation
_SAME = 1e-6  # relative: a ratio that all outputs share
_SAME_NUMBER = 4e-3  # relative: numbers of laws are as uncertain as that at most


def causes_of_tangents(
    evaluator: VectorEvaluator, trial: VectorTrial, product: Product, tangents: Sequence[Tangent], rtol: float
) -> tuple[Cause, ...]:
    """Of a jvp or hvp. What no law of outputs sees comes first: that v enters in another way, or the transpose.

    The Jacobian of a gradient is its own transpose, so a wrong hvp is never the product with that.
    """
    wrong = [t for t in tangents if (t.verdict == MISMATCH).any()]
    if not wrong:
        return ()
    most = max(wrong, key=lambda t: int((t.verdict == MISMATCH).sum()))
    found = not_linear(product, most.direction, most.claimed, most.verdict == MISMATCH)
    if found is not None:
        return (found,)
    if product.name != "hvp" and _is_transposed(evaluator, trial, wrong, most, rtol):
        text = f"{product.name} multiplies by the transpose of the Jacobian"
        return (Cause("transpose", None, text, int((most.verdict == MISMATCH).sum())),)
    laws = _laws(most, trial.shape)
    for t in wrong:
        laws = laws and common(laws, _laws(t, trial.shape))
    return laws


def _laws(t: Tangent, shape: tuple[int, ...]) -> tuple[Cause, ...]:
    """The simple laws behind the wrong outputs along one direction."""
    wrong = t.verdict == MISMATCH
    square = t.direction.size == t.claimed.size
    v = t.direction if square else np.zeros(t.claimed.size)
    bar = np.where((t.flags & Flag.UNCONFIRMED) != 0, 0.1 * np.abs(t.numerical - t.claimed), t.bar)
    found = find_causes(v, t.claimed, t.numerical, bar, wrong, shape=shape)
    return tuple(replace(cause, sentence=cause.sentence.replace("* x", "* v").replace("(x)", "(v)")) for cause in found)


def common(causes: tuple[Cause, ...], others: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Those of the causes found for one vector that were found for another one too."""
    return tuple(cause for cause in causes if any(_is_same(cause, other) for other in others))


def _is_same(one: Cause, other: Cause) -> bool:
    if one.kind != other.kind or (one.kind == "place" and one.sentence != other.sentence):
        return False
    if one.parameter is None or other.parameter is None:
        return one.parameter == other.parameter
    return math.isclose(one.parameter, other.parameter, rel_tol=_SAME_NUMBER)


def not_linear(product: Product, vector: Floats, claimed: Floats, wrong: Mask) -> Cause | None:
    """Whether all that is wrong is not proportional to the vector; two more calls of the product."""
    letter = "w" if product.name == "vjp" else "v"
    with np.errstate(all="ignore"):
        again, scaled = product(vector), product(_TIMES * vector)
        off = np.abs(scaled - _TIMES * claimed) > _NOT_LINEAR * np.maximum(np.abs(scaled), np.abs(claimed))
        ratio = scaled[wrong] / claimed[wrong]
    if not np.array_equal(again, claimed) or not off[wrong].all():  # NaN is neither
        return None
    name, once = product.name, f"{product.name}(x, {letter})"
    text = f"{name} is not linear in {letter}: {name}(x, {_TIMES:g} {letter}) is not {_TIMES:g} {once}"
    if np.allclose(ratio, -1.0, rtol=_SAME, atol=0.0):
        text = f"{name} is not linear in {letter}: the length of {letter} makes no difference"
    elif np.allclose(ratio, ratio[0], rtol=_SAME, atol=0.0):
        text += f" but {ratio[0]:.4g} {once}"
    return Cause("not linear", None, text, int(wrong.sum()))


def _is_transposed(
    evaluator: VectorEvaluator, trial: VectorTrial, wrong: list[Tangent], most: Tangent, rtol: float
) -> bool:
    """Whether J v is J^T v along every direction, and in every output along one.

    <u, J^T v> is the derivative of <v, F> along u: 80 evaluations for each direction, then 2 or more for each output.
    """
    if evaluator.point.size != trial.size:
        return False
    for t in wrong:
        for k in range(_PROBES):
            u = random_direction(evaluator.point, 0, _PURPOSE, k, scale=t.scale)
            if judge_pair(evaluator, trial, u, t.direction, claim_of(t.claimed, u, rtol)).verdict is not Verdict.MATCH:
                return False
    found = judge_components(evaluator, trial, most.direction, most.claimed, rtol)
    return _explains(found.verdict, (most.verdict == MISMATCH) & found.seen)


def is_jacobian(
    evaluator: VectorEvaluator, trial: VectorTrial, w: Floats, claimed: Floats, wrong: Mask, rtol: float
) -> bool:
    """Whether what was claimed of J^T w is J w, in every component that is wrong; 30 to 75 evaluations."""
    if evaluator.point.size != trial.size or not np.isfinite(claimed).all():
        return False
    return _explains(judge_tangent(evaluator, trial, w, claimed, rtol).verdict, wrong)


def _explains(verdict: NDArray[np.int8], wrong: Mask) -> bool:
    """Whether another reading is right where the first was wrong, and wrong nowhere."""
    return bool((verdict == MATCH).any() and (verdict[wrong] == MATCH).all() and not (verdict == MISMATCH).any())
