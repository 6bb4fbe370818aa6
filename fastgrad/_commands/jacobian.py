"""``fastgrad jacobian`` and ``fastgrad hessian``: entry by entry."""

import argparse
from typing import Any

import fastgrad
from fastgrad._commands.shared import Problem, add_command, add_plot, add_threads, drawing_to, problem

_JACOBIAN_EXAMPLES = """\
examples:
  fastgrad jacobian model.py:residual model.py:jacobian --at 1,2,3
  fastgrad jacobian model.py:residual jacobian.npy --at x.npy --plot entries.png
  fastgrad jacobian model.py:residual sparse.npz --at x.npy
"""

_HESSIAN_EXAMPLES = """\
examples:
  fastgrad hessian model.py:gradient model.py:hessian --at 1,2,3
  fastgrad hessian model.py:gradient hessian.npy --at x.npy --json
"""


def add_jacobian(commands: Any) -> None:
    """Declare the command."""
    group = add_command(
        commands,
        "jacobian",
        _run_jacobian,
        help="compare a Jacobian with central differences, entry by entry",
        description="Compare the Jacobian of a vector function F with central differences, entry by entry; a sparse "
        "one (returned by a function, or saved by scipy.sparse.save_npz) by groups of columns that share no row.",
        examples=_JACOBIAN_EXAMPLES,
        problem=Problem("F", "the vector function", "jacobian"),
    )
    _add_options(group)


def add_hessian(commands: Any) -> None:
    """Declare the command."""
    group = add_command(
        commands,
        "hessian",
        _run_hessian,
        help="compare a Hessian with central differences of the gradient",
        description="Compare a Hessian with central differences of the gradient, which is taken to be right, entry "
        "by entry; and see that it is symmetric.",
        examples=_HESSIAN_EXAMPLES,
        problem=Problem("gradient", "the gradient", "hessian"),
    )
    _add_options(group)


def _add_options(group: Any) -> None:
    group.add_argument("--epsilon", type=float, metavar="E", help="step of the differences, in units of x")
    group.add_argument("--rtol", type=float, metavar="R", help="relative difference of an entry that counts as equal")
    add_threads(group)
    add_plot(group, "the error of each entry")


def _run_jacobian(options: argparse.Namespace) -> Any:
    return _run(options, fastgrad.check_jacobian)


def _run_hessian(options: argparse.Namespace) -> Any:
    return _run(options, fastgrad.check_hessian)


def _run(options: argparse.Namespace, check: Any) -> Any:
    draw = drawing_to(options.plot, _draw)
    function, derivative, x, args = problem(options)
    result = check(function, x, derivative, options.epsilon, args=args, rtol=options.rtol, threads=options.threads)
    draw(result)
    return result


def _draw(result: Any, ax: Any) -> None:
    from fastgrad.plotting import plot_error

    plot_error(result, ax)
