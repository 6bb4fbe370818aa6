"""``fastgrad check``: component by component."""

import argparse
from typing import Any

import fastgrad
from fastgrad._commands.directional import draw_directional
from fastgrad._commands.shared import add_command, add_plot, add_seed, add_threads, drawing_to, problem
from fastgrad._terminal import Progress
from fastgrad._user_files import UnusableInput

_EXAMPLES = """\
examples:
  fastgrad check model.py:f model.py:gradient --at 1,2,3
  fastgrad check model.py:f model.py:gradient --at=-1,2 --epsilon 1e-6
  fastgrad check model.py:f gradient.npy --at x.npy --args data.npz --json
  fastgrad check model.py:f grad.npz --at parameters.npz --html report.html
  fastgrad check model.py:f g.npy --at x.npy --time-limit 60 --checkpoint log
  fastgrad check package.module:f package.module:gradient --at x.npy
  fastgrad check model.py:f g.npy --at large.npy --directional
"""


def add(commands: Any) -> None:
    """Declare the command."""
    group = add_command(
        commands,
        "check",
        _run,
        help="compare a gradient with central differences, component by component",
        description="Compare an analytical gradient with central differences, component by component.",
        examples=_EXAMPLES,
    )
    option = group.add_argument
    option("--epsilon", type=float, metavar="E", help="step of the differences, in units of x")
    option("--rtol", type=float, metavar="R", help="relative difference of a component that counts as equal")
    option("--sample", type=int, metavar="K", help="check K components, drawn at random")
    add_seed(group, "what is drawn at random")
    option("--time-limit", type=float, metavar="T", help="seconds after which no new work is begun")
    option("--max-evaluations", type=int, metavar="N", help="limit for all evaluations of f")
    option("--checkpoint", metavar="FILE", help="keep finished work here, and go on from it")
    option("--directional", action="store_true", help="for large n: along random directions, 130 evaluations for any n")
    add_threads(group)
    add_plot(group, "the error of each component")


_PASSED_ON = ("rtol", "sample", "rng", "time_limit", "max_evaluations", "checkpoint")


def _run(options: argparse.Namespace) -> fastgrad.GradientCheck | fastgrad.DirectionalCheck:
    if options.directional:
        return _run_directional(options)
    draw = drawing_to(options.plot, _draw)
    f, gradient, x, args = problem(options)
    given = {name: getattr(options, name) for name in _PASSED_ON if getattr(options, name) is not None}
    with Progress() as progress:
        if progress.is_shown:
            given["progress"] = progress
        result = fastgrad.check_gradient(f, x, gradient, options.epsilon, args=args, threads=options.threads, **given)
    draw(result)
    return result


_PASSED_TO_DIRECTIONAL = ("rtol", "rng", "time_limit", "max_evaluations")
_COMPONENTWISE = {"epsilon": "--epsilon", "sample": "--sample", "checkpoint": "--checkpoint"}


def _run_directional(options: argparse.Namespace) -> fastgrad.DirectionalCheck:
    unused = [flag for name, flag in _COMPONENTWISE.items() if getattr(options, name) is not None]
    if unused:
        raise UnusableInput(
            f"{unused[0]} is given together with --directional; it belongs to the check of single components: leave "
            f"one of them out."
        )
    draw = drawing_to(options.plot, draw_directional)
    f, gradient, x, args = problem(options)
    given = {name: getattr(options, name) for name in _PASSED_TO_DIRECTIONAL if getattr(options, name) is not None}
    result = fastgrad.check_directional(f, x, gradient, args=args, threads=options.threads, **given)
    draw(result)
    return result


def _draw(result: fastgrad.GradientCheck, ax: Any) -> None:
    from fastgrad.plotting import plot_error

    plot_error(result, ax)
