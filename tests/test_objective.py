"""The gate for f: anything but a pure, compiled function with a float result is refused in one clear line."""

# ruff: noqa: NPY002  (of NumPy's random numbers, compiled code can make only the legacy ones by itself)

import functools

import numba as nb
import numpy as np
import pytest
from numba.experimental import jitclass

from fastgrad import Verdict, check_gradient, numerical_gradient
from fastgrad._options import described

X = np.array([1.0, 2.0])
GRADIENT = np.array([2.0, 4.0])


@nb.njit
def sphere(x):
    return (x * x).sum()


def plain(x):
    return float((x * x).sum())


def refusal(kind, text, f, x=X, **options):
    """f is refused by both verbs, with exactly this kind of exception and, in a single line, this text."""
    x = np.asarray(x)
    for verb in (numerical_gradient, lambda *given, **rest: check_gradient(*given, np.zeros(x.shape), **rest)):
        with pytest.raises(kind, match=text) as caught:
            verb(f, x, **options)
        assert caught.type is kind
        assert "\n" not in str(caught.value)


# --- kinds of functions --------------------------------------------------------------------------------------


class Model:
    def value(self, x):
        return float(x.sum())


@jitclass([("slope", nb.float64)])
class CompiledModel:
    def __init__(self, slope):
        self.slope = slope

    def value(self, x):
        return self.slope * x.sum()


@nb.njit
def value_of(x, model):
    return model.value(x)


@nb.guvectorize(["(float64[:], float64[:])"], "(n)->()")
def general_ufunc(x, result):
    result[0] = x.sum()


NOT_COMPILED = {
    "Python function": (plain, "f is the Python function plain, not compiled; .*decorate it with @numba.njit"),
    "lambda": (lambda x: 1.0, "f is the Python function <lambda>, not compiled"),
    "built-in": (sum, "f is a Python builtin_function_or_method, not compiled"),
    "class": (Model, "f is a Python type, not compiled"),
    "jitclass": (CompiledModel, "f is a Python JitClassType, not compiled"),
    "None": (None, "f is None; need a function compiled with @numba.njit"),
    "array": (X, "f is a ndarray; need a function compiled with @numba.njit"),
    "cfunc": (nb.cfunc("float64(float64)")(lambda v: v), "f is a numba cfunc; need an njit function: "),
    "NumPy ufunc": (np.sin, "f is a ufunc, .*need an njit function that returns one float"),
    "lazy ufunc": (nb.vectorize(lambda v: 2.0 * v), "f is a ufunc, "),
    "eager ufunc": (nb.vectorize(["float64(float64)"])(lambda v: 2.0 * v), "f is a ufunc, "),
    "general ufunc": (general_ufunc, "f is a ufunc, "),
    "partial": (functools.partial(sphere, X), r"f is a functools\.partial; .*pass the bound values with args="),
    "method": (Model().value, r"f is a method; .*calls obj\.method\(x\), with args=\(obj,\)"),
    "jitclass method": (CompiledModel(2.0).value, r"f is a method; .*calls obj\.method\(x\), with args=\(obj,\)"),
}


@pytest.mark.parametrize("case", NOT_COMPILED)
def test_what_is_no_compiled_function(case):
    f, text = NOT_COMPILED[case]
    refusal(TypeError, text, f)


def test_the_advice_for_methods_works():
    np.testing.assert_allclose(numerical_gradient(value_of, X, args=(CompiledModel(2.0),)), [2.0, 2.0], rtol=1e-6)


# --- results -------------------------------------------------------------------------------------------------

WHOLE = "need a float: a whole-valued objective has no derivative"
RESULTS = {
    "int": (lambda x: x.size, rf"returns int64; {WHOLE}"),
    "literal int": (lambda x: 3, rf"returns Literal\[int\]\(3\); {WHOLE}"),
    "bool": (lambda x: x[0] > 1.0, rf"returns bool; {WHOLE}"),
    "tuple": (lambda x: (x[0], x), "returns Tuple.*; need a float: return the value alone; wrap f"),
    "array": (lambda x: x, r"returns array\(float64, 1d, C\); need a float: return one number"),
    "one-element array": (lambda x: x[:1], r"returns array\(float64, 1d, C\); need a float: return one number"),
    "zero-dimensional array": (lambda x: np.array(1.0), "returns array.*; need a float: return one number"),
    "complex": (lambda x: x[0] * 1j, "returns complex128; need a float: return its real part or its magnitude"),
    "text": (lambda x: "text", "returns .*; need a float: return a float"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_result_that_is_no_float(case):
    f, text = RESULTS[case]
    refusal(TypeError, text, nb.njit(f))


@nb.njit
def returns_nothing(x):
    x.sum()


@nb.njit
def returns_nothing_sometimes(x):
    if x[0] > 5.0:
        return None
    return x[0]


@nb.njit("int64(float64[:])")
def returns_int_by_signature(x):
    return 3


def test_result_that_is_none_on_some_path():
    refusal(
        TypeError, r"f \(returns_nothing\) returns none; need a float: return a float on every path", returns_nothing
    )
    text = (
        r"f \(returns_nothing_sometimes\) returns OptionalType\(float64\); need a float: return a float on every path"
    )
    refusal(TypeError, text, returns_nothing_sometimes)


def test_result_that_a_signature_makes_an_int():
    refusal(TypeError, rf"returns int64; {WHOLE}", returns_int_by_signature)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_result_of_single_precision_is_a_float(dtype):
    f = nb.njit(lambda x: np.float32(2.0) * np.float32(x[0]))
    np.testing.assert_array_equal(numerical_gradient(f, X.astype(dtype), 2.0**-6), [2.0, 0.0])


# --- signatures and arguments --------------------------------------------------------------------------------


@nb.njit("float64(float64[::1])")
def eager(x):
    return x.sum()


@nb.njit(["float64(float64[:], int64)", "float64(float64[:], float64)"])
def eager_for_any_layout(x, power):
    return (x**power).sum()


@nb.njit
def weighted(x, weight, shift=0.0):
    return weight * (x.sum() - shift)


@nb.njit
def not_to_be_typed(x):
    return x.no_such_thing()


def test_eager_signature_that_fits():
    np.testing.assert_array_equal(numerical_gradient(eager, X, 2.0**-10), [1.0, 1.0])
    np.testing.assert_array_equal(numerical_gradient(eager_for_any_layout, X, 2.0**-10, args=(2,)), [2.0, 4.0])


def test_eager_signature_that_does_not_fit():
    text = "f has the fixed signatures .*float64.*, none of which takes {}; need one that does: drop the signature"
    refusal(TypeError, text.format(r"\(array\(float32, 1d, C\)\)"), eager, X.astype(np.float32))
    refusal(TypeError, text.format(r"\(array\(float64, 2d, C\)\)"), eager, X.reshape(1, 2))
    refusal(TypeError, text.format(r"\(array\(float64, 1d, C\), unicode_type\)"), eager_for_any_layout, args=("2",))


def test_wrong_number_of_arguments():
    text = r"f is weighted\(x, weight, shift=0\.0\), and would be called with x and {}; need the two to fit"
    refusal(TypeError, text.format("0 extra arguments"), weighted)
    refusal(TypeError, text.format("3 extra arguments"), weighted, args=(1.0, 2.0, 3.0))
    refusal(TypeError, r"f is sphere\(x\), and would be called with x and 1 extra argument;", sphere, args=(1.0,))


def test_f_that_does_not_compile_says_why_and_chains_the_message_of_numba():
    text = r"f does not compile for arguments \(array\(float64, 1d, C\)\): .*The full message of Numba is chained above"
    refusal(TypeError, text, not_to_be_typed)
    with pytest.raises(TypeError, match="no_such_thing") as caught:
        numerical_gradient(not_to_be_typed, X)
    assert isinstance(caught.value.__cause__, nb.core.errors.TypingError)


@pytest.mark.parametrize("args", [[1.0], {"weight": 1.0}, 1.0, "1", None, np.array([1.0])])
def test_args_that_are_no_tuple(args):
    refusal(TypeError, rf"args is {described(args)}; need a tuple, args=\(data,\)", weighted, args=args)


UNHOLDABLE = {
    "list": [1.0],
    "empty list": [],
    "dict": {"a": 1.0},
    "set": {1.0},
    "Python function": plain,
    "module": np,
    "object": Model(),
    "record": np.zeros(1, dtype=[("a", float)])[0],
    "bytearray": bytearray(b"ab"),
    "float16": np.float16(1.0),
    "huge int": 2**70,
    "tuple with a list": (1.0, [2.0]),
    "nested tuple with a dict": ((1.0, ({},)),),
}


@pytest.mark.parametrize("case", UNHOLDABLE)
def test_arguments_that_compiled_code_cannot_hold(case):
    value = UNHOLDABLE[case]
    text = rf"args\[1\] is {described(value)}, which compiled code cannot hold during a check; need arrays, "
    refusal(TypeError, text, nb.njit(lambda x, a, b: x[0]), args=(1.0, value))


def test_an_array_of_objects_does_not_compile():
    refusal(TypeError, "f does not compile for arguments .*pyobject", weighted, args=(np.array([None]),))


# --- behaviour -----------------------------------------------------------------------------------------------


@nb.njit
def writes_to_x(x):
    x[1] += 1.0
    return x.sum()


@nb.njit
def writes_to_x_elsewhere(x):
    if x[0] != 1.0:
        x[1] = 7.0
    return x.sum()


@nb.njit
def with_work_array(x, scale, work):
    for i in range(x.size):
        work[i] = scale * x[i] * x[i]
    return work[: x.size].sum()


@nb.njit
def with_nested_work_array(x, pair):
    return with_work_array(x, 1.0, pair[1][0])


@jitclass([("work", nb.float64[::1]), ("scale", nb.float64)])
class Workspace:
    def __init__(self, n):
        self.work = np.zeros(n)
        self.scale = 1.0


@nb.njit
def with_workspace(x, space):
    return with_work_array(x, space.scale, space.work)


@nb.njit
def is_random(x):
    return x.sum() * np.random.random()


@nb.njit
def is_sometimes_nan(x):
    return np.nan if np.random.random() < 0.5 else x.sum()


@nb.njit
def draws_from(x, generator):
    return x.sum() * generator.random()


@nb.njit
def seed_numba(seed):
    np.random.seed(seed)


@nb.njit
def is_reseeded(x):
    np.random.seed(3)
    return x.sum() * np.random.random()


READ_ONLY = "need an f that only reads its arguments, .*Work on a copy inside f"


@pytest.mark.parametrize("threads", [1, None])
def test_f_that_writes_to_x(threads):
    refusal(ValueError, rf"f writes to x; {READ_ONLY}", writes_to_x, threads=threads)


@pytest.mark.parametrize("threads", [1, None])
def test_f_that_writes_to_x_only_at_other_points(threads):
    refusal(ValueError, rf"f writes to x; {READ_ONLY}", writes_to_x_elsewhere, np.ones(2), threads=threads)


@pytest.mark.parametrize("threads", [1, None])
def test_f_that_writes_to_arguments(threads):
    refusal(
        ValueError, rf"f writes to args\[1\]; {READ_ONLY}", with_work_array, args=(1.0, np.zeros(2)), threads=threads
    )
    pair = (1.0, (np.zeros(2), 2))
    refusal(ValueError, rf"f writes to args\[0\]; {READ_ONLY}", with_nested_work_array, args=(pair,), threads=threads)
    refusal(ValueError, rf"f writes to args\[0\]; {READ_ONLY}", with_workspace, args=(Workspace(2),), threads=threads)


@pytest.mark.parametrize("threads", [1, None])
def test_f_whose_work_array_is_full_of_what_it_will_write(threads):
    """Because f has just been called at x: a trial at x leaves the bytes as they are, and the threads then race."""
    space = Workspace(2)
    with_workspace(X, space)
    with_work_array(X, 1.0, work := np.zeros(2))
    for _ in range(2):
        refusal(ValueError, r"f writes to args\[1\]", with_work_array, args=(1.0, work), threads=threads)
        with_work_array(X, 1.0, work)
    refusal(ValueError, r"f writes to args\[0\]", with_workspace, args=(space,), threads=threads)


def test_read_only_arguments_of_every_layout_are_accepted():
    a = np.asfortranarray(np.arange(6.0).reshape(2, 3))[:, ::2]
    a.flags.writeable = False
    f = nb.njit(lambda x, a: (a * x).sum())
    np.testing.assert_allclose(numerical_gradient(f, X, args=(a,)), [3.0, 7.0], rtol=1e-6)


def test_f_that_is_random():
    with pytest.raises(ValueError, match=r"f is not deterministic: two calls at x gave .* away; .*fix the seed"):
        numerical_gradient(is_random, X)
    result = check_gradient(is_random, X, GRADIENT)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "deterministic" in result.reason


@pytest.mark.parametrize("seed", [1, 6])  # the first number below a half and the second above, or the reverse
def test_f_that_is_nan_at_one_of_two_calls(seed):
    seed_numba(seed)
    with pytest.raises(ValueError, match="f is not deterministic: two calls at x gave"):
        numerical_gradient(is_sometimes_nan, X)


def test_f_that_draws_from_a_generator():
    with pytest.raises(ValueError, match="f is not deterministic"):
        numerical_gradient(draws_from, X, args=(np.random.default_rng(0),))


def test_f_that_draws_the_same_numbers_every_time():
    gradient = numerical_gradient(is_reseeded, X)
    np.testing.assert_allclose(gradient, is_reseeded(X) / X.sum(), rtol=1e-6)


def test_f_that_is_not_finite_at_x():
    f = nb.njit(lambda x: np.log(-x[0]))
    assert np.isnan(numerical_gradient(f, X)[0])
    result = check_gradient(f, X, GRADIENT)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "f(x) is nan" in result.reason


# --- one objective, many checks ------------------------------------------------------------------------------

FACTOR = 1.0


def test_recompiled_f_is_not_served_stale():
    global FACTOR

    @nb.njit
    def inner(x):
        return FACTOR * x[0]

    @nb.njit
    def outer(x):
        return inner(x) + x[1]

    gradients = []
    try:
        for factor in (3.0, 5.0):
            FACTOR = factor
            inner.recompile()
            outer.recompile()
            gradients += [numerical_gradient(f, X, 2.0**-10)[0] for f in (inner, outer)]
    finally:
        FACTOR = 1.0
    assert gradients == [3.0, 3.0, 5.0, 5.0]


def test_functions_of_one_name_are_kept_apart():
    def scaling(factor):
        @nb.njit
        def f(x):
            return factor * x[0]

        return f

    for factor in (2.0, 3.0, 2.0):
        assert numerical_gradient(scaling(factor), X, 2.0**-10)[0] == factor


def test_a_second_check_compiles_nothing():
    f = nb.njit(lambda x, a: a[0] * x[0])
    with _compilations() as compiled:
        numerical_gradient(f, X, args=(np.ones(1),))
        numerical_gradient(f, X, args=(np.ones(1),), threads=1)
    assert compiled
    before = list(f.overloads.items())
    with _compilations() as compiled:
        numerical_gradient(f, X + 1.0, args=(np.full(1, 2.0),))
        numerical_gradient(f, X[:1], 1e-5, args=(np.full(3, 2.0),), threads=1)
    assert compiled == []
    assert list(f.overloads.items()) == before


class _compilations:
    """Names of the functions that Numba compiles in the meantime."""

    def __enter__(self):
        self._names = []
        self._listener = nb.core.event.RecordingListener()
        nb.core.event.register("numba:compile", self._listener)
        return self._names

    def __exit__(self, *_):
        nb.core.event.unregister("numba:compile", self._listener)
        self._names += [str(event.data["dispatcher"]) for _, event in self._listener.buffer if event.is_start]


def test_f_may_be_used_with_several_kinds_of_arguments_and_shapes():
    f = nb.njit(lambda x, a: (a * x).sum())
    for a, x in ((2.0, X), (np.array([2.0, 2.0]), X), (2, X.reshape(1, 2)), (np.float32(2.0), X.astype(np.float32))):
        gradient = numerical_gradient(f, x, 2.0**-6, args=(a,))
        np.testing.assert_array_equal(gradient, np.full(x.shape, 2.0))


def test_f_that_raises_at_x_itself():
    f = nb.njit(lambda x: 1.0 / (x[0] - 1.0))
    for call in (lambda: numerical_gradient(f, X), lambda: check_gradient(f, X, GRADIENT)):
        with pytest.raises(ZeroDivisionError) as caught:
            call()
        assert caught.value.__notes__ == ["f raised at x itself"]
