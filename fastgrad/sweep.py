"""The relative error of a gradient against epsilon: sweep_epsilon."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._assess import Assessor
from fastgrad._budget import BudgetSpent
from fastgrad._first import all_differences, replay_failure
from fastgrad._inputs import Array, Point, analytical_gradient, point_array
from fastgrad._judge.setting import ROUNDING
from fastgrad._nested import Nested
from fastgrad._objective import Trial, prepare, try_objective
from fastgrad._report import GradientCheck
from fastgrad._schedule import Evaluator
from fastgrad._sweep.branches import Branches, Part, find_kink, fit_branches, read_curve
from fastgrad._sweep.reason import give_reason
from fastgrad._sweep.report import EpsilonSweep
from fastgrad.gradient import check_gradient
from fastgrad.metric import ErrorNorms, error_norms
from fastgrad.steps import resolve_steps

Floats = NDArray[np.float64]

_PER_DECADE = (1.0, 1.78, 3.16, 5.62)  # quarters of a decade, rounded so that a table prints what was used
_DECADES = {np.dtype(np.float64): (-12, -1), np.dtype(np.float32): (-7, 0)}


def sweep_epsilon(
    f: Callable[..., float],
    x: ArrayLike | Nested,
    gradient: ArrayLike | Nested | Callable[..., ArrayLike | Nested],
    epsilons: ArrayLike | None = None,
    *,
    args: tuple[Any, ...] = (),
    threads: int | None = None,
) -> EpsilonSweep:
    """How does the error of the numerical gradient depend on epsilon, and what does that say about the gradient?

    For a right gradient E falls as N / epsilon, the rounding noise of f, and grows as T epsilon^2, the truncation
    of the Taylor series; the best epsilon lies between. A wrong gradient keeps E at a level that does not depend on
    epsilon. N is predicted from the measured noise of f, and both are fitted to the numerical gradients alone, so
    that a wrong gradient cannot bend them.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``, as for `check_gradient`.
    x : array_like of float32, float64 or integers, any shape
        Where to look. Or named arrays, as for `check_gradient`.
    gradient : array_like shaped like x, or callable
        The analytical gradient, or a function ``(x, *args)`` that returns it.
    epsilons : array_like of positive numbers, optional
        Steps to try, in units of x; each is used in every coordinate. Default four per decade, from 1e-12 to 1e-1
        in float64 and from 1e-7 to 1 in float32.
    args : tuple, optional
        Extra arguments of f.
    threads : int, optional
        Threads that evaluate f; default all that Numba would use. No result depends on it.

    Returns
    -------
    EpsilonSweep
        The curve, its two branches, the best epsilon, and the component-wise check at x. E is NaN at an epsilon
        that is lost when added to some coordinate, or next to which f is not finite or raises.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; the message says what arrived, what is needed and what to do.
    Exception
        Whatever f raises at x, or near x at every epsilon.

    Notes
    -----
    2 n evaluations for each epsilon (90 n by default in float64), those of `check_gradient`, and 26 or more to
    measure the noise.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return np.exp(x).sum()
    >>> sweep = fastgrad.sweep_epsilon(f, np.linspace(-1.0, 1.0, 20), lambda x: np.exp(x))
    >>> bool(1e-6 < sweep.best_epsilon < 1e-4 and sweep.smallest_error < 1e-9)
    True
    """
    started = time.perf_counter()
    point = point_array(x)
    wanted = _epsilons(epsilons, point)
    objective = prepare(f, point, args)
    claimed = analytical_gradient(gradient, point, args)
    check = check_gradient(f, x, point.shaped(claimed), args=args, threads=threads)
    trial = try_objective(objective, point)
    evaluator = Evaluator(objective, point, threads=threads, seconds=check.elapsed / check.evaluations)
    analytical = check.layout.flat(check.analytical_grad)
    curve = _measure(evaluator, wanted, analytical.astype(np.float64), trial.value)
    noise_at = _noise_of_gradients(evaluator, trial, analytical)
    evaluator.budget.let_out()
    evaluator.require_intact()
    evaluations = check.evaluations + evaluator.evaluations + 2
    return _make_sweep(curve, noise_at, check, evaluations=evaluations, elapsed=time.perf_counter() - started)


def _epsilons(epsilons: ArrayLike | None, point: Point) -> Floats:
    """Those wanted, ascending and each once."""
    if epsilons is None:
        first, last = _DECADES[point.dtype]
        inner = [float(f"{digits}e{decade}") for decade in range(first, last) for digits in _PER_DECADE]
        return np.array([*inner, float(f"1e{last}")])
    try:
        given = np.asarray(epsilons)
    except ValueError as error:  # ragged
        raise TypeError(f"epsilons is {epsilons!r}; need positive numbers in one dimension.") from error
    if given.dtype.kind not in "fiu" or given.ndim > 1:
        raise TypeError(f"epsilons is {epsilons!r}; need positive numbers, such as numpy.logspace(-12, -1, 45).")
    values = np.unique(given.astype(np.float64))
    if values.size == 0 or not (values > 0.0).all() or not np.isfinite(values).all():
        raise ValueError(f"epsilons is {epsilons!r}; need one or more numbers, all positive and finite.")
    return values


@dataclass
class _Curve:
    """What was measured at each epsilon; the changes are those from the epsilon measured before."""

    epsilon: Floats
    norms: list[ErrorNorms]
    change: Floats  # relative change of the numerical gradient
    mover: list[str]  # the coordinate whose component changed most
    lost: dict[int, str] = field(default_factory=dict)  # position -> why f was not evaluated
    failed: dict[int, str] = field(default_factory=dict)  # position -> where f was of no use

    @property
    def error(self) -> Floats:
        return np.array([norms.relative_error for norms in self.norms])

    def notes(self) -> tuple[str, ...]:
        """Why E is missing: the reason at the largest epsilon that was lost, and at the smallest that failed."""
        found = []
        if self.lost:
            found.append(f"epsilon {_span(self.epsilon[list(self.lost)])}: {self.lost[max(self.lost)]}")
        if self.failed:
            found.append(f"epsilon {_span(self.epsilon[list(self.failed)])}: {self.failed[min(self.failed)]}")
        return tuple(found)


def _span(epsilon: Floats) -> str:
    if epsilon.size == 1:
        return f"{epsilon[0]:.3g}"
    return f"{epsilon.min():.3g} to {epsilon.max():.3g} ({epsilon.size} of them)"


def _measure(evaluator: Evaluator, epsilon: Floats, analytical: Floats, value: float) -> _Curve:
    """Central differences at every epsilon, compared with the gradient and with each other."""
    point, count = evaluator.point, epsilon.size
    unknown = ErrorNorms(np.nan, np.nan, np.nan, np.nan, point.size)
    curve = _Curve(epsilon, [unknown] * count, np.full(count, np.nan), [""] * count)
    previous: Floats | None = None
    raised: dict[int, float] = {}
    for k, step in enumerate(epsilon.tolist()):
        try:
            steps = resolve_steps(step, point)
        except ValueError as error:  # it is lost when added to some coordinate, or overflows
            curve.lost[k] = str(error)
            continue
        first = all_differences(evaluator, steps, None, value)
        raised = raised or first.raised
        broken = np.flatnonzero(~np.isfinite(first.quotient))
        if broken.size:
            i = int(broken[0])
            what = "raises" if i in first.raised else "is not finite"
            curve.failed[k] = f"f {what} within epsilon of {point.name(i)} = {point.flat[i]}."
            continue
        curve.norms[k] = error_norms(first.quotient, analytical)
        if previous is not None:
            curve.change[k] = error_norms(first.quotient, previous).relative_error
            curve.mover[k] = point.name(int(np.argmax(np.abs(first.quotient - previous))))
        previous = first.quotient
    if previous is None:
        replay_failure(evaluator.objective, point, raised)
    return curve


def _noise_of_gradients(evaluator: Evaluator, trial: Trial, analytical: Array) -> Callable[[float], float]:
    """Measure the noise of f; returns the error it makes in a numerical gradient, times epsilon."""
    if not np.isfinite(trial.value):
        return lambda epsilon: np.nan
    # The judging half of the assessor stays unused; rtol has no part in the noise.
    assessor = Assessor(evaluator, trial.value, trial.difference, analytical, rtol=1.0, noise=None, bounds=None)
    with contextlib.suppress(BudgetSpent):
        assessor.measure_noise()
    setting, index = assessor.setting, np.arange(analytical.size)

    def noise_at(epsilon: float) -> float:
        sigma = np.maximum(setting.sigma(index, epsilon), ROUNDING * abs(setting.value))
        return float(np.linalg.norm(sigma) / np.sqrt(2.0) / assessor.unit)

    return noise_at


def _make_sweep(
    curve: _Curve, noise_at: Callable[[float], float], check: GradientCheck, *, evaluations: int, elapsed: float
) -> EpsilonSweep:
    error = curve.error
    seen = np.flatnonzero(np.isfinite(error))
    epsilon, change = curve.epsilon[seen], curve.change[seen][1:]
    fitted, noise, kink = _laws(epsilon, change, [curve.norms[k] for k in seen], noise_at)
    reading = read_curve(epsilon, error[seen], fitted, noise, kink)
    parts = dict(zip(seen.tolist(), reading.parts, strict=True))
    best = int(seen[reading.best]) if seen.size else 0
    mover = "" if kink is None else curve.mover[seen[kink]]
    return EpsilonSweep(
        epsilon=curve.epsilon,
        relative_error=error,
        norms=tuple(curve.norms),
        parts=tuple(parts.get(k, Part.NONE) for k in range(error.size)),
        noise=noise,
        fitted_noise=fitted.noise,
        truncation=fitted.truncation,
        best_epsilon=float(curve.epsilon[best]) if seen.size else np.nan,
        smallest_error=float(error[best]),
        slopes=reading.slopes,
        floor=reading.floor,
        reason=give_reason(reading, check, mover),
        notes=curve.notes(),
        check=check,
        evaluations=evaluations,
        elapsed=elapsed,
    )


def _laws(
    epsilon: Floats, change: Floats, norms: list[ErrorNorms], noise_at: Callable[[float], float]
) -> tuple[Branches, float, int | None]:
    """Both branches as fitted to the changes, N as the measured noise predicts it, and where a kink begins."""
    if not norms:
        return Branches(0.0, 0.0), np.nan, None
    settled = _most_settled(change, norms)
    if settled.analytical == 0.0:  # E is 0 or 1 then, and follows no law
        return Branches(0.0, 0.0), np.nan, None
    size = settled.numerical + settled.analytical
    widest = wanted = float(epsilon[-1])
    noise = noise_at(widest) / size
    kink = find_kink(epsilon, change, noise)
    fitted = fit_branches(epsilon[:kink], change[: None if kink is None else kink - 1])
    share = 2.0 * settled.numerical / size  # a change is relative to two numerical gradients
    fitted = Branches(fitted.noise * share, fitted.truncation * share)
    for _ in range(3):  # noise may depend on how far one looks: that at the best epsilon counts
        wanted = min(widest, Branches(noise, fitted.truncation).best_epsilon)
        noise = noise_at(wanted) / size
    return fitted, noise, kink


def _most_settled(change: Floats, norms: list[ErrorNorms]) -> ErrorNorms:
    """Where the numerical gradient changes least, unless it is zero because f does not see so small an epsilon."""
    responds = np.array([found.numerical > 0.0 for found in norms[1:]], dtype=bool)
    if not responds.any():
        return norms[0]
    return norms[1 + int(np.argmin(np.where(responds, change, np.inf)))]
