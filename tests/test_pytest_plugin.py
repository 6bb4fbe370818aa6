"""The pytest plugin in pytest runs of its own: the fixture, the saved reports, and a quick start."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from fastgrad._pytest_plugin import _share_of_threads, file_stem

pytest_plugins = ["pytester"]

SUITE = """
import numba
import numpy as np
import pytest

from fastgrad.testing import assert_gradient


@numba.njit
def f(x):
    return (x * x).sum()


@pytest.mark.parametrize("factor", [2.0, 3.0], ids=["right", "a/b <c>"])
def test_factor(factor):
    assert_gradient(f, [1.0, 2.0], np.array([2.0, 4.0]) * factor / 2.0)


class TestClass:
    def test_fixture(self, fastgrad_testing):
        fastgrad_testing.assert_gradient(f, [1.0, 2.0], [2.0, -4.0])


@pytest.fixture
def checked():
    assert_gradient(f, [1.0], [3.0])


def test_of_a_fixture(checked):
    pass


def test_passing(fastgrad_testing):
    assert fastgrad_testing.assert_directional(f, [1.0, 2.0], [2.0, 4.0]).passed


def test_unrelated():
    assert False, "not a check"
"""

STEMS = {
    "test_suite.py-test_factor[a-b-c-]": "MISMATCH: 2 of 2",
    "test_suite.py-TestClass-test_fixture": "MISMATCH: 1 of 2",
    "test_suite.py-test_of_a_fixture-setup": "MISMATCH: ",
}


@pytest.fixture
def suite(pytester):
    pytester.makepyfile(test_suite=SUITE)
    return pytester


def outcome(*arguments, suite):
    return suite.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_reports_of_failing_checks_are_saved(suite, workers):
    if workers:
        pytest.importorskip("xdist")
    done = outcome("--fastgrad-report=reports/new", "--junitxml=junit.xml", *workers, suite=suite)
    done.assert_outcomes(passed=2, failed=3, errors=1)
    saved = sorted((suite.path / "reports" / "new").iterdir())
    assert {path.suffix for path in saved} == {".txt", ".json", ".html"}
    texts = [path.read_text() for path in saved if path.suffix == ".txt"]
    assert len(texts) == len(STEMS)
    for stem, verdict in STEMS.items():
        (text,) = (path for path in saved if path.suffix == ".txt" and path.name.startswith(stem))
        assert verdict in text.read_text()
        document = json.loads(text.with_suffix(".json").read_text())
        assert (document["schema"], document["verdict"]) == ("fastgrad.check/1", "mismatch")
        assert document["test"] == text.read_text().splitlines()[0]
        done.stdout.fnmatch_lines([f"reports/new/{text.name}".replace("[", "[[]")])
    properties = ET.parse(suite.path / "junit.xml").findall(".//property")
    assert {p.get("name"): p.get("value").partition(":")[0] for p in properties if "assert" in p.get("name")} == {
        "assert_gradient": "mismatch",
        "assert_directional": "match",
    }


def test_nothing_is_saved_unless_asked_for(suite):
    done = outcome("-k", "factor", suite=suite)
    done.assert_outcomes(passed=1, failed=1, deselected=4)
    assert not [path for path in suite.path.rglob("*") if path.suffix in (".json", ".html", ".txt")]
    # The report is the message, and the traceback ends in the test.
    done.stdout.fnmatch_lines(["E * fastgrad.testing.CheckFailed: MISMATCH: 2 of 2 *", "test_suite.py:*: CheckFailed"])
    done.stdout.no_fnmatch_line("*testing.py:*")


def test_a_module_that_cannot_be_collected_is_left_to_pytest(pytester):
    pytester.makepyfile(test_broken="1 / 0")
    done = outcome("--fastgrad-report=reports", suite=pytester)
    done.assert_outcomes(errors=1)
    assert "INTERNALERROR" not in done.stdout.str() + done.stderr.str()
    assert list((pytester.path / "reports").iterdir()) == []


MORE_THAN_ONCE = """
import unittest

import numba
import pytest

from fastgrad.testing import assert_gradient


@numba.njit
def f(x):
    return (x * x).sum()


def test_subtests(subtests):
    for wrong in (-1.0, -2.0, -3.0):
        with subtests.test(wrong=wrong):
            assert_gradient(f, [1.0, 2.0], [2.0, wrong])


class TestCase(unittest.TestCase):
    def test_unittest(self):
        for wrong in (-4.0, -5.0):
            with self.subTest(wrong=wrong):
                assert_gradient(f, [1.0, 2.0], [2.0, wrong])


def test_wrapped():
    try:
        assert_gradient(f, [1.0, 2.0], [2.0, -6.0])
    except AssertionError as error:
        raise RuntimeError("wrapped") from error


@pytest.mark.xfail
def test_expected():
    assert_gradient(f, [1.0, 2.0], [2.0, -7.0])
"""


def test_no_report_replaces_another_and_all_are_listed(pytester):
    pytester.makepyfile(test_more=MORE_THAN_ONCE)
    done = outcome("--fastgrad-report=reports", suite=pytester)
    texts = {path: path.read_text() for path in (pytester.path / "reports").glob("*.txt")}
    assert len(texts) == 7
    for value in range(1, 8):
        (path,) = (
            path for path, text in texts.items() if f"worst x[1]: analytical -{value}," in " ".join(text.split())
        )
        assert path.with_suffix(".json").exists() and path.with_suffix(".html").exists()
        done.stdout.fnmatch_lines([f"reports/{path.name}"])
    assert {path.stem[-2:] for path in texts if "subtests" in path.stem} > {"-2", "-3"}


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ("taken", "ERROR: --fastgrad-report is 'taken', where no folder can be made (File exists); name another."),
        ("taken/below", "ERROR: --fastgrad-report is 'taken/below', where no folder can be made (Not a directory); *"),
        ("", "ERROR: --fastgrad-report is empty; need the name of a folder: --fastgrad-report=reports."),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused_before_any_test_runs(pytester, folder, complaint):
    pytester.makepyfile(test_more="def test():\n    pass")
    (pytester.path / "taken").write_text("a file")
    done = outcome(f"--fastgrad-report={folder}", suite=pytester)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([complaint])
    assert "INTERNALERROR" not in done.stdout.str() + done.stderr.str()


def test_a_report_that_cannot_be_written_does_not_end_the_run(pytester):
    pytester.makepyfile(
        test_more=MORE_THAN_ONCE
        + """

def test_of_the_folder():
    import pathlib, shutil
    shutil.rmtree("reports")
    pathlib.Path("reports").write_text("now a file")
    assert_gradient(f, [1.0, 2.0], [2.0, -8.0])
"""
    )
    done = outcome("--fastgrad-report=reports", "-k", "folder or wrapped", suite=pytester)
    done.assert_outcomes(failed=2, deselected=3)
    done.stdout.fnmatch_lines(["of test_more.py::test_of_the_folder: not saved (Not a directory)"])


def test_an_unknown_assertion(suite):
    suite.makepyfile(test_other="def test(fastgrad_testing):\n    fastgrad_testing.check_gradient")
    outcome("test_other.py", suite=suite).stdout.fnmatch_lines(
        ["*AttributeError: fastgrad_testing has no 'check_gradient'; it has the assert_... functions."]
    )


def test_the_start_of_pytest_waits_for_no_compiler():
    script = "import sys, fastgrad._pytest_plugin; print(sorted({'numba', 'numpy', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("nodeid", "when", "stem"),
    [
        ("test_a.py", "call", "test_a.py"),
        ("a/test_a.py::test[1]", "call", "a-test_a.py-test[[]1]-????????"),
        ("../test_a.py", "setup", "test_a.py-setup-????????"),
    ],
)
def test_file_names(nodeid, when, stem):
    assert fnmatch.fnmatchcase(file_stem(nodeid, when), stem)


def test_file_names_of_different_tests_differ():
    long = "test_a.py::test[" + "é/" * 500
    names = [file_stem(name) for name in ("a::b", "a-b", "a/b", long + "1]", long + "2]")]
    assert len(set(names)) == 5
    assert max(map(len, names)) < 140


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, None),
        ({"PYTEST_XDIST_WORKER_COUNT": "1"}, None),
        ({"PYTEST_XDIST_WORKER_COUNT": "3", "NUMBA_NUM_THREADS": "8"}, 2),
        ({"PYTEST_XDIST_WORKER_COUNT": "16", "NUMBA_NUM_THREADS": "8"}, 1),
    ],
)
def test_workers_share_the_threads(environment, threads):
    assert _share_of_threads(environment) == threads
