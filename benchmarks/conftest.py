"""Shared by the benchmarks: measurements in turn with their limit, and rows for the tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "large: takes many seconds; the same at a smaller size has no mark")


class Comparison:
    """Times `ours` as a pytest benchmark, and others in turn with it, round by round, so that drift cancels."""

    def __init__(self, benchmark: Any) -> None:
        self._benchmark = benchmark
        self.others: list[list[float]] = []

    def run(self, ours: Callable[..., Any], *others: Callable[[], Any], rounds: int) -> Any:
        """Call everything once to warm up, then `rounds` times in turn, and return what ours returned last.

        With --benchmark-disable everything is called once.
        """
        if self._benchmark.enabled:
            ours()
            for other in others:
                other()
        self.others = [[] for _ in others]

        def others_first() -> None:
            for other, times in zip(others, self.others, strict=True):
                start = time.perf_counter()
                other()
                times.append(time.perf_counter() - start)

        return self._benchmark.pedantic(ours, setup=others_first, rounds=rounds, iterations=1)

    def run_prepared(self, prepare: Callable[[], Any], ours: Callable[[Any], Any], *, rounds: int) -> None:
        """Time ours(prepare()), without what `prepare` takes; no warm-up."""
        self._benchmark.pedantic(ours, setup=lambda: ((prepare(),), {}), rounds=rounds, iterations=1)

    @property
    def ours(self) -> Sequence[float]:
        return self._benchmark.stats.stats.data if self._benchmark.stats else [float("nan")]

    def seconds(self) -> float:
        """Median time of ours."""
        return statistics.median(self.ours)

    def ratio(self, other: int = 0) -> float:
        """Median over the rounds of ours over another."""
        return statistics.median(a / b for a, b in zip(self.ours, self.others[other], strict=False))

    def record(self, measure: str, measured: float, reach: float | None = None, *, unit: str = "") -> None:
        """A row for docs/benchmarks.md; `reach` is the largest value wanted."""
        row = {"measure": measure, "measured": measured, "reach": reach, "unit": unit}
        self._benchmark.extra_info.setdefault("rows", []).append(row)

    def record_peers(self, size: int, seconds: dict[str, float]) -> None:
        """A line of the comparison with other packages."""
        self._benchmark.extra_info["peers"] = {"size": size, "seconds": seconds}


@pytest.fixture
def comparison(benchmark: Any) -> Comparison:
    return Comparison(benchmark)
