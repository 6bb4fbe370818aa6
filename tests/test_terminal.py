"""Colour and progress: on a terminal that wants them, and nowhere else."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from fastgrad import _terminal
from fastgrad._terminal import Progress, _duration, is_coloured, with_coloured_verdict


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),  # as the convention has it: set and not empty
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour(stream, environment, expected):
    assert is_coloured(stream, environment) == expected


def test_only_the_verdict_is_coloured():
    report = "E falls.\nMISMATCH: 1 of 3.\nCause: a MATCH: here\nINCONCLUSIVE: no"
    assert with_coloured_verdict(report) == (
        "E falls.\n\x1b[1;31mMISMATCH\x1b[0m: 1 of 3.\nCause: a MATCH: here\n\x1b[1;33mINCONCLUSIVE\x1b[0m: no"
    )


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(_terminal.time, "perf_counter", lambda: now[0])
    return now


def test_progress_of_a_quick_check_leaves_no_trace(clock):
    stream = Terminal()
    with Progress(stream) as progress:
        clock[0] += 0.5
        progress(5, 10)
    assert stream.getvalue() == ""


def test_progress_counts_and_wipes_its_line(clock):
    stream = Terminal()
    with Progress(stream) as progress:
        clock[0] += 30.0
        progress(25, 100)
        clock[0] += 0.01
        progress(26, 100)  # too soon
        clock[0] += 29.99
        progress(100, 100)
    first, second, wiped, end = stream.getvalue().split("\r")[1:]
    assert first == "25 of 100 evaluations, 25 %, 1 min 30 s left"
    assert second.rstrip() == "100 of 100 evaluations, 100 %, 0 s left"
    assert wiped.strip() == "" and len(wiped) >= len(second.rstrip())
    assert end == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3600 * 26 + 60, "26:01 h")]
)
def test_durations(seconds, words):
    assert _duration(seconds) == words


MODEL = """
import numba, numpy as np

@numba.njit
def f(x):
    return (x * x).sum()

def gradient(x):
    return 2 * x
"""


@pytest.mark.parametrize(("variables", "start"), [({}, b"\x1b[1;32mMATCH\x1b[0m: "), ({"NO_COLOR": "1"}, b"MATCH: ")])
def test_a_real_terminal(tmp_path, variables, start):
    (tmp_path / "model.py").write_text(MODEL)
    ours, theirs = pty.openpty()
    environment = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm", **variables}
    command = [sys.executable, "-m", "fastgrad", "check", "model.py:f", "model.py:gradient", "--at", "1,2"]
    done = subprocess.run(command, cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE, env=environment, timeout=900)
    os.close(theirs)
    shown = os.read(ours, 10_000)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    assert shown.startswith(start)
    assert done.stderr == b""  # no terminal: no progress
