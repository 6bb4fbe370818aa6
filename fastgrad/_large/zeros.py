"""Components of x that are exactly zero: where f has its kinks if biases start at zero, or a term is |x|.

No direction that moves such a component can tell a kink from an error. So directions hold them still, and they are
looked at one by one, from both sides.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgrad._large.probes import Prober, Scaling
from fastgrad._large.samples import Kind, Sample, Sampler

_MOST_LOOKED_AT = 64


@dataclass
class Zeros:
    """What a look at components that are zero showed."""

    count: int  # of them all
    samples: list[Sample] = field(default_factory=list)

    def of_kind(self, kind: Kind) -> list[Sample]:
        return [s for s in self.samples if s.kind is kind]

    @property
    def all_right(self) -> bool:
        return len(self.samples) == self.count == len(self.of_kind(Kind.RIGHT))


def without_zeros(scaling: Scaling) -> Scaling | None:
    """Directions in proportion to x, zeros held; None if x has no zeros, or nothing else."""
    count = int(np.count_nonzero(scaling.magnitude))
    if count in (0, scaling.magnitude.size):
        return None
    nothing = np.zeros_like(scaling.typical)
    return Scaling(f"{scaling.name}, zeros held", scaling.magnitude, scaling.start, nothing, nothing)


def look_at_zeros(prober: Prober, sampler: Sampler, rng: np.random.Generator, *, typical: float) -> Zeros:
    """Judge them one by one, a sample if they are many; `typical` is a scaled derivative nearby."""
    zeros: NDArray[np.int64] = np.flatnonzero(prober.point.flat == 0.0)
    chosen = zeros if zeros.size <= _MOST_LOOKED_AT else rng.choice(zeros, _MOST_LOOKED_AT, replace=False)
    return Zeros(int(zeros.size), sampler.sample(np.sort(chosen), expected=1e-3 * typical, typical=typical))
