"""What pytest has to know before it looks for tests, and what several files of tests share."""

from __future__ import annotations

import builtins
import os
import signal
import sys
import time

import hypothesis
import pytest

# Scripts that tests run as processes of their own; some limit or kill the process that imports them.
collect_ignore = ["hazards"]

# Threads of OpenMP that wait by spinning keep a busy machine from the work they wait for: most tests launch so small
# kernels that they take five times as long then. Processes that tests start inherit this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Two threads on every machine, or as many as are asked for, where Numba would take one for each core: what is tested
# depends on the cores of no machine.
os.environ["NUMBA_NUM_THREADS"] = str(max(2, int(os.environ.get("NUMBA_NUM_THREADS", "2"))))

# A shell that starts the tests in the background has them ignore interruptions, which some of them are about.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The same examples everywhere, however long a machine takes to draw them, and none remembered in the working folder.
hypothesis.settings.register_profile(
    "anywhere",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("anywhere")

# What a build server or a shell sets for its own sake, and what colours or wraps what is tested.
SWAYS_OUTPUT = (
    *("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONWARNINGS", "COLUMNS", "LINES"),
    *("FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "PYTHON_COLORS"),
)


@pytest.fixture(scope="session", autouse=True)
def environment_like_any_other():
    with pytest.MonkeyPatch.context() as patch:
        for name in SWAYS_OUTPUT:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def folder(request, tmp_path, monkeypatch):
    """A working folder with model.py, the MODEL of the test file; its modules are forgotten after the test."""
    monkeypatch.delitem(sys.modules, "model", raising=False)  # of another file of tests
    (tmp_path / "model.py").write_text(request.module.MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in repr(module):
            del sys.modules[name]


class Clock:
    """A clock that stands still, and goes on only where a test says so: no test depends on the speed of a machine."""

    def __init__(self):
        self._seconds, self._runs_since = 1000.0, None

    def perf_counter(self):
        return self._seconds + (0.0 if self._runs_since is None else time.perf_counter() - self._runs_since)

    def advance(self, seconds):
        self._seconds += seconds

    def run(self):
        """From now on as fast as any other."""
        if self._runs_since is None:
            self._runs_since = time.perf_counter()


@pytest.fixture
def clock(monkeypatch):
    """The clock by which time limits are kept."""
    from fastgrad import _budget  # not before the plugin of pytest has set the number of threads

    clock = Clock()
    monkeypatch.setattr(_budget, "time", clock)
    return clock


@pytest.fixture
def without_matplotlib(monkeypatch):
    """An import of matplotlib fails, as where it is not installed."""
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
