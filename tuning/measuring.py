"""What a tuning session has built and measured, within its time."""

import math
import time

import numpy as np

from .builder import Builder, Built
from .runner import Compared, Measured, Runner
from .state import TaskState

# Building takes at most this part of the time left: kernels that are built last are to be measured, too.
BUILDING = 0.75
FINAL_ROUNDS = 12


class Measuring:
    """Builds and measures the candidates of a session within its budget.

    builder, runner: where kernels are made and measured; no runner where they are proposed only. started:
    time.monotonic() from which the budget counts."""

    def __init__(self, builder: Builder, runner: Runner | None, started: float) -> None:
        self._builder, self._runner, self._started = builder, runner, started
        self.seconds: float | None = None  # The budget has no limit where this is None.
        self._spent = False

    def defaults(self, workloads) -> list[Built | str]:
        """The default kernel of each, whatever time is left."""
        return self._builder.build([(workload, None) for workload in workloads])

    @property
    def until(self) -> float:
        """On the clock of `started`, when the budget is up."""
        return math.inf if self.seconds is None else self._started + self.seconds

    def in_time(self) -> bool:
        """Whether the budget lasts and the last candidates could be built in it."""
        return time.monotonic() < self.until and not self._spent

    def built(self, wanted):
        """What the builder makes while time is left to measure it. The session is over where that is nothing."""
        now = time.monotonic()
        built = self._builder.build(wanted, now + BUILDING * (self.until - now))
        self._spent = all(entry is None for entry in built)
        return built

    def compared(
        self, state: TaskState, default: Built, candidates: list[Built], rounds: int, until: float = math.inf
    ) -> Compared:
        """The default and the candidates measured in turns, `rounds` times or up to `until`, on time.monotonic()'s
        clock."""
        assert self._runner is not None, "a session that proposes only measures nothing"
        return self._runner.compare(state.case, default, candidates, rounds, until)

    def final(self, state, chosen):
        """Measures the chosen schedules once more, so long that the figures can be recorded.

        (ratio, noise, (seconds, default's seconds)) of each (family, schedule), None for a failure."""
        if not self.in_time():
            return [None] * len(chosen)
        entries = [state.contenders[key] for key in chosen]
        missing = [(key, entry) for key, entry in zip(chosen, entries) if entry.built is None]
        made = self.built([(state.task.workload, schedule) for (_, schedule), _ in missing]) if missing else []
        for (_, entry), built in zip(missing, made):
            entry.built = built
        good = [entry.built for entry in entries if entry.built is not None and not isinstance(entry.built, str)]
        if not good:
            return [None] * len(chosen)
        # No deadline ends this: fewer rounds would hide the noise.
        found = self.compared(state, state.default, good, FINAL_ROUNDS)
        outcomes = iter(found.candidates)
        results = [
            next(outcomes) if entry.built is not None and not isinstance(entry.built, str) else Measured()
            for entry in entries
        ]
        return [
            None if r.ratios is None else (*interval_of_ratios(r.ratios), (r.seconds, found.default.seconds))
            for r in results
        ]


def interval_of_ratios(ratios: np.ndarray) -> tuple[float, float]:
    """Sums up repeated ratios.

    (median, half width of its interval of about 98 %) of repeated ratios: robust against single disturbed rounds."""
    median = float(np.median(ratios))
    spread = 1.4826 * float(np.median(np.abs(ratios - median)))
    return median, 3.0 * spread / np.sqrt(len(ratios))
