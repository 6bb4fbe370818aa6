"""The commands of the command line: for each, a function that declares its options and one that runs it."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import fastgrad
from fastgrad._user_files import UnusableInput, array_in, arrays_in, object_named, point_in

_EPILOG = """\
exit codes: 0 match, 1 mismatch, 2 inconclusive or unusable input, 130 interrupted

The report goes to standard output, errors and whatever FILE.py prints to standard error."""


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints end like all others: one line on standard error, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UnusableInput(f"{message}; '{self.prog} --help' shows what is needed.")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; ``options.run(options)`` carries a request out."""
    parser = _Parser(
        prog="fastgrad",
        description="Is this gradient right? Checks gradients of objectives compiled with Numba.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastgrad {fastgrad.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_check(commands)
    _add_sweep(commands)
    _add_directional(commands)
    return parser


# --- what all commands share -------------------------------------------------------------------------------------


def _add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], Any], *, help: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """A command that asks for f, a gradient and x; its caller adds what it alone needs."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=f"{examples}\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_problem(parser)
    parser.set_defaults(run=run, schema=f"fastgrad.{name}/1")
    return parser


def _add_problem(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("f", metavar="FILE.py:f", help="the objective, compiled with numba.njit; or package.module:f")
    add("gradient", metavar="FILE.py:gradient", help="a function (x, *args) or array; or a .npy file")
    add("--at", required=True, metavar="X", help="x: a .npy file of any shape, or numbers such as 1,2,3")
    add("--args", metavar="FILE.npz", help="arguments after x, in the order saved; 0-d arrays become numbers")
    add("--dtype", choices=("float32", "float64"), help="convert x to this first (default: as it comes)")
    add("--threads", type=int, metavar="N", help="threads that evaluate f (default: all)")
    add("--json", action="store_true", help="print one JSON object; NaN and infinities become null")
    add("--debug", action="store_true", help="show the traceback of an error")


def _problem(options: argparse.Namespace) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    f = object_named(options.f, role="f")
    read_gradient = array_in if options.gradient.endswith(".npy") else object_named
    gradient = read_gradient(options.gradient, role="gradient")
    return f, gradient, point_in(options.at, options.dtype), arrays_in(options.args) if options.args else ()


# --- check -------------------------------------------------------------------------------------------------------

_CHECK_EXAMPLES = """\
examples:
  fastgrad check model.py:f model.py:gradient --at 1,2,3
  fastgrad check model.py:f model.py:gradient --at=-1,2 --epsilon 1e-6
  fastgrad check model.py:f gradient.npy --at x.npy --args data.npz --json
  fastgrad check package.module:f package.module:gradient --at x.npy --dtype float32
"""


def _add_check(commands: Any) -> None:
    parser = _add_command(
        commands,
        "check",
        _check,
        help="compare a gradient with central differences, component by component",
        description="Compare an analytical gradient with central differences, component by component.",
        examples=_CHECK_EXAMPLES,
    )
    parser.add_argument("--epsilon", type=float, metavar="E", help="step of the differences, in units of x")


def _check(options: argparse.Namespace) -> fastgrad.GradientCheck:
    f, gradient, x, args = _problem(options)
    return fastgrad.check_gradient(f, x, gradient, options.epsilon, args=args, threads=options.threads)


# --- sweep -------------------------------------------------------------------------------------------------------

_SWEEP_EXAMPLES = """\
examples:
  fastgrad sweep model.py:f model.py:gradient --at 1,2,3
  fastgrad sweep model.py:f model.py:gradient --at x.npy --args data.npz --plot curve.png
  fastgrad sweep model.py:f gradient.npy --at x.npy --dtype float32 --json
"""


def _add_sweep(commands: Any) -> None:
    parser = _add_command(
        commands,
        "sweep",
        _sweep,
        help="show how the relative error depends on epsilon, and which epsilon is best",
        description="Show how the relative error depends on epsilon: rounding, truncation, and the best epsilon. "
        "The verdict is that of the component-wise check.",
        examples=_SWEEP_EXAMPLES,
    )
    parser.add_argument("--plot", metavar="FILE.png", help="draw the curve too (needs matplotlib); also .svg, .pdf")


def _sweep(options: argparse.Namespace) -> fastgrad.EpsilonSweep:
    draw = None if options.plot is None else _drawing_to(options.plot)
    f, gradient, x, args = _problem(options)
    result = fastgrad.sweep_epsilon(f, x, gradient, args=args, threads=options.threads)
    if draw is not None:
        draw(result)
    return result


def _drawing_to(path: str) -> Callable[[fastgrad.EpsilonSweep], None]:
    """What draws into a file; whether it can is found out here, before f is evaluated."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnusableInput('--plot needs matplotlib, which is missing: pip install "fastgrad[plot]".') from error
    from fastgrad.plotting import plot_sweep

    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    known = sorted(figure.canvas.get_supported_filetypes())
    if Path(path).suffix.removeprefix(".") not in known:
        raise UnusableInput(f"--plot is {path!r}; need a file name that ends in one of .{', .'.join(known)}.")
    if not Path(path).parent.is_dir():
        raise UnusableInput(f"--plot is {path!r}, and there is no folder {str(Path(path).parent)!r}; create it first.")

    def draw(result: fastgrad.EpsilonSweep) -> None:
        plot_sweep(result, figure.subplots())
        figure.savefig(path, dpi=150)

    return draw


# --- directional -------------------------------------------------------------------------------------------------

_DIRECTIONAL_EXAMPLES = """\
examples:
  fastgrad directional model.py:f model.py:gradient --at x.npy
  fastgrad directional model.py:f gradient.npy --at x.npy --seed 1 --no-locate --json
"""


def _add_directional(commands: Any) -> None:
    parser = _add_command(
        commands,
        "directional",
        _directional,
        help="for large n: check along random directions, then locate the wrong components",
        description="For large n: compare a gradient with differences along random directions, about 130 evaluations "
        "whatever n; then locate the components that are wrong.",
        examples=_DIRECTIONAL_EXAMPLES,
    )
    parser.add_argument("--directions", type=int, default=8, metavar="K", help="random directions (default: 8)")
    parser.add_argument("--seed", type=int, metavar="S", help="of the directions (default: 0)")
    parser.add_argument("--max-evaluations", type=int, metavar="N", help="limit for all evaluations of f")
    parser.add_argument("--no-locate", action="store_true", help="stop at the verdict")


def _directional(options: argparse.Namespace) -> fastgrad.DirectionalCheck:
    f, gradient, x, args = _problem(options)
    return fastgrad.check_directional(
        f,
        x,
        gradient,
        args=args,
        directions=options.directions,
        rng=options.seed,
        localise=not options.no_locate,
        max_evaluations=options.max_evaluations,
        threads=options.threads,
    )
