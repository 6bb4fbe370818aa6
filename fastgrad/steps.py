"""Step rules: frozen values that turn x into an array of steps, one per coordinate.

A rule is called with x (any shape, float32 or float64) and returns float64 steps of the same shape.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._calls import call
from fastgrad._inputs import Point, flat_like, real_array
from fastgrad._options import positive_number

# float64: the customary 1e-7. float32: the cube root of its machine epsilon, where rounding and truncation of a
# central difference balance on coordinates of size 1; 1e-7 would vanish against any |x| > 2.
DEFAULT_EPSILON = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 4.9e-3}

# For many coordinates at once, relative to the size of each: as large as the customary step at the median of numbers
# spread from 0 to 1.
_SCALED_EPSILON = {np.dtype(np.float64): 2e-7, np.dtype(np.float32): 4.9e-3}

_LARGEST_COMPLEX_STEP = 1e-10


class StepRule(Protocol):
    """Anything that turns x into steps."""

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Absolute:
    """The same step h = epsilon in every coordinate.

    Examples
    --------
    >>> import numpy as np
    >>> Absolute(1e-6)(np.array([1.0, 100.0]))
    array([1.e-06, 1.e-06])
    """

    epsilon: float

    def __post_init__(self) -> None:
        positive_number(self.epsilon, "epsilon")

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        return np.full(real_array(x, name="x").shape, float(self.epsilon))


@dataclass(frozen=True)
class Relative:
    """A step proportional to the coordinate, h_i = epsilon * max(|x_i|, typical).

    Parameters
    ----------
    epsilon : float
        Relative step; the cube root of machine epsilon, 6e-6 in float64, suits central differences.
    typical : float
        Magnitude below which coordinates are treated as being of this size, in units of x.

    Examples
    --------
    >>> import numpy as np
    >>> Relative(1e-6)(np.array([0.0, 100.0]))
    array([1.e-06, 1.e-04])
    """

    epsilon: float
    typical: float = 1.0

    def __post_init__(self) -> None:
        positive_number(self.epsilon, "epsilon")
        positive_number(self.typical, "typical")

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        return float(self.epsilon) * np.maximum(np.abs(real_array(x, name="x").astype(np.float64)), self.typical)


@dataclass(frozen=True)
class Automatic:
    """Steps chosen for each component from the measured noise of f.

    In `check_gradient` the numerical gradient is then the best estimate of each component. Where there is
    no gradient to check, called as a rule, h_i = eps^(1/3) max(|x_i|, median |x|), with eps the machine epsilon.

    Examples
    --------
    >>> import numpy as np
    >>> Automatic()(np.array([1.0, 0.0, 100.0])).round(8)
    array([0.0003058 , 0.0003058 , 0.00060555])
    """

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        x = real_array(x, name="x")
        magnitude = np.abs(x.astype(np.float64))
        typical = float(np.median(magnitude[magnitude > 0.0])) if magnitude.any() else 1.0
        precision = np.finfo(x.dtype if x.dtype.kind == "f" else np.float64).eps
        return float(np.cbrt(precision)) * np.maximum(magnitude, typical)


@dataclass(frozen=True)
class ComplexStep:
    """Derivatives without subtraction, Im f(x + i h e_j) / h, for `numerical_gradient`; not a step of differences.

    Exact to rounding where f is analytic and written in operations that numba compiles for complex numbers. Some of
    these compile and are wrong (abs, norms, .real), so the result is compared with differences along random
    directions, and an error raised if they disagree.

    Parameters
    ----------
    h : float
        Imaginary step, relative to |x_j| (absolute where x_j = 0). Its square must vanish against 1.

    References
    ----------
    W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40 (1998).

    Examples
    --------
    >>> import numba, numpy as np, fastgrad
    >>> @numba.njit
    ... def f(x):
    ...     return np.sum(np.exp(x))
    >>> x = np.array([0.5, 1.0])
    >>> error = fastgrad.numerical_gradient(f, x, ComplexStep()) / np.exp(x) - 1.0
    >>> bool(abs(error).max() < 1e-15)
    True
    """

    h: float = 1e-20

    def __post_init__(self) -> None:
        if positive_number(self.h, "h") > _LARGEST_COMPLEX_STEP:
            raise ValueError(f"h is {self.h}; need {_LARGEST_COMPLEX_STEP:g} or less, so that h^2 vanishes against 1.")


def resolve_steps(epsilon: float | ArrayLike | StepRule | None, point: Point) -> NDArray[np.float64]:
    """Steps for the coordinates of a point, flat, each of which changes its coordinate; 0 evaluations."""
    wanted = DEFAULT_EPSILON[point.dtype] if epsilon is None else epsilon
    if isinstance(wanted, float) and _surely_moves_all(point, wanted):
        return np.full(point.size, wanted)
    steps = _steps_of(wanted, point)
    if epsilon is None:  # a relative step at coordinates so large that the default would vanish
        relative = np.cbrt(np.finfo(point.dtype).eps) * np.abs(point.flat.astype(np.float64))
        steps = np.where(_moves(point.flat, steps), steps, relative)
    if not _moves(point.flat, steps).all():
        _refuse(point, steps)
    return steps


def resolve_scaled_steps(epsilon: float | ArrayLike | StepRule | None, point: Point) -> NDArray[np.float64]:
    """The same, but for a default that is relative: to each |x_j|, or to their median where that is larger.

    For differences in which many coordinates move at once: a step that is large next to x bends F, and a bend hides
    what other coordinates do.
    """
    if epsilon is not None:
        return resolve_steps(epsilon, point)
    size, smallest = sizes_within(point), float(np.finfo(point.dtype).tiny)
    return resolve_steps(np.maximum(_SCALED_EPSILON[point.dtype] * size, smallest).reshape(point.shape), point)


def sizes_within(point: Point) -> NDArray[np.float64]:
    """|x_j|, flat, or the median of those that are not zero where that is larger; 1 if all are zero."""
    size = np.abs(point.flat.astype(np.float64))
    return np.maximum(size, np.median(size[size > 0.0]) if size.any() else 1.0)


def _surely_moves_all(point: Point, step: float) -> bool:
    """Whether a step spans the widest gap between neighbours; half a gap rounds to the even one, maybe back."""
    return _gap(point.dtype, point.largest) <= step <= float(np.finfo(point.dtype).max) - point.largest


def _gap(dtype: np.dtype[Any], magnitude: float) -> float:
    """From a number to the next larger one, in its precision; inf from the largest."""
    with np.errstate(over="ignore"):
        return float(np.spacing(dtype.type(magnitude)))


def _steps_of(epsilon: Any, point: Point) -> NDArray[np.float64]:
    if isinstance(epsilon, ComplexStep):
        raise TypeError(
            "epsilon is a ComplexStep, which takes no differences; need a step or another rule: it is for "
            "numerical_gradient alone."
        )
    if isinstance(epsilon, type):
        raise TypeError(f"epsilon is the class {epsilon.__name__}; need a rule made of it: {epsilon.__name__}(...).")
    values = epsilon
    if callable(epsilon):
        own = point.flat.copy().reshape(point.shape)  # which the rule may write to
        values = call(epsilon, "epsilon(x)", "an array of steps shaped like x", own)
    wanted = f"epsilon is {epsilon!r}; need a positive number, an array shaped like x, or a rule of fastgrad.steps."
    values = flat_like(values, point, "epsilon")
    try:
        given = np.asarray(values)
    except ValueError as error:  # ragged
        raise TypeError(wanted) from error
    if given.dtype.kind not in "fiu":
        raise TypeError(wanted)
    if given.shape not in ((), point.shape):
        raise ValueError(f"epsilon has shape {given.shape}; need one number or one per coordinate, {point.shape}.")
    steps = np.broadcast_to(given, point.shape).reshape(-1).astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(steps) & (steps > 0)))
    if wrong.size:
        where = f" at {point.name(int(wrong[0]))}" if np.ndim(values) else ""
        raise ValueError(f"epsilon is {steps[wrong[0]]}{where}; need a positive, finite number.")
    return steps


def _moves(x: NDArray[Any], step: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        above, below = (x + step).astype(x.dtype), (x - step).astype(x.dtype)
    return np.asarray((above != x) & (below != x) & np.isfinite(above) & np.isfinite(below))


def _refuse(point: Point, steps: NDArray[np.float64]) -> None:
    position = int(np.flatnonzero(~_moves(point.flat, steps))[0])
    x_i, step = point.flat[position], steps[position]
    name = point.name(position)
    if abs(float(x_i)) > float(np.finfo(point.dtype).max) - step:
        raise ValueError(f"{name} + epsilon overflows ({x_i} + {step}); need a smaller |x| or epsilon.")
    smallest = _gap(point.dtype, np.abs(point.flat[steps == step]).max())
    raise ValueError(
        f"epsilon is {step}, but {name} = {x_i} in {point.dtype} does not change when it is added; need at least "
        f"{smallest:.2g} here, or a step per coordinate such as fastgrad.steps.Relative(6e-6)."
    )
