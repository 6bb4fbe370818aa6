"""One check of products: F at x, the random vectors, and what is measured along them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgrad._along.directions import Draw, Scale, instead_of, is_spread, plan_draws, random_direction, worth_threads
from fastgrad._calls import Named
from fastgrad._causes.cause import Cause
from fastgrad._inputs import DEFAULT_RTOL, Point, point_array
from fastgrad._judge.verdict import Verdict
from fastgrad._large.probes import key_of
from fastgrad._options import positive_number, seed_of
from fastgrad._products.causes import causes_of_tangents
from fastgrad._products.inputs import Product, prepare_wide_vector
from fastgrad._products.tangent import Tangent, judge_tangent
from fastgrad._vector_schedule import VectorEvaluator
from fastgrad._vector_trial import VectorTrial

Floats = NDArray[np.float64]
T = TypeVar("T")

_TRIALS = 2  # evaluations at x
_PURPOSE, _WEIGHTS = 61, 62
_PROBE = 2.0**-7  # of a direction, to see how much each output moves
_FAR = 10.0  # times: outputs whose changes differ so much weigh differently
_NOTHING = 1e-9  # of its value: an output that moves less is constant, or too noisy for a weight of its own


@dataclass(frozen=True)
class Session:
    """F around x."""

    evaluator: VectorEvaluator
    trial: VectorTrial
    given: Point  # x as the user has it
    rtol: float
    seed: int
    started: float

    @property
    def point(self) -> Point:
        """Where F is evaluated: x, in float64 where F allows."""
        return self.evaluator.point

    def tangents(self, product: Product, count: int) -> list[Tangent]:
        """So many random directions of a jvp or hvp, and more where the sizes of x spread, judged."""

        def judge(v: Floats, scale: Scale) -> Tangent:
            return replace(self.judge_tangent(product, product.rounded(v)), scale=scale)

        return [self.along(judge, lambda tangent: tangent, draw) for draw in plan_draws(self.point, count)]

    def judge_tangent(self, product: Product, v: Floats) -> Tangent:
        """What a jvp or hvp says of v, judged."""
        return judge_tangent(self.evaluator, self.trial, v, product(v), self.rtol)

    def along(self, judge: Callable[[Floats, Scale], T], judged: Callable[[T], Any], draw: Draw) -> T:
        """What is judged along a random direction; one that moves no component beyond its size if need be."""
        key, scale = (self.seed, _PURPOSE, draw.number), draw.scale
        found = judge(random_direction(self.point, *key, scale=scale), scale)
        narrower = instead_of(scale, self.point)
        if judged(found).overall is not Verdict.INCONCLUSIVE or narrower is None:
            return found
        drawn = random_direction(self.point, *key, scale=narrower)
        other = judge(drawn, narrower if is_spread(self.point) else scale)
        return other if judged(other).outweighs(judged(found)) else found

    def weights(self, v: Floats, k: int) -> tuple[Floats, int]:
        """The k-th random w: an output that changes much along v weighs little.

        In every other one no output weighs more than a typical one does, lest those that hardly change, be it by
        noise alone, hide the rest. Besides w, which of the two it is; 0 where there is little between them.
        """
        generator = np.random.default_rng(key_of(self.seed, _WEIGHTS, k))
        moved, _ = self.evaluator.along(v, np.array([_PROBE, -_PROBE]))
        with np.errstate(all="ignore"):
            change = np.abs(moved[0] - moved[1])
        moves = np.isfinite(change) & (change > _NOTHING * np.abs(moved[0]))
        typical = float(np.median(change[moves])) if moves.any() else 1.0
        scale = np.where(moves, change if k % 2 else np.maximum(change, typical), typical)
        sign, size = generator.choice([-1.0, 1.0], change.size), generator.uniform(0.5, 1.5, change.size)
        spreads = bool(moves.any()) and _FAR * float(change[moves].min()) < typical
        return np.asarray(sign * size / scale), k % 2 if spreads else 0

    def causes(self, product: Product, tangents: list[Tangent]) -> tuple[Cause, ...]:
        """Why a jvp or hvp is wrong."""
        return causes_of_tangents(self.evaluator, self.trial, product, tangents, self.rtol)

    def facts(self) -> dict[str, Any]:
        """What every result says about how it was found."""
        self.evaluator.require_intact()
        return {
            "rtol": self.rtol,
            "evaluations": self.evaluator.evaluations + _TRIALS,
            "elapsed": time.perf_counter() - self.started,
            "threads": self.evaluator.threads,
            "executor": self.evaluator.route,
        }


def open_session(
    named: Named, x: Any, args: tuple[Any, ...], *, out_shape: Any, rtol: float | None, rng: Any, threads: int | None
) -> Session:
    """Through the gates."""
    started = time.perf_counter()
    given = point_array(x)
    tolerance = DEFAULT_RTOL[given.dtype] if rtol is None else positive_number(rtol, "rtol")
    seed = seed_of(rng)
    objective, trial, point = prepare_wide_vector(named, given, args, out_shape)
    seconds, repeats = worth_threads(trial.seconds), 0
    if seconds > 0.0:  # perhaps because the kernel had to be loaded
        timed, repeats = time.perf_counter(), 1
        objective.values(point.flat.copy(), trial.size)
        seconds = worth_threads(time.perf_counter() - timed)
    evaluator = VectorEvaluator(objective, point, trial.size, threads=threads, seconds=seconds)
    evaluator.evaluations += repeats
    return Session(evaluator, trial, given, tolerance, seed, started)
