"""How often is a verdict on an entry of a Jacobian wrong? Random right and wrong matrices in seven kinds of trouble.

    python -m benchmarks.jacobian_rates                    # into docs/verdict_rates.md
    python -m benchmarks.jacobian_rates --count 40 --print # to standard output

Row j of F is A_j (sum_i W_ji phi_ji(x_i) + C_j) (1 + noise), rounded to multiples of a grain; three tenths of the
weights are zero. Functions, their derivatives in 60 digits and the noise are those of `random_suite`.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numba as nb
import numpy as np

from benchmarks.markdown import ROOT, insert, percent, table
from benchmarks.random_suite import FAMILIES, hash_noise, phi, slope
from fastgrad import Flag, Verdict, check_jacobian

KINDS = ("plain", "scale", "offset", "noise", "float32", "mix", "steps")
SHAPES = ((1, 1), (3, 2), (8, 8), (20, 5))
_LOW, _HIGH = 0.3, 0.8  # x, inside the domains of most families
_INSIDE = [k for k, family in enumerate(FAMILIES) if family.low <= _LOW and family.high >= _HIGH]


@nb.njit
def rows(x, out, family, weight, amplitude, offset, level, seed, rounded, grain):
    """F, in float32 throughout if `rounded`."""
    for j in range(weight.shape[0]):
        total = 0.0
        for i in range(x.size):
            if weight[j, i] != 0.0 and rounded:
                total += np.float64(np.float32(weight[j, i]) * phi(family[j, i], np.float32(x[i])))
            elif weight[j, i] != 0.0:
                total += weight[j, i] * phi(family[j, i], x[i])
        value = amplitude[j] * (total + offset[j])
        if rounded:
            value = np.float64(np.float32(value))
        value *= 1.0 + level[j] * hash_noise(x, seed + j)
        out[j] = math.floor(value / grain[j] + 0.5) * grain[j] if grain[j] > 0.0 else value


@dataclass(frozen=True)
class Matrix:
    """A point, the arguments of `rows`, the true Jacobian there, and one with a wrong entry."""

    x: np.ndarray
    args: tuple[Any, ...]
    right: np.ndarray
    wrong: np.ndarray
    entry: tuple[int, int]


def make_matrix(kind: str, number: int, seed: int, rtol: float) -> Matrix:
    """Matrix `number` of a kind: the same at every call."""
    rng = np.random.default_rng([seed, KINDS.index(kind), number])
    m, n = SHAPES[number % len(SHAPES)]
    x = rng.uniform(_LOW, _HIGH, n)
    family = rng.choice(_INSIDE, size=(m, n))
    weight = rng.normal(size=(m, n)) * (rng.random((m, n)) < 0.7)
    weight[0, 0] = weight[0, 0] or 1.0
    rarely = {"mix": 0.3}.get(kind, 1.0)
    amplitude, offset, level, grain = np.ones(m), np.zeros(m), np.zeros(m), np.zeros(m)
    if kind in ("scale", "mix"):
        amplitude = 10.0 ** rng.uniform(-8, 8, m)
    if kind in ("offset", "mix") and rng.random() < rarely:
        offset = 10.0 ** rng.uniform(0, 10, m)
    if kind in ("noise", "mix") and rng.random() < rarely:
        level = 10.0 ** rng.uniform(-14, -3, m)
    args = (family, weight, amplitude, offset, level, int(rng.integers(1000)), kind == "float32", grain)
    if kind == "steps":
        value = np.empty(m)
        rows(x, value, *args)
        args = (*args[:-1], np.maximum(np.abs(value), 1e-3) * 10.0 ** rng.uniform(-12, -3, m))
    right = np.zeros((m, n))
    for j, i in np.argwhere(weight != 0.0):
        right[j, i] = float(weight[j, i] * amplitude[j] * slope(FAMILIES[family[j, i]], x[i], 1.0))
    j, i = rng.choice(np.argwhere(right != 0.0))
    gross = rng.random() < 0.25
    delta = rng.choice([-2.0, -1.0, 1.0]) if gross else 10.0 ** rng.uniform(math.log10(2.5 * rtol), 0.0)
    wrong = right.copy()
    wrong[j, i] *= 1.0 + delta
    return Matrix(x, args, right, wrong, (int(j), int(i)))


def study(kind: str, count: int, seed: int) -> Counter[str]:
    """Verdicts on right and wrong matrices; entries whose bar misses the truth."""
    rtol = 1e-3 if kind == "float32" else 1e-5
    counts: Counter[str] = Counter()
    for number in range(count):
        matrix = make_matrix(kind, number, seed, rtol)
        found = check_jacobian(rows, matrix.x, matrix.right, args=matrix.args, rtol=rtol, threads=1)
        counts[f"right {found.verdict.value}"] += 1
        counts["entries"] += matrix.right.size
        counts["outside"] += np.count_nonzero(np.abs(found.estimate - matrix.right) > found.uncertainty)
        found = check_jacobian(rows, matrix.x, matrix.wrong, args=matrix.args, rtol=rtol, threads=1)
        accused = found.verdicts == Verdict.MISMATCH
        counts["caught"] += accused[matrix.entry]
        counts["right entries accused"] += np.count_nonzero(accused) - accused[matrix.entry]
        if found.verdicts[matrix.entry] is Verdict.MATCH:
            counts["too small" if found.flags[matrix.entry] & Flag.ABSOLUTE else "false match"] += 1
    return counts


def rates_table(found: dict[str, Counter[str]], count: int) -> str:
    header = (
        "kind", "right: match", "mismatch", "inconclusive", "wrong: entry caught", "false matches",
        "accepted as too small, openly", "right entries accused", "truth inside bar",
    )  # fmt: skip
    lines = [
        (
            kind,
            percent(c[f"right {Verdict.MATCH.value}"], count),
            str(c[f"right {Verdict.MISMATCH.value}"]),
            percent(c[f"right {Verdict.INCONCLUSIVE.value}"], count),
            percent(c["caught"], count),
            str(c["false match"]),
            str(c["too small"]),
            str(c["right entries accused"]),
            percent(c["entries"] - c["outside"], c["entries"]),
        )
        for kind, c in found.items()
    ]
    return table(header, lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Rates of right and wrong verdicts on Jacobians.")
    parser.add_argument("--count", type=int, default=1000, help="matrices of each kind, of four shapes in turn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--print", action="store_true", help="to standard output")
    given = parser.parse_args(arguments)
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        futures = {kind: pool.submit(study, kind, given.count, given.seed) for kind in KINDS}
        text = rates_table({kind: future.result() for kind, future in futures.items()}, given.count)
    text = f"{given.count} right and {given.count} wrong matrices of each kind, seed {given.seed}.\n\n{text}"
    print(text)
    if not given.print:
        insert(ROOT / "docs" / "verdict_rates.md", "jacobians", text)


if __name__ == "__main__":
    main()
