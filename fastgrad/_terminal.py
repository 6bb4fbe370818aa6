"""What a person at a terminal sees besides the report: colour and progress. Neither goes into files and pipes."""

import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

_COLOURS = {"MATCH": "32", "MISMATCH": "31", "INCONCLUSIVE": "33"}  # green, red, yellow; bold besides
_FIRST_SHOWN, _EVERY = 1.0, 0.1  # seconds


def is_coloured(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream shows colours and its reader wants them (https://no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def with_coloured_verdict(report: str) -> str:
    """A report whose lines that begin with a verdict show it in its colour."""
    lines = report.split("\n")
    for k, line in enumerate(lines):
        word, colon, rest = line.partition(":")
        if colon and word in _COLOURS:
            lines[k] = f"\x1b[1;{_COLOURS[word]}m{word}\x1b[0m{colon}{rest}"
    return "\n".join(lines)


class Progress:
    """A line on standard error that counts evaluations while a check takes long, and leaves nothing behind."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self.is_shown = self._stream.isatty()
        self._started = self._written = time.perf_counter()
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        now = time.perf_counter()
        if now - self._started < _FIRST_SHOWN or (now - self._written < _EVERY and done < total):
            return
        self._written = now
        left = (now - self._started) * (total - done) / done if done else 0.0
        share = 100.0 * done / total if total else 100.0
        self._write(f"{done} of {total} evaluations, {share:.0f} %, {_duration(left)} left")

    def _write(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
