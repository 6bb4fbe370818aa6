"""Parameters in named pieces: every check names them, results are nested alike, and f may take the pieces."""

from __future__ import annotations

import concurrent.futures
import json
import pickle
from typing import NamedTuple

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad import Verdict, pieces, unpacker

RNG = np.random.default_rng(5)
NETWORK = {
    "layers": [
        {"W": RNG.normal(size=(5, 4)), "b": RNG.normal(size=5)},
        {"W": RNG.normal(size=(3, 5)), "b": RNG.normal(size=3)},
    ],
    "head": {"w": RNG.normal(size=3), "offset": 0.3},
}
SAMPLES = RNG.normal(size=(10, 4))
LABELS = (SAMPLES.sum(axis=1) > 0.0).astype(float)
DATA = (SAMPLES, LABELS)


@nb.njit
def loss(p, samples, labels):
    """Mean squared error of a tanh network that takes its parameters in pieces."""
    a = np.tanh(samples @ p.layers[0].W.T + p.layers[0].b)
    a = np.tanh(a @ p.layers[1].W.T + p.layers[1].b)
    return 0.5 * ((a @ p.head.w + p.head.offset - labels) ** 2).mean()


adapted_loss = pieces(loss, like=NETWORK)  # of all tests, to be compiled once


def backpropagated(p, samples, labels, sign=1.0):
    """Its gradient by hand, nested like the parameters."""
    first = np.tanh(samples @ p.layers[0].W.T + p.layers[0].b)
    second = np.tanh(first @ p.layers[1].W.T + p.layers[1].b)
    error = (second @ p.head.w + p.head.offset - labels) / len(labels)
    d2 = np.outer(error, p.head.w) * (1.0 - second**2)
    d1 = sign * (d2 @ p.layers[1].W) * (1.0 - first**2)
    return {
        "layers": [{"W": d1.T @ samples, "b": d1.sum(axis=0)}, {"W": d2.T @ first, "b": d2.sum(axis=0)}],
        "head": {"w": second.T @ error, "offset": error.sum()},
    }


def with_bug(p, samples, labels):
    return backpropagated(p, samples, labels, sign=-1.0)


@nb.njit
def squares(x, weight):
    return weight * (x * x).sum()


X = {"W": np.arange(1.0, 7.0).reshape(2, 3), "scale": 0.5, "deep": {"b": np.array([-1.0, 2.0])}}
FLAT = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.5, -1.0, 2.0])


def doubled(x, factor=2.0):
    return {"W": factor * x["W"], "scale": factor * x["scale"], "deep": {"b": factor * x["deep"]["b"]}}


# --- a real objective ----------------------------------------------------------------------------------------------


def test_a_network_in_pieces_matches_and_its_numerical_gradient_is_nested_alike():
    gradient = pieces(backpropagated, like=NETWORK)
    result = fastgrad.check_gradient(adapted_loss, NETWORK, gradient, args=DATA)
    assert result.verdict is Verdict.MATCH
    numerical = result.numerical_grad
    assert numerical is result[0]
    assert [numerical["layers"][k]["W"].shape for k in (0, 1)] == [(5, 4), (3, 5)]
    assert isinstance(numerical["head"]["offset"], float)
    expected = backpropagated(unpacker(NETWORK)(fastgrad_flat(NETWORK)), *DATA)
    np.testing.assert_allclose(numerical["layers"][1]["W"], expected["layers"][1]["W"], atol=1e-7)
    assert fastgrad.relative_error(numerical, expected) == result.relative_error


@pytest.mark.parametrize("check", [fastgrad.check_gradient, fastgrad.check_directional, fastgrad.check_line_integral])
def test_a_wrong_layer_of_a_network_is_found_and_named(check):
    result = check(adapted_loss, NETWORK, pieces(with_bug, like=NETWORK), args=DATA)
    assert result.verdict is Verdict.MISMATCH
    rows = result.worst if check is fastgrad.check_gradient else result.components
    accused = [row.name for row in rows if row.verdict is Verdict.MISMATCH]
    accused += [cause.block for cause in result.causes if cause.block is not None]
    assert accused and all(name.startswith("layers[0].") for name in accused)
    assert "layers[0]." in str(result)


def fastgrad_flat(nested):
    """The flat vector, the slow way."""
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, list):
        return np.concatenate([fastgrad_flat(part) for part in nested])
    return np.ravel(nested)


# --- what checks make of named parts -------------------------------------------------------------------------------


def test_named_parts_are_the_same_as_a_flat_vector_with_blocks():
    wrong = doubled(X)
    wrong["W"][1, 2] = 0.0
    nested = fastgrad.check_gradient(squares, X, wrong, args=(1.0,))
    blocks = {"W": (2, 3), "scale": (), "deep.b": 2}
    flat = fastgrad.check_gradient(squares, FLAT, fastgrad_flat(wrong), args=(1.0,), blocks=blocks)
    assert nested.reason == flat.reason and "W[1, 2]" in nested.reason
    assert nested.causes == flat.causes
    for name in ("numerical_grad", "analytical_grad", "step", "estimate", "uncertainty", "verdicts", "flags"):
        np.testing.assert_array_equal(fastgrad_flat(getattr(nested, name)), getattr(flat, name))
    assert nested.worst == flat.worst


def test_the_plain_data_of_named_parts_is_json():
    plain = json.loads(json.dumps(fastgrad.check_gradient(squares, X, doubled(X), args=(1.0,)).to_dict()))
    assert plain["shape"] == [9]
    assert plain["blocks"][2] == {"name": "deep.b", "start": 7, "shape": [2]}
    assert plain["analytical_grad"] == {"W": [[2, 4, 6], [8, 10, 12]], "scale": 1.0, "deep": {"b": [-2.0, 4.0]}}


class Model(NamedTuple):
    W: np.ndarray
    b: np.ndarray


def test_named_tuples_come_back_as_themselves():
    x = Model(np.ones((2, 2)), np.arange(3.0))
    result = fastgrad.check_gradient(squares, x, Model(2 * x.W, 2 * x.b), args=(1.0,))
    assert result.passed and isinstance(result.numerical_grad, Model)
    assert result.numerical_grad.W.shape == (2, 2)
    assert result.to_dict()["analytical_grad"] == {"W": [[2.0, 2.0], [2.0, 2.0]], "b": [0.0, 2.0, 4.0]}
    assert isinstance(unpacker(x)(np.arange(7.0)), Model)


EMPTY = {"a": np.array([1.0, 2.0]), "e": np.zeros((0, 3)), "l": [], "d": {}, "b": 3.0}


def test_empty_parts_come_back_as_they_were_and_are_not_named():
    result = fastgrad.check_gradient(pieces(sum_of_squares, like=EMPTY), EMPTY, {**EMPTY, "a": [2.0, 4.0], "b": -6.0})
    assert result.verdict is Verdict.MISMATCH
    assert sorted(row.name for row in result.worst) == ["a[0]", "a[1]", "b"]
    back = result.numerical_grad
    assert list(back) == list(EMPTY)
    assert (back["e"].shape, len(back["l"]), back["d"]) == ((0, 3), 0, {})
    np.testing.assert_allclose(back["a"], [2.0, 4.0], rtol=1e-6)
    assert [block.name for block in result.layout.blocks] == ["a", "b"]
    json.dumps(result.to_dict())


@nb.njit
def sum_of_squares(p):
    return (p.a**2).sum() + p.b**2 + p.e.size + p.e.sum()


def test_empty_parts_have_no_precision():
    x = {"a": np.ones(2, np.float32), "e": []}
    assert fastgrad.numerical_gradient(squares, x, args=(1.0,))["a"].dtype == np.float32


def test_precision_is_single_only_if_all_parts_are():
    single = {"a": np.ones(2, np.float32), "b": np.ones(1, np.float32)}
    assert fastgrad.numerical_gradient(squares, single, args=(1.0,))["a"].dtype == np.float32
    mixed = {"a": np.ones(2, np.float32), "b": [1, 2]}
    assert fastgrad.numerical_gradient(squares, mixed, args=(1.0,))["a"].dtype == np.float64


def test_steps_bounds_and_scales_follow_the_names():
    epsilon = {"W": 1e-6, "scale": 1e-5, "deep": {"b": np.array([1e-4, 1e-3])}}
    lower = {"W": -np.inf, "scale": 0.5, "deep": {"b": -np.inf}}
    result = fastgrad.check_gradient(squares, X, doubled(X), epsilon, args=(1.0,), bounds=(lower, None))
    assert result.passed
    np.testing.assert_allclose(result.step["deep"]["b"], [1e-4, 1e-3])
    np.testing.assert_allclose(result.step["W"], 1e-6)
    scale = {"W": 1.0, "scale": 0.1, "deep": {"b": 2.0}}
    assert fastgrad.check_directional(squares, X, doubled(X), args=(1.0,), scale=scale).scale == "given scale"


def test_a_sweep_over_named_parts():
    sweep = fastgrad.sweep_epsilon(squares, X, doubled(X), args=(1.0,))
    assert sweep.verdict is Verdict.MATCH
    assert np.nanmin(sweep.relative_error) < 1e-9
    assert "gradient is zero" in fastgrad.sweep_epsilon(squares, X, doubled(X, 0.0), args=(1.0,)).reason


def test_a_taylor_test_over_named_parts():
    assert fastgrad.taylor_test(squares, X, doubled(X), args=(1.0,)).verdict is Verdict.MATCH
    assert fastgrad.taylor_test(squares, X, doubled(X, -2.0), args=(1.0,), direction=X).verdict is Verdict.MISMATCH


def test_an_exception_names_the_part():
    @nb.njit
    def picky(x):
        if x[8] > 2.0:
            raise ValueError("too far")
        return x.sum()

    with pytest.raises(ValueError) as caught:
        fastgrad.numerical_gradient(picky, X)
    assert "deep.b[1] = 2.0" in caught.value.__notes__[0]


def test_results_of_named_parts_travel_between_processes():
    result = fastgrad.check_gradient(squares, X, doubled(X), args=(1.0,))
    again = pickle.loads(pickle.dumps(result))
    assert again.layout == result.layout
    np.testing.assert_array_equal(again.numerical_grad["W"], result.numerical_grad["W"])


# --- what does not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ({"W": 0, "scale": 0}, "analytical_grad lacks deep; need the names of x: W, scale, deep."),
        (
            {**doubled(X), "V": 1},
            "analytical_grad has V, which x has not; need the names of x: W, scale, deep.",
        ),
        (
            {**doubled(X), "deep": {"c": 1}},
            "analytical_grad at deep lacks b and has c, which x has not; need the names of x: b.",
        ),
        ({**doubled(X), "W": X["W"].T}, "analytical_grad at W has shape (3, 2); need (2, 3), one entry per coordinate"),
        ({**doubled(X), "deep": np.ones(2)}, "analytical_grad at deep is a ndarray of shape (2,); need a dict with b"),
        ([1.0, 2.0], "analytical_grad is a list of 2; need a dict with W, scale, deep"),
        (np.ones(8), "analytical_grad has shape (8,); need (9,)"),
        (lambda x, weight: {"W": 0}, "the result of analytical_grad lacks scale, deep"),
    ],
)
def test_a_gradient_that_does_not_fit_is_one_clear_line(gradient, message):
    with pytest.raises(ValueError) as caught:
        fastgrad.check_gradient(squares, X, gradient, args=(1.0,))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def endless_dict():
    parts = {"a": 1.0}
    parts["b"] = parts
    return parts


def endless_list():
    parts = []
    parts.append(parts)
    return {"a": parts}


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        ({}, ValueError, "x holds no number; need at least one coordinate to differentiate in."),
        ({"a": [], "b": {}, "c": np.ones((0, 3))}, ValueError, "x holds no number"),
        (endless_dict(), ValueError, "x is nested without end; need parameters of which no part contains itself."),
        (endless_list(), ValueError, "x is nested without end; need parameters of which no part contains itself."),
        ({"a": "text"}, TypeError, "a has dtype <U4; need float64, float32 or integers: pass numbers."),
        ({"a": {"b": [1.0, np.nan]}}, ValueError, "a.b[1] is nan; need finite coordinates"),
        ({"a": {1: 2.0}}, TypeError, "a has the key 1; need names: strings."),
        ({"a.b": 1.0, "a": {"b": 1.0}}, ValueError, "two parts of x are called a.b; need a name of its own for each."),
    ],
)
def test_parameters_that_cannot_be_used(x, kind, message):
    with pytest.raises(kind) as caught:
        fastgrad.numerical_gradient(squares, x, args=(1.0,))
    assert str(caught.value).startswith(message)


def test_names_on_one_side_only():
    with pytest.raises(TypeError, match="analytical_grad has named parts, but x is an array; need both of one kind"):
        fastgrad.check_gradient(squares, FLAT, doubled(X), args=(1.0,))
    with pytest.raises(TypeError, match="epsilon has named parts, but x is an array"):
        fastgrad.numerical_gradient(squares, FLAT, {"W": 1e-6}, args=(1.0,))
    with pytest.raises(ValueError, match="blocks is given, but x has named parts already"):
        fastgrad.check_gradient(squares, X, doubled(X), args=(1.0,), blocks={"W": 9})
    with pytest.raises(ValueError, match=r"epsilon at W has shape \(3,\); need one number or shape \(2, 3\)"):
        fastgrad.numerical_gradient(squares, X, {**doubled(X), "W": np.ones(3)}, args=(1.0,))
    with pytest.raises(TypeError, match="like has named parts; need an array"):
        fastgrad.GradientChecker(squares, like=X, args=(1.0,))


# --- the adapter ---------------------------------------------------------------------------------------------------


def test_pieces_are_views_of_the_flat_vector():
    flat = FLAT.copy()
    parts = unpacker(X)(flat)
    np.testing.assert_array_equal(parts.W, X["W"])
    assert parts.scale == 0.5
    parts.deep.b[0] = 7.0
    assert flat[7] == 7.0


def test_a_compiled_gradient_returns_its_pieces_as_a_tuple():
    @nb.njit
    def f(p, weight):
        return weight * ((p.W**2).sum() + p.scale**2 + (p.deep.b**2).sum())

    @nb.njit
    def gradient(p, weight):
        return 2.0 * weight * p.W, 2.0 * weight * p.scale, (2.0 * weight * p.deep.b,)

    adapted = pieces(f, like=X)
    assert isinstance(adapted, type(f))
    assert fastgrad.check_gradient(adapted, X, pieces(gradient, like=X), args=(3.0,)).passed
    assert fastgrad.check_gradient(adapted, X, fastgrad_flat(doubled(X, 6.0)), args=(3.0,)).passed


def test_parallel_loops_inside_are_seen_through_the_adapter():
    @nb.njit(parallel=True)
    def f(p):
        total = 0.0
        for i in nb.prange(p.b.size):
            total += p.b[i] ** 2
        return total

    x = {"b": np.arange(20.0)}
    result = fastgrad.check_gradient(pieces(f, like=x), x, {"b": 2 * x["b"]})
    assert (result.verdict, result.executor) == (Verdict.MATCH, "inside f")


def test_a_python_objective_in_pieces():
    def f(p):
        return float(np.sum(p.W**2) + p.scale**2 + np.sum(p.deep.b**2))

    assert fastgrad.check_gradient(fastgrad.python_objective(pieces(f, like=X)), X, doubled(X)).passed


def test_an_adapted_objective_runs_in_other_threads():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        gradient = pieces(backpropagated, like=NETWORK)
        assert fastgrad.check_gradient(adapted_loss, NETWORK, gradient, args=DATA, executor=pool).passed


def test_a_checkpoint_knows_the_objective_behind_the_adapter(tmp_path):
    @nb.njit
    def other(p, samples, labels):
        return loss(p, samples, labels) + p.head.offset

    gradient, journal = pieces(backpropagated, like=NETWORK), tmp_path / "journal"
    first = fastgrad.check_gradient(adapted_loss, NETWORK, gradient, args=DATA, checkpoint=journal)
    again = fastgrad.check_gradient(pieces(loss, like=NETWORK), NETWORK, gradient, args=DATA, checkpoint=journal)
    assert again.passed and again.evaluations < first.evaluations
    with pytest.raises(ValueError, match=r"objective \(.*loss\) differs"):
        fastgrad.check_gradient(pieces(other, like=NETWORK), NETWORK, gradient, args=DATA, checkpoint=journal)


def test_an_adapted_objective_travels_between_processes():
    again = pickle.loads(pickle.dumps(adapted_loss))
    flat = fastgrad_flat(NETWORK)
    assert again(flat, *DATA) == adapted_loss(flat, *DATA)


@pytest.mark.parametrize(
    ("f", "like", "kind", "message"),
    [
        (loss, np.ones(3), TypeError, "like is a ndarray; need named arrays: a dict, or a named tuple."),
        (loss, {"a b": 1.0}, ValueError, "'a b' cannot be an attribute, p.a b; need another name"),
        (loss, {"lambda": 1.0}, ValueError, "'lambda' cannot be an attribute"),
        (loss, {"_a": 1.0}, ValueError, "'_a' cannot be an attribute"),
        (3.0, X, TypeError, "f is a float; need a function compiled with @numba.njit, or a Python function"),
    ],
)
def test_what_cannot_be_adapted(f, like, kind, message):
    with pytest.raises(kind) as caught:
        pieces(f, like=like)
    assert str(caught.value).startswith(message)


def test_an_adapted_objective_with_too_few_arguments():
    with pytest.raises(TypeError, match="f does not compile for arguments"):
        fastgrad.check_gradient(adapted_loss, NETWORK, NETWORK)
