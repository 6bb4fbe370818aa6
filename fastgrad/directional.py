"""Checks for large n: a verdict in a handful of evaluations, and the wrong components located."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._budget import make_budget
from fastgrad._causes.places import Block
from fastgrad._inputs import analytical_gradient, point_array
from fastgrad._large.course import Course, Settings
from fastgrad._large.directional_inputs import prepare_wide
from fastgrad._large.directional_report import DirectionalCheck
from fastgrad._large.history import cause_of_history
from fastgrad._large.probes import Prober
from fastgrad._layout import make_layout
from fastgrad._nested import Nested
from fastgrad._options import constants_of, number_of_draws, positive_number, seed_of, switch, whole_number

_FEWEST_DIRECTIONS = 4
_FEWEST_EVALUATIONS = 100


def check_directional(
    f: Callable[..., float],
    x: ArrayLike | Nested,
    gradient: ArrayLike | Nested | Callable[..., ArrayLike | Nested],
    *,
    args: tuple[Any, ...] = (),
    directions: int = 8,
    rng: int | np.random.Generator | None = 0,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    rtol: float = 1e-6,
    scale: ArrayLike | None = None,
    localise: bool = True,
    max_evaluations: int | None = None,
    time_limit: float | None = None,
    constants: Mapping[str, float] | None = None,
    threads: int | None = None,
) -> DirectionalCheck:
    """Is this gradient right? For large n: along random directions, then which components are wrong.

    Each direction is a central difference of fourth order with its own error bar; the noise of f is measured and the
    step chosen automatically. A mismatch needs two directions that differ, both confirmed at smaller steps, and a
    component that differs at every scale. Wrong components are located by an interval tree, or, if many are wrong,
    sampled.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``, or the value of `c_objective` or `python_objective`.
    x : array_like of float32, float64 or integers, any shape
        Where to check. Or named arrays, as for `check_gradient`.
    gradient : array_like shaped like x, or callable
        The gradient, or a function ``(x, *args)`` that returns it.
    args : tuple, optional
        Extra arguments of f.
    directions : int, optional
        Random directions whose components move at least by the median of their block; half as many more move every
        component in proportion to itself.
    rng : int, numpy.random.Generator or None, optional
        Seed of the directions. Default 0: the same directions at every call. None draws anew.
    blocks : mapping of str to shape, optional
        Names of consecutive pieces of the flat x, ``{"W1": (5, 4), "b1": 5}``; located first, and named in causes.
    rtol : float, optional
        Relative difference of a component, or of the whole gradient, that does not matter.
    scale : array_like, optional
        Typical change of each component of x, instead of the sizes of x itself.
    localise : bool, optional
        False stops at the detection.
    max_evaluations : int, optional
        Limit for all evaluations of f; the directions alone take 130. Default: none for the detection; for the
        location max(400, 64 log2 n), and 24 for each of the first 100 components found.
    time_limit : float, optional
        Seconds after which no new evaluations are begun; the verdict claims no more than was seen.
    constants : mapping of str to float, optional
        Numbers of the problem (batch size, weight of a regulariser) that a bug may have misplaced.
    threads : int, optional
        Default all that Numba would use. No result depends on it.

    Returns
    -------
    DirectionalCheck
        Verdict, reason, estimate of the relative error, power, wrong components, causes and cost.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.
    Exception
        Whatever f raises at x.
    KeyboardInterrupt
        On Ctrl-C, with what was found so far as the attribute ``result``.

    Notes
    -----
    130 evaluations of f when the gradient is right, whatever n (138 if f is noisy and x spans decades); some 30 to 50
    more for one wrong component, 10 to 20 for each of many. On a mismatch a gradient function is called twice more, to
    see whether it keeps a state. The memory besides x and the gradient is a copy of x and two points per thread, as
    long as these are 256 MB or less; beyond, two points in all: three vectors of the size of x, and one more where
    the place of many wrong components is verified.

    A wrong component is invisible when its effect on f is below the noise of f: `smallest_component_error` says where
    that begins. Where directions differ because of a kink of f nothing is said; if components that are exactly zero are
    at one, they are held still, and looked at one by one. A gradient given that is the mean of both slopes of a kink
    agrees.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return (x * x).sum()
    >>> x = np.linspace(1.0, 2.0, 10_000)
    >>> gradient = 2 * x
    >>> gradient[1234] *= 1.5
    >>> result = fastgrad.check_directional(f, x, gradient)
    >>> result.verdict, [row.name for row in result.components]
    (<Verdict.MISMATCH: 'mismatch'>, ['x[1234]'])
    """
    started = time.perf_counter()
    given = point_array(x)
    layout = make_layout(given.shape, blocks, given.structure)
    settings = Settings(
        seed=seed_of(rng),
        directions=number_of_draws(directions, "directions", _FEWEST_DIRECTIONS),
        rtol=positive_number(rtol, "rtol"),
        localise=switch(localise, "localise"),
        constants=constants_of(constants),
        limit=None
        if max_evaluations is None
        else whole_number(max_evaluations, "max_evaluations", _FEWEST_EVALUATIONS),
    )
    budget = make_budget(time_limit, settings.limit, None)
    objective, trial, point = prepare_wide(f, given, args)
    analytical = analytical_gradient(gradient, given, args)
    regions = layout.blocks or (Block("", 0, given.shape or (1,)),)
    prober = Prober(objective, point, analytical, threads=threads, budget=budget)
    check = Course(prober, trial, layout, regions, settings)
    try:
        check.run(scale)
        if check.is_mismatch and callable(gradient):
            cause = cause_of_history(gradient, given, args, analytical, f=prober.value_at, noise=check.noise)
            check.add_cause(cause)
    except KeyboardInterrupt as interruption:
        check.interrupt()
        interruption.result = check.result(time.perf_counter() - started)  # type: ignore[attr-defined]
        raise
    prober.require_intact()
    return check.result(time.perf_counter() - started)
