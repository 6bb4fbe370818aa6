"""The command line: ``fastgrad check FILE.py:f FILE.py:gradient --at x.npy``.

Standard output holds the report and nothing else: what the user's code prints goes to standard error.
Exit codes: 0 match, 1 mismatch, 2 inconclusive or unusable input, 130 interrupted.
"""

import argparse
import contextlib
import json
import math
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import fastgrad
from fastgrad._user_files import UnusableInput, array_in, arrays_in, object_named, point_in

_EXIT_CODES = {fastgrad.Verdict.MATCH: 0, fastgrad.Verdict.MISMATCH: 1, fastgrad.Verdict.INCONCLUSIVE: 2}
_UNUSABLE, _INTERRUPTED = 2, 130
_LONGEST_MESSAGE = 800  # characters; a compiler's message can fill a screen


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the name of the program; default those of this process.

    Returns
    -------
    int
        The exit code: 0 match, 1 mismatch, 2 inconclusive or unusable input, 130 interrupted.
    """
    arguments = _join_negative_lists(sys.argv[1:] if argv is None else argv)
    try:
        return _run(_parser().parse_args(arguments))
    except KeyboardInterrupt:
        return _stop("interrupted", _INTERRUPTED)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _stop(f"error: {_sentence(error)}", _UNUSABLE)


def _run(options: argparse.Namespace) -> int:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result = options.run(options)
    except KeyboardInterrupt as interruption:
        if hasattr(interruption, "result"):  # what was found before
            _report(options, interruption.result)
        raise
    _report(options, result)
    return _EXIT_CODES[result.verdict]


def _report(options: argparse.Namespace, result: Any) -> None:
    print(_as_json(options, result) if options.json else result)


def _stop(message: str, code: int) -> int:
    print(f"fastgrad: {message}", file=sys.stderr)
    return code


def _sentence(error: Exception) -> str:
    """The message of an exception in one line, with its notes, and with its kind unless fastgrad wrote it."""
    notes = getattr(error, "__notes__", [])
    message = textwrap.shorten(str(error), _LONGEST_MESSAGE, placeholder=" ... (--debug shows all)")
    if notes or not isinstance(error, TypeError | ValueError | UnusableInput):
        message = f"{type(error).__name__}: {message}".removesuffix(": ")
    return " ".join([message, *(f"({' '.join(note.split())})" for note in notes)])


def _join_negative_lists(arguments: Sequence[str]) -> list[str]:
    """``--at -1,2`` as ``--at=-1,2``: argparse takes a list that starts with a minus sign for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--at" and re.match(r"-[\d.]", argument):
            joined[-1] += "=" + argument
        else:
            joined.append(argument)
    return joined


def _as_json(options: argparse.Namespace, result: Any) -> str:
    named = {"schema": options.schema, "version": fastgrad.__version__}
    asked = {"f": options.f, "gradient": options.gradient}
    return json.dumps(_finite_or_null({**named, **asked, **result.to_dict()}), allow_nan=False)


def _finite_or_null(value: Any) -> Any:
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(value, dict):
        return {key: _finite_or_null(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_finite_or_null(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- commands: one function that declares its options, one that runs it and returns the result -------------------


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints end like all others: one line on standard error, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UnusableInput(f"{message}; '{self.prog} --help' shows what is needed.")


_EPILOG = """\
exit codes: 0 match, 1 mismatch, 2 inconclusive or unusable input, 130 interrupted

The report goes to standard output, errors and whatever FILE.py prints to standard error."""

_CHECK_EXAMPLES = """\
examples:
  fastgrad check model.py:f model.py:gradient --at 1,2,3
  fastgrad check model.py:f model.py:gradient --at=-1,2 --epsilon 1e-6
  fastgrad check model.py:f gradient.npy --at x.npy --args data.npz --json
  fastgrad check package.module:f package.module:gradient --at x.npy --dtype float32

"""


def _parser() -> argparse.ArgumentParser:
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


def _add_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="compare a gradient with central differences, component by component",
        description="Compare an analytical gradient with central differences, component by component.",
        epilog=_CHECK_EXAMPLES + _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_problem(parser)
    parser.add_argument("--epsilon", type=float, metavar="E", help="step of the differences, in units of x")
    parser.set_defaults(run=_check, schema="fastgrad.check/1")


def _check(options: argparse.Namespace) -> fastgrad.GradientCheck:
    f, gradient, x, args = _problem(options)
    return fastgrad.check_gradient(f, x, gradient, options.epsilon, args=args, threads=options.threads)


_SWEEP_EXAMPLES = """\
examples:
  fastgrad sweep model.py:f model.py:gradient --at 1,2,3
  fastgrad sweep model.py:f model.py:gradient --at x.npy --args data.npz --plot curve.png
  fastgrad sweep model.py:f gradient.npy --at x.npy --dtype float32 --json

"""


def _add_sweep(commands: Any) -> None:
    parser = commands.add_parser(
        "sweep",
        help="show how the relative error depends on epsilon, and which epsilon is best",
        description="Show how the relative error depends on epsilon: rounding, truncation, and the best epsilon. "
        "The verdict is that of the component-wise check.",
        epilog=_SWEEP_EXAMPLES + _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_problem(parser)
    parser.add_argument("--plot", metavar="FILE.png", help="draw the curve too (needs matplotlib); also .svg, .pdf")
    parser.set_defaults(run=_sweep, schema="fastgrad.sweep/1")


def _sweep(options: argparse.Namespace) -> fastgrad.EpsilonSweep:
    draw = None if options.plot is None else _drawing_to(options.plot)
    f, gradient, x, args = _problem(options)
    result = fastgrad.sweep_epsilon(f, x, gradient, args=args, threads=options.threads)
    if draw is not None:
        draw(result)
    return result


_DIRECTIONAL_EXAMPLES = """\
examples:
  fastgrad directional model.py:f model.py:gradient --at x.npy
  fastgrad directional model.py:f gradient.npy --at x.npy --seed 1 --no-locate --json

"""


def _add_directional(commands: Any) -> None:
    parser = commands.add_parser(
        "directional",
        help="for large n: check along random directions, then locate the wrong components",
        description="For large n: compare a gradient with differences along random directions, about 130 evaluations "
        "whatever n; then locate the components that are wrong.",
        epilog=_DIRECTIONAL_EXAMPLES + _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_problem(parser)
    parser.add_argument("--directions", type=int, default=8, metavar="K", help="random directions (default: 8)")
    parser.add_argument("--seed", type=int, metavar="S", help="of the directions (default: 0)")
    parser.add_argument("--max-evaluations", type=int, metavar="N", help="limit for all evaluations of f")
    parser.add_argument("--no-locate", action="store_true", help="stop at the verdict")
    parser.set_defaults(run=_directional, schema="fastgrad.directional/1")


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


# --- what all commands ask for -----------------------------------------------------------------------------------


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
