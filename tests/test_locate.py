"""Location: the tree on a virtual meter, and planted errors of many shapes found, located exactly, and named."""

from __future__ import annotations

import numba as nb
import numpy as np
import problems
import pytest

from fastgrad import Verdict
from fastgrad._large.probes import Scaling, key_of
from fastgrad._large.structure import is_interval, separating
from fastgrad._large.tree import Node, TreeSearch
from fastgrad.directional import check_directional

# ------------------------------------------------------------------------------------------------------- the tree


class VirtualMeter:
    """Scaled errors that are known, seen through noise of a sixth of the bar."""

    def __init__(self, n: int, errors: dict[int, float], bar: float, seed: int) -> None:
        self.errors, self.bar, self.evaluations = errors, bar, 0
        self._ones = Scaling("test", np.ones(n), np.array([0, n]), np.ones(1), np.zeros(1))
        self._rng = np.random.default_rng(seed)
        self.key = 0

    def weights(self, index):
        return self._ones.components(self.key, index)

    def moment(self, lo, hi, *, coded):
        self.evaluations += 2
        index = np.array([i for i in sorted(self.errors) if lo <= i < hi], dtype=np.int64)
        w = self.weights(index)
        if coded:
            w = w * (index - 0.5 * (lo + hi - 1)) / max(0.5 * (hi - lo), 1.0)
        return float(w @ np.array([self.errors[int(i)] for i in index])) + self._noise()

    def error(self, i):
        self.evaluations += 2
        return self.errors.get(i, 0.0) + self._noise()

    def _noise(self) -> float:
        return self.bar / 6.0 * self._rng.standard_normal()


def search(n, errors, bar, seed):
    meter, found, rng = VirtualMeter(n, errors, bar, seed), {}, np.random.default_rng(seed)
    for number in range(6):
        meter.key = key_of(seed, number)
        if not TreeSearch(meter, found, rng, lambda count: meter.evaluations > 20_000).run(0, n):
            break
    return set(found), meter.evaluations


@pytest.mark.parametrize(
    ("n", "count", "bar", "most"),
    [(1000, 1, 1e-4, 20), (1_000_000, 1, 1e-4, 25), (1_000_000, 1, 1e-2, 45), (100_000, 10, 1e-4, 170)],
)
def test_wrong_components_are_found_exactly_and_cheaply(n, count, bar, most):
    spent = []
    for seed in range(40):
        index = np.random.default_rng(seed).choice(n, count, replace=False)
        found, evaluations = search(n, dict.fromkeys(index.tolist(), 1.0), bar, seed)
        assert found == set(index.tolist())
        spent.append(evaluations)
    assert np.median(spent) <= most


@pytest.mark.parametrize("pair", [(10, 11), (10, 900_000), (499_999, 500_000)])
def test_two_errors_that_cancel_are_both_found(pair):
    for seed in range(20):
        assert search(1_000_000, {pair[0]: 1.0, pair[1]: -1.0}, 1e-4, seed)[0] == set(pair)


def test_nothing_is_found_where_nothing_is():
    assert all(search(100_000, {}, 1e-4, seed)[0] == set() for seed in range(100))


def test_an_interval_full_of_errors_is_reported_not_opened():
    errors = {i: 1.0 + 0.01 * i for i in range(200, 600)}
    meter = VirtualMeter(1000, errors, 1e-4, 1)
    meter.key = key_of(1, 1)
    tree = TreeSearch(meter, {}, np.random.default_rng(1), lambda count: meter.evaluations > 20_000)
    tree.run(0, 1000)
    assert tree.dense
    assert meter.evaluations < 2000


def test_the_components_that_show_an_interval_to_be_full_are_kept():
    errors = {i: 1.0 + 0.01 * i for i in range(200, 600)}
    meter = VirtualMeter(1000, errors, 1e-4, 1)
    meter.key = key_of(1, 1)
    tree = TreeSearch(meter, {}, np.random.default_rng(1), lambda count: meter.evaluations > 20_000)
    tree.run(0, 1000)
    assert len(tree.seen) >= 4 and set(tree.seen) <= set(errors)
    assert all(tree.seen[i] == pytest.approx(errors[i], rel=1e-3) for i in tree.seen)


def test_a_spent_budget_leaves_intervals_open():
    errors = dict.fromkeys(range(0, 100_000, 1000), 1.0)
    meter = VirtualMeter(100_000, errors, 1e-4, 1)
    meter.key = key_of(1, 1)
    tree = TreeSearch(meter, {}, np.random.default_rng(1), lambda count: meter.evaluations > 60)
    assert tree.run(0, 100_000)
    assert tree.open and meter.evaluations < 80


def test_a_search_that_ended_early_goes_on_where_it_was():
    errors = dict.fromkeys(range(500, 100_000, 10_000), 1.0)
    meter, found = VirtualMeter(100_000, errors, 1e-4, 1), {}
    meter.key = key_of(1, 1)
    tree = TreeSearch(meter, found, np.random.default_rng(1), lambda count: count > 2)
    assert tree.run(0, 100_000) and tree.open
    before = meter.evaluations
    assert tree.go_on(lambda count: meter.evaluations > 20_000)
    assert not tree.open and set(found) == set(errors)
    whole, again = VirtualMeter(100_000, errors, 1e-4, 1), {}
    whole.key = meter.key
    TreeSearch(whole, again, np.random.default_rng(1), lambda count: whole.evaluations > 20_000).run(0, 100_000)
    assert set(again) == set(found) and before < whole.evaluations == meter.evaluations


def test_no_component_is_drawn_where_one_is_known_to_be_right():
    """An interval that holds a right component is not full of wrong ones, however many more are drawn."""
    meter = VirtualMeter(1000, dict.fromkeys(range(100), 1.0), 1e-4, 1)
    tree = TreeSearch(meter, {}, np.random.default_rng(1), lambda count: False)
    node = Node(0, 1000, 1.0, 1.0, failures=3)
    assert not tree._is_dense(node)
    drawn = meter.evaluations
    assert drawn > 0 and not tree._is_dense(node) and meter.evaluations == drawn
    assert tree._is_dense(Node(0, 100, 1.0, 1.0, failures=3))


# ------------------------------------------------------------------------------------------------ regular places


def test_places_separate_wrong_from_right_samples():
    k = np.arange(60)
    wrong = k % 6 == 5
    texts = [p.text for p in separating(k[wrong], k[~wrong], (10, 6))]
    assert texts == ["the last column", "entries k with k % 6 == 5"]
    assert list(separating(k[:2], k[2:], (10, 6))) == []  # too few
    assert is_interval(np.arange(20, 30), np.array([1, 2, 50])) and not is_interval(k[::2], k[1::2])


# ------------------------------------------------------------------------------------------------ planted errors

N = 50_000
BLOCKS = {"first": 20_000, "W": (100, 100), "last": 20_000}
W = slice(20_000, 30_000)


@pytest.fixture(scope="module")
def case():
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=N)
    return x, problems.rosenbrock_gradient(x)


def check(x, gradient, **options):
    return check_directional(problems.rosenbrock_f, x, gradient, threads=1, **options)


def accused(result):
    return sorted(row.index[0] for row in result.components)


@pytest.mark.parametrize("seed", range(8))
def test_one_wrong_component_is_located(case, seed):
    x, g = case
    k = int(np.random.default_rng(seed).integers(N))
    a = g.copy()
    a[k] += np.median(np.abs(g))
    result = check(x, a, rng=seed)
    assert result.verdict is Verdict.MISMATCH
    assert accused(result) == [k]
    assert result.components[0].numerical == pytest.approx(g[k], abs=2 * result.components[0].uncertainty)
    assert result.unexplained is None
    assert result.evaluations <= 250


def test_ten_wrong_components_are_located(case):
    x, g = case
    k = np.random.default_rng(1).choice(N, 10, replace=False)
    a = g.copy()
    a[k] += np.median(np.abs(g))
    result = check(x, a)
    assert accused(result) == sorted(k.tolist())
    assert result.evaluations <= 500


@pytest.mark.parametrize("count", [3, 30, 100])
def test_a_few_among_many_are_listed_and_no_share_is_made_up(case, count):
    """Components that the search finds are no fair sample: the share of wrong ones must not rest on them."""
    x, g = case
    k = np.random.default_rng(count).choice(N, count, replace=False)
    a = g.copy()
    a[k] += np.random.default_rng(0).choice([-1.0, 1.0], count) * np.median(np.abs(g))
    result = check(x, a)
    assert accused(result) == sorted(k.tolist())
    assert [block.density for block in result.blocks] == [None]
    assert result.reason.startswith(f"{count} components are wrong")
    assert result.unexplained is None


@pytest.mark.parametrize("seed", range(4))
def test_the_search_among_a_tenth_of_wrong_ones_ends_soon(case, seed):
    x, g = case
    rng = np.random.default_rng(seed)
    wrong = rng.random(N) < 0.1
    a = np.where(wrong, g * rng.normal(size=N), g)
    result = check(x, a, rng=seed, blocks=BLOCKS)
    assert result.verdict is Verdict.MISMATCH and wrong[accused(result)].all()
    assert result.evaluations <= 3600
    for block in result.blocks:
        assert block.density is None or block.density[0] <= 0.1 <= block.density[1]


def test_an_error_of_a_few_parts_in_a_million_is_located_despite_curvature(case):
    """The even part of a difference is mostly curvature here, and no kink."""
    x, g = case
    a = g.copy()
    a[300] *= 1.0 + 1e-5
    assert accused(check(x, a)) == [300]


@nb.njit
def half_square_f(x):
    return 0.5 * (x * x).sum()


@pytest.mark.parametrize("size", [1e-3, 1e-4, 1e-5])
def test_curvature_is_not_taken_for_a_kink(size):
    """The even part of a difference exceeds the error at all steps, but it shrinks with them."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=100)
        a, k = x.copy(), int(rng.integers(100))
        a[k] += size * np.median(np.abs(x))
        result = check_directional(half_square_f, x, a, rng=seed, threads=1)
        assert result.verdict is Verdict.MISMATCH and accused(result) == [k]


def test_a_component_beside_a_kink_is_not_taken_for_curvature():
    @nb.njit
    def f(x, centre):
        total = 0.0
        for i in range(x.size):
            total += 0.5 * x[i] ** 2 + 1e-4 * abs(x[i] - centre[i])
        return total

    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=300)
        centre = x + 10.0 ** rng.uniform(-9.0, -1.0, x.size) * rng.choice([-1.0, 1.0], x.size)
        g = x + 1e-4 * np.sign(x - centre)
        result = check_directional(f, x, g, args=(centre,), rng=seed, threads=1)
        assert result.verdict is not Verdict.MISMATCH


def test_a_pair_that_cancels_in_sum_is_located(case):
    x, g = case
    a = g.copy()
    a[[300, 40_000]] += [1.0, -1.0]
    assert accused(check(x, a)) == [300, 40_000]


def test_many_scattered_errors_are_summarised(case):
    x, g = case
    rng = np.random.default_rng(2)
    wrong = rng.random(N) < 0.1
    a = np.where(wrong, g * rng.normal(size=N), g)
    result = check(x, a)
    assert result.verdict is Verdict.MISMATCH
    assert wrong[accused(result)].all()
    (block,) = result.blocks
    assert block.density is None or block.density[0] <= 0.1 <= block.density[1]
    assert result.unexplained


def test_a_stretch_of_doubled_entries_is_bounded_exactly(case):
    x, g = case
    a = g.copy()
    a[10_000:22_345] *= 2
    result = check(x, a)
    assert result.blocks[0].place == "entries 10000..22344"
    assert [(c.kind, c.parameter) for c in result.causes] == [("factor", 2.0)]
    assert "entries 10000..22344" in result.causes[0].sentence
    assert result.unexplained is None


def test_every_second_entry_negated_is_a_pattern(case):
    x, g = case
    a = g.copy()
    a[1::2] *= -1
    result = check(x, a)
    assert result.blocks[0].place == "entries k with k % 2 == 1"
    assert [c.kind for c in result.causes] == ["sign"]


def test_a_factor_of_the_whole_gradient_is_named(case):
    x, g = case
    result = check(x, g / 3.0, constants={"batch": 3.0})
    assert [(c.kind, round(c.parameter, 9)) for c in result.causes] == [("factor", round(1 / 3.0, 9))]
    assert "batch" in result.causes[0].sentence
    assert result.unexplained is None and result.evaluations < 250


def test_a_missing_regulariser_is_named(case):
    x, _ = case

    @nb.njit
    def f(x):
        return problems.rosenbrock_f(x) + 0.5 * 3.0 * (x * x).sum()

    result = check_directional(f, x, problems.rosenbrock_gradient(x), constants={"lam": 3.0}, threads=1)
    assert result.verdict is Verdict.MISMATCH
    assert [(c.kind, c.parameter) for c in result.causes] == [("proportional to x", 3.0)]
    assert "lam" in result.causes[0].sentence


PLANTED = {
    "sign": (lambda a: -a, "sign"),
    "factor": (lambda a: 2.0 * a, "factor"),
    "transpose": (lambda a: a.reshape(100, 100).T.ravel(), "transpose"),
    "zero": (lambda a: 0.0 * a, "zero"),
    "shift": (lambda a: np.roll(a, 1), "shift"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_bug_of_a_block_is_located_and_named(case, bug):
    x, g = case
    change, kind = PLANTED[bug]
    a = g.copy()
    a[W] = change(g[W])
    result = check(x, a, blocks=BLOCKS)
    assert result.verdict is Verdict.MISMATCH
    assert [block.name for block in result.blocks] == ["W"]
    assert [c.kind for c in result.causes] == [kind]
    assert "W" in result.causes[0].sentence


def test_swapped_blocks_are_named(case):
    x, g = case
    a = np.concatenate([g[30_000:], g[W], g[:20_000]])
    result = check(x, a, blocks=BLOCKS)
    assert {block.name for block in result.blocks} == {"first", "last"}
    assert [c.kind for c in result.causes] == ["swapped blocks"]


def test_errors_without_a_law_get_no_name(case):
    x, g = case
    a = g.copy()
    a[W] *= 1.0 + 0.3 * np.random.default_rng(5).normal(size=10_000)
    result = check(x, a, blocks=BLOCKS)
    assert result.verdict is Verdict.MISMATCH and [block.name for block in result.blocks] == ["W"]
    assert result.causes == () and result.unexplained
