"""fastgrad: is this gradient right?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastgrad import steps
from fastgrad._causes.cause import Cause
from fastgrad._judge.verdict import Flag, Verdict
from fastgrad._report import Component, GradientCheck, Kink
from fastgrad.foreign import c_objective, python_objective
from fastgrad.gradient import check_gradient, numerical_gradient
from fastgrad.metric import relative_error

if TYPE_CHECKING:
    from fastgrad._large.directional_report import DirectionalCheck
    from fastgrad._large.line_report import LineIntegralCheck
    from fastgrad._sweep.report import EpsilonSweep
    from fastgrad.checker import Comparison, GradientChecker, GradientMismatch
    from fastgrad.directional import check_directional
    from fastgrad.embedded import make_gradient, make_relative_error
    from fastgrad.line_integral import check_line_integral
    from fastgrad.sweep import sweep_epsilon

__version__ = "0.1.0.dev0"
__all__ = [
    "Cause",
    "Comparison",
    "Component",
    "DirectionalCheck",
    "EpsilonSweep",
    "Flag",
    "GradientCheck",
    "GradientChecker",
    "GradientMismatch",
    "Kink",
    "LineIntegralCheck",
    "Verdict",
    "c_objective",
    "check_directional",
    "check_gradient",
    "check_line_integral",
    "make_gradient",
    "make_relative_error",
    "numerical_gradient",
    "python_objective",
    "relative_error",
    "steps",
    "sweep_epsilon",
]

# Imported at first use: together they take as long as all the rest.
_LATER = {
    "Comparison": "checker",
    "DirectionalCheck": "_large.directional_report",
    "EpsilonSweep": "_sweep.report",
    "GradientChecker": "checker",
    "GradientMismatch": "checker",
    "LineIntegralCheck": "_large.line_report",
    "check_directional": "directional",
    "check_line_integral": "line_integral",
    "make_gradient": "embedded",
    "make_relative_error": "embedded",
    "sweep_epsilon": "sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
