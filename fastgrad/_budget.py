"""How long a check may go on: limits on time and evaluations, interruption, and progress."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from fastgrad._calls import require_fit
from fastgrad._options import positive_number, whole_number

Progress = Callable[[int, int], Any]

Result = TypeVar("Result")

TRIALS = 2  # evaluations of f at x, made before anything else
_DIFFERENCE = 2

INTERRUPTION = "an interruption"


@dataclass
class Budget:
    """Limits of one check. Once spent, it stays spent, and what is left undone is reported as not seen.

    Progress is counted in evaluations. The total holds what is foreseen; where closer looks turn out to need more it
    grows, and both numbers are equal at the end only. Used as a context, it closes the bar.
    """

    seconds: float | None = None
    evaluations: int | None = None
    progress: Progress | None = None
    started: float = field(default_factory=lambda: time.perf_counter())
    used: int = TRIALS
    failure: BaseException | None = None
    spent_by: str | None = None  # why no more evaluations are made
    ahead: int = 0  # evaluations of first differences that are not begun
    closer: int = 0  # of closer looks that are not begun, roughly
    _begun: int = 0  # not done yet
    _done: int = 0
    _total: int = 0

    def allows(self, wanted: int, begun: int = 0, each: int = 1) -> int:
        """How many of the `wanted` evaluations may be made, with `begun` ones not yet counted; 0 ends the check.

        Evaluations that go together, `each` of them, are allowed together.
        """
        if self.spent_by is not None:
            return 0
        if self.seconds_left <= 0.0:
            self.spent_by = f"the time limit of {self.seconds:g} s"
            return 0
        if self.evaluations is None:
            return wanted
        allowed = max(0, min(wanted, self.evaluations - self.used - begun)) // each * each
        if allowed == 0:
            self.spent_by = f"the limit of {self.evaluations} evaluations"
        return allowed

    @property
    def seconds_left(self) -> float:
        """Until the time limit, which may be over."""
        return math.inf if self.seconds is None else self.seconds - (time.perf_counter() - self.started)

    def begin(self, evaluations: int) -> None:
        """So many evaluations are to be made next."""
        self._begun = evaluations

    def count(self, evaluations: int) -> None:
        """So many of those begun are done, or were found in a checkpoint."""
        self._begun -= evaluations
        self._done += evaluations
        if self.progress is None or evaluations == 0:
            return
        if self.closer:
            self.closer = max(1, self.closer - evaluations)
        foreseen = self._begun + self.ahead + self.closer
        if self.evaluations is not None:
            foreseen = min(foreseen, self.evaluations - self.used)
        self._total = max(self._total, self._done + foreseen)
        if self._done < self._total:  # equal numbers are kept for the end
            self.progress(self._done, self._total)

    def finish(self) -> None:
        """Show the end of the count, unless something ended the check before."""
        if self.progress is not None and self._total > 0 and (self.spent_by is None or self._done == self._total):
            self.progress(self._total, self._total)

    def stop(self, why: str) -> None:
        """Make no more evaluations."""
        self.spent_by = why

    def fail(self, failure: BaseException, why: str) -> None:
        """Make no more evaluations, and let `failure` out once what is known has been put together."""
        self.failure = failure
        self.stop(why)

    def finally_done(self, work: Callable[[], Result]) -> Result:
        """Put together what is known, once more if an interruption falls into it."""
        try:
            return work()
        except KeyboardInterrupt as interruption:
            self.fail(interruption, INTERRUPTION)
            return work()

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

    def __enter__(self) -> "Budget":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.progress, _Bar):
            self.progress.close()
        if isinstance(error, KeyboardInterrupt) and not hasattr(error, "result"):
            error.result = None  # type: ignore[attr-defined]


class BudgetSpent(Exception):
    """No more evaluations are allowed; caught inside the check, never seen by the user."""


def make_budget(
    time_limit: float | None,
    max_evaluations: int | None,
    progress: bool | Progress | None,
    *,
    trials: int = TRIALS,
    noise: int = 0,
) -> Budget:
    """Check the limits of a check, which must leave one difference. The clock starts now.

    `trials` and `noise` are the evaluations at x and those that measure the noise, which come before.
    """
    seconds = None if time_limit is None else positive_number(time_limit, "time_limit")
    if max_evaluations is None:
        return Budget(seconds, None, make_progress(progress))
    least = trials + noise + _DIFFERENCE
    if whole_number(max_evaluations, "max_evaluations") < least:
        at_x = "twice" if trials == TRIALS else "twice in each precision"
        of_noise = f", {noise} evaluations to measure its noise (none if noise= is given)" if noise else ""
        raise ValueError(
            f"max_evaluations is {max_evaluations}; need {least} or more: f(x) {at_x}{of_noise} and one difference."
        )
    return Budget(seconds, int(max_evaluations), make_progress(progress))


def make_progress(progress: bool | Progress | None) -> Progress | None:
    """A callable (done, total), or for True a tqdm bar; both count evaluations."""
    if progress is None or progress is False:
        return None
    if callable(progress):
        require_fit(progress, "progress(done, total)", 2)
        return progress
    if progress is not True:
        raise TypeError(f"progress is {progress!r}; need True, False or a function of (done, total).")
    return _Bar()


class _Bar:
    """A tqdm bar."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("progress=True needs tqdm: pip install tqdm, or pass a function.") from None
        self._bar: Any = tqdm(unit="evaluation", unit_scale=True)

    def __call__(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
