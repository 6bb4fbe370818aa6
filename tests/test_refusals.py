"""What a clumsy user reads: which argument arrived how, what is needed, what to do; and no number for bad input.

Each refusal names the argument as the signature does. The gates of f and x have tests of their own beside this.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest
from scipy.sparse import csr_array

import fastgrad
from fastgrad import (
    check_directional,
    check_gradient,
    check_hessian,
    check_hvp,
    check_jacobian,
    check_jvp,
    check_line_integral,
    check_separable,
    check_vjp,
    detect_pattern,
    numerical_gradient,
    numerical_jacobian,
    python_objective,
    separable_gradient,
    steps,
    sweep_epsilon,
    taylor_test,
)

X = np.array([1.0, 2.0, 3.0])
PATTERN = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])


@nb.njit
def f(x):
    return (x * x).sum()


def slope(x):
    return 2.0 * x


@nb.njit
def F(x):
    return x * x


@nb.njit
def filling(x, out):
    for i in range(x.size):
        out[i] = x[i] ** 2


@nb.njit
def terms(x):
    return (x[1:] - x[:-1]) ** 2


@nb.njit
def no_attribute(x):
    return x.nonsense()


@nb.njit
def writing(x):
    x[0] = 0.0
    return x * x


@nb.njit
def two(x, y):
    return x * y


@nb.njit
def wanders(x):
    return x + np.random.random()  # noqa: NPY002


@nb.njit
def shrinks(x):
    return x[: int(np.floor(x[0]))] * 1.0


JACOBIAN = np.diag(2.0 * X)


def jvp(x, v):
    return 2.0 * x * v


def refused(kind, text, call):
    """The call is refused with exactly this kind of exception and, in a single line, this text."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


# --- values -------------------------------------------------------------------------------------------------------

CONSTANTS = 'need a dict of names and numbers, {"batch size": 32}'
ROWS = "is not a rectangular array; need rows of one length"
PARTS = {
    "constants: list": (
        TypeError,
        f"constants is a list; {CONSTANTS}",
        lambda: check_gradient(f, X, slope, constants=[1]),
    ),
    "constants: word": (
        TypeError,
        "constants['m'] is 'b'; need a number",
        lambda: check_directional(f, X, slope, constants={"m": "b"}),
    ),
    "constants: bool": (
        TypeError,
        "constants['m'] is True; need a number",
        lambda: check_line_integral(f, X, slope, constants={"m": True}),
    ),
    "constants: array": (
        TypeError,
        "constants['m'] is array([1., 1.]); need a",
        lambda: check_jacobian(F, X, JACOBIAN, constants={"m": np.ones(2)}),
    ),
    "constants: nan": (
        ValueError,
        "constants['m'] is nan; need a finite number",
        lambda: check_gradient(f, X, slope, constants={"m": np.nan}),
    ),
    "constants: beyond": (
        ValueError,
        "need a finite number: leave it out",
        lambda: check_gradient(f, X, slope, constants={"m": 10**400}),
    ),
    "rtol: beyond": (ValueError, "need a positive, finite number", lambda: check_gradient(f, X, slope, rtol=10**400)),
    "noise: ragged": (TypeError, "noise has dtype <U1", lambda: check_jacobian(F, X, JACOBIAN, noise=["a", "b", "c"])),
    "rng: negative": (
        ValueError,
        "rng is -5; need a whole number from 0 or a numpy.random.Generator (None draws anew)",
        lambda: taylor_test(f, X, slope, rng=-5),
    ),
    "rng: word": (
        TypeError,
        "rng is 'abc'; need a whole number from 0",
        lambda: check_gradient(f, X, slope, rng="abc"),
    ),
    "rng: negative, not drawn": (ValueError, "rng is -1; need a whole", lambda: check_gradient(f, X, slope, rng=-1)),
    "rng: bool": (TypeError, "rng is True; need a whole number", lambda: check_gradient(f, X, slope, rng=True)),
    "localise: word": (
        TypeError,
        "localise is 'no'; need True or False",
        lambda: check_directional(f, X, slope, localise="no"),
    ),
    "localise: number": (TypeError, "localise is 0; need", lambda: check_line_integral(f, X, slope, localise=0)),
    "localise: list": (TypeError, "localise is []; need", lambda: check_vjp(F, X, jvp, localise=[])),
    "thread_safe: word": (
        TypeError,
        "thread_safe is 'no'; need True or False",
        lambda: fastgrad.c_objective(_callback(), thread_safe="no"),
    ),
    "indices: ragged": (
        TypeError,
        "indices is [[0], [1, 2]]; need a list of whole numbers",
        lambda: check_gradient(f, X, slope, indices=[[0], [1, 2]]),
    ),
    "indices: nothing": (
        ValueError,
        "a mask that selects nothing; need at least one",
        lambda: check_gradient(f, X, slope, indices=np.zeros(3, bool)),
    ),
    "sample: zero": (
        ValueError,
        "sample is 0; need 1 to 3, the number of components",
        lambda: check_gradient(f, X, slope, sample=0),
    ),
    "sample: half": (TypeError, "sample is 1.5; need a whole number", lambda: check_gradient(f, X, slope, sample=1.5)),
    "checkpoint: number": (
        TypeError,
        "checkpoint is an int; need the path of a file",
        lambda: check_gradient(f, X, slope, checkpoint=3),
    ),
    "progress: no parameters": (
        TypeError,
        "and would be called as progress(done, total); need a function that takes this",
        lambda: check_gradient(f, X, slope, progress=lambda: None),
    ),
    "bounds: words": (
        TypeError,
        "the lower bound has dtype <U1; need float64",
        lambda: check_gradient(f, X, slope, bounds=("a", "b")),
    ),
    "bounds: complex": (
        TypeError,
        "the lower bound has dtype complex128",
        lambda: numerical_gradient(f, X, bounds=(1j, 5)),
    ),
    "bounds: ragged": (
        ValueError,
        f"the lower bound {ROWS}",
        lambda: numerical_gradient(f, X, bounds=([[1], [1, 2]], 5)),
    ),
    "bounds: crossed": (
        ValueError,
        "the lower bound of x[0] is 9.0, above its upper bound 0.0; need bounds=(lower, upper)",
        lambda: numerical_gradient(f, X, bounds=(9.0, 0.0)),
    ),
    "bounds: three": (
        TypeError,
        "bounds is (0, 1, 2); need a pair (lower, upper)",
        lambda: numerical_gradient(f, X, bounds=(0, 1, 2)),
    ),
    "scale: short": (
        ValueError,
        "scale has shape (2,); need one number or shape (3,)",
        lambda: check_directional(f, X, slope, scale=[1.0, 2.0]),
    ),
    "scale: ragged": (ValueError, f"scale {ROWS}", lambda: check_line_integral(f, X, slope, scale=[[1], [1, 2]])),
    "sparsity: ragged": (
        TypeError,
        "sparsity[0] is [[0], [1, 2]]; need whole numbers",
        lambda: separable_gradient(terms, X, ([[0], [1, 2]], [0])),
    ),
    "steps: ragged": (
        TypeError,
        "steps is [[1], [1, 2]]; need positive numbers",
        lambda: taylor_test(f, X, slope, steps=[[1], [1, 2]]),
    ),
    "epsilons: ragged": (
        TypeError,
        "epsilons is [[1], [1, 2]]; need positive",
        lambda: sweep_epsilon(f, X, slope, [[1], [1, 2]]),
    ),
    "epsilon: class": (
        TypeError,
        "epsilon is the class Automatic; need a rule made of it: Automatic(...)",
        lambda: check_gradient(f, X, slope, steps.Automatic),
    ),
    "epsilon: complex step": (
        TypeError,
        "which takes no differences; need a step or another rule",
        lambda: check_gradient(f, X, slope, steps.ComplexStep()),
    ),
    "x: masked": (
        TypeError,
        "x has masked entries; need a number everywhere: pass x.filled(...)",
        lambda: numerical_gradient(f, np.ma.masked_array(X, [0, 1, 0])),
    ),
    "gradient: masked": (
        TypeError,
        "gradient has masked entries",
        lambda: check_directional(f, X, np.ma.masked_array(2.0 * X, [0, 1, 0])),
    ),
    "hessian: sparse": (
        TypeError,
        "hessian is a sparse matrix; need an array: pass hessian.toarray(), or call check_jacobian(gradient, x,",
        lambda: check_hessian(F, X, csr_array(JACOBIAN)),
    ),
    "hessian: word": (TypeError, "hessian has dtype <U1; need float64", lambda: taylor_test(f, X, slope, hessian="H")),
    "columns: short": (
        ValueError,
        "columns hold 2 entries (a: 2), but x has 3; need consecutive pieces",
        lambda: check_jacobian(F, X, JACOBIAN, columns={"a": 2}),
    ),
    "rows: list": (TypeError, "rows is a list; need a dict", lambda: check_jacobian(F, X, JACOBIAN, rows=["a"])),
    "args: list": (
        TypeError,
        "args is a list; need a tuple, args=(data,)",
        lambda: check_jacobian(F, X, JACOBIAN, args=[1.0]),
    ),
    "args: None": (
        TypeError,
        "args is None; need a tuple, args=(data,)",
        lambda: check_hessian(F, X, JACOBIAN, args=None),
    ),
}


def _callback():
    signature = nb.types.float64(nb.types.CPointer(nb.types.float64), nb.types.int64, nb.types.voidptr)
    return nb.cfunc(signature)(lambda x, n, data: x[0])


@pytest.mark.parametrize("case", PARTS)
def test_values_that_cannot_be_used(case):
    refused(*PARTS[case])


@pytest.mark.parametrize("shape", ["3", 3.0, (3.0,), True, (), (None,), np.ones(1), ((3,),)], ids=str)
def test_a_shape_that_is_none(shape):
    text = "need a whole number, or the shape of the array, (5, 2)"
    for call in (
        lambda: numerical_jacobian(filling, X, out_shape=shape),
        lambda: numerical_jacobian(F, X, out_shape=shape),
        lambda: detect_pattern(filling, X, out_shape=shape),
        lambda: check_jvp(filling, X, jvp, out_shape=shape),
        lambda: separable_gradient(filling, X, (np.arange(3), np.arange(3)), out_shape=shape),
    ):
        refused(TypeError, text, call)


@pytest.mark.parametrize("shape", [0, -3, (0,), (3, -1)], ids=str)
def test_a_shape_without_entries(shape):
    refused(ValueError, "need at least one value", lambda: numerical_jacobian(filling, X, out_shape=shape))


@pytest.mark.parametrize("shape", [3, (3,), [3], np.int64(3)], ids=repr)
def test_shapes_may_be_given_as_numbers_everywhere(shape):
    diagonal = np.arange(3), np.arange(3)
    assert np.allclose(numerical_jacobian(filling, X, out_shape=shape), JACOBIAN, atol=1e-6)
    assert np.array_equal(detect_pattern(filling, X, out_shape=shape), diagonal)
    assert check_separable(filling, X, slope, diagonal, out_shape=shape).passed
    assert check_vjp(filling, X, jvp, out_shape=shape).passed


def test_writing_beyond_the_array_is_noticed_before_it_does_harm():
    refused(
        ValueError,
        "F writes beyond the end of the array that it fills, of shape (2,); need an array as large as",
        lambda: numerical_jacobian(filling, X, out_shape=2),
    )


def test_switches_of_assertions():
    from fastgrad.testing import assert_gradient

    text = "accept_inconclusive is 'no'; need True or False"
    refused(TypeError, text, lambda: assert_gradient(f, X, slope, accept_inconclusive="no"))


def test_data_of_c_objectives():
    text = "data is an array of Python objects; need numbers"
    refused(TypeError, text, lambda: fastgrad.c_objective(_callback(), data=np.array([None])))
    refused(ValueError, "data is -5, which is no address", lambda: fastgrad.c_objective(_callback(), data=-5))
    refused(TypeError, "x has dtype object; need real numbers", lambda: fastgrad.c_objective(_callback())(None))


@pytest.mark.parametrize("rule", [steps.Absolute(1e-6), steps.Relative(1e-6), steps.Automatic()], ids=repr)
def test_rules_called_by_hand(rule):
    refused(TypeError, "x has dtype <U1; need float64", lambda: rule("a"))
    refused(ValueError, f"x {ROWS}", lambda: rule([[1], [1, 2]]))


def test_compiled_gradients_are_not_rounded_to_whole_numbers():
    gradient = fastgrad.make_gradient(f)
    refused(ValueError, "out does not hold floats; need an array that does", lambda: gradient(X, np.zeros(3, np.int64)))


def test_a_checker_keeps_its_shape_in_full_checks():
    checker = fastgrad.GradientChecker(f, X)
    refused(ValueError, "x has shape (2,); need (3,)", lambda: checker.check(X[:2], slope))


def test_a_separable_gradient_has_the_names_of_x():
    found = separable_gradient(terms, {"a": X}, PATTERN)
    assert type(found) is dict and np.allclose(found["a"], [-2.0, 0.0, 2.0], atol=1e-6)


def test_pictures_of_other_results():
    from fastgrad import plotting

    result = check_gradient(f, X, slope)
    text = "sweep is of type GradientCheck; need an EpsilonSweep: what sweep_epsilon returns"
    refused(TypeError, text, lambda: plotting.plot_sweep(result))
    refused(TypeError, "test is of type GradientCheck; need a TaylorTest", lambda: plotting.plot_taylor(result))
    refused(TypeError, "result is of type GradientCheck; need a Dir", lambda: plotting.plot_localisation(result))
    refused(TypeError, "result is of type NoneType; need a GradientCheck", lambda: plotting.plot_gradient(None))
    text = "result is of type NoneType; need a GradientCheck or JacobianCheck or SparseJacobianCheck: what check_g"
    refused(TypeError, text, lambda: plotting.plot_error(None))
    refused(TypeError, "ax is of type str; need one axes of matplotlib", lambda: plotting.plot_error(result, "a"))


# --- functions ----------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "analytical_grad": lambda g: check_gradient(f, X, g),
    "gradient": lambda g: check_directional(f, X, g),
    "gradient of segments": lambda g: check_line_integral(f, X, g),
    "gradient of a sweep": lambda g: sweep_epsilon(f, X, g),
    "gradient of a Taylor test": lambda g: taylor_test(f, X, g),
    "gradient at an iterate": lambda g: fastgrad.GradientChecker(f, X)(X, g),
    "jacobian": lambda g: check_jacobian(F, X, g),
    "hessian": lambda g: check_hessian(F, X, g),
    "hessian of a Taylor test": lambda g: taylor_test(f, X, slope, hessian=g),
    "jvp": lambda g: check_jvp(F, X, g),
    "jvp of a vjp": lambda g: check_vjp(F, X, jvp, jvp=g),
    "vjp": lambda g: check_vjp(F, X, g),
    "hvp": lambda g: check_hvp(F, X, g),
    "hvp of a Taylor test": lambda g: taylor_test(f, X, slope, hvp=g),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions_that_do_not_fit(case):
    """What takes no parameters, returns None, or raises, by the name that the signature gives it."""
    name = case.partition(" ")[0]
    call = FUNCTIONS[case]

    def takes_nothing():
        return X

    def broken(*_):
        raise KeyError("no such field")

    given = {"jvp": "x, v", "hvp": "x, v", "vjp": "x, w"}.get(name, "x")
    text = f"{name} is takes_nothing(), and would be called with {given} and 0 extra arguments; need the two to fit"
    refused(TypeError, text, lambda: call(takes_nothing))
    refused(TypeError, f"{name} returned None; need a", lambda: call(lambda *_: None))
    refused(TypeError, f"the result of {name} has dtype <U1; need float64", lambda: call(lambda *_: "a"))
    with pytest.raises(KeyError) as caught:
        call(broken)
    assert caught.value.__notes__ == [f"raised by {name}, called as {name}({given}, *args)"]


def test_a_type_error_inside_a_gradient_stays_what_it_is():
    with pytest.raises(TypeError, match="unsupported operand"):
        check_gradient(f, X, lambda x: x + "a" if False else "a" - 1)


def test_a_rule_that_writes_to_x_does_not_move_it():
    def rule(x):
        x[0] = 5.0
        return np.full(x.shape, 1e-7)

    assert np.allclose(numerical_gradient(f, X, rule), 2.0 * X)


def test_a_rule_that_takes_nothing():
    text = "and would be called as epsilon(x); need a function that takes this"
    refused(TypeError, text, lambda: numerical_gradient(f, X, lambda: 1e-7))


def test_python_objectives_that_take_nothing():
    text = "f is <lambda>(), and would be called with x and 0 extra arguments; need the two to fit"
    refused(TypeError, text, lambda: numerical_gradient(python_objective(lambda: 1.0), X))
    text = "F is <lambda>(), and would be called with x and 0 extra arguments"
    refused(TypeError, text, lambda: numerical_jacobian(python_objective(lambda: 1.0), X))


def test_callbacks_need_functions():
    checker = fastgrad.GradientChecker(f, X)
    refused(TypeError, "gradient is a ndarray; need a function", lambda: checker.callback(slope(X)))
    refused(TypeError, "then is a list; need a function", lambda: checker.callback(slope, then=[]))
    refused(TypeError, "every is 1.5; need a whole number", lambda: checker.callback(slope, every=1.5))
    refused(ValueError, "every is 0; need 1 or more", lambda: checker.callback(slope, every=0))


def test_a_number_for_x_where_f_takes_a_vector():
    text = "need f to compile for x and args as given. x is a number here: pass [x] if f takes a vector."
    refused(TypeError, text, lambda: numerical_gradient(f, 2.0))


# --- by the name that the signature gives it --------------------------------------------------------------------------

VECTORS = {
    "F": lambda F: check_jacobian(F, X, JACOBIAN),
    "F of a jvp": lambda F: check_jvp(F, X, jvp),
    "F of a vjp": lambda F: check_vjp(F, X, jvp),
    "F of a pattern": lambda F: detect_pattern(F, X),
    "F of differences": lambda F: numerical_jacobian(F, X),
    "gradient": lambda F: check_hessian(F, X, JACOBIAN),
    "gradient of an hvp": lambda F: check_hvp(F, X, jvp),
    "terms": lambda F: check_separable(F, X, slope, PATTERN),
    "terms of differences": lambda F: separable_gradient(F, X, PATTERN),
}


@pytest.mark.parametrize("case", VECTORS)
def test_vector_functions_are_called_by_their_name(case):
    name = case.partition(" ")[0]
    call = VECTORS[case]
    refused(TypeError, f"{name} is None; need a function compiled with @numba.njit", lambda: call(None))
    refused(TypeError, f"pass fastgrad.python_objective({name}) to run it as Python", lambda: call(lambda x: x))
    refused(
        TypeError,
        f"{name} is a ufunc, which works element by element; need an njit function that returns an array",
        lambda: call(np.sin),
    )
    refused(
        TypeError,
        f"{name} is a numba cfunc, which returns one number; need an njit function",
        lambda: call(_callback()),
    )
    refused(
        TypeError,
        f"{name} is a C objective, which returns one number; need",
        lambda: call(fastgrad.c_objective(_callback())),
    )
    refused(TypeError, f"{name} (f) returns float64; need an array of floats: for one number", lambda: call(f))
    refused(TypeError, f"{name} does not compile for arguments (array(float64, 1d, C)): ", lambda: call(no_attribute))
    refused(ValueError, f"{name} writes to x; need a", lambda: call(writing))
    refused(TypeError, f"{name} returns an int; need an array of floats", lambda: call(python_objective(lambda x: 1)))


def test_a_function_that_fills_is_called_by_its_name():
    refused(
        TypeError,
        "terms is filling(x, out), which takes one argument more",
        lambda: separable_gradient(filling, X, PATTERN),
    )
    text = "need the shape of gradient followed by that of x, because gradient fills"
    refused(ValueError, text, lambda: check_hessian(filling, X, np.ones(4)))
    text = "need (3, 3), a row for each value of gradient and a column"
    refused(ValueError, text, lambda: check_hessian(F, X, np.ones((2, 3))))
    refused(ValueError, "one for each value of gradient, (3,)", lambda: check_hessian(F, X, JACOBIAN, noise=[1.0, 2.0]))


def test_what_is_not_deterministic_is_called_by_its_name():
    text = "terms is not deterministic: two calls at x gave terms["
    refused(ValueError, text, lambda: separable_gradient(wanders, X, PATTERN))


def test_what_loses_values_is_called_by_its_name():
    diagonal = np.diag(np.ones(2))
    refused(
        ValueError, "gradient returns 2 values at x and 1 at x ", lambda: check_hessian(shrinks, [2.0, 5.0], diagonal)
    )


def test_one_function_under_two_names_is_compiled_once():
    from fastgrad._vector_objective import _compile

    check_jacobian(F, X, JACOBIAN)
    before = _compile.cache_info().misses
    check_hessian(F, X, JACOBIAN)
    assert _compile.cache_info().misses == before
