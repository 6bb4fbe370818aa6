"""Checks of one objective at many points: prepared once, then nearly free of overhead."""

import functools
import itertools
import math
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import call
from fastgrad._compiled import kernels
from fastgrad._compiled.repeated import conclude, place
from fastgrad._first import replay_failure
from fastgrad._html import in_notebook
from fastgrad._inputs import Array, Point, gradient_array, point_array, unflatten
from fastgrad._judge.verdict import Verdict
from fastgrad._objective import Objective, prepare, try_objective
from fastgrad._options import described, whole_number
from fastgrad._report import GradientCheck
from fastgrad._schedule import OPERATIONS, SLICE_SECONDS, Evaluator
from fastgrad.gradient import check_gradient
from fastgrad.steps import StepRule, resolve_steps

_DIFFERENCES = OPERATIONS["differences"]
_WORTH_THREADS = 2e-5  # seconds of work in all; waking other threads takes 2 us, or 10 when they sleep


class Comparison(NamedTuple):
    """Central differences at a point and the relative error of a gradient against them.

    Attributes
    ----------
    numerical_grad : ndarray
        Central differences, shaped like x; overwritten by the same thread's next use of the checker.
    relative_error : float
        ||numerical - analytical|| / (||numerical|| + ||analytical||); 0 when both are zero, NaN if either has one.
    """

    numerical_grad: NDArray[Any]
    relative_error: float

    def _repr_html_(self) -> str:
        return in_notebook(self)


class GradientMismatch(ValueError):
    """A gradient was found wrong in the middle of a run; the attribute ``check`` holds the `GradientCheck`."""

    def __init__(self, check: GradientCheck) -> None:
        super().__init__(f"the gradient is wrong at an iterate:\n{check}")
        self.check = check


def raise_on_mismatch(check: GradientCheck) -> None:
    """Raise `GradientMismatch` if the verdict is MISMATCH."""
    if check.verdict is Verdict.MISMATCH:
        raise GradientMismatch(check)


class GradientChecker:
    """Gradient checks of one objective at many points: in an optimiser, a simulation, a training loop.

    Everything that does not depend on the point is done once: f is compiled and tried, work arrays are made.

    Parameters
    ----------
    f : function compiled with numba.njit, or the value of `c_objective` or `python_objective`
        Objective ``f(x, *args) -> float``, as for `check_gradient`.
    like : array_like
        A point of the shape and dtype that all later points have; f is tried there (3 evaluations).
    epsilon : float, array_like or step rule, optional
        As for `check_gradient`. A rule is applied anew at each point.
    args : tuple, optional
        Extra arguments of f. Arrays are not copied: what is written to them later is seen.
    threads : int, optional
        Threads that evaluate f; default all that Numba would use, and one for work of less than 20 us.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or f is not deterministic.
    Exception
        Whatever f raises at `like`.

    Notes
    -----
    A checker can be used by several Python threads at once; each has its own work arrays: the rows of x of all its
    `threads` and six arrays of the size of x.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return x[0] ** 2 + x[1] ** 2
    >>> checker = fastgrad.GradientChecker(f, like=np.zeros(2))
    >>> numerical, error = checker(np.array([3.0, 4.0]), np.array([6.0, 8.0]))
    >>> error < 1e-8
    True
    """

    def __init__(
        self,
        f: Callable[..., float],
        like: ArrayLike,
        epsilon: float | ArrayLike | StepRule | None = None,
        *,
        args: tuple[Any, ...] = (),
        threads: int | None = None,
    ) -> None:
        point = point_array(like)
        if point.structure is not None:
            raise TypeError("like has named parts; need an array: join them into one, or call check_gradient instead.")
        objective = prepare(f, point, args)
        try_objective(objective, point).require_deterministic()
        started = time.perf_counter()
        objective.value(point.flat.copy())  # not the first call, which may load compiled code
        seconds = time.perf_counter() - started
        self._f, self._epsilon, self._args, self._threads = f, epsilon, args, threads
        self._dtype, self._shape = point.dtype, point.shape
        steps = resolve_steps(epsilon, point)
        relative = float(np.cbrt(np.finfo(point.dtype).eps)) if epsilon is None else 0.0  # where a step vanishes
        self._local = _Local(objective, point, steps, relative, threads=threads, seconds=seconds)

    def __call__(self, x: ArrayLike, gradient: ArrayLike | Callable[..., ArrayLike]) -> Comparison:
        """Compare a gradient with central differences at x; 2 n evaluations, error O(epsilon^2).

        Parameters
        ----------
        x : array_like
            Of the shape and dtype of `like`; others are converted if that loses nothing.
        gradient : array_like shaped like x, or callable
            The gradient at x, or a function ``(x, *args)`` that returns it.

        Returns
        -------
        Comparison
            ``(numerical_grad, relative_error)``. The array is overwritten by this thread's next use of the checker;
            copy it to keep it. Nothing of the size of x is allocated when x and gradient are C-contiguous
            arrays of its dtype and epsilon is no rule.

        Raises
        ------
        TypeError, ValueError
            If x or gradient does not fit, x is not finite, a step vanishes, or f writes to x.
        Exception
            Whatever f raises, with a note that names the coordinate.
        """
        x, name = self._fitting_x(x), "gradient"
        if callable(gradient):
            name = "the result of gradient"
            form, need = "gradient(x, *args)", "an array shaped like x"
            gradient = call(gradient, form, need, unflatten(x.reshape(-1).copy(), self._shape), *self._args)
        work = self._differentiate(x)
        error = self._conclude(work, x, self._fitting(gradient, name))
        return Comparison(work.numerical_grad, error)

    def gradient(self, x: ArrayLike) -> NDArray[Any]:
        """Central differences at x, in an array of their own: for an optimiser's ``jac=``; 2 n evaluations."""
        x = self._fitting_x(x)
        work = self._differentiate(x)
        self._conclude(work, x, work.numerical_grad)
        return work.numerical_grad.copy()

    def check(self, x: ArrayLike, gradient: ArrayLike | Callable[..., ArrayLike], **options: Any) -> GradientCheck:
        """A full check at x with verdict and error bars: `check_gradient` with f, epsilon, args, threads as here.

        Further options are those of `check_gradient`. Nothing is compiled anew.
        """
        given = {"args": self._args, "threads": self._threads, **options}
        return check_gradient(self._f, self._fitting_x(x), gradient, self._epsilon, **given)

    def callback(
        self,
        gradient: Callable[..., ArrayLike],
        *,
        every: int = 10,
        then: Callable[[GradientCheck], Any] = raise_on_mismatch,
    ) -> Callable[..., None]:
        """A ``callback=`` for `scipy.optimize.minimize` that checks the gradient in the middle of the run.

        Parameters
        ----------
        gradient : callable
            ``gradient(x, *args)``.
        every : int, optional
            The first iterate is checked, and every so many after it.
        then : callable, optional
            Called with each `GradientCheck`. By default it raises `GradientMismatch` if the gradient is wrong, which
            ends the run; the ``append`` of a list records the checks instead.

        Returns
        -------
        callable
            ``callback(x)``, which ignores further arguments and returns None. It counts its calls: use a new one for
            each run.
        """
        each = whole_number(every, "every", 1)
        for function, name in ((gradient, "gradient"), (then, "then")):
            if not callable(function):
                raise TypeError(f"{name} is {described(function)}; need a function, which is called at many iterates.")
        iteration = itertools.count()

        def check_iterate(x: ArrayLike, *_: Any) -> None:
            if next(iteration) % each == 0:
                then(self.check(x, gradient))

        return check_iterate

    def _fitting(self, values: Any, name: str) -> Array:
        if (
            isinstance(values, np.ndarray)
            and values.dtype is self._dtype
            and values.shape == self._shape
            and values.flags.c_contiguous
        ):
            return values
        return gradient_array(values, name=name, shape=self._shape)

    def _fitting_x(self, x: Any) -> Array:
        fitting = self._fitting(x, "x")
        if fitting.dtype.itemsize > self._dtype.itemsize:
            raise TypeError(f"x is {fitting.dtype}, but the checker is for {self._dtype}; need like=x in its dtype.")
        return fitting.astype(self._dtype, copy=False)

    def _differentiate(self, x: Array) -> "_Work":
        """Differences at x, in the work arrays of this thread."""
        work = self._local.work
        if callable(self._epsilon):
            work.wanted = resolve_steps(self._epsilon, point_array(x))
        if not work.move_to(x.reshape(-1)):
            resolve_steps(self._epsilon, point_array(x))  # says what is wrong
        work.fill()
        return work

    def _conclude(self, work: "_Work", x: Array, gradient: Array) -> float:
        error, intact = conclude(work.rows, x.reshape(-1), work.quotient, gradient.reshape(-1), work.numerical)
        if not intact:
            raise ValueError(work.objective.refusal_to_write("x"))
        if math.isnan(error) and work.status.any():
            k = int(np.flatnonzero(work.status)[0])
            step = work.step[k] if work.status[k] & kernels.RAISED_ABOVE else -work.step[k]
            replay_failure(work.objective, point_array(x), {k: float(x.reshape(-1)[k] + step)})
        return float(error)


class _Work(Evaluator):
    """Evaluates differences of all coordinates, at one point after another, into arrays made once."""

    def __init__(
        self,
        objective: Objective,
        point: Point,
        steps: NDArray[np.float64],
        relative: float,
        *,
        threads: int | None,
        seconds: float,
    ) -> None:
        super().__init__(objective, point, threads=threads, seconds=seconds)
        n = point.size
        self.wanted, self.relative = steps, relative
        self.rows = self._rows
        self.step, above, below, self.quotient = np.empty((4, n))
        self.status = np.zeros(n, np.uint8)
        self.numerical = np.empty(n, point.dtype)
        self.numerical_grad = self.numerical.reshape(point.shape)
        self._arrays = (np.arange(n), self.step, above, below, self.quotient, self.status)
        head: tuple[Any, ...] = (_DIFFERENCES.serial, objective.function, objective.block_address)
        if objective.alone is not None:
            head = (objective.run, _DIFFERENCES.serial)
        self._run_serially = functools.partial(head[0], *head[1:], self._rows, n, *self._arrays)

    def move_to(self, x: Array) -> bool:
        """Put x in every row; False if it, or a point a step away, is not finite, or a step vanishes."""
        return bool(place(x, self.wanted, self.relative, self.step, self.rows))

    def fill(self) -> None:
        """Take all differences: on this thread if that is quick, in slices if it takes long."""
        n = self.step.size
        seconds = 2 * n * self._seconds_per_evaluation
        started = time.perf_counter()
        if seconds < _WORTH_THREADS:
            self._run_serially()
            self._seconds_per_evaluation = (time.perf_counter() - started) / (2 * n)
            return
        size = max(self.threads, int(n * SLICE_SECONDS * self.threads / seconds))
        for first in range(0, n, size):
            self._launch(_DIFFERENCES, (), tuple(array[first : first + size] for array in self._arrays))
        # Never more than before: what it takes to wake threads would pass for work that is worth them.
        each = (time.perf_counter() - started) * self.threads / (2 * n)
        self._seconds_per_evaluation = min(self._seconds_per_evaluation, each)


class _Local(threading.local):
    """The work arrays of each thread: Python calls this again, with the same arguments, in every thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.work = _Work(*arguments, **options)
