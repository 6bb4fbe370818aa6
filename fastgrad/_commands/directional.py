"""``fastgrad directional`` and ``fastgrad line-integral``: for large n."""

import argparse
from typing import Any

import fastgrad
from fastgrad._commands.shared import add_command, add_plot, add_seed, add_threads, drawing_to, problem

_DIRECTIONAL_EXAMPLES = """\
examples:
  fastgrad directional model.py:f model.py:gradient --at x.npy
  fastgrad directional model.py:f gradient.npy --at x.npy --no-locate --json
  fastgrad directional model.py:f grad.npz --at parameters.npz --plot where.png
"""

_LINE_EXAMPLES = """\
examples:
  fastgrad line-integral model.py:f model.py:gradient --at x.npy
  fastgrad line-integral model.py:f model.py:gradient --at x.npy --segments 8
"""


def add_directional(commands: Any) -> None:
    """Declare the command."""
    group = add_command(
        commands,
        "directional",
        _run_directional,
        help="for large n: check along random directions, then locate the wrong components",
        description="For large n: compare a gradient with differences along random directions, about 130 evaluations "
        "whatever n; then locate the components that are wrong.",
        examples=_DIRECTIONAL_EXAMPLES,
    )
    group.add_argument("--directions", type=int, default=8, metavar="K", help="random directions (default: 8)")
    add_seed(group, "the directions")
    group.add_argument(
        "--rtol", type=float, default=1e-6, metavar="R", help="relative difference that does not matter (default: 1e-6)"
    )
    group.add_argument("--max-evaluations", type=int, metavar="N", help="limit for all evaluations of f")
    group.add_argument("--time-limit", type=float, metavar="T", help="seconds after which no new work is begun")
    group.add_argument("--no-locate", action="store_true", help="stop at the verdict")
    add_threads(group)
    add_plot(group, "where the wrong components are")


def _run_directional(options: argparse.Namespace) -> fastgrad.DirectionalCheck:
    draw = drawing_to(options.plot, draw_directional)
    f, gradient, x, args = problem(options)
    result = fastgrad.check_directional(
        f,
        x,
        gradient,
        args=args,
        directions=options.directions,
        rng=options.rng,
        rtol=options.rtol,
        localise=not options.no_locate,
        max_evaluations=options.max_evaluations,
        time_limit=options.time_limit,
        threads=options.threads,
    )
    draw(result)
    return result


def draw_directional(result: fastgrad.DirectionalCheck, ax: Any) -> None:
    """Where the wrong components are."""
    from fastgrad.plotting import plot_localisation

    plot_localisation(result, ax)


def add_line_integral(commands: Any) -> None:
    """Declare the command."""
    group = add_command(
        commands,
        "line-integral",
        _run_line_integral,
        help="check without a small step: f(b) - f(a) against the integral of the gradient",
        description="Compare f(b) - f(a) with the integral of the gradient along segments through x. Nothing is "
        "divided by a small step. The gradient has to be a function.",
        examples=_LINE_EXAMPLES,
    )
    group.add_argument("--segments", type=int, default=4, metavar="K", help="random segments (default: 4)")
    add_seed(group, "the segments")
    group.add_argument(
        "--rtol",
        type=float,
        default=1e-10,
        metavar="R",
        help="relative difference that does not matter (default: 1e-10)",
    )
    group.add_argument("--no-locate", action="store_true", help="stop at the verdict")
    add_threads(group, "integrate segments side by side", 1)


def _run_line_integral(options: argparse.Namespace) -> fastgrad.LineIntegralCheck:
    f, gradient, x, args = problem(options)
    return fastgrad.check_line_integral(
        f,
        x,
        gradient,
        args=args,
        segments=options.segments,
        rng=options.rng,
        rtol=options.rtol,
        localise=not options.no_locate,
        threads=options.threads,
    )
