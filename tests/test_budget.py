"""Limits, samples, progress and interruption: what is claimed is no more than what was seen."""

import signal
import time
from typing import ClassVar

import numba as nb
import numpy as np
import pytest
from numba import types

import fastgrad
from fastgrad import _assess, _components, _looks, _result, _schedule, gradient
from fastgrad._budget import Budget
from fastgrad._inputs import point_array
from fastgrad._objective import prepare
from fastgrad._reason import detectable_share
from fastgrad._schedule import Evaluator


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
THREADS = min(2, nb.config.NUMBA_NUM_THREADS)


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


@pytest.mark.parametrize("chosen", [{"sample": 400}, {"indices": np.arange(400)}, {"indices": np.arange(500) < 400}])
def test_what_a_limit_leaves_of_a_choice_is_a_fair_sample(chosen):
    result = check(max_evaluations=230, noise=1e-12, **chosen)
    seen = np.flatnonzero(np.isfinite(result.numerical_grad))
    assert 80 < seen.size < 115
    # A block of the first ones would have a mean near 50.
    assert 150 < seen.mean() < 350
    again = np.flatnonzero(np.isfinite(check(max_evaluations=230, noise=1e-12, rng=1, **chosen).numerical_grad))
    assert not np.array_equal(seen, again)


def interrupt(done, total):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "is_fair"), [({}, False), ({"indices": np.arange(300)}, True), ({"sample": 400}, True)]
)
def test_an_interrupted_check_claims_a_fair_sample_only_if_it_is_one(options, is_fair):
    with pytest.raises(KeyboardInterrupt) as caught:
        check(progress=interrupt, noise=1e-12, threads=1, **options)
    assert 0.0 < caught.value.result.coverage < 0.25  # the first slice: 70 of 300 at most, however quick f is
    assert "an interruption ended the check and agree" in caught.value.result.reason
    assert ("if they are a fair sample" in caught.value.result.reason) == is_fair


@pytest.mark.parametrize("limit", [30, 41, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_more_calls_are_made_than_allowed(limit, dtype):
    calls = []

    def f(x):
        calls.append(x)
        return float(np.sum(x.astype(float) ** 4))

    result = fastgrad.check_gradient(
        fastgrad.python_objective(f),
        np.linspace(1.0, 2.0, 100).astype(dtype),
        lambda x: 4 * x**3,
        max_evaluations=limit,
    )
    assert limit - 1 <= len(calls) == result.evaluations <= limit
    assert result.coverage > 0.0
    assert f"the limit of {limit} evaluations ended the check" in result.reason


def asleep(x):
    time.sleep(0.01)
    return float(np.sum(x**2))


def test_a_time_limit_ends_a_long_check():
    result = fastgrad.check_gradient(
        fastgrad.python_objective(asleep), X, 2 * X, time_limit=0.5
    )  # 10 s or more in full
    assert result.coverage < 1.0
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE
    assert "the time limit of 0.5 s" in result.reason


def test_a_time_limit_keeps_what_was_done_by_then(clock):
    result = check(repeats=30, time_limit=1.0, noise=1e-12, threads=1, progress=lambda *_: clock.advance(0.6))
    assert 0.0 < result.coverage < 0.1  # two slices: one component and eight, if that is not too many
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE
    assert "before the time limit of 1 s ended the check" in result.reason


def wrong_everywhere(x, repeats):
    return -rosenbrock_gradient(x, repeats)


def progress_of(**options):
    """All calls of a progress function, which begin and end as they must, and the result."""
    calls = []
    x, gradient = options.pop("x", X), options.pop("gradient", rosenbrock_gradient)
    result = fastgrad.check_gradient(
        rosenbrock, x, gradient, args=(1,), progress=lambda *numbers: calls.append(numbers), **options
    )
    done, total = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert list(total) == sorted(total)
    assert all(done < total for done, total in calls[:-1])
    return calls, result


def test_progress_counts_up_to_all_evaluations():
    calls, result = progress_of()
    assert calls[-1] == (1000, 1000) == (result.evaluations - 2,) * 2
    assert len(calls) > 1
    assert {total for _, total in calls} == {1000}


@pytest.mark.parametrize(
    "options",
    [
        {"time_limit": 1000.0},
        {"sample": 100},
        {"epsilon": fastgrad.steps.Automatic()},
        {"x": X.astype(np.float32)},
        {"x": np.zeros(50), "bounds": (0.0, None)},  # one-sided differences only
        {"gradient": wrong_everywhere},
        {"gradient": wrong_everywhere, "sample": 100},
        {"max_evaluations": 300, "noise": 1e-12},
    ],
)
def test_progress_is_one_count_that_ends_at_its_total(options):
    calls, result = progress_of(**options)
    done, total = calls[-1]
    assert done == total
    assert len(calls) > 3
    assert result.evaluations - 4 <= total < 1.5 * result.evaluations


def test_progress_goes_on_during_closer_looks():
    calls, result = progress_of(gradient=wrong_everywhere)
    assert sum(done > 1000 for done, _ in calls) > 10
    assert result.evaluations > 2000


def test_progress_of_a_check_that_a_limit_ends_does_not_reach_its_total(clock):
    calls = []
    progress = lambda *numbers: (calls.append(numbers), clock.advance(0.3))  # noqa: E731
    result = check(progress=progress, time_limit=0.3, noise=1e-15, threads=1)
    assert 0.0 < result.coverage < 1.0
    assert calls[-1][0] < calls[-1][1] == 1000


def test_progress_of_a_complete_checkpoint_is_its_end(tmp_path):
    before, _ = progress_of(checkpoint=tmp_path / "file")
    calls, result = progress_of(checkpoint=tmp_path / "file")
    assert calls == [before[-1]]
    assert result.evaluations == 2


def test_progress_true_shows_a_bar(capsys):
    pytest.importorskip("tqdm")
    check(progress=True)
    assert "1.00k/1.00k" in capsys.readouterr().err


class Bar:
    """What fastgrad needs of tqdm; it refuses to go on once it is closed."""

    made: ClassVar = []

    def __init__(self, **options):
        self.n, self.total, self.is_closed = 0, None, False
        self.made.append(self)

    def update(self, more):
        assert not self.is_closed
        self.n += more

    def close(self):
        assert not self.is_closed
        self.is_closed = True


@nb.njit
def failing(x):
    if x[3] != 1.0:
        raise ValueError("too hot")
    return np.sum(x**2)


def test_a_bar_is_closed_at_the_end_only_and_always(monkeypatch):
    tqdm = pytest.importorskip("tqdm.auto")
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    Bar.made.clear()
    check(wrong_everywhere, progress=True, sample=100)
    check(progress=True, max_evaluations=100)
    with pytest.raises(ValueError, match="too hot"):
        fastgrad.check_gradient(failing, np.ones(5), 2 * np.ones(5), progress=True)
    whole, part, broken = Bar.made
    assert whole.n == whole.total > 1000
    assert part.n <= part.total == 98
    assert whole.is_closed and part.is_closed and broken.is_closed


@nb.njit
def quick_at_x(x):
    """As a solver that starts at its solution: a hundred microseconds at x, a hundred times more beside it."""
    distance = 1e-300
    for i in range(x.size):
        distance += abs(x[i] - 1.0)
    for _ in range(100 if distance < 1e-299 else 10_000):
        for i in range(x.size):
            distance += 1e-300 * np.sin(x[i])
    return np.sum(x**2)


def test_the_first_slices_are_small_however_quick_f_is_at_x():
    calls = []
    x = np.ones(100)
    fastgrad.check_gradient(quick_at_x, x, 2 * x, progress=lambda *numbers: calls.append(numbers), threads=THREADS)
    done = np.array([0, *(done for done, _ in calls)])
    slices = np.diff(done)
    assert slices[0] == 2 * THREADS  # a difference for each thread
    assert all(now <= 8 * max(before) for before, now in ((slices[:k], slices[k]) for k in range(1, slices.size)))


def test_slices_come_back_to_python_in_time_for_an_interruption(monkeypatch, clock):
    for module in (_components, _schedule):
        monkeypatch.setattr(module, "time", clock)
    calls = []

    def f(x):
        clock.advance(0.001)
        return float(np.sum(x**2))

    fastgrad.check_gradient(fastgrad.python_objective(f), X, 2 * X, progress=lambda done, _: calls.append(done))
    slices = np.diff([0, *calls])
    assert slices.max() <= 72  # 70 ms
    assert np.median(slices) >= 50


@pytest.mark.parametrize(("seconds", "first"), [(0.0, 70), (1e-6, 3), (1.0, 1)])
def test_a_first_slice_takes_no_more_than_others_if_f_is_ten_thousand_times_dearer_than_at_x(seconds, first):
    point = point_array(X)
    calls = []
    evaluator = Evaluator(
        prepare(rosenbrock, point, (1,)), point, threads=1, seconds=seconds,
        budget=Budget(progress=lambda *numbers: calls.append(numbers)),
    )  # fmt: skip
    evaluator.differences(np.arange(500), np.full(500, 1e-7))
    assert calls[0] == (2 * first, 1000)


def test_what_was_measured_is_trusted_in_the_next_pass(monkeypatch, clock):
    monkeypatch.setattr(_schedule, "time", clock)
    calls, _ = progress_of(gradient=wrong_everywhere, epsilon=0.1, threads=1)
    assert np.median(np.diff([done for done, _ in calls if done > 1000])) > 100


send_to_itself = types.ExternalFunction("raise", types.int32(types.int32))


@nb.njit
def interrupting(x, repeats, place, signal):
    """Ctrl-C in the middle of a kernel, when coordinate `place` is moved."""
    if x[place] != X[place]:
        send_to_itself(signal)
    return rosenbrock(x, repeats)


def interrupted_check(threads):
    with pytest.raises(KeyboardInterrupt) as caught:
        fastgrad.check_gradient(
            interrupting, X, lambda x, *_: rosenbrock_gradient(x, 1), args=(1, 300, int(signal.SIGINT)), threads=threads
        )
    return caught.value.result


def test_an_interruption_carries_what_was_found():
    result = interrupted_check(1)
    assert 0.0 < result.coverage < 1.0  # component 300 is in the second slice or a later one, however quick f is
    assert result.verdict is fastgrad.Verdict.INCONCLUSIVE
    assert "an interruption ended the check" in result.reason
    seen = np.isfinite(result.numerical_grad)
    assert np.allclose(result.numerical_grad[seen], rosenbrock_gradient(X, 1)[seen], rtol=0, atol=1e-4)


def test_an_interruption_of_threads_carries_what_was_found():
    assert interrupted_check(None).coverage < 1.0


def once(function):
    """The same function, interrupted when it is called first."""
    left = [KeyboardInterrupt]

    def called(*arguments, **options):
        if left:
            raise left.pop()
        return function(*arguments, **options)

    return called


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("epsilon", [None, fastgrad.steps.Automatic()])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (_components, "replay_failure"),
        (_assess, "judge_plain"),
        (_assess, "noise_from_residuals"),
        (_looks, "look_closely"),
        (_result, "find_causes"),
        (_result, "give_reason"),
        (Budget, "finish"),
    ],
)
def test_an_interruption_between_evaluations_carries_what_was_found(monkeypatch, module, name, epsilon, dtype):
    x = X.astype(dtype)
    usual = fastgrad.check_gradient(rosenbrock, x, wrong_everywhere, epsilon, args=(1,))
    monkeypatch.setattr(module, name, once(getattr(module, name)))
    try:
        result = fastgrad.check_gradient(rosenbrock, x, wrong_everywhere, epsilon, args=(1,))
    except KeyboardInterrupt as interruption:
        result = interruption.result
    else:
        assert name == "noise_from_residuals"  # not needed with every step
    assert result.verdict is not fastgrad.Verdict.MATCH
    assert result.coverage == np.isfinite(result.estimate).mean()
    if name in ("find_causes", "give_reason", "finish", "replay_failure"):  # all was known
        assert np.array_equal(result.estimate, usual.estimate)
        assert np.array_equal(result.uncertainty, usual.uncertainty)
    str(result)


def test_a_right_gradient_is_not_accused_by_an_interruption(monkeypatch):
    monkeypatch.setattr(_assess, "judge_plain", once(_assess.judge_plain))
    with pytest.raises(KeyboardInterrupt) as caught:
        check()
    assert caught.value.result.reason == "no component was checked: an interruption"
    monkeypatch.setattr(_result, "give_reason", once(_result.give_reason))
    with pytest.raises(KeyboardInterrupt) as caught:
        check()
    assert caught.value.result.verdict is fastgrad.Verdict.MATCH  # it was done


@pytest.mark.parametrize("name", ["tried", "analytical_gradient", "ComponentJudge"])
def test_an_interruption_before_anything_is_known_says_so(monkeypatch, name):
    monkeypatch.setattr(gradient, name, once(getattr(gradient, name)))
    with pytest.raises(KeyboardInterrupt) as caught:
        check()
    assert caught.value.result is None


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


def test_evaluations_that_go_together_are_allowed_together():
    budget = Budget(evaluations=11)
    assert budget.allows(20, each=2) == 8  # 2 are used
    assert budget.spent_by is None
    budget.used = 10
    assert budget.allows(20, each=2) == 0
    assert budget.spent_by == "the limit of 11 evaluations"
