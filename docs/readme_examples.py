"""Runs the examples of README.md and writes what they print into it, so that no output there is by hand.

    python docs/readme_examples.py            # rewrites README.md, unless it is current
    python docs/readme_examples.py --check    # only says whether it is current (exit code 1 if not)

A ``python`` block is executed, after those before it; what it prints replaces the ``text`` block behind it. In a
``console`` block the lines that start with ``$`` are executed by bash, next to ``examples/``, and their output
replaces the other lines.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

_FENCE = re.compile(r"^```(python|text|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COST = re.compile(r"\d+ evaluations of f in \S+ s on \d+ threads? \(\w+\)")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+\.?\d*(?:e[-+]?\d+)?(?![\w.]*\w)")
_END = "end of the output of one command"


def render(readme: str) -> str:
    """The text of README.md with the output of its examples made anew."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    printed = ""

    def rewrite(block: re.Match[str]) -> str:
        nonlocal printed
        kind, body = block.groups()
        if kind == "text":
            body, printed = printed, ""
        elif printed:
            raise ValueError(f"a python block prints, and no text block follows it: {printed[:60]!r}")
        elif kind == "python":
            printed = _execute(body, namespace)
        else:
            body = _run_session(body)
        return f"```{kind}\n{body}```"

    return _FENCE.sub(rewrite, readme)


def _execute(code: str, namespace: dict[str, Any]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), namespace)
    return output.getvalue()


def _run_session(body: str) -> str:
    """The commands of a console block, each followed by its output; they share a shell and an empty folder."""
    commands = [line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ ")]
    script = "".join(f"{command}\nstatus=$?; echo '{_END}'; (exit $status)\n" for command in commands)
    environment = {**os.environ, "COLUMNS": "80"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    outputs = done.stdout.split(f"{_END}\n")
    return "".join(f"$ {command}\n{output}" for command, output in zip(commands, outputs, strict=False))


def is_current(readme: str, fresh: str) -> bool:
    """Whether two renderings say the same: but for timing, threads, and the noise in the last digits."""
    old, new = (_COST.sub("COST", text) for text in (readme, fresh))
    if _NUMBER.sub("NUMBER", _without_padding(old)) != _NUMBER.sub("NUMBER", _without_padding(new)):
        return False
    return all(map(_same_number, _numbers(old), _numbers(new)))


def _without_padding(text: str) -> str:
    """Single blanks: the width of a column follows its numbers."""
    return re.sub(" +", " ", text)


def _numbers(text: str) -> Iterator[float]:
    return (float(number) for number in _NUMBER.findall(text))


def _same_number(old: float, new: float) -> bool:
    """Equal to two digits; below 1e-4 the examples show steps and rounding errors, which depend on the machine."""
    return math.isclose(old, new, rel_tol=1e-2, abs_tol=1e-4)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the output of the examples in README.md into it.")
    parser.add_argument("--check", action="store_true", help="only say whether README.md is current")
    check_only = parser.parse_args().check
    readme = README.read_text()
    fresh = render(readme)
    current = is_current(readme, fresh)
    print("README.md is current" if current else "README.md is out of date")
    if current or check_only:
        return 0 if current else 1
    README.write_text(fresh)
    print("... and was written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
