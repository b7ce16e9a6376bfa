"""Workers that end with who started them, and a local worker that serves nobody else."""

import signal
import socket
import struct
import subprocess
import sys
import time

import psutil
import pytest
from tvm import rpc
from tvm.rpc.base import RPC_MAGIC

from octet.tuning.fleet import LOOPBACK, LocalWorker
from octet.tuning.server import _MOST

SECONDS = 60  # Processes may take so long to start or to end on a machine that does other things as well.
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
    except psutil.NoSuchProcess:  # It ended between the two questions.
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_session(how):
    running = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout.readline() == "ready\n"
        process = psutil.Process(running.pid)
        _wait(lambda: len(process.children(recursive=True)) >= 4)  # They are a server, its session and two builders.
        children = process.children(recursive=True)
    finally:
        running.send_signal(how)
        running.wait()
    _wait(lambda: not any(map(_lives, children)))


def _introduction(name: bytes, length: int | None = None, magic: int = RPC_MAGIC) -> bytes:
    return struct.pack("<ii", magic, len(name) if length is None else length) + name


# What a stranger may send to the port; TVM's own loop ends for good with most of them, and waits for ever for what is
# silent.
STRANGERS = [
    b"",
    b"\0",
    _introduction(b""),
    _introduction(b"   \n"),
    _introduction(b"\xff\xfe"),
    _introduction(b"", -1),
    _introduction(b"", -(1 << 31)),
    _introduction(b"", (1 << 31) - 1),
    _introduction(b"client:"),
    _introduction(b"client:x -timeout=nan -timeout=x"),
    _introduction("client:\u00e9".encode()),
    _introduction(b"client:x", 64),
    _introduction(b"client:x", magic=1),
    b"GET / HTTP/1.1\r\n\r\n",
]


def test_a_local_worker_serves_its_own_session_only():
    with LocalWorker(1) as worker, LocalWorker(1) as other:
        assert worker.connect().cpu(0) is not None
        server, address = worker._server, (LOOPBACK, worker._server.port)
        assert worker._key != other._key and len(worker._key) == 64
        for key in ("octet-local", other._key, ""):
            with pytest.raises(Exception, match="key|Key|connect"):
                rpc.connect(*address, key=key, session_timeout=10)
        silent = [socket.create_connection(address, 10) for _ in range(_MOST)]  # The door has room for no more.
        for sent in STRANGERS:
            for leave in (True, False):
                stranger = socket.create_connection(address, 10)
                stranger.sendall(sent)
                if leave:
                    stranger.close()
                else:
                    silent.append(stranger)
        for _ in range(2):  # The session is heard as ever, and the loop goes on behind it.
            assert worker.connect().cpu(0) is not None and worker._server is server
        for stranger in silent:
            stranger.close()
        assert worker.connect().cpu(0) is not None and worker._server is server
