"""Step rules, and the gate that lets only steps through that change x."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad import steps
from fastgrad._inputs import point_array
from fastgrad.steps import Absolute, Automatic, Relative, resolve_scaled_steps, resolve_steps

quickly = settings(derandomize=True, deadline=None, max_examples=150)

CUBE_ROOT = {np.float64: 2.0 ** (-52 / 3), np.float32: 2.0 ** (-23 / 3)}


def resolve(epsilon, x, dtype=np.float64):
    return resolve_steps(epsilon, point_array(np.asarray(x, dtype=dtype)))


def test_rules_by_hand():
    x = np.array([[0.0, -2.0], [1e-9, 300.0]])
    np.testing.assert_array_equal(Absolute(1e-6)(x), np.full((2, 2), 1e-6))
    np.testing.assert_allclose(Relative(1e-6)(x), [[1e-6, 2e-6], [1e-6, 3e-4]])
    np.testing.assert_allclose(Relative(1e-6, typical=1e-9)(x), [[1e-15, 2e-6], [1e-15, 3e-4]])
    typical = 2.0  # median of the three that are not zero
    np.testing.assert_allclose(Automatic()(x), CUBE_ROOT[np.float64] * np.array([[typical, typical], [typical, 300.0]]))
    np.testing.assert_allclose(Automatic()(np.zeros(2)), CUBE_ROOT[np.float64])
    np.testing.assert_allclose(Automatic()(np.float32([4.0])), 4.0 * CUBE_ROOT[np.float32])
    np.testing.assert_allclose(Automatic()([3, 4]), CUBE_ROOT[np.float64] * np.array([3.5, 4.0]))


@pytest.mark.parametrize("rule", [Absolute(1e-6), Relative(1e-6), Automatic()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_rules_give_positive_float64_steps_shaped_like_x(rule, dtype, shape):
    found = rule(np.full(shape, -1.5, dtype=dtype))
    assert found.dtype == np.float64
    assert found.shape == shape
    assert np.all(found > 0)


def test_rules_are_frozen_values():
    assert Relative(1e-6) == Relative(1e-6, typical=1.0) != Relative(1e-7)
    assert repr(Absolute(1e-6)) == "Absolute(epsilon=1e-06)"
    assert len({Automatic(), Automatic(), Absolute(1e-6), Absolute(1e-6)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Absolute(1e-6).epsilon = 1.0


@pytest.mark.parametrize("rule", [Absolute, Relative, lambda value: Relative(1e-6, typical=value)])
def test_rules_refuse_what_is_no_step(rule):
    for value in (0.0, -1e-6, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="need a positive, finite number"):
            rule(value)
    for value in (True, "1e-6", None):
        with pytest.raises(TypeError, match="need a positive number"):
            rule(value)


# -------------------------------------------------------------------------------------------------------- the gate


def test_default_steps():
    assert resolve(None, [1.0, -30.0, 0.0]).tolist() == [1e-7] * 3
    assert resolve(None, [1.0, -30.0, 0.0], np.float32).tolist() == [4.9e-3] * 3
    assert resolve(None, [1, 2, 3], np.int64).tolist() == [1e-7] * 3
    assert resolve(None, 3.0).tolist() == [1e-7]


def test_default_step_is_relative_where_it_would_vanish():
    found = resolve(None, [1.0, 1e12, -1e300])
    np.testing.assert_allclose(found, [1e-7, CUBE_ROOT[np.float64] * 1e12, CUBE_ROOT[np.float64] * 1e300])
    found = resolve(None, [1.0, 1e6], np.float32)
    np.testing.assert_allclose(found, [4.9e-3, CUBE_ROOT[np.float32] * 1e6])


def test_given_steps():
    assert resolve(1e-3, [1.0, 2.0]).tolist() == [1e-3, 1e-3]
    assert resolve(1, [1.0, 2.0]).tolist() == [1.0, 1.0]
    assert resolve(np.float32(0.5), [1.0, 2.0]).tolist() == [0.5, 0.5]
    assert resolve([1e-3, 1e-2], [1.0, 2.0]).tolist() == [1e-3, 1e-2]
    assert resolve([[1e-3], [1e-2]], [[1.0], [2.0]]).tolist() == [1e-3, 1e-2]
    assert resolve(Relative(1e-3), [[1.0], [200.0]]).tolist() == [1e-3, 0.2]
    assert resolve(lambda x: np.abs(x) / 4, [[1.0], [200.0]]).tolist() == [0.25, 50.0]


@pytest.mark.parametrize(
    ("epsilon", "error", "message"),
    [
        ("small", TypeError, "epsilon is 'small'; need a positive number, an array shaped like x, or a rule"),
        (True, TypeError, "need a positive number"),
        (1e-7j, TypeError, "need a positive number"),
        ([[1e-7], [1e-7, 1e-7]], TypeError, "need a positive number, an array"),
        (0.0, ValueError, "epsilon is 0.0; need a positive, finite number"),
        (-1e-7, ValueError, "epsilon is -1e-07; need a positive, finite number"),
        (float("nan"), ValueError, "epsilon is nan; need"),
        (float("inf"), ValueError, "epsilon is inf; need"),
        ([1e-7, 0.0], ValueError, "epsilon is 0.0 at x[1]; need a positive, finite number"),
        ([1e-7], ValueError, "epsilon has shape (1,); need one number or one per coordinate, (2,)"),
        (lambda x: np.array([1e-7, -1.0]), ValueError, "epsilon is -1.0 at x[1]"),
        (lambda x: "small", TypeError, "need a positive number"),
        (lambda x: None, TypeError, "epsilon returned None; need an array of steps shaped like x"),
    ],
)
def test_refused_steps(epsilon, error, message):
    with pytest.raises(error) as raised:
        resolve(epsilon, [1.0, 2.0])
    assert message in str(raised.value)


def test_a_step_that_does_not_change_x_is_refused():
    with pytest.raises(ValueError) as raised:
        resolve(1e-7, [1.0, 3.3], np.float32)
    assert "epsilon is 1e-07, but x[1] = 3.29999" in str(raised.value)
    assert "does not change when it is added" in str(raised.value)
    assert "steps.Relative(6e-6)" in str(raised.value)
    with pytest.raises(ValueError, match=r"x\[0, 1\] = 1e\+16 in float64 does not change"):
        resolve(0.5, [[1.0, 1e16]])
    with pytest.raises(ValueError, match="overflows"):
        resolve(1e308, [1.7e308])
    with pytest.raises(ValueError, match="overflows"):
        resolve(1e38, [3.4e38], np.float32)


def test_the_step_that_an_error_asks_for_is_enough():
    for x, dtype in (([1.0, 3.3], np.float32), ([1e16, 5.0], np.float64), ([0.1, 7e5], np.float32)):
        with pytest.raises(ValueError) as raised:
            resolve(1e-9, x, dtype)
        needed = float(str(raised.value).split("need at least ")[1].split(" ")[0])
        assert resolve(1.1 * needed, x, dtype).shape == (2,)


@quickly
@given(
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=4),
    st.floats(-35.0, 30.0).map(lambda power: 10.0**power),
    st.sampled_from([np.float32, np.float64]),
)
def test_every_step_let_through_moves_its_coordinate_both_ways(x, epsilon, dtype):
    point = point_array(np.array(x, dtype=dtype))
    try:
        found = resolve_steps(epsilon, point)
    except ValueError:
        moved = [(v + dtype(epsilon) != v) and (v - dtype(epsilon) != v) for v in point.flat]
        assert not all(moved)
        return
    with np.errstate(over="ignore"):
        above, below = (point.flat + found).astype(dtype), (point.flat - found).astype(dtype)
    assert np.all((above > point.flat) & (below < point.flat) & np.isfinite(above) & np.isfinite(below))
    assert found.tolist() == [epsilon] * point.size


def test_the_module_documents_its_defaults():
    assert steps.DEFAULT_EPSILON == {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 4.9e-3}


def test_steps_for_many_coordinates_at_once_follow_their_sizes():
    def scaled(x, dtype=np.float64, epsilon=None):
        return resolve_scaled_steps(epsilon, point_array(np.asarray(x, dtype=dtype))).tolist()

    assert scaled([1.0, 1.0, -1.0]) == [2e-7, 2e-7, 2e-7]
    assert np.allclose(scaled([0.0, -1e-8, 2e-8, 4e-8]), [4e-15, 4e-15, 4e-15, 8e-15], rtol=1e-12)
    assert scaled([0.0, 0.0]) == [2e-7, 2e-7]
    assert scaled([1.0, 1.0], np.float32) == [4.9e-3, 4.9e-3]
    assert scaled([3.0, 3.0], epsilon=1e-5) == [1e-5, 1e-5]
    assert min(scaled([5e-324, 5e-324])) > 0.0 and min(scaled([1e-45, 1e-45], np.float32)) > 0.0
