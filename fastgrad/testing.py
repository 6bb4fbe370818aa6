"""Checks as assertions, for test suites: ``assert_gradient(f, x, gradient)`` passes only for a match.

Each takes what its check takes, returns the result of a match, and otherwise raises `CheckFailed`, an AssertionError
whose message is the report. With pytest, the fixture ``fastgrad_testing`` and ``pytest --fastgrad-report=DIR`` come
with the package.

Examples
--------
>>> import numba
>>> from fastgrad.testing import assert_gradient
>>> @numba.njit
... def f(x):
...     return x[0] ** 2 + x[1] ** 2
>>> assert_gradient(f, [3.0, 4.0], [6.0, 8.0]).passed
True
>>> assert_gradient(f, [3.0, 4.0], [6.0, -8.0])
Traceback (most recent call last):
    ...
fastgrad.testing.CheckFailed: MISMATCH: 1 of 2 components differs by more than its error bar; worst x[1]:
analytical -8, numerical 8 +- ...
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

import fastgrad
from fastgrad import Verdict

__all__ = [
    "CheckFailed",
    "assert_directional",
    "assert_gradient",
    "assert_hessian",
    "assert_hvp",
    "assert_jacobian",
    "assert_jvp",
    "assert_line_integral",
    "assert_separable",
    "assert_taylor",
    "assert_vjp",
]

P = ParamSpec("P")
R = TypeVar("R", bound="Result")
R_co = TypeVar("R_co", covariant=True)


class Result(Protocol):
    """What every check returns: a verdict, and a report when printed."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def reason(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...


class CheckFailed(AssertionError):
    """A check did not match; the message is its report, and ``result`` the result itself.

    Attributes
    ----------
    result : GradientCheck, DirectionalCheck, ...
        What the check returned.
    """

    def __init__(self, result: Any) -> None:
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        if self.result.verdict is not Verdict.INCONCLUSIVE:
            return str(self.result)
        return f"{self.result}\n\n{_UNDECIDED}"


_UNDECIDED = "Nothing was shown to be wrong or right, and that fails; accept_inconclusive=True would let it pass."


class Assertion(Protocol[P, R_co]):
    """A check that raises `CheckFailed` unless its verdict is a match."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, accept_inconclusive: bool, **kwargs: Any) -> R_co: ...


def _assertion(check: Callable[P, R]) -> Assertion[P, R]:
    """The assertion of a check: its parameters, and `accept_inconclusive`."""

    def asserting(*args: Any, accept_inconclusive: bool = False, **options: Any) -> R:
        __tracebackhide__ = True  # pytest then shows the line of the test
        if not isinstance(accept_inconclusive, bool):
            raise TypeError(f"accept_inconclusive is {accept_inconclusive!r}; need True or False.")
        result = check(*args, **options)
        accepted = {Verdict.MATCH, Verdict.INCONCLUSIVE} if accept_inconclusive else {Verdict.MATCH}
        if result.verdict not in accepted:
            raise CheckFailed(result)
        return result

    asserting.__name__ = "assert_" + check.__name__.removeprefix("check_").removesuffix("_test")
    asserting.__qualname__ = asserting.__name__
    asserting.__doc__ = _describe(check)
    asserting.__signature__ = _with_acceptance(inspect.signature(check))  # type: ignore[attr-defined]
    return cast(Assertion[P, R], asserting)


def _with_acceptance(signature: inspect.Signature) -> inspect.Signature:
    added = inspect.Parameter("accept_inconclusive", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    return signature.replace(parameters=[*signature.parameters.values(), added])


def _describe(check: Callable[..., Any]) -> str:
    """Documentation of an assertion: what it adds to its check, around the parameters of that."""
    documentation = inspect.getdoc(check) or ""  # None under -OO
    sections = re.split(r"\n\n(?=\w[\w ]*\n-{3,}\n)", documentation)
    parameters = next((text for text in sections if text.startswith("Parameters\n")), "Parameters\n----------")
    return f"""Assert that `{check.__name__}` finds a match, and return its result.

{parameters}
accept_inconclusive : bool, optional
    True also accepts a check that cannot tell. Default: it fails.

Returns
-------
result
    As `{check.__name__}` returns it.

Raises
------
CheckFailed
    An AssertionError whose message is the report, and whose attribute ``result`` is the result.
Exception
    Whatever `{check.__name__}` raises.
"""


assert_gradient = _assertion(fastgrad.check_gradient)
assert_directional = _assertion(fastgrad.check_directional)
assert_hessian = _assertion(fastgrad.check_hessian)
assert_jacobian = _assertion(fastgrad.check_jacobian)
assert_jvp = _assertion(fastgrad.check_jvp)
assert_vjp = _assertion(fastgrad.check_vjp)
assert_hvp = _assertion(fastgrad.check_hvp)
assert_line_integral = _assertion(fastgrad.check_line_integral)
assert_separable = _assertion(fastgrad.check_separable)
assert_taylor = _assertion(fastgrad.taylor_test)
