"""Proposals for kernels of a machine that is not here: compiled, with operands and the referee's digests, for `octet
measure`."""

from collections.abc import Callable

from ..targets.cuda.running.device_identity import device_of
from ..targets.errors import OctetError
from ..targets.measure import carrier
from ..targets.measure.job import Job, MeasuringPlan
from ..targets.spec import TargetSpec
from .backends import tuner_of
from .database import Database, key_of
from .jobs import task_of
from .kinds.registry import case_of
from .measuring import FINAL_ROUNDS
from .records import Trial
from .spaces.registry import to_json
from .tasks import Task
from .tuning_session import PROMISING, ROUNDS, TuningSession

DEFAULT_TRIALS = 16


def export_candidates(
    tasks: list[Task],
    spec: TargetSpec,
    database: Database,
    path,
    trials: int = DEFAULT_TRIALS,
    threads: int = 1,
    progress: Callable = lambda text: None,
) -> dict:
    """Writes up to `trials` candidates per task beside its default. database: what was measured already, from which the
    cost model learns first.
    threads: most cores that CPU kernels are measured with. Returns {"tasks", "candidates", "failed", "skipped",
    "bytes"}. Raises OctetError when there is nothing to write."""
    carrier.check_free(path)
    if device_of(spec) is not None:
        raise OctetError(
            f"tune: target {spec.name}@{device_of(spec)}: candidates are for every device of {spec.name}, whose "
            "measurements are told apart; leave out what follows the @"
        )
    able = [task for task in tasks if case_of(task.workload).travels]
    if not able:
        raise OctetError("tune: the network has no int8 kernel with decisions, there is nothing to carry")
    counts, made = {"tasks": 0, "candidates": 0, "failed": 0, "skipped": len(tasks) - len(able)}, []
    blobs: dict[str, bytes] = {}
    with tuner_of(spec).builder(spec) as builder:
        session = TuningSession(able, spec, database, builder, None, "")
        for task, default, chosen in session.proposals(trials):
            progress(task.workload.name)
            if not chosen:
                continue  # The space is exhausted.
            built = builder.build([(task.workload, schedule) for _, schedule in chosen])
            failed = [
                Trial(to_json(*choice), None, result)
                for choice, result in zip(chosen, built)
                if isinstance(result, str)
            ]
            # A schedule that failed is not to be proposed again.
            database.add_trials(key_of(task.workload.key, spec), failed)
            good = [result for result in built if not isinstance(result, str)]
            counts["failed"] += len(failed)
            if good:
                case = case_of(task.workload)
                one, found = task_of(task.workload, task.count, case.made, case.output, [default, *good])
                made.append(one)
                blobs |= found
                counts["tasks"] += 1
                counts["candidates"] += len(good)
    if not made:
        raise OctetError("tune: every schedule of every kernel has been measured; there is nothing to export")
    key = key_of("", spec)
    plan = MeasuringPlan(ROUNDS, FINAL_ROUNDS, PROMISING, tuple(sorted({1, threads})) if spec.backend.host else (1,))
    job = Job(
        spec.kind,
        spec.name,
        tuple(sorted(spec.features)),
        {"target": key.target, "tvm": key.tvm, "space": key.space},
        plan,
        tuple(made),
    )
    return counts | {"bytes": carrier.write(path, job, blobs)}
