"""JSON reports: every kind follows the schema that comes with the package, and its page describes every field."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
from importlib.resources import files
from pathlib import Path

import numba as nb
import numpy as np
import pytest
from exp_sine import f, gradient, wrong

import fastgrad
from fastgrad._json import as_json, error_as_json

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = json.loads((files("fastgrad") / "report.schema.json").read_text())
DOCS = Path(__file__).resolve().parent.parent / "docs"
X = np.linspace(0.5, 1.5, 30)


def closed(schema):
    """The same schema, which allows no field that it does not describe."""
    if isinstance(schema, dict):
        inner = {key: closed(value) for key, value in schema.items()}
        return {**inner, "additionalProperties": False} if "required" in inner and "allOf" not in inner else inner
    return [closed(member) for member in schema] if isinstance(schema, list) else schema


STRICT = jsonschema.Draft202012Validator(closed(copy.deepcopy(SCHEMA)))


@nb.njit
def kinked(x):
    return np.abs(x - 1.0).sum() + (x * x).sum()


@nb.njit
def kinked_values(x):
    return np.abs(x)


@nb.njit
def F(x):
    return np.array([x[0] * x[1], x[0] ** 2, np.sin(x[2])])


@nb.njit
def quadratic_gradient(x):
    return np.array([2.0 * x[0] * x[1], x[0] ** 2])


@nb.njit
def terms(x, out):
    for k in range(out.size):
        out[k] = x[k] ** 2


AT = [1.0, 2.0, 3.0]
J = np.array([[2.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, np.cos(3.0)]])
H = np.array([[4.0, 2.0], [2.0, 0.0]])


def sparse(matrix):
    return pytest.importorskip("scipy.sparse").csc_array(matrix)


BLOCKS = {"a": 10, "b": (4, 5)}
AT_KINKS = np.array([1.0, 2.0, math.nan])
REPORTS = {
    "check match": lambda: fastgrad.check_gradient(f, X, gradient),
    "check mismatch": lambda: fastgrad.check_gradient(f, X, wrong, blocks=BLOCKS),
    "check sampled": lambda: fastgrad.check_gradient(f, X, wrong, sample=5),
    "check kink": lambda: fastgrad.check_gradient(kinked, [1.0, 2.0], [2.0, 5.0]),
    "check nan": lambda: fastgrad.check_gradient(kinked, [1.0, 2.0, 3.0], AT_KINKS),
    "check matrix": lambda: fastgrad.check_gradient(f, X.reshape(5, 6), gradient(X).reshape(5, 6)),
    "check named": lambda: fastgrad.check_gradient(f, {"a": X, "b": [{"c": 0.5}]}, np.append(gradient(X), 1.0)),
    "sweep": lambda: fastgrad.sweep_epsilon(f, X, gradient),
    "directional match": lambda: fastgrad.check_directional(f, X, gradient),
    "directional mismatch": lambda: fastgrad.check_directional(f, X, wrong, blocks=BLOCKS),
    "line-integral match": lambda: fastgrad.check_line_integral(f, X, gradient),
    "line-integral mismatch": lambda: fastgrad.check_line_integral(f, X, wrong, blocks=BLOCKS),
    "jacobian match": lambda: fastgrad.check_jacobian(F, AT, J, rows={"a": 2, "b": 1}),
    "jacobian mismatch": lambda: fastgrad.check_jacobian(F, AT, -J),
    "jacobian kink": lambda: fastgrad.check_jacobian(kinked_values, [0.0, 1.0], np.eye(2)),
    "hessian match": lambda: fastgrad.check_hessian(quadratic_gradient, AT[:2], H),
    "hessian mismatch": lambda: fastgrad.check_hessian(quadratic_gradient, AT[:2], np.triu(H)),
    "sparse-jacobian match": lambda: fastgrad.check_jacobian(F, AT, sparse(J)),
    "sparse-jacobian mismatch": lambda: fastgrad.check_jacobian(F, AT, sparse(np.triu(J)), sparsity=sparse(J)),
    "separable match": lambda: fastgrad.check_separable(
        terms, AT, [2.0, 4.0, 6.0], ([0, 1, 2], [0, 1, 2]), out_shape=(3,)
    ),
    "separable mismatch": lambda: fastgrad.check_separable(
        terms, AT, [2.0, 4.0, 7.0], (np.arange(3), np.arange(3)), out_shape=(3,)
    ),
    "jvp match": lambda: fastgrad.check_jvp(F, AT, lambda x, v: J @ v),
    "jvp mismatch": lambda: fastgrad.check_jvp(F, AT, lambda x, v: J.T @ v),
    "vjp match": lambda: fastgrad.check_vjp(F, AT, lambda x, w: J.T @ w),
    "vjp mismatch": lambda: fastgrad.check_vjp(F, AT, lambda x, w: -J.T @ w, jvp=lambda x, v: J @ v),
    "hvp match": lambda: fastgrad.check_hvp(quadratic_gradient, AT[:2], lambda x, v: H @ v),
    "hvp mismatch": lambda: fastgrad.check_hvp(quadratic_gradient, AT[:2], lambda x, v: np.triu(H) @ v),
    "taylor match": lambda: fastgrad.taylor_test(f, X, gradient),
    "taylor mismatch": lambda: fastgrad.taylor_test(f, X, wrong, hessian=np.diag(2 * np.exp(X) * np.cos(X))),
}


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("case", REPORTS)
def test_a_report_follows_the_schema_and_holds_nothing_undescribed(case):
    document = json.loads(as_json(REPORTS[case](), f="model.py:f", gradient="model.py:g", at="x.npy"))
    STRICT.validate(document)
    kind, _, verdict = case.partition(" ")
    assert document["schema"] == f"fastgrad.{kind}/1"
    assert document["version"] == fastgrad.__version__
    if verdict in ("match", "mismatch"):
        assert document["verdict"] == verdict


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "fine"}, "'fine' is not one of"),
        ({"relative_error": "small"}, "'small' is not of type"),
        ({"schema": "fastgrad.check/0"}, "'fastgrad.check/0' is not one of"),
        ({"invented": 1}, "'invented' was unexpected"),
    ],
)
def test_the_schema_refuses_what_it_does_not_describe(change, words):
    document = json.loads(as_json(REPORTS["check match"]()))
    with pytest.raises(jsonschema.ValidationError, match=words):
        STRICT.validate({**document, **change})


def test_an_error_follows_the_schema():
    document = json.loads(error_as_json("x is missing"))
    STRICT.validate(document)
    assert (document["schema"], document["error"]) == ("fastgrad.error/1", "x is missing")
    with pytest.raises(jsonschema.ValidationError, match="'error' is a required property"):
        STRICT.validate({"schema": "fastgrad.error/1", "version": "1"})


def test_every_schema_is_described_under_its_own_name():
    for schema in SCHEMA["properties"]["schema"]["enum"]:
        definition = SCHEMA["$defs"][schema.removeprefix("fastgrad.").removesuffix("/1")]
        assert f'"{schema}"' in definition["properties"]["schema"]["description"]


def test_every_field_is_described():
    for name, definition in SCHEMA["$defs"].items():
        for field, described in definition.get("properties", {}).items():
            assert described.get("description") or "$ref" in described, f"{name}.{field}"


def test_the_page_is_made_from_the_schema():
    spec = importlib.util.spec_from_file_location("json_reference", DOCS / "json_reference.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text() == script.page(SCHEMA), "python docs/json_reference.py writes it anew"


def test_what_json_lacks_is_null():
    document = json.loads(as_json(REPORTS["check nan"]()), parse_constant=pytest.fail)
    assert document["analytical_grad"][2] is None
    assert document["relative_error"] is None
