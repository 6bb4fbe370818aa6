"""How often directional checks are right, what they cost, and what the fast modes of others see.

    python -m benchmarks.directional_rates --study right --kind rosenbrock --count 200
    python -m benchmarks.directional_rates --list           # studies, kinds, and how many seeds each has
    python -m benchmarks.directional_rates --write          # makes docs/directional_rates.md of what there is

Each run adds the next `count` seeds of one kind to a JSON file, so the tables can be filled in parts, by several
runs one after the other, with ``nice`` and NUMBA_NUM_THREADS=1 where only counts matter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import directional_studies as studies
from benchmarks.directional_tables import page

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "directional_rates.json"
MEMORY = ROOT / "benchmarks" / "directional_memory.json"
PAGE = ROOT / "docs" / "directional_rates.md"


def load(path: Path) -> dict[str, dict[str, list[Any]]]:
    """Records by study and kind, one per seed."""
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: Path, results: dict[str, dict[str, list[Any]]]) -> None:
    lines = [
        f'"{study}": {{\n'
        + ",\n".join(f'  "{kind}": {json.dumps(rows, separators=(",", ":"))}' for kind, rows in sorted(kinds.items()))
        + "\n}"
        for study, kinds in sorted(results.items())
    ]
    partial = path.with_suffix(".partial")
    partial.write_text("{" + ",\n".join(lines) + "}\n")
    os.replace(partial, path)


def run(path: Path, study: str, kind: str, count: int, seconds: float, first: int) -> None:
    """Add records of further seeds, saved every ten seconds, until `count` are added or the time is over."""
    measure = studies.STUDIES[study][kind]()
    begin = first + len(load(path).get(study, {}).get(kind, []))
    started = saved = time.perf_counter()
    fresh: list[Any] = []
    for seed in range(begin, begin + count):
        fresh.append(measure(seed))
        now = time.perf_counter()
        if now - saved > 10.0 or now - started > seconds or seed == begin + count - 1:
            results = load(path)
            results.setdefault(study, {}).setdefault(kind, []).extend(fresh)
            save(path, results)
            saved, fresh = now, []
            print(f"{study} {kind}: {len(results[study][kind])} seeds", flush=True)
        if now - started > seconds:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=sorted(studies.STUDIES))
    parser.add_argument("--kind", help="default: all of the study, one after the other")
    parser.add_argument("--count", type=int, default=10, help="further seeds of each kind")
    parser.add_argument("--upto", type=int, help="seeds that each kind shall have in the end, instead of --count")
    parser.add_argument("--first", type=int, default=0, help="seed of the first record")
    parser.add_argument("--seconds", type=float, default=1e9, help="no new seed of a kind after this time")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.list:
        results = load(options.results)
        for study, kinds in studies.STUDIES.items():
            print(study, {kind: len(results.get(study, {}).get(kind, [])) for kind in kinds})
    if options.study:
        for kind in [options.kind] if options.kind else studies.STUDIES[options.study]:
            done = len(load(options.results).get(options.study, {}).get(kind, []))
            count = options.count if options.upto is None else options.upto - done
            if count > 0:
                run(options.results, options.study, kind, count, options.seconds, options.first)
    if options.write:
        of_memory = json.loads(MEMORY.read_text()) if MEMORY.exists() else []
        PAGE.write_text(page(load(options.results), of_memory))
        print(f"written: {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()
