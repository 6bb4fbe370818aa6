"""A check of many minutes on a pool of processes, interrupted as a terminal does it: all processes at once."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    import numpy as np
    from remote_cases import asleep, asleep_gradient

    import fastgrad

    x = np.linspace(1.0, 2.0, 50_000)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            fastgrad.check_gradient(
                asleep, x, asleep_gradient, args=(20_000,), executor=pool,
                progress=lambda done, total: print("progress", flush=True),
            )  # fmt: skip
        except KeyboardInterrupt as interruption:
            print(interruption.result.reason)
            print("part" if 0.0 < interruption.result.coverage < 1.0 else "nothing or all")
