"""Runs the examples of README.md and of the pages of docs/ and writes what they print into them: no output is by hand.

    python docs/run_examples.py                      # README.md: rewritten, unless it is current
    python docs/run_examples.py docs/how-to/*.md     # these pages, each in a process of its own
    python docs/run_examples.py --check PAGE...      # only says which are current (exit code 1 if one is not)
    python docs/run_examples.py --anew PAGE...       # rewritten in any case: timing shown is then that of this run

The blocks of a page run in order, in a folder of their own where ``examples/`` is at hand:

- ``python``: executed, in one namespace per page. What it prints replaces the ``text`` block behind it. An exception
  is an error of the page, unless that block ends in a line that begins with its name, as ``ValueError: ...``.
- ``console``: the lines that start with ``$`` are executed by bash; their output replaces the other lines.
- any language, if the first line is a comment that consists of a file name, as ``# model.py``: written to that file.
- everything else is left alone; ``bash`` is for what a reader does and a build does not, such as to install.

A picture that a page saves is copied to ``docs/_figures/NAME-OF-THE-PAGE/``, where the page can show it.
Sphinx runs the pages in this way too (``conf.py``): one that is out of date fails the build.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import itertools
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
README = ROOT / "README.md"
FIGURES = DOCS / "_figures"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"(?:#|/\*|//|!) ?([\w.-]+\.\w+)(?: \*/)?\n")
_RAISED = re.compile(r"^[\w.]*(?:Error|Exception|Mismatch|Warning|Interrupt)\b", re.MULTILINE)
_EVALUATIONS = r"\d+ evaluations(?: of [^\n]*? in \S+ s\b[^\n]*)?"
_COST = re.compile(rf"{_EVALUATIONS}|\d+(?:\.\d+)?(?:e-?\d+)? (?:s|ms|us)\b|\d+ threads?\b")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+\.?\d*(?:e[-+]?\d+)?(?![\w.]*\w)")
_MAGNITUDE = re.compile(r"[-+]?\d(?:\.\d)?e[-+]\d+")
_RIGHT_ROW = re.compile(r"^ *\S+.* \d(?:\.\d)?e-(?:0[6-9]|[1-9]\d)$", re.MULTILINE)  # its last column is the error
_END = "end of the output of one command"
_SWAYS_OUTPUT = {  # the first two make pytest show whole reports in its summary, the last three colour what is printed
    *("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PYTHONWARNINGS"),
    *("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE"),
}
_AT_ONCE = 2  # pages; their checks use all cores by themselves
_PAGE_SECONDS = 900  # many times what a page takes: only what hangs is ended


class PageError(Exception):
    """What is wrong with a page, and where."""


def render(page: str, name: str = "README.md") -> str:
    """The text of a page with the output of its examples made anew; runs in the current folder."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    blocks = list(_FENCE.finditer(page))
    written, position, printed = [], 0, None
    for block, following in itertools.zip_longest(blocks, blocks[1:]):
        kind, body = block.groups()
        if file := _FILE_NAME.match(body):
            Path(file[1]).write_text(body)
        elif kind == "python":
            if printed:
                raise PageError(f"{name}: a python block prints, and no text block follows it: {printed[:60]!r}")
            shown = following[2] if following and following[1] == "text" else ""
            printed = _execute(body, namespace, f"{name}, line {_line(page, block) + 1}", shown)
        elif kind == "text" and printed is not None:
            body, printed = printed, None
        elif kind == "console":
            body = _run_session(body)
        written += [page[position : block.start(2)], body]
        position = block.end(2)
    if printed:
        raise PageError(f"{name}: a python block prints, and no text block follows it: {printed[:60]!r}")
    return "".join([*written, page[position:]])


def _line(page: str, block: re.Match[str]) -> int:
    return page.count("\n", 0, block.start()) + 1


def _execute(code: str, namespace: dict[str, Any], place: str, shown: str) -> str:
    """What a block prints; with the exception in the last line, if the output shown at present has one there."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            exec(compile(code, place, "exec"), namespace)
        except Exception as error:
            if not _RAISED.search(shown):
                raise PageError(f"{place}: {''.join(traceback.format_exception(error))}") from error
            print("".join(traceback.format_exception_only(error)), end="")
        else:
            if (expected := _RAISED.search(shown)) and not _RAISED.search(output.getvalue()):
                raise PageError(f"{place}: {expected[0]} is shown, and nothing was raised")
    return _without_trailing_blanks(output.getvalue())


def _run_session(body: str) -> str:
    """The commands of a console block, each followed by its output and, if it fails, its errors; they share a shell."""
    commands = [line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ ")]
    script = "".join(
        f"{{ {command}\n}} 2>$errors; status=$?; [ $status = 0 ] || cat $errors; echo '{_END}'; (exit $status)\n"
        for command in commands
    )
    environment = environment_of_a_reader()
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with tempfile.NamedTemporaryFile() as errors:
        environment["errors"] = errors.name
        done = subprocess.run(["bash", "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    outputs = _without_trailing_blanks(done.stdout).split(f"{_END}\n")
    return "".join(f"$ {command}\n{output}" for command, output in zip(commands, outputs, strict=False))


def environment_of_a_reader() -> dict[str, str]:
    """What a terminal of 80 columns and no colours sets: pages must not depend on where they are built."""
    inherited = {name: value for name, value in os.environ.items() if name not in _SWAYS_OUTPUT}
    return {**inherited, "COLUMNS": "80", "NO_COLOR": "1"}


def _without_trailing_blanks(text: str) -> str:
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


# --- what counts as the same ------------------------------------------------------------------------------------------


def is_current(page: str, fresh: str, relative: float = 1e-2) -> bool:
    """Whether two renderings say the same, but for what depends on the machine.

    That is timing; numbers below 1e-4, which are rounding errors; the size of steps and error bars, known by their one
    or two digits and an exponent; and which of the right components come first.
    """
    old, new = (_RIGHT_ROW.sub("ROW", _COST.sub("COST", text)) for text in (page, fresh))
    if _NUMBER.sub("NUMBER", _without_padding(old)) != _NUMBER.sub("NUMBER", _without_padding(new)):
        return False
    return all(_is_close(a, b, relative) for a, b in zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True))


def _is_close(old: str, new: str, relative: float) -> bool:
    a, b = float(old), float(new)
    if _MAGNITUDE.fullmatch(old) and _MAGNITUDE.fullmatch(new) and a * b > 0.0:
        return abs(math.log10(a / b)) < 3.0 or max(abs(a), abs(b)) < 1e-4
    return math.isclose(a, b, rel_tol=relative, abs_tol=1e-4)


def _without_padding(text: str) -> str:
    """Single blanks: the width of a column follows its numbers."""
    return re.sub(" +", " ", text)


# --- pages as files ---------------------------------------------------------------------------------------------------


def render_file(path: Path) -> tuple[str, str]:
    """A page as it stands and made anew, in an empty folder; the pictures it saves are kept."""
    page = path.read_text()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("examples").symlink_to(ROOT / "examples")
        fresh = render(page, path.name)
        for picture in (file for ending in ("png", "svg") for file in Path().glob(f"*.{ending}")):
            (FIGURES / path.stem).mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, FIGURES / path.stem)
    return page, fresh


def complaint(path: Path, *, check_only: bool, anew: bool = False) -> str:
    """What is wrong with a page, which is written anew if it is only out of date; empty if nothing."""
    try:
        page, fresh = render_file(path)
    except PageError as error:
        return str(error)
    if is_current(page, fresh) and not anew:
        return ""
    if not check_only:
        path.write_text(fresh)
    difference = difflib.unified_diff(page.splitlines(), fresh.splitlines(), "shown", "printed", lineterm="", n=1)
    return "\n".join([f"{path.name} is out of date{'' if check_only else ', and was written anew'}:", *difference])


def complaints(paths: Iterable[Path], *options: str) -> Iterator[tuple[Path, str]]:
    """The same for many pages, each in a process of its own."""

    def run(path: Path) -> tuple[Path, str]:
        command = [sys.executable, __file__, *options, str(path)]
        # Pages share the cores: threads that wait by spinning would keep the others from their work.
        # One of them asks for two threads, which a machine of one core would not give by itself.
        shared = {"OMP_WAIT_POLICY": "PASSIVE", "NUMBA_NUM_THREADS": "2"}
        environment = {**shared, **environment_of_a_reader(), "MPLBACKEND": "Agg"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PAGE_SECONDS)
        return path, "" if done.returncode == 0 else done.stdout + done.stderr

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(run, paths)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the output of the examples in pages into them.")
    parser.add_argument("--check", action="store_true", help="only say whether the pages are current")
    parser.add_argument("pages", nargs="*", type=Path, default=[README], help="default: README.md")
    parser.add_argument("--anew", action="store_true", help="also write what differs in timing and rounding alone")
    options = parser.parse_args(argv)
    pages = [page.resolve() for page in options.pages]
    if len(pages) == 1:
        found = [(pages[0], complaint(pages[0], check_only=options.check, anew=options.anew))]
    else:
        given = [f"--{name}" for name in ("check", "anew") if getattr(options, name)]
        found = list(complaints(pages, *given))
    for page, text in found:
        print(text or f"{page.name} is current")
    return 1 if any(text for _, text in found) else 0


if __name__ == "__main__":
    sys.exit(main())
