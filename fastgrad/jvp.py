"""Checks of tangent codes: J v against differences of F along v."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._calls import Named
from fastgrad._options import number_of_draws
from fastgrad._products.assemble import parts_of, smallest_error_seen
from fastgrad._products.inputs import product_of
from fastgrad._products.report import JvpCheck
from fastgrad._products.session import open_session


def check_jvp(
    F: Callable[..., Any],
    x: ArrayLike,
    jvp: Callable[..., ArrayLike],
    *,
    args: tuple[Any, ...] = (),
    directions: int = 3,
    out_shape: tuple[int, ...] | int | None = None,
    rtol: float | None = None,
    rng: int | np.random.Generator | None = 0,
    threads: int | None = None,
) -> JvpCheck:
    """Is this tangent code right? jvp(x, v) = J(x) v against differences of F along random directions v.

    Every output is judged by its own error bar, as an entry of a Jacobian is by `check_jacobian`, at steps chosen
    from the measured noise of F.

    Parameters
    ----------
    F : function compiled with numba.njit
        ``F(x, *args)``, which returns an array of m floats of any shape; or ``F(x, out, *args)`` with one parameter
        more, which fills the array `out`. Or the value of `python_objective`.
    x : array_like of float32, float64 or integers, any shape
        Where to check.
    jvp : callable
        ``jvp(x, v, *args)``, compiled or plain Python, for v shaped like x; returns an array shaped like F(x).
    args : tuple, optional
        Extra arguments of F and jvp.
    directions : int, optional
        Random directions. They move each component in proportion to its size, but at least to the median size. If that
        is more than 10 times its own size for some component, half as many more without that floor follow (zeros
        move by the median), and, if x has zeros, half as many that hold them still.
    out_shape : tuple of int, optional
        The shape of what F fills, if it fills an argument.
    rtol : float, optional
        Relative difference of an output that counts as equal; default 1e-5 (1e-3 for a float32 x).
    rng : int, numpy.random.Generator or None, optional
        Seed of the directions. Default 0: the same directions at every call. None draws anew.
    threads : int, optional
        Default all that Numba would use. No result depends on it.

    Returns
    -------
    JvpCheck
        Verdict, reason, worst outputs, causes, products with their bars, cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or jvp returns another shape than F; the message says what to do.
    Exception
        Whatever F raises at x, and whatever jvp raises.

    Notes
    -----
    About 30 evaluations of F for each direction, whatever n and m; up to about 45 more for outputs that differ or are
    noisy. The error of a difference is of order h^2 plus noise over h, that of a closer look h^4 plus noise over h.
    Memory: about 20 times F(x).

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def F(x):
    ...     return np.array([x[0] * x[1], np.sin(x[0])])
    >>> def jvp(x, v):
    ...     return np.array([x[1] * v[0] + x[0] * v[1], np.cos(x[0]) * v[0]])
    >>> fastgrad.check_jvp(F, [1.0, 2.0], jvp).verdict
    <Verdict.MATCH: 'match'>
    >>> result = fastgrad.check_jvp(F, [1.0, 2.0], lambda x, v: jvp(x, v) * [1, -1])
    >>> result.verdict, result.worst[0].name
    (<Verdict.MISMATCH: 'mismatch'>, 'F[1]')
    """
    session = open_session(Named(F, "F"), x, args, out_shape=out_shape, rtol=rtol, rng=rng, threads=threads)
    count = number_of_draws(directions, "directions", 1)
    shapes = session.given.shape, session.trial.shape
    product = product_of(jvp, "jvp", session.given, args, *shapes)
    tangents = session.tangents(product, count)
    return JvpCheck(
        **parts_of(tangents, "jvp", "F", *shapes),
        causes=session.causes(product, tangents),
        smallest_error=smallest_error_seen(tangents, session.rtol),
        **session.facts(),
    )
