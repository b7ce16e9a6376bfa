"""Workers of a tuning session die with it, however it ends and whenever."""

import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from .conftest import LONG, amount

_TUNES = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from octet.tools.main import main; "
    "main(sys.argv[1:])"
)
SECONDS = 60


def _gone(processes) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.mark.skipif(not LONG, reason="tests/tuning/test_orphans.py is the sample: make soak")
def test_no_worker_outlives_its_session(small, tmp_path):
    rng, seen = random.Random(0), 0
    for number in range(amount(1, 25)):
        arguments = [
            "tune",
            small / "tiny.onnx",
            "--calib",
            small / "calib.npz",
            "--db",
            tmp_path / "records.db",
            "--budget",
            "60s",
        ]
        running = subprocess.Popen(
            [sys.executable, "-c", _TUNES, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        process, children, latest, until = psutil.Process(running.pid), [], time.monotonic() + SECONDS, None
        while time.monotonic() < (latest if until is None else until) and running.poll() is None:
            until = time.monotonic() + rng.uniform(0, 8) if until is None and children else until
            children = list({*children, *process.children(recursive=True)})
            time.sleep(0.02)
        running.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        running.wait(SECONDS)
        until = time.monotonic() + SECONDS
        while not _gone(children):
            assert time.monotonic() < until, (number, [process for process in children if process.is_running()])
            time.sleep(0.1)
        seen += len(children)
    assert seen > 0
