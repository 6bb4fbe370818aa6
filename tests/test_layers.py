"""The layers of the package: imports point downward only, and the judge knows neither kernels nor Numba."""

from __future__ import annotations

import ast
import functools
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
        (
            "_compiled.jit",
            "_compiled.bridge",
            "_compiled.kernels",
            "_compiled.instructions",
            "_compiled.direction_kernels",
            "_compiled.vector_kernels",
            "_compiled.entry_kernels",
            "_compiled.coloring_kernels",
            "_compiled.repeated",
        ),
    ),
    Layer("threads", ("_threads",)),
    Layer("values and calls", ("_options", "_calls"), ("threads",)),
    Layer("HTML", ("_html",)),
    # Arithmetic on what was measured: pure NumPy, evaluates nothing.
    Layer(
        "judge",
        (
            "_judge.grid",
            "_judge.noise",
            "_judge.setting",
            "_judge.verdict",
            "_judge.confirm",
            "_judge.plain",
            "_judge.levels",
            "_judge.search",
            "_judge.stairs",
            "_judge.nine_values",
            "_judge.refine",
            "_judge.row_noise",
            "_judge.rows",
        ),
    ),
    Layer(
        "causes",
        (
            "_causes.numbers",
            "_causes.evidence",
            "_causes.rearrangements",
            "_causes.laws",
            "_causes.places",
            "_causes.cause",
        ),
    ),
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
    Layer("remainders", ("_along.claim", "_taylor.order", "_taylor.rows", "_taylor.curvature"), ("judge",)),
    # What may come in, and how f is evaluated.
    Layer("foreign functions", ("_pointers", "foreign"), ("threads", "values and calls")),
    Layer(
        "gates",
        (
            "_nested",
            "_inputs",
            "_refusals",
            "_prepared",
            "_objective",
            "_vector_objective",
            "_vector_trial",
            "_large.directional_inputs",
        ),
        ("compiled code", "threads", "values and calls", "causes", "foreign functions"),
    ),
    Layer("steps", ("steps",), ("values and calls", "gates")),
    Layer("metric", ("metric",), ("compiled code", "threads", "gates")),
    Layer(
        "schedule",
        (
            *("_budget", "_contents", "_identity", "_journal", "_selection", "_schedule", "_vector_schedule"),
            "_worker",
            "_remote",
        ),
        ("compiled code", "threads", "values and calls", "foreign functions", "gates"),
    ),
    Layer("patterns", ("_sparse.pattern",), ("compiled code",)),
    Layer("first differences", ("_first", "_work"), ("compiled code", "gates", "schedule")),
    Layer(
        "probes",
        (
            *("_large.probes", "_large.detect", "_large.samples", "_large.scales", "_large.zeros", "_large.history"),
            *("_large.line",),
        ),
        ("compiled code", "threads", "values and calls", "judge", "causes", "directions", "gates", "schedule"),
    ),
    # What is made of it.
    Layer(
        "assessment",
        ("_assessment", "_noise_tables", "_looks", "_far", "_assess", "_reason", "_components"),
        ("judge", "gates", "schedule", "first differences"),
    ),
    Layer(
        "search",
        ("_large.arbiter", "_large.locate", "_large.explain", "_large.investigate", "_large.ruling"),
        ("judge", "causes", "directions", "schedule", "probes"),
    ),
    Layer(
        "slopes",
        ("_taylor.inputs", "_along.directions", "_along.slope", "_along.doubt", "_complex_step"),
        (
            *("values and calls", "judge", "causes", "remainders", "gates", "steps", "schedule", "patterns"),
            *("probes", "assessment"),
        ),
    ),
    Layer("Taylor report", ("_taylor.report", "_taylor.ruling"), ("HTML", "judge", "remainders", "slopes")),
    Layer(
        "report",
        ("_layout", "_report_lines", "_report"),
        ("HTML", "values and calls", "judge", "causes", "gates", "metric"),
    ),
    Layer(
        "result",
        ("_result",),
        ("judge", "causes", "gates", "metric", "schedule", "first differences", "assessment", "report"),
    ),
    Layer("sweep report", ("_sweep.reason", "_sweep.report"), ("HTML", "judge", "branches", "metric", "report")),
    Layer(
        "directional reports",
        ("_large.directional_report", "_large.line_report"),
        ("HTML", "judge", "causes", "probes", "report"),
    ),
    Layer(
        "course of a directional check",
        ("_large.outcome", "_large.course", "_large.line_causes", "_large.line_course"),
        ("judge", "causes", "directions", "gates", "schedule", "probes", "search", "report", "directional reports"),
    ),
    Layer(
        "Jacobians",
        (
            *("_jacobian.symmetry", "_jacobian.inputs", "_jacobian.differences", "_jacobian.noise", "_jacobian.talks"),
            *(
                "_jacobian.assessment",
                "_jacobian.setting",
                "_jacobian.screen",
                "_jacobian.looks",
                "_jacobian.assess",
                "_jacobian.reason",
                "_jacobian.causes",
                "_jacobian.report",
                "_jacobian.result",
            ),
            "_jacobian.check",
        ),
        (
            *("HTML", "compiled code", "threads", "values and calls", "judge", "causes", "gates", "steps", "metric"),
            *("schedule", "patterns", "first differences", "assessment", "report"),
        ),
    ),
    Layer(
        "sparse Jacobians",
        (
            *(
                "_sparse.coloring",
                "_sparse.probe",
                "_sparse.power",
                "_sparse.outside",
                "_sparse.alarms",
                "_sparse.extend",
                "_sparse.course",
            ),
            *("_sparse.report", "_sparse.causes", "_sparse.local_causes", "_sparse.result", "_sparse.check"),
            *("_sparse.alone", "_sparse.terms", "_sparse.sums"),
        ),
        (
            *(
                "HTML",
                "compiled code",
                "values and calls",
                "judge",
                "causes",
                "directions",
                "gates",
                "steps",
                "metric",
                "schedule",
                "patterns",
            ),
            *("first differences", "assessment", "report", "Jacobians"),
        ),
    ),
    Layer(
        "products",
        (
            *("_products.inputs", "_products.still", "_products.tangent", "_products.adjoint", "_products.report"),
            *("_products.assemble", "_products.causes", "_products.session", "_products.blame", "_products.pairs"),
        ),
        (
            *("judge", "causes", "remainders", "gates", "schedule", "probes", "assessment", "slopes", "HTML"),
            *("values and calls", "report", "Jacobians"),
        ),
    ),
    # One public family of checks in each module.
    Layer(
        "checks",
        (
            "parameters",
            "gradient",
            "sweep",
            "checker",
            "embedded",
            "directional",
            "line_integral",
            "taylor",
            "jacobian",
            "hessian",
            *("jvp", "hvp", "vjp"),
            *("sparsity", "separable"),
        ),
        (
            *("compiled code", "values and calls", "foreign functions", "HTML", "judge", "causes", "branches", "gates"),
            *("steps", "metric"),
            *("schedule", "first differences", "probes", "assessment"),
            *("report", "result", "sweep report", "directional reports", "course of a directional check"),
            *("remainders", "slopes", "Taylor report", "patterns", "Jacobians", "sparse Jacobians", "products"),
        ),
    ),
    # The public names, and the modules that are users of the package like any other.
    Layer(
        "public names",
        ("__init__",),
        (
            *("judge", "causes", "foreign functions", "steps", "metric"),
            *("report", "sweep report", "directional reports", "Taylor report", "Jacobians", "sparse Jacobians"),
            *("products", "checks"),
        ),
    ),
    Layer(
        "users",
        (
            *("_plots.style", "_plots.compared", "_plots.error", "_plots.gradient", "_plots.localisation"),
            *("_plots.sweep", "_plots.taylor", "plotting", "_pictures", "_json", "testing", "_pytest_plugin"),
            *("_terminal", "_user_files", "_commands.shared", "_commands.directional", "_commands.check"),
            *("_commands.sweep", "_commands.taylor", "_commands.jacobian", "_commands.parser", "cli", "__main__"),
        ),
        ("HTML", "public names"),
    ),
)

NUMBA_IS_FOR = {
    *(module for layer in LAYERS if layer.name in ("compiled code", "threads") for module in layer.modules),
    # Kinds of functions, and functions made for the user's own.
    *("_prepared", "_objective", "_vector_objective", "_refusals", "foreign", "_pointers", "embedded", "parameters"),
}

PYTEST_IS_FOR = {"_pytest_plugin"}  # which pytest imports

PACKAGE = Path(fastgrad.__file__).parent


@functools.cache
def sources() -> dict[str, str]:
    """The texts of the modules by their names below fastgrad; those of subpackages are "_judge.verdict"."""
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent == PACKAGE]
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text() for path in files}


def test_a_subpackage_begins_with_its_purpose_and_nothing_else():
    for path in PACKAGE.rglob("*/__init__.py"):
        (purpose,) = ast.parse(path.read_text()).body
        assert isinstance(purpose, ast.Expr) and isinstance(purpose.value, ast.Constant), path


@functools.cache
def arrows(source: str, modules: frozenset[str]) -> frozenset[str]:
    """The modules of fastgrad that a source text leans on, wherever in it; "__init__" for a public name."""
    return frozenset(_arrows(source, modules))


def _arrows(source: str, modules: frozenset[str]) -> Iterator[str]:
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


def _module(name: str, modules: frozenset[str]) -> str:
    """The module that the dotted name begins with: its first part, or two; "__init__" for a public name."""
    parts = name.split(".")[1:3]
    return next((module for module in (".".join(parts), *parts[:1]) if module in modules), "__init__")


def upward(texts: dict[str, str], layers: tuple[Layer, ...]) -> list[str]:
    """Every import that the table of layers does not allow."""
    home = {module: layer.name for layer in layers for module in layer.modules}
    found = []
    for layer in layers:
        for position, module in enumerate(layer.modules):
            for target in sorted(arrows(texts[module], frozenset(texts))):
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
        used = {home.get(target) for module in layer.modules for target in arrows(texts[module], frozenset(texts))}
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
    allowed |= {"pytest"} if module in PYTEST_IS_FOR else set()
    # Optional libraries are imported by the functions that use them.
    assert libraries(tree.body) <= allowed
    if module not in NUMBA_IS_FOR:
        assert not libraries(ast.walk(tree)) & compiler
