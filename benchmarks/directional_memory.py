"""Memory and time of a directional check at n = 1e8, in a process of its own.

    nice python -m benchmarks.directional_memory                # 4.0 GB: x, its gradient, and three vectors like them
    nice python -m benchmarks.directional_memory --n 10000000 --wrong

Prints the peak of resident memory beyond what the process had before x was made, in vectors of the size of x; with
--wrong, one component is wrong and has to be found.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from benchmarks.large_objectives import rational_f, rational_gradient
from fastgrad import check_directional

RESULTS = Path(__file__).resolve().parent / "directional_memory.json"


def resident() -> int:
    """Peak of resident memory so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def gradient_in_place(x: np.ndarray) -> np.ndarray:
    """Piece by piece: what this script itself needs must not hide what the check needs."""
    g = np.empty_like(x)
    for start in range(0, x.size, 1 << 20):
        part = slice(start, start + (1 << 20))
        g[part] = rational_gradient(x[part])
    return g


def measure(n: int, is_wrong: bool) -> dict[str, object]:
    small = np.random.default_rng(0).normal(size=1000)
    check_directional(rational_f, small, rational_gradient(small))  # compiles
    before = resident()
    x = np.random.default_rng(1).normal(size=n)
    g = gradient_in_place(x)
    place = n // 3
    if is_wrong:
        g[place] += np.sqrt(np.mean(g[:100_000] ** 2))
    rational_f(x)
    started = time.perf_counter()
    rational_f(x)
    seconds = time.perf_counter() - started
    result = check_directional(rational_f, x, g)
    return {
        "n": n,
        "wrong": is_wrong,
        "verdict": result.verdict.value,
        "located": [row.name for row in result.components] == ([f"x[{place}]"] if is_wrong else []),
        "evaluations": result.evaluations,
        "seconds": round(result.elapsed, 1),
        "seconds of f": round(seconds, 3),
        "seconds of 2 n evaluations": round(2 * n * seconds),
        "threads": result.threads,
        "route": result.executor,
        "peak in GB": round(resident() / 1e9, 2),
        "vectors in all": round((resident() - before) / x.nbytes, 2),
        "component seen": float(f"{result.smallest_component_error:.1e}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000_000)
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument(
        "--save", action="store_true", help="into directional_memory.json, for docs/directional_rates.md"
    )
    options = parser.parse_args()
    record = measure(options.n, options.wrong)
    print(json.dumps(record, indent=2))
    if options.save:
        records = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        kept = [r for r in records if (r["n"], r["wrong"]) != (record["n"], record["wrong"])]
        RESULTS.write_text(json.dumps([*kept, record], indent=2) + "\n")


if __name__ == "__main__":
    main()
