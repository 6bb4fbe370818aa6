"""Executors: really run, and every number the same to the bit as on one thread."""

import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numba as nb
import numpy as np
import pytest
from remote_cases import CASES, asleep, asleep_gradient, check, difference, narrow, narrow_gradient

import fastgrad
from fastgrad import _components, _objective, _remote, _worker

HAZARDS = Path(__file__).parent / "hazards"
SLOW_X = np.linspace(1.0, 2.0, 300)
PATIENCE = 600.0  # seconds until a test that waits for something gives up and fails


def check_slow(microseconds=1000, x=SLOW_X, **options):
    return fastgrad.check_gradient(asleep, x, asleep_gradient, args=(microseconds,), **options)


def spawned(workers=2):
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(3) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes():
    with spawned() as pool:
        yield pool


@pytest.fixture(scope="module")
def loky():
    # A worker that ends because it had nothing to do, just when it gets something, would be a warning.
    pool = pytest.importorskip("loky").get_reusable_executor(2, timeout=PATIENCE)
    yield pool
    pool.shutdown()


@pytest.fixture(scope="module")
def dask_client():
    """A scheduler and two worker processes, on loopback."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    patience = dict.fromkeys(("distributed.comm.timeouts.connect", "distributed.comm.timeouts.tcp"), f"{PATIENCE:g} s")
    with pytest.importorskip("dask").config.set(patience):
        with warnings.catch_warnings(action="ignore"):  # a slow disk
            cluster = distributed.LocalCluster(**options)
        with cluster, distributed.Client(cluster) as client:
            yield client


@pytest.fixture(scope="module")
def dask(dask_client):
    return dask_client.get_executor()


@pytest.fixture(scope="module")
def on_one_thread():
    return {name: check(**options, threads=1) for name, options in CASES.items()}


# --- the same numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["threads", "processes", "loky", "dask"])
def test_every_executor_gives_the_same_bits(kind, case, request, on_one_thread):
    executor = request.getfixturevalue(kind)
    result = check(**CASES[case], executor=executor)
    assert difference(result, on_one_thread[case]) == []
    assert result.executor == type(executor).__name__
    assert result.threads == (3 if kind == "threads" else 2)


def test_the_comparison_can_fail(on_one_thread):
    assert "numerical_grad" in difference(on_one_thread["match"], on_one_thread["closer looks at all"])
    assert "verdict" in difference(on_one_thread["match"], on_one_thread["mismatch"])


def test_mpi_gives_the_same_bits():
    pytest.importorskip("mpi4py")
    if shutil.which("mpiexec") is None:
        pytest.skip("needs mpiexec")
    cases = ["mismatch", "closer looks at all", "float32"]
    command = ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", HAZARDS / "on_mpi.py"]
    done = subprocess.run([*command, *cases], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name}: same (MPIPoolExecutor, 2)" for name in cases]


EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize(
    ("needed", "command"),
    [
        ("distributed", [sys.executable, EXAMPLES / "on_dask.py"]),
        ("mpi4py", ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", EXAMPLES / "on_mpi.py"]),
    ],
)
def test_examples_on_several_processes(needed, command):
    pytest.importorskip(needed)
    pytest.importorskip("sklearn")
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MATCH: all 31 components agree")
    assert done.stdout.endswith("same numbers as on one thread: True\n")


# --- what is sent -----------------------------------------------------------------------------------------------


class InTurn(Executor):
    """Gives the tasks to workers in turn, so that none takes two in a row, and keeps their sizes, as they travel."""

    def __init__(self, *workers):
        self._workers, self._max_workers, self.sizes = workers, len(workers), []

    def submit(self, function, task):
        worker = self._workers[len(self.sizes) % self._max_workers]
        self.sizes.append(len(pickle.dumps(task)))
        return worker.submit(function, task)


def test_x_is_sent_once_per_worker():
    x = np.linspace(1.0, 2.0, 20_000)
    with spawned(1) as one, spawned(1) as two:
        executor = InTurn(one, two)
        assert fastgrad.check_gradient(narrow, x, narrow_gradient, executor=executor).passed
    with_x = sum(size > x.nbytes for size in executor.sizes)
    assert with_x == 2
    assert len(executor.sizes) > 3 * with_x
    # All other tasks: a coordinate and a step for each difference, and some hundred bytes.
    assert sum(executor.sizes) - with_x * x.nbytes < 16 * x.size + 2000 * len(executor.sizes)


class Forgetful(Executor):
    """Works at once, on what really travels, and loses its memory before every third task."""

    _max_workers = 1

    def __init__(self):
        self.answers = []

    def submit(self, function, task):
        if len(self.answers) % 3 == 2:
            _worker._thread.benches.clear()
            assert task.key not in _worker._jobs
        future = Future()
        self.answers.append(function(pickle.loads(pickle.dumps(task))))
        future.set_result(self.answers[-1])
        return future


def test_a_worker_that_has_forgotten_is_told_again(on_one_thread):
    executor = Forgetful()
    case = "closer looks at all"
    assert difference(check(**CASES[case], executor=executor), on_one_thread[case]) == []
    assert executor.answers.count(None) >= 3


def test_a_worker_keeps_few_checks():
    with ThreadPoolExecutor(1) as pool:
        for _ in range(_worker._KEPT + 2):
            check(executor=pool)
        kept = pool.submit(lambda: list(_worker._thread.benches)).result()
        assert len(kept) == _worker._KEPT
        assert set(kept) <= set(_worker._jobs)
    assert not set(kept) & set(_worker._jobs)  # x and the arguments go with the thread


# --- workers that die -------------------------------------------------------------------------------------------


def until(condition):
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def kill_once(pids, is_noticed):
    """A progress function that kills the first of these processes when something has been done, and waits."""
    left = list(pids)[:1]

    def progress(done, total):
        if left:
            os.kill(left.pop(), signal.SIGKILL)
            until(is_noticed)

    return progress


def is_broken(pool):
    try:
        pool.submit(int)
    except BrokenExecutor:
        return True
    return False


def test_a_broken_pool_reports_what_is_done_and_the_checkpoint_goes_on(tmp_path):
    undisturbed = check_slow()
    with spawned() as pool:
        kill = kill_once([pool.submit(os.getpid).result()], lambda: is_broken(pool))
        part = check_slow(executor=pool, checkpoint=tmp_path / "file", progress=kill)
        assert 0.0 < part.coverage < 1.0
        assert part.verdict is fastgrad.Verdict.INCONCLUSIVE
        assert "before a broken pool (" in part.reason
        again = check_slow(executor=pool)  # broken for good
        assert again.coverage == 0.0
    with ThreadPoolExecutor(2) as pool:
        whole = check_slow(executor=pool, checkpoint=tmp_path / "file")
    assert whole.evaluations < undisturbed.evaluations
    assert set(difference(whole, undisturbed)) == {"evaluations"}


def test_dask_gives_the_slices_of_a_killed_worker_to_another(dask_client):
    def workers():
        return {pid for pid in dask_client.run(os.getpid, on_error="return").values() if isinstance(pid, int)}

    pids = workers()
    result = check_slow(executor=dask_client.get_executor(), progress=kill_once(pids, lambda: workers() != pids))
    assert difference(result, check_slow()) == []
    until(lambda: len(workers()) == 2)  # as the tests that come next expect it


# --- errors -----------------------------------------------------------------------------------------------------


@nb.njit
def raising(x):
    if x[2] != 3.0:
        raise ValueError("the third coordinate is too hot")
    return np.sum(x**2)


@nb.njit
def writing_to_x(x):
    if x[2] != 3.0:
        x[1] = 0.0
    return np.sum(x**2)


@nb.njit
def writing_to_its_arguments(x, work):
    if x[2] != 3.0:
        work[0] += 1.0
    return np.sum(x**2)


def test_an_exception_of_f_arrives_as_it_is(processes):
    with pytest.raises(ValueError, match="the third coordinate is too hot") as caught:
        fastgrad.check_gradient(raising, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0], executor=processes)
    assert any("f raised at x + h, x[2] = 3.0" in note for note in caught.value.__notes__)


def test_writing_to_x_is_noticed_in_a_worker(processes):
    with pytest.raises(ValueError, match="f writes to x; need an f that only reads"):
        fastgrad.check_gradient(writing_to_x, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0], executor=processes)


def test_writing_to_arguments_is_noticed_in_a_worker(processes):
    work = np.zeros(3)
    with pytest.raises(ValueError, match=r"f writes to args\[0\]"):
        fastgrad.check_gradient(
            writing_to_its_arguments, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0], args=(work,), executor=processes
        )
    assert work[0] == 0.0


@nb.njit
def with_list(x, numbers):
    return np.sum(x**2) * numbers[0]


@pytest.mark.parametrize("kind", ["processes", "loky", "dask"])
def test_an_argument_that_cannot_be_sent_is_named(kind, request):
    executor = request.getfixturevalue(kind)
    numbers = nb.typed.List([1.0])
    with pytest.raises(TypeError) as caught:
        fastgrad.check_gradient(with_list, [1.0, 2.0], [2.0, 4.0], args=(numbers,), executor=executor)
    assert str(caught.value).startswith(f"args[0] cannot be sent to the workers of {type(executor).__name__} (")
    assert "\n" not in str(caught.value)
    assert difference(check(executor=executor), check()) == []  # and the executor goes on


def test_threads_need_nothing_sent(threads):
    numbers = nb.typed.List([1.0])
    assert fastgrad.check_gradient(with_list, [1.0, 2.0], [2.0, 4.0], args=(numbers,), executor=threads).passed


def test_an_executor_that_was_shut_down_is_an_error():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown") as caught:
        check(executor=pool)
    assert caught.value.result.coverage == 0.0


def test_an_executor_that_is_shut_down_leaves_what_was_found():
    pool = ThreadPoolExecutor(2)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown") as caught:
        check_slow(executor=pool, progress=lambda done, total: pool.shutdown(wait=False))
    assert 0.0 < caught.value.result.coverage < 1.0
    assert "before an error of the executor ended the check" in caught.value.result.reason


class Canceller(Executor):
    """Cancels everything but its first task, as a cluster does that is taken down."""

    _max_workers = 2

    def __init__(self):
        self._first = True

    def submit(self, function, task):
        future = Future()
        if self._first:
            future.set_result(function(task))
        else:
            future.cancel()
        self._first = False
        return future


def test_cancelled_tasks_leave_what_was_found():
    with pytest.raises(CancelledError) as caught:
        check_slow(executor=Canceller())
    assert 0.0 < caught.value.result.coverage < 1.0


@pytest.mark.parametrize(
    ("executor", "text"),
    [(4, "executor is a int; need a concurrent.futures.Executor"), (ThreadPoolExecutor, "executor is a type; need")],
)
def test_what_is_no_executor_is_refused(executor, text):
    with pytest.raises(TypeError, match=text):
        check(executor=executor)


def test_a_dask_client_is_told_how(dask_client):
    with pytest.raises(TypeError, match=r"pass client.get_executor\(\)"):
        check(executor=dask_client)


def test_threads_and_executor_exclude_each_other(threads):
    with pytest.raises(ValueError, match="both threads and executor"):
        check(executor=threads, threads=2)


# --- limits and interruptions -----------------------------------------------------------------------------------


def test_a_time_limit_ends_a_long_check(threads, clock):
    options = {"time_limit": 0.5, "noise": 1e-12, "progress": lambda done, total: clock.advance(0.3)}
    result = check_slow(1, executor=threads, **options)
    assert 0.0 < result.coverage < 1.0
    assert "before the time limit of 0.5 s ended the check" in result.reason


def test_progress_counts_up_to_all_first_evaluations(processes):
    calls = []
    check_slow(executor=processes, progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert all(done < total for done, total in calls[:-1])
    assert calls[-1] == (600, 600)
    assert len(calls) > 4


class Silent(Executor):
    """Answers `left` tasks, and then no more, as workers do that are gone without a trace."""

    _max_workers = 2

    def __init__(self, left, when_silent=lambda: None):
        self.left, self.when_silent, self.answered, self.held = left, when_silent, [], []
        # So that a test that fails ends at all.
        self.watchdog = threading.Timer(PATIENCE, self.give_up)
        self.watchdog.daemon = True

    def __enter__(self):
        self.watchdog.start()
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()

    def submit(self, function, task):
        future = Future()
        if len(self.answered) < self.left:
            future.set_result(function(task))
            self.answered.append(future)
        else:
            self.held.append(future)
            self.when_silent()
        return future

    def give_up(self):
        for future in self.held:
            if not future.done():
                future.set_exception(TimeoutError("waited without an end"))


@pytest.mark.parametrize(("left", "reason"), [(0, "no component was checked: the"), (2, "before the")])
def test_a_time_limit_ends_waiting_for_workers_that_are_gone(monkeypatch, clock, left, reason):
    monkeypatch.setattr(_remote, "_TASK_SECONDS", 0.05)
    with Silent(left, clock.run) as executor:
        result = check(executor=executor, time_limit=0.5, noise=1e-12)
    assert f"{reason} time limit of 0.5 s" in result.reason
    assert (result.coverage > 0.0) == (left > 0)
    assert executor.held
    assert all(future.cancelled() for future in executor.held)


def test_the_first_tasks_are_small_however_quick_f_is_at_x(monkeypatch, clock):
    """Sizes of tasks, and answers that had come when each was sent."""
    for module in (_components, _objective, _worker):
        monkeypatch.setattr(module, "time", clock)  # all work takes no time at all
    sent, answered = [], [0]

    class Noting(Forgetful):
        def submit(self, function, task):
            items = task.arrays[-1].size
            sent.append((items, max(answered)))
            future = Future()
            future.set_result(function(task))
            answered.append(items)
            return future

    assert check(executor=Noting(), x=np.ones(60)).passed
    assert sent[0] == (1, 0)
    assert all(items <= 8 * largest for items, largest in sent[1:])
    assert max(items for items, _ in sent) > 8


def when_waiting(monkeypatch, what):
    """Have `what` called whenever a check has sent all it can and begins to wait for an answer."""
    wait = _remote._Pending.next_finished

    def waiting(pending, seconds):
        what()
        return wait(pending, seconds)

    monkeypatch.setattr(_remote._Pending, "next_finished", waiting)


def test_no_worker_gets_two_tasks_before_one_has_answered(monkeypatch):
    sent, seen = [], []
    release = threading.Event()

    class Holding(ThreadPoolExecutor):
        def submit(self, function, task):
            sent.append(task.arrays[-1].size)
            return super().submit(lambda: (release.wait(PATIENCE), function(task))[1])

    when_waiting(monkeypatch, lambda: (seen.append(list(sent)), release.set()))
    with Holding(3) as pool:
        assert check(executor=pool).passed
    assert seen[0] == [1, 1, 1]


def test_an_interruption_cancels_what_waits(monkeypatch):
    def interrupt():
        if executor.held:  # nothing will happen any more
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()

    when_waiting(monkeypatch, interrupt)
    with Silent(2) as executor, pytest.raises(KeyboardInterrupt) as caught:
        check(executor=executor)
    result = caught.value.result
    assert 0.0 < result.coverage < 1.0
    assert "before an interruption ended the check" in result.reason
    assert executor.held
    assert all(future.cancelled() for future in executor.held)


def test_a_terminal_interrupts_workers_too():
    script = [sys.executable, HAZARDS / "interrupted_pool.py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(script, start_new_session=True, **pipes) as process:
        watchdog = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        before = sorted(process.stdout.readline().strip() for _ in range(4))
        assert before == ["progress", "waiting", "waiting", "working"]
        os.killpg(process.pid, signal.SIGINT)
        lines, errors = process.stdout.read(), process.stderr.read()
        watchdog.cancel()
    assert lines.splitlines()[-1] == "part", errors
    assert "ended the check" in lines


def test_an_interruption_of_the_progress_function_keeps_the_result(threads):
    def progress(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        check_slow(executor=threads, progress=progress)
    assert 0.0 < caught.value.result.coverage < 1.0


class Lagging(Executor):
    """Answers each task when it is given the next one, so that one is always waiting."""

    _max_workers = 2

    def __init__(self):
        self.futures, self.last = [], None

    def submit(self, function, task):
        if self.last is not None:
            self.futures[-1].set_result(self.last[0](self.last[1]))
        self.last = function, task
        self.futures.append(Future())
        return self.futures[-1]


def test_what_progress_raises_is_the_users():
    executor = Lagging()
    with pytest.raises(ZeroDivisionError):
        check_slow(1, executor=executor, progress=lambda done, total: 1 / (done < 20))
    assert executor.futures[-1].cancelled()
    assert sum(future.cancelled() for future in executor.futures) < len(executor.futures)


# --- checkpoints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["match", "mismatch", "closer looks at all", "float32"])
def test_what_threads_began_processes_finish(tmp_path, processes, on_one_thread, case):
    options = {**CASES[case], "checkpoint": tmp_path / "file"}
    part = check(**options, indices=np.arange(0, 60, 3))
    whole = check(**options, executor=processes)
    assert set(difference(whole, on_one_thread[case])) <= {"evaluations"}
    assert whole.evaluations < on_one_thread[case].evaluations
    again = check(**options)
    assert part.evaluations > 2
    assert set(difference(again, whole)) <= {"evaluations"}
    assert again.evaluations <= 4  # the trials


def test_two_checks_at_once_need_two_files(tmp_path):
    def progress(done, total):
        with pytest.raises(ValueError, match="is in use by another check"):
            check(checkpoint=tmp_path / "file")

    assert check(checkpoint=tmp_path / "file", progress=progress).passed


def test_a_header_cut_off_is_begun_anew(tmp_path):
    check(checkpoint=tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(data[:20])
    assert check(checkpoint=tmp_path / "file").evaluations > 100
    assert (tmp_path / "file").read_bytes().startswith(data[:300])  # the header; slices depend on the clock
    assert check(checkpoint=tmp_path / "file").evaluations == 2
