"""How long a check may go on: limits on time and evaluations, interruption, and progress."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastgrad._calls import require_fit
from fastgrad._options import positive_number, whole_number

Progress = Callable[[int, int], Any]

_TRIALS = 2  # evaluations of f at x, made before anything else
_FEWEST = _TRIALS + 2


@dataclass
class Budget:
    """Limits of one check. Once spent, it stays spent, and what is left undone is reported as not seen."""

    seconds: float | None = None
    evaluations: int | None = None
    progress: Progress | None = None
    started: float = field(default_factory=time.perf_counter)
    used: int = _TRIALS
    failure: BaseException | None = None
    spent_by: str | None = None  # why no more evaluations are made

    def allows(self, wanted: int, begun: int = 0) -> int:
        """How many of the `wanted` evaluations may be made, with `begun` ones not yet counted; 0 ends the check."""
        if self.spent_by is not None:
            return 0
        if self.seconds is not None and time.perf_counter() - self.started > self.seconds:
            self.spent_by = f"the time limit of {self.seconds:g} s"
            return 0
        if self.evaluations is None:
            return wanted
        left = self.evaluations - self.used - begun
        if left <= 0:
            self.spent_by = f"the limit of {self.evaluations} evaluations"
        return max(0, min(wanted, left))

    def stop(self, why: str) -> None:
        """Make no more evaluations."""
        self.spent_by = why

    def fail(self, failure: BaseException, why: str) -> None:
        """Make no more evaluations, and let `failure` out once what is known has been put together."""
        self.failure = failure
        self.stop(why)

    def let_out(self, result: Any = None) -> None:
        """Raise what ended the check, if anything did, with what was found before as its attribute `result`."""
        if self.failure is None:
            return
        if result is not None:
            self.failure.result = result  # type: ignore[attr-defined]
        raise self.failure

    @property
    def has_limits(self) -> bool:
        return self.seconds is not None or self.evaluations is not None


class BudgetSpent(Exception):
    """No more evaluations are allowed; caught inside the check, never seen by the user."""


def make_budget(time_limit: float | None, max_evaluations: int | None, progress: bool | Progress | None) -> Budget:
    """Check the limits of a check. The clock starts now."""
    seconds = None if time_limit is None else positive_number(time_limit, "time_limit")
    if max_evaluations is None:
        return Budget(seconds, None, make_progress(progress))
    if whole_number(max_evaluations, "max_evaluations") < _FEWEST:
        raise ValueError(
            f"max_evaluations is {max_evaluations}; need {_FEWEST} or more: f(x) twice and one difference."
        )
    return Budget(seconds, int(max_evaluations), make_progress(progress))


def make_progress(progress: bool | Progress | None) -> Progress | None:
    """A callable (done, total), or for True a tqdm bar; both count evaluations of the first differences."""
    if progress is None or progress is False:
        return None
    if callable(progress):
        require_fit(progress, "progress(done, total)", 2)
        return progress
    if progress is not True:
        raise TypeError(f"progress is {progress!r}; need True, False or a function of (done, total).")
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install tqdm, or pass a function.") from None
    bar: Any = tqdm(unit="evaluation", unit_scale=True)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show
