"""What all commands share: the question, and the forms of the answer."""

import argparse
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fastgrad._user_files import UnusableInput, array_in, arrays_in, matrix_or_arrays_in, object_named, point_in

EPILOG = """\
exit codes:
  0 match, 1 mismatch, 2 inconclusive or unusable input, 130 interrupted

The report goes to standard output, errors and whatever FILE.py prints to
standard error. On a terminal the verdict is coloured, unless NO_COLOR is set,
and a long check shows its progress."""


class Parser(argparse.ArgumentParser):
    """argparse whose complaints end like all others: one line on standard error, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UnusableInput(f"{message}; '{self.prog} --help' shows what is needed.")


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], Any],
    *,
    help: str,
    description: str,
    examples: str,
    problem: "Problem | None" = None,
) -> Any:
    """A command that asks for f, a derivative and x; its caller adds options to the group returned."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=textwrap.fill(description, 80),
        epilog=f"{examples}\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    _add_problem(parser, problem or Problem())
    own = parser.add_argument_group("the check")
    _add_answer(parser)
    parser.set_defaults(run=run, title=f"fastgrad {name}", problem=problem or Problem())
    return own


@dataclass(frozen=True)
class Problem:
    """What the function and its derivative are called, and what they are."""

    function: str = "f"
    meaning: str = "the objective"
    derivative: str = "gradient"


def _add_problem(parser: argparse.ArgumentParser, problem: Problem) -> None:
    add = parser.add_argument_group("the question").add_argument
    name = problem.function
    add("f", metavar=f"FILE.py:{name}", help=f"{problem.meaning}, compiled with numba.njit; or package.module:{name}")
    add(
        "gradient",
        metavar=f"FILE.py:{problem.derivative}",
        help="a function (x, *args) or array; or a .npy or .npz file",
    )
    add(
        "--at", required=True, metavar="X",
        help="x: numbers such as 1,2,3, a .npy file of any shape, or a .npz file of named arrays",
    )  # fmt: skip
    add("--args", metavar="FILE.npz", help="arguments after x, in the order saved; 0-d arrays become numbers")
    add("--dtype", choices=("float32", "float64"), help="convert x to this first (default: as it comes)")


def _add_answer(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the answer").add_argument
    add("--json", action="store_true", help="print one JSON object; NaN and infinities become null")
    add("--html", metavar="FILE.html", type=_html_file, help="write a page with tables and pictures too")
    add("--debug", action="store_true", help="show the traceback of an error")
    add("-h", "--help", action="help", help="show this help and exit")


def add_threads(group: Any, what: str = "evaluate f", default: int | None = None) -> None:
    """For checks that run on several threads; None is all of them."""
    group.add_argument(
        "--threads", type=int, default=default, metavar="N", help=f"threads that {what} (default: {default or 'all'})"
    )


def add_seed(group: Any, what: str) -> None:
    """For checks that draw at random; the same seed draws the same."""
    group.add_argument("--seed", dest="rng", type=_seed, default=0, metavar="S", help=f"of {what} (default: 0)")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise UnusableInput(f"--seed is {text}; need a whole number from 0.")
    return int(text)


def problem(options: argparse.Namespace) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    """f, the derivative, x and the arguments, out of the user's files."""
    f = object_named(options.f, role=options.problem.function)
    gradient = _derivative(options.gradient, options.problem.derivative)
    return f, gradient, point_in(options.at, options.dtype), arrays_in(options.args) if options.args else ()


def _derivative(target: str, role: str) -> Any:
    if target.endswith(".npy"):
        return array_in(target, role=role)
    if target.endswith(".npz"):
        return matrix_or_arrays_in(target, role=role)
    return object_named(target, role=role, otherwise=", or a .npy or .npz file")


# --- files to be written: whether they can is found out before f is evaluated --------------------------------------


def _html_file(path: str) -> str:
    if Path(path).suffix not in (".html", ".htm"):
        raise UnusableInput(f"--html is {path!r}; need a file name that ends in .html.")
    _require_folder("--html", path)
    return path


def _require_folder(option: str, path: str) -> None:
    if not Path(path).parent.is_dir():
        folder = str(Path(path).parent)
        raise UnusableInput(f"{option} is {path!r}, and there is no folder {folder!r}; create it first.")


def add_plot(group: Any, what: str) -> None:
    """For results that have a picture."""
    group.add_argument("--plot", metavar="FILE.png", help=f"draw {what} too (needs matplotlib); also .svg, .pdf")


def drawing_to(path: str | None, draw: Callable[..., Any]) -> Callable[[Any], None]:
    """What draws a result into a file; without a path, nothing."""
    if path is None:
        return lambda result: None
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnusableInput("--plot needs matplotlib, which is missing: pip install matplotlib.") from error
    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    known = sorted(figure.canvas.get_supported_filetypes())
    if Path(path).suffix.removeprefix(".") not in known:
        raise UnusableInput(f"--plot is {path!r}; need a file name that ends in one of .{', .'.join(known)}.")
    _require_folder("--plot", path)

    def write(result: Any) -> None:
        draw(result, figure.subplots())
        figure.savefig(path, dpi=150)

    return write
