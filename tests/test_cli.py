"""The command line: what it reads, what it prints where, and how it exits."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastgrad
from fastgrad.cli import main

MODEL = """
import numba
import numpy as np

print("model.py is being imported")
SLOPES = np.array([2.0, 4.0])

@numba.njit
def f(x):
    return (x * x).sum()

@numba.njit
def gradient(x):
    return 2.0 * x

@numba.njit
def wrong_gradient(x):
    return -2.0 * x

@numba.njit
def weighted(x, zeta, alpha):
    return alpha * (zeta * x).sum()

def weighted_gradient(x, zeta, alpha):
    print("the gradient is being called")
    return alpha * zeta

def plain(x):
    return (x * x).sum()

def raising(x):
    raise RuntimeError("no\\nlicence")

def interrupted(x):
    raise KeyboardInterrupt
"""


class GradientCheck(SimpleNamespace):
    """Stands for one."""


@pytest.fixture
def asked(monkeypatch):
    """Replaces the check by one that records what it was asked; set `.verdict` and `.data` to what it finds."""
    record = SimpleNamespace(verdict=fastgrad.Verdict.MATCH, data={})

    def check_gradient(f, x, gradient, epsilon=None, **options):
        record.f, record.x, record.gradient, record.epsilon, record.options = f, x, gradient, epsilon, options
        return GradientCheck(verdict=record.verdict, to_dict=lambda: record.data)

    monkeypatch.setattr(fastgrad, "check_gradient", check_gradient)
    return record


def error_line(capsys) -> str:
    """The one line that a failed run leaves, which has to be all of its output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = (text for text in captured.err.splitlines() if text != "model.py is being imported")
    return line.removeprefix("fastgrad: ")


def run(*command: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


# --- whole runs ----------------------------------------------------------------------------------------------------


def test_the_installed_command_reports_a_match_on_standard_output_alone(folder):
    np.savez("data.npz", zeta=np.array([3.0, 5.0]), alpha=0.5)
    command = str(Path(sys.executable).parent / "fastgrad")
    target = ("model.py:weighted", "model.py:weighted_gradient", "--at", "-1,2", "--args", "data.npz")
    done = run(command, "check", *target, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MATCH")
    assert "being" not in done.stdout
    assert done.stderr.splitlines() == ["model.py is being imported", "the gradient is being called"]


def test_python_m_reports_a_mismatch_as_strict_json(folder):
    target = ("model.py:f", "model.py:wrong_gradient", "--at", "1,2", "--json")
    done = run(sys.executable, "-m", "fastgrad", "check", *target, folder=folder)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "fastgrad.check/1"
    assert report["version"] == fastgrad.__version__
    assert (report["f"], report["gradient"]) == ("model.py:f", "model.py:wrong_gradient")
    assert report["verdict"] == "mismatch"
    assert report["relative_error"] == pytest.approx(1.0)


def test_a_reader_that_has_seen_enough_changes_nothing(folder):
    """As in ``fastgrad check ... | head -1``, where the pipe is closed before the report is written."""
    command = [sys.executable, "-m", "fastgrad", "check", "model.py:f", "model.py:wrong_gradient", "--at", "1,2"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        complaints = process.stderr.read()
        assert process.wait(timeout=900) == 1, complaints
    assert "Error" not in complaints and "Exception" not in complaints


def test_an_error_is_one_line_and_exit_code_2(folder):
    done = run(sys.executable, "-m", "fastgrad", "check", "model.py:f", "nothing.npy", "--at", "1", folder=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("fastgrad: error: gradient: there is no file 'nothing.npy'")


# --- exit codes and JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verdict", "code"), [("match", 0), ("mismatch", 1), ("inconclusive", 2)])
def test_the_exit_code_is_the_verdict(folder, asked, verdict, code):
    asked.verdict = fastgrad.Verdict(verdict)
    assert main(["check", "model.py:f", "model.py:gradient", "--at", "1"]) == code


def test_numbers_that_json_lacks_become_null_at_any_depth(folder, asked, capsys):
    asked.data = {"error": math.nan, "rows": [{"x": -math.inf, "y": [1.5, math.inf]}], "name": "nan", "n": 3}
    main(["check", "model.py:f", "model.py:gradient", "--at", "1", "--json"])
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    found = {key: report[key] for key in asked.data}
    assert found == {"error": None, "rows": [{"x": None, "y": [1.5, None]}], "name": "nan", "n": 3}


def test_an_interrupt_is_one_line_and_exit_code_130(folder, capsys):
    assert main(["check", "model.py:f", "model.py:interrupted", "--at", "1"]) == 130
    assert error_line(capsys) == "interrupted"


def test_an_interrupted_check_reports_what_it_found(folder, monkeypatch, capsys):
    def check_gradient(*_, **__):
        interruption = KeyboardInterrupt()
        interruption.result = "seen: 3 of 10 components"
        raise interruption

    monkeypatch.setattr(fastgrad, "check_gradient", check_gradient)
    assert main(["check", "model.py:f", "model.py:gradient", "--at", "1"]) == 130
    captured = capsys.readouterr()
    assert captured.out == "seen: 3 of 10 components\n"
    assert captured.err.splitlines()[-1] == "fastgrad: interrupted"


def only_object(capsys):
    """The one JSON object that a run leaves, which has to be all of its standard output."""
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line, parse_constant=pytest.fail)


def test_json_is_one_object_after_an_interrupt_too(folder, asked, monkeypatch, capsys):
    request = ["check", "model.py:f", "model.py:gradient", "--at", "1", "--json"]
    found = fastgrad.check_gradient("f", 1.0, 2.0)

    def interrupted(with_result):
        interruption = KeyboardInterrupt()
        if with_result:
            interruption.result = found
        raise interruption

    monkeypatch.setattr(fastgrad, "check_gradient", lambda *_, **__: interrupted(True))
    asked.data = {"verdict": "inconclusive"}
    assert main(request) == 130
    report = only_object(capsys)
    assert (report["schema"], report["verdict"]) == ("fastgrad.check/1", "inconclusive")
    monkeypatch.setattr(fastgrad, "check_gradient", lambda *_, **__: interrupted(False))
    assert main(request) == 130
    report = only_object(capsys)
    assert report == {"schema": "fastgrad.error/1", "version": fastgrad.__version__, "error": "interrupted"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "model.py:f", "nothing.npy", "--at", "1", "--json"], "gradient: there is no file 'nothing.npy'"),
        (["check", "--json"], "arguments are required"),
        (["check", "model.py:f", "model.py:raising", "--at", "1", "--json"], "RuntimeError: no licence"),
    ],
)
def test_json_is_one_object_after_an_error_too(folder, capsys, arguments, expected):
    assert main(arguments) == 2
    report = only_object(capsys)
    assert report["schema"] == "fastgrad.error/1"
    assert expected in report["error"]


def test_version_and_help_exit_with_0(capsys):
    for argument, expected in (
        ("--version", f"fastgrad {fastgrad.__version__}\n"),
        ("--help", "usage: fastgrad"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([argument])
        assert stopped.value.code == 0
        assert capsys.readouterr().out.startswith(expected)


# --- what arrives at the check -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [("--at", "-1,2e-3, .5"), ("--at=-1,2e-3, .5",)], ids=["two words", "one word"])
def test_numbers_for_x_may_start_with_a_minus_sign(folder, asked, form):
    main(["check", "model.py:f", "model.py:gradient", *form])
    np.testing.assert_array_equal(asked.x, [-1.0, 2e-3, 0.5])
    assert asked.x.dtype == np.float64


def test_options_are_passed_on_and_absent_ones_left_to_the_check(folder, asked):
    main(["check", "model.py:f", "model.py:gradient", "--at", "1"])
    assert (asked.epsilon, asked.options) == (None, {"args": (), "threads": None, "rng": 0})
    main(["check", "model.py:f", "model.py:gradient", "--at", "1", "--epsilon", "1e-5", "--threads", "1"])
    assert (asked.epsilon, asked.options) == (1e-5, {"args": (), "threads": 1, "rng": 0})


def test_x_from_a_file_keeps_shape_and_dtype_unless_told(folder, asked):
    np.save("x.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    main(["check", "model.py:f", "model.py:gradient", "--at", "x.npy"])
    assert (asked.x.shape, asked.x.dtype) == ((2, 3), np.float32)
    main(["check", "model.py:f", "model.py:gradient", "--at", "x.npy", "--dtype", "float64"])
    assert (asked.x.shape, asked.x.dtype) == ((2, 3), np.float64)


def test_no_imaginary_part_is_dropped_by_a_conversion(folder, capsys):
    np.save("x.npy", np.array([1.0 + 1.0j]))
    assert main(["check", "model.py:f", "model.py:gradient", "--at", "x.npy", "--dtype", "float64"]) == 2
    assert "complex128" in error_line(capsys)


def test_arguments_arrive_in_the_order_saved_and_scalars_as_python_numbers(folder, asked):
    np.savez("data.npz", zeta=np.ones((2, 3)), n=np.int64(3), alpha=0.5, on=np.True_, name=np.array("tanh"))
    main(["check", "model.py:f", "model.py:gradient", "--at", "1", "--args", "data.npz"])
    zeta, *scalars = asked.options["args"]
    np.testing.assert_array_equal(zeta, np.ones((2, 3)))
    assert [(type(value), value) for value in scalars] == [
        (int, 3),
        (float, 0.5),
        (bool, True),
        (str, "tanh"),
    ]


def test_the_gradient_may_be_an_array_of_a_file_or_of_a_module(folder, asked):
    np.save("g.npy", np.array([2.0, 4.0]))
    for gradient in ("g.npy", "model.py:SLOPES"):
        main(["check", "model.py:f", gradient, "--at", "1,2"])
        np.testing.assert_array_equal(asked.gradient, [2.0, 4.0])


# --- how modules are imported --------------------------------------------------------------------------------------


def test_a_module_is_imported_once_under_its_own_name(folder, asked, capsys):
    (folder / "slopes.py").write_text("from model import gradient, f\ndef late(x):\n    import model\n    return model")
    main(["check", "model.py:f", "slopes.py:late", "--at", "1"])
    main(["check", "model:f", "slopes.py:late", "--at", "1"])
    module = sys.modules["model"]
    assert capsys.readouterr().err.count("being imported") == 1
    assert asked.gradient(None) is module
    assert pickle.loads(pickle.dumps(module.plain)) is module.plain


def test_a_package_is_named_with_dots(folder, asked):
    (folder / "shop").mkdir()
    (folder / "shop" / "rates.py").write_text("from . import base\nf = base.f")
    (folder / "shop" / "base.py").write_text("def f(x):\n    return x")
    main(["check", "shop.rates:f", "shop.base:f", "--at", "1"])
    assert asked.f is asked.gradient


def test_files_of_one_name_in_two_folders_stay_apart(folder, asked):
    for name in ("first", "second"):
        (folder / name).mkdir()
        (folder / name / "model.py").write_text(f"def f(x):\n    return {name!r}")
    main(["check", "first/model.py:f", "second/model.py:f", "--at", "1"])
    assert (asked.f(0), asked.gradient(0)) == ("first", "second")
    for function in (asked.f, asked.gradient):
        assert pickle.loads(pickle.dumps(function)) is function
    before = asked.gradient
    main(["check", "first/model.py:f", "second/model.py:f", "--at", "1"])
    assert asked.gradient is before


def test_a_file_finds_its_neighbours_when_it_is_imported_and_later(folder, asked):
    (folder / "deep").mkdir()
    (folder / "deep" / "early_part.py").write_text("value = 1")
    (folder / "deep" / "late_part.py").write_text("value = 2")
    (folder / "deep" / "whole.py").write_text(
        "import early_part\ndef f(x):\n    import late_part\n    return early_part.value + late_part.value"
    )
    main(["check", "deep/whole.py:f", "deep/whole.py:f", "--at", "1"])
    assert asked.f(0) == 3


def test_a_file_called_like_a_loaded_library_does_not_replace_it(folder, asked):
    (folder / "json.py").write_text("def f(x):\n    return x")
    main(["check", "json.py:f", "json.py:f", "--at", "1"])
    assert asked.f(3) == 3
    assert sys.modules["json"] is json


# --- errors --------------------------------------------------------------------------------------------------------

F, G = "model.py:f", "model.py:gradient"

UNUSABLE = {
    "no command": ([], "arguments are required: COMMAND; 'fastgrad --help'"),
    "unknown command": (["chek"], "invalid choice: 'chek'"),
    "no point": (["check", F, G], "arguments are required: --at; 'fastgrad check --help'"),
    "point without value": (["check", F, G, "--at"], "--at: expected one argument"),
    "no name": (["check", "model.py", G, "--at", "1"], "f is 'model.py'; need FILE.py:NAME"),
    "no such file": (
        ["check", "modell.py:f", G, "--at", "1"],
        "no file 'modell.py'; did you mean 'model.py'?",
    ),
    "no file alike": (
        ["check", "a/b.py:f", G, "--at", "1"],
        "no file 'a/b.py'; need the path of a Python file",
    ),
    "no such name": (
        ["check", F, "model.py:gradeint", "--at", "1"],
        "no 'gradeint'; did you mean 'gradient'",
    ),
    "no name alike": (
        ["check", F, "model.py:zzz", "--at", "1"],
        "no 'zzz'; need one of its functions: f, gradient",
    ),
    "no such module": (["check", "nowhere.at:all", G, "--at", "1"], "import nowhere.at: ModuleNotFoundError"),
    "not compiled": (
        ["check", "model.py:plain", G, "--at", "1"],
        "f is the Python function plain, not compiled",
    ),
    "no function": (["check", "model.py:np", G, "--at", "1"], "f is a module; need a function"),
    "no number": (["check", F, G, "--at", "1,two"], "--at is '1,two', and 'two' is not a number"),
    "empty number": (["check", F, G, "--at", "1,"], "'' is not a number"),
    "not finite": (["check", F, G, "--at", "1,nan"], "x[1] is nan"),
    "wrong count": (
        ["check", F, "model.py:SLOPES", "--at", "1,2,3"],
        "analytical_grad has shape (2,); need (3,)",
    ),
    "no file of x": (["check", F, G, "--at", "x.npy"], "--at: there is no file 'x.npy'; need one written by"),
    "unreadable x": (["check", F, G, "--at", "text.npy"], "--at: text.npy cannot be read"),
    "several arrays for x": (
        ["check", F, G, "--at", "archive.npy"],
        "--at: archive.npy holds several arrays",
    ),
    "no file of args": (["check", F, G, "--at", "1", "--args", "d.npz"], "--args: there is no file 'd.npz'"),
    "unreadable args": (
        ["check", F, G, "--at", "1", "--args", "text.npz"],
        "--args: text.npz cannot be read",
    ),
    "torn args": (["check", F, G, "--at", "1", "--args", "torn.npz"], "--args: torn.npz cannot be read"),
    "bare array for args": (
        ["check", F, G, "--at", "1", "--args", "one.npy"],
        "--args: one.npy holds one bare array",
    ),
    "objects in args": (["check", F, G, "--at", "1", "--args", "objects.npz"], "no Python objects"),
    "neither a name nor a file of arrays": (
        ["check", F, "6,8", "--at", "1"],
        "is '6,8'; need FILE.py:NAME or package.module:NAME, such as model.py:gradient, or a .npy or .npz file.",
    ),
    "too few args": (
        ["check", "model.py:weighted", G, "--at", "1"],
        "need the two to fit: pass the rest of its arguments with --args FILE.npz.",
    ),
    "too many args": (
        ["check", F, G, "--at", "1", "--args", "two.npz"],
        "called with x and 2 extra arguments",
    ),
    "epsilon": (["check", F, G, "--at", "1", "--epsilon", "tiny"], "--epsilon: invalid float value: 'tiny'"),
    "epsilon zero": (["check", F, G, "--at", "1", "--epsilon", "0"], "epsilon is 0.0; need a positive"),
    "seed": (["check", F, G, "--at", "1", "--seed", "-1"], "--seed is -1; need a whole number from 0"),
    "threads": (["check", F, G, "--at", "1", "--threads", "0"], "threads is 0; need 1"),
}


def write_broken_files(folder: Path) -> None:
    for name in ("text.npy", "text.npz"):
        (folder / name).write_text("1, 2, 3")
    np.save("one.npy", np.ones(3))
    np.savez("two.npz", np.ones(3), 2.0)
    np.savez("objects.npz", np.array([{}], dtype=object))
    (folder / "archive.npy").write_bytes((folder / "two.npz").read_bytes())
    (folder / "torn.npz").write_bytes((folder / "two.npz").read_bytes().replace(b"NUMPY", b"NUMPX"))


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_input_is_named_in_one_line(folder, capsys, case):
    arguments, expected = UNUSABLE[case]
    write_broken_files(folder)
    assert main(arguments) == 2
    line = error_line(capsys)
    assert line.startswith("error: ")
    assert expected in line


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "x = 1\nimport surely_not_installed",
            "broken.py (line 2): ModuleNotFoundError: No module named 'surely",
        ),
        ("x = = 1", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("from . import other", "a file of a package is named with dots: package.module:NAME"),
        ("import sys\nsys.exit(0)", 'put the part that runs as a script under if __name__ == "__main__"'),
    ],
    ids=["missing library", "syntax", "relative import", "exit"],
)
def test_a_file_that_cannot_be_imported_is_named_with_the_place(folder, capsys, source, expected):
    (folder / "broken.py").write_text(source)
    assert main(["check", "broken.py:f", "model.py:gradient", "--at", "1"]) == 2
    line = error_line(capsys)
    assert line.startswith(f"error: cannot import {folder / 'broken.py'}")
    assert expected in line
    assert "broken" not in sys.modules


def test_an_exception_of_the_users_code_is_named_with_its_notes_in_one_line(folder, capsys):
    assert main(["check", "model.py:f", "model.py:raising", "--at", "1"]) == 2
    line = error_line(capsys)
    assert line == "error: RuntimeError: no licence (raised by analytical_grad, called as analytical_grad(x, *args))"


def test_debug_shows_the_traceback_before_the_line(folder, capsys):
    assert main(["check", "model.py:f", "model.py:raising", "--at", "1", "--debug"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback (most recent call last)" in captured.err
    assert "in raising" in captured.err
    assert captured.err.splitlines()[-1].startswith("fastgrad: error: RuntimeError: no licence")
