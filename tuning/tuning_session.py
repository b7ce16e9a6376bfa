"""A tuning session: a budget spent on the tasks of one network where time can still be saved.

Everything is committed to the database as it is measured: a killed session has lost at most one batch, and the next one
goes on where it ended."""

import math
import time
from collections.abc import Callable

import numpy as np

from ..targets.errors import OctetError
from ..targets.spec import TargetSpec
from ..targets.x86.peak import Peak
from . import least_time
from .builder import Builder
from .database import Database, key_of
from .kinds.registry import case_of
from .measuring import Measuring
from .records import Record, Trial
from .runner import Compared, Measured, Runner
from .schedule_search import CostModel, ScheduleSearch
from .spaces.registry import member, spaces_of, to_json
from .state import Contender, TaskState, TuningLimits, check_measured
from .tasks import Task

BATCH = 8  # So many candidates are built and measured together.
OPENED = 4  # So many defaults are built together.
ROUNDS = 3
PROMISING = 0.985  # A candidate below this part of the default's time, and of the record's, is measured again, longer.
HOPELESS = 1.5  # A family whose best is so much slower than another's is not searched further.
PATIENCE = 4  # After so many batches without a gain a task's expected gain is a sixteenth.
LEAST_GAIN = 0.01
MOST_ATTEMPTS = 3


class TuningSession:
    """A search for faster schedules of several tasks that share one budget.

    builder, runner: where kernels are made and measured; no runner where they are proposed only. progress: called
    with the session after every step. peak: of the machine that measures, with the most cores; None where nobody knows
    it: the best rates that any kernel of the session reached stand in. started: time.monotonic() from which the budget
    counts."""

    def __init__(
        self,
        tasks: list[Task],
        spec: TargetSpec,
        database: Database,
        builder: Builder,
        runner: Runner | None,
        cpu: str,
        progress: Callable = lambda session: None,
        peak: Peak | None = None,
        started: float | None = None,
    ):
        if not tasks:
            raise OctetError("tune: no kernel of the network has anything to decide, there is nothing to tune")
        self.spec, self.database, self._cpu, self._progress = spec, database, cpu, progress
        self.peak, self._model = peak, CostModel()
        self.states = [TaskState(task, []) for task in tasks]
        self.started, self.doing = time.monotonic() if started is None else started, "starting"
        self._measuring = Measuring(builder, runner, self.started)
        self.budget = TuningLimits(trials=0)

    @property
    def elapsed(self) -> float:
        """Seconds since `started`."""
        return time.monotonic() - self.started

    def run(self, budget: TuningLimits) -> None:
        """Raises OctetError when not one candidate could be measured, be it for lack of time."""
        self.budget, self._measuring.seconds = budget, budget.seconds
        self._say("opening the spaces")
        for state in self.states:
            self._open(state)
        while self._measuring.in_time():
            state = self._next()
            if state is None:
                break
            if state.begun:
                self._say(state.task.workload.name)
                self._step(state)
            else:
                self._begin()
        self._say("done")
        check_measured(self.states, self.budget)

    def proposals(self, count: int):
        """Proposes candidates without measuring any.

        (task, its default, up to `count` (family, schedule) pairs) of every task, from what the database holds;
        measures nothing."""
        built = self._measuring.defaults([state.task.workload for state in self.states])
        for state, default in zip(self.states, built, strict=True):
            self._open(state)
            self._take(state, default)
            # The model compares the times of one task with each other, so the default's may count as 1.
            self._recall(state, 1.0)
            yield state.task, state.default, self._propose(state, count)

    def _say(self, what):
        self.doing = what
        self._progress(self)

    def _begin(self):
        """Measures the defaults of the most promising tasks without one; what earlier sessions measured."""
        waiting = sorted((state for state in self._open_tasks() if not state.begun), key=self._expected, reverse=True)[
            :OPENED
        ]
        self._say("compiling defaults")
        built = self._measuring.built([(state.task.workload, None) for state in waiting])
        for state, default in zip(waiting, built, strict=True):
            if default is None or not self._measuring.in_time():
                return
            self._say(f"default of {state.task.workload.name}")
            self._take(state, default)
            self._recall(
                state, self._measuring.compared(state, default, [], ROUNDS, self._measuring.until).default.seconds
            )

    def _open(self, state):
        """The spaces of a task, operands for its kernels, its record."""
        workload, key = state.task.workload, key_of(state.task.workload.key, self.spec)
        spaces = spaces_of(workload, self.spec)
        state.searches = [
            ScheduleSearch(space, self._model, f"{workload.key}-{space.family}", self.spec.tvm_target())
            for space in spaces
        ]
        state.case = case_of(workload)
        state.past = len(self.database.trials(key))
        record = self.database.find(key)
        known = _member(record.schedule, spaces) if record is not None else None
        if record is not None and known:
            state.best_ratio, state.best = record.ratio, known

    def _take(self, state, default):
        if isinstance(default, str):
            raise OctetError(f"tune: the default kernel of {state.task.workload.name} {default}")
        state.default = default

    def _recall(self, state, default_seconds):
        """What earlier sessions measured. default_seconds: of one call of the default."""
        state.default_seconds = default_seconds
        key = key_of(state.task.workload.key, self.spec)
        default = to_json(state.default.family, state.default.schedule)
        past = [Trial(default, 1.0)] + [trial for trial in self.database.trials(key) if trial.schedule != default]
        self._learn(state, past)

    def _learn(self, state, trials):
        """Tells the searches what was measured."""
        for search in state.searches:
            members = [(trial, _member(trial.schedule, [search.space])) for trial in trials]
            mine, schedules = [trial for trial, found in members if found], [found[1] for _, found in members if found]
            seconds = [None if trial.ratio is None else trial.ratio * state.default_seconds for trial in mine]
            search.report(schedules, seconds)
            for trial, schedule in zip(mine, schedules):
                if trial.ratio is not None and schedule not in (state.default.schedule, state.best and state.best[1]):
                    state.contenders.setdefault((search.space.family, schedule), Contender(trial.ratio))
            ratios = [trial.ratio for trial in mine if trial.ratio is not None]
            if ratios:
                family = search.space.family
                state.family_best[family] = min([*ratios, state.family_best.get(family, np.inf)])

    def _next(self):
        """The task with the largest expected saving."""
        return max(self._open_tasks(), key=self._expected, default=None)

    def _open_tasks(self):
        most = self.budget.trials if self.budget.trials is not None else math.inf
        return [state for state in self.states if not state.done and state.trials < most]

    def _expected(self, state):
        """Seconds of a run: the gap to the limit, halved with every batch without a gain. A default that was not
        measured is taken for twice as slow as the limit; where nobody knows that, it is measured first."""
        if state.begun:
            return (
                state.total
                * (1 - self.limit(state) / max(state.default_seconds * state.best_ratio, 1e-12))
                * 0.5**state.stale
            )
        limit = self.limit(state) if self.peak is not None else math.inf
        return state.task.count * limit * 0.5 ** min(state.past // BATCH, PATIENCE)

    def limit(self, state: TaskState) -> float:
        """Seconds of one call that the machine cannot go below."""
        return least_time.least_time(state, self.states, self.spec, self.peak)

    def _step(self, state):
        """One batch of one task."""
        count = BATCH if self.budget.trials is None else min(BATCH, self.budget.trials - state.trials)
        chosen = self._propose(state, count)
        if not chosen:
            state.done = not self._promote(state) and not state.contenders
            return
        built = self._measuring.built([(state.task.workload, schedule) for _, schedule in chosen])
        good = [i for i, result in enumerate(built) if result is not None and not isinstance(result, str)]
        found = (
            self._measuring.compared(state, state.default, [built[i] for i in good], ROUNDS, self._measuring.until)
            if good
            else Compared(Measured(state.default_seconds), ())
        )
        trials = []
        for i, (family, schedule) in enumerate(chosen):
            outcome = found.candidates[good.index(i)] if i in good else Measured(error=built[i] or "")
            if outcome.late:
                continue
            ratio = None if outcome.ratios is None else float(np.median(outcome.ratios))
            trials.append(Trial(to_json(family, schedule), ratio, outcome.error))
            if ratio is not None and ratio < PROMISING:
                state.contenders[family, schedule] = Contender(ratio, built[i])
        self.database.add_trials(key_of(state.task.workload.key, self.spec), trials)
        self._learn(state, trials)
        state.trials += len(trials)
        failures = [trial for trial in trials if trial.error]
        state.failed += len(failures)
        state.last_error = failures[-1].error if failures else state.last_error
        state.default_seconds = min(state.default_seconds, found.default.seconds)
        state.stale += 0 if self._promote(state) else 1

    def _propose(self, state, count):
        """(family, schedule) pairs, shared out among the families that have a chance."""
        best = min(state.family_best.values(), default=1.0)
        alive = [
            s for s in state.searches if state.family_best.get(s.space.family, best) <= HOPELESS * best and s.left != 0
        ]
        untried = [s for s in alive if s.space.family not in state.family_best]
        tried = sorted((s for s in alive if s not in untried), key=lambda s: state.family_best[s.space.family])
        chosen = [(search.space.family, search.space.default) for search in untried]
        for position, search in enumerate(tried, 1):
            left = count - len(chosen)
            share = left if position == len(tried) else left * 3 // 4
            chosen += [(search.space.family, schedule) for schedule in search.propose(share)]
        return chosen[:count]

    def _promote(self, state):
        """Measures the most promising schedules again and longer; records one that beats the default by more than the
        noise. True if one did."""
        bar = PROMISING * min(1.0, state.best_ratio)
        open_ = {
            key: entry
            for key, entry in state.contenders.items()
            if entry.ratio < bar and entry.attempts < MOST_ATTEMPTS
        }
        state.contenders = open_
        finalists = sorted(open_, key=lambda key: (open_[key].attempts, open_[key].ratio))[:2]
        if not finalists:
            return False
        for key in finalists:
            open_[key].attempts += 1
        results = [
            (*found, key) for key, found in zip(finalists, self._measuring.final(state, finalists)) if found is not None
        ]
        if not results or not self._beats(state, *min(results, key=lambda r: r[0])[:2]):
            return False
        winner = min(results, key=lambda r: r[0])[-1]
        # The best of many noisy figures is flattered by its noise: what is recorded is a measurement of its own.
        again = self._measuring.final(state, [winner])[0]
        if again is None or not self._beats(state, *again[:2]):
            return False
        ratio, noise, seconds = again
        family, schedule = winner
        self._record(state, family, schedule, ratio, noise, seconds)
        state.best_ratio, state.best = ratio, winner
        return True

    def _beats(self, state, ratio, noise):
        """Whether a ratio is below the default's and the record's by more than the noise."""
        return ratio + max(noise, LEAST_GAIN) < min(1.0, state.best_ratio)

    def _record(self, state, family, schedule, ratio, noise, seconds):
        workload = state.task.workload
        default = to_json(state.default.family, state.default.schedule)
        key, (own, plain) = key_of(workload.key, self.spec), seconds
        self.database.put(
            Record(
                key,
                workload.as_dict(),
                self.spec.name,
                to_json(family, schedule),
                default,
                own,
                plain,
                ratio,
                noise,
                self._cpu,
            )
        )


def _member(entry, spaces):
    """(family, schedule); None for what another version measured."""
    try:
        return member(entry, spaces)
    except ValueError:
        return None
