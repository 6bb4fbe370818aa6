"""The pytest plugin: the fixture ``fastgrad_testing`` and ``--fastgrad-report=DIR``.

Every run of pytest imports this, whatever it tests; nothing here may import Numba before a test asks for a check.
"""

import itertools
import os
import re
import sys
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

_LONGEST_NAME = 120  # characters; file systems end at 255 bytes
_PROPERTY = "fastgrad_report"
_TAKEN = pytest.StashKey[set[str]]()  # names of reports that this run has saved


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --fastgrad-report."""
    parser.getgroup("fastgrad", "gradient checks").addoption(
        "--fastgrad-report",
        metavar="DIR",
        help="save the reports of failing checks in this folder, as text, JSON and HTML, named by their tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder for the reports: that it cannot be made is said before a test runs."""
    folder = config.getoption("--fastgrad-report")
    if folder is None:
        return
    if not folder:
        raise pytest.UsageError("--fastgrad-report is empty; need the name of a folder: --fastgrad-report=reports.")
    try:
        Path(config.invocation_params.dir, folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(
            f"--fastgrad-report is {folder!r}, where no folder can be made ({error.strerror}); name another."
        ) from None


# --- reports of failing checks -----------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Save the report of a check that failed, where the test ran; that may be a worker of xdist."""
    report = yield
    folder = item.config.getoption("--fastgrad-report")
    result = None if folder is None or call.excinfo is None else _failed_result(call.excinfo.value)
    if result is not None:
        here = item.config.invocation_params.dir
        stem = _free_stem(report, item.config.stash.setdefault(_TAKEN, set()))
        try:
            path = _save(result, Path(here, folder, stem), report.nodeid)
        except OSError as error:  # the disk is full, the folder gone: no reason to end a run of tests
            shown = f"of {report.nodeid}: not saved ({error.strerror})"
        else:
            shown = str(path.relative_to(here) if path.is_relative_to(here) else path)
        report.user_properties.append((_PROPERTY, shown))
        report.sections.append(("fastgrad report", shown))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say where the reports are, those of expected failures and of subtests too."""
    saved = [
        value
        for report in itertools.chain.from_iterable(terminalreporter.stats.values())
        for name, value in getattr(report, "user_properties", ())  # none of a module that cannot be collected
        if name == _PROPERTY
    ]
    if saved:
        terminalreporter.section("fastgrad reports")
        for path in saved:
            terminalreporter.line(path)


def _failed_result(error: BaseException | None) -> Any:
    """The result of a failed check, which may be the cause of the error that reached pytest."""
    testing = sys.modules.get("fastgrad.testing")
    seen: set[int] = set()
    while testing is not None and error is not None and id(error) not in seen:
        if isinstance(error, testing.CheckFailed):
            return error.result
        seen.add(id(error))
        error = error.__cause__
    return None


def _free_stem(report: pytest.TestReport, taken: set[str]) -> str:
    """A name that no report of this run has: a test with subtests, or run again, fails more than once."""
    stem = file_stem(report.nodeid, report.when)
    numbered = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    free = next(name for name in numbered if name not in taken)
    taken.add(free)
    return free


def _save(result: Any, stem: Path, nodeid: str) -> Path:
    """Write all forms of a report; the path of the text."""
    from fastgrad._json import as_json
    from fastgrad._pictures import page_of

    path = Path(f"{stem}.txt")
    path.write_text(f"{nodeid}\n\n{result}\n", encoding="utf-8")
    Path(f"{stem}.json").write_text(as_json(result, test=nodeid) + "\n", encoding="utf-8")
    Path(f"{stem}.html").write_text(page_of(result, nodeid), encoding="utf-8")
    return path


def file_stem(nodeid: str, when: str | None = "call") -> str:
    """A file name for a test: readable, and different for different tests whatever their parameters hold."""
    named = nodeid if when == "call" else f"{nodeid}-{when}"
    plain = re.sub(r"[^A-Za-z0-9._\[\]=+-]+", "-", named).strip("-.")
    if plain == named and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[:_LONGEST_NAME]}-{zlib.crc32(named.encode('utf-8', 'surrogatepass')):08x}"


# --- the fixture -------------------------------------------------------------------------------------------------


class Assertions:
    """The functions of `fastgrad.testing`, for one test."""

    def __init__(self, properties: list[tuple[str, object]], threads: int | None) -> None:
        self._properties, self._threads = properties, threads

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from fastgrad import testing

        if not name.startswith("assert_"):
            raise AttributeError(f"fastgrad_testing has no {name!r}; it has the assert_... functions.")
        assertion = getattr(testing, name)

        def asserting(*args: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            try:
                result = assertion(*args, **self._shared(assertion, options))
            except testing.CheckFailed as failure:
                self._properties.append((name, _outcome(failure.result)))
                raise
            self._properties.append((name, _outcome(result)))
            return result

        return asserting

    def _shared(self, assertion: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
        """The options, with this worker's share of the threads where nothing else is asked for."""
        import inspect

        if self._threads is None or options.get("executor") is not None:
            return options
        shares = "threads" in inspect.signature(assertion).parameters
        return {"threads": self._threads, **options} if shares else options


@pytest.fixture
def fastgrad_testing(request: pytest.FixtureRequest) -> Assertions:
    """The functions of fastgrad.testing: fastgrad_testing.assert_gradient(f, x, gradient) and its siblings.

    Each leaves its verdict in the JUnit report, and takes its share of the cores when pytest-xdist runs several tests
    at once.
    """
    # As record_property does, without its warning that newer forms of the JUnit report have no place for it.
    return Assertions(request.node.user_properties, _share_of_threads(os.environ))


def _outcome(result: Any) -> str:
    return f"{result.verdict.value}: {result.reason}"


def _share_of_threads(environment: "os._Environ[str] | dict[str, str]") -> int | None:
    """Threads for each of several workers of xdist; None without them."""
    workers = int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers < 2:
        return None
    threads = int(environment.get("NUMBA_NUM_THREADS") or len(os.sched_getaffinity(0)))
    return max(1, threads // workers)
