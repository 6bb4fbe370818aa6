"""Cases on an MPI pool and on one thread: mpiexec -n 3 python -m mpi4py.futures on_mpi.py CASE ..."""

import sys
from pathlib import Path

from mpi4py.futures import MPIPoolExecutor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from remote_cases import CASES, check, difference

    with MPIPoolExecutor() as pool:
        for name in sys.argv[1:]:
            result = check(**CASES[name], executor=pool)
            print(f"{name}: {difference(result, check(**CASES[name])) or 'same'} ({result.executor}, {result.threads})")
