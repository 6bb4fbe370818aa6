"""check_directional: fused passes against slow twins, right gradients, planted errors found and named."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numba as nb
import numpy as np
import problems
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import norm

from fastgrad import Verdict
from fastgrad._budget import Budget
from fastgrad._causes.places import Block
from fastgrad._compiled import direction_kernels as kernels
from fastgrad._compiled.instructions import LINE
from fastgrad._inputs import analytical_gradient, point_array
from fastgrad._judge.grid import scramble
from fastgrad._large import probes as probes
from fastgrad._large.detect import Detector, Family, Finding
from fastgrad._large.directions import STENCIL, measure
from fastgrad._large.intervals import chi_square_quantile, proportion_bounds
from fastgrad._large.investigate import Culprits
from fastgrad._large.ladder import pick_step, table_noise
from fastgrad._large.locate import BlockFindings
from fastgrad._large.probes import Prober, Scaling, chunk_borders, key_of
from fastgrad._large.ruling import rule_on_culprits
from fastgrad._large.samples import Kind, Sample
from fastgrad._objective import prepare
from fastgrad.cli import main
from fastgrad.directional import check_directional
from fastgrad.gradient import check_gradient

N = 6 * 1024 + 100
MASK, MASK_32 = (1 << 64) - 1, (1 << 32) - 1


def rosenbrock(n: int = N, seed: int = 0):
    x = 1.0 + 0.3 * np.random.default_rng(seed).normal(size=n)
    return x, problems.rosenbrock_gradient(x)


def prober(x, analytical, f=problems.rosenbrock_f, threads=1, limit=None):
    point = point_array(x)
    return Prober(prepare(f, point, ()), point, analytical, threads=threads, budget=Budget(evaluations=limit))


def scaling(x, borders=((0, 5000), (5000, N)), typical=0.9, cutoff=0.9):
    start = chunk_borders(list(borders))
    return Scaling("test", x, start, np.full(start.size - 1, typical), np.full(start.size - 1, cutoff))


# ------------------------------------------------------------------------------------------ directions, from a hash


def slow_weight(key: int, chunk: int, place: int) -> float:
    """The weight as its definition says, in Python integers."""
    seeds = scramble((key + chunk * 0x9E3779B97F4A7C15) & MASK)
    first, second = seeds & MASK_32, seeds >> 32
    h = (place * 0x9E3779B9 + first) & MASK_32
    h = ((h ^ h >> 16) * 0x7FEB352D + second) & MASK_32
    h = ((h ^ h >> 15) * 0x846CA68B) & MASK_32
    h ^= h >> 16
    u = (h - (1 << 32) if h >= 1 << 31 else h) / 2**31
    return (math.copysign(0.5, u) + u) / math.sqrt(13.0 / 12.0)


def test_components_are_those_of_the_definition():
    x = np.array([2.0, -0.5, 0.0, 1.0])
    found = scaling(x, borders=((0, 3), (3, 4))).components(key_of(7, 1), np.arange(4))
    scale = [2.0, 0.9, 0.9, 1.0]
    places = [(0, 0), (0, 1), (0, 2), (1, 0)]
    expected = [s * slow_weight(key_of(7, 1), *place) for s, place in zip(scale, places, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_weights_have_the_moments_of_a_sign_times_a_uniform_size():
    n = 200_000
    ones = Scaling("test", np.ones(n), np.array([0, n]), np.ones(1), np.zeros(1))
    w = ones.components(key_of(1, 2), np.arange(n))
    other = ones.components(key_of(1, 3), np.arange(n))
    assert np.abs(w).min() > 0.48 and np.abs(w).max() < 1.4412
    assert abs(w.mean()) < 0.01 and abs((w**2).mean() - 1.0) < 0.005
    assert abs((w * other).mean()) < 0.01  # another key is another direction
    assert abs((w[1:] * w[:-1]).mean()) < 0.01


def many_weights(key: int, n: int = 1 << 18):
    start = chunk_borders([(0, n)])
    ones = Scaling("test", np.ones(n), start, np.ones(start.size - 1), np.zeros(start.size - 1))
    return ones.components(key_of(key), np.arange(n))


def test_every_place_of_a_chunk_has_unbiased_signs_and_sizes():
    w = np.stack([many_weights(key) for key in range(4)]).reshape(-1, kernels.CHUNK)  # 512 chunks, each place in all
    deviation = 1.0 / math.sqrt(w.shape[0])
    assert np.abs(np.sign(w).mean(axis=0)).max() < 5.0 * deviation
    assert np.abs((w**2).mean(axis=0) - 1.0).max() < 5.0 * deviation * (w**2).std()
    assert np.abs(np.sign(w).mean(axis=1)).max() < 5.0 / math.sqrt(kernels.CHUNK)  # and within each chunk


def test_weights_of_two_directions_and_of_neighbours_are_uncorrelated():
    first, second = many_weights(1), many_weights(2)
    limit = 5.0 / math.sqrt(first.size)
    for lag in (1, 2, 3, 7, 64, 1000, kernels.CHUNK):
        assert abs((first[lag:] * first[:-lag]).mean()) < limit
        assert abs((first[lag:] * second[:-lag]).mean()) < limit
    assert abs((first * second).mean()) < limit
    assert abs((np.abs(first) * np.sign(second)).mean()) < limit * 1.1


def test_sizes_are_uniform_and_independent_of_the_sign():
    u = np.abs(many_weights(3)) * math.sqrt(13.0 / 12.0) - 0.5
    for part in (u, u[many_weights(3) > 0]):
        counts = np.histogram(part, bins=64, range=(0.0, 1.0))[0]
        expected = part.size / 64
        assert ((counts - expected) ** 2 / expected).sum() < 63 + 5 * math.sqrt(2 * 63)


@given(seed=st.integers(0, 1 << 62), place=st.integers(0, 5000), shape=st.integers(1, 5000))
@settings(derandomize=True, max_examples=30, deadline=None)
def test_a_weight_does_not_depend_on_who_asks(seed, place, shape):
    """Components alone, in a batch, and as a pass writes them are the same."""
    n = max(place + 1, shape)
    x = np.ones(n)
    s = scaling(x, borders=((0, n),))
    p = prober(x, np.zeros(n), threads=1)
    p.pairs(s, [seed], np.array([0.5]), [(place, place + 1)])
    alone = s.components(seed, np.array([place]))[0]
    assert s.components(seed, np.arange(n))[place] == alone
    points = np.tile(x, (2, 1))
    start = s.start
    partial = np.zeros((start.size - 1, 2))
    span = (0, n, 0.0, 0.0)
    kernels.displace_serial(*points, x, np.zeros(n), s.arrays, span, np.uint64(seed), 0.5, partial)
    assert points[0, place] == 1.0 + 0.5 * alone and points[1, place] == 1.0 - 0.5 * alone


def test_keys_differ_by_seed_and_purpose():
    keys = {key_of(seed, a, b) for seed in (0, 1, 2) for a in range(10) for b in range(10)}
    assert len(keys) == 300


# -------------------------------------------------------------------------------------- fused passes and slow twins


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("span", [(0, N), (1000, 1001), (900, 2200), (4990, 5010), (5000, N)])
def test_a_pair_is_the_slow_difference(span, coded):
    x, g = rosenbrock()
    lo, hi = span
    key, step, s = key_of(3, 4), 1e-3, scaling(x)
    pair = prober(x, g).pairs(s, [key], np.array([step]), [span], coded=coded)
    v = np.zeros(N)
    v[lo:hi] = s.components(key, np.arange(lo, hi))
    if coded:
        v *= (np.arange(N) - 0.5 * (lo + hi - 1)) / max(0.5 * (hi - lo), 1.0)
    above, below = x + step * v, x - step * v
    assert pair.above[0] == pytest.approx(problems.rosenbrock_f(above), rel=1e-13)
    assert pair.below[0] == pytest.approx(problems.rosenbrock_f(below), rel=1e-13)
    assert pair.product[0] == pytest.approx(math.fsum(g * (above - below)), rel=1e-12, abs=1e-12)
    assert pair.square[0] == pytest.approx(norm(g * v) ** 2, rel=1e-12)


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shift", [0, 3])  # of the lower point against the upper one: then nothing can be streamed
def test_a_pass_beyond_the_caches_writes_the_points_of_the_definition(dtype, coded, shift):
    """Points are streamed to memory there; borders of blocks and of the span lie within cache lines and tiles."""
    span = lo, hi = 7, 7 + kernels._STREAMED // np.dtype(dtype).itemsize + 1001
    n = hi + 5
    x = (1.0 + 0.3 * np.random.default_rng(1).normal(size=n)).astype(dtype)
    a = x[::-1].copy()
    s = scaling(x, borders=((0, 13), (13, 5000), (5000, n)))
    whole = np.full(2 * n + 100, 99.0, dtype)
    first = -whole.ctypes.data % LINE // whole.itemsize
    above, below = (whole[k : k + n] for k in (first, first + n + -n % LINE + shift))
    partial = np.zeros((s.start.size - 1, 2))
    middle, slope = 0.5 * (lo + hi - 1), 2.0 / (hi - lo) if coded else 0.0
    kernels.displace_serial(
        above, below, x, a, s.arrays, (*span, middle, slope), np.uint64(key_of(5)), 1e-3, partial
    )  # fmt: skip
    code = slope * (np.arange(lo, hi) - middle) if coded else 1.0
    d = 1e-3 * (s.components(key_of(5), np.arange(lo, hi)) * code)
    upper, lower = ((x[lo:hi] + sign * d).astype(dtype) for sign in (1.0, -1.0))
    np.testing.assert_allclose(above[lo:hi], upper, rtol=1e-15)
    np.testing.assert_allclose(below[lo:hi], lower, rtol=1e-15)
    assert (whole == 99.0).sum() == whole.size - 2 * (hi - lo)  # nothing beside them
    terms = a[lo:hi].astype(np.float64) * (above[lo:hi].astype(np.float64) - below[lo:hi])
    product, square = kernels.merge(partial)
    assert product == pytest.approx(math.fsum(terms), rel=1e-12, abs=1e-14 * norm(terms) * math.sqrt(n))
    assert square == pytest.approx(norm(terms) ** 2, rel=1e-12)


def test_the_points_of_a_pass_are_restored():
    x, g = rosenbrock()
    p = prober(x, g, threads=min(2, nb.config.NUMBA_NUM_THREADS))
    p.pairs(scaling(x), [1, 2, 3], np.full(3, 1e-3), [(0, N), (0, 10), (5000, 6000)])
    p.require_intact()
    assert (p._points[:, :, :N] == x).all()


@pytest.mark.skipif(nb.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize("limit_of_points", [1 << 40, 0])  # lanes with two points each; threads within each pass
@pytest.mark.parametrize(("dtype", "n"), [(np.float64, 20_000), (np.float32, 20_000), (np.float64, 1_100_000)])
def test_values_and_sums_are_the_same_to_the_bit_for_any_threads(monkeypatch, limit_of_points, dtype, n):
    x, g = (a.astype(dtype) for a in rosenbrock(n))
    keys, steps = [key_of(0, k) for k in range(5)], np.full(5, 1e-4)
    s = scaling(x, borders=((0, 5000), (5000, n)))
    spans = [(0, n), (0, n), (100, 101), (4000, 9000), (0, n)]
    one = prober(x, g, threads=1).pairs(s, keys, steps, spans)
    monkeypatch.setattr(probes, "_MOST_BYTES_OF_POINTS", limit_of_points)
    two = prober(x, g, threads=2).pairs(s, keys, steps, spans)
    for name in ("above", "below", "product", "square"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_sums_do_not_lose_what_cancels():
    x = np.ones(N)
    a = np.zeros(N)
    a[0], a[1], a[N - 1] = 1e15, 1.0, -1e15
    start = chunk_borders([(0, N)])
    ones = Scaling("test", x, start, np.ones(start.size - 1), np.zeros(start.size - 1))
    pair = prober(x, a).pairs(ones, [5], np.array([0.25]))
    w = ones.components(5, np.arange(N))
    assert pair.product[0] == pytest.approx(math.fsum(a * ((x + 0.25 * w) - (x - 0.25 * w))), abs=2.0)


# ---------------------------------------------------------------------------------------------- arithmetic of bars


def test_the_estimate_is_free_of_cubic_truncation():
    value, slope = 1.0, 0.25

    def line(t):
        return value + 0.7 * t - 0.3 * t**2 + 5.0 * t**3

    t = np.array([1.0, 2.0, 4.0]) * 1e-2
    around = np.array([line(s) for s in t]), np.array([line(-s) for s in t]), 2 * t * slope, np.ones(3)
    d = measure(1, 1e-2, value, around, 1e-16, 2.2e-16)
    assert d.estimate == pytest.approx(0.45, abs=1e-12)
    assert d.is_flagged and not d.is_kinked


def test_an_absolute_value_is_seen_as_a_kink():
    t = np.array([1.0, 2.0, 4.0]) * 1e-2
    f = np.abs(t + 0.003), np.abs(-t + 0.003)
    d = measure(1, 1e-2, 0.003, (*f, 2 * t, np.ones(3)), 1e-16, 2.2e-16)
    assert d.is_flagged and d.is_kinked


def test_the_ladder_balances_noise_and_truncation():
    step = np.exp2(np.arange(-24.0, -1.0, 2.0))
    rng = np.random.default_rng(0)
    noise = 1e-10
    above, below = (np.sin(1.0 + s * step) + noise * rng.normal(size=step.size) for s in (1, -1))
    t, sigma = pick_step(np.sin(1.0), step, above, below, 2 * step * np.cos(1.0), noise)
    assert 1e-3 < t < 0.07
    assert noise <= sigma < 4 * noise


def test_a_grid_of_values_raises_the_noise():
    step = np.exp2(np.arange(-24.0, -1.0, 2.0))
    above, below = (np.float64(np.float32(np.sin(1.0 + s * step))) for s in (1, -1))
    _, sigma = pick_step(np.float64(np.float32(np.sin(1.0))), step, above, below, 2 * step * np.cos(1.0), 1e-16)
    assert sigma > 1e-8


def test_noise_of_a_table_is_that_of_its_values():
    rng = np.random.default_rng(1)
    t = 1e-8 * np.arange(1, 5)
    sigmas = [table_noise(1.0, *(1.0 + s * t + 1e-10 * rng.normal(size=4) for s in (1, -1))) for _ in range(200)]
    assert 0.7e-10 < np.median(sigmas) < 2e-10


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [(0.005, 8, 1.3444130870), (0.995, 8, 21.954954991), (0.5, 1, 0.4549364231), (0.995, 100, 140.16948944)],
)
def test_chi_square_quantiles(probability, freedom, expected):
    assert chi_square_quantile(probability, freedom) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    [(3, 24, (0.01459225, 0.38726471)), (24, 24, (0.80190653, 1.0)), (0, 24, (0.0, 0.19809347))],
)
def test_bounds_of_a_proportion(hits, trials, expected):
    assert proportion_bounds(hits, trials) == pytest.approx(expected, abs=1e-6)


# ---------------------------------------------------------------------------------------- confirmation and verdict


class Imagined:
    """A prober of differences thought up: by how much each scaling's differ from the gradient at a step."""

    point = point_array(np.ones(2))

    def __init__(self, value, mismatches):
        self.value, self.mismatches = value, mismatches

    def pairs(self, scaling, key, step):
        odd = self.mismatches[scaling](step) * step
        return probes.Pairs(step, self.value + odd, self.value - odd, np.zeros(step.size), np.ones(step.size))


def found_in(value, noise, step, mismatches):
    """What a detector finds in families of four directions with one mismatch each, a function of the step."""
    prober = Imagined(value, mismatches)
    detector = Detector(prober, value, seed=0, precision=2.2e-16, noise=noise)
    for number, scaling in enumerate(mismatches):
        family = Family(scaling, step, noise, number=number)
        for key in range(4):
            pairs = prober.pairs(scaling, [key] * 3, STENCIL * step)
            around = pairs.above, pairs.below, pairs.product, pairs.square
            family.directions.append(measure(key, step, value, around, noise, 2.2e-16))
        detector.families.append(family)
    return detector.decide()


def test_a_mismatch_must_be_the_same_at_a_smaller_step():
    value, noise, step = 2.0**50, 1.0, 32.0
    for closer, finding in ((1.0, Finding.DIFFERS), (5.0, Finding.UNCLEAR), (-5.0, Finding.UNCLEAR)):
        mismatch = {"plain": lambda t, closer=closer: np.where(t < step, closer, 1.0)}
        assert found_in(value, noise, step, mismatch) is finding


def test_a_mismatch_that_wider_steps_would_have_shown_is_a_kink():
    """Scales of the second family are at most those of the first: what it sees alone, and so large, f has close by."""
    value, noise, step = 2.0**50, 1.0, 32.0

    def constant(size):
        return lambda t: np.full(t.shape, size)

    assert found_in(value, noise, step, {"plain": constant(0.0), "relative": constant(1.0)}) is Finding.DIFFERS
    assert found_in(value, noise, step, {"plain": constant(0.0), "relative": constant(50.0)}) is Finding.KINKED
    assert found_in(value, noise, step, {"plain": constant(50.0), "relative": constant(50.0)}) is Finding.DIFFERS


def test_small_differences_pass_only_where_components_were_seen_to_be_small():
    family = Family(None, 1e-3, 0.0, number=0, confirmed={0, 1})
    around = (1e-6 * STENCIL * 1e-3, -1e-6 * STENCIL * 1e-3, np.zeros(3), np.ones(3))
    family.directions = [measure(key, 1e-3, 0.0, around, 0.0, 0.0) for key in range(8)]
    assert family.estimate.high < 1e-5
    sample = Sample(0, Kind.TINY, 1.0, 1e-9, 1.0 + 1e-6, 1e-3)
    for kind, verdict in ((Kind.TINY, Verdict.MATCH), (Kind.RIGHT, Verdict.INCONCLUSIVE)):
        found = BlockFindings(Block("", 0, (1,)), 1e-6, samples={0: replace(sample, kind=kind)})
        assert rule_on_culprits(Culprits([found]), [family], 1e-5, str)[0] is verdict
    ended = Culprits(cut_short_by="the limit of 100 evaluations")
    assert rule_on_culprits(ended, [family], 1e-5, str)[0] is Verdict.INCONCLUSIVE
    assert rule_on_culprits(ended, [family], 1e-7, str)[0] is Verdict.MISMATCH
    nothing = Culprits([BlockFindings(Block("", 0, (1,)), 1e-6)])
    assert rule_on_culprits(nothing, [family], 1e-5, str)[0] is Verdict.INCONCLUSIVE


# ------------------------------------------------------------------------------------------------ right gradients


def check_problem(problem, gradient=None, **options):
    right = np.asarray(problem.gradient(problem.x, *problem.args), dtype=np.float64)
    return check_directional(
        problem.f, problem.x, right if gradient is None else gradient, args=problem.args, threads=1, **options
    )


# Coordinates that span 24 decades, and an f whose square overflows: no direction can tell, and none may accuse.
BEYOND = {"sines", "exponentials"}


@pytest.mark.parametrize("build", problems.BUILDERS, ids=lambda build: build.__name__)
def test_a_right_gradient_matches(build):
    problem = build()
    verdicts = {check_problem(problem, rng=seed).verdict for seed in range(6)}
    assert verdicts == {Verdict.INCONCLUSIVE if build.__name__ in BEYOND else Verdict.MATCH}


def test_a_right_gradient_takes_130_evaluations_for_any_n():
    for n in (100, 10_000):
        x, g = rosenbrock(n)
        result = check_directional(problems.rosenbrock_f, x, g, threads=1)
        assert result.evaluations == 130
        assert result.relative_error < 1e-10 and result.smallest_error < 1e-8


def test_a_kink_at_x_is_no_mismatch():
    @nb.njit
    def f(x):
        return np.abs(x).sum()

    x = np.zeros(50)
    result = check_directional(f, x, np.ones(50), threads=1)
    assert result.verdict is Verdict.INCONCLUSIVE and "kink" in result.reason


def test_the_even_parts_of_a_large_smooth_f_are_no_kink():
    """They add up over n components, while an error in one of them does not grow."""
    value, bars = 0.7, 1e-9

    def direction(step, jump, error):
        t = step * np.array([1.0, 2.0, 4.0])
        even = 1e6 * t**2 + 1e5 * t**4 + 3e5 * t**6 + jump * np.abs(t)
        above, below = value + 0.5 * even + error * t, value + 0.5 * even - error * t
        return measure(1, step, value, (above, below, np.zeros(3), np.ones(3)), bars, 2.2e-16)

    smooth, kink = direction(0.03, 0.0, 0.2), direction(0.03, 1.0, 0.2)
    assert smooth.is_kinked and kink.is_kinked  # at this step they look alike
    closer = direction(0.01, 0.0, 0.2), direction(0.01, 1.0, 0.2)
    assert not closer[0].is_kinked and closer[1].is_kinked
    assert abs(closer[0].intercept) + closer[0].kink_bar < 0.25 * abs(smooth.intercept)
    assert abs(closer[1].intercept) > 0.25 * abs(kink.intercept)


def test_noise_that_hides_the_gradient_is_no_agreement():
    @nb.njit
    def f(x):
        return 1e12 + 1e-3 * np.sum(x)

    result = check_directional(f, np.ones(50), np.full(50, 1e-3), threads=1)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason.endswith("of the gradient: the noise of f hides it")


@nb.njit
def kinks_f(x, centre):
    total = 0.0
    for i in range(x.size):
        total += np.cos(x[i]) + abs(x[i] - centre[i])
    return total


@pytest.mark.parametrize("distance", [1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 0.1])
def test_no_right_gradient_is_accused_near_kinks(distance):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=3000)
        centre = x + distance * rng.normal(size=x.size)
        g = -np.sin(x) + np.sign(x - centre)
        result = check_directional(kinks_f, x, g, args=(centre,), rng=seed, threads=1)
        assert result.verdict is not Verdict.MISMATCH


def test_single_precision_inside_f_is_noise():
    @nb.njit
    def f(x):
        total = np.float32(0.0)
        for value in x:
            total += np.float32(value) ** 2
        return np.float64(total)

    x = np.random.default_rng(0).normal(size=1000)
    result = check_directional(f, x, 2 * x, threads=1)
    assert result.verdict is not Verdict.MISMATCH
    assert result.smallest_error > 1e-4


# ------------------------------------------------------------------------------------------------- planted errors


@pytest.mark.parametrize("build", [b for b in problems.BUILDERS if b.__name__ not in BEYOND], ids=lambda b: b.__name__)
def test_a_wrong_sign_everywhere_is_named(build):
    problem = build()
    right = np.asarray(problem.gradient(problem.x, *problem.args), dtype=np.float64)
    result = check_problem(problem, -right)
    assert result.verdict is Verdict.MISMATCH
    assert [cause.kind for cause in result.causes] == ["sign"]
    assert result.unexplained is None


def test_the_interval_of_e_holds_the_true_error():
    x, g = rosenbrock(4000)
    size = np.maximum(np.abs(x), np.median(np.abs(x)))
    error = 1e-3 * np.random.default_rng(1).normal(size=x.size) * np.abs(g)
    true = norm(size * error) / norm(size * g)
    inside = 0
    for seed in range(50):
        result = check_directional(problems.rosenbrock_f, x, g + error, rng=seed, localise=False, threads=1)
        assert result.verdict is Verdict.MISMATCH and not result.components
        inside += result.interval[0] <= true <= result.interval[1]
    assert inside >= 47


def test_a_gradient_in_single_precision_is_inexact_but_within_rtol():
    x, g = rosenbrock(20_000)
    rounded = g.astype(np.float32).astype(np.float64)
    result = check_directional(problems.rosenbrock_f, x, rounded, threads=1)
    assert result.verdict is Verdict.MATCH
    assert [cause.kind for cause in result.causes] == ["float32"]
    strict = check_directional(problems.rosenbrock_f, x, rounded, rtol=1e-9, threads=1)
    assert strict.verdict is Verdict.MISMATCH


def test_a_gradient_that_is_not_finite_is_wrong():
    x, g = rosenbrock(100)
    g[17] = np.nan
    result = check_directional(problems.rosenbrock_f, x, g, threads=1)
    assert result.verdict is Verdict.MISMATCH and "x[17]" in result.reason


# ------------------------------------------------------------------------------------------------------ the result


@pytest.mark.skipif(nb.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_no_result_depends_on_the_threads():
    x, g = rosenbrock()
    g[[5, 6000]] *= 1.2
    results = [check_directional(problems.rosenbrock_f, x, g, threads=threads) for threads in (1, 2)]
    first, second = (replace(r, elapsed=0.0, threads=0, executor="").to_dict() for r in results)
    assert first == second


def test_a_report_fits_the_terminal_and_json():
    x, g = rosenbrock(2000)
    g[100:150] *= 3
    result = check_directional(problems.rosenbrock_f, x, g, blocks={"first": 500, "second": (30, 50)}, threads=1)
    assert max(len(line) for line in str(result).splitlines()) <= 80
    assert "first" in str(result) and "MISMATCH" in str(result)
    assert json.loads(json.dumps(result.to_dict()))["verdict"] == "mismatch"
    assert "mismatch" in repr(result)


def test_a_limit_on_evaluations_is_kept():
    x, g = rosenbrock()
    g[np.random.default_rng(0).choice(N, 60, replace=False)] *= 1.5
    result = check_directional(problems.rosenbrock_f, x, g, max_evaluations=250, threads=1)
    assert result.evaluations <= 250
    assert result.verdict is Verdict.MISMATCH and result.unexplained
    few = check_directional(problems.rosenbrock_f, x, g, max_evaluations=100, threads=1)
    assert few.verdict is Verdict.INCONCLUSIVE and few.evaluations <= 100


def test_a_scale_of_the_users_is_used():
    x = np.zeros(200)

    @nb.njit
    def f(x):
        return (np.sin(1e6 * x)).sum()

    result = check_directional(f, x, np.full(200, 1e6), scale=1e-6, threads=1)
    assert result.verdict is Verdict.MATCH and result.scale == "given scale"


def test_a_float32_x_is_checked_in_double_precision():
    x, _ = rosenbrock(1000)
    x = x.astype(np.float32)
    result = check_directional(problems.rosenbrock_f, x, problems.rosenbrock_gradient, threads=1)
    assert result.verdict is Verdict.MATCH and result.smallest_error < 1e-4


MODEL = """
import numba, numpy as np

@numba.njit
def f(x):
    return (x ** 4).sum()

def gradient(x):
    g = 4 * x ** 3
    g[7] += 1.0
    return g
"""


def test_the_command_line_runs_it(tmp_path, capsys):
    (tmp_path / "model.py").write_text(MODEL)
    np.save(tmp_path / "x.npy", np.linspace(1.0, 2.0, 500))
    names = [f"{tmp_path}/model.py:{name}" for name in ("f", "gradient")]
    assert main(["directional", *names, "--at", f"{tmp_path}/x.npy", "--seed", "3"]) == 1
    assert "x[7]" in capsys.readouterr().out


def test_check_hands_over_with_an_option(tmp_path, capsys):
    (tmp_path / "model.py").write_text(MODEL)
    np.save(tmp_path / "x.npy", np.linspace(1.0, 2.0, 500))
    names = [f"{tmp_path}/model.py:{name}" for name in ("f", "gradient")]
    command = ["check", *names, "--at", f"{tmp_path}/x.npy", "--directional"]
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "x[7]" in shown and "directions" in shown
    assert main([*command, "--epsilon", "1e-6"]) == 2
    assert "--epsilon is given together with --directional" in capsys.readouterr().err


def test_a_componentwise_report_says_what_directions_would_take():
    x, g = rosenbrock(6000)
    large = str(check_gradient(problems.rosenbrock_f, x, g, threads=1))
    assert "check_directional would take about 130 evaluations" in large
    assert "check_directional" not in str(check_gradient(problems.rosenbrock_f, x[:100], g[:100], threads=1))


# ---------------------------------------------------------------------------------------- limits and interruptions


class Interrupted:
    """A launch that raises KeyboardInterrupt after so many calls, as Ctrl-C does between two of them."""

    def __init__(self, monkeypatch, calls: int) -> None:
        self.left, self.launch = calls, Prober._launch
        monkeypatch.setattr(Prober, "_launch", lambda *arguments: self(*arguments))

    def __call__(self, *arguments):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.launch(*arguments)


@pytest.mark.parametrize("calls", [0, 2, 4])
def test_ctrl_c_during_the_directions_leaves_what_was_seen(monkeypatch, calls):
    Interrupted(monkeypatch, calls)
    x, g = rosenbrock(1000)
    with pytest.raises(KeyboardInterrupt) as caught:
        check_directional(problems.rosenbrock_f, x, g, threads=1)
    result = caught.value.result
    assert result.verdict is Verdict.INCONCLUSIVE and "interrupted" in result.reason
    assert str(result) and json.dumps(result.to_dict())


def test_ctrl_c_during_the_location_keeps_the_mismatch_and_what_was_found(monkeypatch):
    x, g = rosenbrock()
    g[np.random.default_rng(0).choice(N, 60, replace=False)] *= 1.5
    full = check_directional(problems.rosenbrock_f, x, g, threads=1)
    Interrupted(monkeypatch, 200)
    with pytest.raises(KeyboardInterrupt) as caught:
        check_directional(problems.rosenbrock_f, x, g, threads=1)
    result = caught.value.result
    assert result.verdict is Verdict.MISMATCH and "Ctrl-C" in result.reason + str(result.unexplained)
    assert {row.name for row in result.components} <= {row.name for row in full.components}
    assert result.evaluations < full.evaluations


def test_a_time_limit_ends_it_without_a_claim():
    x, g = rosenbrock()
    right = check_directional(problems.rosenbrock_f, x, g, time_limit=1e-9, threads=1)
    assert right.verdict is Verdict.INCONCLUSIVE and "time limit" in right.reason
    assert right.evaluations <= 4
    assert check_directional(problems.rosenbrock_f, x, g, time_limit=1e6, threads=1).verdict is Verdict.MATCH


# --------------------------------------------------------------------------------------------- gradients with a past


def test_a_gradient_in_a_buffer_that_is_written_again_is_read_in_time():
    x, g = rosenbrock(2000)
    buffer = np.empty_like(x)

    def gradient(point):
        buffer[:] = problems.rosenbrock_gradient(point)
        return buffer

    assert check_directional(problems.rosenbrock_f, x, gradient, threads=1).verdict is Verdict.MATCH
    point = point_array(x)
    kept = analytical_gradient(gradient, point, ())
    gradient(2.0 * x)
    np.testing.assert_array_equal(kept, g)


def test_a_stale_gradient_is_named():
    x, _ = rosenbrock(2000)
    kept = problems.rosenbrock_gradient(1.01 * x)
    result = check_directional(problems.rosenbrock_f, x, lambda point: kept, threads=1)
    assert result.verdict is Verdict.MISMATCH
    assert "stale" in [cause.kind for cause in result.causes] and "another x" in str(result)


def test_a_gradient_that_keeps_a_state_is_named():
    x, _ = rosenbrock(2000)
    calls = []

    def gradient(point):
        calls.append(1)
        return problems.rosenbrock_gradient(point) * (1.0 + len(calls))  # a sum that is never reset

    result = check_directional(problems.rosenbrock_f, x, gradient, threads=1)
    assert result.verdict is Verdict.MISMATCH and "stateful" in [cause.kind for cause in result.causes]


def test_a_constant_gradient_of_a_linear_f_is_no_kept_result():
    c = np.arange(1.0, 51.0)
    wrong = c.copy()
    wrong[7] = 3.0
    result = check_directional(linear_f, np.linspace(0.5, 2.0, 50), lambda x, c: wrong, args=(c,), threads=1)
    assert result.verdict is Verdict.MISMATCH
    assert "stale" not in [cause.kind for cause in result.causes]


def test_a_gradient_with_nan_that_answers_the_same_keeps_no_state():
    x, g = rosenbrock(100)
    g[17] = np.nan
    result = check_directional(problems.rosenbrock_f, x, lambda x: np.where(np.arange(100) == 17, np.nan, g), threads=1)
    assert result.verdict is Verdict.MISMATCH and "x[17]" in result.reason
    assert "stateful" not in [cause.kind for cause in result.causes]


# --------------------------------------------------------------------- what must not be cleared, nor be called noise


@nb.njit
def linear_f(x, c):
    return (c * x).sum()


@nb.njit
def half_square_f(x):
    return 0.5 * (x * x).sum()


@nb.njit
def single_precision_f(x):
    total = np.float32(0.0)
    for value in x:
        total += np.float32(np.sin(value) * value)
    return np.float64(total)


def one_of_small_effect():
    """x and gradient of half_square_f, all float32 numbers; one component has the wrong sign, with E = 1e-7."""
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32).astype(np.float64)
    x[7] = np.float32(1e-5)
    a = x.copy()
    a[7] *= -1.0
    return x, a


def test_float32_numbers_do_not_hide_a_wrong_component():
    x, a = one_of_small_effect()
    result = check_directional(half_square_f, x, a, threads=1)
    assert result.verdict is not Verdict.MATCH and result.causes == ()
    a[7], a[500] = x[7], a[500] + np.float32(2e-6)  # seen, and located
    result = check_directional(half_square_f, x, a, rtol=1e-9, threads=1)
    assert result.verdict is Verdict.MISMATCH and [row.name for row in result.components] == ["x[500]"]


@pytest.mark.parametrize("limit", [140, 145, 150, 160])
def test_a_spent_limit_clears_nothing(limit):
    x, a = one_of_small_effect()
    x *= 1.1  # no float32 numbers
    a *= 1.1
    assert check_directional(half_square_f, x, a, threads=1).verdict is Verdict.INCONCLUSIVE
    result = check_directional(half_square_f, x, a, max_evaluations=limit, threads=1)
    assert result.verdict is Verdict.INCONCLUSIVE


def test_a_limit_that_ends_the_closest_look_leaves_the_mismatch():
    x, g = rosenbrock(1000)
    g[7] += 100.0
    free = check_directional(problems.rosenbrock_f, x, g, threads=1)
    for limit in range(146, free.evaluations, 3):
        result = check_directional(problems.rosenbrock_f, x, g, max_evaluations=limit, threads=1)
        assert result.verdict is Verdict.MISMATCH and "noise" not in result.reason
    assert "x[7], not confirmed at all scales" in result.reason and f"limit of {limit} evaluations" in result.reason


@pytest.mark.parametrize("seed", range(4))
def test_a_noisy_f_does_not_withdraw_what_directions_confirmed(seed):
    x = np.random.default_rng(seed).normal(size=1000)
    wrong = 1.1 * (np.cos(x) * x + np.sin(x))
    for localise in (False, True):
        result = check_directional(single_precision_f, x, wrong, rng=seed, localise=localise, threads=1)
        assert result.verdict is Verdict.MISMATCH
    assert [cause.kind for cause in result.causes] == ["factor"]


@nb.njit
def barrier_f(x):
    return -np.log(x).sum()


def test_noise_is_that_of_the_scale_along_which_f_is_finite():
    """Along the other scale f leaves its domain, and looks noisy where it does."""
    x = 10.0 ** np.random.default_rng(0).uniform(-8.0, 8.0, 2000)
    right = check_directional(barrier_f, x, -1.0 / x, threads=1)
    assert right.verdict is Verdict.MATCH and right.noise < 1e-11 and right.directions == 8
    everywhere = check_directional(barrier_f, x, -1.001 / x, threads=1)
    assert everywhere.verdict is Verdict.MISMATCH and [cause.kind for cause in everywhere.causes] == ["factor"]
    a = -1.0 / x
    a[77] *= 1.1
    assert [row.name for row in check_directional(barrier_f, x, a, threads=1).components] == ["x[77]"]


@nb.njit
def fine_f(x):
    """Its derivative differs from 2 x by up to 1, on a scale that no step follows."""
    return (x * x + 1e-6 * np.sin(1e6 * x)).sum()


@pytest.mark.parametrize("seed", range(4))
def test_right_components_of_a_fine_structure_are_not_listed_first(seed):
    x = np.random.default_rng(1000 + seed).normal(size=500)
    g = 2.0 * x + np.cos(1e6 * x)
    wrong = np.where(np.arange(500) < 250, 2.0 * g, g)
    result = check_directional(fine_f, x, wrong, rng=seed, threads=1)
    assert result.verdict is Verdict.MISMATCH
    assert all(row.index[0] < 250 for row in result.components[:5])


@nb.njit
def offset_f(x, offset):
    return offset + np.sin(x).sum()


def test_agreement_that_could_not_have_seen_an_error_of_a_percent_is_no_match():
    x = np.random.default_rng(0).normal(size=1000)
    for factor in (1.0, 1.01):
        blind = check_directional(offset_f, x, factor * np.cos(x), args=(1e14,), threads=1)
        assert blind.verdict is Verdict.INCONCLUSIVE and blind.smallest_error > 0.01
        assert "the noise of f hides it" in blind.reason
    seen = check_directional(offset_f, x, np.cos(x), args=(1e9,), threads=1)
    assert seen.verdict is Verdict.MATCH and seen.smallest_error < 0.01


@pytest.mark.parametrize("options", [{"directions": 4}, {"directions": 4, "scale": 1.0}])
def test_the_stated_power_holds_for_few_directions(options):
    missed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, g = rosenbrock(200, seed)
        options = {**options, "rng": seed, "localise": False, "threads": 1}
        stated = check_directional(problems.rosenbrock_f, x, g, **options)
        size = np.ones_like(x) if "scale" in options else np.maximum(np.abs(x), np.median(np.abs(x)))
        error = rng.normal(size=x.size) / size
        error *= stated.smallest_error * norm(size * g) / norm(size * error)
        wrong = check_directional(problems.rosenbrock_f, x, g + error, rtol=1e-16, **options)
        missed += wrong.verdict is not Verdict.MISMATCH
    assert missed <= 3


@nb.njit
def least_squares_f(x, matrix, solution):
    residual = matrix @ (x - 1.0) - solution
    return 0.5 * (residual * residual).sum()


def test_rounding_of_small_residuals_is_no_kink():
    rng = np.random.default_rng(0)
    matrix, solution = rng.normal(size=(120, 80)), rng.normal(size=80)
    target = matrix @ (solution - 1.0)
    for seed in range(6):
        x = solution + 1e-6 * np.random.default_rng(seed).normal(size=80)
        g = matrix.T @ (matrix @ (x - 1.0) - target)
        result = check_directional(least_squares_f, x, g, args=(matrix, target), rng=seed, threads=1)
        assert result.verdict is Verdict.MATCH
        g[5] += 0.01
        wrong = check_directional(least_squares_f, x, g, args=(matrix, target), rng=seed, threads=1)
        assert wrong.verdict is Verdict.MISMATCH and [row.name for row in wrong.components] == ["x[5]"]


@nb.njit
def writes_elsewhere_f(x):
    total = (x * x).sum()
    if x[0] != 0.5:
        x[3] = 0.0
    return total


def test_an_f_that_writes_to_x_away_from_x_is_noticed():
    x = np.linspace(0.5, 2.0, 300)
    x[200] = 2.0
    g = 2.0 * x
    g[200] += 1.0
    for threads in (1, 2)[: nb.config.NUMBA_NUM_THREADS]:
        with pytest.raises(ValueError, match="writes to x"):
            check_directional(writes_elsewhere_f, x, g, threads=threads)


# ------------------------------------------------------------------------------------------- zeros of x, and kinks


@nb.njit
def kinked_f(x):
    """Smooth, besides |x_i| in every tenth coordinate."""
    total = 0.0
    for i in range(x.size):
        total += np.cos(x[i]) + (abs(x[i]) if i % 10 == 0 else 0.0)
    return total


def kinked(zeros: int, n: int = 1000):
    x = np.random.default_rng(0).uniform(0.5, 1.5, n)
    x[: 10 * zeros : 10] = 0.0
    g = -np.sin(x)
    g[::10] += 1.0  # at zero the slope to the right
    return x, g


def test_zeros_at_kinks_are_held_and_the_rest_is_checked():
    x, g = kinked(5)
    result = check_directional(kinked_f, x, g, threads=1)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "kink at 5 of 5 looked at, for instance x[0]" in result.reason and "directions agree" in result.reason
    g[555] *= 1.1
    wrong = check_directional(kinked_f, x, g, threads=1)
    assert wrong.verdict is Verdict.MISMATCH and [row.name for row in wrong.components] == ["x[555]"]


def test_a_slope_beyond_both_sides_of_a_zero_is_told():
    x, g = kinked(5)
    g[20] = 3.0
    result = check_directional(kinked_f, x, g, threads=1)
    assert result.verdict is Verdict.INCONCLUSIVE  # as in check_gradient: f has no derivative there
    assert "x[20] = 0 is one where the gradient given, 3, lies outside the slopes" in result.reason


def test_a_wrong_component_at_a_zero_is_found_beside_kinks():
    x, g = kinked(5)
    x[[3, 77]] = 0.0
    g[[3, 77]] = 0.0, 0.5
    result = check_directional(kinked_f, x, g, threads=1)
    assert result.verdict is Verdict.MISMATCH and [row.name for row in result.components] == ["x[77]"]


def test_zeros_without_a_kink_are_like_others():
    x, _ = rosenbrock(2000)
    x[::3] = 0.0
    result = check_directional(problems.rosenbrock_f, x, problems.rosenbrock_gradient(x), threads=1)
    assert result.verdict is Verdict.MATCH


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"directions": 1}, ValueError, "directions is 1; need 4 or more"),
        ({"directions": 10**30}, ValueError, "need a number from 4 to 1000000: each costs evaluations"),
        ({"directions": 8.0}, TypeError, "directions is 8.0; need a whole number"),
        ({"rng": "seed"}, TypeError, "rng is 'seed'; need a whole number from 0 or a numpy"),
        ({"rtol": -1.0}, ValueError, "rtol is -1.0"),
        ({"scale": 0.0}, ValueError, "not positive and finite"),
        ({"max_evaluations": 3}, ValueError, "max_evaluations is 3; need 100 or more"),
    ],
)
def test_unusable_arguments_are_refused(options, error, text):
    x, g = rosenbrock(100)
    with pytest.raises(error, match=text):
        check_directional(problems.rosenbrock_f, x, g, **options)
