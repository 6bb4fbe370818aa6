"""Who may run in parallel, and how: Numba's threading layer where that is safe, plain threads where it is not."""

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

_launch_lock = threading.RLock()
_alone_lock = threading.RLock()
FREE = contextlib.nullcontext()  # holds nothing
_pools: dict[int, ThreadPoolExecutor] = {}
_in_forked_child = False


def _after_fork() -> None:
    # GNU OpenMP kills a forked child that enters a parallel region, and pool threads do not survive a fork.
    global _in_forked_child, _launch_lock, _alone_lock
    _in_forked_child = True
    _launch_lock = threading.RLock()
    _alone_lock = threading.RLock()
    _pools.clear()


os.register_at_fork(after_in_child=_after_fork)


def count_threads(requested: int | None) -> int:
    """Threads to use: as requested, or what Numba would use (its mask respected)."""
    if requested is None:
        # In a forked child even asking starts the threading layer, which kills the process later.
        return int(numba.config.NUMBA_NUM_THREADS if _in_forked_child else numba.get_num_threads())
    available = numba.config.NUMBA_NUM_THREADS
    if isinstance(requested, bool) or not isinstance(requested, int | np.integer):
        raise TypeError(f"threads is {requested!r}; need a whole number from 1 to {available}, or None for all.")
    if not 1 <= requested <= available:
        raise ValueError(
            f"threads is {requested}; need 1 to {available} (set NUMBA_NUM_THREADS before starting for more)."
        )
    return int(requested)


def layer_is_safe() -> bool:
    """Whether this thread may enter one of Numba's parallel kernels now.

    Not in a forked child, and not under workqueue while other Python threads live: that layer aborts the
    process when two threads enter it, be it through another library's kernel.
    """
    if _in_forked_child:
        return False
    return not (_threading_layer() == "workqueue" and threading.active_count() > 1)


def _threading_layer() -> str:
    try:
        return str(numba.threading_layer())
    except ValueError:  # not started yet
        numba.get_num_threads()
        return str(numba.threading_layer())


def launching_parallel() -> contextlib.AbstractContextManager[Any]:
    """To be held during a launch: keeps launches apart under workqueue; other layers take concurrent ones."""
    if not _in_forked_child and _threading_layer() == "workqueue":
        return _launch_lock
    return FREE


def calling(function: Any) -> contextlib.AbstractContextManager[Any]:
    """To be held around a call of a function of the user from Python: a compiled one may have parallel loops."""
    return launching_parallel() if isinstance(function, Dispatcher) else FREE


def calling_alone() -> contextlib.AbstractContextManager[Any]:
    """To be held around calls of functions that are not thread-safe: one lock, as they may share a library."""
    return _alone_lock


def run_on_threads(task: Callable[[int], None], lanes: int) -> None:
    """Call task(0) ... task(lanes - 1) at the same time, each on a plain thread."""
    if lanes == 1:
        task(0)
        return
    pool = _pools.get(lanes)
    if pool is None:
        pool = _pools.setdefault(lanes, ThreadPoolExecutor(lanes, thread_name_prefix="fastgrad"))
    futures = [pool.submit(task, lane) for lane in range(lanes)]
    try:
        for future in futures:
            future.result()
    finally:
        wait(futures)  # after an interruption: nobody may go on with arrays that the caller takes back
