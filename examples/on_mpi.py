"""The same check on MPI ranks: mpiexec -n 3 python -m mpi4py.futures examples/on_mpi.py (needs mpi4py)."""

from __future__ import annotations

import numpy as np
from logistic_regression import f, gradient, problem
from mpi4py.futures import MPIPoolExecutor

import fastgrad

if __name__ == "__main__":
    x, args = problem()
    with MPIPoolExecutor() as pool:  # rank 0 sends, the others work
        result = fastgrad.check_gradient(f, x, gradient, args=args, executor=pool)
    print(result)
    alone = fastgrad.check_gradient(f, x, gradient, args=args, threads=1)
    print("same numbers as on one thread:", np.array_equal(result.numerical_grad, alone.numerical_grad))
