"""Candidates of CPU kernels are carried the same way, so the whole loop runs for real on this machine."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from octet.targets.errors import OctetError
from octet.targets.measure import batch as batches, carrier, log
from octet.targets.measure.batch import Batch, Figures, run_batch
from octet.targets.measure.measuring_stages import measure_job
from octet.targets.x86.matmul.problem import MatmulProblem, Matrices
from octet.targets.x86.workload import workload_of
from octet.tools.tuning.carry import carry
from octet.tools.tuning.request import TuningRequest
from octet.tuning import carry_export
from octet.tuning.builder import build
from octet.tuning.carry_export import export_candidates
from octet.tuning.carry_import import import_measurements
from octet.tuning.cpu_tuner import CpuTuner
from octet.tuning.database import Database, key_of
from octet.tuning.jobs import task_of
from octet.tuning.kinds.registry import case_of
from octet.tuning.seeded_operands import periodic
from octet.tuning.spaces.registry import from_json, spaces_of
from octet.tuning.tasks import Task

WRONG, BROKEN = "a" * 64, "b" * 64  # They are names of blobs.
PRODUCT = workload_of(
    MatmulProblem(
        (2,),
        20,
        20,
        16,
        Matrices(2624, 0, (1280,), 64, 1),
        Matrices(704, 0, (16,), 32, 1),
        Matrices(704, 0, (16,), 32, 1),
        0.02,
    )
)


class Here:
    """Builds in this process: children that import TVM take seconds each."""

    def __init__(self, spec):
        self._spec = spec

    def build(self, wanted):
        return [build(workload, schedule, case_of(workload), self._spec) for workload, schedule in wanted]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(CpuTuner, "builder", lambda self, spec: nullcontext(Here(spec)))


@pytest.fixture
def database(tmp_path):
    opened = Database(str(tmp_path / "records.db"))
    yield opened
    opened.close()


def test_the_loop_on_this_machine(workload, spec, database, tmp_path, monkeypatch):
    monkeypatch.setattr(carry_export, "FINAL_ROUNDS", 3)
    # Until MetaSchedule's model knows 16 times it predicts at random, and now and then a search finds a point less.
    monkeypatch.setattr(np.random, "uniform", np.random.RandomState(0).uniform)
    tasks = [
        Task(workload(residual=True), 2),
        Task(workload(channels=24, groups=24, out=24), 1),
        Task(PRODUCT, 1),
        Task(workload(dtype="float32"), 1),
    ]
    path = tmp_path / "candidates"
    made = export_candidates(tasks, spec, database, path, trials=3)
    assert (made["tasks"], made["candidates"], made["skipped"]) == (3, 9, 1)
    found = measure_job(carrier.Carrier(path))
    assert (found["measured"], found["failed"]) == (9, 0)
    taken = import_measurements(path, database)
    assert (taken["trials"], taken["failed"]) == (9, 0)
    trials = database.trials(key_of(tasks[0].workload.key, spec))
    assert len(trials) == 3 and all(trial.ratio > 0 for trial in trials)
    export_candidates(tasks[:1], spec, database, tmp_path / "next.tar.xz", trials=3)
    proposed = [
        from_json(candidate.schedule)
        for candidate in carrier.Carrier(tmp_path / "next.tar.xz").job.tasks[0].candidates[1:]
    ]
    assert proposed and not set(proposed) & {from_json(trial.schedule) for trial in trials}, (
        "what was measured is not proposed again"
    )


@pytest.fixture(scope="module")
def batch(spec):
    """A default and three candidates of a small convolution, as a batch for this machine."""
    import importlib.util
    from pathlib import Path

    found = importlib.util.spec_from_file_location("tuning_conftest", Path(__file__).with_name("conftest.py"))
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    chosen = module.make_workload(residual=True)
    case = case_of(chosen)
    schedules = list(spaces_of(chosen, spec)[0].every())[:3]
    task, blobs = task_of(
        chosen, 1, case.made, case.output, [build(chosen, schedule, case, spec) for schedule in (None, *schedules)]
    )
    return Batch("cpu", task, blobs, 2)


def test_wrong_broken_and_hanging_kernels_cost_themselves(batch):
    candidates = list(batch.task.candidates)
    wrong = bytearray(batch.blobs[candidates[1].constants[0]])
    wrong[len(wrong) // 3] ^= 0x40  # The byte is one of a weight.
    candidates[1] = replace(candidates[1], constants=(WRONG,))
    candidates[2] = replace(candidates[2], code=BROKEN)
    changed = replace(
        batch,
        task=replace(batch.task, candidates=tuple(candidates)),
        blobs=batch.blobs | {WRONG: bytes(wrong), BROKEN: b"no library"},
    )
    found = run_batch(changed)
    assert (
        set(found.seconds) == {0, 3}
        and found.errors[1] == "differs from the referee"
        and "cannot be loaded" in found.errors[2]
    )
    assert found.seconds[0].shape == (2, 1) and found.device["name"]


def test_a_child_that_says_nothing_or_dies(batch, monkeypatch, tmp_path):
    script = tmp_path / "child"
    monkeypatch.setattr(batches.sys, "executable", str(script))
    for body, words in (
        ("sleep 30", "did not answer within 1 s"),
        ("kill -SEGV $$", r"crashed \(-11\)"),
        ("echo broken >&2; exit 3", "broken"),
    ):
        script.write_text(f"#!/bin/sh\ncat > /dev/null\n{body}\n")
        script.chmod(0o755)
        with pytest.raises(OctetError, match=f"default kernel could not be measured: .*{words}"):
            run_batch(batch, quiet=1.0)


def test_the_promising_are_measured_longer_and_the_best_once_more(workload, spec, database, tmp_path):
    task = Task(workload(channels=32, size=20, out=64), 1)
    path = tmp_path / "candidates"
    export_candidates([task], spec, database, path, trials=4)
    speeds, asked = {0: 1.0, 1: 0.9, 2: 0.7, 3: 1.2, 4: 0.8}, []
    places = {
        candidate.code + str(candidate.schedule): i
        for i, candidate in enumerate(carrier.Carrier(path).job.tasks[0].candidates)
    }

    def measure(batch):
        numbers = [places[candidate.code + str(candidate.schedule)] for candidate in batch.task.candidates]
        asked.append((numbers, batch.rounds))
        return Figures(
            {at: np.full((batch.rounds, 1), speeds[i]) for at, i in enumerate(numbers)}, {}, {"name": "ignored"}
        )

    source = carrier.Carrier(path)
    assert measure_job(source, measure=measure)["faster"] == 1
    everyone = list(range(len(places)))  # The strategy may propose fewer than were asked for.
    fastest = sorted(everyone[1:], key=speeds.get)[:2]
    assert len(everyone) > 3 and asked == [(everyone, 3), ([0, *fastest], 12), ([0, 2], 12)]
    assert measure_job(source, measure=measure)["faster"] == 1 and len(asked) == 3
    assert import_measurements(path, database)["records"] == 1
    assert database.find(key_of(task.workload.key, spec)).ratio == pytest.approx(0.7)
    assert [entry.stage for entry in log.read(source.measurements, source.digest)] == ["first"] * len(everyone) + [
        "final"
    ] * 3 + ["winner"] * 2


def test_a_machine_where_nothing_runs(workload, spec, database, tmp_path):
    path = tmp_path / "candidates"
    export_candidates([Task(workload(), 1)], spec, database, path, trials=2)

    def fails(batch):
        raise OctetError("the default kernel could not be measured: pretended")

    with pytest.raises(OctetError, match="nothing could be measured: .*pretended"):
        measure_job(carrier.Carrier(path), measure=fails)
    with pytest.raises(OctetError, match="holds no measurements; run `octet measure"):
        import_measurements(path, database)


def test_weights_repeat_with_odd_periods():
    weight = periodic(40, 70, 3, 3)
    assert (weight[13:] == weight[:-13]).all() and (weight[:, 29:] == weight[:, :-29]).all() and weight.min() >= -127
    assert all((weight[shift:] != weight[:-shift]).mean() > 0.9 for shift in (1, 2, 4, 8, 16, 32))
    assert all((weight[:, shift:] != weight[:, :-shift]).mean() > 0.9 for shift in (1, 2, 4, 8, 16, 32, 64))


def test_carrying_measures_nothing_now(database):
    with pytest.raises(OctetError, match="--tracker, --key and --budget measure now"):
        carry(TuningRequest("m.octet", budget="5m"), "somewhere", None, database, None)
