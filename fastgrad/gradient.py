"""Component-wise checks: check_gradient and numerical_gradient."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._inputs import Array, Point, analytical_gradient, point_array
from fastgrad._objective import Trial, prepare, try_objective
from fastgrad._report import GradientCheck, worst_components
from fastgrad._schedule import Evaluator, replay_failure
from fastgrad._verdict import CLASSICAL_TOLERANCE, Verdict, judge_classical
from fastgrad.metric import error_norms
from fastgrad.steps import StepRule, resolve_steps

_WORST_SHOWN = 5


def check_gradient(
    f: Callable[..., float],
    x: ArrayLike,
    analytical_grad: ArrayLike | Callable[..., ArrayLike],
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    threads: int | None = None,
) -> GradientCheck:
    """Compare an analytical gradient with central differences, component by component.

    Costs 2 n + 2 evaluations of f; the error of each difference is of order epsilon^2 (truncation) plus
    the rounding error of f over epsilon.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``. It sees x in its own shape (a scalar for shape ()) and must only
        read its arguments. If f contains parallel loops, they keep the threads and coordinates run one by one.
    x : array_like of float32, float64 or integers, any shape
        Where to check. Integers become float64. x is not modified.
    analytical_grad : array_like shaped like x, or callable
        The gradient, or a function ``(x, *args)`` that returns it, compiled or plain Python.
    epsilon : float, array_like or step rule, optional
        Step in units of x: one for all, one per coordinate, or a rule of `fastgrad.steps`. Default 1e-7
        in float64 and 4.9e-3 in float32.
    args : tuple, optional
        Extra arguments of f: arrays, numbers, strings, tuples, typed containers, jitclass instances.
    threads : int, optional
        Threads that evaluate f; default all that Numba would use. The result does not depend on it.

    Returns
    -------
    GradientCheck
        The tuple ``(numerical_grad, relative_error)``, with verdict, reason, worst components and cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; the message says what arrived, what is needed and what to do.
    Exception
        Whatever f raises, with a note that names the coordinate.

    Notes
    -----
    The quotient divides by the distance of the two points actually evaluated, (x + h) - (x - h), which removes
    the error of rounding them.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return x[0] ** 2 + x[1] ** 2
    >>> numerical, error = fastgrad.check_gradient(f, [3.0, 4.0], [6.0, 8.0])
    >>> bool(error < 1e-8)
    True
    >>> fastgrad.check_gradient(f, [3.0, 4.0], [6.0, -8.0]).verdict
    <Verdict.MISMATCH: 'mismatch'>
    """
    started = time.perf_counter()
    point = point_array(x)
    steps = resolve_steps(epsilon, point)
    evaluator, trial = _prepared(f, point, args, threads)
    analytical = analytical_gradient(analytical_grad, point, args)
    numerical = _central_differences(evaluator, steps)
    return _result(point, steps, analytical, numerical, trial, evaluator, started)


def numerical_gradient(
    f: Callable[..., float],
    x: ArrayLike,
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    threads: int | None = None,
) -> NDArray[Any]:
    """Gradient of f by central differences, in parallel over the coordinates; 2 n + 2 evaluations.

    Parameters
    ----------
    f, x, epsilon, args, threads
        As for `check_gradient`.

    Returns
    -------
    ndarray
        With the shape of x; float32 for a float32 x, otherwise float64. Error of order epsilon^2 plus the
        rounding error of f over epsilon.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or f is not deterministic.
    Exception
        Whatever f raises, with a note that names the coordinate.

    Examples
    --------
    >>> import numba
    >>> @numba.njit
    ... def f(x):
    ...     return x[0] * x[1]
    >>> numerical_gradient(f, [3.0, 4.0]).round(6)
    array([4., 3.])
    """
    point = point_array(x)
    steps = resolve_steps(epsilon, point)
    evaluator, trial = _prepared(f, point, args, threads)
    if not trial.is_deterministic:
        raise ValueError(f"{_not_deterministic(trial)}; need an f that repeats itself: fix the seed of its random numbers.")
    return _central_differences(evaluator, steps).astype(point.dtype, copy=False).reshape(point.shape)


def _prepared(f: Any, point: Point, args: tuple[Any, ...], threads: int | None) -> tuple[Evaluator, Trial]:
    objective = prepare(f, point, args)
    started = time.perf_counter()
    trial = try_objective(objective, point)
    seconds = (time.perf_counter() - started) / 2
    return Evaluator(objective, point, threads=threads, seconds=seconds), trial


def _central_differences(evaluator: Evaluator, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    index = np.arange(evaluator.point.size)
    found = evaluator.differences(index, steps)
    replay_failure(evaluator, index, steps, found.status)
    evaluator.require_intact()
    return found.quotient


def _not_deterministic(trial: Trial) -> str:
    return f"f is not deterministic: two calls at x gave {trial.value!r} and a value {trial.difference:.2g} away"


def _result(
    point: Point,
    steps: NDArray[np.float64],
    analytical: Array,
    numerical: NDArray[np.float64],
    trial: Trial,
    evaluator: Evaluator,
    started: float,
) -> GradientCheck:
    norms = error_norms(numerical, analytical)
    verdict, reason = judge_classical(norms.relative_error, CLASSICAL_TOLERANCE[point.dtype])
    with np.errstate(all="ignore"):
        absolute = np.abs(numerical - analytical)
    shape = point.shape
    return GradientCheck(
        numerical_grad=numerical.astype(point.dtype, copy=False).reshape(shape),
        relative_error=norms.relative_error,
        verdict=verdict,
        reason=reason,
        analytical_grad=analytical.reshape(shape),
        step=steps.reshape(shape),
        worst=worst_components(
            point.flat.reshape(shape), steps.reshape(shape), analytical.reshape(shape), numerical.reshape(shape), count=_WORST_SHOWN
        ),
        norms=norms,
        max_absolute=float(absolute.max()),
        mean_absolute=float(absolute.mean()),
        evaluations=evaluator.evaluations + 2,
        elapsed=time.perf_counter() - started,
        coverage=1.0,
        threads=evaluator.threads,
        executor=evaluator.route,
    )
