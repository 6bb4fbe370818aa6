"""Sphinx: ``sphinx-build -W -n --keep-going docs docs/_build/html`` runs every example and draws every figure."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import run_examples  # noqa: E402

import fastgrad  # noqa: E402

project = "fastgrad"
author = "The fastgrad developers"
copyright = author
release = version = fastgrad.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build", "figures", "_figures"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}  # the second for what autosummary writes
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # links to headings are checked

default_role = "autolink"  # `name` in a docstring: a link if it can be imported, otherwise emphasis
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_member_order = "bysource"
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
templates_path = ["_templates"]

html_theme = "furo"
html_title = "fastgrad"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["outputs.css"]
html_theme_options = {"navigation_with_keys": True}

# Pages of other sites cannot be reached from every machine that builds; those of this one always can.
linkcheck_ignore = [r"https?://.*"]

# Sites of other packages would be asked for these; a build makes no request.
nitpick_ignore_regex = [
    ("py:.*", r"(scipy|numba|numpy|matplotlib|concurrent|pytest)\..*"),
    ("py:obj", r"[a-z_]+"),  # attributes, which stand in a list and are no targets
]

FIGURE_SCRIPTS = ("step_size.py", "error_bars.py", "readme.py")

_log = logging.getLogger(__name__)


def draw_figures(app: Sphinx) -> None:
    """Run the scripts of figures and measured tables; a table that is out of date is a warning of the build."""
    for name in FIGURE_SCRIPTS:
        done = subprocess.run(
            [sys.executable, str(DOCS / "figures" / name), "--check"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            _log.warning("%s: %s", name, done.stdout + done.stderr)


def run_pages(app: Sphinx, env: Any, names: Iterable[str]) -> None:
    """Run the examples of the pages about to be read; an output that is out of date is a warning of the build."""
    paths = {Path(env.doc2path(name)): name for name in sorted(names) if "generated" not in name}
    for path, text in run_examples.complaints(paths, "--check"):
        if text:
            _log.warning("%s", text, location=paths[path])


def escape_bars(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """|x| is a magnitude in our docstrings; to reStructuredText it would be a substitution."""
    for k, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split("(``.*?``)", line)
            lines[k] = "".join(part if part.startswith("``") else part.replace("|", r"\|") for part in parts)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", escape_bars, priority=900)  # after numpydoc
    app.connect("builder-inited", draw_figures)
    app.connect("env-before-read-docs", run_pages)
