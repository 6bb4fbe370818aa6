"""``fastgrad sweep``: the error against epsilon."""

import argparse
from typing import Any

import fastgrad
from fastgrad._commands.shared import add_command, add_plot, add_threads, drawing_to, problem

_EXAMPLES = """\
examples:
  fastgrad sweep model.py:f model.py:gradient --at 1,2,3
  fastgrad sweep model.py:f model.py:gradient --at x.npy --plot curve.png
  fastgrad sweep model.py:f gradient.npy --at x.npy --dtype float32 --json
"""


def add(commands: Any) -> None:
    """Declare the command."""
    group = add_command(
        commands,
        "sweep",
        _run,
        help="show how the relative error depends on epsilon, and which epsilon is best",
        description="Show how the relative error depends on epsilon: rounding, truncation, and the best epsilon. "
        "The verdict is that of the component-wise check.",
        examples=_EXAMPLES,
    )
    add_threads(group)
    add_plot(group, "the curve")


def _run(options: argparse.Namespace) -> fastgrad.EpsilonSweep:
    draw = drawing_to(options.plot, _draw)
    f, gradient, x, args = problem(options)
    result = fastgrad.sweep_epsilon(f, x, gradient, args=args, threads=options.threads)
    draw(result)
    return result


def _draw(result: fastgrad.EpsilonSweep, ax: Any) -> None:
    from fastgrad.plotting import plot_sweep

    plot_sweep(result, ax)
