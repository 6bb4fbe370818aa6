"""sweep_epsilon: the measured curve, its two branches, and what it says of planted gradients."""

from __future__ import annotations

import json
import math
from functools import cache

import naive
import numba as nb
import numpy as np
import problems
import pytest
from exp_sine import f, gradient

import fastgrad
import fastgrad.sweep
from fastgrad import Verdict, sweep_epsilon

X = np.linspace(-1.0, 1.2, 20)


@nb.njit
def linear(x, slopes):
    return (slopes * x).sum()


@nb.njit
def constant(x):
    return 5.0


@nb.njit
def with_kink(x):
    return (np.exp(x) * np.sin(x)).sum() + abs(x[3] - 0.5)


@nb.njit
def logarithms(x):
    return np.log(x).sum()


@nb.njit
def guarded(x):
    if x[1] > 1.001:
        raise ValueError("left the domain")
    return (x * x).sum()


@nb.njit
def guarded_everywhere(x):
    if x[1] != 1.0:
        raise ValueError("left the domain")
    return (x * x).sum()


@nb.njit
def noisy(x, sigma):
    """Uniform-looking noise of standard deviation sigma that depends on x alone."""
    phase = 1e9 * x.sum() * 0.6180339887498949
    return (np.exp(x) * np.sin(x)).sum() + sigma * math.sqrt(12.0) * (phase - math.floor(phase) - 0.5)


@cache
def right():
    return sweep_epsilon(f, X, gradient)


def parts(sweep):
    return [part.value for part in sweep.parts]


# --- a right gradient ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("builder", ["rosenbrock", "log_sum_exp", "tanh_network", "lennard_jones", "relu_network"])
def test_a_right_gradient_gives_the_v_that_noise_and_truncation_predict(builder):
    problem = getattr(problems, builder)()
    sweep = sweep_epsilon(problem.f, problem.x, problem.gradient, args=problem.args)
    assert 0.1 < sweep.best_epsilon / sweep.predicted_best_epsilon < 10.0
    assert 0.1 < sweep.smallest_error / sweep.predicted_smallest_error < 10.0
    assert 0.2 < sweep.noise / sweep.fitted_noise < 5.0
    assert sweep.slopes == (pytest.approx(-1.0, abs=0.1), pytest.approx(2.0, abs=0.1))
    assert math.isnan(sweep.floor)
    assert sweep.verdict is Verdict.MATCH
    assert sweep.reason.startswith("E falls as 1/epsilon (rounding noise)")
    assert "grows as epsilon^2 (truncation) beyond" in sweep.reason


def test_truncation_is_that_of_the_third_derivatives():
    third = 2.0 * np.exp(X) * (np.cos(X) - np.sin(X))  # of exp(x) sin(x)
    expected = np.linalg.norm(third) / (12.0 * np.linalg.norm(gradient(X)))
    assert right().truncation == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("sigma", [1e-9, 1e-5])
def test_the_predicted_noise_is_that_of_f(sigma):
    sweep = sweep_epsilon(noisy, X, gradient(X), np.logspace(-5, -1, 17), args=(sigma,))
    expected = sigma * math.sqrt(X.size / 2.0) / (2.0 * np.linalg.norm(gradient(X)))
    assert 0.5 < sweep.noise / expected < 3.0
    assert 0.5 < sweep.fitted_noise / expected < 2.0


def test_the_errors_are_those_of_plain_central_differences():
    sweep = sweep_epsilon(f, X, gradient, [1e-8, 1e-5, 1e-2])
    for epsilon, error in zip(sweep.epsilon, sweep.relative_error, strict=True):
        numerical = naive.central_difference(f, X, epsilon)
        assert error == pytest.approx(naive.relative_error(numerical, gradient(X)), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_errors_are_those_of_a_check_at_the_same_epsilon(dtype):
    sweep = sweep_epsilon(f, X.astype(dtype), gradient, [1e-3])
    assert sweep.relative_error[0] == fastgrad.check_gradient(f, X.astype(dtype), gradient, 1e-3).relative_error


def test_every_normalisation_is_of_the_same_difference():
    sweep = sweep_epsilon(f, X, gradient, [1e-3])
    (norms,) = sweep.norms
    numerical, analytical = naive.central_difference(f, X, 1e-3), gradient(X)
    size, ana, num = (np.linalg.norm(v) for v in (numerical - analytical, analytical, numerical))
    found = (norms.difference, norms.by_analytical, norms.by_twice_analytical, norms.by_larger, norms.root_mean_square)
    expected = (size, size / ana, size / (2 * ana), size / max(num, ana), size / math.sqrt(X.size))
    assert found == pytest.approx(expected)
    written = sweep.to_dict()["norms"]
    assert written["by_larger"] == [norms.by_larger]
    assert written["root_mean_square"] == [norms.root_mean_square]


def test_float32_has_its_own_epsilons_and_a_larger_best_one():
    sweep = sweep_epsilon(f, X.astype(np.float32), gradient)
    assert (sweep.epsilon[0], sweep.epsilon[-1], sweep.epsilon.size) == (1e-7, 1.0, 29)
    assert 0.1 < sweep.best_epsilon / sweep.predicted_best_epsilon < 10.0
    assert 1e-3 < sweep.best_epsilon < 0.1
    assert 1e-7 < sweep.smallest_error < 1e-4
    assert 0.2 < sweep.noise / sweep.fitted_noise < 5.0


def test_no_result_depends_on_the_threads():
    alone = sweep_epsilon(f, X, gradient, threads=1)
    np.testing.assert_array_equal(alone.relative_error, right().relative_error)
    assert (alone.noise, alone.truncation) == (right().noise, right().truncation)


def test_shapes_of_x_and_extra_arguments_are_those_of_f():
    slopes = np.arange(1.0, 7.0).reshape(2, 3)
    sweep = sweep_epsilon(linear, np.ones((2, 3)), lambda x, a: a, [1e-4, 1e-3, 1e-2], args=(slopes,))
    assert sweep.smallest_error < 1e-11
    scalar = sweep_epsilon(nb.njit(lambda x: x * x * x), 0.7, 3 * 0.7**2)
    assert scalar.truncation == pytest.approx(1.0 / (2 * 3 * 0.7**2), rel=0.02)


# --- a wrong gradient ----------------------------------------------------------------------------------------------


def planted(kind):
    """A wrong gradient, and the E that it has against the right one."""
    wrong = gradient(X)
    if kind == "sign":
        wrong = -wrong
    elif kind == "factor":
        wrong *= 2.0
    elif kind == "one component":
        wrong[3] *= 1.01
    elif kind == "missing":
        wrong[-1] = 0.0
    return wrong, naive.relative_error(gradient(X), wrong)


@pytest.mark.parametrize("kind", ["sign", "factor", "one component", "missing"])
def test_a_wrong_gradient_is_flat_and_named(kind):
    wrong, expected = planted(kind)
    sweep = sweep_epsilon(f, X, wrong)
    assert sweep.floor == pytest.approx(expected, rel=0.1)
    assert parts(sweep).count("flat") >= 20
    assert sweep.reason.startswith("E stays at ")
    assert sweep.reason.endswith("the gradient is wrong")
    assert sweep.verdict is Verdict.MISMATCH


@pytest.mark.parametrize("kind", ["sign", "factor", "one component", "missing"])
def test_a_wrong_gradient_does_not_bend_the_branches(kind):
    wrong, _ = planted(kind)
    sweep = sweep_epsilon(f, X, wrong)
    sizes = np.linalg.norm(wrong) + np.linalg.norm(gradient(X))
    share = 2.0 * np.linalg.norm(gradient(X)) / sizes  # N and T are relative to the sum of the norms
    assert sweep.noise == pytest.approx(share * right().noise, rel=1e-6)
    assert sweep.fitted_noise == pytest.approx(share * right().fitted_noise, rel=1e-6)
    assert sweep.truncation == pytest.approx(share * right().truncation, rel=1e-6)


def test_a_gradient_of_less_precision_has_a_floor_and_is_not_called_wrong():
    sweep = sweep_epsilon(f, X, gradient(X).astype(np.float32))
    assert 1e-9 < sweep.floor < 1e-7
    assert "off by that much" in sweep.reason
    assert sweep.verdict is Verdict.MATCH


def test_a_wrong_component_that_the_norm_hides_is_not_lost():
    wrong = gradient(X)
    wrong[3] *= 1.001
    sweep = sweep_epsilon(f, X, wrong, np.logspace(-13, -11, 9))
    assert math.isnan(sweep.floor)
    assert sweep.verdict is Verdict.MISMATCH
    assert "too small beside the others, to show" in sweep.reason


def test_scales_that_no_common_epsilon_suits_are_not_called_wrong():
    problem = problems.sines()
    sweep = sweep_epsilon(problem.f, problem.x, problem.gradient, args=problem.args)
    assert sweep.verdict is Verdict.MATCH
    assert "no epsilon suits all coordinates at once" in sweep.reason
    lost = np.isnan(sweep.relative_error)
    assert lost.sum() == 33
    assert parts(sweep)[:33] == ["-"] * 33
    (note,) = sweep.notes
    assert note.startswith("epsilon 1e-12 to 0.0001 (33 of them): ")
    assert "x[24]" in note and "does not change" in note


# --- branches that are missing -------------------------------------------------------------------------------------


def test_a_linear_function_has_no_truncation():
    slopes = np.linspace(0.1, 1.7, 20)
    sweep = sweep_epsilon(linear, X + 0.3, slopes, args=(slopes,))
    assert sweep.truncation == 0.0
    assert sweep.predicted_best_epsilon == math.inf
    assert sweep.best_epsilon >= 1e-2
    assert "no truncation is seen" in sweep.reason
    assert set(parts(sweep)) == {"rounding"}


def test_a_constant_function_is_equal_or_flat():
    equal = sweep_epsilon(constant, X, np.zeros(20))
    assert equal.smallest_error == 0.0
    assert equal.reason.startswith("E is 0 at every epsilon")
    wrong = sweep_epsilon(constant, X, np.ones(20))
    assert wrong.floor == 1.0
    assert wrong.reason.endswith("the gradient is wrong")


def test_an_analytical_gradient_of_zero_has_no_curve_to_read():
    sweep = sweep_epsilon(f, X, np.zeros(20))
    assert "the analytical gradient is zero" in sweep.reason
    assert sweep.verdict is Verdict.MISMATCH
    assert set(parts(sweep)) == {"-"}


def test_too_few_epsilon_are_said_to_be_too_few():
    assert "a law can be read from 3" in sweep_epsilon(f, X, gradient, [1e-7, 1e-3]).reason


# --- kinks ---------------------------------------------------------------------------------------------------------


def test_a_kink_is_named_with_its_coordinate_and_leaves_the_rest_alone():
    x = X.copy()
    x[3] = 0.5 - 0.02
    analytical = gradient(x)
    analytical[3] -= 1.0
    sweep = sweep_epsilon(with_kink, x, analytical)
    first = parts(sweep).index("kink")
    assert sweep.epsilon[first - 1] < 0.02 < sweep.epsilon[first]
    assert set(parts(sweep)[first:]) == {"kink"}
    assert sweep.reason.endswith("near x[3]")
    assert sweep.truncation == pytest.approx(sweep_epsilon(f, x, gradient).truncation, rel=0.1)
    assert sweep.verdict is Verdict.MATCH


def test_a_kink_at_x_is_not_called_a_wrong_gradient():
    x = X.copy()
    x[3] = 0.5
    sweep = sweep_epsilon(with_kink, x, gradient(x) + np.eye(20)[3])
    assert sweep.reason.endswith("the gradient is wrong, or f has no derivative at x")
    assert sweep.verdict is Verdict.INCONCLUSIVE


# --- NaN and exceptions --------------------------------------------------------------------------------------------


def test_an_epsilon_at_which_f_is_not_finite_has_no_error():
    sweep = sweep_epsilon(logarithms, np.array([1.0, 0.05, 2.0]), lambda x: 1.0 / x)
    np.testing.assert_array_equal(np.isnan(sweep.relative_error), sweep.epsilon > 0.05)
    assert parts(sweep)[-1] == "-"
    (note,) = sweep.notes
    assert "f is not finite within epsilon of x[1] = 0.05" in note
    assert "nan" in str(sweep)


def test_an_epsilon_at_which_f_raises_has_no_error():
    sweep = sweep_epsilon(guarded, np.array([0.5, 1.0, 2.0]), lambda x: 2.0 * x)
    np.testing.assert_array_equal(np.isnan(sweep.relative_error), sweep.epsilon > 1e-3)
    (note,) = sweep.notes
    assert "f raises within epsilon of x[1] = 1.0" in note


def test_an_f_that_raises_around_x_lets_its_exception_out():
    with pytest.raises(ValueError, match="left the domain") as failure:
        sweep_epsilon(guarded_everywhere, np.array([0.5, 1.0, 2.0]), lambda x: 2.0 * x)
    assert any("x[1]" in note for note in failure.value.__notes__)


def test_a_gradient_with_a_nan_has_no_error_anywhere():
    broken = gradient(X)
    broken[2] = np.nan
    sweep = sweep_epsilon(f, X, broken)
    assert np.isnan(sweep.relative_error).all()
    assert math.isnan(sweep.best_epsilon) and math.isnan(sweep.smallest_error)
    assert sweep.verdict is Verdict.MISMATCH
    assert "not finite" in sweep.reason


def test_an_f_that_is_nan_at_x_has_no_error_anywhere():
    sweep = sweep_epsilon(logarithms, -np.ones(3), np.ones(3))
    assert np.isnan(sweep.relative_error).all() and math.isnan(sweep.noise)
    assert sweep.verdict is Verdict.INCONCLUSIVE
    assert "could not be measured" in sweep.reason


def test_an_interruption_gets_out(monkeypatch):
    measure = fastgrad.sweep.all_differences

    def interrupted(evaluator, *rest):
        evaluator.budget.fail(KeyboardInterrupt(), "an interruption")
        return measure(evaluator, *rest)

    monkeypatch.setattr(fastgrad.sweep, "all_differences", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep_epsilon(f, X, gradient)


# --- the gate ------------------------------------------------------------------------------------------------------


def test_epsilons_are_sorted_and_taken_once():
    sweep = sweep_epsilon(f, X, gradient, [1e-3, 1e-7, 1e-5, 1e-3])
    assert sweep.epsilon.tolist() == [1e-7, 1e-5, 1e-3]


@pytest.mark.parametrize(
    ("epsilons", "error", "message"),
    [
        ([], ValueError, "need one or more numbers"),
        ([1e-3, 0.0], ValueError, "all positive"),
        ([1e-3, -1.0], ValueError, "all positive"),
        ([1e-3, math.nan], ValueError, "all positive"),
        ([1e-3, math.inf], ValueError, "all positive"),
        ("1e-3", TypeError, "need positive numbers"),
        ([[1e-3]], TypeError, "need positive numbers"),
        ([True], TypeError, "need positive numbers"),
    ],
)
def test_unusable_epsilons_are_refused(epsilons, error, message):
    with pytest.raises(error, match=message):
        sweep_epsilon(f, X, gradient, epsilons)


def test_the_evaluations_are_counted():
    sweep = right()
    tables = sweep.evaluations - sweep.check.evaluations - 2 - 2 * X.size * sweep.epsilon.size
    assert tables >= 24 and tables % 8 == 0


def test_x_is_left_alone():
    x = X.copy()
    sweep_epsilon(f, x, gradient, [1e-3])
    np.testing.assert_array_equal(x, X)


# --- what is shown -------------------------------------------------------------------------------------------------


def test_the_table_fits_a_terminal_and_holds_the_best_epsilon():
    for sweep in (right(), sweep_epsilon(f, X, -gradient(X)), sweep_epsilon(logarithms, -np.ones(3), np.ones(3))):
        assert max(map(len, str(sweep).splitlines())) <= 80
    lines = str(right()).splitlines()
    assert lines[0].startswith("E falls as 1/epsilon")
    assert sum("*" in line for line in lines) >= 12
    assert any(line.startswith(f"{right().best_epsilon:>8.2e}") for line in lines)
    assert "MATCH: all 20 components agree" in str(right())


def test_the_curve_is_drawn_to_scale():
    measured = dict(zip((f"{h:.2e}" for h in right().epsilon), right().relative_error, strict=True))
    rows = [line for line in str(right()).splitlines() if line[:8] in measured]
    places = [row.index("*", 40) for row in rows]
    logarithms_of_e = [math.log10(measured[row[:8]]) for row in rows]
    lowest = math.floor(math.log10(right().smallest_error))
    expected = [41 + 36 * (1.0 - value / lowest) for value in logarithms_of_e]
    np.testing.assert_allclose(places, expected, atol=0.51)


def test_to_dict_is_plain_data_of_full_length():
    data = sweep_epsilon(f, X, -gradient(X)).to_dict()  # has a floor, where others have a NaN
    data["slopes"] = None
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    for name in ("epsilon", "relative_error", "predicted", "parts"):
        assert len(data[name]) == 45
    assert data["predicted"] == pytest.approx([data["noise"] / h + data["truncation"] * h**2 for h in data["epsilon"]])
    assert data["verdict"] == "mismatch"


def test_the_result_cannot_be_changed():
    with pytest.raises(AttributeError):
        right().noise = 1.0
