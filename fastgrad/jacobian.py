"""Jacobians of vector functions: check_jacobian and numerical_jacobian."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import Named
from fastgrad._inputs import point_array
from fastgrad._jacobian.check import DenseCheck, for_groups, make_request, noise_of_rows, prepare_check
from fastgrad._jacobian.differences import replay_failure
from fastgrad._jacobian.inputs import given_matrix
from fastgrad._jacobian.report import JacobianCheck
from fastgrad._jacobian.result import Names
from fastgrad._layout import make_layout
from fastgrad._sparse.check import SparseCheck
from fastgrad._sparse.pattern import is_sparse
from fastgrad._sparse.report import SparseJacobianCheck
from fastgrad._vector_objective import prepare_vector
from fastgrad._vector_trial import try_vector
from fastgrad.steps import StepRule, resolve_steps


def check_jacobian(
    F: Callable[..., Any],
    x: ArrayLike,
    jacobian: ArrayLike | Callable[..., ArrayLike],
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    rtol: float | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    noise: float | ArrayLike | None = None,
    sparsity: Any = None,
    rows: Mapping[str, tuple[int, ...] | int] | None = None,
    columns: Mapping[str, tuple[int, ...] | int] | None = None,
    constants: Mapping[str, float] | None = None,
    threads: int | None = None,
) -> JacobianCheck | SparseJacobianCheck:
    """Is this Jacobian right? Compares it with central differences, entry by entry.

    Column j of the Jacobian holds the derivatives of all values of F by coordinate j, so a pair of evaluations
    measures a column. Entry (i, j) is judged as component j of the gradient of F_i, by its own error bar: see
    `check_gradient`.

    Parameters
    ----------
    F : function compiled with numba.njit
        ``F(x, *args)``, which returns an array of m floats of any shape; or ``F(x, out, *args)`` with one parameter
        more, which assigns every entry of the array `out` (of the dtype of x). It sees x in its own shape and must
        only read its arguments. If F contains parallel loops, they keep the threads and columns run one by one. Or
        the value of `python_objective`.
    x : array_like of float32, float64 or integers, any shape
        Where to check. Integers become float64. x is not modified.
    jacobian : array_like, shape (m, n) or shape of F followed by that of x; scipy.sparse matrix; or callable
        The Jacobian, or a function ``(x, *args)`` that returns it, compiled or plain Python. Of a sparse matrix the
        stored entries are the pattern.
    epsilon : float, array_like or step rule, optional
        Step in units of x, as for `check_gradient`. With ``fastgrad.steps.Automatic()`` numerical_jacobian is the
        best estimate of each entry. With a pattern, where many coordinates move at once, the default is 2e-7 (4.9e-3
        of a float32 x computed in float32) times |x_j|, or times the median of all where that is larger.
    args : tuple, optional
        Extra arguments of F.
    rtol : float, optional
        Relative difference of an entry that counts as equal; default 1e-5 (1e-3 for a float32 x).
    bounds : pair of array_like, optional
        Lower and upper bounds of x (numbers, arrays shaped like x, or None); F is never evaluated outside.
    noise : float or array_like shaped like F, optional
        Standard deviation of the noise of F near x, in units of F, if it is known: it is not measured then.
    sparsity : scipy.sparse matrix or pair of index arrays (rows, columns), optional
        Entries that may differ from zero, as flat positions in F(x) and x; values are not looked at. Columns that
        share no row then move together (Curtis, Powell and Reid 1974), and the pattern is verified: it is a mismatch
        if F has an entry outside it, also one that the Jacobian given has.
    rows : mapping of str to shape, optional
        Names of consecutive pieces of the flat F, ``{"dynamics": (20, 3), "boundary": 4}``: used in the report,
        which then has a relative error for each.
    columns : mapping of str to shape, optional
        Names of consecutive pieces of the flat x.
    constants : mapping of str to float, optional
        Numbers of the problem that a bug may have misplaced.
    threads : int, optional
        Threads that evaluate F; default all that Numba would use. No result depends on it.

    Returns
    -------
    JacobianCheck or, with a pattern, SparseJacobianCheck
        The tuple ``(numerical_jacobian, relative_error)``, with verdict, reason, error bars, worst entries, causes
        and cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or F does not return as many values everywhere.
    Exception
        Whatever F raises at x, or near x at every step tried, with a note that names the column.
    KeyboardInterrupt
        On Ctrl-C, with what was found so far as the attribute ``result``.

    Notes
    -----
    Evaluations of F: 2 n + 2 when all entries agree and tell the noise by themselves; 24 more to measure the noise
    of all rows otherwise; 2 for each column that needs another step; 2 to about 45 for a single entry that needs a
    closer look, which the entries of its column share. Memory: about seven times the Jacobian. The error of a
    difference is of order h^2 plus noise over h, that of a closer look h^4 plus noise over h.

    With a pattern: 2 for each group of columns (3 groups if the Jacobian is tridiagonal), 2 for the trial at x and 4
    for two probes, F along random directions against the sum over the entries. They see an entry outside the pattern
    that is r bars large with a probability of at least 1 - r^-2; it is then searched for (about 10 evaluations for
    one entry), measured by itself like every entry that looks wrong, and reported as what it is. Where noise or
    curvature is so large in some row that an entry which moves it as much as its largest could be missed with a
    probability above 1e-4, nothing is cleared: the check is inconclusive, and says so. Memory: a few dozen numbers per
    entry, and as many values of F as two per group.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def F(x):
    ...     return np.array([x[0] * x[1], x[0] ** 2])
    >>> numerical, error = fastgrad.check_jacobian(F, [3.0, 4.0], [[4.0, 3.0], [6.0, 0.0]])
    >>> bool(error < 1e-8)
    True
    >>> fastgrad.check_jacobian(F, [3.0, 4.0], [[4.0, 3.0], [3.0, 0.0]]).verdict
    <Verdict.MISMATCH: 'mismatch'>
    """
    started = time.perf_counter()
    point = point_array(x)
    request = make_request(
        point, epsilon, kind="Jacobian", rtol=rtol, bounds=bounds, constants=constants, threads=threads
    )
    given = given_matrix(jacobian, point, args, "jacobian")
    check = prepare_check(Named(F, "F"), point, args, given, request)
    names = Names(
        make_layout(check.trial.shape, rows, title="F", name="rows"),
        make_layout(point.shape, columns, point.structure, name="columns"),
        request.kind,
    )
    sigma = None if noise is None else noise_of_rows(noise, check.trial.shape)
    if sparsity is not None or is_sparse(given.array):
        grouped = SparseCheck(check.objective, check.trial, point, for_groups(request, epsilon, point))
        return grouped.sparse_result(given, sparsity, (names.rows, names.columns), sigma, started)
    return check.result(given, names, sigma, started)


def numerical_jacobian(
    F: Callable[..., Any],
    x: ArrayLike,
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    out_shape: tuple[int, ...] | int | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Jacobian of F by central differences, in parallel over the columns; 2 n + 2 evaluations.

    Parameters
    ----------
    F, x, epsilon, args, bounds, threads
        As for `check_jacobian`.
    out_shape : tuple of int or int, optional
        Shape of the array that F fills, if it is of the form ``F(x, out, *args)``.

    Returns
    -------
    ndarray, shape (m, n)
        A row for each value of F and a column for each coordinate of x, both flat; float32 for a float32 x,
        otherwise float64. Error of order epsilon^2 plus the rounding error of F over epsilon.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, F is not deterministic, or does not return as many values everywhere.
    Exception
        Whatever F raises, with a note that names the column.

    Examples
    --------
    >>> import numba, numpy as np
    >>> @numba.njit
    ... def F(x):
    ...     return np.array([x[0] * x[1], x[0] ** 2])
    >>> numerical_jacobian(F, [3.0, 4.0]).round(6)
    array([[4., 3.],
           [6., 0.]])
    """
    point = point_array(x)
    request = make_request(point, None, kind="Jacobian", bounds=bounds, threads=threads)
    request = replace(request, steps=resolve_steps(epsilon, point))  # a rule that chooses by itself is one here
    objective = prepare_vector(Named(F, "F"), point, args, out_shape)
    trial = try_vector(objective, point)
    trial.require_deterministic()
    check = DenseCheck(objective, trial, point, request)
    first = check.first_differences()
    check.evaluator.budget.let_out()
    replay_failure(objective, point, trial.size, first.failures)
    check.evaluator.require_intact()
    quotient = first.all_quotients().reshape(point.size, trial.size)
    return np.ascontiguousarray(quotient.T, dtype=point.dtype)
