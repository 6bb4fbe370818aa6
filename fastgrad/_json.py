"""Results as JSON documents: which schema each follows, and what JSON cannot say."""

import json
import math
from typing import Any

import fastgrad

# By the name of the class of the result; docs/reference/json.md and fastgrad/report.schema.json describe each.
_SCHEMAS = {
    "GradientCheck": "check",
    "EpsilonSweep": "sweep",
    "DirectionalCheck": "directional",
    "LineIntegralCheck": "line-integral",
    "TaylorTest": "taylor",
    "JacobianCheck": "jacobian",
    "SparseJacobianCheck": "sparse-jacobian",
    "HessianCheck": "hessian",
    "SeparableCheck": "separable",
    "JvpCheck": "jvp",
    "VjpCheck": "vjp",
    "HvpCheck": "hvp",
}
_VERSION = 1


def schema_of(result: Any) -> str:
    """Name and version of the schema, "fastgrad.check/1"."""
    return f"fastgrad.{_SCHEMAS[type(result).__name__]}/{_VERSION}"


def as_json(result: Any, **asked: str) -> str:
    """One JSON object: the schema, the version of fastgrad, what was asked, and the result."""
    document = {"schema": schema_of(result), "version": fastgrad.__version__, **asked, **result.to_dict()}
    return json.dumps(_finite_or_null(document), allow_nan=False)


def error_as_json(message: str) -> str:
    """What stands in place of a report where there is none."""
    return json.dumps({"schema": f"fastgrad.error/{_VERSION}", "version": fastgrad.__version__, "error": message})


def _finite_or_null(value: Any) -> Any:
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(value, dict):
        return {key: _finite_or_null(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_or_null(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
