"""What rng= means, the same in every check: a number repeats the draw, a generator goes on, None draws anew."""

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad._options import seed_of

X = np.linspace(0.5, 1.5, 40)
V = np.linspace(-1.0, 1.0, 40)


@nb.njit
def f(x):
    return np.sum(np.exp(x))


@nb.njit
def F(x):
    return np.exp(x)


DRAWN = {
    "check_gradient": lambda rng: np.isnan(fastgrad.check_gradient(f, X, np.exp, sample=10, rng=rng).estimate).tolist(),
    "check_directional": lambda rng: fastgrad.check_directional(f, X, np.exp, rng=rng).smallest_error,
    "check_line_integral": lambda rng: fastgrad.check_line_integral(f, X, np.exp, rng=rng).segments[0].integral,
    "taylor_test": lambda rng: fastgrad.taylor_test(f, X, np.exp, rng=rng).lines[0].slope.analytical,
    "check_jvp": lambda rng: fastgrad.check_jvp(F, X, lambda x, v: np.exp(x) * v, rng=rng).products.directions.tolist(),
    "check_vjp": lambda rng: fastgrad.check_vjp(F, X, lambda x, w: np.exp(x) * w, rng=rng).pairs[0].v.tolist(),
    "check_hvp": lambda rng: fastgrad.check_hvp(F, X, lambda x, v: np.exp(x) * v, rng=rng).products.directions.tolist(),
}


@pytest.mark.parametrize("check", DRAWN)
def test_what_is_drawn_depends_on_rng_alike_in_every_check(check):
    drawn = DRAWN[check]
    assert drawn(3) == drawn(3) != drawn(4)
    assert drawn(None) != drawn(None)
    generator = np.random.default_rng(3)
    assert drawn(generator) != drawn(generator)


def test_without_rng_every_call_draws_the_same():
    first, second = (fastgrad.check_jvp(F, X, lambda x, v: np.exp(x) * v).products.directions for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_seed_is_a_number_a_generator_or_drawn_anew():
    assert seed_of(7) == seed_of(np.int64(7)) == 7
    assert seed_of(np.random.default_rng(1)) == seed_of(np.random.default_rng(1))
    assert len({seed_of(None) for _ in range(5)}) == 5
