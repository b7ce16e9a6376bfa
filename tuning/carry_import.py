"""What `octet measure` found elsewhere, as trials and records: the cost model of the next round learns from them, compilations apply them."""

from collections import defaultdict
from importlib.metadata import version

import numpy as np

from ..targets.errors import DataError, OctetError
from ..targets.measure import log
from ..targets.measure.carrier import Carrier
from ..targets.measure.job import Job, Task
from ..targets.measure.log import FINAL, FIRST, WINNER, Measurement
from ..targets.workloads import workload_from
from .database import Database, Key, Record, Trial
from .session import LEAST_GAIN, interval
from .spaces.registry import from_json
from .spaces.space import VERSIONS


def import_measurements(path, database: Database) -> dict:
    """path: of the candidates; the measurements lie beside them. Reading them twice changes nothing.
    Returns {"trials", "failed", "records", "devices"}. Raises DataError for files that do not fit, OctetError where nothing was measured."""
    carrier = Carrier(path)
    _check(path, carrier.job)
    found = log.read(carrier.measurements, carrier.digest)
    if not found:
        raise OctetError(f"{path}: holds no measurements; run `octet measure {path}` on a machine that runs {carrier.job.target}, and bring {carrier.measurements.name} back")
    by_task = defaultdict(list)
    for entry in found:
        by_task[entry.task].append(entry)
    counts = {"trials": 0, "failed": 0, "records": 0, "devices": sorted({entry.device.get("name", "unknown") for entry in found})}
    for task in carrier.job.tasks:
        _take(task, by_task[task.key], Key(task.key, **carrier.job.key), carrier.job.target, database, counts)
    return counts


def _check(path, job: Job):
    installed = (version("apache-tvm"), VERSIONS.get(job.kind))
    if (job.key["tvm"], job.key["space"]) != installed:
        raise OctetError(f"{path}: the candidates are of TVM {job.key['tvm']} and design spaces {job.key['space']}, this is {installed[0]} and {installed[1]}; export new ones")
    for task in job.tasks:
        try:
            same = workload_from(task.problem).key == task.key
            schedules = [from_json(candidate.schedule) for candidate in task.candidates]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: describes kernels in a way that this version does not know ({error}); export new candidates") from error
        if not same or not schedules:
            raise DataError(f"{path}: task {task.key} is not the one that it describes; export new candidates")


def _take(task: Task, entries: list[Measurement], key: Key, target: str, database: Database, counts: dict):
    known = [entry for entry in entries if 0 <= entry.candidate < len(task.candidates)]
    first = [entry for entry in known if entry.stage == FIRST and entry.candidate > 0]
    trials = [Trial(task.candidates[entry.candidate].schedule, _ratio(entry), entry.error) for entry in first]
    database.add_trials(key, trials)
    counts["trials"] += len(trials)
    counts["failed"] += sum(bool(trial.error) for trial in trials)
    for entry in known:
        if entry.stage == WINNER and entry.candidate > 0 and _beats(entry) and any(_beats(other) for other in known if other.stage == FINAL and _same(other, entry)):
            database.put(_record(task, entry, key, target))
            counts["records"] += 1


def _ratio(entry):
    return None if entry.error else float(np.median(entry.ratios))


def _same(entry, other):
    return (entry.candidate, entry.device.get("name")) == (other.candidate, other.device.get("name"))


def _beats(entry):
    """Whether a candidate is below the default's time by more than the noise."""
    if entry.error:
        return False
    ratio, noise = interval(entry.ratios)
    return ratio + max(noise, LEAST_GAIN) < 1.0


def _record(task, entry, key, target):
    ratio, noise = interval(entry.ratios)
    seconds = [float(np.array(rows)[:, -1].min()) for rows in (entry.seconds, entry.default)]
    schedules = [task.candidates[number].schedule for number in (entry.candidate, 0)]
    return Record(key, task.problem, target, *schedules, *seconds, ratio, noise, entry.device.get("name", "unknown"))
