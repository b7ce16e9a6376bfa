"""Which schedules of a space to measure next: MetaSchedule's evolutionary search with its XGBoost cost model; all of a
small space, best prediction first.

A workload is a PrimFunc with one block; the space samples every decision and annotates the block with it, so all traces
of a space have one shape. The template is expanded by the builder and only for what is measured: an expansion
takes far longer than a prediction, and the search looks at a thousand points per batch."""

import logging
import random

import numpy as np
import tvm
from tvm.ir.utils import derived_object
from tvm.script import tirx as T

from ..targets.tvm.privates import without_intrinsics
from .spaces.registry import SCHEDULES
from .spaces.space import Space

ENUMERATED = 64  # A space of at most so many points is measured in the order of their predicted times.
FEATURES = 40
_BLOCK, _PREFIX = "kernel", "octet."


def _one_thread():
    """XGBoost starts as many threads as there are cores for a matrix of a hundred rows, which takes longer than the
    work."""
    import xgboost

    return xgboost.config_context(nthread=1)


def _meta_schedule():
    from tvm.s_tir import meta_schedule

    logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.WARNING)
    return meta_schedule


class CostModel:
    """MetaSchedule's XGBoost model on our features; shared by all tasks of a session, so that a later task profits from
    an earlier one.

    spaces: by task name, what MetaSchedule's callbacks, which get a context only, need to know."""

    def __init__(self):
        ms = _meta_schedule()
        from tvm.s_tir.meta_schedule.cost_model.xgb_model import XGBConfig

        self.spaces: dict[str, Space] = {}
        config = XGBConfig(max_depth=6, nthread=1)
        extractor = _extractor(ms, self.spaces)
        self.xgb = ms.cost_model.XGBModel(
            extractor=extractor, config=config, num_warmup_samples=16, early_stopping_rounds=10, verbose_eval=0
        )


def _extractor(ms, spaces):
    @derived_object
    class Decisions(ms.feature_extractor.PyFeatureExtractor):  # type: ignore[name-defined] # imported when first wanted
        """The space's features of a candidate, one row; which template it is comes first."""

        def extract_from(self, context, candidates):
            space = spaces[str(context.task_name)]
            return [tvm.runtime.tensor(vector(space, _choice(space, candidate.sch.trace))) for candidate in candidates]

    return Decisions()


def vector(space: Space, choice: dict) -> np.ndarray:
    """What the cost model sees of a schedule: which family it is of, then the space's features, zeros behind them;
    float64 [1, FEATURES]."""
    found = [float(space.family == family) for family in SCHEDULES] + space.features(space.schedule_class(**choice))
    assert len(found) <= FEATURES, len(found)
    return np.array([found + [0.0] * (FEATURES - len(found))])


@T.prim_func(s_tir=True)
def _task(marker: T.Buffer((1,), "int32")):  # type: ignore[valid-type]  # as TVMScript spells it
    with T.sblock("kernel"):
        T.reads()
        T.writes(marker[0])
        marker[0] = 0


def _choice(space, trace):
    """The sampled values of a trace, in order of the decisions."""
    taken = [int(index) for index in trace.decisions.values()]
    return {name: values[index] for (name, values), index in zip(space.decisions.items(), taken, strict=True)}


class ScheduleSearch:
    """Proposes schedules of one space. name: unique for the model, e.g. workload key and family."""

    def __init__(self, space: Space, model: CostModel, name: str, target, seed: int = 1):
        ms = _meta_schedule()
        self.space, self._model, self._ms = space, model.xgb, ms
        model.spaces[name] = space
        self._module = tvm.IRModule({"main": _task.with_attr("octet.task", name)})
        with without_intrinsics():
            self._context = ms.TuneContext(
                self._module,
                target=target,
                space_generator=_generator(ms, space, seed),
                search_strategy=_evolution(ms),
                task_name=name,
                rand_state=seed,
                num_threads=1,
            )
        self._design = self._context.generate_design_space()
        self._database = ms.database.MemoryDatabase()
        self._workload = self._database.commit_workload(self._module)
        self._target = target
        self._seen: set = set()
        self._every = space.every() if space.points <= 4 * ENUMERATED else None
        self._listed = self._every is not None and len(self._every) <= ENUMERATED
        self._started = False

    @property
    def left(self) -> int | None:
        """Schedules not yet measured of a small space; None where they are not counted."""
        return (
            len([s for s in self._every if s not in self._seen]) if self._listed and self._every is not None else None
        )

    def propose(self, count: int) -> list:
        """Up to `count` schedules that were not measured yet, the space's own guesses first; none when the space is
        exhausted."""
        found = self._fresh(self.space.guesses)
        if len(found) < count:
            found += self._fresh(self._ordered() if self._listed else self._evolved(count))
        return list(dict.fromkeys(found))[:count]

    def _fresh(self, schedules):
        return [schedule for schedule in schedules if schedule not in self._seen]

    def report(self, schedules: list, seconds: list[float | None]) -> None:
        """What was measured; None for a failure."""
        self._seen.update(schedules)
        candidates = [self._candidate(schedule) for schedule in schedules]
        costs = [None if value is None else [value] for value in seconds]
        results = [self._ms.runner.RunnerResult(cost, None if cost else "failed") for cost in costs]
        for candidate, cost in zip(candidates, costs):
            if cost:
                record = self._ms.database.TuningRecord(
                    candidate.sch.trace, self._workload, cost, self._target, candidate.args_info
                )
                self._database.commit_tuning_record(record)
        if candidates:
            with _one_thread():
                self._model.update(self._context, candidates, results)

    def _ordered(self):
        """All schedules that are left, best prediction first."""
        rest = [schedule for schedule in self._every or () if schedule not in self._seen]
        if not rest:
            return []
        with _one_thread():
            scores = self._model.predict(self._context, [self._candidate(schedule) for schedule in rest])
        return [rest[i] for i in np.argsort(-np.asarray(scores), kind="stable")]

    def _evolved(self, count):
        if not self._started:
            self._context.pre_tuning(1 << 30, count, self._design, self._database, self._model)
            self._started = True
        with _one_thread():
            found = self._context.generate_measure_candidates() or []
        if found:  # The strategy counts its rounds by these notes; the records themselves are in the database.
            self._context.notify_runner_results(found, [self._ms.runner.RunnerResult(None, "noted") for _ in found])
        return [self.space.schedule(_choice(self.space, candidate.sch.trace)) for candidate in found]

    def _candidate(self, schedule):
        """The MeasureCandidate with these decisions."""
        sch = tvm.s_tir.Schedule(self._module)
        _sample(sch, self.space, schedule)
        return self._ms.search_strategy.MeasureCandidate(sch, self._ms.arg_info.ArgInfo.from_entry_func(self._module))


def _sample(sch, space, schedule):
    """The trace: one sampled decision and one annotation per entry of the space."""
    block = sch.get_sblock(_BLOCK)
    for name, values in space.decisions.items():
        index = values.index(getattr(schedule, name))
        taken = sch.sample_categorical(
            [int(value) for value in values], [1.0 / len(values)] * len(values), decision=index
        )
        sch.annotate(block, _PREFIX + name, taken)
    return sch


def _generator(ms, space, seed):
    rng = random.Random(seed)

    @derived_object
    class Buildable(ms.postproc.PyPostproc):  # type: ignore[name-defined] # imported when first wanted
        """Refuses combinations that the template cannot be built for."""

        def _initialize_with_tune_context(self, context):
            pass

        def apply(self, sch):
            return space.schedule(_choice(space, sch.trace)) is not None

        def clone(self):
            return Buildable()

    @derived_object
    class OneDecision(ms.mutator.PyMutator):  # type: ignore[name-defined] # imported when first wanted
        """Takes one decision anew."""

        def _initialize_with_tune_context(self, context):
            pass

        def apply(self, trace, _):
            decided = [(instruction, int(index)) for instruction, index in trace.decisions.items()]
            free = [(instruction, index) for instruction, index in decided if len(instruction.attrs[0]) > 1]
            if not free:
                return None
            instruction, index = rng.choice(free)
            others = [i for i in range(len(instruction.attrs[0])) if i != index]
            return trace.with_decision(instruction, rng.choice(others), remove_postproc=True)

        def clone(self):
            return OneDecision()

    generate = lambda sch: _sample(sch, space, space.default)
    return ms.space_generator.ScheduleFn(
        generate, sch_rules=[], postprocs=[Buildable()], mutator_probs={OneDecision(): 1.0}
    )


def _evolution(ms):
    return ms.search_strategy.EvolutionarySearch(
        population_size=48, init_measured_ratio=0.3, init_min_unmeasured=12, genetic_num_iters=3, eps_greedy=0.1
    )
