"""The result object: a tuple of two, frozen, printable in 80 columns, plain data on request."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
from dataclasses import replace

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad import Verdict, check_gradient

WIDTH = 80
LONG = "a_name_of_the_first_block_of_parameters_that_goes_on_until_no_line_can_hold_it_any_more"


@nb.njit
def objective(x, distance, scale):
    """Squares; with a distance, the distance from it instead, which has a kink there."""
    total = 0.0
    for value in x.flat:
        total += value * value if distance == 0.0 else abs(value - distance) + 0.25 * value
    return scale * total


@nb.njit
def square(x):
    return x * x


def check(x, gradient, distance=0.0, scale=1.0, **options):
    return check_gradient(objective, x, gradient, args=(distance, scale), **options)


X = np.array([1.0, -2.5, 3e-3, 4.0, 5.5, 6.0])


@pytest.fixture(scope="module")
def results():
    """One of every kind."""
    broken = 2 * X
    broken[[1, 3]] = math.nan, math.inf
    return {
        "match": check(X, 2 * X),
        "wrong sign": check(X, -2 * X),
        "one wrong": check(X, 2.0 * X * [1, 1, 1, 1.001, 1, 1]),
        "kinks": check(X, [1.0, -0.75, -0.75, 1.25, 1.25, 1.25], distance=1.0, blocks={"first": 1, "rest": 5}),
        "not finite": check(X, broken, blocks={"W": (2, 2), "b": 2}),
        "all NaN": check(X, np.full(6, math.nan)),
        "f is NaN": check(X, 2 * X, scale=math.nan),
        "huge": check(X * 1e150, 2 * X * 1e152, scale=100.0, epsilon=1e140),
        "tiny": check(X * 1e-150, 2.002 * X * 1e-150, epsilon=1e-157),
        "matrix": check(X.reshape(2, 3), 2 * X.reshape(2, 3)),
        "scalar": check_gradient(square, -3.0, -6.0),
        "float32": check(X.astype(np.float32), 2 * X.astype(np.float32)),
        "long names": check(X, 3 * X, blocks={LONG: (2, 2), "b": 2}),
        "automatic": check(X, 2 * X, epsilon=fastgrad.steps.Automatic()),
        "sampled": check(X, 2 * X, indices=[0, 3]),
        "stationary": check(0 * X, 0 * X),
    }


KINDS = (
    *("match", "wrong sign", "one wrong", "kinks", "not finite", "all NaN", "f is NaN", "huge", "tiny", "matrix"),
    *("scalar", "float32", "long names", "automatic", "sampled", "stationary"),
)


@pytest.fixture(params=KINDS)
def result(request, results):
    return results[request.param]


def test_the_kinds_are_what_they_are_called(results):
    assert set(results) == set(KINDS)
    verdicts = {name: result.verdict for name, result in results.items()}
    wrong = {"wrong sign", "one wrong", "not finite", "all NaN", "tiny", "long names"}
    right = {"match", "huge", "matrix", "scalar", "float32", "automatic"}
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.MISMATCH} == wrong
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.MATCH} == right


# ------------------------------------------------------------------------------------------------- a tuple of two


def test_it_is_a_tuple_of_two(result):
    assert isinstance(result, tuple)
    assert len(result) == 2
    numerical, error = result
    assert numerical is result.numerical_grad is result[0]
    assert error is result.relative_error is result[1]
    assert type(error) is float


def test_it_is_frozen(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.verdict = Verdict.MATCH
    with pytest.raises(dataclasses.FrozenInstanceError):
        del result.reason
    with pytest.raises(TypeError):
        result[1] = 0.0


def test_passed_is_for_matches_only(result):
    assert result.passed is (result.verdict is Verdict.MATCH)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
def test_copies_are_whole(result, clone):
    other = clone(result)
    assert type(other) is fastgrad.GradientCheck
    assert other is not result
    assert other[0] is other.numerical_grad
    assert other.verdict is result.verdict
    assert str(other) == str(result)
    assert json.dumps(other.to_dict()) == json.dumps(result.to_dict())
    assert all(a is b for a, b in zip(other.verdicts.flat, result.verdicts.flat, strict=True))


def test_arrays_have_the_shape_of_x(results):
    for name, shape in (("matrix", (2, 3)), ("scalar", ()), ("float32", (6,))):
        found = results[name]
        for array in (
            *(found.numerical_grad, found.analytical_grad, found.step, found.estimate),
            *(found.uncertainty, found.resolution, found.verdicts, found.flags),
        ):
            assert np.shape(array) == shape
    assert results["float32"].numerical_grad.dtype == np.float32
    assert results["float32"].estimate.dtype == np.float64
    assert results["matrix"].worst[0].name.startswith("x[")
    assert results["scalar"].worst[0].name == "x"
    assert results["scalar"].worst[0].index == ()


def test_rows_say_what_the_arrays_say(result):
    assert len(result.worst) == min(5, round(result.coverage * result.numerical_grad.size))
    for row in result.worst:
        assert row.verdict is result.verdicts[row.index]
        assert row.uncertainty == result.uncertainty[row.index]
        np.testing.assert_equal(row.numerical, float(result.estimate[row.index]))
        np.testing.assert_equal(row.analytical, float(result.analytical_grad[row.index]))
        np.testing.assert_equal(row.absolute, abs(row.numerical - row.analytical))


def test_resolution_is_the_smallest_rtol_that_would_do(results):
    found = results["one wrong"]
    gap = np.abs(found.estimate - found.analytical_grad) + found.uncertainty
    np.testing.assert_allclose(found.resolution, gap / np.maximum(abs(found.estimate), abs(found.analytical_grad)))
    assert 0.9e-3 < found.resolution[3] < 1.1e-3
    generous = check(X, found.analytical_grad, rtol=1.01 * float(found.resolution.max()))
    assert generous.verdict is Verdict.MATCH


def test_components_that_are_not_numbers(results):
    found = results["not finite"]
    assert [row.name for row in found.worst[:2]] == ["W[0, 1]", "W[1, 1]"]
    assert found.verdicts[[1, 3]].tolist() == [Verdict.MISMATCH] * 2
    assert set(found.verdicts[[0, 2, 4, 5]]) == {Verdict.MATCH}
    assert math.isnan(found.relative_error)
    assert not found.passed
    assert "nan" in str(found)
    assert math.isnan(results["all NaN"].relative_error)
    assert math.isnan(results["f is NaN"].relative_error)
    assert math.isnan(results["f is NaN"].max_absolute)
    assert "f(x) is nan" in results["f is NaN"].reason


def test_kinks_are_listed(results):
    (kink,) = results["kinks"].kinks
    assert (kink.name, kink.index, kink.analytical_between) == ("first[0]", (0,), True)
    assert kink.slopes == pytest.approx((-0.75, 1.25))


# -------------------------------------------------------------------------------------------------------- printing


def test_print_fits_80_columns(result):
    lines = str(result).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert not any(line != line.rstrip() for line in lines)
    assert str(result).isascii()
    assert lines[0].startswith(f"{result.verdict.name}: ")
    assert f"{result.evaluations} evaluations of f in" in lines[-1]


def test_repr_is_one_line(result):
    assert "\n" not in repr(result)
    assert result.verdict.value in repr(result)


EXTREME = (0.0, -1.23456789e-300, 1.23456789e300, -5e-324, math.nan, math.inf, -math.inf, 123456.7, 1e16, -1 / 3)


@pytest.mark.parametrize("value", EXTREME)
@pytest.mark.parametrize("name", ["x", "x[1234567, 1234567]", LONG, LONG * 3 + "[7, 1234]", "two words", "W1[0, 4]"])
def test_print_fits_80_columns_whatever_the_numbers(results, value, name):
    numbers = {key: value for key in ("x", "step", "analytical", "numerical", "uncertainty", "absolute", "relative")}
    base = results["match"]
    rows = tuple(replace(row, name=name, **numbers) for row in base.worst)
    norms = replace(base.norms, difference=value, analytical=value, numerical=value, relative_error=value)
    changed = replace(
        *(base,),
        **{"worst": rows, "norms": norms, "relative_error": value, "max_absolute": value, "mean_absolute": value},
        **{"elapsed": 1e7 / 3, "evaluations": 10**15, "threads": 128, "executor": "inside f", "reason": name},
    )
    lines = str(changed).splitlines()
    assert max(map(len, lines)) <= WIDTH
    # Where a name must be cut, it keeps its end, which tells the entries of a block apart.
    assert any(line.lstrip().startswith(name[-4:]) or name[-6:] in line for line in lines)


def test_the_table_lines_up(results):
    lines = str(results["wrong sign"]).splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("worst 5 of 6"))
    table = lines[start + 1 : start + 7]
    assert table[0].split() == ["component", "x", "step", "analytical", "numerical", "+-", "absolute", "relative"]
    assert len({len(line) for line in table}) == 1
    assert [line.split()[0] for line in table[1:]] == [row.name for row in results["wrong sign"].worst]


def test_print_counts_the_rows_it_shows(results):
    assert "worst 5 of 6 components (5 right)" in str(results["match"])
    assert "worst 5 of 6 components (1 wrong, 4 right)" in str(results["one wrong"])
    assert "worst 1 of 1 components (1 right)" in str(results["scalar"])
    assert "worst 2 of 6 components (2 right)" in str(results["sampled"])


def test_print_names_the_cause(results):
    assert "Cause: every entry has the wrong sign." in str(results["wrong sign"])
    assert "Cause" not in str(results["match"])


def test_a_relative_error_that_the_verdict_does_not_share_is_explained():
    note = "differences at the given step, spoilt"
    spoilt = check(X * 1e-3, 2e-3 * X, scale=1e-9, epsilon=100.0)
    assert note not in str(spoilt)  # squares: no truncation at any step
    coarse = check_gradient(objective, np.full(20, 1.5), np.full(20, 1.25), epsilon=1.0, args=(1.0, 1.0))
    assert coarse.verdict is Verdict.MATCH
    assert coarse.relative_error > 0.1
    assert note in " ".join(str(coarse).split())


# ------------------------------------------------------------------------------------------------------- plain data


def plain(data):
    """Whether nothing but the types of JSON is in there."""
    if isinstance(data, dict):
        return all(type(key) is str and plain(value) for key, value in data.items())
    if isinstance(data, list):
        return all(map(plain, data))
    return data is None or type(data) in (str, int, float, bool)


def test_to_dict_is_plain_data(result):
    data = result.to_dict()
    assert plain(data)
    text = json.dumps(data)
    back = json.loads(text)
    assert json.dumps(back) == text
    assert back["verdict"] == result.verdict.value
    assert back["reason"] == result.reason
    assert back["shape"] == list(np.shape(result.numerical_grad))
    assert len(back["verdicts"]) == result.numerical_grad.size
    assert len(back["worst"]) == len(result.worst)
    np.testing.assert_array_equal(np.array(back["numerical_grad"]), result.numerical_grad.astype(np.float64))
    np.testing.assert_array_equal(np.array(back["uncertainty"]), result.uncertainty)


def test_to_dict_leaves_no_field_out(results):
    """Every attribute is there, under its name."""
    names = {field.name for field in dataclasses.fields(fastgrad.GradientCheck)}
    assert names - {"layout"} | {"shape", "blocks"} <= set(results["match"].to_dict())


def test_to_dict_holds_what_was_found(results):
    assert results["kinks"].to_dict()["kinks"][0]["name"] == "first[0]"
    assert results["wrong sign"].to_dict()["causes"][0]["kind"] == "sign"
    assert results["match"].to_dict()["norms"]["difference"] == results["match"].norms.difference
