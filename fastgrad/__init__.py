"""fastgrad: is this gradient right?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastgrad import steps
    from fastgrad._causes.cause import Cause
    from fastgrad._jacobian.report import HessianCheck, JacobianCheck
    from fastgrad._judge.verdict import Flag, Verdict
    from fastgrad._large.directional_report import DirectionalCheck
    from fastgrad._large.line_report import LineIntegralCheck
    from fastgrad._products.report import HvpCheck, JvpCheck, VjpCheck
    from fastgrad._report import Component, GradientCheck, Kink
    from fastgrad._sparse.report import PatternCheck, SparseJacobianCheck
    from fastgrad._sweep.report import EpsilonSweep
    from fastgrad._taylor.report import TaylorTest
    from fastgrad.checker import Comparison, GradientChecker, GradientMismatch
    from fastgrad.directional import check_directional
    from fastgrad.embedded import make_gradient, make_relative_error
    from fastgrad.foreign import c_objective, python_objective
    from fastgrad.gradient import check_gradient, numerical_gradient
    from fastgrad.hessian import check_hessian
    from fastgrad.hvp import check_hvp
    from fastgrad.jacobian import check_jacobian, numerical_jacobian
    from fastgrad.jvp import check_jvp
    from fastgrad.line_integral import check_line_integral
    from fastgrad.metric import relative_error
    from fastgrad.parameters import pieces, unpacker
    from fastgrad.separable import SeparableCheck, check_separable, separable_gradient
    from fastgrad.sparsity import detect_pattern
    from fastgrad.sweep import sweep_epsilon
    from fastgrad.taylor import taylor_test
    from fastgrad.vjp import check_vjp

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
    "HessianCheck",
    "HvpCheck",
    "JacobianCheck",
    "JvpCheck",
    "Kink",
    "LineIntegralCheck",
    "PatternCheck",
    "SeparableCheck",
    "SparseJacobianCheck",
    "TaylorTest",
    "Verdict",
    "VjpCheck",
    "c_objective",
    "check_directional",
    "check_gradient",
    "check_hessian",
    "check_hvp",
    "check_jacobian",
    "check_jvp",
    "check_line_integral",
    "check_separable",
    "check_vjp",
    "detect_pattern",
    "make_gradient",
    "make_relative_error",
    "numerical_gradient",
    "numerical_jacobian",
    "pieces",
    "python_objective",
    "relative_error",
    "separable_gradient",
    "steps",
    "sweep_epsilon",
    "taylor_test",
    "unpacker",
]

# Imported at first use, so that what needs a part of it, or only its name, need not wait for Numba.
_LATER = {
    "Cause": "_causes.cause",
    "Comparison": "checker",
    "Component": "_report",
    "DirectionalCheck": "_large.directional_report",
    "EpsilonSweep": "_sweep.report",
    "Flag": "_judge.verdict",
    "GradientCheck": "_report",
    "GradientChecker": "checker",
    "GradientMismatch": "checker",
    "HessianCheck": "_jacobian.report",
    "HvpCheck": "_products.report",
    "JacobianCheck": "_jacobian.report",
    "JvpCheck": "_products.report",
    "Kink": "_report",
    "LineIntegralCheck": "_large.line_report",
    "PatternCheck": "_sparse.report",
    "SeparableCheck": "separable",
    "SparseJacobianCheck": "_sparse.report",
    "TaylorTest": "_taylor.report",
    "Verdict": "_judge.verdict",
    "VjpCheck": "_products.report",
    "c_objective": "foreign",
    "check_directional": "directional",
    "check_gradient": "gradient",
    "check_hessian": "hessian",
    "check_hvp": "hvp",
    "check_jacobian": "jacobian",
    "check_jvp": "jvp",
    "check_line_integral": "line_integral",
    "check_separable": "separable",
    "check_vjp": "vjp",
    "detect_pattern": "sparsity",
    "make_gradient": "embedded",
    "make_relative_error": "embedded",
    "numerical_gradient": "gradient",
    "numerical_jacobian": "jacobian",
    "pieces": "parameters",
    "python_objective": "foreign",
    "relative_error": "metric",
    "separable_gradient": "separable",
    "sweep_epsilon": "sweep",
    "taylor_test": "taylor",
    "unpacker": "parameters",
}


def __getattr__(name: str) -> Any:
    if name == "steps":
        return import_module(f"{__name__}.steps")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
