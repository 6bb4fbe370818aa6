"""Component-wise checks: check_gradient and numerical_gradient."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._budget import TRIALS, Progress, make_budget
from fastgrad._components import ComponentJudge, tried
from fastgrad._contents import digest
from fastgrad._first import all_differences, make_bounds, replay_failure
from fastgrad._identity import Identity
from fastgrad._inputs import DEFAULT_RTOL, Point, analytical_gradient, point_array
from fastgrad._journal import Journal, Subject
from fastgrad._layout import make_layout
from fastgrad._nested import Nested
from fastgrad._noise_tables import FEWEST_EVALUATIONS
from fastgrad._objective import Objective, Trial
from fastgrad._options import constants_of, positive_number
from fastgrad._remote import RemoteEvaluator
from fastgrad._report import GradientCheck
from fastgrad._result import make_result
from fastgrad._schedule import Evaluator
from fastgrad._selection import select
from fastgrad.steps import Automatic, ComplexStep, StepRule, resolve_steps


def check_gradient(
    f: Callable[..., float],
    x: ArrayLike | Nested,
    analytical_grad: ArrayLike | Nested | Callable[..., ArrayLike | Nested],
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    rtol: float | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    noise: float | None = None,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    constants: Mapping[str, float] | None = None,
    threads: int | None = None,
    indices: ArrayLike | None = None,
    sample: int | None = None,
    rng: Any = 0,
    time_limit: float | None = None,
    max_evaluations: int | None = None,
    progress: bool | Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
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
        Or the value of `c_objective` or `python_objective`.
    x : array_like of float32, float64 or integers, any shape
        Where to check. Integers become float64. x is not modified. Or a dict of named arrays, nested as deep as
        wanted, or a named tuple: f then sees one vector, or the pieces with `pieces`.
    analytical_grad : array_like shaped like x, or callable
        The gradient, or a function ``(x, *args)`` that returns it, compiled or plain Python. For named arrays, the
        same names.
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
    indices : array_like of int, or mask shaped like x, optional
        Check these components only: positions in ``x.ravel()``.
    sample : int, optional
        Check this many components, drawn without replacement.
    rng : seed, numpy.random.Generator or None, optional
        For `sample`, and for the order of the components under a limit and of `indices`. Default 0: the same at every
        call. None draws anew.
    time_limit : float, optional
        Seconds after which no new work is begun. The components are then taken in random order, so that those seen
        are a fair sample; the verdict claims no more than was seen. What an executor has then may still take about a
        second; what is not done by then is left to itself.
    max_evaluations : int, optional
        The same for calls of f; 28 or more (30 for a float32 x), of which 24 measure the noise; 24 fewer with `noise`.
    progress : bool or callable, optional
        True for a tqdm bar, or a function of (done, total), in evaluations. The total grows where closer looks need
        more than foreseen; the two are equal at the end only, and a check that is cut short stops before.
    checkpoint : path, optional
        File that keeps every finished slice of the work. A later call with the same f (code, values it refers to,
        and f(x)), x, step and args finds it there and goes on; with others it is refused.
    executor : concurrent.futures.Executor, optional
        Evaluates f there, slice by slice, instead of on Numba's threads: a pool of threads (for an f of uneven
        cost), of processes (started by spawn), of Dask (``client.get_executor()``) or MPI.

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
        Whatever f raises at x, or near x at every step tried, with a note that names the coordinate; near x, with
        what was found elsewhere as the attribute ``result``.
    KeyboardInterrupt, OSError
        On Ctrl-C, or when the checkpoint cannot be written any more, with what was found so far as the attribute
        ``result`` (None before the first difference). A file that cannot be opened or begun is an OSError before any
        difference is taken.

    Notes
    -----
    Evaluations of f: 2 n + 2 when all components agree and tell the noise by themselves (n of 16 or more);
    24 more to measure the noise otherwise; 2 to about 40 more for each component that needs a closer look. A float32
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
    layout = make_layout(point.shape, blocks, point.structure)
    limits = make_bounds(bounds, point)
    steps = None if isinstance(epsilon, Automatic) else resolve_steps(epsilon, point)
    tolerance = DEFAULT_RTOL[point.dtype] if rtol is None else positive_number(rtol, "rtol")
    sigma = None if noise is None else positive_number(noise, "noise")
    given = constants_of(constants)
    identity = None if checkpoint is None else Identity(f, args)
    budget = make_budget(
        time_limit, max_evaluations, progress,
        trials=2 * TRIALS if point.dtype == np.float32 else TRIALS, noise=FEWEST_EVALUATIONS if noise is None else 0,
    )  # fmt: skip
    with budget:
        order = select(point, indices, sample, rng, is_limited=budget.has_limits)
        objective, trial, seconds = tried(f, point, args)
        analytical = analytical_gradient(analytical_grad, point, args, "analytical_grad")
        with _opened(checkpoint, identity, trial, point=point, steps=steps) as journal:
            evaluator = _evaluator(objective, point, threads, executor, seconds=seconds, budget=budget, journal=journal)
            judge = ComponentJudge(evaluator, trial, analytical, limits, tolerance, sigma)
            assessment, first = judge.judge(order, steps)

        def put_together() -> GradientCheck:
            judge.require_intact()
            return make_result(
                point, analytical, first, assessment,
                trial=trial, layout=layout, evaluator=evaluator, constants=given,
                evaluations=judge.evaluations, elapsed=time.perf_counter() - started,
            )  # fmt: skip

        result = budget.finally_done(put_together)
        budget.let_out(result)
    return result


def numerical_gradient(
    f: Callable[..., float],
    x: ArrayLike | Nested,
    epsilon: float | ArrayLike | StepRule | ComplexStep | None = None,
    *,
    args: tuple[Any, ...] = (),
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Gradient of f by central differences, in parallel over the coordinates; 2 n + 2 evaluations.

    Parameters
    ----------
    f, x, epsilon, args, bounds, threads
        As for `check_gradient`. With ``fastgrad.steps.ComplexStep()`` as epsilon the gradient is exact to rounding, if
        f is analytic: n + 2 evaluations with complex numbers, and 58 with real ones that guard against abs and its
        like (more if f is noisy).

    Returns
    -------
    ndarray, or dict of them if x is one
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
    if isinstance(epsilon, ComplexStep):
        from fastgrad._complex_step import complex_step_gradient  # rarely used

        return point.shaped(complex_step_gradient(f, point, epsilon, args, bounds, threads))  # type: ignore[no-any-return]
    limits = make_bounds(bounds, point)
    steps = resolve_steps(epsilon, point)
    objective, trial, seconds = tried(f, point, args)
    trial.require_deterministic()
    evaluator = Evaluator(objective, point, threads=threads, seconds=seconds)
    first = all_differences(evaluator, steps, limits, trial.value)
    evaluator.budget.let_out()
    replay_failure(evaluator.objective, point, first.raised)
    evaluator.require_intact()
    gradient: NDArray[Any] = point.shaped(first.quotient.astype(point.dtype, copy=False))
    return gradient


@contextlib.contextmanager
def _opened(
    checkpoint: str | os.PathLike[str] | None,
    identity: Identity | None,
    trial: Trial,
    *,
    point: Point,
    steps: NDArray[np.float64] | None,
) -> Iterator[Journal | None]:
    if checkpoint is None or identity is None:
        yield None
        return
    subject = Subject(
        x=digest(point.flat, point.shape), step=digest(steps), contents=identity.settled(),
        value=trial.value, difference=trial.difference,
    )  # fmt: skip
    with contextlib.closing(Journal(checkpoint, subject)) as journal:
        yield journal
        with contextlib.suppress(OSError):  # of a full disk: what matters has been reported
            journal.note_changes(identity.changed())


def _evaluator(
    objective: Objective, point: Point, threads: int | None, executor: Executor | None, **rest: Any
) -> Evaluator:
    if executor is None:
        return Evaluator(objective, point, threads=threads, **rest)
    if threads is not None:
        raise ValueError("both threads and executor are given; need one of them: an executor has its own workers.")
    return RemoteEvaluator(objective, point, executor, **rest)
