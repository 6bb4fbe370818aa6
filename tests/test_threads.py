"""Checks from many Python threads at once, on every threading layer, which has a process of its own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SCENARIOS = (
    *("different_objectives", "different_kinds", "one_objective", "one_checker", "gradients_in_parallel"),
    "another_library",
)


@functools.cache
def has_layer(layer: str) -> bool:
    script = "import numba; numba.get_num_threads(); print(numba.threading_layer())"
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    return done.stdout.strip() == layer


@functools.cache
def outcome(layer: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hazards.threads_at_once", layer],
        cwd=TESTS,
        env={**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_checks_from_many_threads_are_right(scenario, layer):
    if not has_layer(layer):
        pytest.skip(f"this Numba has no {layer}")
    done = outcome(layer)
    assert f"{scenario} right" in done.stdout.splitlines(), done.stderr[-3000:]
    assert done.returncode == 0, done.stderr[-3000:]
