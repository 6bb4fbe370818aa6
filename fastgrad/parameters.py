"""Objectives that take their parameters in pieces: named arrays out of the flat x, inside compiled code."""

import keyword
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numba
from numba.core.dispatcher import Dispatcher

from fastgrad._causes.places import Block
from fastgrad._inputs import point_array
from fastgrad._nested import Branch


def unpacker(like: Any) -> Callable[..., Any]:
    """A compiled function that turns the flat vector of nested parameters into its pieces, without copying.

    Parameters
    ----------
    like : dict, named tuple, or list of them
        The parameters: named arrays, nested as deep as wanted. Only names and shapes matter.

    Returns
    -------
    function compiled with numba.njit
        ``unpack(flat)``: a named tuple with an array for each array and a number for each number; a dict becomes a
        named tuple, a list a tuple. The arrays are views of `flat`, so that filling them fills it.

    Raises
    ------
    TypeError
        If `like` is not nested.
    ValueError
        If a name cannot be an attribute.

    Examples
    --------
    A gradient that is filled piece by piece:

    >>> import numba, numpy as np, fastgrad
    >>> parameters = {"slope": np.array([1.0, -2.0]), "intercept": 0.5}
    >>> unpack = fastgrad.unpacker(parameters)
    >>> @numba.njit
    ... def gradient(x, A, y):
    ...     p, total = unpack(x), np.zeros_like(x)
    ...     residual = A @ p.slope + p.intercept - y
    ...     unpack(total).slope[:] = A.T @ residual
    ...     total[2] = residual.sum()
    ...     return total
    >>> gradient(np.array([1.0, -2.0, 0.5]), np.eye(2), np.ones(2))
    array([ 0.5, -2.5, -2. ])
    """
    structure = point_array(like).structure
    if structure is None:
        raise TypeError(f"like is a {type(like).__name__}; need named arrays: a dict, or a named tuple.")
    classes: dict[str, Any] = {}
    # Numba compiles constant slices of one expression fast; a loop over pieces of different types it cannot.
    source = f"def unpack(x):\n    return {_expression(structure, classes)}\n"
    exec(compile(source, "<fastgrad.unpacker>", "exec"), classes)
    return numba.njit(classes["unpack"])  # type: ignore[no-any-return]


def pieces(f: Callable[..., Any], like: Any) -> Callable[..., Any]:
    """A function of the flat x that calls f with its pieces: for an objective, or a gradient.

    Parameters
    ----------
    f : function compiled with numba.njit, or a Python function
        ``f(p, *args)``, where p is what `unpacker` makes: ``p.W1``, ``p.layers[0].bias``. A gradient returns one
        vector, or arrays under the same names, or a tuple of them in the same order.
    like : dict, named tuple, or list of them
        The parameters: named arrays, nested as deep as wanted.

    Returns
    -------
    function
        ``(x, *args)``, compiled if f is.

    Raises
    ------
    TypeError, ValueError
        If f is no function, or as for `unpacker`.

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def loss(p, A, y):
    ...     return 0.5 * ((A @ p.slope + p.intercept - y) ** 2).sum()
    >>> @numba.njit
    ... def gradient(p, A, y):
    ...     residual = A @ p.slope + p.intercept - y
    ...     return A.T @ residual, residual.sum()
    >>> parameters = {"slope": np.array([1.0, -2.0]), "intercept": 0.5}
    >>> f, g = (fastgrad.pieces(function, like=parameters) for function in (loss, gradient))
    >>> result = fastgrad.check_gradient(f, parameters, g, args=(np.eye(2), np.ones(2)))
    >>> result.verdict, result.numerical_grad["slope"].round(6)
    (<Verdict.MATCH: 'match'>, array([ 0.5, -2.5]))
    """
    unpack = unpacker(like)
    if isinstance(f, Dispatcher):
        return numba.njit(lambda x, *args: f(unpack(x), *args))  # type: ignore[no-any-return]
    if not callable(f) or not hasattr(f, "__name__"):
        raise TypeError(
            f"f is a {type(f).__name__}; need a function compiled with @numba.njit, or a Python function: for others "
            f"write python_objective(pieces(f, like=x))."
        )
    in_python = getattr(unpack, "py_func", unpack)
    return lambda x, *args: f(in_python(x), *args)


def _expression(branch: Branch, classes: dict[str, Any]) -> str:
    """Source text that makes a branch from the flat vector x; the classes it needs are added to `classes`."""
    parts = [_expression(p, classes) if isinstance(p, Branch) else _slice(p) for p in branch.parts]
    if branch.keys is None:
        return f"({', '.join(parts)},)"
    name = f"Parameters{len(classes)}"
    classes[name] = _named_tuple(branch)
    return f"{name}({', '.join(parts)})"


def _slice(block: Block) -> str:
    if not block.shape:
        return f"x[{block.start}]"
    flat = f"x[{block.start}:{block.stop}]"
    return flat if len(block.shape) == 1 else f"{flat}.reshape({block.shape})"


def _named_tuple(branch: Branch) -> Any:
    """The user's own class, or one for the names of a dict."""
    if branch.kind is not dict:
        return branch.kind
    assert branch.keys is not None
    for key in branch.keys:
        if not key.isidentifier() or keyword.iskeyword(key) or key.startswith("_"):
            raise ValueError(f"{key!r} cannot be an attribute, p.{key}; need another name, or an f that takes x flat.")
    return namedtuple("Parameters", branch.keys)
