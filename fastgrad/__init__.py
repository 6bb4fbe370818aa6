"""fastgrad: is this gradient right?"""

from fastgrad._report import Component, GradientCheck
from fastgrad._verdict import Verdict
from fastgrad.gradient import check_gradient, numerical_gradient
from fastgrad.metric import relative_error

__version__ = "0.1.0.dev0"
__all__ = [
    "Component",
    "GradientCheck",
    "Verdict",
    "check_gradient",
    "numerical_gradient",
    "relative_error",
]
