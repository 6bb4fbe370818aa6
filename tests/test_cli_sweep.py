"""The command sweep: what it prints, draws and refuses, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgrad
from fastgrad.cli import main

MODEL = """
import numba
import numpy as np

@numba.njit
def f(x):
    return np.exp(x).sum()

@numba.njit
def gradient(x):
    return np.exp(x)

@numba.njit
def wrong_gradient(x):
    return 2.0 * np.exp(x)

@numba.njit
def scaled(x, scale):
    return scale * np.exp(x).sum()

def scaled_gradient(x, scale):
    print("the gradient is being called")
    return scale * np.exp(x)

@numba.njit
def nowhere(x):
    return np.log(x).sum()
"""

TARGET = ("model.py:f", "model.py:gradient", "--at", "0.1,0.2,0.3")


@pytest.fixture
def no_sweep(monkeypatch):
    """A sweep that must not begin."""

    def sweep_epsilon(*_, **__):
        raise AssertionError("f was evaluated")

    monkeypatch.setattr(fastgrad, "sweep_epsilon", sweep_epsilon)


def error_line(capsys) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_a_whole_run_prints_the_curve_on_standard_output_alone(folder):
    np.savez("data.npz", scale=2.5)
    np.save("x.npy", np.linspace(0.1, 1.0, 6).reshape(2, 3))
    target = ("model.py:scaled", "model.py:scaled_gradient", "--at", "x.npy", "--args", "data.npz")
    command = (sys.executable, "-m", "fastgrad", "sweep", *target)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("E falls as 1/epsilon")
    assert "being" not in done.stdout
    assert done.stderr.splitlines() == ["the gradient is being called"]
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(("gradient", "at", "code"), [("gradient", "0.1,0.2", 0), ("wrong_gradient", "0.1,0.2", 1)])
def test_the_exit_code_is_the_verdict(folder, gradient, at, code):
    assert main(["sweep", "model.py:f", f"model.py:{gradient}", "--at", at]) == code


def test_a_sweep_that_measures_nothing_is_inconclusive(folder, capsys):
    assert main(["sweep", "model.py:nowhere", "model.py:gradient", "--at=-1,-2"]) == 2
    assert "could not be measured" in capsys.readouterr().out


def test_json_is_strict_and_names_its_schema(folder, capsys):
    assert main(["sweep", *TARGET, "--json"]) == 0
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert report["schema"] == "fastgrad.sweep/1"
    assert (report["f"], report["gradient"]) == ("model.py:f", "model.py:gradient")
    assert len(report["epsilon"]) == len(report["relative_error"]) == 45
    assert report["floor"] is None  # a NaN
    assert report["best_epsilon"] in report["epsilon"]


def test_float32_takes_its_own_epsilons(folder, capsys):
    main(["sweep", *TARGET, "--dtype", "float32", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["epsilon"][0], report["epsilon"][-1]) == (1e-7, 1.0)


@pytest.mark.parametrize(
    ("name", "start"), [("curve.png", b"\x89PNG"), ("curve.svg", b"<?xml"), ("curve.pdf", b"%PDF")]
)
def test_the_curve_is_drawn_into_a_file(folder, capsys, name, start):
    pytest.importorskip("matplotlib")
    assert main(["sweep", *TARGET, "--plot", name]) == 0
    assert Path(name).read_bytes().startswith(start)
    assert capsys.readouterr().out.startswith("E falls")


@pytest.mark.parametrize(
    ("path", "words"),
    [("curve.doc", "need a file name that ends in one of"), ("missing/curve.png", "there is no folder 'missing'")],
)
def test_a_plot_that_cannot_be_written_is_refused_before_f_is_evaluated(folder, no_sweep, capsys, path, words):
    pytest.importorskip("matplotlib")
    assert main(["sweep", *TARGET, "--plot", path]) == 2
    assert words in error_line(capsys)


def test_a_missing_matplotlib_is_said_before_f_is_evaluated(folder, no_sweep, without_matplotlib, capsys):
    assert main(["sweep", *TARGET, "--plot", "curve.png"]) == 2
    assert error_line(capsys).endswith("pip install matplotlib.")


def test_without_a_plot_matplotlib_is_not_needed(folder, without_matplotlib):
    assert main(["sweep", *TARGET]) == 0


def test_the_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "--help"])
    assert stopped.value.code == 0
    assert "--plot curve.png" in capsys.readouterr().out
