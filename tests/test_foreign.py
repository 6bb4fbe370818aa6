"""Objectives that are not Numba functions: real C through every kind of pointer, and plain Python."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import naive
import numba as nb
import numpy as np
import pytest
from numba import types

import fastgrad
from fastgrad import Verdict, c_objective, check_gradient, numerical_gradient, python_objective
from fastgrad._options import described
from fastgrad.testing import assert_gradient

X = np.array([0.3, -1.2, 0.7, 2.0, -0.4])
WEIGHT = 3.0

SOURCE = r"""
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* sum of w (x[i+1] - x[i]^2)^2 + (1 - x[i])^2, with w in data, or 1 */
double chain(const double *x, int64_t n, void *data)
{
    double weight = data ? *(double *)data : 1.0, sum = 0.0;
    for (int64_t i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
        sum += weight * a * a + b * b;
    }
    return sum;
}

double other(const double *x, int64_t n, void *data) { return x[0]; }

double undefined_above_1(const double *x, int64_t n, void *data) { return x[0] > 1.0 ? NAN : x[0]; }

double writes(double *x, int64_t n, void *data) { double sum = x[0] * x[0]; x[0] = 0.0; return sum; }

/* Sleeps, so that calls overlap wherever they may, and counts the calls that found another one under way.
   Beside the point in data, calls sleep until that has happened, or until they have lost their patience. */
static int under_way, overlaps, patience;
double sleeps(const double *x, int64_t n, void *data)
{
    struct timespec pause = {0, 2000000};
    int waits = data && memcmp(x, data, n * sizeof(double));
    if (__atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST) > 0)
        __atomic_fetch_add(&overlaps, 1, __ATOMIC_SEQ_CST);
    do
        nanosleep(&pause, 0);
    while (waits && !__atomic_load_n(&overlaps, __ATOMIC_SEQ_CST)
           && __atomic_fetch_sub(&patience, 1, __ATOMIC_SEQ_CST) > 0);
    __atomic_fetch_sub(&under_way, 1, __ATOMIC_SEQ_CST);
    return chain(x, n, 0);
}

void be_patient(int pauses) { __atomic_store_n(&patience, pauses, __ATOMIC_SEQ_CST); }

int take_overlaps(void) { return __atomic_exchange_n(&overlaps, 0, __ATOMIC_SEQ_CST); }

int returns_int(const double *x, int64_t n, void *data) { return 1; }
"""


def chain(x, weight=WEIGHT):
    """In the order of the C function, for the same bits."""
    total = 0.0
    for i in range(len(x) - 1):
        a, b = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        total += weight * a * a + b * b
    return total


def chain_gradient(x, weight=WEIGHT):
    gradient = np.zeros_like(x)
    for i in range(len(x) - 1):
        gradient[i] += -4.0 * weight * x[i] * (x[i + 1] - x[i] ** 2) - 2.0 * (1.0 - x[i])
        gradient[i + 1] += 2.0 * weight * (x[i + 1] - x[i] ** 2)
    return gradient


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("library")
    (folder / "model.c").write_text(SOURCE)
    # Without contraction to fused operations the values are those of the Python twin, to the bit.
    subprocess.run(
        [compiler, "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-o", "model.so", "model.c", "-lm"],
        cwd=folder,
        check=True,
    )
    return folder / "model.so"


@pytest.fixture(scope="module")
def library(path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name in ("chain", "other", "undefined_above_1", "writes", "sleeps"):
        getattr(library, name).restype = ctypes.c_double
    return library


class Parameters(ctypes.Structure):
    _fields_ = (("weight", ctypes.c_double), ("unused", ctypes.c_int))


@nb.cfunc(types.float64(types.CPointer(types.float64), types.int64, types.voidptr))
def chain_of_numba(x, n, data):
    weight = nb.carray(data, (1,), np.float64)[0]
    total = 0.0
    for i in range(n - 1):
        a, b = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        total += weight * a * a + b * b
    return total


def of_ctypes(path):
    function = ctypes.CDLL(str(path)).chain
    function.restype = ctypes.c_double
    return function


def of_ctypes_declared(path):
    function = of_ctypes(path)
    function.argtypes = (ctypes.POINTER(ctypes.c_double), ctypes.c_int64, ctypes.c_void_p)
    return function


def of_ctypes_with_ndpointer(path):
    function = of_ctypes(path)
    array = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
    function.argtypes = (array, ctypes.c_ssize_t, ctypes.POINTER(Parameters))
    return function


def of_cffi(path):
    ffi = pytest.importorskip("cffi").FFI()
    ffi.cdef("double chain(const double *x, int64_t n, void *data);")
    return ffi.dlopen(str(path)).chain  # nothing but the function keeps the library open


def low_level_of_ctypes(path):
    return pytest.importorskip("scipy").LowLevelCallable(of_ctypes_declared(path))


def low_level_of_cffi(path):
    return pytest.importorskip("scipy").LowLevelCallable(of_cffi(path))


def low_level_of_capsule(path):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    capsule = new(ctypes.cast(of_ctypes(path), ctypes.c_void_p), SIGNATURE, None)
    return pytest.importorskip("scipy").LowLevelCallable(capsule)


SIGNATURE = b"double (double *, int64_t, void *)"  # outlives the capsule, which does not copy it


def capsule(path, name):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return new(ctypes.cast(of_ctypes(path), ctypes.c_void_p), name, None)


# A capsule does not copy its name.
DECLARED = {
    b"double (double *, int64_t, void *)": None,
    b"double (const double *x, npy_intp n, void *data)": None,
    b"double (double *, __pyx_t_5numpy_int64_t, void *)": None,
    b"double (double *, Py_ssize_t, void *)": None,
    b"double (void *, long long, struct parameters *)": None,
    b"my_module.energy": None,
    None: None,
    b"double (int, double *, void *)": "declared as double f(int32, double *, void *); need double f(const double",
    b"double (double *, int, void *)": "declared as double f(double *, int32, void *)",
    b"float (double *, int64_t, void *)": "declared as float f(double *, int64, void *)",
    b"double (float *, int64_t, void *)": "declared as double f(float *, int64, void *)",
    b"double (double, void *)": "declared as double f(double, void *)",
    b"double (double *, int64_t)": "declared as double f(double *, int64)",
}


@pytest.mark.parametrize("name", DECLARED)
def test_the_declaration_in_the_name_of_a_capsule_counts(path, name):
    low_level = pytest.importorskip("scipy").LowLevelCallable
    given = [capsule(path, name)] + ([] if name is None else [low_level(capsule(path, name))])
    for function in given:
        if DECLARED[name] is None:
            f = c_objective(function, data=np.array([WEIGHT]))
            np.testing.assert_array_equal(numerical_gradient(f, X), expected_gradient())
        else:
            with pytest.raises(TypeError, match=re.escape(DECLARED[name])):
                c_objective(function)


POINTERS = {
    function.__name__: function
    for function in (
        of_ctypes,
        of_ctypes_declared,
        of_ctypes_with_ndpointer,
        of_cffi,
        low_level_of_ctypes,
        low_level_of_cffi,
        low_level_of_capsule,
    )
}


def expected_gradient(x=X, weight=WEIGHT):
    return naive.central_difference(lambda x: chain(x, weight), x, 1e-7)


@pytest.mark.parametrize("kind", POINTERS)
def test_every_kind_of_pointer_is_called_with_x_n_and_data(path, kind):
    f = c_objective(POINTERS[kind](path), data=np.array([WEIGHT]))
    np.testing.assert_array_equal(numerical_gradient(f, X), expected_gradient())
    assert f(X) == chain(X)


def test_a_numba_cfunc_is_called_with_x_n_and_data():
    f = c_objective(chain_of_numba, data=np.array([WEIGHT]))
    np.testing.assert_allclose(numerical_gradient(f, X), expected_gradient(), rtol=0.0, atol=1e-6)


DATA = {
    "array": lambda: np.array([WEIGHT, 7.0]),
    "structure": lambda: Parameters(WEIGHT, 1),
    "number": lambda: ctypes.c_double(WEIGHT),
    "ctypes array": lambda: (ctypes.c_double * 2)(WEIGHT, 7.0),
    "ctypes pointer": lambda: ctypes.pointer(Parameters(WEIGHT, 1)),
}


@pytest.mark.parametrize("kind", DATA)
def test_every_kind_of_data_arrives_and_is_kept_alive(library, kind):
    f = c_objective(library.chain, data=DATA[kind]())
    gc.collect()
    occupied = [np.full(2, 1e9) for _ in range(1000)]  # of whatever was freed too early
    assert f(X) == chain(X)
    del occupied


def test_addresses_and_void_pointers_arrive(library):
    weight = ctypes.c_double(WEIGHT)
    address = ctypes.addressof(weight)
    assert c_objective(library.chain, data=address)(X) == chain(X)
    assert c_objective(library.chain, data=ctypes.c_void_p(address))(X) == chain(X)
    assert c_objective(library.chain)(X) == chain(X, 1.0)


def test_cffi_data_is_kept_alive_as_well(path):
    ffi = pytest.importorskip("cffi").FFI()
    f = c_objective(of_cffi(path), data=ffi.new("double[2]", [WEIGHT, 7.0]))
    gc.collect()
    assert f(X) == chain(X)


def test_user_data_of_a_low_level_callable_is_the_default_data(path):
    scipy = pytest.importorskip("scipy")
    weight = ctypes.c_double(WEIGHT)
    function = scipy.LowLevelCallable(of_ctypes_declared(path), ctypes.cast(ctypes.pointer(weight), ctypes.c_void_p))
    assert c_objective(function)(X) == chain(X)
    assert c_objective(function, data=np.array([5.0]))(X) == chain(X, 5.0)


def test_data_written_later_is_seen(library):
    weight = np.array([1.0])
    f = c_objective(library.chain, data=weight)
    weight[0] = WEIGHT
    np.testing.assert_array_equal(numerical_gradient(f, X), expected_gradient())


def test_a_matrix_arrives_flat(library):
    x = np.arange(6.0).reshape(2, 3) / 7.0
    f = c_objective(library.chain)
    expected = expected_gradient(x.ravel(), 1.0).reshape(2, 3)
    np.testing.assert_array_equal(numerical_gradient(f, x), expected)
    assert f(np.asfortranarray(x)) == chain(x.ravel(), 1.0)


def test_a_right_gradient_matches_and_a_planted_bug_is_found(library):
    f = c_objective(library.chain, data=np.array([WEIGHT]))
    assert_gradient(f, X, chain_gradient(X))
    wrong = chain_gradient(X)
    wrong[2] *= 1.001
    result = check_gradient(f, X, wrong)
    assert result.verdict is Verdict.MISMATCH
    assert result.worst[0].index == (2,)


FORTRAN = """
function energy(x, n, data) bind(c)
  use iso_c_binding
  integer(c_int64_t), value :: n
  real(c_double), intent(in) :: x(n)
  type(c_ptr), value :: data
  real(c_double), pointer :: weight
  real(c_double) :: energy
  call c_f_pointer(data, weight)
  energy = sum(weight * (x(2:) - x(:n-1)**2)**2 + (1 - x(:n-1))**2)
end function
"""


def test_a_fortran_function_is_an_objective_too(tmp_path):
    compiler = shutil.which("gfortran")
    if compiler is None:
        pytest.skip("needs a Fortran compiler")
    (tmp_path / "model.f90").write_text(FORTRAN)
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", "model.so", "model.f90"], cwd=tmp_path, check=True)
    energy = ctypes.CDLL(str(tmp_path / "model.so")).energy
    energy.restype = ctypes.c_double
    f = c_objective(energy, data=np.array([WEIGHT]))
    assert f(X) == pytest.approx(chain(X), rel=1e-14)
    assert_gradient(f, X, chain_gradient(X))
    assert check_gradient(f, X, chain_gradient(X, 2.0)).verdict is Verdict.MISMATCH


needs_two_threads = pytest.mark.skipif(nb.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")


@needs_two_threads
def test_c_runs_on_several_threads_at_once_with_the_same_bits(library):
    f = c_objective(library.sleeps, data=X)
    library.take_overlaps()
    library.be_patient(0)
    serial = numerical_gradient(f, X, threads=1)
    assert library.take_overlaps() == 0
    library.be_patient(50_000)  # a hundred seconds or more
    np.testing.assert_array_equal(numerical_gradient(f, X, threads=2), serial)
    assert library.take_overlaps() > 0


@needs_two_threads
def test_a_function_that_is_not_thread_safe_is_never_entered_twice(library):
    f = c_objective(library.sleeps, thread_safe=False)
    library.take_overlaps()
    library.be_patient(0)

    def check(_):
        return check_gradient(f, X, chain_gradient(X, 1.0), threads=2)

    with ThreadPoolExecutor(3) as pool:  # from several threads of the user at once, too
        results = [*pool.map(check, range(3)), check_gradient(f, X, chain_gradient(X, 1.0), executor=pool)]
        list(pool.map(f, [X] * 3))
    assert library.take_overlaps() == 0
    assert [result.verdict for result in results] == [Verdict.MATCH] * 4
    assert (results[0].threads, results[0].executor) == (1, "serial, f is not thread-safe")
    assert "on 1 thread (serial, f is not thread-safe)" in str(results[0])


def test_nan_is_nan(library):
    f = c_objective(library.undefined_above_1)
    assert check_gradient(f, [2.0], [1.0]).verdict is Verdict.INCONCLUSIVE
    assert np.isnan(numerical_gradient(f, [2.0])).all()


def test_c_that_writes_to_x_is_refused(library):
    with pytest.raises(ValueError, match="f writes to x"):
        check_gradient(c_objective(library.writes), X, X)


def test_the_compiled_form_is_called_from_compiled_code(library):
    compiled = c_objective(library.chain, data=np.array([WEIGHT])).compiled

    @nb.njit
    def twice(x):
        return 2.0 * compiled(x)

    assert twice(X) == 2.0 * chain(X)
    with pytest.raises(ValueError, match="x is not C-contiguous"):
        twice(X[::2])
    with pytest.raises(nb.core.errors.TypingError):
        twice(X.astype(np.float32))


@pytest.mark.parametrize("kind", POINTERS)
def test_checkpoints_tell_functions_and_data_apart(path, kind, tmp_path):
    def check(function, weight=WEIGHT, **options):
        f = c_objective(function, data=np.array([weight]))
        return check_gradient(f, X, chain_gradient(X, WEIGHT), checkpoint=tmp_path / "journal", **options)

    first = check(POINTERS[kind](path))
    assert check(POINTERS[kind](path)).evaluations == 2 < first.evaluations
    with pytest.raises(ValueError, match=r"objective \(f\.compiled\.data\) differs"):
        check(POINTERS[kind](path), 2.0 * WEIGHT)
    with pytest.raises(ValueError, match=r"objective \(f\.compiled\.function"):
        check(of_address(path, "other"))


def test_checkpoints_tell_functions_of_one_library_apart_by_their_place(path, tmp_path):
    check_gradient(c_objective(of_address(path, "chain")), X, X, checkpoint=tmp_path / "journal")
    with pytest.raises(ValueError, match=r"objective \(f\.compiled\.function\.offset\) differs"):
        check_gradient(c_objective(of_address(path, "other")), X, X, checkpoint=tmp_path / "journal")


def of_address(path, name):
    """A pointer that knows no name."""
    address = ctypes.cast(getattr(ctypes.CDLL(str(path)), name), ctypes.c_void_p).value
    return ctypes.CFUNCTYPE(ctypes.c_double, DOUBLES, ctypes.c_int64, ctypes.c_void_p)(address)


def declared(library, result, *arguments):
    return ctypes.CFUNCTYPE(result, *arguments)(ctypes.cast(library.chain, ctypes.c_void_p).value)


DOUBLES = ctypes.POINTER(ctypes.c_double)
WRONG_PROTOTYPES = {
    "result forgotten": (lambda lib: lib.returns_int, "declared as int32 f.* until restype = ctypes.c_double is set"),
    "float result": (lambda lib: declared(lib, ctypes.c_float, DOUBLES, ctypes.c_int64, ctypes.c_void_p), "c_float f"),
    "no result": (lambda lib: declared(lib, None, DOUBLES, ctypes.c_int64, ctypes.c_void_p), "void f"),
    "floats": (
        lambda lib: declared(lib, ctypes.c_double, ctypes.POINTER(ctypes.c_float), ctypes.c_int64, ctypes.c_void_p),
        r"f\(c_float \*, int64, void \*\)",
    ),
    "int n": (
        lambda lib: declared(lib, ctypes.c_double, DOUBLES, ctypes.c_int, ctypes.c_void_p),
        r"f\(double \*, int32, void \*\)",
    ),
    "no data": (lambda lib: declared(lib, ctypes.c_double, DOUBLES, ctypes.c_int64), r"f\(double \*, int64\)"),
    "n by reference": (
        lambda lib: declared(lib, ctypes.c_double, DOUBLES, ctypes.POINTER(ctypes.c_int64), ctypes.c_void_p),
        r"f\(double \*, int64 \*, void \*\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_PROTOTYPES)
def test_another_prototype_is_refused(library, case):
    make, message = WRONG_PROTOTYPES[case]
    with pytest.raises(TypeError, match=message) as caught:
        c_objective(make(library))
    assert "need double f(const double *x, int64_t n, void *data)" in str(caught.value)


def test_another_prototype_is_refused_in_cffi_and_numba_too(path):
    ffi = pytest.importorskip("cffi").FFI()
    ffi.cdef("double chain(const float *x, int n);")
    with pytest.raises(TypeError, match=r"double f\(float \*, int32\)"):
        c_objective(ffi.dlopen(str(path)).chain)
    single = nb.cfunc(types.float64(types.CPointer(types.float32), types.int64, types.voidptr))(lambda x, n, data: 1.0)
    with pytest.raises(TypeError, match=r"float32 \*"):
        c_objective(single)


def test_what_is_no_pointer_to_a_function_is_refused(library):
    for value in (chain, 1234, library, nb.njit(chain), ctypes.c_double(1.0)):
        with pytest.raises(TypeError, match=f"function is {described(value)}; need a pointer to a C function"):
            c_objective(value)
    with pytest.raises(ValueError, match="function is a NULL pointer"):
        c_objective(ctypes.CFUNCTYPE(ctypes.c_double, DOUBLES, ctypes.c_int64, ctypes.c_void_p)())
    with pytest.raises(TypeError, match=r"ctypes\.PyDLL"):
        c_objective(ctypes.pythonapi.PyFloat_AsDouble)


def test_unusable_data_is_refused(library):
    with pytest.raises(ValueError, match="not C-contiguous"):
        c_objective(library.chain, data=np.ones(4)[::2])
    for data in ([1.0], 1.0, True, "text"):
        with pytest.raises(TypeError, match=f"data is {described(data)}; need an array"):
            c_objective(library.chain, data=data)


@pytest.mark.parametrize(
    ("x", "args", "message"),
    [
        (X.astype(np.float32), (), "x is an array of float32; a C objective needs an array of float64"),
        (1.0, (), "x is a scalar; a C objective needs an array of float64"),
        (X, (2.0,), r"args is not empty, but a C objective takes x alone; need none: c_objective\(f, data="),
    ],
)
def test_points_and_arguments_that_c_cannot_take_are_refused(library, x, args, message):
    with pytest.raises(TypeError, match=message):
        numerical_gradient(c_objective(library.chain), x, args=args)


@pytest.mark.parametrize("kind", [*POINTERS, "cfunc"])
def test_a_bare_pointer_is_pointed_to_the_adapter(path, kind):
    f = chain_of_numba if kind == "cfunc" else POINTERS[kind](path)
    if kind == "low_level_of_capsule":
        assert callable(f) is False
    with pytest.raises(TypeError, match=r"fastgrad\.c_objective\(f\)"):
        check_gradient(f, X, X)


# --- plain Python ----------------------------------------------------------------------------------------------


def python_chain(x, table):
    """Nothing that Numba compiles: a dict of lists."""
    return chain(x.tolist(), table["weight"][0])


TABLE = {"weight": [WEIGHT]}


def test_a_python_objective_runs_as_python_and_the_report_says_so():
    f = python_objective(python_chain)
    result = check_gradient(f, X, chain_gradient(X), args=(TABLE,))
    assert result.verdict is Verdict.MATCH
    assert (result.threads, result.executor) == (1, "python")
    assert str(result).endswith("on 1 thread (python)")
    np.testing.assert_array_equal(result.numerical_grad, expected_gradient())
    assert f(X, TABLE) == chain(X)


def test_a_bug_is_found_in_the_gradient_of_a_python_objective():
    wrong = chain_gradient(X)
    wrong[4] = -wrong[4]
    result = check_gradient(python_objective(python_chain), X, wrong, args=(TABLE,))
    assert result.verdict is Verdict.MISMATCH
    assert result.worst[0].index == (4,)


def test_a_python_objective_is_never_compiled():
    kinds = set()

    def f(x):
        kinds.add(sys._getframe(1).f_code.co_name)  # compiled code has no frames
        return float(x @ x)

    check_gradient(python_objective(f), X, 2.0 * X)
    assert kinds == {"__call__"}


def test_matrices_scalars_and_single_precision_reach_python_as_they_are():
    seen = []

    def f(x):
        seen.append((type(x), np.shape(x), np.asarray(x).dtype))
        return np.sum(np.asarray(x) ** 2)

    numerical_gradient(python_objective(f), np.ones((2, 3), np.float32))
    assert set(seen) == {(np.ndarray, (2, 3), np.dtype(np.float32))}
    seen.clear()
    assert numerical_gradient(python_objective(f), 3.0) == pytest.approx(6.0, abs=1e-6)
    assert set(seen) == {(np.float64, (), np.dtype(np.float64))}


@pytest.mark.parametrize("threads", [1, None])
def test_checks_along_directions_take_them_too(library, threads):
    for f, executor in (
        (python_objective(chain), "python"),
        (c_objective(library.chain, thread_safe=False), "serial, f is not thread-safe"),
    ):
        args = (1.0,) if executor == "python" else ()
        x = np.linspace(-1.0, 1.0, 40)
        right = chain_gradient(x, 1.0)
        result = fastgrad.check_directional(f, x, right, args=args, threads=threads)
        assert (result.verdict, result.executor) == (Verdict.MATCH, executor)
        right[7] += 5.0
        assert fastgrad.check_directional(f, x, right, args=args, threads=threads).verdict is Verdict.MISMATCH


def test_a_python_objective_runs_on_an_executor():
    with ThreadPoolExecutor(2) as pool:
        result = check_gradient(python_objective(python_chain), X, chain_gradient(X), args=(TABLE,), executor=pool)
    assert (result.verdict, result.executor) == (Verdict.MATCH, "ThreadPoolExecutor")
    np.testing.assert_array_equal(result.numerical_grad, expected_gradient())


def test_a_python_objective_travels_to_another_process():
    f = pickle.loads(pickle.dumps(python_objective(np.linalg.norm)))
    assert f(np.array([3.0, 4.0])) == 5.0


def test_an_exception_arrives_with_the_coordinate():
    def f(x):
        if x[1] > 1.0:
            raise ArithmeticError("out of the domain")
        return float(x @ x)

    with pytest.raises(ArithmeticError, match="out of the domain") as caught:
        numerical_gradient(python_objective(f), [0.0, 1.0])
    assert "x[1] =" in caught.value.__notes__[0]


def test_a_python_objective_that_writes_to_x_or_its_arguments_is_refused():
    def writes(x):
        x[0] = 0.0
        return float(x @ x)

    def writes_later(x):
        if x[0] > 0.3:
            x[1] = 0.0
        return float(x @ x)

    def scribbles(x, work):
        work[:] = x
        return float(work @ work)

    with pytest.raises(ValueError, match="f writes to x"):
        check_gradient(python_objective(writes), X, X)
    with pytest.raises(ValueError, match="f writes to x"):
        check_gradient(python_objective(writes_later), X, X)
    with pytest.raises(ValueError, match=r"f writes to args\[0\]"):
        check_gradient(python_objective(scribbles), X, X, args=(np.zeros(5),))


def test_a_random_python_objective_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="f is not deterministic"):
        numerical_gradient(python_objective(lambda x: float(x @ x + rng.normal())), X)


RETURNED = (1, "an int"), (np.ones(1), "a ndarray"), (None, "None"), (1j, "a complex")


@pytest.mark.parametrize(("value", "kind"), RETURNED)
def test_a_python_objective_that_returns_no_float_is_refused(value, kind):
    with pytest.raises(TypeError, match=f"f returns {kind}; need a float"):
        numerical_gradient(python_objective(lambda x: value), X)


def test_an_interruption_in_the_middle_of_a_python_objective_is_an_interruption():
    calls = []

    def f(x):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return float(x @ x)

    with pytest.raises(KeyboardInterrupt) as caught:
        check_gradient(python_objective(f), X, 2.0 * X)
    assert caught.value.result.verdict is Verdict.INCONCLUSIVE


def test_checkpoints_tell_python_objectives_apart(tmp_path):
    check_gradient(python_objective(lambda x: float(x @ x)), X, 2.0 * X, checkpoint=tmp_path / "journal")
    with pytest.raises(ValueError, match="objective"):
        check_gradient(python_objective(lambda x: float(x.sum())), X, 2.0 * X, checkpoint=tmp_path / "journal")


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="function is a float; need a callable"):
        python_objective(1.0)


def test_a_bare_python_function_is_refused_and_both_ways_are_named():
    with pytest.raises(TypeError, match=r"@numba\.njit, or pass fastgrad\.python_objective\(f\)"):
        check_gradient(chain, X, X)


def test_without_compilation_everything_still_works(path):
    script = f"""
import ctypes, numpy as np, fastgrad
function = ctypes.CDLL({str(path)!r}).chain
function.restype = ctypes.c_double
x = np.array({X.tolist()})
f = fastgrad.c_objective(function, data=np.array([{WEIGHT}]))
print(fastgrad.numerical_gradient(f, x).tolist())
print(fastgrad.numerical_gradient(fastgrad.python_objective(f), x).tolist())
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(expected_gradient().tolist())] * 2, done.stderr


def test_the_names_are_public():
    assert {"c_objective", "python_objective"} <= set(fastgrad.__all__)
