"""The how-to pages do what they say: their code blocks are executed, in order."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parent.parent / "docs" / "how-to"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"(?:/\*|!) (\S+)")  # in the first line, a comment
NEEDS = {"c-objectives": ("cc", "cffi"), "inside-njit": (None, None), "optimisers": (None, "scipy")}


@pytest.mark.parametrize("page", NEEDS)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    program, library = NEEDS[page]
    if (program and shutil.which(program) is None) or (library and importlib.util.find_spec(library) is None):
        pytest.skip(f"needs {program} and {library}")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": page}
    blocks = BLOCK.findall((PAGES / f"{page}.md").read_text())
    assert "python" in {language for language, _ in blocks}
    for language, text in blocks:
        if language == "python":
            exec(compile(text, f"{page}.md", "exec"), namespace)
        elif language == "console":
            for line in text.splitlines():
                subprocess.run(line.removeprefix("$ "), shell=True, check=True)
        else:
            Path(FILE_NAME.match(text).group(1)).write_text(text)
