"""The layers of the package: imports point downward only, and the judge knows neither kernels nor Numba."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import fastgrad


@dataclass(frozen=True)
class Layer:
    """Modules that belong together; each may import those before it, and the layers named in `below`."""

    name: str
    modules: tuple[str, ...]
    below: tuple[str, ...] = ()


# From the ground up. A new module gets a place here; a layer may name only layers above it in this list.
LAYERS = (
    Layer(
        "compiled code",
        ("_compiled.jit", "_compiled.bridge", "_compiled.kernels", "_compiled.direction_kernels", "_compiled.repeated"),
    ),
    Layer("threads", ("_threads",)),
    # Arithmetic on what was measured: pure NumPy, evaluates nothing.
    Layer("judge", ("_judge.grid", "_judge.noise", "_judge.verdict", "_judge.levels", "_judge.refine")),
    Layer("causes", ("_causes.numbers", "_causes.evidence", "_causes.laws", "_causes.places", "_causes.cause")),
    Layer("branches", ("_sweep.branches",)),
    Layer(
        "directions",
        (
            "_large.intervals",
            "_large.directions",
            "_large.ladder",
            "_large.tree",
            "_large.structure",
            "_large.quadrature",
        ),
        ("judge",),
    ),
    # What may come in, and how f is evaluated.
    Layer("foreign functions", ("_pointers", "foreign"), ("threads",)),
    Layer(
        "gates",
        ("_inputs", "_large.directional_inputs", "_objective"),
        ("compiled code", "threads", "foreign functions"),
    ),
    Layer("steps", ("steps",), ("gates",)),
    Layer("metric", ("metric",), ("compiled code", "threads", "gates")),
    Layer(
        "schedule",
        ("_budget", "_journal", "_selection", "_schedule", "_remote"),
        ("compiled code", "threads", "gates"),
    ),
    Layer("first differences", ("_first",), ("compiled code", "gates", "schedule")),
    Layer(
        "probes",
        ("_large.probes", "_large.detect", "_large.samples", "_large.scales", "_large.line"),
        ("compiled code", "threads", "judge", "causes", "directions", "gates", "schedule"),
    ),
    # What is made of it.
    Layer("assessment", ("_assess", "_reason"), ("judge", "schedule", "first differences")),
    Layer(
        "search",
        ("_large.arbiter", "_large.locate", "_large.explain", "_large.investigate", "_large.ruling"),
        ("judge", "causes", "directions", "schedule", "probes"),
    ),
    Layer("report", ("_report", "_layout"), ("judge", "causes", "gates", "metric")),
    Layer(
        "result",
        ("_result",),
        ("judge", "causes", "gates", "metric", "schedule", "first differences", "assessment", "report"),
    ),
    Layer("sweep report", ("_sweep.reason", "_sweep.report"), ("judge", "branches", "metric", "report")),
    Layer(
        "directional reports",
        ("_large.directional_report", "_large.line_report"),
        ("judge", "causes", "probes", "report"),
    ),
    # One public family of checks in each module.
    Layer(
        "checks",
        ("gradient", "sweep", "checker", "embedded", "directional", "line_integral"),
        (
            *("compiled code", "judge", "causes", "branches", "directions", "gates", "steps", "metric"),
            *("schedule", "first differences", "probes", "assessment", "search"),
            *("report", "result", "sweep report", "directional reports"),
        ),
    ),
    # The public names, and the modules that are users of the package like any other.
    Layer(
        "public names",
        ("__init__",),
        (
            *("judge", "causes", "foreign functions", "steps", "metric"),
            *("report", "sweep report", "directional reports", "checks"),
        ),
    ),
    Layer("users", ("plotting", "_user_files", "_commands", "cli", "__main__"), ("public names",)),
)

NUMBA_IS_FOR = {
    *(module for layer in LAYERS if layer.name in ("compiled code", "threads") for module in layer.modules),
    *("_objective", "foreign", "_pointers", "embedded"),  # kinds of functions, and functions made for the user's own
}

PACKAGE = Path(fastgrad.__file__).parent


def sources() -> dict[str, str]:
    """The texts of the modules by their names below fastgrad; those of subpackages are "_judge.verdict"."""
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent == PACKAGE]
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text() for path in files}


def test_a_subpackage_begins_with_its_purpose_and_nothing_else():
    for path in PACKAGE.rglob("*/__init__.py"):
        (purpose,) = ast.parse(path.read_text()).body
        assert isinstance(purpose, ast.Expr) and isinstance(purpose.value, ast.Constant), path


def arrows(source: str, modules: set[str]) -> Iterator[str]:
    """The modules of fastgrad that a source text leans on, wherever in it; "__init__" for a public name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_module(alias.name, modules) for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(filter(None, ["fastgrad" if node.level else "", node.module]))
            if _is_ours(origin):
                yield from (_module(f"{origin}.{alias.name}", modules) for alias in node.names)
        elif isinstance(node, ast.Attribute) and _is_ours(ast.unparse(node.value)):
            yield _module(ast.unparse(node), modules)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "fastgrad"


def _module(name: str, modules: set[str]) -> str:
    """The module that the dotted name begins with: its first part, or two; "__init__" for a public name."""
    parts = name.split(".")[1:3]
    return next((module for module in (".".join(parts), *parts[:1]) if module in modules), "__init__")


def upward(texts: dict[str, str], layers: tuple[Layer, ...]) -> list[str]:
    """Every import that the table of layers does not allow."""
    home = {module: layer.name for layer in layers for module in layer.modules}
    found = []
    for layer in layers:
        for position, module in enumerate(layer.modules):
            for target in sorted(set(arrows(texts[module], set(texts)))):
                if target not in layer.modules[:position] and home.get(target) not in layer.below:
                    found.append(f"{module} ({layer.name}) imports {target} ({home.get(target)})")
    return found


def test_every_module_has_one_place_in_the_table():
    placed = [module for layer in LAYERS for module in layer.modules]
    assert sorted(placed) == sorted(sources())


def test_the_table_itself_points_downward():
    for position, layer in enumerate(LAYERS):
        assert set(layer.below) <= {lower.name for lower in LAYERS[:position]}, layer.name


def test_no_import_points_upward():
    assert upward(sources(), LAYERS) == []


def test_the_table_allows_nothing_that_is_not_used():
    home = {module: layer.name for layer in LAYERS for module in layer.modules}
    texts = sources()
    for layer in LAYERS:
        used = {home.get(target) for module in layer.modules for target in arrows(texts[module], set(texts))}
        assert set(layer.below) <= used, layer.name


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("_judge.verdict", "from fastgrad._compiled.kernels import value_at"),
        ("_judge.verdict", "from fastgrad._compiled import kernels"),
        ("_judge.verdict", "from .._compiled import kernels"),
        ("_judge.verdict", "from .._compiled.kernels import value_at"),
        ("_judge.verdict", "def late():\n    import fastgrad._compiled.kernels"),
        ("_compiled.jit", "from fastgrad._compiled.bridge import evaluate"),
        ("_compiled.kernels", "from fastgrad import relative_error"),
        ("_compiled.kernels", "import fastgrad"),
        ("gradient", "from fastgrad.cli import main"),
        ("cli", "from fastgrad._judge.verdict import Verdict"),
        ("cli", "import fastgrad\nfastgrad._judge.verdict.Verdict"),
    ],
)
def test_a_planted_upward_import_is_found(module, line):
    texts = sources()
    (complaint,) = set(upward({**texts, module: line}, LAYERS)) - set(upward(texts, LAYERS))
    assert complaint.startswith(f"{module} (")


def libraries(nodes: Iterable[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"fastgrad"}


@pytest.mark.parametrize("module", sorted(sources()))
def test_libraries_are_numpy_and_numba_where_it_belongs(module):
    tree = ast.parse(sources()[module])
    compiler = {"numba", "llvmlite"}
    allowed = {"numpy"} | (compiler if module in NUMBA_IS_FOR else set())
    # Optional libraries are imported by the functions that use them.
    assert libraries(tree.body) <= allowed
    if module not in NUMBA_IS_FOR:
        assert not libraries(ast.walk(tree)) & compiler
