"""check_hessian: the Jacobian check of a gradient, symmetry, and gradients that are none."""

import json

import numba as nb
import numpy as np
import pytest

from fastgrad import HessianCheck, Verdict, check_hessian


@nb.njit
def gradient(x):
    """Of the chained Rosenbrock function."""
    total = np.zeros_like(x)
    for i in range(x.size - 1):
        residual = x[i + 1] - x[i] ** 2
        total[i] -= 400.0 * x[i] * residual + 2.0 * (1.0 - x[i])
        total[i + 1] += 200.0 * residual
    return total


def hessian(x):
    H = np.zeros((x.size, x.size))
    for i in range(x.size - 1):
        H[i, i] += 1200.0 * x[i] ** 2 - 400.0 * x[i + 1] + 2.0
        H[i, i + 1] -= 400.0 * x[i]
        H[i + 1, i] -= 400.0 * x[i]
        H[i + 1, i + 1] += 200.0
    return H


X = np.linspace(-1.2, 1.3, 12)


def sentences(result):
    return [cause.sentence for cause in result.causes]


def test_a_right_hessian_matches():
    result = check_hessian(gradient, X, hessian)
    assert isinstance(result, HessianCheck) and result.passed and result.asymmetry is None
    assert result.evaluations == 2 * X.size + 2
    assert result.relative_error < 1e-8
    assert "evaluations of the gradient in" in str(result)


def test_a_wrong_entry_on_both_sides_is_a_mismatch_without_asymmetry():
    wrong = hessian(X)
    wrong[2, 3] *= 1.01
    wrong[3, 2] *= 1.01
    result = check_hessian(gradient, X, wrong)
    assert result.verdict is Verdict.MISMATCH and result.asymmetry is None
    assert np.argwhere(result.verdicts == Verdict.MISMATCH).tolist() == [[2, 3], [3, 2]]
    assert result.reason.startswith("2 of 144 entries differ by more than their error bar; worst H[")
    assert sentences(result) == []


@nb.njit
def linear_gradient(x, A):
    return A @ x


@pytest.mark.parametrize("seed", range(5))
def test_what_a_solver_leaves_of_symmetry_is_no_error(seed):
    rng = np.random.default_rng(seed)
    points = np.sort(rng.uniform(size=20))
    kernel = np.exp(-((points[:, None] - points) ** 2) / 0.02) + 1e-5 * np.eye(20)
    precision = np.linalg.inv(kernel)
    precision = 0.5 * (precision + precision.T)
    solved = np.linalg.solve(kernel, np.eye(20))
    assert 0.0 < np.abs(solved - solved.T).max() < 1e-6 * np.abs(solved).max()
    result = check_hessian(linear_gradient, rng.normal(size=20), solved, args=(precision,))
    assert result.asymmetry is None and result.verdict is not Verdict.MISMATCH, result.reason


def test_one_triangle_alone_is_named():
    result = check_hessian(gradient, X, np.triu(hessian(X)))
    assert result.verdict is Verdict.MISMATCH
    assert result.asymmetry.count == 11
    assert result.reason.startswith("the Hessian is not symmetric: H[10, 11] = -429.091 and H[11, 10] = 0 differ by")
    assert "and 10 more pairs; 11 of 144 entries differ" in result.reason
    assert sentences(result) == ["the entries below the diagonal are exactly zero: zeroed or never written"]


def test_asymmetry_beyond_rounding_is_a_mismatch_even_within_the_tolerance():
    slightly = hessian(X)
    slightly[2, 3] *= 1.0 + 1e-6
    result = check_hessian(gradient, X, slightly)
    assert (result.verdicts == Verdict.MATCH).all() and result.verdict is Verdict.MISMATCH
    assert result.asymmetry.index == (2, 3) and result.asymmetry.count == 1
    assert "H[2, 3] = 298.182 and H[3, 2] = 298.182 differ by 0.0003; otherwise all 144 entries agree" in result.reason


def test_asymmetry_of_rounding_is_none():
    rng = np.random.default_rng(0)
    rounded = hessian(X) * (1.0 + 2e-15 * rng.normal(size=(12, 12)))
    assert check_hessian(gradient, X, rounded).passed


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_symmetry_does_not_depend_on_units(scale):
    units = scale ** np.linspace(0.0, 1.0, 12)

    @nb.njit
    def rescaled(y, units):
        return gradient(y / units) / units

    right = hessian(X) / units / units[:, None]
    assert check_hessian(rescaled, X * units, right, args=(units,)).passed
    right[5, 6] *= 1.0 + 1e-6
    assert check_hessian(rescaled, X * units, right, args=(units,)).asymmetry.index == (5, 6)


def test_a_gradient_that_is_none_is_named():
    @nb.njit
    def wrong_gradient(x):
        total = gradient(x)
        total[0] += x[3]
        return total

    result = check_hessian(wrong_gradient, X, hessian)
    assert result.verdict is Verdict.MISMATCH and result.asymmetry is None
    text = r"the gradient is that of no function: its derivative 0 by x[3] is 1 +- "
    assert sentences(result)[0].startswith(text) and result.causes[0].kind == "gradient"


def test_a_right_hessian_with_a_slightly_noisy_gradient_is_not_accused():
    @nb.njit
    def noisy(x):
        total = gradient(x)
        for i in range(x.size):
            bits = 1e4 * np.sin(1e9 * x[i] + i)
            total[i] += 1e-8 * (bits - np.floor(bits))
        return total

    result = check_hessian(noisy, X, hessian)
    assert result.verdict is not Verdict.MISMATCH and result.causes == ()


def test_sign_and_factor():
    assert sentences(check_hessian(gradient, X, -hessian(X))) == ["every entry has the wrong sign"]
    text = "every entry is 2 times too small (numerical = 2 * analytical): a missing or doubled factor"
    assert sentences(check_hessian(gradient, X, 0.5 * hessian(X))) == [text]


def test_a_gradient_that_fills_an_array_and_x_of_any_shape():
    @nb.njit
    def filling(x, out):
        out[:] = gradient(x.reshape(-1)).reshape(x.shape)

    shaped = hessian(X).reshape(3, 4, 3, 4)
    result = check_hessian(filling, X.reshape(3, 4), shaped)
    assert result.passed
    wrong = shaped.copy()
    wrong[0, 1, 0, 1] *= 1.1
    result = check_hessian(filling, X.reshape(3, 4), wrong, blocks={"a": 4, "b": (2, 4)})
    assert result.worst[0].row == "a[1]" == result.worst[0].column


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="the gradient returns 6 values for 12 coordinates; need one for each"):
        check_hessian(nb.njit(lambda x: x[:6] * 1.0), X, np.zeros((6, 12)))
    with pytest.raises(ValueError, match=r"hessian has shape \(12,\); need \(12, 12\)"):
        check_hessian(gradient, X, np.zeros(12))
    with pytest.raises(TypeError, match="hessian returned None"):
        check_hessian(gradient, X, lambda x: None)


def test_nan_is_a_mismatch():
    wrong = hessian(X)
    wrong[1, 2] = np.nan
    result = check_hessian(gradient, X, wrong)
    assert result.verdict is Verdict.MISMATCH
    assert result.reason == "the analytical Hessian is nan at H[1, 2]"


def test_the_asymmetry_is_in_the_plain_data():
    data = check_hessian(gradient, X, np.triu(hessian(X))).to_dict()
    assert json.loads(json.dumps(data))["asymmetry"]["index"] == [10, 11]
    assert check_hessian(gradient, X, hessian).to_dict()["asymmetry"] is None


@nb.njit
def ends_of_range(x):
    return np.array([x[0], x[1] ** 3])


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e150, 1e308])
def test_points_at_the_ends_of_the_range(size):
    x, right = np.array([size, 2.0]), np.diag([1.0, 12.0])
    assert check_hessian(ends_of_range, x, right).verdict is not Verdict.MISMATCH
    assert check_hessian(ends_of_range, x, 2.0 * right).verdict is Verdict.MISMATCH
