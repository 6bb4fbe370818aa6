"""Limits, samples, progress and interruption: what is claimed is no more than what was seen."""

import os
import signal
import threading
import time

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad._budget import Budget
from fastgrad._reason import detectable_share


@nb.njit
def rosenbrock(x, repeats):
    total = 0.0
    for _ in range(repeats):
        for i in range(x.size - 1):
            total += (100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2) / repeats
    return total


def rosenbrock_gradient(x, repeats):
    gradient = np.zeros_like(x)
    bend = x[1:] - x[:-1] ** 2
    gradient[:-1] += -400.0 * x[:-1] * bend - 2.0 * (1.0 - x[:-1])
    gradient[1:] += 200.0 * bend
    return gradient


X = np.linspace(0.5, 1.4, 500)


def wrong_at(position):
    gradient = rosenbrock_gradient(X, 1)
    gradient[position] *= 1.1
    return gradient


def check(gradient=rosenbrock_gradient, repeats=1, **options):
    return fastgrad.check_gradient(rosenbrock, X, gradient, args=(repeats,), **options)


def test_a_sample_is_inconclusive_even_if_all_of_it_agrees():
    result = check(sample=100)
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE
    assert result.coverage == 0.2
    assert np.count_nonzero(np.isfinite(result.numerical_grad)) == 100
    assert "100 of 500 components were checked and agree" in result.reason
    assert "4.5 % of all were wrong" in result.reason


def test_the_share_that_a_sample_would_have_shown():
    # Of 500 components, 23 wrong: a sample of 100 misses them all in at most 1 of 100 cases (drawn with replacement).
    assert (1.0 - detectable_share(100)) ** 100 == pytest.approx(0.01)
    assert detectable_share(0) == 1.0


def test_a_wrong_component_in_the_sample_is_a_mismatch():
    result = check(wrong_at(250), indices=[249, 250, 251])
    assert result.verdict is fastgrad.Verdict.MISMATCH
    assert result.worst[0].index == (250,)
    assert result.coverage == 3 / 500


def test_a_wrong_component_outside_is_not_claimed_to_be_right():
    result = check(wrong_at(250), indices=[0, 1, 2])
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE
    assert np.isnan(result.numerical_grad[250])
    assert result.verdicts[250] is fastgrad.Verdict.INCONCLUSIVE


def test_norms_are_over_what_was_seen():
    result = check(indices=[3, 4])
    assert result.norms.analytical == pytest.approx(np.linalg.norm(rosenbrock_gradient(X, 1)[3:5]))
    assert result.relative_error < 1e-6


def test_a_mask_selects_too():
    mask = np.zeros(500, dtype=bool)
    mask[[3, 400]] = True
    result = check(indices=mask)
    assert np.flatnonzero(np.isfinite(result.numerical_grad)).tolist() == [3, 400]


def test_samples_are_drawn_without_replacement_and_repeat_with_the_seed():
    seen = [np.flatnonzero(np.isfinite(check(sample=200, rng=seed).numerical_grad)) for seed in (5, 5, 6)]
    assert seen[0].size == 200
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


@pytest.mark.parametrize("limit", [28, 29, 40, 100, 500, 1200])
def test_a_limit_of_evaluations_is_kept(limit):
    result = check(max_evaluations=limit)
    assert result.evaluations <= limit
    assert result.verdict is not fastgrad.Verdict.MISMATCH


def test_a_wide_limit_changes_nothing():
    assert check(max_evaluations=100_000).verdict is fastgrad.Verdict.MATCH


def test_what_a_limit_leaves_is_a_fair_sample():
    result = check(max_evaluations=300)
    seen = np.flatnonzero(np.isfinite(result.numerical_grad))
    assert 100 < seen.size < 150
    # A block of the first coordinates would have a mean near 70.
    assert 200 < seen.mean() < 300
    assert "the limit of 300 evaluations ended the check" in result.reason


def test_a_time_limit_ends_a_long_check():
    started = time.perf_counter()
    result = check(repeats=3000, time_limit=1.0)  # about 500 times longer in full
    assert time.perf_counter() - started < 30.0
    assert result.coverage < 1.0
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE


def test_progress_counts_up_to_all_evaluations():
    calls = []
    check(repeats=300, progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1] > 1000
    assert all(done < total for done, total in calls[:-1])
    assert len(calls) > 2


def test_progress_true_shows_a_bar(capsys):
    pytest.importorskip("tqdm")
    check(repeats=30, progress=True)
    assert "1.00k/1.00k" in capsys.readouterr().err


def test_an_interruption_carries_what_was_found():
    interruption = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))

    def interrupt_soon(done, total):
        if interruption.ident is None:
            interruption.start()

    with pytest.raises(KeyboardInterrupt) as caught:
        check(repeats=3000, progress=interrupt_soon)
    result = caught.value.result
    assert 0.0 < result.coverage < 1.0
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE
    assert "an interruption ended the check" in result.reason
    seen = np.isfinite(result.numerical_grad)
    assert np.allclose(
        result.numerical_grad[seen], rosenbrock_gradient(X, 1)[seen], rtol=0, atol=0.02
    )  # noise of a long sum


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"indices": [0], "sample": 3}, ValueError, "both indices and sample are given"),
        ({"sample": 0}, ValueError, "sample is 0; need 1 to 500"),
        ({"sample": 2.5}, TypeError, "sample is 2.5; need a whole number"),
        ({"indices": [500]}, ValueError, "need 0 to 499"),
        ({"indices": [0.5]}, TypeError, "list of whole numbers"),
        ({"indices": np.ones(3, dtype=bool)}, ValueError, "need the shape of x"),
        ({"max_evaluations": 27}, ValueError, "need 28 or more: f.x. twice, 24 evaluations to measure its noise"),
        ({"max_evaluations": 3, "noise": 1e-12}, ValueError, "need 4 or more: f.x. twice and one difference"),
        ({"time_limit": 0.0}, ValueError, "time_limit is 0.0; need a positive"),
        ({"progress": "yes"}, TypeError, "progress is 'yes'"),
    ],
)
def test_bad_limits_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        check(**options)


def test_a_spent_budget_stays_spent():
    budget = Budget(evaluations=10)
    assert budget.allows(6) == 6
    budget.used = 10
    assert budget.allows(1) == 0
    budget.evaluations = 100
    assert budget.allows(1) == 0
    assert budget.spent_by == "the limit of 10 evaluations"
