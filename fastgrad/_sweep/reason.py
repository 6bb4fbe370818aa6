"""What a curve of E against epsilon says, in a sentence a person can act on."""

import math

import numpy as np

from fastgrad._judge.verdict import Verdict
from fastgrad._report import GradientCheck
from fastgrad._sweep.branches import Part, Reading

_FEWEST = 3
_NEAR = 0.35  # a power of epsilon within this of -1 or 2 is called by its name


def give_reason(reading: Reading, check: GradientCheck, mover: str) -> str:
    """How E behaves and why; `mover` is the coordinate behind the kink, if there is one."""
    error = reading.error
    if error.size == 0:
        return f"E could not be measured at any epsilon: {_why_nothing(check)}"
    if not error.any():
        return "E is 0 at every epsilon: the numerical gradient equals the analytical one to the last bit"
    if not check.layout.flat(check.analytical_grad).any():
        return "the analytical gradient is zero, so E is 0 or 1 at every epsilon: the absolute differences tell more"
    if error.size < _FEWEST:
        return f"E is {_list(error)}; a law can be read from {_FEWEST} epsilon and more"
    if math.isfinite(reading.floor):
        return _reason_of_flat(reading, check)
    text = f"E {_branches(reading)}" + _kink(reading, mover)
    if check.verdict is Verdict.MISMATCH:
        text += "; the wrong components are too few, or too small beside the others, to show in it"
    return text


def _why_nothing(check: GradientCheck) -> str:
    if not np.isfinite(check.layout.flat(check.analytical_grad)).all():
        return "the analytical gradient is not finite"
    return "f is not finite around x, or every epsilon is lost when added to some coordinate"


def _list(error: np.ndarray) -> str:
    return " and ".join(f"{value:.2g}" for value in error)


def _reason_of_flat(reading: Reading, check: GradientCheck) -> str:
    where = [epsilon for epsilon, part in zip(reading.epsilon, reading.parts, strict=True) if part is Part.FLAT]
    text = f"E stays at {reading.floor:.2g} from epsilon {where[0]:.3g} to {where[-1]:.3g}"
    allowed = reading.law.smallest_error
    if allowed > 0.0:
        text += f", where noise and truncation would let it fall to {allowed:.1g}"
    if check.verdict is Verdict.MISMATCH:
        return f"{text}: the gradient is wrong"
    if check.verdict is Verdict.INCONCLUSIVE:
        return f"{text}: the gradient is wrong, or f has no derivative at x"
    if reading.floor <= check.rtol:
        return (
            f"{text}: the gradient is off by that much (less precise arithmetic, an early stop), or some coordinates "
            f"need another epsilon"
        )
    return f"{text}, yet every component agrees at a step of its own: no epsilon suits all coordinates at once"


def _branches(reading: Reading) -> str:
    rounding, truncation = reading.slopes
    best, smallest = reading.epsilon[reading.best], reading.error[reading.best]
    falls = f"falls as {_power(rounding, -1.0, '1/epsilon')} (rounding noise) down to {smallest:.1e}"
    grows = f"grows as {_power(truncation, 2.0, 'epsilon^2')} (truncation)"
    if math.isnan(rounding) and math.isnan(truncation):
        if set(reading.parts) == {Part.ROUNDING} and smallest > 0.1:
            return f"stays above {smallest:.2g}: the noise of f hides the gradient at every epsilon"
        return f"follows no law that could be read; it is smallest, {smallest:.1e}, at epsilon {best:.3g}"
    if math.isnan(truncation):
        rest = "no truncation is seen" if reading.best == reading.error.size - 1 else "what follows is too short to fit"
        return f"{falls} at epsilon {best:.3g}; {rest}"
    if math.isnan(rounding):
        return f"{grows} from {smallest:.1e} at epsilon {best:.3g}; no rounding is seen"
    return f"{falls} at epsilon {best:.3g}, and {grows} beyond"


def _power(slope: float, expected: float, name: str) -> str:
    return name if abs(slope - expected) < _NEAR else f"epsilon^{slope:.2g}"


def _kink(reading: Reading, mover: str) -> str:
    if reading.kink is None:
        return ""
    return f"; from epsilon {reading.epsilon[reading.kink]:.3g} on f has a kink, or bends as sharply, near {mover}"
