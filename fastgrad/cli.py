"""The command line: ``fastgrad check FILE.py:f FILE.py:gradient --at x.npy``.

Standard output holds the report and nothing else: what the user's code prints goes to standard error. With --json that
is one JSON object in any case, an error included.
Exit codes: 0 match, 1 mismatch, 2 inconclusive or unusable input, 130 interrupted.
"""

import argparse
import contextlib
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastgrad
from fastgrad._commands.parser import make_parser
from fastgrad._json import as_json, error_as_json
from fastgrad._terminal import is_coloured, with_coloured_verdict
from fastgrad._user_files import UnusableInput

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
        return _run(make_parser().parse_args(arguments))
    except KeyboardInterrupt as interruption:
        if not hasattr(interruption, "result"):  # otherwise what was found is printed
            _print_error("interrupted", arguments)
        return _stop("interrupted", _INTERRUPTED)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        _print_error(_sentence(error), arguments)
        return _stop(f"error: {_sentence(error)}", _UNUSABLE)


def _run(options: argparse.Namespace) -> int:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result = options.run(options)
    except KeyboardInterrupt as interruption:
        found = getattr(interruption, "result", None)
        if found is not None:
            _report(options, found)
        raise
    _report(options, result)
    return _EXIT_CODES[result.verdict]


def _report(options: argparse.Namespace, result: Any) -> None:
    asked = {"f": options.f, "gradient": options.gradient, "at": options.at}
    if options.html is not None:
        from fastgrad._pictures import page_of

        Path(options.html).write_text(page_of(result, options.title, **asked), encoding="utf-8")
    text = as_json(result, **asked) if options.json else str(result)
    _print(with_coloured_verdict(text) if is_coloured(sys.stdout) and not options.json else text)


def _print_error(message: str, arguments: Sequence[str]) -> None:
    """Whoever reads JSON gets an object that says why there is no report."""
    if "--json" in arguments:
        _print(error_as_json(message))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough; the exit code still tells the verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(message: str, code: int) -> int:
    print(f"fastgrad: {message}", file=sys.stderr)
    return code


def _sentence(error: Exception) -> str:
    """The message of an exception in one line, with its notes, and with its kind unless fastgrad wrote it."""
    notes = getattr(error, "__notes__", [])
    in_options = str(error).replace("args=(...)", "--args FILE.npz")
    message = textwrap.shorten(in_options, _LONGEST_MESSAGE, placeholder=" ... (--debug shows all)")
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
