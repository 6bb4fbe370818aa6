"""README.md shows what its examples print."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import fastgrad

SCRIPT = Path(__file__).parent.parent / "docs" / "run_examples.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("run_examples", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_is_current(script):
    pytest.importorskip("sklearn")  # one of the examples uses its data
    readme, fresh = script.render_file(script.README)
    assert script.is_current(readme, fresh), f"run python docs/run_examples.py; README.md would be:\n{fresh}"


def test_functions_named_in_the_table_exist(script):
    rows = re.findall(r"^\| (`[^|]*`) \| ", script.README.read_text(), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert "check_gradient" in names
    assert set(names) <= set(fastgrad.__all__)


def test_the_table_of_verdicts_takes_each_share_from_its_row(script, monkeypatch):
    """Wherever the row stands: what is undecided is not accepted."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(SCRIPT.parent / "figures")
    readme = importlib.import_module("readme")
    whats = ("right, left inconclusive", "missed, wrong by 10 % or more", "evaluations, mean", "false alarms")
    shares = dict(zip(whats, ("57.0 %", "1.6 %", "30", "3.4 %"), strict=True))
    tables = {
        "peers-1": [{"rule": rule, "": what, **dict.fromkeys(readme.KINDS, shares[what])}
                    for name in readme.RULES for rule, what in zip((name, "", "", ""), whats, strict=True)],
        "ours-1": [{"kind": kind, "step": "automatic", "inconclusive": "57.0 %"} for kind in readme.KINDS],
    }  # fmt: skip
    monkeypatch.setattr(readme, "rows_of", lambda page, block: tables[block])
    rows = [line.strip("|").split("|") for line in readme.verdicts().splitlines()[2:]]
    assert {cell.strip() for row in rows[:-1] for cell in row[1:]} == {"3 % / 2 %"}
    assert {cell.strip() for cell in rows[-1][1:]} == {"57 %"}


SHOWN = """
MISMATCH: 1 of 10 components differs; worst x[9]:
analytical 0, numerical 79.0123 +- 8e-13.
     x[9]       1 3e+00          0   79.0123 8e-13  7.9e+01    1e+00
     x[0]      -1 1e-07   -715.111  -715.111 5e-06  6.0e-07    8e-10

66 evaluations of f in 2.13 s on 2 threads (prange)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.13 s on 2 threads (prange)", "0.4 s on 1 thread (serial)"),
        ("66 evaluations", "70 evaluations"),
        ("8e-13", "6e-12"),
        ("     x[9]       1", "  x[9]  1"),
        ("1 3e+00", "1 1e-01"),
        ("x[0]      -1 1e-07   -715.111  -715.111", "x[8]  0.7778 1e-07   -29.5254  -29.5254"),
    ],
)
def test_timing_and_rounding_may_differ(script, old, new):
    assert script.is_current(SHOWN, SHOWN.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MISMATCH", "MATCH"),
        ("x[9]", "x[8]"),
        ("7.9e+01    1e+00", "7.9e+01    1e-04"),
        ("numerical 79.0123", "numerical 97.0123"),
        ("numerical 79.0123", "numerical -79.0123"),
        ("\n\n66", "\n66"),
    ],
)
def test_anything_else_may_not(script, old, new):
    assert not script.is_current(SHOWN, SHOWN.replace(old, new))
