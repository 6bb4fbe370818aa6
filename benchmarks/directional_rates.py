"""How often directional checks are right, what they cost, and what the fast modes of others see.

    python -m benchmarks.directional_rates            # the full table (about an hour on two cores)
    python -m benchmarks.directional_rates --quick    # a tenth of the seeds, n of at most 1e5

Writes docs/directional_rates.md between its markers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np

from fastgrad import LineIntegralCheck, Verdict, check_directional, check_line_integral

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import problems  # noqa: E402

PAGE = ROOT / "docs" / "directional_rates.md"
BEGIN, END = "<!-- directional rates: written by benchmarks/directional_rates.py -->", "<!-- end -->"


@nb.njit
def separable_f(x):
    total = 0.0
    for value in x:
        total += np.sqrt(1.0 + value * value) + 0.05 * value**4
    return total


@nb.njit
def separable_gradient(x):
    return x / np.sqrt(1.0 + x * x) + 0.2 * x**3


@nb.njit
def quadratic_f(x, weights, u):
    """x.Hx / 2, H a reflected diagonal matrix of condition number 1e8: dense, but cheap."""
    reach = 2.0 * (u * x).sum()
    total = 0.0
    for i in range(x.size):
        total += 0.5 * weights[i] * (x[i] - u[i] * reach) ** 2
    return total


@nb.njit
def quadratic_gradient(x, weights, u):
    z = weights * (x - 2.0 * u * (u * x).sum())
    return z - 2.0 * u * (u * z).sum()


@dataclass(frozen=True)
class Case:
    name: str
    f: Callable[..., float]
    gradient: Callable[..., np.ndarray]
    point: Callable[[np.random.Generator], np.ndarray]
    args: tuple = ()


def cases(most: int) -> Iterator[Case]:
    n = min(30_000, most)
    yield Case(f"separable, n = {n}", separable_f, separable_gradient, lambda r: r.normal(size=n))
    rosenbrock = problems.rosenbrock_f, problems.rosenbrock_gradient
    yield Case(f"Rosenbrock, n = {n}", *rosenbrock, lambda r: 1.0 + 0.3 * r.normal(size=n))
    rng = np.random.default_rng(0)
    u = rng.normal(size=n)
    args = rng.permutation(np.logspace(0, 8, n)), u / np.linalg.norm(u)
    yield Case(f"quadratic, condition 1e8, n = {n}", quadratic_f, quadratic_gradient, lambda r: r.normal(size=n), args)
    for build in (problems.logistic_regression, problems.tanh_network, problems.relu_network,
                  problems.lennard_jones, problems.pde_least_squares, problems.heat_equation):  # fmt: skip
        p = build()

        def near(r: np.random.Generator, x: np.ndarray = p.x) -> np.ndarray:
            return x * (1.0 + 0.01 * r.normal(size=x.shape))

        yield Case(f"{p.name}, n = {p.x.size}", p.f, p.gradient, near, p.args)


def right_gradients(seeds: int, most: int) -> list[str]:
    rows = [
        "| right gradients | seeds | match | mismatch | inconclusive | evaluations | smallest E seen (median) |",
        "|---|" * 1,
    ]
    rows[1] = "|---|---|---|---|---|---|---|"
    for case in cases(most):
        counts: Counter[Verdict] = Counter()
        spent, floors = [], []
        for seed in range(seeds):
            x = case.point(np.random.default_rng(seed))
            right = np.asarray(case.gradient(x, *case.args), dtype=np.float64)
            result = check_directional(case.f, x, right, args=case.args, rng=seed)
            counts[result.verdict] += 1
            spent.append(result.evaluations)
            floors.append(result.smallest_error)
        numbers = [counts[v] for v in (Verdict.MATCH, Verdict.MISMATCH, Verdict.INCONCLUSIVE)]
        cells = [case.name, seeds, *numbers, int(np.median(spent)), f"{np.median(floors):.0e}"]
        rows.append(f"| {' | '.join(map(str, cells))} |")
        print(rows[-1], flush=True)
    return rows


def planted(seeds: int, n: int) -> list[str]:
    rows = [
        f"| Rosenbrock, n = {n} | seeds | mismatch | located exactly | wrong ones accused | evaluations (most) |",
        "|---|---|---|---|---|---|",
    ]
    for count, size in ((1, 1.0), (2, 1.0), (10, 1.0), (100, 1.0)):
        number = seeds if count < 100 else max(2, seeds // 10)
        rows.append(_planted_row(number, n, count, size))
        print(rows[-1], flush=True)
    return rows


def _planted_row(seeds: int, n: int, count: int, size: float) -> str:
    seen = exact = false = 0
    spent = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        x = 1.0 + 0.3 * rng.normal(size=n)
        gradient = problems.rosenbrock_gradient(x)
        index = rng.choice(n, count, replace=False)
        signs = np.array([1.0, -1.0]) if count == 2 else rng.choice([1.0, -1.0], count)
        gradient[index] += signs * size * np.median(np.abs(gradient))
        result = check_directional(problems.rosenbrock_f, x, gradient, rng=seed)
        accused = {row.index[0] for row in result.components}
        seen += result.verdict is Verdict.MISMATCH
        exact += accused == set(index.tolist())
        false += len(accused - set(index.tolist()))
        spent.append(result.evaluations)
    name = f"{count} wrong" + (", opposite" if count == 2 else "")
    return f"| {name} | {seeds} | {seen} | {exact} | {false} | {int(np.median(spent))} ({max(spent)}) |"


def fast_modes(n: int, seeds: int) -> list[str]:
    """The rules of others, by their formulas: one direction each, their steps and tolerances."""
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=n)
    g = problems.rosenbrock_gradient(x)
    one = g.copy()
    one[n // 3] *= 2.0
    pair = g.copy()
    pair[[10, n // 2]] += [1.0, -1.0]
    tenth = g.copy()
    tenth[n // 4 : n // 4 + n // 10] *= 2.0
    bugs = {"right": g, "one of n doubled": one, "two that cancel": pair, "n/10 doubled": tenth, "all doubled": 2 * g}
    rows = [
        "| seen in | fastgrad | torch fast mode (rule) | scipy random (rule, 1e-4) | jax (rule) |",
        "|---|---|---|---|---|",
    ]
    for name, a in bugs.items():
        ours = [check_directional(problems.rosenbrock_f, x, a, rng=s, localise=False).verdict for s in range(seeds)]
        counts = [sum(v is Verdict.MISMATCH for v in ours)]
        counts += [sum(rule(x, a, np.random.default_rng(s)) for s in range(seeds)) for rule in (_torch, _scipy, _jax)]
        rows.append(f"| {name} | {' | '.join(f'{c} of {seeds}' for c in counts)} |")
        print(rows[-1], flush=True)
    return rows


def _central(x: np.ndarray, v: np.ndarray, h: float) -> float:
    return (problems.rosenbrock_f(x + h * v) - problems.rosenbrock_f(x - h * v)) / (2.0 * h)


def _torch(x: np.ndarray, a: np.ndarray, rng: np.random.Generator) -> bool:
    """gradcheck(fast_mode=True): one positive unit direction, eps 1e-6, rtol 1e-3, atol 1e-5 times sum(u)."""
    u = rng.random(x.size)
    u /= np.linalg.norm(u)
    numerical, analytical = _central(x, u, 1e-6), float(a @ u)
    return not abs(numerical - analytical) <= 1e-5 * u.sum() + 1e-3 * abs(analytical)


def _scipy(x: np.ndarray, a: np.ndarray, rng: np.random.Generator) -> bool:
    """check_grad(direction="random"): one normal direction, forward, step 1.5e-8; judged relative to a . v."""
    v = rng.normal(size=x.size)
    numerical = (problems.rosenbrock_f(x + 1.49e-8 * v) - problems.rosenbrock_f(x)) / 1.49e-8
    return not abs(numerical - float(a @ v)) <= 1e-4 * abs(float(a @ v))


def _jax(x: np.ndarray, a: np.ndarray, rng: np.random.Generator) -> bool:
    """check_grads in float64: one normal direction, eps 1e-6, atol = rtol = 1e-5."""
    v = rng.normal(size=x.size)
    numerical, analytical = _central(x, v, 1e-6), float(a @ v)
    return not abs(numerical - analytical) <= 1e-5 + 1e-5 * abs(numerical)


def costs(n: int) -> list[str]:
    rows = [f"| one direction, n = {n} | seconds |", "|---|---|"]
    x = 1.0 + 0.3 * np.random.default_rng(0).normal(size=n)
    gradient = problems.rosenbrock_gradient(x)
    problems.rosenbrock_f(x)
    start = time.perf_counter()
    for _ in range(6):
        problems.rosenbrock_f(x)
    f_seconds = (time.perf_counter() - start) / 6
    check_directional(problems.rosenbrock_f, x[:100], gradient[:100], localise=False)
    result = check_directional(problems.rosenbrock_f, x, gradient)
    pair = 2.0 * result.elapsed / result.evaluations
    rows += [
        f"| two evaluations of f | {2 * f_seconds:.4f} |",
        f"| one pair within a check on {result.threads} threads | {pair:.4f} |",
        f"| the whole check, {result.evaluations} evaluations | {result.elapsed:.3g} |",
        f"| 2 n evaluations would take | {2 * n * f_seconds:.3g} |",
    ]
    print("\n".join(rows), flush=True)
    return rows


def line_integrals(seeds: int) -> list[str]:
    rows = ["| line integral | largest disagreement | right: match | 1 + 1e-9: mismatch |", "|---|---|---|---|"]
    for build in problems.BUILDERS:
        p = build()
        right, wrong, largest = 0, 0, 0.0
        for seed in range(seeds):
            results = [_line(p, 1.0, seed), _line(p, 1.0 + 1e-9, seed)]
            right += results[0].verdict is Verdict.MATCH
            wrong += results[1].verdict is Verdict.MISMATCH
            largest = max(largest, results[0].relative_error)
        rows.append(f"| {p.name} | {largest:.0e} | {right} of {seeds} | {wrong} of {seeds} |")
        print(rows[-1], flush=True)
    return rows


def _line(p: problems.Problem, factor: float, seed: int) -> LineIntegralCheck:
    def gradient(x: np.ndarray, *args: object) -> np.ndarray:
        return factor * np.asarray(p.gradient(x, *args), dtype=np.float64)

    return check_line_integral(p.f, p.x, gradient, args=p.args, rng=seed, localise=False)


def write(tables: list[list[str]]) -> None:
    text = "\n\n".join("\n".join(rows) for rows in tables)
    page = PAGE.read_text() if PAGE.exists() else f"# Directional checks, measured\n\n{BEGIN}\n{END}\n"
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    seeds, n = (30, 100_000) if quick else (1000, 1_000_000)
    few = 10 if quick else 100
    write([
        right_gradients(seeds, 10_000 if quick else 30_000), planted(few, n), fast_modes(n, few), costs(n),
        line_integrals(3 if quick else 20),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
