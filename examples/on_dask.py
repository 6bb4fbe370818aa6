"""The same check on a Dask cluster: a scheduler and two worker processes, here on this machine (needs distributed)."""

from __future__ import annotations

import numpy as np
from logistic_regression import f, gradient, problem

import fastgrad

if __name__ == "__main__":
    from dask.distributed import Client, LocalCluster

    x, args = problem()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,  # of a real cluster: Client("tcp://scheduler:8786")
    ):
        result = fastgrad.check_gradient(f, x, gradient, args=args, executor=client.get_executor())
    print(result)
    alone = fastgrad.check_gradient(f, x, gradient, args=args, threads=1)
    print("same numbers as on one thread:", np.array_equal(result.numerical_grad, alone.numerical_grad))
    raise SystemExit(0 if result.passed else 1)
