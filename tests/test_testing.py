"""Assertions: what passes, what fails with which words, and that each is its check with one argument more."""

from __future__ import annotations

import inspect
import pickle

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad import testing
from fastgrad.testing import CheckFailed, assert_directional, assert_gradient, assert_line_integral

X = np.linspace(0.5, 1.5, 20)


@nb.njit
def f(x):
    return np.sin(x).sum()


def gradient(x):
    return np.cos(x)


def wrong_gradient(x):
    g = np.cos(x)
    g[7] *= -1.0
    return g


@nb.njit
def noisy(x):
    return x.sum() + np.random.normal()  # noqa: NPY002


@pytest.mark.parametrize("assertion", [assert_gradient, assert_directional, assert_line_integral])
def test_a_match_returns_the_result_of_the_check(assertion):
    result = assertion(f, X, gradient)
    assert result.passed
    assert type(result).__name__.lower() == assertion.__name__.removeprefix("assert_").replace("_", "") + "check"


@pytest.mark.parametrize("assertion", [assert_gradient, assert_directional, assert_line_integral])
@pytest.mark.parametrize("accept", [{}, {"accept_inconclusive": True}])
def test_a_mismatch_fails_with_the_report_and_carries_the_result(assertion, accept):
    with pytest.raises(AssertionError) as caught:
        assertion(f, X, wrong_gradient, **accept)
    assert isinstance(caught.value, CheckFailed)
    assert caught.value.result.verdict is fastgrad.Verdict.MISMATCH
    assert str(caught.value) == str(caught.value.result)
    assert str(caught.value).startswith("MISMATCH")
    assert "x[7]" in str(caught.value)


def test_what_cannot_be_told_fails_in_its_own_words():
    with pytest.raises(CheckFailed) as caught:
        assert_gradient(noisy, X, np.ones(20))
    assert str(caught.value).startswith("INCONCLUSIVE: ")
    assert str(caught.value).endswith(
        "Nothing was shown to be wrong or right, and that fails; accept_inconclusive=True would let it pass."
    )


def test_what_cannot_be_told_is_accepted_on_request():
    result = assert_gradient(noisy, X, np.ones(20), accept_inconclusive=True)
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE


def test_an_unusable_argument_is_no_failed_check():
    with pytest.raises(ValueError, match="analytical_grad has shape"):
        assert_gradient(f, X, np.ones(3))


def test_a_failure_travels_between_processes():
    with pytest.raises(CheckFailed) as caught:
        assert_gradient(f, X, wrong_gradient)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_every_check_has_an_assertion():
    checks = {name for name in fastgrad.__all__ if name.startswith("check_") or name == "taylor_test"}
    asserted = {"assert_" + name.removeprefix("check_").removesuffix("_test") for name in checks}
    assert asserted == {name for name in testing.__all__ if name.startswith("assert_")}


@pytest.mark.parametrize("name", [name for name in testing.__all__ if name.startswith("assert_")])
def test_an_assertion_takes_and_describes_what_its_check_takes(name):
    assertion = getattr(testing, name)
    assert assertion.__name__ == name
    plain = name.removeprefix("assert_")
    check = getattr(fastgrad, f"check_{plain}", None) or getattr(fastgrad, f"{plain}_test")
    *same, last = inspect.signature(assertion).parameters.values()
    assert same == list(inspect.signature(check).parameters.values())
    assert (last.name, last.default, last.kind) == ("accept_inconclusive", False, last.KEYWORD_ONLY)
    for word in (*inspect.signature(assertion).parameters, "accept_inconclusive : bool", "CheckFailed"):
        assert word in assertion.__doc__
    assert "Examples" not in assertion.__doc__ and "Notes" not in assertion.__doc__
