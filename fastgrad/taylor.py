"""The Taylor test: how fast the remainder of f falls along directions, and whether a slope is left in it."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._along.claim import Claim
from fastgrad._along.directions import (
    AlongDirection,
    Draw,
    Scale,
    given_direction,
    instead_of,
    is_spread,
    plan_draws,
    random_direction,
    reach_of,
    unit_of,
    worth_threads,
)
from fastgrad._along.slope import judge_slope
from fastgrad._inputs import DEFAULT_RTOL, Point, analytical_gradient, point_array
from fastgrad._judge.verdict import Verdict
from fastgrad._large.directional_inputs import prepare_wide
from fastgrad._nested import Nested
from fastgrad._objective import Trial
from fastgrad._options import number_of_draws, positive_number, seed_of
from fastgrad._schedule import Evaluator
from fastgrad._taylor.curvature import curvature_levels, judge_curvature
from fastgrad._taylor.inputs import HessianProduct, hessian_product, taylor_steps
from fastgrad._taylor.report import TaylorLine, TaylorTest
from fastgrad._taylor.rows import Model, default_steps, descend
from fastgrad._taylor.ruling import rule, smallest_error_seen

_TRIALS = 2  # evaluations at x
_PURPOSE = 41

Floats = NDArray[np.float64]


def taylor_test(
    f: Callable[..., float],
    x: ArrayLike | Nested,
    gradient: ArrayLike | Nested | Callable[..., ArrayLike | Nested],
    *,
    args: tuple[Any, ...] = (),
    direction: ArrayLike | Nested | None = None,
    directions: int = 3,
    hessian: Any = None,
    hvp: Callable[..., ArrayLike] | None = None,
    steps: ArrayLike | None = None,
    rtol: float | None = None,
    rng: int | np.random.Generator | None = 0,
    threads: int | None = None,
) -> TaylorTest:
    """Is this gradient right? How fast f(x + h v) - f(x) - h g.v falls with h: with h^2 if so, with h if not.

    The window between noise and higher terms is found from the measured noise of f, and the order observed there
    comes with its confidence interval. The verdict does not rest on the order but on the slope that is left in the
    remainder, with its error bar: a wrong gradient whose error hides below the curvature of f is found, and neither
    a linear f nor a strongly curved one is accused.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``. Or the value of `c_objective` or `python_objective`.
    x : array_like of float32, float64 or integers, any shape
        Where to check. Or named arrays, as for `check_gradient`.
    gradient : array_like shaped like x, or callable
        The gradient g, or a function ``(x, *args)`` that returns it.
    args : tuple, optional
        Extra arguments of f, and of the gradient and the Hessian if they are functions.
    direction : array_like shaped like x, optional
        The direction v, of any length. Default: random ones.
    directions : int, optional
        How many of these. They move each component in proportion to its size, but at least to the median size. If that
        is more than 10 times its own size for some component, half as many more without that floor follow (zeros
        move by the median), and, if x has zeros, half as many that hold them still.
    hessian : array_like or sparse matrix of shape (n, n), or callable, optional
        The Hessian H for x of n entries (flattened), or a function ``(x, *args)`` that returns it. The remainder of
        second order then has to fall with h^3.
    hvp : callable, optional
        Instead of the Hessian its product with a vector: ``hvp(x, v, *args)``, shaped like x.
    steps : array_like, optional
        The steps h of the table, as multiples of v. Default: 0.1, halved until the remainder is lost in the noise
        (times a power of two if the given direction is much shorter or longer than x).
    rtol : float, optional
        Error of g.v that does not matter, relative to |g.v| or, where its terms cancel, to ||g v|| = sqrt(sum (g_i
        v_i)^2); default 1e-5 (1e-3 for a float32 x). Likewise for v.Hv.
    rng : int, numpy.random.Generator or None, optional
        Seed of the directions. Default 0: the same directions at every call. None draws anew.
    threads : int, optional
        Default all that Numba would use. No result depends on it.

    Returns
    -------
    TaylorTest
        Verdict, reason, a table of remainders and rates for each direction, observed orders, cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; the message says what arrived, what is needed and what to do.
    Exception
        Whatever f raises at x.

    Notes
    -----
    40 to 110 evaluations of f for each direction, whatever n (a Hessian costs up to 42 more). Memory besides x and
    the gradient: one direction, and one point per thread.

    A direction shows the error of the gradient along itself: ``smallest_error`` says what several random ones would
    have shown, with components weighed as the directions move them. For which components are wrong see
    `check_gradient` and `check_directional`. The slope is judged like a component there, by extrapolated central
    differences of fourth order; the table is one-sided, as is the custom.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return np.exp(x).sum()
    >>> x = np.linspace(-1.0, 1.0, 20)
    >>> result = fastgrad.taylor_test(f, x, np.exp)
    >>> result.verdict, round(result.order.value, 1)
    (<Verdict.MATCH: 'match'>, 2.0)
    >>> fastgrad.taylor_test(f, x, 1.001 * np.exp(x)).verdict
    <Verdict.MISMATCH: 'mismatch'>
    """
    started = time.perf_counter()
    given = point_array(x)
    tolerance = DEFAULT_RTOL[given.dtype] if rtol is None else positive_number(rtol, "rtol")
    count, seed = number_of_draws(directions, "directions", 1), seed_of(rng)
    wanted_steps = taylor_steps(steps)
    chosen = None if direction is None else given_direction(direction, given)
    objective, trial, point = prepare_wide(f, given, args)
    claimed = analytical_gradient(gradient, given, args).astype(np.float64)
    product = hessian_product(hessian, hvp, given, args)
    evaluator = Evaluator(objective, point, threads=threads, seconds=worth_threads(trial.seconds))
    test = _Test(evaluator, trial, claimed, product, wanted_steps, tolerance)
    broken = np.flatnonzero(~np.isfinite(claimed))
    if broken.size and math.isfinite(trial.value):
        test.reject(f"the analytical gradient is {claimed[broken[0]]} at {given.name(int(broken[0]))}")
    elif math.isfinite(trial.value):
        for draw in plan_draws(point, count) if chosen is None else ():
            test.draw(seed, draw)
        if chosen is not None:
            test.add(chosen)
    evaluator.require_intact()
    return test.result(is_random=chosen is None, elapsed=time.perf_counter() - started)


class _Test:
    """Measures directions one after another and puts them together."""

    def __init__(
        self,
        evaluator: Evaluator,
        trial: Trial,
        gradient: Floats,
        product: HessianProduct | None,
        steps: Floats | None,
        rtol: float,
    ) -> None:
        self._evaluator = evaluator
        self._trial = trial
        self._gradient = gradient
        self._product = product
        self._steps = steps
        self._rtol = rtol
        self._lines: list[TaylorLine] = []
        self._scales: list[Scale] = []
        self._ruling = (
            Verdict.INCONCLUSIVE,
            f"f(x) is {trial.value}: there is nothing to expand; check at another x",
        )

    @property
    def _point(self) -> Point:
        return self._evaluator.point

    def reject(self, reason: str) -> None:
        """A gradient that is wrong by itself."""
        self._ruling = Verdict.MISMATCH, reason

    def draw(self, seed: int, draw: Draw) -> None:
        """Measure a random direction; one that moves no component beyond its own size if nothing else will do."""
        key, scale = (seed, _PURPOSE, draw.number), draw.scale
        line = self._measure(random_direction(self._point, *key, scale=scale))
        narrower = instead_of(scale, self._point)
        if line.slope.verdict is Verdict.INCONCLUSIVE and line.slope.sides is None and narrower is not None:
            other = self._measure(random_direction(self._point, *key, scale=narrower))
            if other.slope.outweighs(line.slope):
                line, scale = other, narrower if is_spread(self._point) else scale
        self._lines.append(line)
        self._scales.append(scale)

    def add(self, v: Floats) -> None:
        """Measure the direction given."""
        self._lines.append(self._measure(v))

    def _measure(self, v: Floats) -> TaylorLine:
        unit = unit_of(v, self._point)
        values = AlongDirection(self._evaluator, v)
        claim = self._claim(self._gradient, v)
        slope = judge_slope(
            values, self._trial.value, claim,
            unit=unit, reach=reach_of(v, self._point), repeated=self._trial.difference, dtype=self._point.dtype,
        )  # fmt: skip
        steps = default_steps(unit) if self._steps is None else self._steps
        noise = slope.noise if math.isfinite(slope.noise) else math.inf
        bent = None if self._product is None else self._claim(self._product(v), v)
        model = Model(self._trial.value, claim.slope, math.nan if bent is None else bent.slope, noise)
        rows = descend(values, model, steps, both_sides=bent is not None)
        curvature = None
        if bent is not None:
            levels = curvature_levels(rows.step, model.value, rows.above, rows.below, noise)
            small = self._rtol * claim.size / unit if rows.change.any() else math.inf
            curvature = judge_curvature(bent, levels, model.value, noise, small=small)
        second = None if bent is None else rows.second_order
        return TaylorLine(v.reshape(self._point.shape), rows, rows.first_order, second, slope, curvature)

    def _claim(self, g: Floats, v: Floats) -> Claim:
        with np.errstate(all="ignore"):
            slope = float(g @ v)
            return Claim(slope, max(abs(slope), float(np.linalg.norm(g * v))), self._rtol)

    def result(self, *, is_random: bool, elapsed: float) -> TaylorTest:
        lines = tuple(self._lines)
        found = TaylorTest(
            verdict=self._ruling[0],
            reason=self._ruling[1],
            lines=lines,
            smallest_error=smallest_error_seen(lines, self._scales, self._rtol) if is_random else math.nan,
            rtol=self._rtol,
            noise=max((line.slope.noise for line in lines), default=math.nan),
            evaluations=self._evaluator.evaluations + _TRIALS,
            elapsed=elapsed,
            threads=self._evaluator.threads,
            executor=self._evaluator.route,
        )
        if found.worst is None:
            return found
        verdict, reason = rule(lines, found.worst)
        return replace(found, verdict=verdict, reason=reason)
