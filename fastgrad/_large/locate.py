"""Which components are wrong: blocks first, then samples, then the tree or, where many are wrong, a density."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgrad._causes.places import Block
from fastgrad._large.detect import Family
from fastgrad._large.intervals import proportion_bounds
from fastgrad._large.probes import Prober, Span, key_of
from fastgrad._large.samples import FamilyMeter, Kind, Sample, Sampler
from fastgrad._large.structure import Pattern, is_interval, separating, stretch
from fastgrad._large.tree import TreeSearch

_SAMPLES, _MORE_SAMPLES, _LARGE_SAMPLE, _LARGEST = 8, 16, 48, 2
_MANY, _MANY_OPEN = 24, 12
_PASSES = 5
_PIECE = 1 << 16
_MOST_OPEN = 64
_MOST_OF_DENSE = 24  # components of intervals that are full of wrong ones
_LEAST_BUDGET = 80
_PER_COMPONENT, _MOST_EARNING = 24, 100
_FIRST_TRY, _FIRST_PASSES, _FIRST_OPEN = 32, 3, 2
_PURPOSES = {"block": 11, "tree": 12, "sample": 13, "complement": 14, "first": 15}


@dataclass
class BlockFindings:
    """What was found in one block that differs."""

    block: Block
    size: float  # root mean square of the restricted mismatches, in units of f
    samples: dict[int, Sample] = field(default_factory=dict)
    fair: set[int] = field(default_factory=set)  # those drawn at random, which tell the share
    density: tuple[float, float, float] | None = None  # share of wrong components, with 99 % bounds
    pattern: Pattern | None = None
    dense: list[Span] = field(default_factory=list)  # intervals full of wrong components
    open: list[tuple[int, int, float]] = field(default_factory=list)  # intervals left, and how wrong they look

    def of_kind(self, *kinds: Kind) -> list[Sample]:
        return [s for s in self.samples.values() if s.kind in kinds]

    @property
    def wrong(self) -> list[Sample]:
        return sorted(self.of_kind(Kind.WRONG), key=lambda s: s.index)


def _count(samples: Iterable[Sample], *kinds: Kind) -> int:
    return sum(s.kind in kinds for s in samples)


def default_budget(n: int) -> int:
    """Evaluations that location may take, besides those earned by components found."""
    return int(max(400.0, 64.0 * math.log2(n + 1)))


class Locator:
    """Searches the blocks of a gradient that was found to differ."""

    def __init__(
        self, prober: Prober, family: Family, sampler: Sampler, blocks: tuple[Block, ...], *, seed: int, budget: int
    ) -> None:
        self._prober = prober
        self._family = family
        self._sampler = sampler
        self._blocks = blocks
        self._seed = seed
        self._limit = prober.evaluations + budget
        self._rng = np.random.default_rng(key_of(seed, _PURPOSES["sample"]))
        self._strength = family.estimate.root_mean_square
        self.findings: list[BlockFindings] = []
        self._known: dict[int, float] = {}  # scaled errors found so far

    def run(self, known: dict[int, float]) -> list[BlockFindings]:
        """Findings of every block that differs, the worst first; `known` scaled errors count as found."""
        self._known = known
        for size, block in self._wrong_blocks():
            found = BlockFindings(block, size)
            self.findings.append(found)  # at once, so that it survives a budget that ends here
            self._search(found)
        return self.findings

    def _meter(self, *purpose: int) -> FamilyMeter:
        return FamilyMeter(self._prober, self._family, self._strength, key_of(self._seed, *purpose))

    def _wrong_blocks(self) -> list[tuple[float, Block]]:
        if len(self._blocks) == 1:
            return [(self._strength, self._blocks[0])]
        meter = self._meter(_PURPOSES["block"])
        keys = [key_of(self._seed, _PURPOSES["block"], k) for k in (1, 2)] * len(self._blocks)
        moments = meter.moments(keys, [(b.start, b.stop) for b in self._blocks for _ in (1, 2)]).reshape(-1, 2)
        sizes = np.sqrt(np.mean(moments**2, axis=1))
        differs = np.abs(moments).max(axis=1) > meter.bar
        return sorted(((float(sizes[k]), self._blocks[k]) for k in np.flatnonzero(differs)), key=lambda pair: -pair[0])

    def _search(self, found: BlockFindings) -> None:
        block = found.block
        if block.size <= _SAMPLES:
            self._sample(found, range(block.start, block.stop))
            return
        begun = self._begin(found)
        if begun is None:
            return
        seen = self._sample(found, self._largest(block))
        seen += self._sample_fairly(found, _SAMPLES - _LARGEST)
        if _count(seen, Kind.WRONG, Kind.TINY):
            seen += self._sample_fairly(found, _MORE_SAMPLES)
        if _count(seen, Kind.WRONG, Kind.TINY) < 2:
            self._grow_tree(found, begun)
        elif _count(seen, Kind.WRONG):
            self._describe(found)

    def _describe(self, found: BlockFindings) -> None:
        """Many wrong components: their share, their place, or, if there are not so many after all, each of them."""
        fair = [found.samples[i] for i in found.fair]
        wrong, right = _count(fair, Kind.WRONG), _count(fair, Kind.RIGHT)
        if wrong + right == 0:
            self._grow_tree(found)
            return
        found.density = (wrong / (wrong + right), *proportion_bounds(wrong, wrong + right))
        found.pattern = self._find_pattern(found)
        few = found.density[1] * found.block.size < (self._limit - self._prober.evaluations) / 10
        if right >= 3 and found.pattern is None and few:
            self._grow_tree(found, most_open=_MOST_OPEN)

    def _begin(self, found: BlockFindings) -> TreeSearch | None:
        """A short search, None if it finds all that is wrong: one component or two, the most frequent case."""
        known = self._known
        before, limit = set(known), self._prober.evaluations + _FIRST_TRY
        for number in range(_FIRST_PASSES):
            meter = self._meter(_PURPOSES["first"], found.block.start, number)
            search = TreeSearch(
                meter, known, self._rng, lambda count: self._prober.evaluations >= limit or count > _FIRST_OPEN
            )
            looked_wrong = search.run(found.block.start, found.block.stop)
            if search.open or search.dense or not looked_wrong:
                break
        self._look_at(found, set(known) - before)
        return search if looked_wrong else None

    def _look_at(self, found: BlockFindings, index: set[int]) -> None:
        """Look again at components that a search found, in this block."""
        inside = sorted(i for i in index if found.block.start <= i < found.block.stop)
        if inside:
            self._sample(found, inside, expected=min(abs(self._known[i]) for i in inside))

    def _sample_fairly(self, found: BlockFindings, count: int) -> list[Sample]:
        index = self._rng.integers(found.block.start, found.block.stop, count)
        found.fair.update(int(i) for i in index)
        return self._sample(found, index)

    def _largest(self, block: Block) -> list[int]:
        """Largest |S a| of a block, piece by piece: no array of its size is made."""
        best: list[tuple[float, int]] = []
        for start in range(block.start, block.stop, _PIECE):
            index = np.arange(start, min(start + _PIECE, block.stop))
            size = np.abs(self._prober.analytical[index]) * self._family.scaling.at(index)
            top = np.argsort(-size, kind="stable")[:_LARGEST]
            best = sorted(best + [(-float(size[k]), int(index[k])) for k in top])[:_LARGEST]
        return [i for _, i in best]

    def _sample(self, found: BlockFindings, index: Iterable[int], *, expected: float | None = None) -> list[Sample]:
        """Look at components; the scaled error to be resolved is, if not given, an equal share of the block's."""
        typical = self._family.estimate.norm / math.sqrt(self._prober.point.size)
        share = found.size / math.sqrt(found.block.size)
        samples = self._sampler.sample(index, expected=share if expected is None else expected, typical=typical)
        found.samples.update({s.index: s for s in samples})
        return samples

    # --------------------------------------------------------------------------------------------- few wrong

    def _grow_tree(
        self, found: BlockFindings, begun: TreeSearch | None = None, *, most_open: int | None = None
    ) -> None:
        """Passes with fresh weights until one sees nothing; then every component found is looked at again.

        The first pass goes on where a short search ended, if one has begun. A search that finds many and has many
        left asks a larger sample, once, whether the block is full of them.
        """
        block, known = found.block, self._known
        before, seen = set(known), dict[int, float]()
        least = self._prober.evaluations + _LEAST_BUDGET
        ask_at = math.inf if most_open is not None else len(known) + _MANY

        def is_spent(count: int) -> bool:
            earned = _PER_COMPONENT * min(len(known), _MOST_EARNING)  # a search that finds goes on
            return self._prober.evaluations >= max(least, self._limit + earned) or count > (most_open or block.size)

        def is_to_stop(count: int) -> bool:
            return is_spent(count) or (len(known) >= ask_at and count > _MANY_OPEN)

        for number in range(_PASSES):
            if number == 0 and begun is not None and begun.open:
                search, looked_wrong = begun, begun.go_on(is_to_stop)
            else:
                search = TreeSearch(self._meter(_PURPOSES["tree"], block.start, number), known, self._rng, is_to_stop)
                looked_wrong = search.run(block.start, block.stop)
            found.dense += search.dense
            seen |= search.seen
            found.open = [(node.lo, node.hi, node.strength) for node in search.open]
            if found.open and not is_spent(len(found.open)):
                ask_at = math.inf
                if self._is_full(found):
                    break
            elif found.open or found.dense or not looked_wrong or is_spent(0):
                break
        self._look_at(found, set(known) - before)
        if seen:
            self._sample(found, list(seen)[:_MOST_OF_DENSE], expected=min(abs(error) for error in seen.values()))

    # -------------------------------------------------------------------------------------------- many wrong

    def _is_full(self, found: BlockFindings) -> bool:
        """Whether a larger sample meets several wrong components: then their share is the better description."""
        if _count(self._sample_fairly(found, _LARGE_SAMPLE), Kind.WRONG) < 2:
            return False
        fair = [found.samples[i] for i in found.fair]
        wrong, right = _count(fair, Kind.WRONG), _count(fair, Kind.RIGHT)
        found.density = (wrong / (wrong + right), *proportion_bounds(wrong, wrong + right))
        found.open = []
        return True

    def _find_pattern(self, found: BlockFindings) -> Pattern | None:
        """The place of many wrong components, if directions that leave it alone see nothing."""
        block = found.block
        wrong, right = (
            np.array([s.index - block.start for s in found.of_kind(kind)]) for kind in (Kind.WRONG, Kind.RIGHT)
        )
        if right.size == 0:
            return None
        for pattern in separating(wrong, right, block.shape):
            if self._explains(pattern, block):
                return pattern
        if is_interval(wrong, right):
            pattern = self._find_ends(found, wrong, right)
            if self._explains(pattern, block):
                return pattern
        return None

    def _find_ends(self, found: BlockFindings, wrong: NDArray[np.int64], right: NDArray[np.int64]) -> Pattern:
        """First and last wrong component of a stretch, by bisection with single components."""
        first, last = int(wrong.min()), int(wrong.max())
        before = int(max((k for k in right if k < first), default=-1))
        after = int(min((k for k in right if k > last), default=found.block.size))
        while first - before > 1:
            middle = (first + before) // 2
            first, before = (middle, before) if self._is_wrong(found, middle) else (first, middle)
        while after - last > 1:
            middle = (after + last) // 2
            last, after = (middle, after) if self._is_wrong(found, middle) else (last, middle)
        return stretch(first, last)

    def _is_wrong(self, found: BlockFindings, position: int) -> bool:
        (sample,) = self._sample(found, [found.block.start + position])
        return sample.kind in (Kind.WRONG, Kind.TINY)

    def _explains(self, pattern: Pattern, block: Block) -> bool:
        magnitude = np.zeros(self._prober.point.size)
        for start in range(block.start, block.stop, _PIECE):  # beside it no array of the size of x is made
            index = np.arange(start, min(start + _PIECE, block.stop))
            magnitude[index] = np.where(pattern.holds(index - block.start), 0.0, self._family.scaling.at(index))
        meter = self._meter(_PURPOSES["complement"])
        keys = [key_of(self._seed, _PURPOSES["complement"], k) for k in (1, 2)]
        rest = meter.complement(self._family.scaling.restricted_to(magnitude), keys, (block.start, block.stop))
        return bool(np.abs(rest).max() <= meter.bar)
