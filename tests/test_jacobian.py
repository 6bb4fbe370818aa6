"""check_jacobian: right Jacobians are never accused, wrong ones never cleared, and what is wrong is named."""

import json
import math
import pickle
from dataclasses import replace

import naive
import numba as nb
import numpy as np
import pytest
import vector_problems
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad
from fastgrad import Flag, Verdict, _schedule, _vector_trial, check_gradient, check_jacobian, numerical_jacobian

OPEN, RIGHT, WRONG = Verdict.INCONCLUSIVE, Verdict.MATCH, Verdict.MISMATCH
PROBLEMS = {problem.name: problem for problem in (build() for build in vector_problems.BUILDERS)}


def jacobian_of(problem):
    return problem.jacobian(problem.x, *problem.args).reshape(-1, problem.x.size)


def check(problem, jacobian=None, **options):
    jacobian = jacobian_of(problem) if jacobian is None else jacobian
    return check_jacobian(problem.F, problem.x, jacobian, args=problem.args, **options)


def sentences(result):
    return [cause.sentence for cause in result.causes]


# --- right Jacobians -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
def test_right_jacobians_match(name):
    problem = PROBLEMS[name]
    result = check(problem)
    assert result.verdict is Verdict.MATCH and result.passed and result.causes == ()
    assert result.relative_error < 1e-7
    expected = naive.central_jacobian(problem.F, problem.x, 1e-7, problem.args)
    np.testing.assert_array_equal(result.numerical_jacobian, expected)
    np.testing.assert_array_equal(numerical_jacobian(problem.F, problem.x, args=problem.args), expected)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_jacobian_may_be_a_function_or_shaped_like_f_and_x(name):
    problem = PROBLEMS[name]
    numerical, error = check(problem, problem.jacobian)
    again, same = check(problem, problem.jacobian(problem.x, *problem.args))
    np.testing.assert_array_equal(numerical, again)
    assert error == same


def test_evaluations_are_two_for_each_column_and_two_at_x():
    problem = PROBLEMS["trigonometric"]
    assert check(problem).evaluations == 2 * problem.x.size + 2


def test_relative_error_is_that_of_the_frobenius_norms():
    problem = PROBLEMS["pendulum"]
    wrong = 1.5 * jacobian_of(problem)
    numerical, error = check(problem, wrong)
    assert error == pytest.approx(naive.relative_error(numerical, wrong), rel=1e-14)


@pytest.mark.parametrize("name", PROBLEMS)
def test_bits_do_not_depend_on_threads(name):
    problem = PROBLEMS[name]
    wrong = jacobian_of(problem)
    wrong[1, 2] += 0.5
    one, two = check(problem, wrong, threads=1), check(problem, wrong, threads=2)
    for field in ("numerical_jacobian", "estimate", "uncertainty", "verdicts", "flags", "noise"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    assert (one.relative_error, one.reason, one.worst) == (two.relative_error, two.reason, two.worst)


def test_single_precision():
    problem = PROBLEMS["layer"]
    x, args = problem.x.astype(np.float32), (problem.args[0].astype(np.float32), problem.args[1])
    jacobian = problem.jacobian(x.astype(np.float64), problem.args[0].astype(np.float32), 4).astype(np.float32)
    result = check_jacobian(problem.F, x, jacobian, args=args)
    assert result.passed and result.numerical_jacobian.dtype == np.float32
    jacobian[0, 0, 0] *= 1.01
    assert check_jacobian(problem.F, x, jacobian, args=args).verdict is Verdict.MISMATCH


def test_each_row_is_judged_as_the_gradient_of_its_own_function():
    problem = PROBLEMS["pendulum"]

    @nb.njit
    def row(x, i, step, start):
        return vector_problems.pendulum_F(x, step, start)[i]

    wrong = jacobian_of(problem)
    wrong[3, 2] *= 1.001
    wrong[7] = -wrong[7]
    result = check(problem, wrong)
    for i in (0, 3, 7, 19):
        alone = check_gradient(row, problem.x, wrong[i], args=(i, *problem.args))
        assert result.verdicts[i].tolist() == alone.verdicts.tolist()
        np.testing.assert_array_less(
            np.abs(result.estimate[i] - alone.estimate), result.uncertainty[i] + alone.uncertainty
        )


# --- wrong ones --------------------------------------------------------------------------------------------------


def one_entry(J):
    i, j = np.argwhere(J)[J.size // 3 % np.count_nonzero(J)]
    J[i, j] *= 1.0001
    return (i, j)


def missing_column(J):
    J[:, 2] = 0.0
    return "column 2 of the Jacobian is exactly zero: zeroed or never written"


def missing_row(J):
    J[4] = 0.0
    return "row 4 of the Jacobian is exactly zero: zeroed or never written"


def sign(J):
    J *= -1.0
    return "every entry has the wrong sign"


def sign_of_a_row(J):
    J[5] *= -1.0
    return "the entries in row 5 have the wrong sign"


def doubled(J):
    J *= 2.0
    return "every entry is 2 times too large (analytical = 2 * numerical): a missing or doubled factor"


def swapped_rows(J):
    J[[1, 6]] = J[[6, 1]]
    return "rows 1 and 6 of the Jacobian are swapped"


def swapped_columns(J):
    J[:, [0, 3]] = J[:, [3, 0]]
    return "columns 0 and 3 of the Jacobian are swapped"


BUGS = (missing_column, missing_row, sign, sign_of_a_row, doubled, swapped_rows, swapped_columns)


@pytest.mark.parametrize("name", PROBLEMS)
def test_one_wrong_entry_is_found(name):
    problem = PROBLEMS[name]
    wrong = jacobian_of(problem).copy()
    place = one_entry(wrong)
    result = check(problem, wrong)
    assert result.verdict is Verdict.MISMATCH
    assert np.argwhere(result.verdicts == Verdict.MISMATCH).tolist() == [list(place)]
    assert result.worst[0].index == place and result.worst[0].verdict is Verdict.MISMATCH
    assert f"J[{place[0]}, {place[1]}]" in result.reason


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
@pytest.mark.parametrize("name", PROBLEMS)
def test_planted_bugs_are_found_and_named(name, bug):
    problem = PROBLEMS[name]
    wrong = jacobian_of(problem).copy()
    right = wrong.copy()
    expected = bug(wrong)
    result = check(problem, wrong)
    assert result.verdict is Verdict.MISMATCH
    assert not (result.verdicts[wrong == right] == Verdict.MISMATCH).any()
    # Named in full, or as what it is on the few entries that it touches.
    found = " ".join(sentences(result))
    if bug is sign_of_a_row and np.count_nonzero(right[5]) <= 3:
        assert "wrong sign" in found
    elif bug is swapped_columns and name == "layer":
        assert "swapped" in found
    else:
        assert expected in found


@pytest.mark.parametrize("name", ["trigonometric", "pendulum"])
def test_a_transposed_jacobian_is_named(name):
    problem = PROBLEMS[name]
    result = check(problem, jacobian_of(problem).T.copy())
    assert result.verdict is Verdict.MISMATCH and sentences(result) == ["the Jacobian is transposed"]


def test_rows_off_by_one_are_named():
    problem = PROBLEMS["trigonometric"]
    shifted = np.roll(jacobian_of(problem), 1, axis=0)
    assert "shifted" in sentences(check(problem, shifted))[0]


def test_a_wrong_term_in_one_column_is_named_with_it():
    problem = PROBLEMS["layer"]
    wrong = jacobian_of(problem).copy()
    wrong[:, 3] += 0.25
    assert sentences(check(problem, wrong))[0].startswith("an extra constant 0.25 is in the entries in column 3")


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.integers(0, 19), st.integers(0, 19), st.sampled_from([1e-3, -1.0, 100.0]))
def test_any_single_error_is_found_and_no_other_entry_blamed(i, j, relative):
    problem = PROBLEMS["pendulum"]
    wrong = jacobian_of(problem).copy()
    error = relative * np.abs(wrong[i]).max()
    wrong[i, j] += error
    result = check(problem, wrong)
    assert np.argwhere(result.verdicts == Verdict.MISMATCH).tolist() == [[i, j]]
    assert abs(result.estimate[i, j] + error - wrong[i, j]) <= result.uncertainty[i, j]


def test_entries_that_are_not_finite_never_match():
    problem = PROBLEMS["pendulum"]
    wrong = jacobian_of(problem).copy()
    wrong[2, 3], wrong[4, 4] = np.nan, np.inf
    result = check(problem, wrong)
    assert result.verdict is Verdict.MISMATCH and np.isnan(result.relative_error)
    assert result.reason == "the analytical Jacobian is nan at J[2, 3] and not finite at 1 more"
    assert "not finite" in sentences(result)[0]


# --- difficult functions -----------------------------------------------------------------------------------------


@nb.njit
def scaled_F(x, scale):
    values = np.empty(x.size)
    for i in range(x.size):
        values[i] = scale[i] ** 2 * np.sin(x[i] / scale[i]) * np.cos(x[i - 1] / scale[i - 1])
    return values


def scaled_jacobian(x, scale):
    u = x / scale
    J = np.diag(scale * np.cos(u) * np.cos(np.roll(u, 1)))
    for i in range(x.size):
        J[i, i - 1] -= scale[i] ** 2 / scale[i - 1] * np.sin(u[i]) * np.sin(u[i - 1])
    return J


def test_coordinates_and_values_of_all_sizes():
    scale = np.logspace(-8, 8, 17)
    x = scale * np.linspace(0.4, 1.3, 17)
    right = scaled_jacobian(x, scale)
    assert check_jacobian(scaled_F, x, right, args=(scale,)).verdict is Verdict.MATCH
    wrong = right.copy()
    wrong[3, 3] *= 1.001
    result = check_jacobian(scaled_F, x, wrong, args=(scale,))
    assert np.argwhere(result.verdicts == Verdict.MISMATCH).tolist() == [[3, 3]]


@pytest.mark.parametrize("unit", [1e-250, 1e250])
def test_values_near_the_limits_of_floating_point(unit):
    F = nb.njit(lambda x, unit: unit * np.array([x[0] ** 2 + x[1], 1e40 * x[0] * x[1] if unit < 1.0 else x[1]]))
    factor = 1e40 if unit < 1.0 else 0.0
    right = unit * np.array([[4.0, 1.0], [3.0 * factor, 2.0 * factor if factor else 1.0]])
    assert check_jacobian(F, [2.0, 3.0], right, args=(unit,)).verdict is Verdict.MATCH
    wrong = right * np.array([[1.0, 1.001], [1.0, 1.0]])
    assert np.argwhere(check_jacobian(F, [2.0, 3.0], wrong, args=(unit,)).verdicts == Verdict.MISMATCH).tolist() == [
        [0, 1]
    ]


@nb.njit
def noisy_F(x, amplitude):
    """Noise from the low digits of its arguments: the same at every call, and different next to it."""
    values = np.empty(x.size)
    for i in range(x.size):
        bits = 1e4 * np.sin(1e9 * (x[i] + 0.7 * x[i - 1]))
        values[i] = np.sin(x[i]) * x[i - 1] + amplitude * (bits - np.floor(bits) - 0.5)
    return values


def noisy_jacobian(x):
    J = np.diag(np.cos(x) * np.roll(x, 1))
    for i in range(x.size):
        J[i, i - 1] += np.sin(x[i])
    return J


def test_noise_widens_bars_and_hides_no_large_error():
    x = np.linspace(0.5, 1.5, 20)
    right = noisy_jacobian(x)
    result = check_jacobian(noisy_F, x, right, args=(1e-7,))
    assert result.verdict is not Verdict.MISMATCH
    assert (result.noise > 1e-9).all()
    wrong = right.copy()
    wrong[4, 4] += 0.1
    result = check_jacobian(noisy_F, x, wrong, args=(1e-7,))
    assert np.argwhere(result.verdicts == Verdict.MISMATCH).tolist() == [[4, 4]]


def test_noise_that_is_known_is_not_measured():
    x = np.linspace(0.5, 1.5, 20)
    options = {"args": (1e-11,), "noise": np.full(20, 1e-11)}
    result = check_jacobian(noisy_F, x, noisy_jacobian(x), **options)
    np.testing.assert_array_equal(result.noise, options["noise"])
    assert result.verdict is not Verdict.MISMATCH


def test_zero_rows_columns_and_constants():
    F = nb.njit(lambda x: np.array([x[0] ** 2, 0.0, 5.0, x[2]]))
    result = check_jacobian(F, [1.0, 2.0, 3.0], [[2.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1.0]])
    assert result.verdict is Verdict.MATCH
    wrong = check_jacobian(F, [1.0, 2.0, 3.0], [[2.0, 0, 0], [0, 0, 1e-3], [0, 0, 0], [0, 0, 1.0]])
    assert np.argwhere(wrong.verdicts == Verdict.MISMATCH).tolist() == [[1, 2]]


@pytest.mark.parametrize("step", [None, fastgrad.steps.Automatic()])
def test_a_row_of_zeros_is_believed_where_it_is_flat_but_not_where_it_is_too_large_to_show_more(step):
    def F(x):
        flat = 5.0 + max(0.0, x[1] - 5.0)
        return np.array([np.sum(x**2), flat, 4.2e11 + np.exp(-0.5 * x[0] ** 2)])

    x = np.array([-0.003, 1.0])
    result = check_jacobian(nb.njit(F), x, [2.0 * x, [0.0, 0.0], [0.0, 0.0]], step)
    assert result.verdicts[:2].tolist() == [[RIGHT, RIGHT], [RIGHT, RIGHT]]
    assert not (result.verdicts[2] == RIGHT).any()


def test_a_kink_is_inconclusive_and_said():
    F = nb.njit(lambda x: np.array([np.abs(x[0]), x[1] ** 2]))
    result = check_jacobian(F, [0.0, 2.0], [[1.0, 0.0], [0.0, 4.0]])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason.startswith("kink at J[0, 0] (slopes -1 and 1, analytical 1 between them): F has no derivative")
    (kink,) = result.kinks
    assert kink.index == (0, 0) and kink.row == "F[0]" and kink.analytical_between


def test_values_that_are_nan_at_x_are_not_judged_and_the_others_are():
    F = nb.njit(lambda x: np.array([np.log(x[0] - 2.0), x[1] ** 2]))
    result = check_jacobian(F, [1.0, 2.0], [[1.0, 0.0], [0.0, 4.0]])
    assert result.verdict is Verdict.INCONCLUSIVE and result.verdicts.tolist() == [[OPEN, OPEN], [RIGHT, RIGHT]]
    assert result.reason == "F[0] is nan at x: nothing to differentiate there; check at another x"
    assert (result.flags[0] & Flag.NON_FINITE).all()
    wrong = check_jacobian(F, [1.0, 2.0], [[1.0, 0.0], [0.0, 4.1]])
    assert wrong.verdict is Verdict.MISMATCH


def test_the_edge_of_a_domain_is_checked_from_one_side():
    F = nb.njit(lambda x: np.array([x[0] ** 1.5, x[1] ** 2]))
    result = check_jacobian(F, [0.0, 2.0], [[0.0, 0.0], [0.0, 4.0]], bounds=(0.0, None))
    assert result.verdict is not Verdict.MISMATCH
    F = nb.njit(lambda x: np.array([np.sqrt(x[0] - 1.0) * (x[0] - 1.0) + 2.0 * x[0], x[1] ** 2]))
    inside = check_jacobian(F, [1.0, 2.0], [[2.0, 0.0], [0.0, 4.0]], bounds=(1.0, None))
    assert inside.verdicts[1].tolist() == [RIGHT, RIGHT] and inside.verdicts[0, 0] is not Verdict.MISMATCH


def test_bounds_are_never_left():
    @nb.njit
    def F(x):
        if x[0] < 1.0 or x[1] > 2.0:
            raise ValueError("outside")
        return np.array([x[0] ** 2 * x[1], x[1] ** 3])

    right = np.array([[4.0, 1.0], [0.0, 12.0]])
    result = check_jacobian(F, [1.0, 2.0], right, bounds=([1.0, -np.inf], [np.inf, 2.0]))
    assert result.verdict is Verdict.MATCH and "checked from one side only" in result.reason
    np.testing.assert_allclose(result.numerical_jacobian, right, rtol=1e-6, atol=1e-6)
    result = check_jacobian(F, [1.0, 2.0], right * [[1.0, 1.1], [1.0, 1.0]], bounds=([1.0, -np.inf], [np.inf, 2.0]))
    assert np.argwhere(result.verdicts == Verdict.MISMATCH).tolist() == [[0, 1]]


@nb.njit
def random_F(x):
    return x * x + 1e-4 * np.random.random()  # noqa: NPY002  (the only one that compiled code can make by itself)


def test_a_random_f_is_inconclusive():
    result = check_jacobian(random_F, [1.0, 2.0], [[2.0, 0.0], [0.0, 4.0]])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "F is not deterministic" in result.reason and "fix the seed" in result.reason


# --- steps --------------------------------------------------------------------------------------------------------


def test_automatic_steps_give_the_best_estimates():
    problem = PROBLEMS["trigonometric"]
    result = check(problem, epsilon=fastgrad.steps.Automatic())
    assert result.passed and result.relative_error < check(problem).relative_error
    np.testing.assert_array_equal(result.numerical_jacobian, result.estimate)


def test_steps_for_each_coordinate():
    problem = PROBLEMS["pendulum"]
    steps = np.logspace(-7, -4, problem.x.size)
    numerical, _ = check(problem, epsilon=steps)
    np.testing.assert_array_equal(numerical, naive.central_jacobian(problem.F, problem.x, steps, problem.args))


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_shapes_that_do_not_fit():
    problem = PROBLEMS["layer"]
    right = jacobian_of(problem)
    with pytest.raises(ValueError, match=r"jacobian has shape \(16, 20\); need \(20, 16\), a row .* or \(5, 4, 16\)"):
        check(problem, right.T)
    with pytest.raises(ValueError, match=r"Nothing is broadcast: it looks transposed; pass jacobian.T"):
        check(problem, right.T)
    with pytest.raises(ValueError, match=r"the result of jacobian has shape \(3,\); need"):
        check(problem, lambda x, *args: np.zeros(3))
    with pytest.raises(TypeError, match="jacobian returned None; need an array"):
        check(problem, lambda x, *args: None)
    with pytest.raises(ValueError, match=r"noise has shape \(2,\); need one number, or one for each value of F"):
        check(problem, noise=[1.0, 2.0])
    with pytest.raises(ValueError, match="noise has entries that are not positive"):
        check(problem, noise=-1.0)
    with pytest.raises(ValueError, match=r"rows hold 3 entries \(a: 3\), but F has 20"):
        check(problem, rows={"a": 3})


def test_an_error_in_the_jacobian_function_says_so():
    problem = PROBLEMS["layer"]
    with pytest.raises(ZeroDivisionError) as caught:
        check(problem, lambda x, *args: 1 / 0)
    assert caught.value.__notes__ == ["raised by jacobian, called as jacobian(x, *args)"]


def test_an_f_that_fills_an_array_takes_its_shape_from_the_jacobian():
    @nb.njit
    def F(x, out):
        for i in range(2):
            for j in range(3):
                out[i, j] = x[i] * x[j]

    x = np.array([1.0, 2.0, 3.0])
    J = np.zeros((2, 3, 3))
    for i in range(2):
        for j in range(3):
            J[i, j, i] += x[j]
            J[i, j, j] += x[i]
    assert check_jacobian(F, x, J).passed
    with pytest.raises(ValueError, match=r"does not end in the shape of x, \(3,\); need the shape of F followed by"):
        check_jacobian(F, x, np.zeros((2, 2)))


def test_an_interruption_keeps_what_was_found(monkeypatch, clock):
    monkeypatch.setattr(_schedule, "time", clock)
    monkeypatch.setattr(_vector_trial, "time", clock)
    calls = []

    def F(x):
        calls.append(None)
        clock.advance(0.01)  # so that a slice of the work holds few evaluations
        if len(calls) == 30:
            raise KeyboardInterrupt
        return x**2

    x = np.linspace(1.0, 2.0, 20)
    with pytest.raises(KeyboardInterrupt) as caught:
        check_jacobian(fastgrad.python_objective(F), x, np.diag(2.0 * x))
    result = caught.value.result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "entries were checked before an interruption ended the check" in result.reason


def test_where_f_raises_on_one_side_it_is_looked_at_from_the_other():
    @nb.njit
    def F(x):
        if x[0] > 1.0:
            raise ValueError("beyond")
        return np.array([x[0] ** 2, x[1] ** 3])

    result = check_jacobian(F, [1.0, 2.0], [[2.0, 0.0], [0.0, 12.0]])
    assert result.verdict is not Verdict.MISMATCH and (result.flags[:, 0] & Flag.ONE_SIDED).any()
    wrong = check_jacobian(F, [1.0, 2.0], [[2.5, 0.0], [0.0, 12.0]])
    assert np.argwhere(wrong.verdicts == Verdict.MISMATCH).tolist() == [[0, 0]]


def test_where_f_raises_on_both_sides_its_exception_arrives():
    @nb.njit
    def F(x):
        if x[1] != 2.0:
            raise ValueError("only at two")
        return np.array([x[0] ** 2, x[1] ** 3])

    with pytest.raises(ValueError, match="only at two") as caught:
        check_jacobian(F, [1.0, 2.0], [[2.0, 0.0], [0.0, 12.0]])
    assert "x[1] = " in caught.value.__notes__[0]


# --- results ---------------------------------------------------------------------------------------------------------


def test_rows_and_columns_can_be_named():
    problem = PROBLEMS["layer"]
    wrong = jacobian_of(problem).copy()
    wrong[7, 13] += 1.0
    result = check(problem, wrong, rows={"first": 4, "others": (4, 4)}, columns={"W": (4, 3), "b": 4})
    assert list(result.row_errors) == ["first", "others"]
    assert result.row_errors["first"] < 1e-7 < 1e-2 < result.row_errors["others"]
    assert (result.worst[0].row, result.worst[0].column) == ("others[0, 3]", "b[1]")
    assert "J[7, 13] (others[0, 3] by b[1])" in result.reason
    assert "others" in str(result) and "relative error" in str(result)


def test_the_result_is_a_tuple_prints_and_travels():
    problem = PROBLEMS["trigonometric"]
    wrong = jacobian_of(problem)
    wrong[2, 3] += 1.0
    result = check(problem, wrong)
    numerical, error = result
    assert numerical is result.numerical_jacobian and error == result.relative_error
    text = str(result)
    assert text.startswith("MISMATCH: 1 of 144 entries differs by more than its error bar; worst J[2, 3]:")
    assert "worst 5 of 12 x 12 entries (1 wrong, 4 right)" in text and "evaluations of F in" in text
    assert max(map(len, text.splitlines())) <= 80
    data = json.loads(json.dumps(result.to_dict()))
    assert data["verdict"] == "mismatch" and data["worst"][0]["index"] == [2, 3] and data["shape"] == [12, 12]
    assert data["verdicts"][2] == ["match"] * 3 + ["mismatch"] + ["match"] * 8
    assert result.verdicts[2].tolist() == [RIGHT] * 3 + [WRONG] + [RIGHT] * 8
    copy = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(copy.estimate, result.estimate)
    assert replace(result, rtol=1.0).rtol == 1.0
    assert repr(result).startswith("<JacobianCheck: mismatch, relative error")


def test_the_worst_entries_are_those_that_differ_most():
    problem = PROBLEMS["trigonometric"]
    result = check(problem)
    difference = np.abs(result.estimate - result.analytical_jacobian)
    scale = np.abs(problem.x)
    products = np.abs(result.analytical_jacobian) * scale
    effect = difference * scale / products.max(axis=1)[:, None]
    order = np.argsort(-effect.T, axis=None, kind="stable")[:5]
    assert [entry.index for entry in result.worst] == [(int(e) % 12, int(e) // 12) for e in order]


@nb.njit
def rounded_rows(x):
    """Two functions, of which the second is rounded so coarsely that x[1] does not move it."""
    out = np.empty(2)
    out[0] = math.erf(x[0]) + 0.004 * math.sin(x[1])
    out[1] = math.floor(out[0] / 0.01 + 0.2) * 0.01
    return out


def test_entries_that_do_not_move_a_row_of_steps_are_left_open():
    x = np.array([2.44, 0.5])
    slopes = np.array([2.0 / math.sqrt(math.pi) * math.exp(-(2.44**2)), 0.004 * math.cos(0.5)])
    result = check_jacobian(rounded_rows, x, np.stack([slopes, slopes]))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.verdicts.tolist() == [[RIGHT, RIGHT], [OPEN, OPEN]]
