"""The parser of the whole command line."""

import argparse

import fastgrad
from fastgrad._commands import check, directional, jacobian, sweep, taylor
from fastgrad._commands.shared import EPILOG, Parser


def make_parser() -> argparse.ArgumentParser:
    """The parser; ``options.run(options)`` carries a request out."""
    parser = Parser(
        prog="fastgrad",
        description="Is this gradient right? Checks gradients of objectives compiled with Numba.",
        epilog=f"'fastgrad COMMAND --help' shows the options of a command, with examples.\n\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastgrad {fastgrad.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check.add(commands)
    sweep.add(commands)
    directional.add_directional(commands)
    directional.add_line_integral(commands)
    taylor.add(commands)
    jacobian.add_jacobian(commands)
    jacobian.add_hessian(commands)
    return parser
