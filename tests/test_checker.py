"""Repeated checks: the same bits as a single one, nothing allocated that grows with n, and real optimiser runs."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import tracemalloc

import naive
import numba as nb
import numpy as np
import pytest
from problems import example

import fastgrad
from fastgrad import GradientChecker, GradientMismatch, Verdict, numerical_gradient, python_objective, steps


@nb.njit
def rosenbrock(x, weight):
    total = 0.0
    for i in range(x.size - 1):
        total += weight * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


@nb.njit
def rosenbrock_gradient(x, weight):
    gradient = np.zeros_like(x)
    for i in range(x.size - 1):
        gradient[i] += -4.0 * weight * x[i] * (x[i + 1] - x[i] ** 2) - 2.0 * (1.0 - x[i])
        gradient[i + 1] += 2.0 * weight * (x[i + 1] - x[i] ** 2)
    return gradient


@nb.njit
def first_coordinate(x):
    return x[0] * x[0]


@nb.njit
def plane(x):
    return 2.0 * x[0, 0] + 3.0 * x[0, 1] + 5.0 * x[1, 0] + 7.0 * x[1, 1]


ARGS = (100.0,)


def start(n, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(-1.5, 1.5, n).astype(dtype)


# --- the same as a single check --------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", range(1, nb.config.NUMBA_NUM_THREADS + 1))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 257])
def test_point_after_point_it_has_the_bits_of_single_checks(n, dtype, threads):
    checker = GradientChecker(rosenbrock, start(n, dtype), args=ARGS, threads=threads)
    for seed in range(5):
        x = start(n, dtype, seed)
        analytical = rosenbrock_gradient(x, *ARGS)
        numerical, error = checker(x, analytical)
        assert numerical.dtype == dtype
        np.testing.assert_array_equal(numerical, numerical_gradient(rosenbrock, x, args=ARGS))
        np.testing.assert_array_equal(checker.gradient(x), numerical)
        single = fastgrad.check_gradient(rosenbrock, x, analytical, args=ARGS)
        assert error == pytest.approx(single.relative_error, rel=1e-12, abs=0.0)


def test_it_is_the_naive_twin_at_a_given_step():
    x, step = start(5), 2.0**-9
    analytical = rosenbrock_gradient(x, *ARGS)
    expected = naive.central_difference(rosenbrock, x, step, ARGS)
    numerical, error = GradientChecker(rosenbrock, start(5, seed=1), step, args=ARGS)(x, analytical)
    np.testing.assert_array_equal(numerical, expected)
    assert error == pytest.approx(naive.relative_error(expected, analytical), rel=1e-12)


def test_a_wrong_gradient_has_the_error_of_the_naive_twin():
    x = start(4)
    wrong = rosenbrock_gradient(x, *ARGS)
    wrong[1] *= 1.01
    _, error = GradientChecker(rosenbrock, x, args=ARGS)(x, wrong)
    assert error == pytest.approx(naive.relative_error(rosenbrock_gradient(x, *ARGS), wrong), rel=1e-5)


def test_steps_per_coordinate_and_rules_are_those_of_a_single_check():
    array = np.array([1e-5, 1e-4, 1e-3])
    for epsilon in (array, steps.Relative(1e-5), steps.Automatic()):
        checker = GradientChecker(rosenbrock, start(3), epsilon, args=ARGS)
        for x in (start(3, seed=1), 1e3 * start(3, seed=2)):
            numerical, _ = checker(x, x)
            np.testing.assert_array_equal(numerical, numerical_gradient(rosenbrock, x, epsilon, args=ARGS))


def test_where_the_default_step_vanishes_it_is_relative_and_elsewhere_it_stays():
    checker = GradientChecker(rosenbrock, np.ones(3), args=ARGS)
    for x in (np.array([1e12, 1.0, -3e10]), np.array([0.5, -0.5, 0.25])):
        np.testing.assert_array_equal(checker.gradient(x), numerical_gradient(rosenbrock, x, args=ARGS))


def test_shapes_scalars_and_gradients_of_every_kind():
    checker = GradientChecker(plane, np.zeros((2, 2)))
    x, right = np.arange(4.0).reshape(2, 2), np.array([[2.0, 3.0], [5.0, 7.0]])
    for point in (x, np.asfortranarray(x), x.astype(np.float32), x.astype(int).tolist()):
        for gradient in (right, right.astype(int), right.astype(np.float32), right.tolist(), lambda x: right):
            numerical, error = checker(point, gradient)
            assert numerical.shape == (2, 2)
            assert error < 1e-8
    square = nb.njit(lambda x: x * x)
    numerical, error = GradientChecker(square, 1.0)(3.0, lambda x: 2.0 * x)
    assert numerical.shape == ()
    assert error < 1e-8


def test_a_gradient_in_double_precision_of_a_point_in_single_is_not_rounded():
    x = np.array([1.5, 0.75], np.float32)
    gradient = np.array([3.0 * (1.0 + 1e-9), 0.0])
    _, error = GradientChecker(first_coordinate, x, 2.0**-5)(x, gradient)
    assert error == pytest.approx(0.5e-9, rel=1e-6)


def test_the_result_is_overwritten_and_that_of_gradient_is_not():
    checker = GradientChecker(first_coordinate, np.zeros(2))
    first, kept = checker(np.array([1.0, 0.0]), np.zeros(2)).numerical_grad, checker.gradient([1.0, 0.0])
    checker(np.array([2.0, 0.0]), np.zeros(2))
    assert (round(float(first[0]), 6), round(float(kept[0]), 6)) == (4.0, 2.0)


def test_the_result_of_one_call_may_be_an_argument_of_the_next():
    checker = GradientChecker(first_coordinate, np.zeros(2))
    before = checker(np.array([1.0, 0.0]), np.zeros(2)).numerical_grad
    assert checker(np.array([3.0, 0.0]), before).relative_error == pytest.approx(0.5, abs=1e-6)  # 2 against 6
    x = checker(np.array([1.0, 0.0]), np.zeros(2)).numerical_grad
    assert checker(x, np.array([4.0, 0.0])).relative_error < 1e-6


def test_arguments_changed_in_place_are_seen():
    scale = np.array([1.0])
    f = nb.njit(lambda x, scale: scale[0] * x[0])
    checker = GradientChecker(f, np.zeros(1), args=(scale,))
    scale[0] = 5.0
    assert checker(np.ones(1), np.full(1, 5.0)).relative_error < 1e-8


def test_other_objectives_run_in_it_too():
    f = python_objective(lambda x: float(x @ x))
    assert GradientChecker(f, np.ones(3))(np.arange(3.0), 2.0 * np.arange(3.0)).relative_error < 1e-8


def test_long_work_comes_back_to_python_between_slices(monkeypatch, clock):
    for module in ("checker", "_work"):
        monkeypatch.setattr(f"fastgrad.{module}.time", clock)

    def f(x):
        clock.advance(0.01)
        return float(x @ x)

    checker = GradientChecker(python_objective(f), np.ones(20))
    launches = []
    work = checker._local.work
    launch = work._launch
    work._launch = lambda *arguments: (launches.append(1), launch(*arguments))
    checker(np.ones(20), 2.0 * np.ones(20))
    assert len(launches) == 7  # of 20 differences, three in 0.07 s


# --- no allocation, little overhead ----------------------------------------------------------------------------


def peak(call):
    call()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    call()
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest - before


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("threads", [1, None])
def test_nothing_of_the_size_of_x_is_allocated(threads, dtype):
    def use(n):
        x, gradient = np.ones(n, dtype), np.ones(n, dtype)
        checker = GradientChecker(first_coordinate, x, threads=threads)
        return peak(lambda: checker(x, gradient)), peak(lambda: checker.gradient(x))

    n, small = 200_000, 50_000  # a few slices, tasks of threads
    called, gradient = use(n)
    assert called < small
    assert use(10)[0] < small
    assert gradient > n * np.dtype(dtype).itemsize  # the array of its own: what is counted, is seen


@pytest.mark.parametrize(("seconds", "launches"), [(1e-9, 0), (4e-6, 0), (6e-6, 1), (1e-3, 1), (0.07, 2)])
def test_only_work_worth_it_is_given_to_threads_and_cut_in_slices(seconds, launches, monkeypatch):
    x = np.ones(2)
    checker = GradientChecker(first_coordinate, x, threads=1)
    work = checker._local.work
    work._seconds_per_evaluation = seconds  # as if measured: 4 evaluations
    launch, made = work._launch, []
    monkeypatch.setattr(work, "_launch", lambda *arguments: (made.append(1), launch(*arguments)))
    assert checker(x, np.array([2.0, 0.0])).relative_error < 1e-8
    assert len(made) == launches


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_unusable_points_and_gradients_are_refused():
    checker = GradientChecker(rosenbrock, np.ones(3), args=ARGS)
    x = np.ones(3)
    with pytest.raises(ValueError, match=r"x has shape \(2,\); need \(3,\)"):
        checker(np.ones(2), x)
    with pytest.raises(ValueError, match=r"gradient has shape \(3, 1\); need \(3,\)"):
        checker(x, x[:, None])
    with pytest.raises(ValueError, match=r"x\[1\] is nan; need finite"):
        checker(np.array([1.0, np.nan, 1.0]), x)
    with pytest.raises(ValueError, match=r"x\[2\] is inf; need finite"):
        checker.gradient(np.array([1.0, 1.0, np.inf]))
    with pytest.raises(TypeError, match="x has dtype complex128"):
        checker(x + 1j, x)
    with pytest.raises(TypeError, match="x is float64, but the checker is for float32"):
        GradientChecker(rosenbrock, x.astype(np.float32), args=ARGS)(x, x)
    with pytest.raises(ValueError, match=r"epsilon is 1e-07, but x\[0\] = 1000000000000.0 in float64 does not change"):
        GradientChecker(rosenbrock, x, 1e-7, args=ARGS)(np.full(3, 1e12), x)
    x = start(3)
    assert checker(x, rosenbrock_gradient(x, *ARGS)).relative_error < 1e-6  # none of it left a trace


def test_masked_entries_are_refused_and_plain_subclasses_are_arrays():
    checker, x = GradientChecker(rosenbrock, np.ones(3), args=ARGS), start(3)
    right = rosenbrock_gradient(x, *ARGS)
    masked = np.ma.masked_array(x, [0, 1, 0])
    with pytest.raises(TypeError, match="x has masked entries"):
        checker(masked, right)
    with pytest.raises(TypeError, match="gradient has masked entries"):
        checker(x, np.ma.masked_array(right, [0, 1, 0]))
    assert checker(np.ma.masked_array(x), right).relative_error < 1e-6


def test_whole_numbers_that_float32_holds_are_taken():
    checker = GradientChecker(rosenbrock, np.ones(3, np.float32), args=ARGS)
    expected = checker.gradient(np.array([1.0, 2.0, 3.0], np.float32))
    np.testing.assert_array_equal(checker.gradient([1, 2, 3]), expected)
    with pytest.raises(TypeError, match="x is int64, but the checker is for float32"):
        checker.gradient([1, 2, (1 << 24) + 1])


# --- bounds ----------------------------------------------------------------------------------------------------


@nb.njit
def only_in_the_box(x):
    total = 0.0
    for i in range(x.size):
        if not 0.0 <= x[i] <= 2.0:
            raise ValueError("outside")
        total += (x[i] - (i - 1.5)) ** 2 + x[i] ** 1.5
    return total


def gradient_in_the_box(x):
    return 2.0 * (x - (np.arange(x.size) - 1.5)) + 1.5 * np.sqrt(x)


BOX = (0.0, [2.0, np.inf, 2.0, 2.0])


def test_with_bounds_f_is_never_called_outside():
    checker = GradientChecker(only_in_the_box, np.ones(4), bounds=BOX)
    unbounded = GradientChecker(only_in_the_box, np.ones(4))
    inside = np.array([0.5, 1.0, 1.5, 0.25])
    np.testing.assert_array_equal(checker.gradient(inside), unbounded.gradient(inside))
    for x in (np.array([0.0, 1.0, 2.0, 0.0]), np.array([1e-9, 1.0, 2.0 - 1e-9, 1.0])):
        with pytest.raises(ValueError, match="outside"):
            unbounded.gradient(x)
        expected = numerical_gradient(only_in_the_box, x, bounds=BOX)
        np.testing.assert_array_equal(checker.gradient(x), expected)
        assert checker(x, gradient_in_the_box(x)).relative_error < 1e-3  # x^1.5 has no second derivative at 0
        assert checker(x, -gradient_in_the_box(x)).relative_error > 0.999
        np.testing.assert_array_equal(checker.gradient(inside), unbounded.gradient(inside))
    assert checker.check(np.array([1.0, 1.0, 2.0, 1.0]), gradient_in_the_box).passed


def test_a_point_outside_the_bounds_is_named():
    with pytest.raises(ValueError, match=r"x\[2\] = 3\.0 lies outside its bounds"):
        GradientChecker(only_in_the_box, np.array([1.0, 1.0, 3.0, 1.0]), bounds=BOX)
    with pytest.raises(ValueError, match=r"x\[0\] = -1\.0 lies outside its bounds"):
        GradientChecker(only_in_the_box, np.ones(4), bounds=BOX)(np.array([-1.0, 1.0, 1.0, 1.0]), np.ones(4))


def test_a_bounded_run_of_scipy_can_be_watched_and_served():
    minimize = pytest.importorskip("scipy.optimize").minimize
    checker, checks = GradientChecker(only_in_the_box, np.ones(4), bounds=(0.0, 2.0)), []
    options = {"bounds": [(0.0, 2.0)] * 4, "method": "L-BFGS-B"}
    callback = checker.callback(gradient_in_the_box, every=1, then=checks.append, rtol=1e-4)
    plain = minimize(only_in_the_box, np.ones(4), jac=gradient_in_the_box, callback=callback, **options)
    assert checks and not any(check.verdict is Verdict.MISMATCH for check in checks)
    assert {check.rtol for check in checks} == {1e-4}
    served = minimize(only_in_the_box, np.ones(4), jac=checker.gradient, **options)
    np.testing.assert_allclose(served.x, plain.x, atol=1e-4)


def test_jac_takes_the_args_of_the_optimiser_if_they_are_its_own():
    weights, x = np.array([100.0]), start(3)
    weighted = nb.njit(lambda x, weights: rosenbrock(x, weights[0]))
    checker = GradientChecker(weighted, np.ones(3), args=(weights,))
    np.testing.assert_array_equal(checker.gradient(x, weights), checker.gradient(x))
    np.testing.assert_array_equal(checker.gradient(x, np.array([100.0])), checker.gradient(x))
    for others in ((np.array([99.0]),), (weights, 1.0)):
        with pytest.raises(ValueError, match="args differ from those of the checker"):
            checker.gradient(x, *others)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda checker: pickle.loads(pickle.dumps(checker))])
def test_a_copy_of_a_checker_is_a_checker(copied):
    checker = GradientChecker(rosenbrock, np.ones(3), 1e-5, args=ARGS, bounds=(None, 5.0), threads=1)
    again = copied(checker)
    for x in (start(3), np.full(3, 5.0)):
        np.testing.assert_array_equal(again.gradient(x), checker.gradient(x))


def test_unusable_objectives_are_refused():
    with pytest.raises(TypeError, match=r"decorate it with @numba\.njit"):
        GradientChecker(naive.norm, np.ones(2))
    with pytest.raises(ValueError, match="f is not deterministic"):
        GradientChecker(nb.njit(lambda x: np.random.random()), np.ones(2))  # noqa: NPY002


def test_nan_is_never_agreement():
    checker = GradientChecker(nb.njit(lambda x: np.sqrt(x[0])), np.ones(1))
    assert np.isnan(checker(np.full(1, -1.0), np.zeros(1)).relative_error)
    assert np.isnan(checker(np.ones(1), np.full(1, np.nan)).relative_error)


def test_an_exception_of_f_arrives_and_the_checker_goes_on():
    @nb.njit
    def f(x):
        if x[1] > 1.0:
            raise ArithmeticError("out of the domain")
        return x[0] * x[1]

    checker = GradientChecker(f, np.zeros(2))
    with pytest.raises(ArithmeticError, match="out of the domain") as caught:
        checker(np.ones(2), np.ones(2))
    assert "x + h, x[1] = 1.0000001" in caught.value.__notes__[0]
    assert checker(np.array([3.0, 0.5]), np.array([0.5, 3.0])).relative_error < 1e-8


def test_an_objective_that_writes_to_x_somewhere_is_refused():
    @nb.njit
    def f(x):
        if x[0] > 1.0:
            x[1] = 7.0
        return x[0]

    checker = GradientChecker(f, np.zeros(2))
    with pytest.raises(ValueError, match="f writes to x"):
        checker(np.full(2, 2.0), np.ones(2))
    with pytest.raises(ValueError, match="f writes to x"):
        checker.gradient(np.full(2, 2.0))


# --- full checks and optimisers --------------------------------------------------------------------------------


def test_a_full_check_has_a_verdict_and_takes_the_options_of_check_gradient():
    checker = GradientChecker(rosenbrock, np.ones(3), args=ARGS)
    x = start(3)
    wrong = rosenbrock_gradient(x, *ARGS)
    wrong[2] += 1.0
    assert checker.check(x, rosenbrock_gradient).verdict is Verdict.MATCH
    result = checker.check(x, wrong, blocks={"a": 2, "b": 1})
    assert result.verdict is Verdict.MISMATCH
    assert result.worst[0].name == "b[0]"
    assert checker.check(x, wrong, rtol=10.0).verdict is Verdict.MATCH


def test_the_callback_checks_the_first_and_every_kth_iterate():
    checker = GradientChecker(rosenbrock, np.ones(3), args=ARGS)
    checks = []
    callback = checker.callback(rosenbrock_gradient, every=3, then=checks.append)
    for k in range(8):
        assert callback(np.full(3, float(k))) is None
    assert [check.analytical_grad.tolist() for check in checks] == [
        rosenbrock_gradient(np.full(3, float(k)), *ARGS).tolist() for k in (0, 3, 6)
    ]


def test_the_callback_raises_on_a_mismatch_and_on_nothing_else():
    checker = GradientChecker(first_coordinate, np.zeros(1))
    callback = checker.callback(lambda x: x + 2.0, every=1)  # right at 2, elsewhere wrong
    callback(np.full(1, 2.0))
    with pytest.raises(GradientMismatch, match="the gradient is wrong at an iterate:\nMISMATCH") as caught:
        callback(np.full(1, 3.0))
    assert caught.value.check.worst[0].analytical == 5.0
    undecided = GradientChecker(nb.njit(lambda x: np.sqrt(x[0])), np.ones(1)).callback(lambda x: x, every=1)
    undecided(np.full(1, -1.0))


@pytest.mark.parametrize("every", [0, -1, 1.5, True, None])
def test_every_is_a_whole_number(every):
    with pytest.raises((TypeError, ValueError), match=f"every is {every}; need (a whole number|1 or more)"):
        GradientChecker(first_coordinate, np.zeros(1)).callback(first_coordinate, every=every)


METHODS = ["BFGS", "CG", "L-BFGS-B", "TNC", "SLSQP", "Newton-CG", "trust-constr"]


@pytest.mark.parametrize("method", METHODS)
def test_it_serves_every_method_of_scipy_as_callback_and_as_jac(method):
    minimize = pytest.importorskip("scipy.optimize").minimize
    x = np.array([-0.5, 0.5, 0.3])
    checker = GradientChecker(rosenbrock, x, args=(3.0,))
    checks = []
    run = minimize(
        lambda x: rosenbrock(x, 3.0),
        x,
        jac=checker.gradient,
        method=method,
        callback=checker.callback(rosenbrock_gradient, every=4, then=checks.append),
    )
    np.testing.assert_allclose(run.x, 1.0, atol=2e-2)
    assert len(checks) == -(-run.nit // 4) > 1
    assert all(check.verdict is not Verdict.MISMATCH for check in checks)
    wrong = checker.callback(lambda x, weight: rosenbrock_gradient(x, 1.5 * weight), every=1)
    with pytest.raises(GradientMismatch):
        minimize(lambda x: rosenbrock(x, 3.0), x, jac=checker.gradient, method=method, callback=wrong)


def test_the_optimisation_example_sees_the_planted_bug():
    pytest.importorskip("scipy")
    module = example("optimisation_run")
    result, checks = module.run(module.gradient)
    assert result.success
    assert len(checks) == -(-result.nit // 5)
    assert {check.verdict for check in checks} == {Verdict.MATCH}
    _, checks = module.run(module.gradient_with_bug)
    assert {check.verdict for check in checks} == {Verdict.MISMATCH}


def test_it_works_without_compilation():
    script = """
import numpy as np, fastgrad
checker = fastgrad.GradientChecker(lambda x, a: a * x[0] * x[1], np.ones(2), args=(2.0,))
numerical, error = checker(np.array([3.0, 4.0]), np.array([8.0, 6.0]))
print(numerical.round(5).tolist(), error < 1e-8)
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout == "[8.0, 6.0] True\n", done.stderr
