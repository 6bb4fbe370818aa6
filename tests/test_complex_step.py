"""ComplexStep: exact where f is analytic, an error where numba compiles something that is not."""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import problems
import pytest

from fastgrad import check_gradient, numerical_gradient, python_objective
from fastgrad.steps import ComplexStep

X = np.linspace(-0.9, 2.0, 7)


@nb.njit
def smooth_f(x, a):
    return np.sum(np.exp(a * x) * np.sin(x * x)) + x[0] * x[-1]


def smooth_gradient(x, a):
    g = np.exp(a * x) * (a * np.sin(x * x) + 2.0 * x * np.cos(x * x))
    g[0] += x[-1]
    g[-1] += x[0]
    return g


@nb.njit
def cancelling_f(x):
    """A sum of large terms that nearly cancel: differences lose what the imaginary part keeps."""
    return np.sum(1e6 + np.exp(x)) - 1e6 * x.size


def test_sixteen_digits_where_differences_have_ten():
    exact = smooth_gradient(X, 0.7)
    error = np.abs(numerical_gradient(smooth_f, X, ComplexStep(), args=(0.7,)) / exact - 1.0).max()
    differences = np.abs(numerical_gradient(smooth_f, X, args=(0.7,)) / exact - 1.0).max()
    assert error < 1e-15 < 1e-10 < differences


def test_cancellation_in_f_does_no_harm():
    error = np.abs(numerical_gradient(cancelling_f, X, ComplexStep()) / np.exp(X) - 1.0).max()
    assert error < 1e-15
    assert np.abs(numerical_gradient(cancelling_f, X) / np.exp(X) - 1.0).max() > 1e-5


@pytest.mark.parametrize("name", ["rosenbrock", "sphere", "quadratic", "least_squares", "sines"])
def test_problems_whose_operations_are_analytic(name):
    problem = next(build() for build in problems.BUILDERS if build.__name__ == name)
    try:
        found = numerical_gradient(problem.f, problem.x, ComplexStep(), args=problem.args)
    except TypeError as error:  # math.*, a float accumulator: said so, and never wrong
        assert "A complex step needs" in str(error) or "carries the derivative" in str(error)
        return
    np.testing.assert_allclose(found, problem.gradient(problem.x, *problem.args), rtol=1e-11, atol=1e-12)


def test_no_false_alarm_on_random_smooth_problems():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=int(rng.integers(1, 9))) * 10.0 ** rng.uniform(-3, 0.3)
        a = float(rng.normal())
        if x.size > 1:
            found = numerical_gradient(smooth_f, x, ComplexStep(), args=(a,))
            np.testing.assert_allclose(found, smooth_gradient(x, a), rtol=1e-12, atol=1e-13)


# ------------------------------------------------------------------------------------------------------------ traps


@nb.njit
def abs_f(x):
    return np.sum(x * x) + x[1] * np.sum(np.abs(x))


@nb.njit
def modulus_squared_f(x):
    return np.sum(np.abs(x) ** 2) + 0.0 * x[0]


@nb.njit
def norm_f(x):
    return np.sum(x * x) + x[0] * np.linalg.norm(x)


@nb.njit
def real_f(x):
    return x[0] * np.sum(x.real**2)


@nb.njit
def conjugate_f(x):
    return np.sum(x * np.conj(x)) + x[0] ** 2


@nb.njit
def sorted_f(x):
    return np.sum(np.sort(np.abs(x)) * x)


@nb.njit
def clipped_f(x):
    total = x[0] * 0.0
    for value in x:
        total += max(value.real, 0.3) * value
    return total


@pytest.mark.parametrize("f", [abs_f, modulus_squared_f, norm_f, real_f, conjugate_f, sorted_f, clipped_f])
def test_what_compiles_and_is_not_analytic_raises(f):
    with pytest.raises(ValueError, match="the complex step is wrong for this f") as caught:
        numerical_gradient(f, X, ComplexStep())
    assert "abs, norms, .real" in str(caught.value) and "drop fastgrad.steps.ComplexStep" in str(caught.value)


def test_the_trap_is_real():
    """Without the guard the imaginary part of these would be taken for a derivative."""
    z = X.astype(complex)
    z[2] += 1e-20j
    claimed = abs_f(z).imag / 1e-20
    assert abs(claimed / numerical_gradient(abs_f, X)[2] - 1.0) > 0.1


@nb.njit
def wrong_in_one_f(x):
    return np.sum(x * x) + 1e-3 * np.abs(x[57]) * x[57]


def test_one_wrong_component_among_hundreds_is_seen():
    with pytest.raises(ValueError, match="the complex step is wrong"):
        numerical_gradient(wrong_in_one_f, np.linspace(0.5, 1.5, 400), ComplexStep())


@nb.njit
def maximum_f(x):
    return np.sum(np.maximum(x, 0.3 * x) * x)


def test_maximum_compares_real_parts_and_is_right_off_its_kink():
    expected = np.where(X > 0, 2.0, 0.6) * X
    np.testing.assert_allclose(numerical_gradient(maximum_f, X, ComplexStep()), expected, rtol=1e-14)


@nb.njit
def kinked_f(x):
    return np.sum(np.maximum(x, 0.3 * x))


def test_at_a_kink_nothing_is_confirmed():
    with pytest.raises(ValueError, match=r"could not be confirmed .* a kink at x"):
        numerical_gradient(kinked_f, np.array([0.0, 1.0]), ComplexStep())


@nb.njit
def branching_f(x):
    total = 0.0 * x[0]
    for value in x:
        if value > 0.0:
            total += value
    return total


@nb.njit
def math_f(x):
    return math.exp(x[0])


@nb.njit
def real_result_f(x):
    return np.sum(np.abs(x))


@nb.njit(["float64(float64[::1])"])
def fixed_f(x):
    return np.sum(x)


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (branching_f, "A complex step needs an f without comparisons of x, math.* and float work arrays"),
        (math_f, "A complex step needs an f without comparisons of x, math.* and float work arrays"),
        (real_result_f, "returns float64 for a complex x; need a complex number, whose imaginary part carries"),
        (fixed_f, "f has the fixed signatures"),
        (lambda x: x[0], "not compiled; need a numba-compiled function"),
    ],
)
def test_what_does_not_compile_for_complex_numbers_is_a_type_error(f, text):
    with pytest.raises(TypeError) as caught:
        numerical_gradient(f, X, ComplexStep())
    assert text in str(caught.value)


# ------------------------------------------------------------------------------------------------- forms of the input


def test_float32_comes_back_as_float32():
    x = X.astype(np.float32)
    found = numerical_gradient(smooth_f, x, ComplexStep(), args=(0.7,))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, smooth_gradient(x.astype(np.float64), 0.7), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-150, 1e-12, 1.0, 1e12, 1e100])
def test_the_imaginary_step_follows_the_size_of_x(scale):
    @nb.njit
    def f(x, s):
        return np.sum((x / s) ** 3)

    x = scale * np.array([0.5, 1.5])
    found = numerical_gradient(f, x, ComplexStep(), args=(scale,))
    np.testing.assert_allclose(found * scale, 3.0 * (x / scale) ** 2, rtol=1e-14)


def test_zeros_scalars_matrices_and_constants():
    @nb.njit
    def square(x):
        return x * x * x

    assert numerical_gradient(square, 2.0, ComplexStep()) == pytest.approx(12.0, rel=1e-15)

    @nb.njit
    def f(x):
        return np.sum(np.sin(x))

    x = np.array([[0.0, 1.0], [2.0, 0.0]])
    np.testing.assert_allclose(numerical_gradient(f, x, ComplexStep()), np.cos(x), rtol=1e-15)

    @nb.njit
    def constant(x):
        return 0.0 * x[0] + 3.0

    np.testing.assert_array_equal(numerical_gradient(constant, X, ComplexStep()), np.zeros(7))


def test_named_arrays():
    found = numerical_gradient(smooth_f, {"a": X[:3], "b": X[3:]}, ComplexStep(), args=(0.7,))
    exact = smooth_gradient(X, 0.7)
    np.testing.assert_allclose(found["b"], exact[3:], rtol=1e-14)


def test_a_function_of_python():
    found = numerical_gradient(
        python_objective(lambda x: complex(np.sum(x**3)) if np.iscomplexobj(x) else float(np.sum(x**3))),
        X,
        ComplexStep(),
    )
    np.testing.assert_allclose(found, 3 * X**2, rtol=1e-14)


def test_threads_change_nothing():
    x = np.linspace(0.1, 2.0, 1000)
    one, two = (
        numerical_gradient(smooth_f, x, ComplexStep(), args=(0.3,), threads=k)
        for k in (1, min(2, nb.config.NUMBA_NUM_THREADS))
    )
    np.testing.assert_array_equal(one, two)


def test_what_f_raises_arrives():
    @nb.njit
    def f(x):
        if x[1].imag != 0.0:
            raise ValueError("no imaginary part wanted")
        return np.sum(x * x)

    with pytest.raises(ValueError, match="no imaginary part wanted") as caught:
        numerical_gradient(f, X, ComplexStep())
    assert "x[1]" in caught.value.__notes__[0]


def test_an_f_that_is_complex_at_a_real_x_is_refused():
    @nb.njit
    def f(x):
        return np.sum(x) * (1.0 + 1e-3j)

    with pytest.raises(TypeError, match="returns complex128; need a float"):
        numerical_gradient(f, X)
    with pytest.raises(ValueError, match="need an f that is real there"):
        numerical_gradient(f, X, ComplexStep())


@nb.njit
def flattened_f(x, u):
    """In the components with the largest x a norm, which has no derivative along the imaginary axis."""
    y = x / u
    total = 0.0 * y[0]
    for i in range(x.size):
        total += y[i] * y[i] if i < 6 else np.abs(y[i]) * np.abs(y[i])
    return total


def test_components_are_confirmed_in_their_own_units():
    u = 10.0 ** np.arange(-8, 9, 2)
    with pytest.raises(ValueError, match="the complex step is wrong for this f"):
        numerical_gradient(flattened_f, 1.3 * u, ComplexStep(), args=(u,))


@pytest.mark.parametrize("form", [nb.njit, python_objective], ids=["compiled", "python"])
def test_an_f_of_complex_type_is_told_to_follow_x(form):
    """Its real part would be no advice: the derivative is in the imaginary one."""
    f = form(lambda x: np.sum(x * x) * (1.0 + 0.0j))
    with pytest.raises(TypeError) as caught:
        numerical_gradient(f, X, ComplexStep())
    assert "for a real x too; need a float there" in str(caught.value) and "np.zeros_like(x)" in str(caught.value)
    assert "return its real part" not in str(caught.value)


def test_refusals():
    with pytest.raises(ValueError, match="bounds are given with a ComplexStep"):
        numerical_gradient(smooth_f, X, ComplexStep(), args=(1.0,), bounds=(-5.0, 5.0))
    with pytest.raises(
        TypeError,
        match="a ComplexStep, which takes no differences; need a step or another rule",
    ):
        check_gradient(smooth_f, X, smooth_gradient, ComplexStep(), args=(1.0,))
    with pytest.raises(ValueError, match="need 1e-10 or less"):
        ComplexStep(1e-7)
    with pytest.raises(ValueError, match="need a positive, finite number"):
        ComplexStep(0.0)
