"""Which values of a vector function respond to which coordinates: a sparsity pattern found by trying."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import Named
from fastgrad._inputs import Point, point_array
from fastgrad._schedule import Floats
from fastgrad._vector_objective import VectorObjective, prepare_vector
from fastgrad._vector_schedule import VectorEvaluator, single_columns
from fastgrad._vector_trial import VectorTrial, try_vector

Index = NDArray[np.int64]

_STEPS = (2.0**-7, -(2.0**-14))  # of the size of the coordinate; one each way, at two scales
_CLOSER = (2.0**-21, -(2.0**-21))  # where F fails at those
_VALUES_AT_ONCE = 1 << 22  # 32 MB


def detect_pattern(
    F: Callable[..., Any],
    x: ArrayLike,
    *,
    args: tuple[Any, ...] = (),
    out_shape: tuple[int, ...] | int | None = None,
    threads: int | None = None,
) -> tuple[Index, Index]:
    """Sparsity pattern of the Jacobian of F at x, by moving one coordinate at a time.

    An entry is in the pattern if the value of F changes by so much as a bit when the coordinate moves. That costs
    as much as a dense Jacobian: for one pattern that serves many points, or to learn what to declare.

    Parameters
    ----------
    F : function compiled with numba.njit
        ``F(x, *args)`` returns an array of floats, of any shape with m entries, or ``F(x, out, *args)`` fills one.
    x : array_like of float32, float64 or integers, any shape with n entries
        Where. Better a generic point than one with many zeros, where products of coordinates do not respond.
    args : tuple, optional
        Extra arguments of F.
    out_shape : tuple of int, or int, optional
        Shape of the array that F fills, if it fills one.
    threads : int, optional
        Threads that evaluate F; default all that Numba would use. The result does not depend on it.

    Returns
    -------
    rows, columns : ndarray of int64
        Flat positions in F(x) and in x, sorted by column and then by row: what `sparsity=` takes.

    Raises
    ------
    TypeError, ValueError
        If F or x cannot be used, F is not deterministic, or F(x) is not finite.
    Exception
        Whatever F raises however little a coordinate is moved, with a note that names it.

    Notes
    -----
    2 n + 2 evaluations of F, 2 more for each coordinate at which F raises. Each coordinate is moved up by 1/128 and
    down by 1/16384 of its size (of the median size, if it is zero). What it cannot see: a branch that F does not take
    near x, and a response smaller than half a unit in the last place of the value. `check_jacobian` therefore verifies
    every pattern that it is given, this one too.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def F(x):
    ...     return x[1:] - x[:-1] ** 2
    >>> rows, columns = fastgrad.detect_pattern(F, [1.0, 2.0, 3.0])
    >>> list(zip(rows.tolist(), columns.tolist()))
    [(0, 0), (0, 1), (1, 1), (1, 2)]
    """
    point = point_array(x)
    objective = prepare_vector(Named(F, "F"), point, args, out_shape)
    trial = try_vector(objective, point)
    trial.require_deterministic()
    _require_finite(trial)
    evaluator = VectorEvaluator(objective, point, trial.size, threads=threads, seconds=trial.seconds)
    at_once = max(evaluator.threads, _VALUES_AT_ONCE // trial.size)
    rows, columns = [], []
    for start in range(0, point.size, at_once):
        part = np.arange(start, min(start + at_once, point.size))
        column, row = np.nonzero(_responses(evaluator, objective, trial, part))
        rows.append(row)
        columns.append(part[column])
    evaluator.require_intact()
    return np.concatenate(rows), np.concatenate(columns)


def _require_finite(trial: VectorTrial) -> None:
    bad = np.flatnonzero(~np.isfinite(trial.values))
    if bad.size:
        raise ValueError(
            f"F(x) is {trial.values[bad[0]]} at position {bad[0]} of its values; need finite values, of which a change "
            f"can be seen: use another x."
        )


def _responses(
    evaluator: VectorEvaluator, objective: VectorObjective, trial: VectorTrial, part: Index
) -> NDArray[np.bool_]:
    """Which values of F change with each of these coordinates."""
    responds = np.zeros((part.size, trial.size), dtype=bool)
    tried = np.zeros(part.size, dtype=bool)
    for share in _STEPS:
        tried |= _try(evaluator, trial, part, share, responds)
    failed = np.flatnonzero(~tried)
    if failed.size:
        closer, again = np.zeros((failed.size, trial.size), dtype=bool), np.zeros(failed.size, dtype=bool)
        for share in _CLOSER:
            again |= _try(evaluator, trial, part[failed], share, closer)
        responds[failed] = closer
        if not again.all():
            _replay(objective, evaluator.point, trial.size, int(part[failed[~again][0]]))
    return responds


def _try(
    evaluator: VectorEvaluator, trial: VectorTrial, part: Index, share: float, responds: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Note what changes; at which of the coordinates F did not raise. A value that becomes NaN has changed."""
    values, status = evaluator.group_displaced(single_columns(part), _moved(evaluator.point, part, share))
    evaluator.budget.let_out()  # Ctrl-C
    good = status == 0
    responds[good] |= values[good] != trial.values
    return np.asarray(good)


def _moved(point: Point, part: Index, share: float) -> Floats:
    size = np.abs(point.flat.astype(np.float64))
    typical = float(np.median(size[size > 0.0])) if size.any() else 1.0
    own = np.where(size[part] > 0.0, size[part], typical)
    return np.asarray(point.flat[part] + share * own, dtype=np.float64)


def _replay(objective: VectorObjective, point: Point, size: int, i: int) -> None:
    place = point.flat.copy()
    place[i] = _moved(point, np.array([i]), _CLOSER[0])[0]
    objective.replay_size(place, size, f"x with {point.name(i)} = {place[i]}")
