"""Search for the few wrong components among many: an interval tree with position-coded sums.

Of an interval two moments are measured, sum w_i e_i and sum w_i c_i e_i, where e_i is the scaled error of component i,
w_i its random weight and c_i in [-1, 1] its position. A lone wrong component sits where their ratio says, so one step
gains as many bits as the measurement has, where a bisection gains one. Two components that cancel in the first moment
show in the second. An interval that is not one component is split; the right half follows by difference.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 4  # intervals up to this size are looked through one by one
_DENSE_SIZE = 32
_CANDIDATES = 3
_STALE = (6.0, 8.0)  # accumulated errors of the moments, in bars, from which they are measured anew
_SHARE = 0.1  # of a found component's own bar that its subtraction leaves


class Meter(Protocol):
    """Measures sums of scaled errors, each right within `bar` for a right gradient."""

    bar: float

    def moment(self, lo: int, hi: int, *, coded: bool) -> float:
        """Sum of w_i e_i over [lo, hi), or of w_i c_i e_i."""

    def error(self, i: int) -> float:
        """Scaled error of one component, from a difference of its own."""

    def weights(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """w_i of a few components."""


@dataclass
class Node:
    """An interval, its two moments without the components found so far, and their errors in bars."""

    lo: int
    hi: int
    moment: float
    spread: float
    coded: float | None = None
    coded_spread: float = 1.0
    failures: int = 0  # decodings, of this interval and those it came from

    @property
    def size(self) -> int:
        return self.hi - self.lo

    @property
    def middle(self) -> float:
        return 0.5 * (self.lo + self.hi - 1)

    @property
    def half(self) -> float:
        return max(0.5 * self.size, 1.0)

    @property
    def strength(self) -> float:
        return max(abs(self.moment), abs(self.coded or 0.0))


class TreeSearch:
    """One pass over an interval with one set of weights; `found` maps components to scaled errors and grows."""

    def __init__(
        self, meter: Meter, found: dict[int, float], rng: np.random.Generator, is_spent: Callable[[int], bool]
    ) -> None:
        self._meter = meter
        self._bar = meter.bar
        self._rng = rng
        self._is_spent = is_spent  # given the number of open intervals
        self._heap: list[tuple[float, int, Node]] = []
        self._count = 0
        self._errors: dict[int, float] = {}
        self.found = found
        self.dense: list[tuple[int, int]] = []
        self.seen: dict[int, float] = {}  # wrong components that showed an interval to be dense
        self.open: list[Node] = []

    def run(self, lo: int, hi: int) -> bool:
        """Search [lo, hi), the most wrong first; whether it looked wrong at all."""
        root = Node(lo, hi, *self._measure(lo, hi, coded=False))
        root.coded, root.coded_spread = self._measure(lo, hi, coded=True)
        self._push(root)
        looked_wrong = bool(self._heap)
        self._search()
        return looked_wrong

    def go_on(self, is_spent: Callable[[int], bool]) -> bool:
        """Search the intervals left open by `run`, which looked wrong, with another limit."""
        self._is_spent = is_spent
        self.open = []
        self._search()
        return True

    def _search(self) -> None:
        while self._heap:
            if self._is_spent(len(self._heap)):
                self.open = [node for _, _, node in self._heap]
                return
            node = heapq.heappop(self._heap)[2]
            if node.size <= _SMALLEST:
                self._look_through(node)
            elif not self._decode(node) and not self._is_dense(node):
                self._split(node)

    def _push(self, node: Node) -> None:
        shows = abs(node.moment) > self._bar * node.spread
        if shows or (node.coded is not None and abs(node.coded) > self._bar * node.coded_spread):
            self._count += 1
            heapq.heappush(self._heap, (-node.strength, self._count, node))

    def _measure(self, lo: int, hi: int, *, coded: bool) -> tuple[float, float]:
        """A moment without the components found, and its error in bars."""
        value = self._meter.moment(lo, hi, coded=coded)
        inside = np.array(sorted(i for i in self.found if lo <= i < hi), dtype=np.int64)
        if inside.size == 0:
            return value, 1.0
        weight = self._meter.weights(inside)
        if coded:
            weight = weight * (inside - 0.5 * (lo + hi - 1)) / max(0.5 * (hi - lo), 1.0)
        known = np.array([self.found[int(i)] for i in inside])
        return value - float(weight @ known), math.sqrt(1.0 + _SHARE * float(weight @ weight))

    def _error(self, i: int) -> float:
        if i not in self._errors:
            self._errors[i] = self._meter.error(i)
        return self._errors[i]

    def _is_wrong(self, i: int) -> bool:
        return abs(self._error(i)) > self._bar

    def _look_through(self, node: Node) -> None:
        for i in range(node.lo, node.hi):
            if i not in self.found and self._is_wrong(i):
                self.found[i] = self._error(i)

    # --------------------------------------------------------------------------------------------- decoding

    def _decode(self, node: Node) -> bool:
        """Whether the ratio of the moments led to a component, or to a much smaller interval."""
        if abs(node.moment) <= 4.0 * self._bar * node.spread:
            return False
        if node.coded is None or (
            node.coded_spread > 3.0 and node.coded_spread * self._bar * node.half > 0.5 * abs(node.moment)
        ):
            node.coded, node.coded_spread = self._measure(node.lo, node.hi, coded=True)
        ratio = node.coded / node.moment
        doubt = self._bar * (node.coded_spread + abs(ratio) * node.spread) / abs(node.moment)
        if abs(ratio) - doubt > 1.0:
            return self._failed(node)
        place, reach = node.middle + node.half * ratio, node.half * doubt
        first = max(node.lo, math.ceil(place - reach - 1e-9))
        last = min(node.hi, math.floor(place + reach + 1e-9) + 1)
        if 0 < last - first <= _CANDIDATES:
            return self._take(node, sorted(range(first, last), key=lambda i: abs(i - place))) or self._failed(node)
        if _CANDIDATES < last - first <= node.size // 4:
            return self._zoom(node, first, last) or self._failed(node)
        return self._failed(node)

    @staticmethod
    def _failed(node: Node) -> bool:
        node.failures += 1
        return False

    def _take(self, node: Node, candidates: list[int]) -> bool:
        """Look at the candidates; subtract the first that is wrong."""
        for i in candidates:
            if i not in self.found and self._is_wrong(i):
                self.found[i] = self._error(i)
                self._subtract(node, i)
                self._push(node)
                return True
        return False

    def _subtract(self, node: Node, i: int) -> None:
        weight, error = float(self._meter.weights(np.array([i]))[0]), self.found[i]
        node.moment -= weight * error
        node.spread = math.hypot(node.spread, weight)
        if node.coded is not None:
            weight *= (i - node.middle) / node.half
            node.coded -= weight * error
            node.coded_spread = math.hypot(node.coded_spread, weight)

    def _zoom(self, node: Node, first: int, last: int) -> bool:
        """Go on inside [first, last) if everything visible sits there."""
        inner = Node(first, last, *self._measure(first, last, coded=False))
        shows = abs(inner.moment) > self._bar * inner.spread
        if not shows or abs(inner.moment - node.moment) > 2.0 * self._bar * max(node.spread, inner.spread):
            return False
        inner.coded, inner.coded_spread = self._measure(first, last, coded=True)
        outside = (node.coded or 0.0) - self._seen_from(node, inner)
        spread = math.sqrt(node.coded_spread**2 + (inner.half / node.half) ** 2 + 1.0)
        if abs(outside) > 2.0 * self._bar * spread:
            return False
        self._push(inner)
        return True

    @staticmethod
    def _seen_from(node: Node, part: Node) -> float:
        """The coded moment of a part in the coordinates of its node."""
        shift = (part.middle - node.middle) * part.moment
        return (part.half * (part.coded or 0.0) + shift) / node.half

    def _is_dense(self, node: Node) -> bool:
        """After three failed decodings: whether four random components are all wrong, and no other is known right."""
        if node.failures < 3 or node.size < _DENSE_SIZE:
            return False
        if any(node.lo <= i < node.hi and not self._is_wrong(i) for i in self._errors):
            return False
        drawn = [int(i) for i in self._rng.integers(node.lo, node.hi, 4)]
        if all(self._is_wrong(i) for i in drawn):
            self.dense.append((node.lo, node.hi))
            self.seen.update({i: self._error(i) for i in drawn})
            return True
        return False

    # --------------------------------------------------------------------------------------------- splitting

    def _split(self, node: Node) -> None:
        """Measure the left half; the right one is the difference."""
        cut = (node.lo + node.hi) // 2
        left = Node(node.lo, cut, *self._measure(node.lo, cut, coded=False), failures=node.failures)
        right = Node(
            cut, node.hi, node.moment - left.moment, math.hypot(node.spread, left.spread), failures=node.failures
        )
        if node.coded is not None:
            self._derive_position(node, left, right)
        in_doubt = 0.4 * self._bar * right.spread < abs(right.moment) < 4.0 * self._bar * right.spread
        if right.spread > _STALE[0] or (in_doubt and right.spread > 1.5):
            right.moment, right.spread = self._measure(right.lo, right.hi, coded=False)
        if right.coded_spread > _STALE[1] and abs(right.moment) > 4.0 * self._bar * right.spread:
            right.coded, right.coded_spread = None, 1.0
        self._push(left)
        self._push(right)

    def _derive_position(self, node: Node, left: Node, right: Node) -> None:
        half, shift_left, shift_right = node.half, left.middle - node.middle, right.middle - node.middle
        inside, spread = 0.0, 1.0
        if abs(left.moment) > self._bar * left.spread:
            left.coded, left.coded_spread = self._measure(left.lo, left.hi, coded=True)
            inside, spread = left.half * left.coded + shift_left * left.moment, left.coded_spread
        right.coded = (half * (node.coded or 0.0) - inside - shift_right * right.moment) / right.half
        right.coded_spread = math.sqrt(
            (half / right.half * node.coded_spread) ** 2
            + (left.half / right.half * spread) ** 2
            + (shift_left / right.half * left.spread) ** 2
            + (shift_right / right.half * right.spread) ** 2
        )
