"""What `octet measure` found elsewhere, as trials and records: the cost model of the next round learns from them,
compilations apply them."""

from collections import defaultdict
from importlib.metadata import version

import numpy as np

from ..targets.cuda.running.device_identity import device_identity, on_device
from ..targets.errors import DataError, OctetError
from ..targets.kinds.backends import BACKENDS
from ..targets.measure import log
from ..targets.measure.carrier import Carrier
from ..targets.measure.job import Job, MeasuringTask
from ..targets.measure.log import FINAL, FIRST, WINNER, Measurement
from ..targets.registry import find
from .database import Database, key_of
from .measuring import interval_of_ratios
from .records import Key, Record, Trial
from .spaces.registry import member, workload_and_spaces
from .spaces.space import VERSIONS
from .tuning_session import LEAST_GAIN


def import_measurements(path, database: Database) -> dict:
    """Takes what another machine measured over into the database.

    path: of the candidates; the measurements lie beside them. Reading them twice changes nothing.
    Returns {"trials", "failed", "records", "devices"}. Raises DataError for files that do not fit, OctetError where
    nothing was measured."""
    carrier = Carrier(path)
    _check(path, carrier.job)
    found = log.read(carrier.measurements, carrier.digest)
    if not found:
        raise OctetError(
            f"{path}: holds no measurements; run `octet measure {path}` on a machine that runs {carrier.job.target}, "
            f"and bring {carrier.measurements.name} back"
        )
    by_task = defaultdict(list)
    for entry in found:
        by_task[entry.task].append(entry)
    counts = {
        "trials": 0,
        "failed": 0,
        "records": 0,
        "devices": sorted({entry.device.get("name", "unknown") for entry in found}),
    }
    for task in carrier.job.tasks:
        for device, entries in _by_device(by_task[task.key]).items():
            _take(task, entries, _key(task, carrier.job, device), carrier.job, database, counts)
    return counts


def _check(path, job: Job):
    spec = find(job.target)
    installed = (version("apache-tvm"), VERSIONS[spec.kind])
    if job.key.keys() != {"target", "tvm", "space"}:
        raise DataError(f"{path}: does not say what its records are of (target, tvm, space); export new candidates")
    if (job.key["tvm"], job.key["space"]) != installed:
        raise OctetError(
            f"{path}: the candidates are of TVM {job.key['tvm']} and design spaces {job.key['space']}, this is "
            f"{installed[0]} and {installed[1]}; export new ones"
        )
    if spec.backend is not BACKENDS[job.kind] or key_of("", spec).target != job.key["target"]:
        raise OctetError(f"{path}: the candidates are of another version's {job.target}; export new ones")
    for task in job.tasks:
        try:
            workload, spaces = workload_and_spaces(task.problem, spec)
            schedules = [member(candidate.schedule, spaces) for candidate in task.candidates]
        except ValueError as error:
            raise DataError(
                f"{path}: describes kernels in a way that this version does not know ({error}); export new candidates"
            ) from error
        if workload.key != task.key or not schedules:
            raise DataError(f"{path}: task {task.key} is not the one that it describes; export new candidates")


def _by_device(entries):
    """{identity of the device: its measurements}."""
    found = defaultdict(list)
    for entry in entries:
        found[_device(entry)].append(entry)
    return found


def _device(entry):
    return device_identity(entry.device.get("name", "unknown"), entry.device.get("multiprocessors"))


def _key(task, job, device):
    """A CPU's records are its target's, a GPU's the device's."""
    return (
        key_of(task.key, on_device(find(job.target), device))
        if find(job.target).backend.per_device
        else _written(task, job)
    )


def _written(task: MeasuringTask, job: Job) -> Key:
    """The key of a task's records as the candidates' file has it, which `_check` has looked at."""
    return Key(task.key, str(job.key["target"]), str(job.key["tvm"]), int(job.key["space"]))


def _take(task: MeasuringTask, entries: list[Measurement], key: Key, job: Job, database: Database, counts: dict):
    known = [entry for entry in entries if 0 <= entry.candidate < len(task.candidates)]
    first = [entry for entry in known if entry.stage == FIRST and entry.candidate > 0]
    trials = [Trial(task.candidates[entry.candidate].schedule, _ratio(entry), entry.error) for entry in first]
    # The next export is for any device, and learns from trials under the key that the candidates' file has.
    for one in {key, _written(task, job)}:
        database.add_trials(one, trials)
    counts["trials"] += len(trials)
    counts["failed"] += sum(bool(trial.error) for trial in trials)
    for entry in known:
        if (
            entry.stage == WINNER
            and entry.candidate > 0
            and _beats(entry)
            and any(_beats(other) for other in known if other.stage == FINAL and _same(other, entry))
        ):
            database.put(_record(task, entry, key, job.target))
            counts["records"] += 1


def _ratio(entry):
    return None if entry.error else float(np.median(entry.ratios))


def _same(entry, other):
    return (entry.candidate, _device(entry)) == (other.candidate, _device(other))


def _beats(entry):
    """Whether a candidate is below the default's time by more than the noise."""
    if entry.error:
        return False
    ratio, noise = interval_of_ratios(entry.ratios)
    return ratio + max(noise, LEAST_GAIN) < 1.0


def _record(task, entry, key, target):
    ratio, noise = interval_of_ratios(entry.ratios)
    own, default = (float(np.array(rows)[:, -1].min()) for rows in (entry.seconds, entry.default))
    schedule, plain = (task.candidates[number].schedule for number in (entry.candidate, 0))
    return Record(key, task.problem, target, schedule, plain, own, default, ratio, noise, _device(entry))
