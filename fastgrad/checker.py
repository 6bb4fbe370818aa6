"""Checks of one objective at many points: prepared once, then nearly free of overhead."""

import functools
import itertools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import call
from fastgrad._compiled import kernels
from fastgrad._compiled.repeated import conclude
from fastgrad._first import make_bounds, replay_failure
from fastgrad._html import in_notebook
from fastgrad._inputs import Array, gradient_array, point_array, unflatten
from fastgrad._judge.verdict import Verdict
from fastgrad._objective import prepare, try_objective
from fastgrad._options import described, whole_number
from fastgrad._report import GradientCheck
from fastgrad._work import LocalWork, Work
from fastgrad.gradient import check_gradient
from fastgrad.steps import StepRule, resolve_steps


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
    bounds : pair of array_like, optional
        Lower and upper bounds of x, as for `check_gradient`: f is never evaluated outside. Where they leave no room
        for a central difference, one-sided ones are taken, which are prepared anew each time (about 100 us).
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
    `threads` and six arrays of the size of x. It can be copied and pickled if f and `args` can; the copy prepares
    itself anew.

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
        bounds: tuple[ArrayLike, ArrayLike] | None = None,
        threads: int | None = None,
    ) -> None:
        point = point_array(like)
        if point.structure is not None:
            raise TypeError("like has named parts; need an array: join them into one, or call check_gradient instead.")
        self._bounds, self._limits = bounds, make_bounds(bounds, point)
        objective = prepare(f, point, args)
        try_objective(objective, point).require_deterministic()
        started = time.perf_counter()
        objective.value(point.flat.copy())  # not the first call, which may load compiled code
        seconds = time.perf_counter() - started
        self._f, self._epsilon, self._args, self._threads = f, epsilon, args, threads
        self._dtype, self._shape, self._like = point.dtype, point.shape, point.own_form()
        steps = resolve_steps(epsilon, point)
        relative = float(np.cbrt(np.finfo(point.dtype).eps)) if epsilon is None else 0.0  # where a step vanishes
        self._local = LocalWork(objective, point, steps, relative, threads=threads, seconds=seconds)

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

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(type(self), args=self._args, bounds=self._bounds, threads=self._threads)
        return make, (self._f, self._like, self._epsilon)

    def gradient(self, x: ArrayLike, *args: Any) -> NDArray[Any]:
        """Central differences at x, in an array of their own: for an optimiser's ``jac=``; 2 n evaluations.

        The `args` that an optimiser passes on must be those of the checker.
        """
        if args and not _are_same(args, self._args):
            raise ValueError("args differ from those of the checker; need the same: GradientChecker(f, x, args=args).")
        x = self._fitting_x(x)
        work = self._differentiate(x)
        self._conclude(work, x, work.numerical_grad)
        return work.numerical_grad.copy()

    def check(self, x: ArrayLike, gradient: ArrayLike | Callable[..., ArrayLike], **options: Any) -> GradientCheck:
        """A full check at x with verdict and error bars: `check_gradient` with what the checker was made with.

        Further options are those of `check_gradient`. Nothing is compiled anew.
        """
        given = {"args": self._args, "bounds": self._bounds, "threads": self._threads, **options}
        return check_gradient(self._f, self._fitting_x(x), gradient, self._epsilon, **given)

    def callback(
        self,
        gradient: Callable[..., ArrayLike],
        *,
        every: int = 10,
        then: Callable[[GradientCheck], Any] = raise_on_mismatch,
        **options: Any,
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
        **options
            As for `check_gradient`: ``rtol``, ``sample``, ``noise``.

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
                then(self.check(x, gradient, **options))

        return check_iterate

    def _fitting(self, values: Any, name: str) -> Array:
        if (
            type(values) is np.ndarray  # a subclass may have masked entries
            and values.dtype is self._dtype
            and values.shape == self._shape
            and values.flags.c_contiguous
        ):
            return values
        return gradient_array(values, name=name, shape=self._shape)

    def _fitting_x(self, x: Any) -> Array:
        fitting = self._fitting(x, "x")
        if fitting.dtype.itemsize > self._dtype.itemsize:
            arrived, narrow = np.asarray(x).dtype, fitting.astype(self._dtype)
            if arrived.kind not in "iu" or not np.array_equal(narrow, fitting):
                raise TypeError(f"x is {arrived}, but the checker is for {self._dtype}; need like=x in its dtype.")
            return narrow
        return fitting.astype(self._dtype, copy=False)

    def _differentiate(self, x: Array) -> Work:
        """Differences at x, in the work arrays of this thread."""
        work = self._local.work
        if callable(self._epsilon):
            work.wanted = resolve_steps(self._epsilon, point_array(x))
        if not work.move_to(x.reshape(-1)):
            resolve_steps(self._epsilon, point_array(x))  # says what is wrong
        if self._limits is None or self._limits.leave_room(x.reshape(-1), work.step):
            work.fill()
        else:
            point = point_array(x)
            work.fill_inside(make_bounds(self._bounds, point), point)  # which names an x outside
        return work

    def _conclude(self, work: Work, x: Array, gradient: Array) -> float:
        error, intact = conclude(work.rows, x.reshape(-1), work.quotient, gradient.reshape(-1), work.numerical)
        if not intact:
            raise ValueError(work.objective.refusal_to_write("x"))
        if math.isnan(error) and work.status.any():
            k = int(np.flatnonzero(work.status)[0])
            step = work.step[k] if work.status[k] & kernels.RAISED_ABOVE else -work.step[k]
            replay_failure(work.objective, point_array(x), {k: float(x.reshape(-1)[k] + step)})
        return float(error)


def _are_same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return len(some) == len(others) and all(a is b or np.array_equal(a, b) for a, b in zip(some, others, strict=True))
