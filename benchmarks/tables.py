"""Run the benchmarks and write their tables into docs/benchmarks.md and README.md.

python -m benchmarks.tables                     # run everything, then write
python -m benchmarks.tables --from result.json  # write from a saved pytest-benchmark result
python -m benchmarks.tables --print             # run, and print instead of writing
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.markdown import ROOT, insert, machine, significant, table

_COMMAND = [sys.executable, "-m", "pytest", "benchmarks", "-o", "python_files=bench_*.py", "-q"]


def run_benchmarks() -> dict[str, Any]:
    """All benchmarks in one pytest session."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        subprocess.run([*_COMMAND, f"--benchmark-json={path}"], cwd=ROOT, check=True)
        return dict(json.loads(path.read_text()))


def speed_table(result: dict[str, Any]) -> str:
    """Every measure against what was to be reached."""
    rows = [row for benchmark in result["benchmarks"] for row in benchmark["extra_info"].get("rows", [])]
    return table(("measure", "measured", "reach", "met"), [_speed_row(row) for row in rows])


def _speed_row(row: dict[str, Any]) -> tuple[str, str, str, str]:
    unit = f" {row['unit']}" if row["unit"] else ""
    measured = f"{significant(row['measured'])}{unit}"
    if row["reach"] is None:
        return row["measure"], measured, "", ""
    return row["measure"], measured, f"<= {row['reach']:g}{unit}", "yes" if row["measured"] <= row["reach"] else "no"


def peers_table(result: dict[str, Any]) -> str:
    """Times per gradient, one column per n."""
    found = [b["extra_info"]["peers"] for b in result["benchmarks"] if "peers" in b["extra_info"]]
    found.sort(key=lambda peers: peers["size"])
    if not found:
        raise SystemExit("the result has no comparison with other packages: run all of benchmarks/")
    rows = [(name, *(_time(peers["seconds"][name]) for peers in found)) for name in found[0]["seconds"]]
    return table(("", *(f"n = {peers['size']}" for peers in found)), rows)


def peers_text(result: dict[str, Any]) -> str:
    """The table with what it says, and where it was measured."""
    about = "Median time of one gradient of the chained Rosenbrock function"
    return f"{peers_table(result)}\n\n{about}; {peers_sentence(result)} {machine()}"


def peers_sentence(result: dict[str, Any]) -> str:
    """Where our two ways are the fastest."""
    found = [b["extra_info"]["peers"] for b in result["benchmarks"] if "peers" in b["extra_info"]]
    ours = ("numerical_gradient", "prepared kernel", "check_gradient")
    lines = []
    for name in ours[:2]:
        fastest = [p["size"] for p in found if p["seconds"][name] < min(_others(p["seconds"], ours))]
        lines.append(f"{name} is faster than all others at n = {', '.join(map(str, sorted(fastest))) or 'none'}")
    return "; ".join(lines) + "."


def _others(seconds: dict[str, float], ours: tuple[str, ...]) -> list[float]:
    return [value for name, value in seconds.items() if name not in ours]


def _time(seconds: float) -> str:
    for factor, unit in ((1e6, "us"), (1e3, "ms")):
        if seconds * factor < 1000.0:
            return f"{significant(seconds * factor)} {unit}"
    return f"{significant(seconds)} s"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Benchmark tables, as markdown.")
    parser.add_argument("--from", dest="saved", type=Path, help="a result of pytest --benchmark-json")
    parser.add_argument("--print", action="store_true", help="to standard output instead of the files")
    given = parser.parse_args(arguments)
    result = json.loads(given.saved.read_text()) if given.saved else run_benchmarks()
    texts = {"machine": machine(), "speed": speed_table(result), "peers": peers_text(result)}
    if given.print:
        print("\n\n".join(texts.values()))
        return
    for name, text in texts.items():
        insert(ROOT / "docs" / "benchmarks.md", name, text)
    insert(ROOT / "README.md", "peers", texts["peers"])


if __name__ == "__main__":
    main()
