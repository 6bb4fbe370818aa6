"""Arguments of every kind reach a compiled objective, and nothing is leaked or freed early on the way."""

import ctypes
import ctypes.util
import gc
import sys
import weakref
from typing import NamedTuple

import numba as nb
import numpy as np
import pytest
from numba.experimental import jitclass

from fastgrad import numerical_gradient
from fastgrad._compiled.bridge import Block
from fastgrad._inputs import point_array
from fastgrad._objective import _compile_wrapper, prepare

X = np.array([1.0, 2.0, 3.0])
STEP = 2.0**-20  # all points and, with small integers for arguments, all values of a linear f are exact


class Pair(NamedTuple):
    first: float
    second: np.ndarray


class Same(NamedTuple):
    first: float
    second: float


@jitclass([("slope", nb.float64), ("offsets", nb.float64[::1])])
class Line:
    def __init__(self, slope, offsets):
        self.slope = slope
        self.offsets = offsets

    def value(self, x):
        return self.slope * x[0] + self.offsets[1] * x[1]


@nb.njit
def twice(value):
    return 2.0 * value


@nb.njit
def thrice(value):
    return 3.0 * value


@nb.njit
def of_nothing(x):
    return 5.0 * x[0] + 7.0 * x[1]


@nb.njit
def of_array(x, a):
    return a[0] * x[0] + a[a.size - 1] * x[1]


@nb.njit
def of_matrix(x, a):
    return a[0, 1] * x[0] + a[1, 0] * x[1]


@nb.njit
def of_scalars(x, a, b, c):
    return a * x[0] + (b if c else 0) * x[1]


@nb.njit
def of_complex(x, z):
    return z.real * x[0] + z.imag * x[1]


@nb.njit
def of_text(x, name, raw):
    return len(name) * x[0] + (raw[1] * x[1] if name == "größe" else 0.0)


@nb.njit
def of_none(x, weight):
    return 5.0 * x[0] + (7.0 * x[1] if weight is None else 0.0)


@nb.njit
def of_tuple(x, pair):
    return pair[0] * x[0] + pair[1] * x[1]


@nb.njit
def of_mixed_tuple(x, pair):
    return pair[0] * x[0] + pair[1][2] * x[1]


@nb.njit
def of_nested_tuple(x, nest):
    return nest[0] * x[0] + nest[1][0][1] * nest[1][1] * x[1]


@nb.njit
def of_names(x, pair):
    return pair.first * x[0] + pair.second[1] * x[1]


@nb.njit
def of_same_names(x, pair):
    return pair.first * x[0] + pair.second * x[1]


@nb.njit
def of_instance(x, line):
    return line.value(x)


@nb.njit
def of_typed_list(x, values):
    return values[0] * x[0] + values[1] * x[1]


@nb.njit
def of_list_of_arrays(x, values):
    return values[0][1] * x[0] + values[1][0] * x[1]


@nb.njit
def of_typed_dict(x, values):
    return values["slope"] * x[0] + values["other"] * x[1]


@nb.njit
def of_functions(x, f, g):
    return f(x[0]) + g(x[1])


@nb.njit
def of_function_in_between(x, a, f):
    return a * x[0] + f(x[1])


@nb.njit
def of_records(x, table):
    return table[1]["slope"] * x[0] + table[0]["other"] * x[1]


@nb.njit
def of_many(x, a, b=7.0, *rest):
    return a * x[0] + (b + len(rest)) * x[1]


TABLE = np.array([(0.0, 7.0), (5.0, 0.0)], dtype=[("slope", np.float64), ("other", np.float64)])

# Objective and arguments, all with the gradient (5, 7, 0).
KINDS = {
    "nothing": (of_nothing, ()),
    "float64 array": (of_array, (np.array([5.0, 0.0, 7.0]),)),
    "float32 array": (of_array, (np.array([5.0, 7.0], dtype=np.float32),)),
    "int array": (of_array, (np.array([5, 7]),)),
    "strided array": (of_array, (np.array([5.0, 9.0, 7.0, 9.0])[::2],)),
    "read-only array": (of_array, (np.frombuffer(np.array([5.0, 7.0]).tobytes()),)),
    "C matrix": (of_matrix, (np.array([[9.0, 5.0], [7.0, 9.0]]),)),
    "Fortran matrix": (of_matrix, (np.asfortranarray([[9.0, 5.0], [7.0, 9.0]]),)),
    "scalars": (of_scalars, (5.0, 7, True)),
    "NumPy scalars": (of_scalars, (np.float32(5.0), np.int16(7), np.bool_(True))),
    "complex": (of_complex, (5.0 + 7.0j,)),
    "text": (of_text, ("größe", b"\x00\x07")),
    "None": (of_none, (None,)),
    "tuple": (of_tuple, ((5.0, 7.0),)),
    "tuple with an array": (of_mixed_tuple, ((5.0, np.array([0.0, 0.0, 7.0])),)),
    "nested tuple": (of_nested_tuple, ((5.0, (np.array([0.0, 3.5]), 2)),)),
    "namedtuple": (of_names, (Pair(5.0, np.array([0.0, 7.0])),)),
    "namedtuple of one kind": (of_same_names, (Same(5.0, 7.0),)),
    "jitclass instance": (of_instance, (Line(5.0, np.array([0.0, 7.0])),)),
    "typed list": (of_typed_list, (nb.typed.List([5.0, 7.0]),)),
    "typed list of arrays": (of_list_of_arrays, (nb.typed.List([np.array([0.0, 5.0]), np.array([7.0, 0.0])]),)),
    "array of records": (of_records, (TABLE,)),
    "a default left out": (of_many, (5.0,)),
    "a default given": (of_many, (5.0, 7.0)),
    "star arguments": (of_many, (5.0, 4.0, 1, "a", (2.0,))),
}


def gradient_of(f, args, threads, dtype=np.float64):
    return numerical_gradient(f, X.astype(dtype), STEP if dtype == np.float64 else 2.0**-10, args=args, threads=threads)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, None])
def test_arguments_of_every_kind_arrive(kind, threads):
    f, args = KINDS[kind]
    np.testing.assert_array_equal(gradient_of(f, args, threads), [5.0, 7.0, 0.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["nothing", "tuple with an array", "namedtuple", "scalars", "jitclass instance"])
def test_arguments_arrive_beside_an_x_of_either_precision(kind, dtype):
    f, args = KINDS[kind]
    gradient = gradient_of(f, args, None, dtype)
    assert gradient.dtype == dtype
    np.testing.assert_array_equal(gradient, np.array([5.0, 7.0, 0.0], dtype))


def test_typed_dict_arrives():
    values = nb.typed.Dict.empty(nb.types.unicode_type, nb.float64)
    values["slope"], values["other"] = 5.0, 7.0
    np.testing.assert_array_equal(gradient_of(of_typed_dict, (values,), None), [5.0, 7.0, 0.0])


def test_compiled_functions_arrive_without_becoming_function_types():
    """A tuple that begins with compiled functions makes Numba unify them to one experimental function type."""
    expected = [2.0, 3.0, 0.0]
    np.testing.assert_array_equal(gradient_of(of_functions, (twice, thrice), None), expected)
    np.testing.assert_array_equal(gradient_of(of_functions, (thrice, twice), None), [3.0, 2.0, 0.0])
    np.testing.assert_array_equal(gradient_of(of_function_in_between, (2.0, thrice), None), expected)
    (signature,) = of_functions.signatures[:1]
    assert all(isinstance(kind, nb.types.Dispatcher) for kind in signature[1:])


def test_a_collected_function_is_not_mistaken_for_a_new_one_at_its_address():
    def scaling(factor):
        @nb.njit
        def scale(value):
            return factor * value

        return scale

    for factor in range(1, 4):
        gradient = gradient_of(of_function_in_between, (1.0, scaling(float(factor))), 1)
        assert gradient[1] == factor
        gc.collect()


@nb.njit
def of_matrix_x(x, a, f):
    return a[0] * x[0, 1] + f(x[1, 0])


@nb.njit
def of_scalar_x(x, f):
    return f(x)


def test_arguments_arrive_whatever_the_shape_of_x():
    gradient = numerical_gradient(of_matrix_x, np.ones((2, 2)), STEP, args=(np.array([5.0]), twice))
    np.testing.assert_array_equal(gradient, [[0.0, 5.0], [2.0, 0.0]])
    gradient = numerical_gradient(of_scalar_x, 1.0, STEP, args=(thrice,))
    assert gradient.shape == ()
    assert gradient == 3.0


def test_c_function_behind_a_pointer():
    """An objective in C is called through ctypes from a compiled adapter."""
    cosine = ctypes.CDLL(ctypes.util.find_library("m")).cos
    cosine.argtypes, cosine.restype = [ctypes.c_double], ctypes.c_double

    @nb.njit
    def f(x):
        return cosine(x[0]) + 7.0 * x[1]

    gradient = numerical_gradient(f, [1.0, 2.0], 1e-5)
    np.testing.assert_allclose(gradient, [-np.sin(1.0), 7.0], rtol=1e-9)


# --- ownership ------------------------------------------------------------------------------------------------


@nb.njit
def with_temporaries(x, a, pair):
    return np.sum(a * x[:1]) + np.sum(pair[0] + x[1]) + pair[1] * x[2]


@nb.njit
def that_raises(x, a, pair):
    b = a * x[0]
    if x[0] > X[0]:
        raise ValueError("no")
    return b[0]


def test_reference_counts_return_to_what_they_were():
    array, member = np.ones(4), np.ones(3)
    args = (array, (member, 2.5))
    numerical_gradient(with_temporaries, X, args=args)  # compiles
    gc.collect()
    before = sys.getrefcount(array), sys.getrefcount(member), sys.getrefcount(args)
    for threads in (1, None):
        for _ in range(20):
            numerical_gradient(with_temporaries, X, args=args, threads=threads)
    gc.collect()
    assert (sys.getrefcount(array), sys.getrefcount(member), sys.getrefcount(args)) == before


def test_exceptions_free_nothing_early():
    """Numba keeps a reference for every frame that an exception passes through; one too few would be a crash."""
    array, member = np.ones(4), np.ones(3)
    before = sys.getrefcount(array), sys.getrefcount(member)
    for threads in (1, None):
        with pytest.raises(ValueError, match="no"):
            numerical_gradient(that_raises, X, args=(array, (member, 2.5)), threads=threads)
    gc.collect()
    assert sys.getrefcount(array) >= before[0]
    assert sys.getrefcount(member) >= before[1]


def test_arrays_die_with_their_last_user():
    array, member = np.ones(4), np.ones(3)
    ghosts = weakref.ref(array), weakref.ref(member)
    numerical_gradient(with_temporaries, X, args=(array, (member, 2.5)))
    del array, member
    gc.collect()
    assert [ghost() for ghost in ghosts] == [None, None]


def test_a_block_owns_its_arguments():
    """As a prepared objective does: it outlives the names its arguments had."""
    array, values = np.array([5.0, 7.0]), nb.typed.List([np.array([0.0, 5.0]), np.array([7.0, 0.0])])
    of_both = nb.njit(lambda x, a, b, name: of_array(x, a) + of_list_of_arrays(x, b) + (len(name) - 4) * x[2])
    objective = prepare(of_both, point_array(X), (array, values, "".join(["na", "me"])))
    ghost = weakref.ref(array)
    del array, values
    gc.collect()
    _ = [np.full(2, 9.0) for _ in range(100)]  # takes the memory, had it been freed
    assert ghost() is not None
    assert objective.value(X) == (2.0 * (5.0 * 1.0 + 7.0 * 2.0), 0)
    del objective
    gc.collect()
    assert ghost() is None


def test_typed_list_is_counted_like_an_array():
    values = nb.typed.List([1.0, 2.0])
    numerical_gradient(of_typed_list, X, args=(values,))
    before = values._opaque.refcount
    for threads in (1, None):
        for _ in range(10):
            numerical_gradient(of_typed_list, X, args=(values,), threads=threads)
    gc.collect()
    assert values._opaque.refcount == before
    objective = prepare(of_typed_list, point_array(X), (values,))
    assert values._opaque.refcount == before + 1
    del objective
    assert values._opaque.refcount == before


def test_what_a_jitclass_instance_holds_dies_with_it():
    offsets = np.array([0.0, 7.0])
    ghost = weakref.ref(offsets)
    line = Line(5.0, offsets)
    del offsets
    numerical_gradient(of_instance, X, args=(line,))
    gc.collect()
    assert ghost() is not None
    del line
    gc.collect()
    assert ghost() is None


def test_a_block_that_could_not_be_made_is_released_quietly():
    class Foreign:
        pass

    with pytest.raises(nb.TypingError):
        Block(((3,), Foreign()), nb.typeof(((3,), 0.0)))
    gc.collect()  # an exception in __del__ would fail this test as a warning


def test_a_wrapper_lives_as_long_as_its_address_is_used():
    objective = prepare(nb.njit(lambda x: 3.0 * x[0] * x[1]), point_array(X), ())
    _compile_wrapper.cache_clear()
    gc.collect()
    assert objective.value(X) == (6.0, 0)


# --- exceptions -----------------------------------------------------------------------------------------------


def python_refuses(value):
    if value > X[0]:
        raise KeyError("refused by Python")
    return value


@nb.njit
def calls_python(x):
    with nb.objmode(value="float64"):
        value = python_refuses(x[0])
    return value + x[1]


@nb.njit
def raises_with_a_value(x):
    if x[1] > X[1]:
        raise ArithmeticError("x[2] is", x[2])
    return x[0]


def test_exceptions_become_a_status():
    point = point_array(X)
    objective = prepare(raises_with_a_value, point, ())
    assert objective.value(X) == (1.0, 0)
    value, raised = objective.value(X + 1.0)
    assert np.isnan(value)
    assert raised == 1


@pytest.mark.parametrize("threads", [1, None])
def test_an_exception_raised_by_python_code_inside_f_is_not_left_pending(threads):
    with pytest.raises(KeyError, match="refused by Python") as caught:
        numerical_gradient(calls_python, X, threads=threads)
    assert caught.value.__notes__ == [f"f raised at x + h, x[0] = {1.0 + 1e-7} (h = 1e-07)"]


@pytest.mark.parametrize("threads", [1, None])
def test_an_exception_made_of_runtime_values_arrives(threads):
    with pytest.raises(ArithmeticError) as caught:
        numerical_gradient(raises_with_a_value, X, threads=threads)
    assert caught.value.args == ("x[2] is", 3.0)
