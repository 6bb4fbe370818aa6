"""Examples with other packages find what they are meant to find; each runs where its package is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import fastgrad
from fastgrad.testing import assert_gradient

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def needs(package):
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"needs {package}")


CASES = [
    pytest.param("optimisation_run", "mismatch", marks=needs("scipy")),
    pytest.param("scikit_learn_loss", "15 of 15 components differ", marks=needs("sklearn")),
    pytest.param("statsmodels_likelihood", "4 of 4 components differ", marks=needs("statsmodels")),
    pytest.param("skglm_datafit", "analytical = 1/delta *", marks=needs("skglm")),
    pytest.param("pytorch_gradient", "41 of 41 components differ", marks=needs("torch")),
    pytest.param("jax_gradient", "every entry is a float32 number", marks=needs("jax")),
]


# Both runs of an example in one process, which imports the libraries once.
BOTH_RUNS = """
import runpy, sys
_, example = sys.argv
for options in ([], ["--bug"]):
    sys.argv = [example, *options]
    try:
        runpy.run_path(example, run_name="__main__")
    except SystemExit as end:
        print("exit code", end.code, flush=True)
"""


@pytest.mark.parametrize(("example", "found"), CASES)
def test_right_gradient_matches_and_the_planted_bug_is_found(example, found):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", BOTH_RUNS, f"{example}.py"]
    done = subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, text=True, timeout=600)
    right, _, wrong = done.stdout.partition("exit code 0\n")
    assert right and "exit code" not in right, done.stdout + done.stderr
    assert wrong.endswith("exit code 1\n"), done.stdout + done.stderr
    assert found in " ".join(wrong.split())


# --- arrays of other packages ---------------------------------------------------------------------------------------


@numba.njit
def f(x):
    return np.sum(x**2)


class Tensor:
    """An array that NumPy can read, as tensors are, and cannot, as a tensor being differentiated."""

    def __init__(self, values, complaint=None):
        self.values, self.complaint = np.asarray(values), complaint

    def __array__(self, dtype=None, copy=None):
        if self.complaint is not None:
            raise self.complaint
        return self.values


class OnlyDlpack:
    def __init__(self, values):
        self.values = np.asarray(values)

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.mark.parametrize("kind", [Tensor, OnlyDlpack])
def test_x_and_gradient_are_read_through_the_array_protocols(kind):
    x = np.array([3.0, 4.0])
    assert_gradient(f, kind(x), kind(2.0 * x))
    assert_gradient(f, kind(x), lambda x: kind(2.0 * x))
    assert fastgrad.check_gradient(f, kind(x), kind(3.0 * x)).verdict is fastgrad.Verdict.MISMATCH


@pytest.mark.parametrize("complaint", [RuntimeError("requires grad"), TypeError("cuda:0 device")])
def test_what_cannot_be_read_is_refused_with_the_advice(complaint):
    bad, good = Tensor([3.0, 4.0], complaint), [3.0, 4.0]
    for arguments in ((bad, good), (good, bad)):
        with pytest.raises(TypeError, match=rf"is a Tensor .*{complaint}.*\.detach\(\)\.cpu\(\)\.numpy\(\)") as caught:
            fastgrad.check_gradient(f, *arguments)
        assert caught.value.__cause__ is complaint


def test_tensors_of_pytorch():
    torch = pytest.importorskip("torch")
    x = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert fastgrad.check_gradient(f, x, 2.0 * x).passed
    watched = x.clone().requires_grad_()
    with pytest.raises(TypeError, match=r"x is a Tensor .*pass \.detach\(\)"):
        fastgrad.check_gradient(f, watched, 2.0 * x)


def test_arrays_of_jax():
    jnp = pytest.importorskip("jax.numpy")
    x = jnp.array([3.0, 4.0])
    result = fastgrad.check_gradient(f, x, 2.0 * x)
    assert result.passed
    assert result.numerical_grad.dtype == x.dtype == np.float32
