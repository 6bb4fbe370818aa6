"""Slices of work for vector functions: the routes, threads and limits of `_schedule`, with m values per evaluation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._compiled import vector_kernels as kernels
from fastgrad._inputs import Point
from fastgrad._schedule import Evaluator, Floats, Operation, Status
from fastgrad._vector_objective import VectorObjective

Index = NDArray[np.int64]

_DIFFERENCES = Operation("differences", kernels.differences_serial, kernels.differences_parallel, 2, 2, 2)
_DISPLACED = Operation("displaced", kernels.displaced_serial, kernels.displaced_parallel, 1, 2, 1)
_ALONG = Operation("along", kernels.along_serial, kernels.along_parallel, 1, 1, 1)


@dataclass(frozen=True)
class Groups:
    """Coordinates that move together: group k holds index[start[k]:start[k + 1]], all different."""

    index: Index
    start: Index

    @property
    def count(self) -> int:
        return int(self.start.size) - 1

    @property
    def group_of_index(self) -> Index:
        """For each position in `index`, its group."""
        return np.repeat(np.arange(self.count), np.diff(self.start))

    def members(self, k: int) -> Index:
        return self.index[self.start[k] : self.start[k + 1]]

    def of_columns(self, n: int) -> Index:
        """For each of n columns its group, -1 for none."""
        group = np.full(n, -1)
        group[self.index] = self.group_of_index
        return group

    def only(self, kept: NDArray[np.bool_]) -> "Groups":
        """Without some positions of `index`, and without groups that lose all of theirs."""
        if kept.all():
            return self
        count = np.bincount(self.group_of_index[kept], minlength=self.count)
        return Groups(self.index[kept], np.concatenate([[0], np.cumsum(count[count > 0])]))


def single_columns(index: Index) -> Groups:
    """Each coordinate by itself, as a dense Jacobian needs it."""
    return Groups(index, np.arange(index.size + 1))


@dataclass(frozen=True)
class VectorDifferences:
    """F a step above and a step below x, a row per group (NaN where F failed), and how each evaluation ended."""

    above: Floats
    below: Floats
    status: Status


class VectorEvaluator(Evaluator):
    """Evaluates one vector function around one point, in parallel where that is safe; see `Evaluator`."""

    def __init__(self, objective: VectorObjective, point: Point, size: int, **rest: Any) -> None:
        super().__init__(objective, point, **rest)
        self.size = size
        self.values_per_evaluation = (size,)

    def group_differences(self, groups: Groups, step: Floats) -> VectorDifferences:
        """Coordinate groups.index[p] moves by step[p], together with those of its group; 2 evaluations each."""
        inputs = (groups.start[:-1], groups.start[1:])
        (above, below), status = self._run(_DIFFERENCES, (groups.index, step), inputs)
        return VectorDifferences(above, below, status)

    def group_displaced(self, groups: Groups, coordinate: Floats) -> tuple[Floats, Status]:
        """F with coordinate groups.index[p] set to coordinate[p], a row per group; 1 evaluation each."""
        inputs = (groups.start[:-1], groups.start[1:])
        (values,), status = self._run(_DISPLACED, (groups.index, coordinate), inputs)
        return values, status

    def along(self, direction: Floats, multiple: Floats) -> tuple[Floats, Status]:
        """F at x + multiple[k] * direction, a row per multiple, and how each evaluation ended."""
        (values,), status = self._run(_ALONG, (direction,), (multiple,))
        return values, status
