"""Objectives that are sums of terms, each of few variables: check_separable and separable_gradient."""

import dataclasses
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastgrad._inputs import analytical_gradient, point_array
from fastgrad._jacobian.check import for_groups, make_request
from fastgrad._jacobian.differences import replay_failure
from fastgrad._judge.verdict import Verdict
from fastgrad._layout import make_layout
from fastgrad._report import GradientCheck
from fastgrad._report_lines import WIDTH
from fastgrad._result import make_result
from fastgrad._sparse.report import PatternCheck
from fastgrad._sparse.result import pattern_check
from fastgrad._sparse.sums import SeparableSession, as_first
from fastgrad.steps import StepRule


@dataclass(frozen=True, eq=False, repr=False)
class SeparableCheck(GradientCheck):
    """Outcome of `check_separable`: a `GradientCheck`, and how the sparsity of the terms was used and verified.

    Attributes
    ----------
    pattern : PatternCheck
        Its `missing` are variables on which a term was found to depend though the sparsity does not say so. They are
        part of the differences all the same, so the verdict on the gradient holds.
    """

    pattern: PatternCheck

    def __str__(self) -> str:
        lines = textwrap.wrap(f"pattern of the terms: {self.pattern}", WIDTH)
        head, cost = super().__str__().rsplit("\n\n", 1)
        return "\n\n".join([head, "\n".join(lines), cost.replace("evaluations of f", "evaluations of all terms", 1)])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for json.dumps (NaN stays a float)."""
        return {**super().to_dict(), "pattern": self.pattern.to_dict()}


def check_separable(
    terms: Callable[..., Any],
    x: ArrayLike,
    analytical_grad: ArrayLike | Callable[..., ArrayLike],
    sparsity: Any,
    *,
    epsilon: float | ArrayLike | StepRule | None = None,
    args: tuple[Any, ...] = (),
    rtol: float | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    constants: Mapping[str, float] | None = None,
    out_shape: tuple[int, ...] | int | None = None,
    threads: int | None = None,
) -> SeparableCheck:
    """Is this gradient of a sum of terms right? All components, at the cost of a few dozen evaluations.

    Variables that share no term move together, and each difference is read from the terms that contain the variable:
    f(x) = sum of terms is never formed, so its rounding does not hide small components either.

    Parameters
    ----------
    terms : function compiled with numba.njit
        ``terms(x, *args)`` returns the array of terms, whose sum is the objective, or ``terms(x, out, *args)``
        fills it.
    x : array_like of float32, float64 or integers, any shape
        Where to check. Integers become float64. x is not modified.
    analytical_grad : array_like shaped like x, or callable
        The gradient of the sum, or a function ``(x, *args)`` that returns it.
    sparsity : scipy.sparse matrix or pair of index arrays (terms, variables)
        Which term contains which variable, as flat positions; of a matrix the stored entries.
    epsilon : float, array_like or step rule, optional
        Step in units of x, as for `check_gradient`; but the default is 2e-7 (4.9e-3 for a float32 x) times |x_j|, or
        times the median of all where that is larger.
    args : tuple, optional
        Extra arguments of terms.
    rtol : float, optional
        Relative difference of a component that counts as equal; default 1e-5 (1e-3 for a float32 x).
    bounds : pair of array_like, optional
        Lower and upper bounds of x; no term is evaluated outside.
    blocks : mapping of str to shape, optional
        Names of consecutive pieces of the flat x, used in the report.
    constants : mapping of str to float, optional
        Numbers of the problem that a bug may have misplaced.
    out_shape : tuple of int, or int, optional
        Shape of the array that `terms` fills, if it fills one.
    threads : int, optional
        Threads that evaluate the terms; default all that Numba would use. No result depends on it.

    Returns
    -------
    SeparableCheck
        The tuple ``(numerical_grad, relative_error)``, with all that a `GradientCheck` has, and the pattern.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; the message says what arrived, what is needed and what to do.
    Exception
        Whatever `terms` raises at x, or near x at every step tried.

    Notes
    -----
    Evaluations of all terms: 2 for each group of variables that share no term (at least as many as the fullest term
    has variables), 2 for the trial at x, 4 for two probes that verify the sparsity; 24 more for the noise if some
    component does not agree at the first step, and 2 to about 45 for each that needs a closer look. Those that differ,
    at most the worst 16, are moved alone before they are accused, 2 evaluations each. An evaluation
    computes every term once, and costs what one of the objective does. The error of a difference is of order h^2 plus
    the noise of the terms that contain the variable over h. Groups of columns: Curtis, Powell and Reid (1974).

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def terms(x):
    ...     return 100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2
    >>> def gradient(x):
    ...     residual, total = x[1:] - x[:-1] ** 2, np.zeros_like(x)
    ...     total[:-1] = -400.0 * x[:-1] * residual - 2.0 * (1.0 - x[:-1])
    ...     total[1:] += 200.0 * residual
    ...     return total
    >>> x, k = np.linspace(-1.0, 1.2, 1000), np.arange(999)
    >>> sparsity = np.concatenate([k, k]), np.concatenate([k, k + 1])
    >>> result = fastgrad.check_separable(terms, x, gradient, sparsity)
    >>> result.verdict, result.evaluations
    (<Verdict.MATCH: 'match'>, 10)
    """
    started = time.perf_counter()
    point = point_array(x)
    layout = make_layout(point.shape, blocks, point.structure)
    request = make_request(
        point, epsilon, kind="gradient", rtol=rtol, bounds=bounds, constants=constants, threads=threads
    )
    check = SeparableSession(terms, point, args, out_shape, for_groups(request, epsilon, point), sparsity)
    analytical = analytical_gradient(analytical_grad, point, args, "analytical_grad")
    assessor, first = check.run(analytical)
    base = make_result(
        point, analytical, as_first(first), assessor.result,
        trial=check.scalar_trial, layout=layout, evaluator=assessor.evaluator, constants=request.constants,
        evaluations=check.evaluations, elapsed=time.perf_counter() - started,
    )  # fmt: skip
    result = _with_pattern(base, check)
    check.evaluator.budget.let_out(result)
    return result


def separable_gradient(
    terms: Callable[..., Any],
    x: ArrayLike,
    sparsity: Any,
    *,
    epsilon: float | ArrayLike | StepRule | None = None,
    args: tuple[Any, ...] = (),
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    out_shape: tuple[int, ...] | int | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Gradient of a sum of terms by central differences, variables that share no term together.

    Parameters
    ----------
    terms, x, sparsity, epsilon, args, bounds, out_shape, threads
        As for `check_separable`.

    Returns
    -------
    ndarray, or dict of them if x is one
        With the shape of x; float32 for a float32 x, otherwise float64. Error of order epsilon^2 plus the rounding
        error of the terms that contain the variable over epsilon.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, `terms` is not deterministic, or a term depends on a variable that the
        sparsity does not give it; the message names both.
    Exception
        Whatever `terms` raises.

    Notes
    -----
    Evaluations of all terms: 2 for each group of variables, 2 for the trial at x, 4 for the probes that verify the
    sparsity.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def terms(x):
    ...     return (x[1:] - x[:-1]) ** 2
    >>> fastgrad.separable_gradient(terms, [0.0, 1.0, 3.0], ([0, 0, 1, 1], [0, 1, 1, 2])).round(6)
    array([-2., -2.,  4.])
    """
    point = point_array(x)
    request = make_request(point, epsilon, kind="gradient", bounds=bounds, threads=threads)
    check = SeparableSession(terms, point, args, out_shape, for_groups(request, epsilon, point), sparsity)
    check.trial.require_deterministic()
    first = check.differences()
    check.evaluator.budget.let_out()
    replay_failure(check.objective, point, check.trial.size, first.failures)
    check.evaluator.require_intact()
    check.require_complete()
    gradient: NDArray[Any] = point.shaped(first.all_quotients().astype(point.dtype))
    return gradient


def _with_pattern(base: GradientCheck, check: SeparableSession) -> SeparableCheck:
    assert check.course is not None
    pattern = pattern_check(check.course, check.declared, check.missing, check.blind)
    values = {field.name: getattr(base, field.name) for field in dataclasses.fields(GradientCheck)}
    reason = base.reason
    if check.acquitted:
        reason = _acquittal(check)
    if pattern.lacking:
        i, j = pattern.missing[0]
        more = f" and {pattern.lacking - 1} more" if pattern.lacking > 1 else ""
        reason += f"; the sparsity lacks ({i}, {j}): term {i} depends on {check.point.name(j)}{more}"
    if base.verdict is Verdict.MATCH and not pattern.lacking and not pattern.held:
        values["verdict"] = Verdict.INCONCLUSIVE
        reason += f", but {_doubt(pattern)}, so they may depend on other variables too"
    values["reason"] = reason
    return SeparableCheck(**values, pattern=pattern)


def _acquittal(check: SeparableSession) -> str:
    """What is said of components that differ from their terms, and agree when they move alone."""
    names = [check.point.name(j) for j in check.acquitted]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"the component of {names[0]}{more} differs from what the terms said to contain it show, but not when the "
        f"variable moves alone and all terms are watched: it is the sparsity that is wrong"
    )


def _doubt(pattern: PatternCheck) -> str:
    if pattern.unexplained:
        return f"{pattern.unexplained} terms do not respond as the sparsity says"
    if pattern.unknown:
        return f"{pattern.unknown} terms are not finite when all variables move"
    return (
        f"{pattern.blind} terms have so much noise or curvature within the steps that the sparsity cannot be verified"
    )
