"""A check of a matrix of derivatives with a sparsity pattern: the parts put together."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._inputs import Array, gradient_array
from fastgrad._jacobian.check import DenseCheck
from fastgrad._jacobian.differences import replay_failure
from fastgrad._jacobian.inputs import GivenMatrix
from fastgrad._layout import Layout
from fastgrad._sparse.course import Course
from fastgrad._sparse.pattern import Index, Pattern, entries_of, is_sparse, make_pattern, union
from fastgrad._sparse.report import SparseJacobianCheck
from fastgrad._sparse.result import Subject, make_sparse_result
from fastgrad.steps import Automatic, resolve_scaled_steps, resolve_steps

Floats = NDArray[np.float64]


class SparseCheck(DenseCheck):
    """Differences by groups of columns that share no row, for entries in a list."""

    def sparse_result(
        self, given: GivenMatrix, sparsity: Any, layouts: tuple[Layout, Layout], noise: Floats | None, started: float
    ) -> SparseJacobianCheck:
        """Judge every entry of the matrix and of the pattern, verify the pattern, and put the result together."""
        shape = self.entries.shape
        own, values = _entries(given, shape)
        declared = own if sparsity is None else make_pattern(sparsity, shape)
        pattern = union(declared, own)
        analytical = np.zeros(pattern.size, values.dtype)
        analytical[pattern.find(own.rows, own.columns)] = values
        self._look_in_double_precision()
        course = Course(
            self._looking, self._seen, pattern, analytical,
            self.request.rtol, noise, self.request.bounds, self._steps(),
        )  # fmt: skip
        assessor, first = course.run()
        budget = self.evaluator.budget
        if budget.failure is None:
            replay_failure(self._function, self._looking.point, self.trial.size, assessor.unexplained_failures)
            self.evaluator.require_intact()
            self._looking.require_intact()
        result = make_sparse_result(
            course, assessor, first,
            Subject(
                self.point, (own, values), declared, *layouts, self.request.constants,
                _builder(given.array, shape, self.point.dtype),
            ),
            evaluations=self.evaluations, elapsed=time.perf_counter() - started,
        )  # fmt: skip
        budget.let_out(result)
        return result

    def _steps(self) -> Floats:
        """As asked for, or by the rule for automatic ones; of a float32 x judged in float64, those of float64."""
        if self._looking is not self.evaluator:
            return resolve_scaled_steps(None, self._looking.point)
        if self.request.steps is None:
            return resolve_steps(Automatic(), self.point)
        return self.request.steps


def _entries(given: GivenMatrix, shape: tuple[int, int]) -> tuple[Pattern, Array]:
    """The entries of the matrix: those stored, or those of a full array that are not zero."""
    if is_sparse(given.array):
        pattern, values = entries_of(given.array)
        return pattern, gradient_array(values, name=f"{given.name}.data")
    matrix = given.array.reshape(shape)
    columns, rows = np.nonzero(matrix.T)  # NaN is not zero
    return Pattern(shape, rows, columns), matrix[rows, columns]


def _builder(given: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> Callable[[Index, Index, Array], Any]:
    """Makes matrices in the form of the given one."""
    if is_sparse(given):
        from scipy.sparse import csc_array  # type: ignore[import-untyped]

        return lambda rows, columns, values: csc_array((values.astype(dtype), (rows, columns)), shape=shape)

    def full(rows: Index, columns: Index, values: Array) -> Array:
        matrix = np.zeros(shape, dtype)
        matrix[rows, columns] = values
        return matrix

    return full
