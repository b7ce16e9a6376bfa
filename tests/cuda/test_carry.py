"""Candidates on a machine with a driver (an emulated one, which runs the real kernels) and no compiler: measured,
resumed, learnt from."""

import json
from dataclasses import replace

import numpy as np
import pytest

import octet.passes  # noqa: F401 - prepares TVM
from octet.targets.cuda.backend import CudaBackend
from octet.targets.cuda.compiling.source import emulated_source
from octet.targets.cuda.emulator import write_library
from octet.targets.cuda.kernels.conv import Conv, Epilogue
from octet.targets.cuda.running.device_identity import device_identity, on_device
from octet.targets.cuda.workload import workload_of
from octet.targets.measure import carrier, log
from octet.targets.measure.batch import MOST_FAILURES
from octet.targets.registry import find
from octet.tuning import carry_export, cuda_builder
from octet.tuning.carry_export import export_candidates
from octet.tuning.carry_import import import_measurements
from octet.tuning.cuda_runner import CudaRunner, RemoteDevice
from octet.tuning.database import Database, key_of
from octet.tuning.fleet import LOOPBACK
from octet.tuning.portable_case import portable_case
from octet.tuning.server import Server
from octet.tuning.spaces.registry import spaces_of
from octet.tuning.tasks import Task

SPEC = find("cuda-sm80")
INT8 = Epilogue(False, 2, -90, 127, 0.0, 0.0, False, 0, 0.0)
DENSE = workload_of(
    Conv(1, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 16, 16, 1, 16, 16, 9),
    replace(INT8, residual=True, residual_multiplier=0.3),
)
GROUPS = workload_of(Conv(1, 5, 5, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 32, 32, 4, 6, 6, 9), INT8)  # Its space has six points.
MEASURE = """
import sys
from octet.targets.measure.carrier import Carrier
from octet.targets.measure.measuring_stages import measure_job
import octet.targets.measure.child, octet.targets.measure.cuda
figures = measure_job(Carrier({path!r}))
print(figures, [m for m in ("tvm", "tvm_ffi", "xgboost", "sqlalchemy", "click", "rich") if m in sys.modules])
"""


@pytest.fixture(scope="module")
def machine(here, tmp_path_factory):
    """(folder with candidates, its tasks, driver library, what compiles without a compiler)."""
    folder, texts = tmp_path_factory.mktemp("carry"), {}

    def compiled(text, arch):
        function = text.rsplit(") ", 1)[0].split("__launch_bounds__(")[1].split(") ")[1].split("(")[0]
        texts[function] = text
        return b"\x50\xed\x55\xba" + function.encode(), {}

    patch = pytest.MonkeyPatch()
    patch.setattr(cuda_builder, "compile_cubin", compiled)
    patch.setattr(carry_export, "ROUNDS", 1)  # An emulated launch takes milliseconds.
    patch.setattr(carry_export, "FINAL_ROUNDS", 2)
    database = Database(str(folder / "empty.db"))
    figures = export_candidates([Task(DENSE, 2), Task(GROUPS, 1)], SPEC, database, folder / "candidates", trials=4)
    database.close()
    assert (figures["tasks"], figures["candidates"]) == (2, 8)
    for schedule in spaces_of(GROUPS, SPEC)[0].every():
        cuda_builder.build(GROUPS, schedule, portable_case(GROUPS), SPEC)
    patch.undo()
    counts = {function: text.rsplit("(", 1)[1].count("a") for function, text in texts.items()}
    text = emulated_source("\n".join(texts.values()), counts)
    write_library(text + (here / "fake_driver.cpp").read_text(), folder / "libcuda.so")
    return folder / "candidates", folder / "libcuda.so", compiled


@pytest.fixture
def copied(machine, tmp_path):
    """A fresh copy of the candidates: (folder, driver)."""
    import shutil

    return shutil.copytree(machine[0], tmp_path / "candidates"), machine[1]


def changed(folder, change):
    """Rewrites the manifest: change(candidates of the first task) -> candidates."""
    source = carrier.Carrier(folder)
    job, blobs = source.job, {name: source.blob(name) for name in source.job.blobs}
    task = replace(job.tasks[0], candidates=tuple(change(list(job.tasks[0].candidates))))
    new = folder.with_name("changed")
    carrier.write(new, replace(job, tasks=(task,)), blobs)
    return new


def test_measured_resumed_and_learnt_from(copied, python, tmp_path):
    folder, driver = copied
    said = python(MEASURE.format(path=str(folder)), OCTET_LIBCUDA=str(driver))
    assert "'measured': 8, 'failed': 0" in said and said.endswith("[]"), "neither a compiler nor TVM"
    lines = (folder / "measurements.jsonl").read_text()
    assert python(MEASURE.format(path=str(folder)), OCTET_LIBCUDA=str(driver)) == said
    assert (folder / "measurements.jsonl").read_text() == lines, "nothing is measured twice"
    kept = lines.splitlines(keepends=True)
    (folder / "measurements.jsonl").write_text("".join(kept[:3]) + kept[3][:40])  # The writer was killed within a line.
    assert "'measured': 8" in python(MEASURE.format(path=str(folder)), OCTET_LIBCUDA=str(driver))
    assert json.loads(kept[0])["device"] == {
        "name": "emulated device",
        "multiprocessors": 1,
        "arch": 80,
        "driver": 13000,
    }
    database = Database(str(tmp_path / "records.db"))
    found = import_measurements(folder, database)
    assert (found["trials"], found["failed"], found["devices"]) == (8, 0, ["emulated device"])
    assert len(database.trials(key_of(DENSE.key, SPEC))) == len(database.trials(key_of(GROUPS.key, SPEC))) == 4
    assert import_measurements(folder, database)["trials"] == 8 and database.count_trials() == 16, (
        "of this device, and of the target for the next export"
    )
    assert len(database.trials(key_of(DENSE.key, on_device(SPEC, device_identity("emulated device", 1))))) == 4
    database.close()


def test_a_clear_winner_becomes_a_record_and_the_next_round_differs(copied, machine, tmp_path, monkeypatch):
    folder, _ = copied
    source = carrier.Carrier(folder)
    task, device = source.job.tasks[0], {"name": "a GPU"}

    def entry(stage, candidate, seconds, **more):
        rows = [[seconds * (1 + 0.001 * i)] for i in range(12)]
        return log.Measurement(source.digest, task.key, candidate, stage, device, rows, [[1e-5]] * 12, **more)

    log.append(
        source.measurements,
        [entry(log.FIRST, 1, 8e-6), entry(log.FIRST, 2, 2e-5), entry(log.FINAL, 1, 8e-6), entry(log.WINNER, 1, 8.1e-6)],
    )
    log.append(
        source.measurements, [log.Measurement(source.digest, task.key, 3, log.FIRST, device, error="crashed (-11)")]
    )
    database = Database(str(tmp_path / "records.db"))
    assert import_measurements(folder, database) == {"trials": 3, "failed": 1, "records": 1, "devices": ["a GPU"]}
    assert database.find(key_of(DENSE.key, SPEC)) is None
    record = database.find(key_of(DENSE.key, on_device(SPEC, "a GPU")))
    assert (
        record.schedule == task.candidates[1].schedule
        and record.ratio == pytest.approx(0.81, rel=0.02)
        and record.cpu == "a GPU"
    )
    monkeypatch.setattr(cuda_builder, "compile_cubin", machine[2])
    export_candidates([Task(DENSE, 2)], SPEC, database, tmp_path / "next.tar.xz", trials=4)
    after = [candidate.schedule for candidate in carrier.Carrier(tmp_path / "next.tar.xz").job.tasks[0].candidates]
    assert not [schedule for schedule in after[1:] if schedule in [c.schedule for c in task.candidates[:4]]]
    database.close()


def test_a_wrong_kernel_and_one_that_fails_cost_themselves_only(copied, python):
    folder, driver = copied

    def change(found):
        wrong = replace(found[1], constants=(found[1].constants[0], found[1].constants[2], found[1].constants[1]))
        return [found[0], wrong, replace(found[2], shared=1 << 20), found[3]]

    made = changed(folder, change)
    assert "'measured': 3, 'failed': 2" in python(MEASURE.format(path=str(made)), OCTET_LIBCUDA=str(driver))
    source = carrier.Carrier(made)
    errors = {
        entry.candidate: entry.error
        for entry in log.read(source.measurements, source.digest)
        if entry.stage == log.FIRST
    }
    assert (
        errors[1] == "differs from the referee"
        and "too much shared memory" in errors[2]
        and errors[0] == errors[3] == ""
    )


def test_another_device_is_refused(copied, python):
    folder, driver = copied
    text = MEASURE.format(path=str(folder)).replace(
        "figures = measure_job", "from octet.targets.errors import TargetError\ntry:\n  figures = measure_job"
    )
    text = text.replace(
        "))\nprint(figures", "))\nexcept TargetError as error:\n  print(error)\n  sys.exit()\nprint(figures"
    )
    assert "cuda-sm80, which this machine does not run (its emulated device is sm_75)" in python(
        text, OCTET_LIBCUDA=str(driver), FAKE_CUDA_ARCH="75"
    )
    assert "there is no CUDA device or no driver" in python(text, OCTET_LIBCUDA="/nowhere/libcuda.so")


SESSION = """
import octet.passes, sys
sys.path.insert(0, {tests!r})
from test_carry import *
def compiled(text, arch):
    function = text.rsplit(") ", 1)[0].split("__launch_bounds__(")[1].split(") ")[1].split("(")[0]
    return b"\\x50\\xed\\x55\\xba" + function.encode(), {{}}
cuda_builder.compile_cubin = compiled
from octet.tuning import tuning_session as settings
from octet.tuning.tune import tune
settings.ROUNDS, settings.FINAL_ROUNDS = 1, 2
database = Database({db!r})
made = tune([Task(GROUPS, 1)], SPEC, database, settings.TuningLimits(trials=5))
state = made.states[0]
print(state.trials, state.failed, state.done, database.count_trials())
"""


def test_a_session_on_this_machines_device(machine, python, here, tmp_path):
    text = SESSION.format(tests=str(here), db=str(tmp_path / "records.db"))
    assert (
        python(text, OCTET_LIBCUDA=str(machine[1])).startswith("5 0 ")
        and Database(str(tmp_path / "records.db")).count_trials() == 5
    )


def test_workers_measure_what_they_are_sent(machine, monkeypatch):
    """A worker has the driver and Octet, not the kernels: they come with their launches."""
    from tvm import rpc

    monkeypatch.setattr(cuda_builder, "compile_cubin", machine[2])
    monkeypatch.setenv("OCTET_LIBCUDA", str(machine[1]))
    case, every = portable_case(GROUPS), spaces_of(GROUPS, SPEC)[0].every()
    default, *built = (cuda_builder.build(GROUPS, schedule, case, SPEC) for schedule in (None, every[0], every[1]))
    server, asked = Server(LOOPBACK, range(9700, 9790), "gpu", 1), []

    class Worker:
        def connect(self, beyond):
            asked.append(beyond)
            remote = rpc.connect(LOOPBACK, server.port, key="gpu", session_timeout=60)
            from octet.tuning.cuda_runner import check_device

            check_device(remote, SPEC)
            return remote

        def failed(self):
            raise AssertionError

    try:
        wrong = replace(built[1], constants=(np.roll(built[1].constants[0], 1), *built[1].constants[1:]))
        found = CudaRunner(RemoteDevice(Worker())).compare(case, default, [built[0], wrong], 1)
    finally:
        server.terminate()
    assert found.default.seconds > 0 and (found.candidates[0].ratios > 0).all()
    assert [outcome.error for outcome in found.candidates] == ["", "differs from the referee"]
    # Every candidate may hang until the worker itself ends it, and what the others need is left.
    assert asked == [(3 + MOST_FAILURES) * CudaBackend.quiet_seconds]
