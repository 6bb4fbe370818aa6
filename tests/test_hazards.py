"""What Numba does to the unwary, one test per fact; most of them are silent wrong answers or a dead process.

====  =====================================================================  ===================================
 no   fact                                                                   test (here unless a file is named)
====  =====================================================================  ===================================
  1   a restore written in a prange body is removed as dead code             test_kernels: test_every_route_gives_
                                                                             the_bits_of_the_naive_difference
  2   exceptions inside prange are lost or replaced                          test_exceptions_arrive
  3   star calls cannot be tried, try cannot be in a prange body             test_argument_tuples_in_parallel
  4   compile options leak into a callee that is compiled first              test_compile_options_do_not_leak_into_f
  5   fastmath folds isnan and (x + h) - (x - h)                             test_nan_of_a_fastmath_f_is_seen,
                                                                             test_kernels: test_the_quotient_...
  6   kernels need NumPy's error model                                       test_kernels: test_a_vanished_step_...
  7   parallel f inside a parallel kernel aborts under workqueue             test_parallel_objectives
  8   parallel launches from two threads abort under workqueue               test_two_python_threads
  9   a child forked after a parallel run is killed under OpenMP             test_forks, test_quiet_import
 10   Ctrl-C arrives only when a kernel returns                              test_interruption
 11   caches: thread counts, unwritable places, torn files                   test_a_second_process_adds_no_file,
                                                                             test_damaged_cache_is_repaired,
                                                                             test_unwritable_cache, test_full_disk
 12   several function types on one dispatcher; warnings about them          test_kernels: test_kernels_are_compiled_
                                                                             once_..., test_bridge: test_compiled_
                                                                             functions_arrive_without_...
 13   prange rejects namedtuples, nested tuples and bytes                    test_argument_tuples_in_parallel
 14   plain threads give the same values as prange                           test_kernels: test_every_route_gives_...
 15   f that writes to x or args, or is random                               test_objective: test_f_that_...
 16   results that are no float                                              test_objective: test_result_that_...
 17   cfuncs, ufuncs, partials, methods; C behind a pointer                  test_objective: test_what_is_no_...,
                                                                             test_bridge: test_c_function_...
 18   NUMBA_DISABLE_JIT=1                                                    test_without_compilation
 19   parallel sums depend on the number of threads                          test_kernels: test_norms_of_large_...
 20   cached functions that inline another file's code grow stale            test_edited_f_is_never_stale,
                                                                             test_edited_package_is_never_stale
 21   sums of squares overflow and vanish                                    test_kernels: test_relative_error_...
 22   free-threaded builds are experimental                                  none: no claim is made
 23   a wrapper by its address                                               test_bridge: all
====  =====================================================================  ===================================
"""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba as nb
import numpy as np
import pytest
from numba.core.caching import FunctionCache

import fastgrad
from fastgrad import Verdict, _threads, check_gradient, numerical_gradient
from fastgrad._compiled import jit

TESTS = Path(__file__).parent
PACKAGE = Path(fastgrad.__file__).parent
LAYERS = ("workqueue", "omp")
PATIENCE = 600.0  # seconds until a process that does not end is given up, on a machine however slow


@functools.cache
def has_layer(layer):
    """Whether this installation of Numba can use a threading layer."""
    if layer == "workqueue":
        return True
    try:
        from numba.np.ufunc import omppool  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.fixture(params=LAYERS)
def layer(request):
    if not has_layer(request.param):
        pytest.skip(f"this Numba has no {request.param}")
    return request.param


def environment(*folders, **settings):
    path = os.pathsep.join([*map(str, folders), str(TESTS), str(PACKAGE.parent)])
    as_users_have_it = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}  # conftest.py
    return {**as_users_have_it, "NUMBA_NUM_THREADS": "2", "PYTHONPATH": path, **settings}


def run(scenario, *arguments, folders=(), options=(), **settings):
    """Run a scenario in a process of its own; it must survive and say nothing on standard error."""
    done = subprocess.run(
        [sys.executable, *options, "-m", "hazards.scenarios", scenario, *map(str, arguments)],
        cwd=TESTS, env=environment(*folders, **settings), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr}"
    assert done.stdout.splitlines()[-1:] == [f"{scenario} survived"]
    return done


def run_quietly(scenario, *arguments, **settings):
    assert run(scenario, *arguments, **settings).stderr == ""


# --- threads, processes, signals -----------------------------------------------------------------------------


SHARED = ("parallel_objectives", "exceptions", "argument_tuples", "two_python_threads")  # they leave nothing behind


@functools.cache
def shared_process(layer):
    """What the scenarios of `SHARED` left, which run one after the other in one process."""
    command = [sys.executable, "-m", "hazards.scenarios", ",".join(SHARED)]
    settings = environment(NUMBA_THREADING_LAYER=layer)
    return subprocess.run(command, cwd=TESTS, env=settings, capture_output=True, text=True, timeout=PATIENCE)


def require_survival(scenario, layer):
    done = shared_process(layer)
    assert f"{scenario} survived" in done.stdout.splitlines(), f"exit code {done.returncode}\n{done.stderr}"
    assert (done.returncode, done.stderr) == (0, "")


def test_parallel_objectives(layer):
    require_survival("parallel_objectives", layer)


def test_exceptions_arrive(layer):
    require_survival("exceptions", layer)


def test_argument_tuples_in_parallel(layer):
    require_survival("argument_tuples", layer)


def test_two_python_threads(layer):
    require_survival("two_python_threads", layer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forks(layer):
    # Python itself warns of forks beside threads from 3.12 on.
    run("forks", options=("-W", "ignore::DeprecationWarning"), NUMBA_THREADING_LAYER=layer)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process on Windows")
@pytest.mark.parametrize(
    ("scenario", "layer"),
    [("interruption", "workqueue"), ("interruption", "omp"), ("interruption_on_plain_threads", "workqueue")],
)
def test_interruption(scenario, layer):
    if not has_layer(layer):
        pytest.skip(f"this Numba has no {layer}")
    process = subprocess.Popen(
        [sys.executable, "-m", "hazards.scenarios", scenario],
        cwd=TESTS, env=environment(NUMBA_THREADING_LAYER=layer),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        assert process.stdout.readline() == "started\n"
        time.sleep(0.5)  # into the middle of a check that takes an hour
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        # By the same buffer as the lines before: communicate() would miss what came with one of them.
        output, errors = process.stdout.read(), process.stderr.read()
        process.wait()
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert (process.returncode, output, errors) == (0, f"{scenario} survived\n", "")


def test_all_threads_have_stopped_when_one_fails():
    """Or else they go on writing to arrays that the caller has taken back."""
    stopped = threading.Event()

    def task(lane):
        if lane == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        stopped.set()

    with pytest.raises(KeyboardInterrupt):
        _threads.run_on_threads(task, 2)
    assert stopped.is_set()


def test_quiet_import(layer):
    run_quietly("quiet_import", NUMBA_THREADING_LAYER=layer)


def test_without_compilation():
    run_quietly("without_compilation", NUMBA_DISABLE_JIT="1")


# --- compile options -----------------------------------------------------------------------------------------


def test_compile_options_do_not_leak_into_f():
    @nb.njit
    def callee(value):
        return 1.0 / value

    @nb.njit
    def f(x):
        return callee(x[0]) + x[1]

    assert check_gradient(f, [2.0, 3.0], [-0.25, 1.0]).passed
    for call in (lambda: callee(0.0), lambda: f(np.zeros(2)), lambda: numerical_gradient(f, np.zeros(2))):
        with pytest.raises(ZeroDivisionError):
            call()
    with pytest.raises(ZeroDivisionError) as caught:
        numerical_gradient(f, [2.0, 1.0], [2.0, 1e-6])  # 2 - 2 = 0
    assert caught.value.__notes__ == ["f raised at x - h, x[0] = 0.0 (h = 2)"]


def test_options_of_f_are_respected():
    @nb.njit(error_model="numpy")
    def f(x):
        return 1.0 / x[0] + x[1]

    gradient = numerical_gradient(f, [2.0, 1.0], [2.0, 1e-6])
    assert gradient[0] == -np.inf
    assert gradient[1] == pytest.approx(1.0)


@pytest.mark.parametrize("threads", [1, None])
def test_nan_of_a_fastmath_f_is_seen(threads):
    @nb.njit(fastmath=True)
    def f(x):
        return np.log(x[0]) + x[1]

    gradient = numerical_gradient(f, [1.0, 1.0], [2.0, 1e-6], threads=threads)
    assert np.isnan(gradient[0])  # log(-1)
    assert gradient[1] == pytest.approx(1.0)
    result = check_gradient(f, [-1.0, 1.0], [-1.0, 1.0], threads=threads)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "f(x) is nan" in result.reason


def test_differences_of_a_fastmath_f_use_the_step_really_taken():
    @nb.njit(fastmath=True)
    def f(x):
        return 2.0 * x[0]

    assert numerical_gradient(f, [1.5 * 2.0**20], 1.1e-9) == 2.0


# --- the disk cache ------------------------------------------------------------------------------------------


def files_in(folder):
    states = {path: path.stat() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(path.relative_to(folder)): (state.st_size, state.st_mtime_ns) for path, state in states.items()}


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    """A cache folder after one process has used every kernel."""
    folder = tmp_path_factory.mktemp("cache")
    run_quietly("every_kernel", "1.0", NUMBA_CACHE_DIR=str(folder))
    return folder


def test_a_second_process_adds_no_file(filled_cache):
    """Though objective, arguments, layer and number of threads are others."""
    before = files_in(filled_cache)
    names = " ".join(before)
    for kernel in ("differences_serial", "differences_parallel", "displaced_parallel", "along_parallel", "value_at"):
        assert kernel in names
    other = {"NUMBA_NUM_THREADS": "3", "NUMBA_THREADING_LAYER": "workqueue", "NUMBA_CACHE_DIR": str(filled_cache)}
    run_quietly("every_kernel", "2.5", **other)
    assert files_in(filled_cache) == before


DAMAGES = {
    "truncated code": ("*.nbc", lambda data: data[: len(data) // 2]),
    "foreign index": ("*.nbi", lambda data: b"not a pickle at all"),
    "empty files": ("*.nb?", lambda data: b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cache_is_repaired(damage, filled_cache, tmp_path):
    folder = tmp_path / "cache"
    shutil.copytree(filled_cache, folder)
    pattern, spoil = DAMAGES[damage]
    spoiled = list(folder.rglob(pattern))
    assert len(spoiled) >= 8
    for path in spoiled:
        path.write_bytes(spoil(path.read_bytes()))
    run_quietly("serial_check", NUMBA_CACHE_DIR=str(folder))
    repaired = files_in(folder)
    run_quietly("serial_check", NUMBA_CACHE_DIR=str(folder))
    assert files_in(folder) == repaired


@pytest.fixture
def package_without_cache(tmp_path):
    """A copy of the package beside which, and in whose user's folders, nothing can be written (even by root)."""
    copy = tmp_path / "site" / "fastgrad"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    barrier = copy / "_compiled" / "__pycache__"
    barrier.write_text("a file where Numba wants a folder")
    nowhere = str(barrier / "below")
    return copy.parent, {"NUMBA_CACHE_DIR": nowhere, "XDG_CACHE_HOME": nowhere, "HOME": nowhere}


def test_unwritable_cache(package_without_cache):
    site, settings = package_without_cache
    done = run("serial_check", folders=(site,), options=("-W", "always"), **settings)
    warned = re.findall(r"(\w+Warning: .*)", done.stderr)
    assert len(warned) == 1
    assert "RuntimeWarning: fastgrad's kernels are compiled anew in this process" in warned[0]
    assert "Set NUMBA_CACHE_DIR to a writable folder, or FASTGRAD_DISABLE_CACHE=1" in warned[0]
    done = run("serial_check", folders=(site,), options=("-W", "always"), FASTGRAD_DISABLE_CACHE="1", **settings)
    assert done.stderr == ""


def test_edited_package_is_never_stale(tmp_path):
    """A kernel inlines helpers of other files than its own, whose edits Numba does not see."""
    shutil.copytree(PACKAGE, tmp_path / "fastgrad", ignore=shutil.ignore_patterns("__pycache__"))
    ask = "import numba, fastgrad; print(fastgrad.numerical_gradient(numba.njit(lambda x: x[0]), [1.0], threads=1)[0])"

    def answer():
        settings = environment(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
        command = [sys.executable, "-c", ask]
        return float(
            subprocess.run(
                command, cwd=tmp_path, env=settings, capture_output=True, check=True, timeout=PATIENCE
            ).stdout
        )

    assert answer() == pytest.approx(1.0)
    bridge = tmp_path / "fastgrad" / "_compiled" / "bridge.py"
    text = bridge.read_text()
    edited = text.replace("return _call_objective(function, block, point)", "return (float(point[0]) * 9.0, 0)")
    assert edited != text
    bridge.write_text(edited)
    assert answer() == pytest.approx(9.0)


MODEL = """
import numba, fastgrad

@numba.njit(cache=True)
def inner(x):
    return {factor} * x[0]

@numba.njit(cache=True)
def f(x):
    return inner(x) + {offset} * x[1]

print(*fastgrad.numerical_gradient(f, [1.0, 1.0], 2.0**-10))
"""


def test_edited_f_is_never_stale(tmp_path):
    model = tmp_path / "model.py"
    for hour, (factor, offset) in enumerate(((2.0, 3.0), (2.0, 5.0), (2.0, 3.0))):
        model.write_text(MODEL.format(factor=factor, offset=offset))
        os.utime(model, (1e9 + 3600 * hour,) * 2)  # some file systems know the second only
        command = [sys.executable, str(model)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=PATIENCE)
        assert list(map(float, done.stdout.split())) == [factor, offset]


def thrice(value):
    return value * 3


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(nb.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit, "_has_warned", False)
    return tmp_path


def test_full_disk(own_cache, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(FunctionCache, "save_overload", fail)
    compiled = jit.kernel()(thrice)
    with pytest.warns(RuntimeWarning, match="No space left on device") as caught:
        assert compiled(2.0) == 6.0
        assert compiled(2) == 6
    assert len(caught) == 1


def test_code_stored_under_the_name_of_another_signature_is_not_used(own_cache):
    """As two processes leave it that fill an empty cache at the same moment."""
    compiled = jit.kernel()(thrice)
    assert (compiled(2.0), compiled(2)) == (6.0, 6)
    one, two = sorted(own_cache.rglob("*.nbc"))
    shutil.copy(one, two)
    again = jit.kernel()(thrice)
    assert again(2) == 6
    assert isinstance(again(2), int)
    assert again(2.5) == 7.5


def test_functions_and_instances_are_not_stored(own_cache):
    """Their types mean nothing to another process."""
    compiled = jit.kernel()(lambda f: 1)
    compiled(nb.njit(lambda: 1))
    assert list(own_cache.rglob("*.nb?")) == []
