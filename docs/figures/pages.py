"""What the scripts of figures and tables share: where figures go, and how tables get into pages."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(DOCS))

from run_examples import FIGURES, is_current  # noqa: E402

# Okabe and Ito's colours, told apart with every kind of colour vision.
ORANGE, BLUE, GREEN, PURPLE = "#D55E00", "#0072B2", "#009E73", "#CC79A7"


_ENOUGH = 0.3  # noise is measured, and another processor rounds in other ways


def save_figure(figure: Figure, name: str) -> None:
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / f"{name}.png", dpi=150)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fill_pages(pages: Mapping[str, Mapping[str, str]]) -> int:
    """Write the blocks of each page of explanation/ between their markers; with --check only say which are stale."""
    outdated = []
    for name, blocks in pages.items():
        path = DOCS / "explanation" / f"{name}.md"
        page = path.read_text()
        fresh = _fill(page, blocks, path.name)
        if not is_current(page, fresh, _ENOUGH):
            outdated.append(path.name)
        if "--check" not in sys.argv:
            path.write_text(fresh)
    if outdated and "--check" in sys.argv:
        print(f"{', '.join(outdated)} out of date: run python {sys.argv[0]}")
        return 1
    return 0


def _fill(page: str, blocks: Mapping[str, str], name: str) -> str:
    for block, text in blocks.items():
        marked = re.compile(rf"(<!-- begin {block} -->\n).*?(<!-- end {block} -->)", re.DOTALL)
        page, count = marked.subn(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
        if count != 1:
            raise ValueError(f"{name} has {count} blocks named {block}; need one.")
    return page
