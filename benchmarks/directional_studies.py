"""Studies of directional checks: for each study and kind a function that measures one seed and returns a record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np

from benchmarks.large_objectives import LARGE, RIGHT, Case, problems, rational_f, rational_gradient, rosenbrock
from benchmarks.large_peers import peers
from fastgrad import Verdict, check_directional, check_line_integral
from fastgrad._budget import Budget
from fastgrad._causes.places import Block
from fastgrad._inputs import point_array
from fastgrad._large.probes import Prober, key_of
from fastgrad._large.scales import make_scalings
from fastgrad._objective import prepare as prepare_objective

Record = list[Any]
Measure = Callable[[int], Record]

_N_BUGS = 50_000
_REPEATS = 3


def _timed(f: Callable[..., float], x: np.ndarray, args: tuple) -> float:
    """Seconds of one evaluation, the best of three."""
    f(x, *args)
    best = np.inf
    for _ in range(_REPEATS):
        started = time.perf_counter()
        f(x, *args)
        best = min(best, time.perf_counter() - started)
    return best


# ------------------------------------------------------------------------------------------------- right gradients


def _right(build: Callable[[], Case]) -> Callable[[], Measure]:
    def prepare() -> Measure:
        case = build()

        def measure(seed: int) -> Record:
            x = case.point(np.random.default_rng(seed))
            result = check_directional(case.f, x, case.gradient(x, *case.args), args=case.args, rng=seed)
            return [result.verdict.value, result.evaluations, float(f"{result.smallest_error:.1e}")]

        return measure

    return prepare


def _right_large(build: Callable[[], Case]) -> Callable[[], Measure]:
    def prepare() -> Measure:
        case = build()

        def measure(seed: int) -> Record:
            x = case.point(np.random.default_rng(seed))
            g = case.gradient(x, *case.args)
            if seed == 0:  # compiles
                check_directional(case.f, x, g, args=case.args, localise=False)
            seconds = _timed(case.f, x, case.args)
            result = check_directional(case.f, x, g, args=case.args, rng=seed)
            return [
                result.verdict.value, result.evaluations, float(f"{result.smallest_component_error:.1e}"),
                round(result.elapsed, 3), round(2 * x.size * seconds, 1), result.threads,
            ]  # fmt: skip

        return measure

    return prepare


# ------------------------------------------------------------------------------------------------- planted errors


def _planted(build: Callable[[], Case], count: int, *, opposite: bool = False) -> Callable[[], Measure]:
    """So many components wrong by the median size of a component."""

    def prepare() -> Measure:
        case = build()

        def measure(seed: int) -> Record:
            rng = np.random.default_rng(seed)
            x = case.point(rng)
            g = case.gradient(x, *case.args)
            index = rng.choice(x.size, count, replace=False)
            signs = np.array([1.0, -1.0]) if opposite else rng.choice([1.0, -1.0], count)
            g[index] += signs * np.median(np.abs(g))
            result = check_directional(case.f, x, g, args=case.args, rng=seed)
            accused = {row.index[0] for row in result.components}
            wrong = set(index.tolist())
            is_told = accused == wrong or result.unexplained is not None
            return [result.verdict.value, len(accused & wrong), len(accused - wrong), result.evaluations, is_told]

        return measure

    return prepare


def _planted_on_line(share: float) -> Callable[[], Measure]:
    """One component wrong by a share of the median component, n = 1e6, by the line integral."""

    def prepare() -> Measure:
        case = LARGE["rosenbrock"]()

        def measure(seed: int) -> Record:
            rng = np.random.default_rng(seed)
            x = case.point(rng)
            k = int(rng.integers(x.size))
            size = share * float(np.median(np.abs(case.gradient(x)))) * rng.choice([1.0, -1.0])

            def gradient(point: np.ndarray) -> np.ndarray:
                g = case.gradient(point)
                g[k] += size
                return g

            result = check_line_integral(case.f, x, gradient, rng=seed)
            accused = {row.index[0] for row in result.components}
            found, false = len(accused & {k}), len(accused - {k})
            return [result.verdict.value, found, false, result.evaluations, result.gradient_evaluations]

        return measure

    return prepare


# -------------------------------------------------------------------------------------------------- the list of bugs

BLOCKS = {"first": 20_000, "W": (100, 100), "last": 20_000}
_W = slice(20_000, 30_000)


@nb.njit
def _regularised_f(x):
    return problems.rosenbrock_f(x) + 0.5 * 3.0 * (x * x).sum()


def _regularised_gradient(x: np.ndarray) -> np.ndarray:
    return problems.rosenbrock_gradient(x) + 3.0 * x


def _change_block(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    def apply(g: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        a = g.copy()
        a[_W] = change(g[_W])
        return a

    return apply


def _one(g: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    a = g.copy()
    a[rng.integers(g.size)] += np.median(np.abs(g))
    return a


def _pair(g: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    a = g.copy()
    a[rng.choice(g.size, 2, replace=False)] += np.array([1.0, -1.0]) * np.median(np.abs(g))
    return a


def _tenth(g: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    a = g.copy()
    wrong = rng.random(g.size) < 0.1
    a[wrong] *= 2.0 * rng.random(wrong.sum())
    return a


# Name: (how the gradient goes wrong, kinds of cause that name it; none: there is no law to name).
BUGS: dict[str, tuple[Callable[..., np.ndarray], set[str]]] = {
    "right": (lambda g, x, rng: g, set()),
    "one component wrong": (_one, set()),
    "two that cancel": (_pair, set()),
    "n/10 wrong": (_tenth, set()),
    "all by a factor 2": (lambda g, x, rng: 2.0 * g, {"factor"}),
    "one block transposed": (_change_block(lambda a: a.reshape(100, 100).T.ravel()), {"transpose"}),
    "sign of one block": (_change_block(lambda a: -a), {"sign"}),
    "missing regulariser": (lambda g, x, rng: g - 3.0 * x, {"proportional to x"}),
    "float32 cast inside": (lambda g, x, rng: g.astype(np.float32).astype(np.float64), {"float32"}),
}


def bugs_by_peer() -> dict[str, Callable[[], Measure]]:
    """Each record: for each bug 1 if it was seen; ours besides: named or located, wrongly accused, evaluations."""
    kinds: dict[str, Callable[[], Measure]] = {"fastgrad": lambda: _ours}
    for name, accepts in peers().items():
        kinds[name] = lambda accepts=accepts: (
            lambda seed: [int(not accepts(_regularised_f, x, a, seed)) for x, _, a in _with_bugs(seed)]
        )
    return kinds


def _with_bugs(seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    x = 1.0 + 0.3 * np.random.default_rng(seed).normal(size=_N_BUGS)
    g = _regularised_gradient(x)
    return [(x, g, change(g, x, np.random.default_rng(seed + 1))) for change, _ in BUGS.values()]


def _ours(seed: int) -> Record:
    record = []
    for (_, kinds), (x, g, a) in zip(BUGS.values(), _with_bugs(seed), strict=True):
        result = check_directional(_regularised_f, x, a, blocks=BLOCKS, rng=seed, constants={"lam": 3.0})
        accused = np.array([row.index[0] for row in result.components], dtype=int)
        wrong = np.flatnonzero(a != g)
        named = {cause.kind for cause in result.causes}
        is_named = bool(kinds & named) if kinds else set(accused) == set(wrong) or bool(result.blocks)
        seen = result.verdict is Verdict.MISMATCH or "float32" in named
        record.append([int(seen), int(is_named), int((a[accused] == g[accused]).sum()), result.evaluations])
    return record


# ------------------------------------------------------------------------------------- stated power, cost, the line

_POWER_N = 3000


def _power(build: Callable[[], Case], bars: float, *, spread: bool) -> Callable[[], Measure]:
    """Whether an error of the stated size (times bars) is seen by the directions: [seen]."""

    def prepare() -> Measure:
        case = build()

        def measure(seed: int) -> Record:
            rng = np.random.default_rng(seed)
            x = case.point(rng)
            g = case.gradient(x, *case.args)
            stated = check_directional(case.f, x, g, args=case.args, rng=seed).smallest_error * bars
            scale = np.maximum(np.abs(x), np.median(np.abs(x)))
            error = np.zeros_like(x)
            if spread:
                error = rng.normal(size=x.size) / scale
            else:
                error[rng.integers(x.size)] = rng.choice([1.0, -1.0])
            error *= stated * np.linalg.norm(scale * g) / np.linalg.norm(scale * error)
            result = check_directional(
                case.f, x, g + error, args=case.args, rng=seed, localise=False, rtol=1e-16
            )  # fmt: skip
            return [int(result.verdict is Verdict.MISMATCH)]

        return measure

    return prepare


def _line(problem: problems.Problem) -> Callable[[], Measure]:
    """Disagreement of a right gradient, its verdict, and that of one that is wrong by 1e-9."""

    def check(factor: float, seed: int) -> Any:
        def gradient(x: np.ndarray, *args: object) -> np.ndarray:
            return factor * np.asarray(problem.gradient(x, *args), dtype=np.float64)

        return check_line_integral(problem.f, problem.x, gradient, args=problem.args, rng=seed, localise=False)

    def measure(seed: int) -> Record:
        right, wrong = check(1.0, seed), check(1.0 + 1e-9, seed)
        return [float(f"{right.relative_error:.1e}"), right.verdict.value, wrong.verdict.value]

    return lambda: measure


def _cost(n: int, threads: int) -> Callable[[], Measure]:
    """Seconds: two evaluations of f on one thread, a pair within a check, and two copies; f takes 1 ns per element."""

    def prepare() -> Measure:
        x = np.random.default_rng(0).normal(size=n)
        g = rational_gradient(x)
        check_directional(rational_f, x[:100], g[:100], threads=threads)
        point, copies = point_array(x), np.zeros((2, n))
        prober = Prober(prepare_objective(rational_f, point, ()), point, g, threads=threads, budget=Budget())
        scaling = make_scalings(point, (Block("", 0, (n,)),), None)[0]
        step = np.array([1e-3])

        def measure(seed: int) -> Record:
            prober.pairs(scaling, [key_of(seed, 1)], step)
            pair, two, copy = [], [], []
            for k in range(8):  # by turns, because the machine does not run evenly
                started = time.perf_counter()
                rational_f(x), rational_f(x)
                two.append(time.perf_counter() - started)
                started = time.perf_counter()
                prober.pairs(scaling, [key_of(seed, k)], step)
                pair.append(time.perf_counter() - started)
                started = time.perf_counter()
                np.copyto(copies[0], x), np.copyto(copies[1], g)
                copy.append(time.perf_counter() - started)
            return [round(min(two), 6), round(min(pair), 6), round(min(copy), 6)]

        return measure

    return prepare


STUDIES: dict[str, dict[str, Callable[[], Measure]]] = {
    "right": {kind: _right(build) for kind, build in RIGHT.items()},
    "large": {kind: _right_large(build) for kind, build in LARGE.items()},
    "planted": {
        "Rosenbrock, 1 wrong": _planted(LARGE["rosenbrock"], 1),
        "Lennard-Jones, 1 wrong": _planted(LARGE["lennard-jones"], 1),
        "Rosenbrock, 2 that cancel": _planted(LARGE["rosenbrock"], 2, opposite=True),
        "Rosenbrock, 10 wrong": _planted(LARGE["rosenbrock"], 10),
        "Rosenbrock, 100 wrong": _planted(LARGE["rosenbrock"], 100),
    },
    "planted on a line": {"Rosenbrock, 1 wrong by 1e-2": _planted_on_line(1e-2)},
    "bugs": bugs_by_peer(),
    "power": {
        f"{name}, {'all components' if spread else 'one component'}": _power(build, 1.0, spread=spread)
        for name, build in {
            "Rosenbrock": lambda: rosenbrock(_POWER_N),
            "tanh network": RIGHT["tanh"],
            "Lennard-Jones": RIGHT["lennard-jones"],
        }.items()
        for spread in (False, True)
    },
    "cost": {f"{threads} thread{'s' * (threads > 1)}": _cost(10_000_000, threads) for threads in (1, 2)},
    "line": {build.__name__: (lambda build=build: _line(build())()) for build in problems.BUILDERS},
}
