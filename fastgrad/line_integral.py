"""A check without small steps: the difference of f against the integral of its gradient along segments."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._inputs import point_array
from fastgrad._judge.verdict import Verdict
from fastgrad._large.history import cause_of_history
from fastgrad._large.line import Line
from fastgrad._large.line_course import LEAST_SEGMENTS, LineCourse
from fastgrad._large.line_report import LineIntegralCheck
from fastgrad._layout import make_layout
from fastgrad._nested import Nested
from fastgrad._objective import prepare, try_objective
from fastgrad._options import constants_of, described, number_of_draws, positive_number, seed_of, switch


def check_line_integral(
    f: Callable[..., float],
    x: ArrayLike | Nested,
    gradient: Callable[..., ArrayLike | Nested],
    *,
    args: tuple[Any, ...] = (),
    segments: int = 4,
    rng: int | np.random.Generator | None = 0,
    blocks: Mapping[str, tuple[int, ...] | int] | None = None,
    rtol: float = 1e-10,
    scale: ArrayLike | None = None,
    localise: bool = True,
    constants: Mapping[str, float] | None = None,
    time_limit: float | None = None,
    threads: int | None = 1,
) -> LineIntegralCheck:
    """Is this gradient right? f(b) - f(a) against the quadrature of the gradient along segments through x.

    Nothing is divided by a small step, so nothing cancels: for smooth f relative errors down to 1e-13 show, five
    orders below the best central difference, and noise of f counts once per segment instead of once per step.

    Parameters
    ----------
    f : function compiled with numba.njit
        Objective ``f(x, *args) -> float``, or the value of `c_objective` or `python_objective`.
    x : array_like of float32, float64 or integers, any shape
        Middle of the segments. Or named arrays, as for `check_gradient`.
    gradient : callable
        ``(x, *args)``, compiled or plain Python; it is evaluated along the segments.
    args : tuple, optional
        Extra arguments of f and of the gradient.
    segments : int, optional
        Random segments, at least 2.
    rng : int, numpy.random.Generator or None, optional
        Seed of the segments. Default 0: the same segments at every call. None draws anew.
    blocks : mapping of str to shape, optional
        Names of consecutive pieces of the flat x; on a mismatch each is tried alone.
    rtol : float, optional
        Relative disagreement that does not matter.
    scale : array_like, optional
        Typical change of each component of x, instead of the sizes of x itself.
    localise : bool, optional
        False stops at the verdict.
    constants : mapping of str to float, optional
        Numbers of the problem (batch size, weight of a regulariser) that a bug may have misplaced.
    time_limit : float, optional
        Seconds after which no new evaluation of the gradient is begun; the verdict claims no more than was seen.
    threads : int or None, optional
        Segments that are integrated side by side; None for all threads that Numba would use. Default 1, since a
        gradient function need not be safe to call from several threads; it pays where the gradient releases the
        interpreter: compiled with ``nogil=True``, or NumPy on large arrays. No result depends on it.

    Returns
    -------
    LineIntegralCheck
        Verdict, reason, both sides of each segment with their bars, wrong blocks and components, causes, cost.

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
    Each segment costs 2 evaluations of f and 15 of the gradient (Gauss-Kronrod), and x and the noise of f cost 18 of f:
    26 and 61 for 4 segments that agree. The length of a segment is the longest from 1/16 of the scale downwards for
    which the quadrature converges to the noise of f. The gradient at x is looked at first: a component that is not
    finite is wrong.

    Right where f is smooth along the segments, costly or noisy, and the gradient is a function. It tests the
    gradient on segments through x, not at x alone: an error at one isolated point does not show, and neither does
    an objective that is wrong together with its gradient. A kink on a segment gives inconclusive, with its place.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return np.sin(x).sum()
    >>> x = np.linspace(0.5, 1.0, 100)
    >>> check_line_integral(f, x, np.cos).verdict
    <Verdict.MATCH: 'match'>
    >>> check_line_integral(f, x, lambda x: np.cos(x) * (1 + 1e-9)).verdict
    <Verdict.MISMATCH: 'mismatch'>
    """
    started = time.perf_counter()
    if not callable(gradient):
        raise TypeError(
            f"gradient is {described(gradient)}; need a function of (x, *args), because it is evaluated along "
            f"segments. For a gradient at x alone use check_directional."
        )
    count, tolerance = number_of_draws(segments, "segments", LEAST_SEGMENTS), positive_number(rtol, "rtol")
    deadline = math.inf if time_limit is None else started + positive_number(time_limit, "time_limit")
    point = point_array(x)
    layout, is_wanted = make_layout(point.shape, blocks, point.structure), switch(localise, "localise")
    objective = prepare(f, point, args)
    trial = try_objective(objective, point)
    line = Line(objective, point, gradient, args, trial.value, deadline=deadline, threads=threads)
    check = LineCourse(line, point, layout, seed_of(rng), tolerance, scale, constants_of(constants))
    try:
        if math.isfinite(trial.value):
            with np.errstate(all="ignore"):
                check.run(count, trial.difference, is_wanted)
        if check.verdict is not Verdict.MATCH and check.differs and time.perf_counter() < deadline:
            check.add_cause(cause_of_history(line.counted, point, args, check.at_x, f=line.f, noise=line.noise))
    except KeyboardInterrupt as interruption:
        check.end_early("Ctrl-C")
        interruption.result = check.result(time.perf_counter() - started)  # type: ignore[attr-defined]
        raise
    return check.result(time.perf_counter() - started)
