"""Checks of adjoint codes by the dot-product test, with differences as the arbiter."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._along.directions import plan_draws
from fastgrad._calls import Named
from fastgrad._options import number_of_draws, switch
from fastgrad._products.inputs import product_of
from fastgrad._products.pairs import AdjointTest
from fastgrad._products.report import VjpCheck
from fastgrad._products.session import open_session


def check_vjp(
    F: Callable[..., Any],
    x: ArrayLike,
    vjp: Callable[..., ArrayLike],
    *,
    jvp: Callable[..., ArrayLike] | None = None,
    args: tuple[Any, ...] = (),
    pairs: int = 4,
    out_shape: tuple[int, ...] | int | None = None,
    localise: bool = True,
    rtol: float | None = None,
    rng: int | np.random.Generator | None = 0,
    threads: int | None = None,
) -> VjpCheck:
    """Is this adjoint code right? The dot-product test <w, J v> = <J^T w, v> for random v and w.

    <w, J v> is taken from differences of the scalar function <w, F>, with their error bar. If the tangent code is
    given as well, both are checked, and the result says which of the two is wrong. The components of J^T w that are
    wrong are then found one by one.

    Parameters
    ----------
    F : function compiled with numba.njit
        ``F(x, *args)``, which returns an array of m floats of any shape; or ``F(x, out, *args)`` with one parameter
        more, which fills the array `out`. Or the value of `python_objective`.
    x : array_like of float32, float64 or integers, any shape
        Where to check.
    vjp : callable
        ``vjp(x, w, *args)`` = J(x)^T w, compiled or plain Python, for w shaped like F(x); returns an array shaped
        like x.
    jvp : callable, optional
        ``jvp(x, v, *args)`` = J(x) v, the tangent code that belongs to it; checked as by `check_jvp`.
    args : tuple, optional
        Extra arguments of F, vjp and jvp.
    pairs : int, optional
        Random pairs (v, w). v moves components as the directions of `check_jvp` do; where sizes of x spread, as many
        again are drawn of each further kind. Each output weighs in w by how much it changes along v.
    out_shape : tuple of int, optional
        The shape of what F fills, if it fills an argument.
    localise : bool, optional
        False stops at the verdict.
    rtol : float, optional
        Error of <J^T w, v> relative to its terms that does not matter; default 1e-5 (1e-3 for a float32 x).
    rng : int, numpy.random.Generator or None, optional
        Seed of the pairs. Default 0: the same pairs at every call. None draws anew.
    threads : int, optional
        Default all that Numba would use. No result depends on it.

    Returns
    -------
    VjpCheck
        Verdict, reason, both sides of each pair with their bars, wrong components, causes, cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or a product has another shape than it should; the message says what to do.
    Exception
        Whatever F raises at x, and whatever vjp or jvp raise.

    Notes
    -----
    About 35 evaluations of F for each pair, whatever n and m, and as many for the jvp. To find wrong components costs
    2 n or more, but looks at 64 of them only if n is above 1024; a cause is named if a second w shows it too, for as
    much again. Two random vectors make the test a little blunter
    than that of a jvp: ``smallest_error`` says what would have been seen.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def F(x):
    ...     return np.array([x[0] * x[1], np.sin(x[0])])
    >>> def vjp(x, w):
    ...     return np.array([x[1] * w[0] + np.cos(x[0]) * w[1], x[0] * w[0]])
    >>> fastgrad.check_vjp(F, [1.0, 2.0], vjp).verdict
    <Verdict.MATCH: 'match'>
    >>> result = fastgrad.check_vjp(F, [1.0, 2.0], lambda x, w: vjp(x, w) * [1, -1])
    >>> result.verdict, result.components[0].name
    (<Verdict.MISMATCH: 'mismatch'>, 'x[1]')
    """
    session = open_session(Named(F, "F"), x, args, out_shape=out_shape, rtol=rtol, rng=rng, threads=threads)
    count, is_wanted = number_of_draws(pairs, "pairs", 1), switch(localise, "localise")
    inside, outside = session.given.shape, session.trial.shape
    adjoint = product_of(vjp, "vjp", session.given, args, outside, inside)
    tangent = None if jvp is None else product_of(jvp, "jvp", session.given, args, inside, outside)
    test = AdjointTest(session, adjoint, tangent)
    for draw in plan_draws(session.point, count, more=count):  # of each scale both kinds of w
        test.add(draw)
    if is_wanted:
        test.locate()
    return test.result()
