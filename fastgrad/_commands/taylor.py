"""``fastgrad taylor``: how fast the remainder falls."""

import argparse
from typing import Any

import fastgrad
from fastgrad._commands.shared import add_command, add_plot, add_seed, add_threads, drawing_to, problem

_EXAMPLES = """\
examples:
  fastgrad taylor model.py:f model.py:gradient --at 1,2,3
  fastgrad taylor model.py:f gradient.npy --at x.npy --seed 1 --plot slopes.png
"""


def add(commands: Any) -> None:
    """Declare the command."""
    group = add_command(
        commands,
        "taylor",
        _run,
        help="the Taylor test: the order at which the remainder falls along random directions",
        description="The Taylor test: f(x + h v) - f(x) - h g.v falls with h^2 for a right gradient, and with h for "
        "a wrong one. The verdict rests on the slope that is left, with its error bar.",
        examples=_EXAMPLES,
    )
    group.add_argument("--directions", type=int, default=3, metavar="K", help="random directions (default: 3)")
    add_seed(group, "the directions")
    group.add_argument("--rtol", type=float, metavar="R", help="error of the slope that does not matter")
    add_threads(group)
    add_plot(group, "the remainders")


def _run(options: argparse.Namespace) -> fastgrad.TaylorTest:
    draw = drawing_to(options.plot, _draw)
    f, gradient, x, args = problem(options)
    result = fastgrad.taylor_test(
        f,
        x,
        gradient,
        args=args,
        directions=options.directions,
        rng=options.rng,
        rtol=options.rtol,
        threads=options.threads,
    )
    draw(result)
    return result


def _draw(result: fastgrad.TaylorTest, ax: Any) -> None:
    from fastgrad.plotting import plot_taylor

    plot_taylor(result, ax)
