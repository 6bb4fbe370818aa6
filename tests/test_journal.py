"""Checkpoints: nothing is lost to a kill, nothing foreign or torn is trusted."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad._journal import Journal, digest, function_digest

HAZARDS = Path(__file__).parent / "hazards"


@nb.njit
def quartic(x, weight):
    return weight * np.sum(x**4) + x[0] * x[1]


def quartic_gradient(x, weight):
    gradient = 4.0 * weight * x**3
    gradient[0] += x[1]
    gradient[1] += x[0]
    return gradient


@nb.njit
def quintic(x, weight):
    return weight * np.sum(x**5) + x[0] * x[1]


X = np.linspace(-1.0, 2.0, 40)


def check(path, f=quartic, x=X, weight=2.0, **options):
    return fastgrad.check_gradient(f, x, quartic_gradient, args=(weight,), checkpoint=path, **options)


def assert_same(result, other):
    for name in ("numerical_grad", "estimate", "uncertainty", "flags", "step"):
        assert np.array_equal(getattr(result, name), getattr(other, name)), name
    assert result.verdict is other.verdict
    assert result.reason == other.reason


def test_a_second_call_evaluates_only_the_trial(tmp_path):
    undisturbed = fastgrad.check_gradient(quartic, X, quartic_gradient, args=(2.0,))
    first = check(tmp_path / "file")
    second = check(tmp_path / "file")
    assert_same(first, undisturbed)
    assert_same(second, undisturbed)
    assert first.evaluations == undisturbed.evaluations
    assert second.evaluations == 2


def test_closer_looks_are_kept_too(tmp_path):
    # A step so wide that truncation shows.
    first = check(tmp_path / "file", epsilon=0.1)
    assert first.evaluations > 2 * X.size + 26
    second = check(tmp_path / "file", epsilon=0.1)
    assert_same(first, second)
    assert second.evaluations == 2


def test_a_limited_run_is_continued(tmp_path):
    part = check(tmp_path / "file", max_evaluations=60)
    assert part.coverage < 1.0
    whole = check(tmp_path / "file", max_evaluations=100_000)
    again = fastgrad.check_gradient(quartic, X, quartic_gradient, args=(2.0,), max_evaluations=100_000)
    assert_same(whole, again)
    assert whole.evaluations < again.evaluations - 20


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"x": X + 1e-9}, "x differs"),
        ({"weight": 2.5}, "args differs"),
        ({"f": quintic}, "objective differs"),
        ({"epsilon": 1e-6}, "step differs"),
        ({"x": X[:-1]}, "x and step differ"),
    ],
)
def test_another_check_is_refused_by_name(tmp_path, change, named):
    check(tmp_path / "file")
    before = (tmp_path / "file").read_bytes()
    with pytest.raises(ValueError, match=f"belongs to another check: {named}"):
        check(tmp_path / "file", **change)
    assert (tmp_path / "file").read_bytes() == before


@pytest.mark.parametrize("content", [b"not ours", b"{}\n", b'{"format": "fastgrad checkpoint 0"}\n', b"[1]\n", b"\n"])
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="is not a checkpoint"):
        check(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content


def test_a_file_cut_anywhere_is_continued(tmp_path):
    whole = check(tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    header = data.index(b"\n") + 1
    cuts = [
        header,
        header + 1,
        header + 11,
        header + 40,
        *random.Random(0).sample(range(header, len(data)), 10),
        len(data) - 1,
    ]
    for cut in cuts:
        (tmp_path / "file").write_bytes(data[:cut])
        assert_same(check(tmp_path / "file"), whole)
        assert_same(check(tmp_path / "file"), whole)  # what was repaired is whole again


def test_damage_is_named(tmp_path):
    check(tmp_path / "file")
    data = bytearray((tmp_path / "file").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match="is damaged at byte"):
        check(tmp_path / "file")


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        check(tmp_path / "file" / "below")
    assert any("cannot be written" in note for note in caught.value.__notes__)


def test_a_full_disk_loses_nothing(tmp_path):
    script = HAZARDS / "full_disk.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    assert "0 < coverage <= 1" in done.stdout


def run_to_the_end(path):
    """What the script prints of its result, and the number of evaluations."""
    command = [sys.executable, HAZARDS / "killed.py", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    result, evaluations = done.stdout.splitlines()[-1].rsplit(" ", 1)
    return result, int(evaluations)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run_to_the_end(tmp_path_factory.mktemp("undisturbed") / "file")


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_is_continued_to_the_bit(tmp_path, undisturbed, seed):
    script, path = HAZARDS / "killed.py", tmp_path / "file"
    delay = random.Random(seed).uniform(0.05, 0.7)
    process = subprocess.Popen([sys.executable, script, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    resumed = run_to_the_end(path)
    assert resumed[0] == undisturbed[0]
    assert resumed[1] <= undisturbed[1]


def test_functions_are_recognised_by_what_they_compute():
    def make(constant):
        return nb.njit(lambda x: constant * x[0])

    assert function_digest(make(2.0)) == function_digest(make(2.0))
    assert function_digest(make(2.0)) != function_digest(make(3.0))
    assert function_digest(quartic) != function_digest(quintic)


def test_functions_called_by_an_objective_count():
    def outer(inner):
        return nb.njit(lambda x: inner(x) + 1.0)

    first, second = nb.njit(lambda x: x[0]), nb.njit(lambda x: x[1])
    assert function_digest(outer(first)) == function_digest(outer(first))
    assert function_digest(outer(first)) != function_digest(outer(second))


def test_arrays_are_told_apart_by_shape_and_type():
    a = np.arange(4.0)
    assert digest(a) == digest(a.copy())
    assert len({digest(a), digest(a.reshape(2, 2)), digest(a.astype(np.float32)), digest(a + 0.1)}) == 4


def test_values_that_are_not_finite_are_kept(tmp_path):
    subject = {"x": "0"}
    outputs, status = np.array([[np.nan, np.inf, -0.0]]), np.array([1, 0, 0], np.uint8)
    inputs = (np.array([3, 4, 5]), np.array([0.1, 0.2, 0.3]))
    journal = Journal(tmp_path / "file", subject)
    journal.record("displaced", bytes(16), inputs, outputs, status)
    journal.close()
    journal = Journal(tmp_path / "file", subject)
    found, how = np.zeros((1, 3)), np.full(3, 9, np.uint8)
    missing = journal.recall("displaced", bytes(16), inputs, found, how)
    journal.close()
    assert missing.size == 0
    assert found.tobytes() == outputs.tobytes()
    assert how.tolist() == [1, 0, 0]
    assert os.path.getsize(tmp_path / "file") > 0
