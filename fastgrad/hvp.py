"""Checks of Hessian-vector products: H v against differences of the gradient along v, and its symmetry."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._calls import Named
from fastgrad._inputs import point_array
from fastgrad._judge.verdict import Verdict
from fastgrad._options import number_of_draws
from fastgrad._products.assemble import asymmetry_of, parts_of, smallest_error_seen
from fastgrad._products.inputs import product_of
from fastgrad._products.report import HvpCheck
from fastgrad._products.session import open_session

_FEWEST_DIRECTIONS = 2  # a symmetric product is one of two vectors


def check_hvp(
    gradient: Callable[..., Any],
    x: ArrayLike,
    hvp: Callable[..., ArrayLike],
    *,
    args: tuple[Any, ...] = (),
    directions: int = 3,
    rtol: float | None = None,
    rng: int | np.random.Generator | None = 0,
    threads: int | None = None,
) -> HvpCheck:
    """Is this Hessian-vector product right? hvp(x, v) against differences of the gradient along random v.

    Besides, <u, H v> = <v, H u> has to hold for every pair of the directions.

    Parameters
    ----------
    gradient : function compiled with numba.njit
        ``gradient(x, *args)``, which returns an array shaped like x; or the value of `python_objective`. Check it
        first, with `check_gradient`.
    x : array_like of float32, float64 or integers, any shape
        Where to check.
    hvp : callable
        ``hvp(x, v, *args)``, compiled or plain Python, for v shaped like x; returns an array shaped like x.
    args : tuple, optional
        Extra arguments of both.
    directions : int, optional
        Random directions, at least 2. They move components as those of `check_jvp` do, which adds some where the sizes
        of x spread.
    rtol : float, optional
        Relative difference of an output that counts as equal; default 1e-5 (1e-3 for a float32 x).
    rng : int, numpy.random.Generator or None, optional
        Seed of the directions. Default 0: the same directions at every call. None draws anew.
    threads : int, optional
        Default all that Numba would use. No result depends on it.

    Returns
    -------
    HvpCheck
        Verdict, reason, worst outputs, causes, asymmetry, cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or a product or gradient is not shaped like x.
    Exception
        Whatever the gradient raises at x, and whatever hvp raises.

    Notes
    -----
    About 30 evaluations of the gradient for each direction, whatever n; up to about 45 more for outputs that differ
    or are noisy. Error of order h^2 plus noise over h, h^4 for a closer look.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def gradient(x):
    ...     return x**3
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> fastgrad.check_hvp(gradient, x, lambda x, v: 3 * x**2 * v).verdict
    <Verdict.MATCH: 'match'>
    >>> print(fastgrad.check_hvp(gradient, x, lambda x, v: -3 * x**2 * v).causes[0].sentence)
    every entry has the wrong sign
    """
    named, shape_to_fill = Named(gradient, "gradient"), point_array(x).shape or 1
    session = open_session(named, x, args, out_shape=shape_to_fill, rtol=rtol, rng=rng, threads=threads)
    count = number_of_draws(directions, "directions", _FEWEST_DIRECTIONS)
    shape = session.given.shape
    if session.trial.shape != shape:
        raise ValueError(
            f"gradient returns shape {session.trial.shape} for an x of shape {shape}; need an array shaped like x."
        )
    product = product_of(hvp, "hvp", session.given, args, shape, shape)
    tangents = session.tangents(product, count)
    asymmetry = max(asymmetry_of(*pair) for pair in itertools.combinations(tangents, 2))
    parts = parts_of(tangents, "hvp", "H v", shape, shape)
    if asymmetry > _ASYMMETRIC * session.rtol:
        parts["reason"], parts["verdict"] = _not_symmetric(parts["verdict"], parts["reason"], asymmetry)
    return HvpCheck(
        **parts,
        causes=session.causes(product, tangents),
        smallest_error=smallest_error_seen(tangents, session.rtol),
        asymmetry=asymmetry,
        **session.facts(),
    )


_ASYMMETRIC = 3.0  # times rtol: each of the two products may be off by it


def _not_symmetric(verdict: Verdict, reason: str, asymmetry: float) -> tuple[str, Verdict]:
    """What an asymmetry adds: if hvp follows the gradient, that is the gradient of no function."""
    size = f"<u, H v> and <v, H u> differ by {asymmetry:.2g} of their size"
    if verdict is Verdict.MATCH:
        return f"hvp agrees with differences, but {size}: what is given as gradient is the gradient of no function", (
            Verdict.MISMATCH
        )
    return f"{reason}; it is not symmetric either, {size}", Verdict.MISMATCH
