"""Every command as a person would use it: its verdict, its exit code, its files, and its help."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
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
    return np.exp(x).sum() + x[0] * x[1]

@numba.njit
def gradient(x):
    g = np.exp(x)
    g[0] += x[1]
    g[1] += x[0]
    return g

@numba.njit
def wrong_gradient(x):
    g = np.exp(x)
    g[0] += x[1]
    g[1] -= x[0]
    return g

def hessian(x):
    H = np.diag(np.exp(x))
    H[0, 1] = H[1, 0] = 1.0
    return H

def wrong_hessian(x):
    return np.diag(np.exp(x))

def sparse_hessian(x):
    from scipy.sparse import csr_array
    return csr_array(hessian(x))

@numba.njit
def raises(x):
    raise ValueError("evaluated")
"""

COMMANDS = {
    "check": ("f", "gradient", "wrong_gradient"),
    "sweep": ("f", "gradient", "wrong_gradient"),
    "directional": ("f", "gradient", "wrong_gradient"),
    "line-integral": ("f", "gradient", "wrong_gradient"),
    "taylor": ("f", "gradient", "wrong_gradient"),
    "jacobian": ("gradient", "hessian", "wrong_hessian"),
    "hessian": ("gradient", "hessian", "wrong_hessian"),
}
DRAWN = [command for command in COMMANDS if command != "line-integral"]
AT = ("--at", "0.5,0.25,1")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """model.py, which is imported and compiled once for all tests, and then forgotten."""
    path = tmp_path_factory.mktemp("model") / "model.py"
    path.write_text(MODEL)
    yield path
    for name, module in list(sys.modules.items()):
        if str(path) in repr(module):
            del sys.modules[name]


@pytest.fixture
def folder(model, tmp_path, monkeypatch):
    """A working folder of its own where model.py is found."""
    (tmp_path / "model.py").symlink_to(model)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def target(command, *, wrong=False):
    f, right, bad = COMMANDS[command]
    return (command, f"model.py:{f}", f"model.py:{bad if wrong else right}", *AT)


def error_line(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("wrong", "code", "verdict"), [(False, 0, "match"), (True, 1, "mismatch")])
def test_a_command_finds_and_says_and_exits(folder, capsys, command, wrong, code, verdict):
    """The report, a page and a picture of one run; the JSON of another."""
    drawing = ("--plot", "picture.png") if command in DRAWN and find_spec("matplotlib") else ()
    assert main([*target(command, wrong=wrong), "--html", "report.html", *drawing]) == code
    assert f"{verdict.upper()}: " in capsys.readouterr().out
    page = Path("report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and f"<h1>fastgrad {command}</h1>" in page
    assert verdict.upper() in page and AT[1] in page
    if drawing:
        assert Path("picture.png").read_bytes().startswith(b"\x89PNG")
    assert main([*target(command, wrong=wrong), "--json"]) == code
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (document["schema"], document["verdict"]) == (f"fastgrad.{command}/1", verdict)
    assert (document["f"], document["at"]) == (f"model.py:{COMMANDS[command][0]}", AT[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_within_80_columns(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text.count(f"\n  fastgrad {command} ") >= 2
    assert max(map(len, text.splitlines())) <= 80
    assert "exit codes:" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_written_is_said_before_f_is_evaluated(folder, capsys, command):
    raising = (command, "model.py:raises", "model.py:gradient", *AT)
    for path, words in (("report.pdf", "ends in .html"), ("nowhere/report.html", "there is no folder 'nowhere'")):
        assert main([*raising, "--html", path]) == 2
        assert words in error_line(capsys)


def test_named_arrays_come_from_npz_files(folder, capsys):
    np.savez("x.npz", rates=np.array([0.5, 0.25]), offset=1.0)
    np.savez("g.npz", rates=np.array([np.exp(0.5) + 0.25, -9.0]), offset=np.exp(1.0))
    assert main(["check", "model.py:f", "g.npz", "--at", "x.npz"]) == 1
    assert "worst rates[1]" in " ".join(capsys.readouterr().out.split())
    np.savez("g.npz", rates=np.array([1.0, 2.0]))
    assert main(["check", "model.py:f", "g.npz", "--at", "x.npz"]) == 2
    assert "analytical_grad lacks offset; need the names of x: rates, offset." in error_line(capsys)


@pytest.mark.parametrize(("wrong", "code"), [(False, 0), (True, 1)])
def test_a_sparse_jacobian_is_read_from_a_file_and_drawn(folder, capsys, wrong, code):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    full = np.diag(np.exp([0.5, 0.25, 1.0]))
    full[0, 1] = full[1, 0] = 1.0 if not wrong else -1.0
    scipy_sparse.save_npz("J.npz", scipy_sparse.csr_array(full))
    drawing = ("--plot", "picture.png", "--html", "page.html") if find_spec("matplotlib") else ()
    assert main(["jacobian", "model.py:gradient", "J.npz", *AT, *drawing]) == code
    said = capsys.readouterr().out
    assert ("MISMATCH: " if wrong else "MATCH: ") in said and "groups of columns" in said
    if drawing:
        assert Path("picture.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in Path("page.html").read_text()
    assert main(["jacobian", "model.py:gradient", "model.py:sparse_hessian", *AT, *drawing[:2]]) == 0
    assert "groups of columns" in capsys.readouterr().out


def test_a_torn_file_of_a_sparse_jacobian_is_refused_in_a_line(folder, capsys):
    pytest.importorskip("scipy.sparse")
    np.savez("J.npz", format=b"csr", shape=(3, 3), data=np.ones(2))
    assert main(["jacobian", "model.py:gradient", "J.npz", *AT]) == 2
    assert "jacobian: J.npz cannot be read" in error_line(capsys)


def test_named_arrays_are_converted_one_by_one(folder, monkeypatch):
    seen = {}

    class GradientCheck:
        verdict = fastgrad.Verdict.MATCH

    def check_gradient(f, x, gradient, epsilon=None, **options):
        seen.update(x=x, options=options)
        return GradientCheck()

    monkeypatch.setattr(fastgrad, "check_gradient", check_gradient)
    np.savez("x.npz", a=np.arange(3), b=2.0)
    main(["check", "model.py:f", "model.py:gradient", "--at", "x.npz", "--dtype", "float32"])
    assert {name: array.dtype for name, array in seen["x"].items()} == {"a": np.float32, "b": np.float32}
    assert "progress" not in seen["options"]  # no terminal here


def test_options_reach_their_check(folder, capsys):
    main([*target("check"), "--rtol", "0.9", "--sample", "2", "--seed", "3", "--max-evaluations", "500", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["rtol"] == 0.9 and document["coverage"] == pytest.approx(2 / 3)
    assert main([*target("check"), "--checkpoint", "journal"]) == 0
    assert Path("journal").exists()
    capsys.readouterr()
    assert main([*target("taylor"), "--directions", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["lines"]) == 2
    assert main([*target("line-integral"), "--segments", "3", "--rtol", "1e-9", "--threads", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["segments"]), document["rtol"], document["threads"]) == (3, 1e-9, 1)
    assert main([*target("line-integral"), "--threads", "0"]) == 2
    assert "threads is 0; need 1 to" in error_line(capsys)
    assert main([*target("directional"), "--rtol", "1e-3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rtol"] == 1e-3
    assert main([*target("hessian"), "--epsilon", "1e-5", "--rtol", "1e-3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rtol"], document["step"]) == (1e-3, [1e-5] * 3)


def test_a_function_that_is_missing_is_named_by_its_role(folder, capsys):
    assert main(["jacobian", "model.py:F", "model.py:hessian", *AT]) == 2
    assert "model.py has no 'F'" in error_line(capsys)
    assert main(["hessian", "model.py:gradient", "nothing.npy", *AT]) == 2
    assert "hessian: there is no file 'nothing.npy'" in error_line(capsys)
