"""Objectives made to fool a checker: right gradients are never accused, wrong ones never pass.

Solver tolerances, tables, float32 inside, offsets, cancellation, oscillations far finer than x, saturation, barriers,
domains of 1e-12 to 1e12, values of 1e200 and 1e-250. What cannot be decided may be inconclusive, in either case.
"""

# Numba draws from its own generator, whose seed a compiled function sets.
# ruff: noqa: NPY002

from __future__ import annotations

import math

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad import Verdict
from fastgrad.steps import Automatic

MATCH, MISMATCH = Verdict.MATCH, Verdict.MISMATCH
CASES = {}


def case(name):
    def keep(make):
        CASES[name] = make
        return make

    return keep


@nb.njit
def bisected(x):
    s = np.sum(x * x)
    lo = 0.0
    hi = 10.0
    while hi - lo > 1e-06:
        m = 0.5 * (lo + hi)
        if m**3 + m > s:
            hi = m
        else:
            lo = m
    return 0.5 * (lo + hi)


@case("bisection 1e-6")
def make_bisection_1e_6(rng):
    x = rng.uniform(0.3, 1, 12)
    s = np.sum(x * x)
    y = np.roots([1, 0, 1, -s])
    y = y[abs(y.imag) < 1e-09].real[0]
    return bisected, x, 2 * x / (3 * y * y + 1)


@nb.njit
def table(x):
    t = 0.0
    for i in range(x.size):
        u = x[i] * 1000.0
        k = math.floor(u)
        w = u - k
        a = math.sin(k / 1000.0 * 3)
        b = math.sin((k + 1) / 1000.0 * 3)
        t += a * (1 - w) + b * w
    return t


@case("linear table own slope")
def make_linear_table_own_slope(rng):
    x = rng.uniform(0.1, 2, 20)
    k = np.floor(x * 1000)
    return table, x, (np.sin((k + 1) / 1000 * 3) - np.sin(k / 1000 * 3)) * 1000


@nb.njit
def in_single_precision(x):
    t = np.float32(0)
    for i in range(x.size):
        t += np.float32(math.exp(np.float32(x[i]))) * np.float32(0.5)
    return np.float64(t)


@case("float32 inside")
def make_float32_inside(rng):
    x = rng.uniform(-1, 1, 30)
    return in_single_precision, x, 0.5 * np.exp(x)


@nb.njit
def with_offset(x):
    return 1e10 + np.sum(np.sin(x))


@case("offset 1e10")
def make_offset_1e10(rng):
    x = rng.uniform(-1, 1, 30)
    return with_offset, x, np.cos(x)


@nb.njit
def of_many_scales(x, s):
    t = 0.0
    for i in range(x.size - 1):
        t += math.sin(x[i] / s[i]) * math.exp(0.3 * x[i + 1] / s[i + 1])
    return t


@case("mixed scales 1e-12..1e12")
def make_mixed_scales_1e_12_1e12(rng):
    n = 40
    s = 10.0 ** rng.uniform(-12, 12, n)
    u = rng.uniform(0.2, 2, n)
    x = u * s
    g = np.zeros(n)
    for i in range(n - 1):
        g[i] += np.cos(u[i]) * np.exp(0.3 * u[i + 1]) / s[i]
        g[i + 1] += 0.3 * np.sin(u[i]) * np.exp(0.3 * u[i + 1]) / s[i + 1]
    return of_many_scales, x, g, s


@nb.njit
def fast_sine(x):
    t = 0.0
    for i in range(x.size):
        t += math.sin(1e4 * x[i]) + x[i] ** 2
    return t


@case("sin(1e4 x)")
def make_sin_1e4_x(rng):
    x = rng.uniform(-2, 2, 20)
    return fast_sine, x, 1e4 * np.cos(1e4 * x) + 2 * x


@nb.njit
def faint_fast_sine(x):
    t = 0.0
    for i in range(x.size):
        t += 1e-06 * math.sin(1e6 * x[i]) + x[i] ** 2
    return t


@case("1e-6 sin(1e6 x)")
def make_1e_6_sin_1e6_x(rng):
    x = rng.uniform(-2, 2, 20)
    return faint_fast_sine, x, np.cos(1e6 * x) + 2 * x


@nb.njit
def faintest_sine(x):
    t = 0.0
    for i in range(x.size):
        t += 1e-09 * math.sin(100000000.0 * x[i]) + x[i] ** 2
    return t


@case("1e-9 sin(1e8 x)")
def make_1e_9_sin_1e8_x(rng):
    x = rng.uniform(-2, 2, 20)
    return faintest_sine, x, 0.1 * np.cos(100000000.0 * x) + 2 * x


@nb.njit
def log_barrier(x):
    return np.sum(x * x) - 0.001 * np.sum(np.log(x))


@case("log barrier near 0")
def make_log_barrier_near_0(rng):
    x = 10.0 ** rng.uniform(-10, 0, 20)
    return log_barrier, x, 2 * x - 0.001 / x


@nb.njit
def power_of_three_halves(x):
    t = 0.0
    for i in range(x.size):
        t += abs(x[i]) ** 1.5
    return t


@case("|x|^1.5 at 0")
def make_x_1_5_at_0(rng):
    x = rng.normal(size=20)
    x[::3] = 0
    return power_of_three_halves, x, 1.5 * np.sign(x) * np.sqrt(abs(x))


@nb.njit
def log_sum_exp(x):
    m = np.max(x)
    return m + math.log(np.sum(np.exp(x - m)))


@case("logsumexp spread")
def make_logsumexp_spread(rng):
    x = rng.normal(size=40) * 10
    e = np.exp(x - x.max())
    return log_sum_exp, x, e / e.sum()


@nb.njit
def quartic(x):
    return np.sum(x**4)


@case("x^4 at 0 and small")
def make_x_4_at_0_and_small(rng):
    x = rng.normal(size=20) * 10.0 ** rng.uniform(-6, 0, 20)
    x[:3] = 0
    return quartic, x, 4 * x**3


@nb.njit
def cancelling(x):
    s = np.sum(x)
    return math.exp(s) - math.exp(s) * (1 - 1e-09 * x[0])


@case("cancellation")
def make_cancellation(rng):
    x = rng.uniform(-1, 1, 12)
    s = x.sum()
    g = np.exp(s) * 1e-09 * x[0] * np.ones(12)
    g[0] += np.exp(s) * 1e-09
    return cancelling, x, g


@nb.njit
def quadratic_form(x, A):
    return 0.5 * np.dot(x, np.dot(A, x))


@case("ill-conditioned quadratic 1e12")
def make_ill_conditioned_quadratic_1e12(rng):
    n = 30
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    A = Q * 10.0 ** np.linspace(-6, 6, n) @ Q.T
    A = 0.5 * (A + A.T)
    x = rng.normal(size=n)
    return quadratic_form, x, A @ x, A


@nb.njit
def median_loss(x):
    y = np.sort(np.abs(x))
    return y[x.size // 2] + np.sum(x * x)


@case("median")
def make_median(rng):
    x = rng.normal(size=21)
    k = np.argsort(abs(x))[10]
    g = 2 * x
    g[k] += np.sign(x[k])
    return median_loss, x, g


@nb.njit
def hinge(x, A):
    t = 0.0
    for i in range(A.shape[0]):
        s = 1.0 - np.dot(A[i], x)
        if s > 0:
            t += s
    return t


@case("hinge loss")
def make_hinge_loss(rng):
    A = rng.normal(size=(200, 15))
    x = rng.normal(size=15)
    s = 1 - A @ x
    return hinge, x, -(A * (s > 0)[:, None]).sum(0), A


@nb.njit
def sampled(x):
    np.random.seed(3)
    t = 0.0
    for _ in range(1000):
        z = np.random.normal()
        t += math.tanh(x[0] * z + x[1]) ** 2 + x[2] * z * x[0]
    return t / 1000


@case("seeded MC")
def make_seeded_mc(rng):
    x = rng.normal(size=3)

    @nb.njit
    def zs():
        np.random.seed(3)
        o = np.empty(1000)
        for i in range(1000):
            o[i] = np.random.normal()
        return o

    z = zs()
    u = np.tanh(x[0] * z + x[1])
    d = 2 * u * (1 - u * u)
    return sampled, x, np.array([np.mean(d * z + x[2] * z), np.mean(d), np.mean(z * x[0])])


@nb.njit
def rounded(x):
    return round(np.sum(np.sin(x)) * 100000000.0) / 100000000.0


@case("rounded to 1e-8")
def make_rounded_to_1e_8(rng):
    x = rng.uniform(-1, 1, 20)
    return rounded, x, np.cos(x)


@nb.njit
def huge(x):
    return 1e200 * np.sum(np.exp(x))


@case("f of 1e200")
def make_f_of_1e200(rng):
    x = rng.uniform(-1, 1, 20)
    return huge, x, 1e200 * np.exp(x)


@nb.njit
def tiny(x):
    return 1e-250 * np.sum(np.exp(x))


@case("f of 1e-250")
def make_f_of_1e_250(rng):
    x = rng.uniform(-1, 1, 20)
    return tiny, x, 1e-250 * np.exp(x)


@nb.njit
def bell(x):
    return math.exp(-0.5 * np.sum(x * x))


@case("gauss far out")
def make_gauss_far_out(rng):
    x = rng.normal(size=20) * 3
    return bell, x, -x * math.exp(-0.5 * np.sum(x * x))


@nb.njit
def steep(x):
    return np.sum(np.tanh(1e6 * (x - 0.5)))


@case("steep tanh saturated")
def make_steep_tanh_saturated(rng):
    x = rng.uniform(-1, 1, 20)
    x[:5] = 0.5 + 1e-06 * rng.normal(size=5)
    return steep, x, 1e6 / np.cosh(np.clip(1e6 * (x - 0.5), -300, 300)) ** 2


@nb.njit
def ratios(x):
    return x[0] / x[1] + x[2] / x[3]


@case("ratio small denominators")
def make_ratio_small_denominators(rng):
    x = np.array([1.0, 1e-08, 3.0, 0.001]) * rng.uniform(0.5, 2, 4)
    return ratios, x, np.array([1 / x[1], -x[0] / x[1] ** 2, 1 / x[3], -x[2] / x[3] ** 2])


@nb.njit
def sine_far_out(x):
    return np.sum(np.sin(x - 1e6))


@case("x at 1e6, scale 1")
def make_x_at_1e6_scale_1(rng):
    u = rng.uniform(-1, 1, 20)
    x = 1e6 + u
    return sine_far_out, x, np.cos(x - 1e6)


@nb.njit
def fast_sine_far_out(x):
    return np.sum(np.sin(1000.0 * (x - 1e6)))


@case("x at 1e6, scale 1e-3")
def make_x_at_1e6_scale_1e_3(rng):
    u = rng.uniform(-1, 1, 20)
    x = 1e6 + u
    return fast_sine_far_out, x, 1000.0 * np.cos(1000.0 * (x - 1e6))


@nb.njit
def relu_net(x, W, b):
    h = np.maximum(np.dot(W, x) + b, 0.0)
    return np.sum(h * h) + np.sum(h)


@case("relu")
def make_relu(rng):
    W = rng.normal(size=(50, 20))
    b = rng.normal(size=50)
    x = rng.normal(size=20)
    h = W @ x + b
    return relu_net, x, W.T @ ((h > 0) * (2 * np.maximum(h, 0) + 1)), W, b


EVERY = pytest.mark.parametrize("name", CASES)
BOTH = pytest.mark.parametrize("epsilon", [None, Automatic()], ids=["default", "automatic"])
SEEDS = range(2)


def problem(name, seed):
    f, x, gradient, *args = CASES[name](np.random.default_rng(seed))
    return f, x, gradient, tuple(args)


@EVERY
@BOTH
def test_right_gradients_are_never_accused(name, epsilon):
    for seed in SEEDS:
        f, x, gradient, args = problem(name, seed)
        result = fastgrad.check_gradient(f, x, gradient, epsilon, args=args)
        assert result.verdict is not MISMATCH, (seed, result.reason)


@EVERY
@BOTH
@pytest.mark.parametrize("factor", [1.3, 0.0])
def test_wrong_components_never_pass(name, epsilon, factor):
    """The largest component and one of median size, each wrong alone."""
    for seed in SEEDS:
        f, x, gradient, args = problem(name, seed)
        order = np.argsort(np.abs(gradient))
        for i in (order[-1], order[x.size // 2]):
            wrong = gradient.copy()
            wrong[i] *= factor
            if abs(wrong[i] - gradient[i]) < 1e-5 * np.abs(gradient).max():
                continue  # of no account next to the others
            result = fastgrad.check_gradient(f, x, wrong, epsilon, args=args)
            assert result.verdict is not MATCH, (seed, i, result.reason)


@nb.njit
def bowl_and_ripple(x, centre, k, curvature, frequency):
    total = math.sin(frequency * (x[k] - centre))
    for i in range(x.size):
        total += curvature * (x[i] - centre) ** 2
    return total


@pytest.mark.parametrize("centre", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("curvature", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("frequency", [10.0, 1e3, 1e5])
@BOTH
def test_a_ripple_far_finer_than_x_accuses_nobody(centre, curvature, frequency, epsilon):
    """Over the steps that suit x the ripple averages out; close by it is a hundred times the gradient of the bowl."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        x = centre + rng.uniform(-1.0, 1.0, 20)
        k = int(rng.integers(20))
        gradient = 2.0 * curvature * (x - centre)
        gradient[k] += frequency * math.cos(frequency * (x[k] - centre))
        args = (centre, k, curvature, frequency)
        result = fastgrad.check_gradient(bowl_and_ripple, x, gradient, epsilon, args=args)
        assert result.verdict is not MISMATCH, (seed, result.reason)
        gradient[k] = 0.0
        result = fastgrad.check_gradient(bowl_and_ripple, x, gradient, epsilon, args=args)
        assert result.verdict is not MATCH, (seed, result.reason)


@nb.njit
def bowl_and_detail(x, amplitude, frequency):
    return np.sum(x * x) + amplitude * np.sum(np.sin(frequency * x))


@pytest.mark.parametrize("slope", [1.0, 1e-2])
@pytest.mark.parametrize("frequency", [1e3, 1e4, 1e5])
@pytest.mark.parametrize("n", [1, 20])
@BOTH
def test_a_fine_term_that_was_forgotten_does_not_average_out(n, frequency, slope, epsilon):
    """Close by its slope is plain to see; from afar, where the rest of f is judged best, there is nothing of it."""
    for seed in SEEDS:
        x = np.random.default_rng(seed).uniform(0.5, 3.0, n)
        result = fastgrad.check_gradient(bowl_and_detail, x, 2.0 * x, epsilon, args=(slope / frequency, frequency))
        assert result.verdict is not MATCH, (seed, result.reason)
        right = 2.0 * x + slope * np.cos(frequency * x)
        result = fastgrad.check_gradient(bowl_and_detail, x, right, epsilon, args=(slope / frequency, frequency))
        assert result.verdict is not MISMATCH, (seed, result.reason)


@BOTH
def test_a_term_so_fine_that_it_passes_for_noise_is_looked_at_from_close_by(epsilon):
    for seed in range(6):
        x = np.random.default_rng(seed).uniform(0.5, 3.0, 1)
        result = fastgrad.check_gradient(bowl_and_detail, x, 2.0 * x, epsilon, args=(1e-6, 1e6))
        assert result.verdict is not MATCH, (seed, result.reason)


@nb.njit
def two_sines(x):
    return 1.2 * math.sin(x[0]) + 1.4 * math.sin(x[1])


@pytest.mark.parametrize("far", [30.0, 100.0, 300.0, 1000.0])
@pytest.mark.parametrize("near", [2.6e-5, 1e-2, 1.0])
@BOTH
def test_a_derivative_that_was_forgotten_is_wrong_although_it_averages_out_from_afar(far, near, epsilon):
    x = np.array([far, near])
    right = np.array([1.2 * math.cos(far), 1.4 * math.cos(near)])
    assert fastgrad.check_gradient(two_sines, x, right, epsilon).verdict is MATCH
    assert fastgrad.check_gradient(two_sines, x, right * [0.0, 1.0], epsilon).verdict is MISMATCH


@nb.njit
def bowl_and_jump(x, edge):
    return np.sum(x * x) + (1.0 if x[0] > edge else 0.0)


@pytest.mark.parametrize("distance", [1e-9, 1e-7, 1e-6, 1e-5])
@pytest.mark.parametrize("factor", [2.0, 0.0, -1.0])
@BOTH
def test_a_jump_along_one_coordinate_hides_no_error_in_another(distance, factor, epsilon):
    x = np.random.default_rng(0).normal(size=20)
    edge = x[0] + distance
    assert fastgrad.check_gradient(bowl_and_jump, x, 2.0 * x, epsilon, args=(edge,)).verdict is not MISMATCH
    wrong = 2.0 * x
    wrong[5] *= factor
    result = fastgrad.check_gradient(bowl_and_jump, x, wrong, epsilon, args=(edge,))
    assert [i for i, verdict in enumerate(result.verdicts) if verdict is MISMATCH] == [5]
