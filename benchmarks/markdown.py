"""Tables as markdown, written into files between markers."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; the first column to the left, numbers to the right."""
    lines = [header, [":--"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def insert(path: Path, name: str, text: str) -> bool:
    """Replace what stands between <!-- name:begin --> and <!-- name:end -->; False if the file has no such place."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    content = path.read_text() if path.exists() else ""
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        return False
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")
    return True


def machine() -> str:
    """Number of cores and processor model: what a reader needs to compare."""
    import numba
    import numpy

    model = platform.processor() or "unknown processor"
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return (
        f"{numba.config.NUMBA_DEFAULT_NUM_THREADS} cores of {model}; Python {platform.python_version()}, "
        f"Numba {numba.__version__}, NumPy {numpy.__version__}."
    )


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without exponent where that is short."""
    if value == 0.0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}"
        return f"{float(text):.0f}" if "e" in text else text
    return f"{value:.1e}"


def percent(part: float, whole: float) -> str:
    """A share; "100 %" and "0 %" are exact, and a share that is nearly so keeps the digits that show it."""
    if whole == 0:
        return "-"
    share = 100.0 * part / whole
    if part in (0, whole):
        return f"{share:.0f} %"
    return f"{share:.2f} %" if share > 99.0 or share < 1.0 else f"{share:.1f} %"
