"""What checkpoints know an objective by: complete, the same in another process, and blind to what f changes itself."""

import collections
import ctypes
import functools
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import numba as nb
import numpy as np
import pytest
from numba.typed import Dict, List

import fastgrad
from fastgrad import python_objective
from fastgrad._identity import Identity, contents, differing

X = np.linspace(1.0, 2.0, 5)
HAZARDS = Path(__file__).parent / "hazards"


def of(f, *args):
    return Identity(f, args).settled()


def plain(k, x):
    return float(k * np.sum(x**2))


class Model:
    def __init__(self, k):
        self.k = k
        self.lock = threading.Lock()  # which nothing can be said of

    def __call__(self, x):
        return float(self.k * np.sum(x**2))

    def value(self, x):
        return float(self.k * np.sum(x**2))


class Slotted:
    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k

    def __call__(self, x):
        return float(self.k * np.sum(x**2))


@nb.experimental.jitclass([("k", nb.float64)])
class Compiled:
    def __init__(self, k):
        self.k = k


def with_global(source, **values):
    """A function f with global variables of its own."""
    namespace = {"np": np, "nb": nb, **values}
    exec(source, namespace)
    return namespace["f"]


def with_module(k):
    module = types.ModuleType("parameters")
    module.k = k
    return module


def with_helper(k):
    module = types.ModuleType("helpers")
    exec(f"import numba\n@numba.njit\ndef term(v):\n    return {k} * v\n", module.__dict__)
    return module


def with_keyword(k):
    def f(x, *, k=1.0):
        return float(k * np.sum(x**2))

    f.__kwdefaults__ = {"k": k}
    return f


def with_default(k):
    return lambda x, k=k: float(k * np.sum(x**2))


def with_closure(k):
    table = {"deep": [{"k": np.array([1.0, k])}]}
    return lambda x: float(table["deep"][0]["k"][1] * np.sum(x**2))


def decorated(k):
    @functools.wraps(plain)
    def inner(x):
        return plain(k, x)

    return functools.lru_cache(inner)


def long(k):
    array = np.ones(3000)
    array[1500] = k
    return array


class Record(ctypes.Structure):
    _fields_ = [("k", ctypes.c_double), ("where", ctypes.c_void_p)]


def record(k):
    return Record(k, 0)


# Each with k = 1 and k = 3, which differ in the part that is named.
OBJECTIVES = {
    "partial": (lambda k: functools.partial(plain, k), "f.args"),
    "partial with keyword": (lambda k: functools.partial(plain, k=k), "f.keywords['k']"),
    "callable instance": (Model, "f.k"),
    "slots": (Slotted, "f.k"),
    "bound method": (lambda k: Model(k).value, "f.self.k"),
    "closure": (with_closure, "f.table['deep'][0]['k']"),
    "default": (with_default, "f.__defaults__"),
    "keyword-only default": (with_keyword, "f.__kwdefaults__['k']"),
    "decorated": (decorated, "f.k"),
    "generator": (lambda k: with_global("def f(x): return sum(K * v for v in x)", K=k), "f.K"),
    "function inside": (lambda k: with_global("def f(x): return max([0], key=lambda _: K)", K=k), "f.K"),
    "dict": (lambda k: with_global("def f(x): return C['k'] * x[0]", C={"k": k}), "f.C['k']"),
    "module": (lambda k: with_global("@nb.njit\ndef f(x): return m.k * x[0]", m=with_module(k)), "f.m.k"),
    "helper of a module": (
        lambda k: with_global("@nb.njit\ndef f(x): return m.term(x[0])", m=with_helper(k)),
        "f.m.term.__code__",
    ),
    "vectorized": (
        lambda k: with_global("v = nb.vectorize(lambda t: K * t)\ndef f(x): return v(x).sum()", K=k),
        "f.v.K",
    ),
    "class attribute": (lambda k: with_global("def f(x): return C.k", C=type("C", (), {"k": k})), "f.C.k"),
    "method": (lambda k: type("C", (), {"__call__": lambda self, x, k=k: k})(), "f.class.__call__.__defaults__"),
    "object": (lambda k: with_global("def f(x): return o.k", o=collections.deque([k, {}])), "f.o.members[0]"),
    "array of objects": (lambda k: with_global("def f(x): return o[0]", o=np.array([k, {}])), "f.o.state[4][0]"),
    "masked array": (
        lambda k: with_global("def f(x): return o[0]", o=np.ma.masked_array([1.0], [k > 2.0])),
        "f.o.state[5]",
    ),
}
ARGUMENTS = {
    "number": (float, ""),
    "array": (long, ""),
    "dict with a long array": (lambda k: {"w": long(k)}, "['w']"),
    "list of a long array": (lambda k: [long(k)], "[0]"),
    "typed list": (lambda k: List(long(k)), ""),
    "typed list of arrays": (lambda k: List([long(k)]), "[0]"),
    "typed dict": (lambda k: filled({"a": 1.0, "b": k}), "['b']"),
    "jitclass": (Compiled, ".k"),
    "structure with a pointer": (record, ".k"),
    "pointer": (lambda k: ctypes.pointer(record(k)), ".contents.k"),
    "set": (lambda k: {"a", "b", k}, ""),
    "named tuple": (lambda k: collections.namedtuple("Pair", "a b")(1.0, k), "[1]"),
}


def filled(values):
    typed = Dict.empty(nb.types.unicode_type, nb.types.float64)
    typed.update(values)
    return typed


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_an_objective_holds_is_part_of_it(name):
    make, part = OBJECTIVES[name]
    assert differing(of(python_objective(make(1.0))), of(python_objective(make(1.0)))) == []
    assert differing(of(python_objective(make(1.0))), of(python_objective(make(3.0)))) == [part]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_arguments_hold_is_part_of_them(name):
    make, part = ARGUMENTS[name]
    assert differing(of(plain, make(1.0)), of(plain, make(1.0))) == []
    assert differing(of(plain, make(1.0)), of(plain, make(3.0))) == [f"args[0]{part}"]


def test_a_jitclass_changed_in_place_is_another():
    instance = Compiled(1.0)
    before = of(plain, instance)
    instance.k = 3.0
    assert differing(before, of(plain, instance)) == ["args[0].k"]


def test_functions_are_recognised_by_what_they_compute():
    def make(constant):
        return nb.njit(lambda x: constant * x[0])

    def outer(inner):
        return nb.njit(lambda x: inner(x) + 1.0)

    first, second = nb.njit(lambda x: x[0]), nb.njit(lambda x: x[1])
    assert of(make(2.0)) == of(make(2.0))
    assert differing(of(make(2.0)), of(make(3.0))) == ["f.constant"]
    assert of(outer(first)) == of(outer(first))
    assert differing(of(outer(first)), of(outer(second))) == ["f.inner.__code__"]
    assert differing(of(first), of(second)) == ["f.__code__"]


def test_functions_that_call_each_other_end():
    source = "def f(x): return g(x)\ndef g(x): return K if x[0] else f(x)"
    assert differing(of(with_global(source, K=1.0)), of(with_global(source, K=2.0))) == ["f.g.K"]


def test_lists_too_deep_to_follow_are_known_to_be_there():
    deep = []
    for _ in range(100_000):
        deep = [deep, {}]
    assert of(plain, deep)["args[0]"] == "nested too deep"


def test_of_very_many_parts_the_deeper_ones_are_put_together():
    def table(k):
        return {"table": {i: {"value": {i: float(i)}} for i in range(900)} | {"k": k}, "other": 1.0}

    assert len(of(plain, table(1.0))) < 1000
    assert differing(of(plain, table(1.0)), of(plain, table(3.0))) == ["args[0]['table']['k']"]


# --- what f changes itself --------------------------------------------------------------------------------------


class Counting:
    """Counts, keeps its last result, fills a cache and a log."""

    def __init__(self, k):
        self.k, self.count, self.last, self.cache, self.log = k, 0, None, {}, []

    def __call__(self, x):
        self.count += 1
        self.last = x.copy()
        self.cache[x.tobytes()] = np.sum(x**2)
        self.log.append({"x": x.copy()})
        return float(self.k * np.sum(x**2))


def counting_in_a_closure(k):
    count = 0

    def f(x):
        nonlocal count
        count += 1
        return float(k * np.sum(x**2))

    return f


@pytest.mark.parametrize("make", [Counting, counting_in_a_closure])
def test_what_f_changes_itself_does_not_count(tmp_path, make):
    f, path = python_objective(make(1.0)), tmp_path / "journal"
    first = fastgrad.check_gradient(f, X, 2.0 * X, checkpoint=path)
    assert first.passed
    for again in (f, python_objective(make(1.0))):
        assert fastgrad.check_gradient(again, X, 2.0 * X, checkpoint=path).evaluations == 2
    with pytest.raises(ValueError, match=r"another check: objective \(f\.k\) differs\. Pass"):
        fastgrad.check_gradient(python_objective(make(3.0)), X, 6.0 * X, checkpoint=path)


def test_what_f_changes_away_from_x_does_not_count_either(tmp_path):
    best, k = [np.inf], 1.0

    def f(x):
        value = float(k * np.sum(x**2))
        best[0] = min(best[0], value)
        return value

    f(X)
    for again in range(3):
        result = fastgrad.check_gradient(python_objective(f), X, 2.0 * X, checkpoint=tmp_path / "journal")
        assert (result.evaluations == 2) == (again > 0)
    size = (tmp_path / "journal").stat().st_size
    k = 3.0
    with pytest.raises(ValueError, match=r"objective \(f\.k\) differs"):
        fastgrad.check_gradient(python_objective(f), X, 6.0 * X, checkpoint=tmp_path / "journal")
    assert (tmp_path / "journal").stat().st_size == size


def test_what_cannot_be_read_is_caught_by_the_value(tmp_path):
    def make(k):
        def numbers():
            while True:
                yield k

        source = numbers()
        return python_objective(lambda x: next(source) * float(np.sum(x**2)))

    path = tmp_path / "journal"
    fastgrad.check_gradient(make(1.0), X, 2.0 * X, checkpoint=path)
    assert fastgrad.check_gradient(make(1.0), X, 2.0 * X, checkpoint=path).evaluations == 2
    with pytest.raises(ValueError, match=r"belongs to another check: f\(x\) is .* and was .*\. Pass another path"):
        fastgrad.check_gradient(make(3.0), X, 6.0 * X, checkpoint=path)


def test_the_value_of_a_noisy_objective_may_differ(tmp_path):
    rng = np.random.default_rng(0)
    f = python_objective(lambda x: float(np.sum(x**2)) + 1e-9 * rng.normal())
    for _ in range(3):
        result = fastgrad.check_gradient(f, X, 2.0 * X, 1e-3, checkpoint=tmp_path / "journal")
    assert result.evaluations < 20


# --- in another process -----------------------------------------------------------------------------------------


def test_another_process_finds_the_same():
    script = HAZARDS / "identities.py"
    processes = [
        subprocess.Popen(
            [sys.executable, script], env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True
        )
        for seed in ("1", "2")  # sets and tables are in another order
    ]
    one, two = (process.communicate(timeout=600)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert one == two
    assert "f.helper.table['weights']" in one


def test_a_few_of_many_differences_are_named(tmp_path):
    def check(k):
        table = {f"entry {i}": i * k for i in range(1, 10)}
        f = python_objective(lambda x, t: float(sum(t.values()) * np.sum(x**2)))
        return fastgrad.check_gradient(f, X, X, args=(table,), checkpoint=tmp_path / "journal")

    check(1)
    with pytest.raises(ValueError, match=r"args \(args\[0\]\['entry 1'\], .*'entry 3'\] and 6 more\) differs"):
        check(2)


def test_contents_without_f_have_names_too():
    assert set(contents({"args[0]": {"a": 1}})) == {"args[0]", "args[0]['a']"}
