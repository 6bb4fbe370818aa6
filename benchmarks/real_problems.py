"""The problems of the test suite under our verdict: right, and with one planted error in a single component."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks.markdown import ROOT, significant, table
from fastgrad import GradientCheck, Verdict, check_gradient
from fastgrad.steps import Automatic

_LETTER = {Verdict.MATCH: "match", Verdict.MISMATCH: "mismatch", Verdict.INCONCLUSIVE: "inconclusive"}


def real_problems() -> list[Any]:
    """The one list of problems that tests and benchmarks share."""
    folder = str(ROOT / "tests")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from problems import BUILDERS

    return [build() for build in BUILDERS]


def planted(gradient: np.ndarray, x: np.ndarray) -> dict[str, tuple[np.ndarray, int]]:
    """Gradients with one wrong component, and which: by its weight |x_i g_i| the largest, a middle, a small one."""
    flat = gradient.reshape(-1)
    with np.errstate(divide="ignore"):  # logarithms, because the products can overflow
        weight = np.log(np.abs(flat)) + np.log(np.where(x == 0.0, 1.0, np.abs(x)).reshape(-1))
    order = np.argsort(weight)
    order = order[flat[order] != 0.0]
    places = {
        "largest x 1.001": (order[-1], 1.001),
        "middle x 0": (order[order.size // 2], 0.0),
        "middle x 1.01": (order[order.size // 2], 1.01),
        "smallest x 2": (order[0], 2.0),
    }
    wrong = {}
    for name, (i, factor) in places.items():
        spoilt = flat.copy()
        spoilt[i] *= factor
        wrong[name] = (spoilt.reshape(gradient.shape), int(i))
    return wrong


def study_real_problems() -> str:
    """A row per problem: verdict and cost of the right gradient, fate of each planted error."""
    header: tuple[str, ...] = ()
    rows = []
    for problem in real_problems():
        gradient = np.asarray(problem.gradient(problem.x, *problem.args))
        bugs = planted(gradient, problem.x)
        header = ("problem", "n", "E at 1e-7", "right", "absolute only", "evaluations / n", "automatic / n", *bugs)
        default = check_gradient(problem.f, problem.x, gradient, args=problem.args)
        automatic = check_gradient(problem.f, problem.x, gradient, Automatic(), args=problem.args)
        n = gradient.size
        rows.append(
            (
                problem.name,
                str(n),
                f"{default.relative_error:.1e}",
                _verdicts(default),
                str(int(np.count_nonzero(default.flags & 1))),
                significant(default.evaluations / n),
                significant(automatic.evaluations / n),
                *(_fate(check_gradient(problem.f, problem.x, g, args=problem.args), i) for g, i in bugs.values()),
            )
        )
    return table(header, rows)


def _verdicts(result: GradientCheck) -> str:
    counts = {verdict: int(np.count_nonzero(result.verdicts == verdict)) for verdict in Verdict}
    others = [f"{count} {_LETTER[verdict]}" for verdict, count in counts.items() if count and verdict != Verdict.MATCH]
    return "match" if not others else ", ".join([f"{counts[Verdict.MATCH]} match", *others])


def _fate(result: GradientCheck, i: int) -> str:
    """Verdict on the spoilt component; other components accused would be false."""
    verdicts, flags = result.verdicts.reshape(-1), result.flags.reshape(-1)
    accused = int(np.count_nonzero(verdicts == Verdict.MISMATCH)) - (verdicts[i] == Verdict.MISMATCH)
    found = _LETTER[verdicts[i]] + (" (absolute)" if verdicts[i] == Verdict.MATCH and flags[i] & 1 else "")
    return found if accused == 0 else f"{found}; {accused} others accused"
