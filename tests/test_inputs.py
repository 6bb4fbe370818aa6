"""The gate for x, gradients, steps and threads: each input that cannot be used is refused in one clear line."""

import re

import numba as nb
import numpy as np
import pytest

from fastgrad import check_gradient, numerical_gradient, relative_error
from fastgrad._inputs import point_array
from fastgrad.steps import Absolute, Automatic, Relative, resolve_steps


@nb.njit
def sphere(x):
    return (x * x).sum()


@nb.njit
def square(x):
    return x * x


@nb.njit
def matrix(x):
    return x[0, 1] ** 2 + 3.0 * x[1, 2]


def refusal(kind, text, call):
    """The call is refused with exactly this kind of exception and, in a single line, this text."""
    with pytest.raises(kind, match=text) as caught:
        call()
    assert caught.type is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- x --------------------------------------------------------------------------------------------------------

BAD_X = {
    "NaN": ([1.0, np.nan], ValueError, r"x\[1\] is nan; need finite coordinates"),
    "inf in a matrix": ([[1.0, 2.0], [np.inf, 3.0]], ValueError, r"x\[1, 0\] is inf; need finite coordinates"),
    "NaN scalar": (np.nan, ValueError, r"^x is nan; need finite coordinates"),
    "empty": ([], ValueError, r"x is empty \(shape \(0,\)\); need at least one coordinate"),
    "empty matrix": (np.ones((3, 0)), ValueError, r"x is empty \(shape \(3, 0\)\)"),
    "complex": ([1.0 + 0.0j], TypeError, "x has dtype complex128; need .*: check the real and the imaginary part"),
    "objects": (np.array([1.0, 2.0], dtype=object), TypeError, r"x has dtype object; need .*: convert it with"),
    "None": (None, TypeError, "x has dtype object"),
    "bool": ([True, False], TypeError, r"x has dtype bool; need .*: convert it with \.astype\(float\)"),
    "float16": (np.ones(2, np.float16), TypeError, r"x has dtype float16; need .*\.astype\(np\.float64\)"),
    "longdouble": (np.ones(2, np.longdouble), TypeError, rf"x has dtype {np.dtype(np.longdouble)}; need "),
    "text": (["1", "2"], TypeError, "x has dtype <U1; need .*: pass numbers"),
    "dates": (np.array(["2001-01-01"], "M8[D]"), TypeError, r"x has dtype datetime64\[D\]; need "),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "x is not a rectangular array; need rows of one length"),
    "arrays of different shapes": (
        [np.ones(2), np.ones((2, 2))],
        ValueError,
        r"^x is a list of arrays of different shapes; need one array, or arrays under names, in x and the gradient "
        r'alike: {"W": \.\.\., "b": \.\.\.}\.$',
    ),
    "swapped with f": (sphere, TypeError, "x has dtype object"),
}


@pytest.mark.parametrize("case", BAD_X)
def test_x_that_cannot_be_used(case):
    x, kind, text = BAD_X[case]
    refusal(kind, text, lambda: numerical_gradient(sphere, x))
    refusal(kind, text, lambda: check_gradient(sphere, x, np.ones(2)))


@pytest.mark.parametrize(
    "x",
    [[3, 4], (3, 4), [3.0, 4.0], np.array([3, 4], np.uint8), np.array([3, 4], ">i4"), np.array([3.0, 4.0], ">f8"),
     np.array([3.0, 9.0, 4.0])[::2], np.array([4.0, 3.0])[::-1], np.frombuffer(np.array([3.0, 4.0]).tobytes())],
    ids=["ints", "tuple", "list", "uint8", "big-endian ints", "big-endian", "strided", "reversed", "read-only"],
)  # fmt: skip
def test_every_form_of_two_numbers_is_float64(x):
    gradient = numerical_gradient(sphere, x, 2.0**-10)
    assert gradient.dtype == np.float64
    assert gradient.dtype.isnative
    np.testing.assert_array_equal(gradient, [6.0, 8.0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (square, 3.0, 6.0),
        (sphere, [3.0], [6.0]),
        (sphere, [3.0, 4.0], [6.0, 8.0]),
        (matrix, [[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 10.0, 0.0], [0.0, 0.0, 3.0]]),
        (sphere, np.arange(24.0).reshape(2, 3, 4), 2.0 * np.arange(24.0).reshape(2, 3, 4)),
    ],
    ids=["scalar", "one", "two", "matrix", "three axes"],
)
def test_gradient_has_the_shape_and_precision_of_x(f, x, expected, dtype):
    x = np.asarray(x, dtype)
    gradient = numerical_gradient(f, x, 2.0**-6)
    assert gradient.shape == x.shape
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, expected, rtol=0.0, atol=1e-3 if dtype == np.float32 else 1e-9)
    result = check_gradient(f, x, np.asarray(expected, dtype))
    assert result.passed
    assert result.numerical_grad.shape == x.shape
    assert result.numerical_grad.dtype == dtype


def test_memory_order_of_x_does_not_matter():
    x = np.asfortranarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(numerical_gradient(matrix, x), numerical_gradient(matrix, x.copy(order="C")))
    strided = np.ones((4, 9))[::2, ::3]
    np.testing.assert_array_equal(numerical_gradient(matrix, strided), numerical_gradient(matrix, np.ones((2, 3))))


def test_x_is_left_alone():
    x = np.array([3.0, 4.0])
    x.flags.writeable = False
    before = x.tobytes()
    check_gradient(sphere, x, 2.0 * x)
    assert x.tobytes() == before


# --- the analytical gradient ----------------------------------------------------------------------------------

BAD_GRADIENTS = {
    "too short": (np.ones(1), ValueError, r"analytical_grad has shape \(1,\); need \(3,\).* 1 numbers for 3"),
    "scalar": (2.0, ValueError, r"analytical_grad has shape \(\); need \(3,\)"),
    "column": (np.ones((3, 1)), ValueError, r"shape \(3, 1\); need \(3,\).*reshape it, \.reshape\(\(3,\)\)"),
    "row": (np.ones((1, 3)), ValueError, r"shape \(1, 3\); need \(3,\)"),
    "complex": (np.ones(3, complex), TypeError, "analytical_grad has dtype complex128; need "),
    "bool": (np.ones(3, bool), TypeError, "analytical_grad has dtype bool; need "),
    "objects": (np.ones(3, object), TypeError, "analytical_grad has dtype object; need "),
    "ragged": ([[1.0], [1.0, 2.0]], ValueError, "analytical_grad is not a rectangular array"),
    "arrays": ((np.ones(1), np.ones(2)), ValueError, "analytical_grad is a tuple of arrays of different shapes; need "),
}


@pytest.mark.parametrize("case", BAD_GRADIENTS)
def test_gradient_that_cannot_be_used(case):
    gradient, kind, text = BAD_GRADIENTS[case]
    refusal(kind, text, lambda: check_gradient(sphere, np.ones(3), gradient))
    text = text.replace("analytical_grad", "the result of analytical_grad")
    refusal(kind, text, lambda: check_gradient(sphere, np.ones(3), lambda x: gradient))


def test_gradient_of_a_matrix_is_not_broadcast():
    for wrong in (np.ones(3), np.ones((1, 3)), np.ones((3, 2)), np.ones(6)):
        text = rf"has shape {re.escape(str(wrong.shape))}; need \(2, 3\).*Nothing is broadcast"
        refusal(ValueError, text, lambda wrong=wrong: check_gradient(matrix, np.ones((2, 3)), wrong))


def test_gradient_that_fills_an_argument_instead_of_returning():
    refusal(TypeError, "returned None; need an array shaped like x.*allocates", lambda: check_gradient(
        sphere, np.ones(3), lambda x: None))  # fmt: skip


def test_gradient_that_raises_says_who_raised():
    def gradient(x):
        raise KeyError("weights")

    with pytest.raises(KeyError, match="weights") as caught:
        check_gradient(sphere, np.ones(3), gradient)
    assert caught.value.__notes__ == ["raised by analytical_grad, called as analytical_grad(x, *args)"]


@pytest.mark.parametrize("compiled", [False, True])
def test_gradient_sees_x_in_its_own_form_and_cannot_alter_it(compiled):
    seen = []

    def vandal(x):
        gradient = 2.0 * x
        x[:] = 1e9
        return gradient

    def watching(x):
        seen.append(x)
        return vandal(x)

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    result = check_gradient(sphere, x, nb.njit(vandal) if compiled else watching)
    assert result.passed
    np.testing.assert_array_equal(x, [[1.0, 2.0], [3.0, 4.0]])
    assert compiled or (seen[0].shape == (2, 2) and not np.shares_memory(seen[0], x))


def test_gradient_at_a_scalar_may_return_a_number():
    assert check_gradient(square, 3.0, lambda x: 2.0 * x).passed


@pytest.mark.parametrize("gradient", [[6, 8], (6.0, 8.0), np.array([6, 8], np.int32), np.array([6.0, 8.0], ">f8")])
def test_gradient_may_be_any_form_of_real_numbers(gradient):
    assert check_gradient(sphere, [3.0, 4.0], gradient).passed
    assert relative_error([6.0, 8.0], gradient) == 0.0


def test_nan_in_a_gradient_is_a_finding_not_an_error():
    result = check_gradient(sphere, [3.0, 4.0], [6.0, np.nan])
    assert not result.passed
    assert np.isnan(result.relative_error)


def test_relative_error_refuses_other_shapes():
    refusal(ValueError, r"analytical has shape \(3,\); need \(2,\)", lambda: relative_error(np.ones(2), np.ones(3)))
    refusal(TypeError, "numerical has dtype complex128", lambda: relative_error([1j], [1.0]))


# --- epsilon --------------------------------------------------------------------------------------------------

NOT_POSITIVE = "need a positive, finite number"
NOT_STEPS = "need a positive number, an array shaped like x, or a rule of fastgrad.steps"
BAD_STEPS = {
    "zero": (0.0, ValueError, rf"epsilon is 0\.0; {NOT_POSITIVE}"),
    "integer zero": (0, ValueError, rf"epsilon is 0\.0; {NOT_POSITIVE}"),
    "negative": (-1e-7, ValueError, rf"epsilon is -1e-07; {NOT_POSITIVE}"),
    "NaN": (np.nan, ValueError, rf"epsilon is nan; {NOT_POSITIVE}"),
    "inf": (np.inf, ValueError, rf"epsilon is inf; {NOT_POSITIVE}"),
    "a negative one": ([1e-7, -1e-7], ValueError, rf"epsilon is -1e-07 at x\[1\]; {NOT_POSITIVE}"),
    "a NaN": (np.array([np.nan, 1e-7]), ValueError, rf"epsilon is nan at x\[0\]; {NOT_POSITIVE}"),
    "too short": ([1e-7], ValueError, r"epsilon has shape \(1,\); need one number or one per coordinate, \(2,\)"),
    "row": (np.full((1, 2), 1e-7), ValueError, r"epsilon has shape \(1, 2\); need "),
    "complex": (1e-7j, TypeError, NOT_STEPS),
    "complex array": (np.full(2, 1e-7j), TypeError, NOT_STEPS),
    "bool": (True, TypeError, NOT_STEPS),
    "text": ("1e-7", TypeError, NOT_STEPS),
    "with None": ([1e-7, None], TypeError, NOT_STEPS),
    "ragged": ([1e-7, [1e-7]], TypeError, NOT_STEPS),
    "mapping": ({0: 1e-7}, TypeError, "epsilon has named parts, but x is an array; need both of one kind"),
    "beyond float": (10**400, TypeError, NOT_STEPS),
    "rule of another shape": (lambda x: np.full(3, 1e-7), ValueError, r"epsilon has shape \(3,\); need "),
    "rule with a zero": (lambda x: 0.0 * x, ValueError, rf"epsilon is 0\.0 at x\[0\]; {NOT_POSITIVE}"),
}


@pytest.mark.parametrize("case", BAD_STEPS)
def test_epsilon_that_cannot_be_used(case):
    epsilon, kind, text = BAD_STEPS[case]
    refusal(kind, text, lambda: numerical_gradient(sphere, [1.0, 2.0], epsilon))
    refusal(kind, text, lambda: check_gradient(sphere, [1.0, 2.0], [2.0, 4.0], epsilon))


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf])
def test_step_rules_refuse_other_than_positive_numbers(value):
    for rule in (Absolute, Relative):
        refusal(ValueError, rf"epsilon is .*; {NOT_POSITIVE}", lambda rule=rule: rule(value))
    refusal(ValueError, rf"typical is .*; {NOT_POSITIVE}", lambda: Relative(1e-6, value))


@pytest.mark.parametrize("value", ["1e-6", None, 1j, [1e-6], True])
def test_step_rules_refuse_other_than_numbers(value):
    for rule in (Absolute, Relative):
        refusal(TypeError, "epsilon is .*; need a positive number", lambda rule=rule: rule(value))


VANISHING = {
    "tiny": (1e-300, [1.0, 2.0], np.float64, "x[0] = 1.0"),
    "one large coordinate": (1e-7, [1.0, 3e12, 2.0], np.float64, "x[1] = 3000000000000.0"),
    "negative coordinate": (1e-7, [1.0, -3e12], np.float64, "x[1] = -3000000000000.0"),
    "single precision": (1e-7, [0.5, 2.0], np.float32, "x[1] = 2.0"),
    "matrix": (1e-9, [[1.0, 1e8]], np.float64, "x[0, 1] = 100000000.0"),
    "scalar": (1e-9, 1e8, np.float64, "x = 100000000.0"),
    "one of several steps": ([1e-300, 1e-7], [1.0, 2.0], np.float64, "x[0] = 1.0"),
    # Half a gap: rounds to the even neighbour, which from an even number is the way back.
    "tie": (2.0**-10, 2.0**14 + 2.0**-9 * np.arange(4), np.float32, "x[0] = 16384.0"),
    "tie below an odd largest": (
        2.0**-53,
        [1.0 + 2.0**-51, 1.0 + 3 * 2.0**-52],
        np.float64,
        "x[0] = 1.0000000000000004",
    ),
}


@pytest.mark.parametrize("case", VANISHING)
def test_epsilon_that_vanishes_is_refused_with_the_coordinate_and_one_that_works(case):
    epsilon, x, dtype, named = VANISHING[case]
    x = np.asarray(x, dtype)
    f = square if x.ndim == 0 else sphere
    text = rf"epsilon is .*, but {re.escape(named)} in {np.dtype(dtype)} does not change when it is added"
    message = refusal(ValueError, text, lambda: numerical_gradient(f, x, epsilon))
    enough = float(re.search(r"need at least (\S+) here", message).group(1))
    repaired = enough if np.ndim(epsilon) == 0 else np.maximum(epsilon, enough)
    assert np.isfinite(numerical_gradient(f, x, repaired)).all()
    # It is the smallest to within a factor: a quarter of it does not work.
    if np.ndim(epsilon) == 0:
        refusal(ValueError, "does not change when it is added", lambda: numerical_gradient(f, x, enough / 4.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_step_that_is_let_through_vanishes(dtype):
    """Also at ties, and for a step that moves the largest coordinate but, by rounding to even, not a smaller one."""
    rng = np.random.default_rng(0)
    gap = float(np.finfo(dtype).eps)
    for _ in range(300):
        x = (2.0 ** rng.integers(-3, 4) * (1.0 + gap * rng.integers(0, 9, 5))).astype(dtype)
        step = gap * 2.0 ** float(rng.integers(-5, 5)) * rng.choice([1.0, 1.0 - 2.0**-50, 1.0 + 2.0**-50, 1.5])
        moved = np.array([(x + step).astype(dtype) != x, (x - step).astype(dtype) != x])
        try:
            steps = resolve_steps(step, point_array(x))
        except ValueError:
            assert not moved.all()
        else:
            assert moved.all()
            np.testing.assert_array_equal(steps, step)


@pytest.mark.parametrize(("dtype", "largest"), [(np.float64, 1.7e308), (np.float32, 3.4e38)])
def test_epsilon_that_overflows_is_refused(dtype, largest):
    x = np.array([1.0, largest], dtype)
    text = r"x\[1\] \+ epsilon overflows \(.*\); need a smaller \|x\| or epsilon"
    refusal(ValueError, text, lambda: numerical_gradient(sphere, x, largest / 10.0))
    refusal(ValueError, text, lambda: numerical_gradient(sphere, -x, largest / 10.0))


def test_default_epsilon_grows_where_it_would_vanish():
    for x, default in ((np.array([1.0, -1e12]), 1e-7), (np.array([1.0, -1e6], np.float32), 4.9e-3)):
        steps = resolve_steps(None, point_array(x))
        relative = float(np.finfo(x.dtype).eps) ** (1.0 / 3.0) * abs(float(x[1]))
        np.testing.assert_allclose(steps, [default, relative], rtol=1e-6)
        assert numerical_gradient(nb.njit(lambda x: 3.0 * x[0] + 5.0 * x[1]), x)[1] == pytest.approx(5.0, rel=1e-3)


def test_forms_of_a_step_are_equivalent():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    expected = numerical_gradient(sphere, x, 1e-5)
    for epsilon in (np.float64(1e-5), np.array(1e-5), np.full((2, 2), 1e-5), [[1e-5, 1e-5]] * 2, Absolute(1e-5)):
        np.testing.assert_array_equal(numerical_gradient(sphere, x, epsilon), expected)
    relative = numerical_gradient(sphere, x, Relative(1e-5, typical=2.0))
    np.testing.assert_array_equal(relative, numerical_gradient(sphere, x, 1e-5 * np.maximum(x, 2.0)))


def test_a_rule_sees_x_in_its_own_shape_and_precision():
    seen = []

    def rule(x):
        seen.append((x.shape, x.dtype))
        return np.full(x.shape, 2.0**-8)

    numerical_gradient(sphere, np.ones((2, 3), np.float32), rule)
    numerical_gradient(square, 1.0, Automatic())
    assert seen == [((2, 3), np.float32)]


# --- threads --------------------------------------------------------------------------------------------------

MOST = nb.config.NUMBA_NUM_THREADS
BAD_THREADS = {
    "none": (0, ValueError, rf"threads is 0; need 1 to {MOST}"),
    "negative": (-1, ValueError, rf"threads is -1; need 1 to {MOST}"),
    "too many": (MOST + 1, ValueError, rf"threads is {MOST + 1}; need 1 to {MOST} \(set NUMBA_NUM_THREADS"),
    "a half": (1.5, TypeError, r"threads is 1\.5; need a whole number"),
    "bool": (True, TypeError, "threads is True; need a whole number"),
    "text": ("2", TypeError, "threads is '2'; need a whole number"),
}


@pytest.mark.parametrize("case", BAD_THREADS)
def test_threads_out_of_range(case):
    threads, kind, text = BAD_THREADS[case]
    refusal(kind, text, lambda: numerical_gradient(sphere, [1.0, 2.0], threads=threads))
    refusal(kind, text, lambda: check_gradient(sphere, [1.0, 2.0], [2.0, 4.0], threads=threads))
