"""Workers that end with who started them, and a local worker that serves nobody else."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
from tvm import rpc

from octet.tuning.fleet import LOOPBACK, LocalWorker

SECONDS = 60  # for processes to start or to end on a machine that does other things as well
# A session at work on a worker and two builders: it says when, and waits.
STARTS = """
import os, time
from octet.targets import detect
from octet.tuning.builder import builders
from octet.tuning.fleet import LocalWorker

with LocalWorker(1) as worker, builders(detect.native(), 2, job=time.sleep) as builder:
    session = worker.connect()
    jobs = [builder._pool.submit(time.sleep, 600) for _ in range(2)]
    print("ready", flush=True)
    time.sleep(600)
"""


def _wait(condition):
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, "not within a minute"
        time.sleep(0.1)


def _lives(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_session(how):
    running = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout.readline() == "ready\n"
        process = psutil.Process(running.pid)
        _wait(lambda: len(process.children(recursive=True)) >= 4)  # a server, its session and two builders
        children = process.children(recursive=True)
    finally:
        running.send_signal(how)
        running.wait()
    _wait(lambda: not any(map(_lives, children)))


def test_a_local_worker_serves_its_own_session_only():
    with LocalWorker(1) as worker, LocalWorker(1) as other:
        worker.connect()
        assert worker._key != other._key and len(worker._key) == 64
        for key in ("octet-local", other._key, ""):
            with pytest.raises(Exception, match="key|Key|connect"):
                rpc.connect(LOOPBACK, worker._server.port, key=key, session_timeout=10)
        assert worker.connect().cpu(0) is not None
