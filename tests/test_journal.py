"""Checkpoints: nothing is lost to a kill, nothing foreign or torn is trusted."""

import json
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
from fastgrad._contents import digest
from fastgrad._journal import _HEAD, Journal, Subject

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
        ({"weight": 2.5}, r"args \(args\[0\]\) differs"),
        ({"f": quintic}, r"objective \(f\.__code__\) differs"),
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


FOREIGN = [b"not ours", b"{}\n", b'{"format": "fastgrad checkpoint 0"}\n', b"[1]\n", b"\n", b"[" * 200_000 + b"\n"]


@pytest.mark.parametrize("content", FOREIGN)
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


def records(data):
    """Where each record begins."""
    start = data.index(b"\n") + 1
    while start < len(data):
        yield start
        start += _HEAD.size + _HEAD.unpack_from(data, start)[1] + 4


@pytest.mark.parametrize("where", range(_HEAD.size))
def test_damage_to_the_length_of_a_record_is_not_taken_for_a_kill(tmp_path, where):
    check(tmp_path / "file", max_evaluations=60)
    check(tmp_path / "file")
    data = bytearray((tmp_path / "file").read_bytes())
    second = list(records(data))[1]
    data[second + where] ^= 1
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=f"is damaged at byte {second}"):
        check(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == data


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        check(tmp_path / "file" / "below")
    assert any("cannot be written" in note for note in caught.value.__notes__)


def test_a_full_disk_loses_nothing(tmp_path):
    script = HAZARDS / "full_disk.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert f"File too large: '{tmp_path / 'file'}'" in done.stdout
    assert "0 < coverage <= 1" in done.stdout


def run_to_the_end(path):
    """What the script prints of its result, and the number of evaluations."""
    command = [sys.executable, HAZARDS / "killed.py", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    result, evaluations = done.stdout.splitlines()[-1].rsplit(" ", 1)
    return result, int(evaluations)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run_to_the_end(tmp_path_factory.mktemp("undisturbed") / "file")


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_killed_process_is_continued_to_the_bit(tmp_path, undisturbed, slices):
    script, path = HAZARDS / "killed.py", tmp_path / "file"
    with subprocess.Popen([sys.executable, script, path], stdout=subprocess.PIPE, text=True) as process:
        assert [process.stdout.readline() for _ in range(slices)] == ["slice\n"] * slices
        time.sleep(random.Random(slices).uniform(0.0, 0.1))  # be it while the next is written
        process.send_signal(signal.SIGKILL)
    resumed = run_to_the_end(path)
    assert resumed[0] == undisturbed[0]
    assert resumed[1] < undisturbed[1]


def test_a_failure_that_passes_does_not_stay_in_the_file(tmp_path):
    down, calls = tmp_path / "down", []
    down.touch()

    def answer(x):
        calls.append(1)
        if len(calls) > 30 and down.exists():
            raise ConnectionError("the licence server did not answer")
        return float(np.sum(x**2))

    f = fastgrad.python_objective(answer)
    with pytest.raises(ConnectionError) as caught:
        fastgrad.check_gradient(f, X, 2.0 * X, checkpoint=tmp_path / "file")
    assert caught.value.result.verdict is fastgrad.Verdict.INCONCLUSIVE
    assert np.count_nonzero(np.isfinite(caught.value.result.numerical_grad)) == 14
    down.unlink()
    resumed = fastgrad.check_gradient(f, X, 2.0 * X, checkpoint=tmp_path / "file")
    whole = fastgrad.check_gradient(f, X, 2.0 * X)
    assert_same(resumed, whole)
    assert whole.evaluations - resumed.evaluations >= 2 * 14


def test_points_where_f_always_raises_are_tried_again_with_the_same_result(tmp_path):
    @nb.njit
    def edge(x):
        if x[7] > X[7]:
            raise ValueError("out of the domain")
        return np.sum(x**2)

    whole = fastgrad.check_gradient(edge, X, 2.0 * X)
    for _ in range(2):
        assert_same(fastgrad.check_gradient(edge, X, 2.0 * X, checkpoint=tmp_path / "file"), whole)


def forked(path, how):
    command = [sys.executable, HAZARDS / "forked_pool.py", path, how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_living_pool_of_forked_workers_does_not_keep_the_file(tmp_path):
    out, error = forked(tmp_path / "file", "again").communicate(timeout=600)
    assert out.splitlines()[-1] == "Verdict.MATCH", error


def test_the_workers_of_a_killed_process_do_not_keep_the_file(tmp_path):
    with forked(tmp_path / "file", "once") as process:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        try:
            process.kill()
            process.wait()
            for pid in workers:
                os.kill(pid, 0)  # they live
            Journal(tmp_path / "file", read_subject(tmp_path / "file")).close()
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGKILL)


def read_subject(path):
    header = json.loads(path.read_bytes().partition(b"\n")[0])
    return Subject(**{name: value for name, value in header.items() if name != "format"})


def test_arrays_are_told_apart_by_shape_and_type():
    a = np.arange(4.0)
    assert digest(a) == digest(a.copy())
    assert len({digest(a), digest(a.reshape(2, 2)), digest(a.astype(np.float32)), digest(a + 0.1)}) == 4


def test_values_that_are_not_finite_are_kept(tmp_path):
    subject = Subject("0", "0", {}, 1.0, 0.0)
    outputs, status = np.array([[np.nan, np.inf, -0.0]]), np.zeros(3, np.uint8)
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
    assert how.tolist() == [0, 0, 0]
    assert os.path.getsize(tmp_path / "file") > 0
