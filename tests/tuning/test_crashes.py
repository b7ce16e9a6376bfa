"""Processes that die: a worker in the middle of a measurement, a candidate that crashes it, and `octet tune` itself."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from octet.targets import detect
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.workload import workload_of
from octet.tools.main import main
from octet.tuning import tuning_session
from octet.tuning.builder import build
from octet.tuning.fleet import LocalWorker
from octet.tuning.kinds.registry import case_of
from octet.tuning.runner import Runner
from octet.tuning.spaces.registry import spaces_of

from ..policy.conftest import alternating

SPEC = detect.native()
SECONDS = 240  # A session may take so long on a machine that does other things as well.


@pytest.fixture(scope="module")
def kernels():
    """A case, its default and two candidates."""
    chosen = workload_of(
        ConvProblem("int8", 1, 32, 14, 14, 32, (1, 1), (1, 1), (0,) * 4, (1, 1), 1, 0, Epilogue("int8"))
    )
    case, space = case_of(chosen), spaces_of(chosen, SPEC)[0]
    others = [schedule for schedule in space.every() if schedule != space.default][:2]
    return case, build(chosen, None, case, SPEC), [build(chosen, schedule, case, SPEC) for schedule in others]


def library_that(body, folder) -> bytes:
    """A library with the functions that a runner calls; octet_run does `body`."""
    source, made = folder / "bad.c", folder / "bad.so"
    function = "int __tvm_ffi_%s(void* self, void* args, int count, void* result) { %s return 0; }\n"
    source.write_text(function % ("octet_prepare", "") + function % ("octet_run", body))
    subprocess.run(["gcc", "-shared", "-fPIC", "-O0", source, "-o", made], check=True)
    return made.read_bytes()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_candidate_that_kills_its_worker_costs_itself_only(kernels, tmp_path):
    case, default, candidates = kernels
    bad = replace(candidates[0], library=library_that("*(volatile int*)0 = 1;", tmp_path))
    with LocalWorker(1) as worker:
        found = Runner(worker, (1,)).compare(case, default, [bad, candidates[1]], 3)
        assert [bool(outcome.error) for outcome in found.candidates] == [True, False]
    assert found.default.seconds > 0 and found.candidates[1].seconds > 0


def test_a_worker_that_is_killed_costs_one_measurement(kernels):
    case, default, candidates = kernels
    with LocalWorker(1) as worker:
        worker.connect()  # This starts the server.
        server = psutil.Process(worker._server.process._proc.pid)

        def kill():
            for process in [*server.children(recursive=True), server]:
                process.kill()

        timer = threading.Timer(0.5, kill)
        timer.start()
        found = Runner(worker, (1,)).compare(case, default, candidates, 120)
        timer.join()
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert sum(bool(outcome.error) for outcome in found.candidates) <= 1 and found.default.seconds > 0


def test_octet_tune_is_killed_and_goes_on(tmp_path, monkeypatch):
    """SIGKILL after the first batch was committed: nothing of it is lost, and the next session measures other
    schedules. Batches of two: a session mostly starts processes."""
    model, database = tmp_path / "net.onnx", tmp_path / "records.db"
    samples = alternating(model, 1, layers=1)
    np.savez(tmp_path / "calib.npz", **samples)
    options = ["tune", str(model), "--calib", str(tmp_path / "calib.npz"), "--db", str(database), "--threads", "1"]
    start = (
        "from octet.tuning import tuning_session; tuning_session.BATCH = 2; from octet.tools.main import main; main()"
    )
    environment = os.environ | {"TVM_NUM_THREADS": "1"}
    running = subprocess.Popen(
        [sys.executable, "-c", start, *options, "--trials", "1000"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        first = _first_trials(database, running)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    kept = _trials(database)
    assert sum(kept.values()) >= first > 0
    monkeypatch.setattr(tuning_session, "BATCH", 2)
    done = CliRunner().invoke(main, [*options, "--trials", "2", "--json", str(tmp_path / "figures.json")])
    assert done.exit_code == 0, done.output
    found = _trials(database)
    assert all(found[key] >= count for key, count in kept.items()), "what was measured stays"
    more = {key: count - kept.get(key, 0) for key, count in found.items()}
    assert set(more.values()) <= {0, 1, 2} and 2 in more.values(), "two more of a kernel, where it has so many"
    assert "of limit" in done.stdout and "above the limit" in done.stderr


def _first_trials(path: Path, running):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert running.poll() is None, "the session ended"
        if path.exists() and (count := sum(_trials(path).values())):
            return count
        time.sleep(0.2)
    raise AssertionError("nothing was measured")


def _trials(path):
    """{kernel: committed measurements, no two of one schedule}, read as another process would."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        try:
            return dict(
                connection.execute(
                    "SELECT workload, count(DISTINCT schedule) FROM octet_trials GROUP BY workload"
                ).fetchall()
            )
        except sqlite3.OperationalError:  # The table is not there yet.
            return {}
