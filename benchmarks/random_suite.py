"""Random objectives with known gradients: 28 families of functions, at random points, in eight kinds of trouble.

One compiled objective serves them all, f(x) = A (sum_i phi_i(x_i / s_i) + C) (1 + level * noise(x)), so that a
study of a hundred thousand checks compiles once. Each problem is a function of (seed, kind, size, number) alone.

The truth is the derivative of phi in 60 decimal digits at exactly the x given, by a central difference whose own
error is of order 1e-30.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numba as nb
import numpy as np

KINDS = ("plain", "scale", "offset", "noise", "float32", "float32 x", "mix", "steps")
UNCANCELLED = "uncancelled"  # plain, without the functions whose rounding errors exceed those of f

_mp = mpmath.mp.clone()
_mp.dps = 60
_STEP_OF_TRUTH = _mp.mpf(10) ** -15


@dataclass(frozen=True)
class Family:
    """phi in many digits, and the interval from which its argument is drawn."""

    name: str
    exact: Callable[[Any], Any]
    low: float
    high: float
    cancels: bool = False  # rounding errors of its parts are far larger than its own size


# The order is that of the branches of `phi`.
FAMILIES = (
    Family("exp", _mp.exp, -5.0, 5.0),
    Family("sin", _mp.sin, -6.0, 6.0),
    Family("tanh", _mp.tanh, -4.0, 4.0),
    Family("log", _mp.log, 0.01, 20.0),
    Family("sqrt", _mp.sqrt, 0.01, 20.0),
    Family("reciprocal", lambda z: 1 / z, 0.05, 10.0),
    Family("atan", _mp.atan, -5.0, 5.0),
    Family("erf", _mp.erf, -3.0, 3.0),
    Family("gamma", _mp.gamma, 0.3, 8.0),
    Family("log_gamma", _mp.loggamma, 0.1, 30.0),
    Family("power_tower", lambda z: z**z, 0.1, 5.0),
    Family("runge", lambda z: 1 / (1 + 25 * z * z), -2.0, 2.0),
    Family("gauss", lambda z: _mp.exp(-z * z), -3.0, 3.0),
    Family("logistic", lambda z: 1 / (1 + _mp.exp(-z)), -8.0, 8.0),
    Family("log_loss", lambda z: _mp.log(1 + _mp.exp(z)), -3.0, 12.0, cancels=True),
    Family("softplus", lambda z: _mp.log(1 + _mp.exp(z)), -8.0, 8.0),
    Family("chebyshev", lambda z: ((16 * z * z - 20) * z * z + 5) * z, -1.2, 1.2),
    Family("rastrigin", lambda z: z * z - 10 * _mp.cos(2 * _mp.pi * z), -3.0, 3.0),
    Family("sin_exp", lambda z: _mp.sin(_mp.exp(z)), -2.0, 4.0),
    Family("chirp", lambda z: _mp.sin(30 * z * z), -3.0, 3.0),
    Family("rational", lambda z: (z * z * z + 1) / (z * z + _mp.mpf(1) / 8), -3.0, 3.0),
    Family("bump", lambda z: _mp.exp(-1 / (1 - z * z)), -0.9, 0.9),
    Family("lennard_jones", lambda z: z**-12 - z**-6, 0.85, 3.0),
    Family("morse", lambda z: (1 - _mp.exp(_mp.mpf(3) / 2 * (1 - z))) ** 2, -0.5, 4.0),
    Family("entropy", lambda z: z * _mp.log(z), 0.001, 2.0),
    Family("sinc", lambda z: _mp.sin(z) / z, -20.0, 20.0),
    Family("versine", lambda z: (1 - _mp.cos(z)) / (z * z), 0.05, 3.0),
    Family("valley", lambda z: 100 * (1 - z * z) ** 2 + (1 - z) ** 2, -2.0, 2.0),
)


@nb.njit
def elementary(family, z):
    """phi number 0 to 13, in the precision of z."""
    one = type(z)(1.0)
    if family == 0:
        return math.exp(z)
    if family == 1:
        return math.sin(z)
    if family == 2:
        return math.tanh(z)
    if family == 3:
        return math.log(z)
    if family == 4:
        return math.sqrt(z)
    if family == 5:
        return one / z
    if family == 6:
        return math.atan(z)
    if family == 7:
        return math.erf(z)
    if family == 8:
        return math.gamma(z)
    if family == 9:
        return math.lgamma(z)
    if family == 10:
        return z**z
    if family == 11:
        return one / (one + type(z)(25.0) * z * z)
    if family == 12:
        return math.exp(-z * z)
    return one / (one + math.exp(-z))


@nb.njit
def composed(family, z):
    """phi number 14 to 27, in the precision of z."""
    one = type(z)(1.0)
    if family == 14:  # the way of textbooks, which cancels
        return -math.log(one - one / (one + math.exp(-z)))
    if family == 15:
        return math.log1p(math.exp(z))
    if family == 16:
        return ((type(z)(16.0) * z * z - type(z)(20.0)) * z * z + type(z)(5.0)) * z
    if family == 17:
        return z * z - type(z)(10.0) * math.cos(type(z)(2.0 * math.pi) * z)
    if family == 18:
        return math.sin(math.exp(z))
    if family == 19:
        return math.sin(type(z)(30.0) * z * z)
    if family == 20:
        return (z * z * z + one) / (z * z + type(z)(0.125))
    if family == 21:
        return math.exp(-one / (one - z * z))
    if family == 22:
        sixth = one / (z * z * z * z * z * z)
        return sixth * sixth - sixth
    if family == 23:
        well = one - math.exp(type(z)(1.5) * (one - z))
        return well * well
    if family == 24:
        return z * math.log(z)
    if family == 25:
        return math.sin(z) / z
    if family == 26:
        return (one - math.cos(z)) / (z * z)
    return type(z)(100.0) * (one - z * z) * (one - z * z) + (one - z) * (one - z)


@nb.njit
def phi(family, z):
    """The function number `family` of FAMILIES, in the precision of z."""
    if family < 14:
        return elementary(family, z)
    return composed(family, z)


@nb.njit
def hash_noise(x, seed):
    """A number in [-1, 1) that depends on every bit of x and looks random, the same whenever x is the same."""
    key = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    for i in range(x.size):
        fraction, exponent = math.frexp(np.float64(x[i]))
        bits = np.uint64(np.int64(fraction * 2.0**53)) ^ (np.uint64(exponent) << np.uint64(54))
        key ^= bits
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        key ^= key >> np.uint64(31)
    return np.float64(key >> np.uint64(11)) * 2.0**-52 - 1.0


@nb.njit
def objective(x, family, scale, amplitude, offset, level, seed, rounded, grain):
    """A (sum_i phi_i(x_i / s_i) + C) (1 + level * noise), rounded to multiples of `grain` unless it is zero.

    In float32 throughout if `rounded`, else in x's dtype.
    """
    total = 0.0
    if rounded:
        single = np.float32(0.0)
        for i in range(x.size):
            single += phi(family[i], np.float32(x[i] / scale[i]))
        total = np.float64(single)
    else:
        own = type(x[0])(0.0)
        for i in range(x.size):
            own += phi(family[i], x[i] / scale[i])
        total = np.float64(own)
    value = amplitude * (total + offset)
    if level > 0.0:
        value *= 1.0 + level * hash_noise(x, seed)
    return math.floor(value / grain + 0.5) * grain if grain > 0.0 else value


@dataclass(frozen=True)
class Problem:
    """A point, the arguments of `objective`, and the true gradient there, correctly rounded."""

    kind: str
    size: int
    number: int
    names: tuple[str, ...]
    x: np.ndarray
    args: tuple[Any, ...]
    gradient: np.ndarray

    def describe(self, i: int) -> str:
        """Component i in one line, and how to see the problem again."""
        _, scale, amplitude, offset, level, _, _, grain = self.args
        return (
            f"{self.kind} {self.size} {self.number}: {self.names[i]} at x[{i}] = {float(self.x[i])!r}, "
            f"s = {scale[i]:.3g}, A = {amplitude:.3g}, C = {offset:.3g}, level = {level:.3g}, "
            f"grain = {grain:.3g}"
        )


def _drawn_from(kind: str) -> np.ndarray:
    return np.array([k for k, family in enumerate(FAMILIES) if kind != UNCANCELLED or not family.cancels])


def make_problem(kind: str, size: int, number: int, *, seed: int = 1) -> Problem:
    """Problem `number` of a kind, with `size` coordinates: the same at every call."""
    rng = np.random.default_rng([seed, [*KINDS, UNCANCELLED].index(kind), size, number])
    family = rng.choice(_drawn_from(kind), size=size)
    low, high = np.array([(FAMILIES[k].low, FAMILIES[k].high) for k in family]).T
    argument = rng.uniform(low, high)
    rarely = 0.3 if kind == "mix" else 1.0
    scale, amplitude, offset, level = np.ones(size), 1.0, 0.0, 0.0
    if kind in ("scale", "mix"):
        scale, amplitude = 10.0 ** rng.uniform(-12, 12, size), 10.0 ** rng.uniform(-20, 20)
    if kind in ("offset", "mix") and rng.random() < rarely:
        offset = 10.0 ** rng.uniform(0, 12) * rng.choice([-1.0, 1.0])
    if kind in ("noise", "mix") and rng.random() < rarely:
        level = 10.0 ** rng.uniform(-14, -2)
    x = argument * scale
    if kind.startswith("float32"):
        x = x.astype(np.float32).astype(np.float32 if kind == "float32 x" else np.float64)
        scale = scale.astype(x.dtype)
    exact = [amplitude * slope(FAMILIES[k], x[i], scale[i]) for i, k in enumerate(family)]
    args = (family, scale, amplitude, offset, level, int(rng.integers(1000)), kind == "float32", 0.0)
    if kind == "steps":
        args = (*args[:-1], max(abs(objective(x, *args)), 1e-3) * 10.0 ** rng.uniform(-14, -2))
    names = tuple(FAMILIES[k].name for k in family)
    return Problem(kind, size, number, names, x, args, np.array(exact, dtype=float))


def slope(family: Family, x: float, scale: float) -> Any:
    """The derivative of phi(x / scale) by x, in many digits."""
    z = _mp.mpf(float(x)) / _mp.mpf(float(scale))
    h = abs(z) * _STEP_OF_TRUTH
    return (family.exact(z + h) - family.exact(z - h)) / (2 * h) / _mp.mpf(float(scale))


def is_visible(problem: Problem, i: int) -> bool:
    """Whether any central difference could tell component i from zero: truncation plus six noise widths below |g|.

    Where the noise of the sum is wider than a component's own rise and fall, f as given does not determine it.
    """
    family, scale, amplitude, _, level, _, rounded, grain = problem.args
    x, slope = float(problem.x[i]), abs(problem.gradient[i])
    value = abs(objective(problem.x, *problem.args))
    precision = np.finfo(np.float32 if rounded or problem.x.dtype == np.float32 else np.float64).eps
    noise = 6.0 * max(value * max(level / math.sqrt(3.0), precision / 2.0), grain / math.sqrt(12.0))
    for h in abs(x) * np.logspace(-14.0, -0.5, 55):
        above, below = (phi(family[i], z / float(scale[i])) for z in (x + h, x - h))
        truncation = abs(amplitude * (above - below) / (2.0 * h) - problem.gradient[i])
        if truncation + noise / h < slope:
            return True
    return False


def spoil(problem: Problem, smallest: float, *, seed: int = 1) -> tuple[np.ndarray, int, float]:
    """The gradient with one wrong component: (gradient, which, delta), the component being 1 + delta times right.

    A quarter of the errors are a sign, a zero or a factor of two; the others are as likely in any decade from
    `smallest` to 1.
    """
    rng = np.random.default_rng([seed, 99, [*KINDS, UNCANCELLED].index(problem.kind), problem.size, problem.number])
    which = int(rng.integers(problem.size))
    if rng.random() < 0.25:
        delta = float(rng.choice([-2.0, -1.0, 1.0]))
    else:
        delta = float(10.0 ** rng.uniform(math.log10(smallest), 0.0) * rng.choice([-1.0, 1.0]))
    gradient = problem.gradient.copy()
    gradient[which] *= 1.0 + delta
    return gradient, which, delta
