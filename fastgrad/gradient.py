"""Component-wise checks: check_gradient and numerical_gradient."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._assess import Assessment, Assessor
from fastgrad._first import Bounds, FirstDifferences, first_differences, make_bounds, replay_failure
from fastgrad._inputs import Array, Point, analytical_gradient, point_array, positive_number
from fastgrad._layout import make_layout
from fastgrad._objective import Trial, prepare, try_objective
from fastgrad._report import GradientCheck
from fastgrad._result import make_result
from fastgrad._schedule import Evaluator
from fastgrad.steps import Automatic, StepRule, resolve_steps

# What counts as equal: half the digits that a good central difference has, in either precision.
DEFAULT_RTOL = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-3}


def check_gradient(
    f: Callable[..., float],
    x: ArrayLike,
    analytical_grad: ArrayLike | Callable[..., ArrayLike],
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    rtol: float | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    noise: float | None = None,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    constants: Mapping[str, float] | None = None,
    threads: int | None = None,
) -> GradientCheck:
    """Is this gradient right? Compares it with central differences, component by component.

    The numerical gradient and the relative error returned are those of the given (or default) step. The verdict
    rests on error bars instead: the noise of f is measured, components that agree within it are accepted, and
    every other one is looked at more closely, at steps of its own, until it is found right, wrong, or beyond
    what differences can tell.

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
        in float64 and 4.9e-3 in float32 (eps^(1/3) |x_i| at coordinates where that would vanish). With
        ``fastgrad.steps.Automatic()`` numerical_grad is the best estimate of each component.
    args : tuple, optional
        Extra arguments of f: arrays, numbers, strings, tuples, typed containers, jitclass instances.
    rtol : float, optional
        Relative difference of a component that counts as equal; default 1e-5 (1e-3 for a float32 x).
    bounds : pair of array_like, optional
        Lower and upper bounds of x (numbers, arrays shaped like x, or None); f is never evaluated outside.
    noise : float, optional
        Standard deviation of the noise of f near x, in units of f, if it is known: it is not measured then.
    blocks : mapping of str to shape, optional
        Names of consecutive pieces of the flat x, ``{"W1": (5, 4), "b1": 5}``, used in the report.
    constants : mapping of str to float, optional
        Numbers of the problem (batch size, weight of a regulariser) that a bug may have misplaced.
    threads : int, optional
        Threads that evaluate f; default all that Numba would use. No result depends on it.

    Returns
    -------
    GradientCheck
        The tuple ``(numerical_grad, relative_error)``, with verdict, reason, error bars, worst components,
        causes and cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; the message says what arrived, what is needed and what to do.
    Exception
        Whatever f raises at x, or near x at every step tried, with a note that names the coordinate.

    Notes
    -----
    Evaluations of f: 2 n + 2 when all components agree and tell the noise by themselves (n of 16 or more);
    24 more to measure the noise otherwise; 4 to 20 more for each component that needs a closer look. A float32
    x costs 2 n + 2 more, because the verdict evaluates f in float64 if f allows. The quotient divides
    by the distance of the two points evaluated, (x + h) - (x - h); its error is of order h^2 plus noise over h,
    that of a closer look h^4 plus noise over h.

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
    layout = make_layout(point.shape, blocks)
    limits = make_bounds(bounds, point)
    steps = None if isinstance(epsilon, Automatic) else resolve_steps(epsilon, point)
    tolerance = DEFAULT_RTOL[point.dtype] if rtol is None else positive_number(rtol, "rtol")
    sigma = None if noise is None else positive_number(noise, "noise")
    evaluator, trial = _prepared(f, point, args, threads)
    analytical = analytical_gradient(analytical_grad, point, args)
    first = None
    if steps is not None and np.isfinite(trial.value):
        first = first_differences(evaluator, steps, np.arange(point.size), limits, trial.value)
    assessment, evaluations = _judge(evaluator, trial, analytical, first, limits, tolerance, sigma)
    evaluator.require_intact()
    return make_result(
        point, analytical, first, assessment,
        trial=trial, layout=layout, evaluator=evaluator,
        constants=constants, evaluations=evaluations, elapsed=time.perf_counter() - started,
    )  # fmt: skip


def numerical_gradient(
    f: Callable[..., float],
    x: ArrayLike,
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Gradient of f by central differences, in parallel over the coordinates; 2 n + 2 evaluations.

    Parameters
    ----------
    f, x, epsilon, args, bounds, threads
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
    limits = make_bounds(bounds, point)
    steps = resolve_steps(epsilon, point)
    evaluator, trial = _prepared(f, point, args, threads)
    if not trial.is_deterministic:
        raise ValueError(
            f"f is not deterministic: two calls at x gave {trial.value!r} and a value {trial.difference:.2g} away; "
            f"need an f that repeats itself: fix the seed of its random numbers."
        )
    first = first_differences(evaluator, steps, np.arange(point.size), limits, trial.value)
    replay_failure(evaluator.objective, point, first.raised)
    evaluator.require_intact()
    return first.quotient.astype(point.dtype, copy=False).reshape(point.shape)


def _prepared(f: Any, point: Point, args: tuple[Any, ...], threads: int | None) -> tuple[Evaluator, Trial]:
    objective = prepare(f, point, args)
    started = time.perf_counter()
    trial = try_objective(objective, point)
    seconds = (time.perf_counter() - started) / 2
    return Evaluator(objective, point, threads=threads, seconds=seconds), trial


def _judge(
    evaluator: Evaluator,
    trial: Trial,
    analytical: Array,
    first: FirstDifferences | None,
    bounds: Bounds | None,
    rtol: float,
    noise: float | None,
) -> tuple[Assessment, int]:
    """Assess all components; returns what was found and the evaluations spent in all."""
    looking, seen, spent = evaluator, trial, 2
    in_double = _in_double_precision(evaluator)
    if in_double is not None:
        (looking, seen), spent = in_double, evaluator.evaluations + 4
    assessor = Assessor(looking, seen.value, seen.difference, analytical, rtol=rtol, noise=noise, bounds=bounds)
    if not np.isfinite(seen.value):
        assessment = assessor.give_up()
    elif first is None or in_double is not None:
        assessment = assessor.judge_automatically()
    else:
        assessment = assessor.judge_differences(first)
    raised = {**assessment.failed, **({} if first is None else first.raised)}
    unresolved = {i: place for i, place in raised.items() if np.isnan(assessment.estimate[i])}
    replay_failure(looking.objective, looking.point, unresolved)
    return assessment, spent + looking.evaluations


def _in_double_precision(evaluator: Evaluator) -> tuple[Evaluator, Trial] | None:
    """For a float32 x, f at the same point in float64, where differences show ten digits more; None if f refuses."""
    objective, point = evaluator.objective, evaluator.point
    if point.dtype != np.float32:
        return None
    try:
        return _prepared(
            objective.f,
            point_array(point.flat.astype(np.float64).reshape(point.shape)),
            objective.args,
            evaluator.threads,
        )
    except TypeError:  # f was compiled for float32 only
        return None
