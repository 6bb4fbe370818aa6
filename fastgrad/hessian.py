"""Hessians: check_hessian."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._calls import Named
from fastgrad._causes.cause import Cause
from fastgrad._inputs import Point, point_array
from fastgrad._jacobian.check import DenseCheck, make_request, noise_of_rows, prepare_check
from fastgrad._jacobian.inputs import given_matrix
from fastgrad._jacobian.report import HessianCheck, JacobianCheck
from fastgrad._jacobian.result import Names
from fastgrad._jacobian.symmetry import Asymmetry, asymmetry, numerical_asymmetry
from fastgrad._judge.verdict import Verdict
from fastgrad._layout import Layout, make_layout
from fastgrad._sparse.pattern import is_sparse
from fastgrad.steps import StepRule


def check_hessian(
    gradient: Callable[..., Any],
    x: ArrayLike,
    hessian: ArrayLike | Callable[..., ArrayLike],
    epsilon: float | ArrayLike | StepRule | None = None,
    *,
    args: tuple[Any, ...] = (),
    rtol: float | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    noise: float | ArrayLike | None = None,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    constants: Mapping[str, float] | None = None,
    threads: int | None = None,
) -> HessianCheck:
    """Is this Hessian right? Compares it with central differences of the gradient, and sees that it is symmetric.

    The gradient is taken to be right (see `check_gradient`); its Jacobian is measured as by `check_jacobian`. If that
    is not symmetric beyond its error bars, the gradient is that of no function, and a cause says so.

    Parameters
    ----------
    gradient : function compiled with numba.njit
        ``gradient(x, *args)``, which returns an array of floats shaped like x (or as many, flat); or
        ``gradient(x, out, *args)``, which assigns every entry of `out`.
    x : array_like of float32, float64 or integers, any shape
        Where to check.
    hessian : array_like, shape (n, n) or the shape of x twice; or callable
        The Hessian with both triangles, or a function ``(x, *args)`` that returns it, compiled or plain Python.
    epsilon, args, rtol, bounds, noise, constants, threads
        As for `check_jacobian`, with the gradient as F.
    blocks : mapping of str to shape, optional
        Names of consecutive pieces of the flat x, for rows and columns alike.

    Returns
    -------
    HessianCheck
        A `JacobianCheck` (with the Hessian as its Jacobian) and its worst asymmetry.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or the gradient does not return as many values as x has.
    Exception
        Whatever the gradient raises, with a note that names the column.

    Notes
    -----
    Evaluations of the gradient: as `check_jacobian`, 2 n + 2 when all is well. Symmetry costs none. It counts as
    broken where two entries differ by more than a hundredth of the tolerance and 1000 roundings of the largest term
    of the quadratic form: an asymmetric Hessian is a mismatch even if each entry is within the tolerance.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def gradient(x):
    ...     return np.array([2.0 * x[0] * x[1], x[0] ** 2])
    >>> fastgrad.check_hessian(gradient, [3.0, 4.0], [[8.0, 6.0], [6.0, 0.0]]).verdict
    <Verdict.MATCH: 'match'>
    >>> print(fastgrad.check_hessian(gradient, [3.0, 4.0], [[8.0, 6.0], [0.0, 0.0]]).asymmetry)
    Asymmetry(index=(0, 1), values=(6.0, 0.0), count=1)
    """
    started = time.perf_counter()
    point = point_array(x)
    request = make_request(
        point, epsilon, kind="Hessian", rtol=rtol, bounds=bounds, constants=constants, threads=threads
    )
    given = given_matrix(hessian, point, args, "hessian")
    if is_sparse(given.array):
        raise TypeError(
            "hessian is a sparse matrix; need an array: pass hessian.toarray(), or call check_jacobian(gradient, x, "
            "hessian), which makes use of its pattern."
        )
    check = prepare_check(Named(gradient, "gradient"), point, args, given, request)
    _require_gradient(check, point)
    columns = make_layout(point.shape, blocks, point.structure)
    names = Names(replace(columns, title="gradient"), columns, request.kind)
    sigma = None if noise is None else noise_of_rows(noise, check.trial.shape, "gradient")
    return _with_symmetry(check.result(given, names, sigma, started), check, columns)


def _require_gradient(check: DenseCheck, point: Point) -> None:
    if check.trial.size != point.size:
        raise ValueError(
            f"the gradient returns {check.trial.size} values for {point.size} coordinates; need one for each. For "
            f"functions with another number of values use check_jacobian."
        )


def _with_symmetry(result: JacobianCheck, check: DenseCheck, columns: Layout) -> HessianCheck:
    found = asymmetry(result.analytical_jacobian, check.column_scale, result.rtol)
    values = {**result.__dict__, "asymmetry": found}
    if found is not None:
        text = _sentence(found)
        otherwise = "otherwise " if result.verdict is Verdict.MATCH else ""
        values |= {"verdict": Verdict.MISMATCH, "reason": f"{text}; {otherwise}{result.reason}"}
    if values["verdict"] is Verdict.MISMATCH:
        values["causes"] = (*_causes(result, columns), *result.causes)
    return HessianCheck(**values)


def _sentence(found: Asymmetry) -> str:
    (i, j), (upper, lower) = found.index, found.values
    more = f" and {found.count - 1} more pairs" if found.count > 1 else ""
    return (
        f"the Hessian is not symmetric: H[{i}, {j}] = {upper:.6g} and H[{j}, {i}] = {lower:.6g} differ by "
        f"{abs(upper - lower):.1g}{more}"
    )


def _causes(result: JacobianCheck, columns: Layout) -> tuple[Cause, ...]:
    """The gradient itself, if its numerical Jacobian is not symmetric."""
    found = numerical_asymmetry(result.estimate, result.uncertainty, result.rtol)
    if found is None:
        return ()
    (i, j), (upper, lower) = found.index, found.values
    bars = result.uncertainty[i, j], result.uncertainty[j, i]
    text = (
        f"the gradient is that of no function: its derivative {i} by {columns.name(j)} is {upper:.6g} +- "
        f"{bars[0]:.1g}, its derivative {j} by {columns.name(i)} is {lower:.6g} +- {bars[1]:.1g}"
    )
    return (Cause("gradient", None, text, int(np.count_nonzero(result.verdicts == Verdict.MISMATCH))),)
