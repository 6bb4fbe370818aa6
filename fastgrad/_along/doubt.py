"""Why differences cannot tell whether a derivative is right, in words."""

import math

from fastgrad._along.claim import Slope
from fastgrad._judge.verdict import Flag


def doubt(slope: Slope, name: str, f: str = "f") -> str:
    """The reason for an inconclusive verdict on a derivative of this name, of a function of this name."""
    if slope.sides is not None:
        low, high = sorted(slope.sides)
        return (
            f"{f} has a kink at x: its slopes on the two sides are {low:.6g} and {high:.6g}, {name} is "
            f"{slope.analytical:.6g}; check at another x"
        )
    if not math.isfinite(slope.analytical) or not math.isfinite(slope.size):
        return f"{name} overflows: divide {f} and its derivatives by a constant"
    if not math.isfinite(slope.numerical):
        return f"{f} is not finite, or raises, close to x in this direction; check at a point inside its domain"
    if slope.is_suspect:
        return (
            f"{name} differs at steps that move some component of x far beyond its own size, where {f} may have become "
            f"another function; closer to x its noise, {slope.noise:.1g}, hides the difference: check the components "
            f"one by one"
        )
    if slope.size == 0.0:
        return (
            f"{name} is zero, term by term, and differences, {slope.numerical:.2g} +- {slope.bar:.0e}, cannot tell it "
            f"from a small number; check at another x"
        )
    if slope.flags & Flag.STAIRCASE:
        return f"{f} is flat close to x and steps at larger distances: differences cannot tell which slope is meant"
    if slope.flags & Flag.NOISE:
        return (
            f"the noise of {f}, {slope.noise:.1g}, leaves {name} uncertain by {slope.resolution:.1g} of its size, more "
            f"than rtol; there is no step between noise and curvature that tells more"
        )
    if slope.resolution > slope.relative:
        return (
            f"differences leave {name} uncertain by {slope.resolution:.1g} of its size, more than rtol: {f} curves too "
            f"strongly, or varies on scales finer than the steps can follow"
        )
    return (
        f"differences at several steps contradict each other about {name} ({slope.numerical:.6g} +- {slope.bar:.0e}, "
        f"claimed {slope.analytical:.6g}): {f} may vary on scales finer than the steps can follow"
    )
