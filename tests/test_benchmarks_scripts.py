"""The studies under benchmarks/ measure what they say: truths, rules of others, counting, tables."""

from __future__ import annotations

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastgrad import Verdict

for package in ("mpmath", "scipy", "numdifftools", "jacobi"):
    pytest.importorskip(package)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
markdown, peer_rules, random_suite, tables, verdict_study, verdict_rates, sweep_rates, jacobian_rates = (
    importlib.import_module(f"benchmarks.{name}")
    for name in (
        "markdown",
        "peer_rules",
        "random_suite",
        "tables",
        "verdict_study",
        "verdict_rates",
        "sweep_rates",
        "jacobian_rates",
    )
)


@pytest.mark.parametrize("k", range(len(random_suite.FAMILIES)), ids=lambda k: random_suite.FAMILIES[k].name)
def test_compiled_families_agree_with_their_exact_forms(k):
    family = random_suite.FAMILIES[k]
    for z in np.linspace(family.low, family.high, 24)[1:-1]:
        exact = float(family.exact(random_suite._mp.mpf(float(z))))
        assert random_suite.phi(k, float(z)) == pytest.approx(exact, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("kind", ["plain", "scale", "float32 x"])
def test_truth_agrees_with_a_difference(kind):
    for number in range(20):
        problem = random_suite.make_problem(kind, 1, number)
        x = problem.x.astype(np.float64)
        h = 1e-6 * abs(x)
        above, below = (random_suite.objective(point, *problem.args) for point in (x + h, x - h))
        size = abs(float(problem.args[2] / problem.args[1][0]))  # of a slope in this problem
        assert (above - below) / (2 * h[0]) == pytest.approx(problem.gradient[0], rel=1e-3, abs=1e-3 * size)


def test_problems_repeat_and_differ():
    once, again = (random_suite.make_problem("mix", 32, 5) for _ in range(2))
    assert once.x.tobytes() == again.x.tobytes() and once.gradient.tobytes() == again.gradient.tobytes()
    assert not np.array_equal(once.x, random_suite.make_problem("mix", 32, 6).x)
    assert not np.array_equal(once.x, random_suite.make_problem("mix", 32, 5, seed=2).x)


def test_noise_depends_on_every_bit_of_x():
    x = np.random.default_rng(0).normal(size=40)
    moved = np.tile(x, (40, 1))
    moved[np.diag_indices(40)] = np.nextafter(x, np.inf)
    values = [random_suite.hash_noise(row, 3) for row in [x, *moved]]
    assert len(set(values)) == 41
    assert -1.0 <= min(values) and max(values) < 1.0 and np.std(values) == pytest.approx(3**-0.5, rel=0.2)


def test_a_component_below_the_noise_is_hidden():
    def problem(level):
        family = np.array([family_number("power_tower"), family_number("chirp")])
        args = (family, np.ones(2), 1.0, 0.0, level, 3, False, 0.0)
        x = np.array([4.0, 1.7])
        gradient = np.array([256.0 * (np.log(4.0) + 1.0), 60.0 * x[1] * np.cos(30.0 * x[1] ** 2)])
        return random_suite.Problem("noise", 2, 0, ("power_tower", "chirp"), x, args, gradient)

    # f is about 256, so a relative noise of 1e-2 is larger than the oscillation of size 1.
    assert random_suite.is_visible(problem(1e-8), 1)
    assert not random_suite.is_visible(problem(1e-2), 1)


def family_number(name):
    return [family.name for family in random_suite.FAMILIES].index(name)


def test_spoiling_changes_one_component():
    problem = random_suite.make_problem("plain", 32, 1)
    gradient, which, delta = random_suite.spoil(problem, 1e-7)
    assert np.flatnonzero(gradient != problem.gradient).tolist() == [which]
    assert gradient[which] == problem.gradient[which] * (1.0 + delta)


@pytest.mark.parametrize("name", peer_rules.RULES)
def test_rules_accept_right_and_reject_wrong(name):
    x = np.array([0.3, -0.7, 1.1])
    accept = peer_rules.judge(peer_rules.RULES[name], lambda x: float(np.sin(x).sum()), x, np.cos(x))
    reject = peer_rules.judge(peer_rules.RULES[name], lambda x: float(np.sin(x).sum()), x, 1.1 * np.cos(x))
    assert accept[0] and not reject[0]
    assert accept[1] >= 4


def test_a_rule_that_fails_does_not_accept():
    def fail(f, x, gradient):
        raise ValueError

    assert peer_rules.judge(fail, float, np.ones(1), np.ones(1)) == (False, 0)


def test_torch_rule_is_the_documented_closeness():
    # For f = 3 x the difference is 3 to nine digits: accepted within 1e-5 + 1e-3 * 3.
    for value, accepted in ((3.003, True), (3.00302, False)):
        given = peer_rules.torch_gradcheck(lambda x: 3.0 * float(x[0]), np.array([1.0]), np.array([value]))
        assert given is accepted


def test_study_counts_and_finds_nothing_false_in_plain_problems():
    tally = verdict_study.study("plain", 1, "default", range(5), 1)
    assert tally.right[Verdict.MATCH] == 5 and tally.false_verdicts == []
    assert sum(tally.wrong.values()) == 5 and len(tally.evaluations) == 5


def test_closer_looks_are_counted_and_the_check_is_the_same():
    problem = random_suite.make_problem("scale", 32, 3)
    plain = verdict_study.check(problem, problem.gradient, "default")
    with verdict_study.counted_looks() as costs:
        counted = verdict_study.check(problem, problem.gradient, "default")
    assert counted.evaluations == plain.evaluations
    assert costs and all(cost >= 2 for cost in costs.values())
    assert sum(costs.values()) <= counted.evaluations - 2 * 32
    with verdict_study.counted_looks() as costs:
        pass
    assert costs == {}


def test_the_table_of_the_cheapest_check_counts():
    tally = verdict_study.study("plain", 16, "default", range(4), 1)
    (row,) = verdict_rates.cheap_table({("plain", 16): tally}).splitlines()[2:]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["plain", "16", "35"] and float(cells[3]) <= 35
    assert cells[6:8] == ["4", "0"] and cells[-1] == "0"
    assert "wrong components" in verdict_rates.look_table({(16, "plain", "default"): tally})


@pytest.mark.parametrize("kind", ["right", "wrong", "imprecise", "kinked"])
def test_sweeps_are_asked_what_is_known(kind):
    case = sweep_rates.make_case(kind, 1, 1)
    asked = sweep_rates.judge(case)
    assert asked["right or wrong"]
    assert math.isnan(case.floor) == (kind in ("right", "kinked")) and math.isnan(case.kink) == (kind != "kinked")
    # The right gradient of a smooth function entered as one with a floor, or with a kink, is found out.
    if kind == "right":
        other = replace(case, floor=0.1)
        assert not sweep_rates.judge(other)["right or wrong"]


def test_study_notices_false_verdicts():
    """A verdict on the right gradient entered as one on a wrong one, and the other way round."""
    problem = random_suite.make_problem("plain", 1, 0)
    wrong = 1.5 * problem.gradient
    accepted = verdict_study.check(problem, problem.gradient, "default")
    accused = verdict_study.check(problem, wrong, "default")
    tally = verdict_study.Tally()
    verdict_study._see(tally, problem, wrong, accepted, "")
    verdict_study._see(tally, problem, problem.gradient, accused, "")
    first, second = tally.false_verdicts
    assert first.startswith("false match of component 0") and second.startswith("false mismatch of component 0")
    assert "plain 1 0" in first


def test_wrong_gradients_below_two_rtol_are_not_counted_as_missed():
    peer = verdict_study.PeerTally()
    peer.enter_wrong(0.5, True)
    peer.enter_wrong(0.05, False)
    peer.enter_wrong(1e-6, True)
    assert peer.wrong == {0.01: 2, 0.1: 1} and peer.accepted == {0.01: 1, 0.1: 1}


def test_tables_are_inserted_between_markers(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter\n")
    assert markdown.insert(path, "a", markdown.table(("x", "y"), [("1", "2")]))
    assert path.read_text() == (
        "before\n<!-- a:begin -->\n| x | y |\n| :-- | --: |\n| 1 | 2 |\n<!-- a:end -->\nafter\n"
    )
    assert not markdown.insert(path, "b", "nothing") and not markdown.insert(tmp_path / "missing.md", "a", "nothing")


def test_shares_never_round_to_all_or_nothing():
    assert (
        markdown.percent(5000, 5000) == "100 %" and markdown.percent(0, 5000) == "0 %" and markdown.percent(0, 0) == "-"
    )
    assert markdown.percent(4999, 5000) == "99.98 %" and markdown.percent(1, 5000) == "0.02 %"
    assert markdown.significant(1234.5) == "1230" and markdown.significant(2.5e-5) == "2.5e-05"


def test_speed_table_says_what_is_met():
    rows = [
        {"measure": "a", "measured": 1.04, "reach": 1.05, "unit": ""},
        {"measure": "b", "measured": 4.0, "reach": 3.0, "unit": "us"},
        {"measure": "c", "measured": 4.0, "reach": None, "unit": "us"},
    ]
    text = tables.speed_table({"benchmarks": [{"extra_info": {"rows": rows}}, {"extra_info": {}}]})
    assert text.splitlines()[2:] == [
        "| a | 1.04 | <= 1.05 | yes |",
        "| b | 4 us | <= 3 us | no |",
        "| c | 4 us |  |  |",
    ]


def test_peers_sentence_names_where_we_are_first():
    def peers(size, ours, kernel, other):
        seconds = {"numerical_gradient": ours, "prepared kernel": kernel, "check_gradient": 9.0, "other": other}
        return {"extra_info": {"peers": {"size": size, "seconds": seconds}}}

    result = {"benchmarks": [peers(47, 2e-3, 1e-3, 3e-3), peers(2, 2e-3, 1e-6, 1e-3)]}
    assert "numerical_gradient is faster than all others at n = 47;" in tables.peers_sentence(result)
    assert "prepared kernel is faster than all others at n = 2, 47." in tables.peers_sentence(result)
    assert tables.peers_table(result).splitlines()[0] == "|  | n = 2 | n = 47 |"


@pytest.mark.parametrize("workers", [2, 100, 1000])
def test_tasks_are_long_enough_for_one_sender_to_feed_all_workers(workers):
    from benchmarks.executors import simulated
    from fastgrad._remote import task_seconds

    share = simulated(workers, 1000 * workers, 0.05, sending=0.002, slice_seconds=task_seconds(workers))
    assert share > 0.9
    assert workers < 1000 or simulated(workers, 1000 * workers, 0.05, sending=0.002, slice_seconds=0.5) < 0.5


def test_jacobians_of_the_study_are_right():
    for kind in ("plain", "offset", "mix"):
        matrix = jacobian_rates.make_matrix(kind, 2, 1, 1e-5)
        quiet = (*matrix.args[:4], np.zeros(8), *matrix.args[5:])
        above, below = np.empty((2, 8))
        i, h = matrix.entry[1], 1e-4
        step = np.eye(8)[i] * h
        jacobian_rates.rows(matrix.x + step, above, *quiet)
        jacobian_rates.rows(matrix.x - step, below, *quiet)
        rounding = 4e-16 * (10.0 + np.abs(matrix.args[3])) / h
        allowed = matrix.args[2] * (1e-4 + rounding)
        assert np.all(np.abs((above - below) / (2 * h) - matrix.right[:, i]) <= allowed)
        assert np.argwhere(matrix.wrong != matrix.right).tolist() == [list(matrix.entry)]


def test_the_study_of_jacobians_counts(monkeypatch):
    """A wrong matrix entered as a right one, and a right one as wrong, are noticed."""
    found = jacobian_rates.study("plain", 4, 1)
    assert found["right match"] == found["caught"] == 4 and found["false match"] == 0
    assert "| plain | 100 % | 0 | 0 % | 100 % | 0 |" in jacobian_rates.rates_table({"plain": found}, 4)
    make = jacobian_rates.make_matrix
    swapped = {"right": "wrong", "wrong": "right"}
    monkeypatch.setattr(
        jacobian_rates,
        "make_matrix",
        lambda *a: replace(make(*a), **{new: getattr(make(*a), old) for new, old in swapped.items()}),
    )
    found = jacobian_rates.study("plain", 4, 1)
    assert found["right mismatch"] == found["false match"] + found["too small"] == 4
