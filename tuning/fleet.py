"""Workers: TVM RPC servers, one of our own on this machine or many that have registered with a tracker."""

import secrets
import socket
import time
from collections.abc import Callable

from tvm import rpc

from ..targets.errors import OctetError
from ..targets.spec import TargetSpec
from .server import Server

SESSION_SECONDS = 120  # A worker ends a session that takes longer, as it hangs.
PROBE_SECONDS = 5
WATCH_SECONDS = 5  # So much time passes between looks at whether a worker is still there.
_PATIENCE = 6  # A new worker must have registered within so many looks.
LOOPBACK = "127.0.0.1"
PORTS = range(9190, 9990)


class LocalWorker:
    """A server in a child process on the loopback interface; a context manager. Every session runs in a process of its
    own there.

    Every user of this machine reaches the port, so the server answers to a key of its own that nobody else knows."""

    def __init__(self, threads: int):
        self._threads, self._key = threads, secrets.token_hex(32)
        self._server: Server | None = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.failed()

    def connect(self):
        """A session; the server is started when there is none."""
        if self._server is None:
            self._server = Server(LOOPBACK, PORTS, self._key, self._threads)
        return rpc.connect(LOOPBACK, self._server.port, key=self._key, session_timeout=SESSION_SECONDS)

    def failed(self):
        """A session ended badly: TVM's server does not survive the crash of one."""
        if self._server is not None:
            self._server.terminate()
            self._server = None


class TrackedWorker:
    """Whatever worker a tracker hands out under a key. check(remote, spec): raises TargetError for one that cannot run
    the target's code."""

    def __init__(self, tracker, key: str, spec: TargetSpec, check: Callable):
        self._tracker, self._key, self._spec, self._check = tracker, key, spec, check

    def connect(self, beyond: float = 0):
        """Waits until a worker is free. beyond: seconds that a session may take beyond the usual. Raises what `check`
        raises."""
        remote = self._tracker.request(self._key, session_timeout=SESSION_SECONDS + beyond)
        self._check(remote, self._spec)
        return remote

    def failed(self):
        """The tracker notices by itself."""


def tracked_workers(address: str, key: str, spec: TargetSpec, check: Callable) -> list[TrackedWorker]:
    """One for each worker that a tracker knows under `key`. Raises OctetError when the tracker or the key is
    missing."""
    host, port = _address(address)
    try:
        # TVM's own connecting would try for a minute.
        socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
        tracker = rpc.connect_tracker(host, port)
        servers = tracker.summary()["server_info"]
    except Exception as error:  # The socket and the protocol may raise anything.
        raise OctetError(
            f"--tracker {address}: no TVM RPC tracker answers there; start one: python -m tvm.exec.rpc_tracker --port "
            f"{port}"
        ) from error
    count = sum(1 for server in servers if server["key"] == f"server:{key}")
    if count == 0:
        raise OctetError(
            f"--key {key}: no worker at {address} has it; start one there: octet worker --tracker {address} --key {key}"
        )
    return [TrackedWorker(rpc.connect_tracker(host, port), key, spec, check) for _ in range(count)]


def serve(tracker: str, key: str, host: str, threads: int) -> None:
    """Runs a worker until interrupted. TVM's server does not survive a kernel that crashes: it is started again."""
    address = _address(tracker)
    while True:
        server = Server(host, PORTS, key, threads, address)
        try:
            looks = _PATIENCE  # A server registers after its port is known: one that nobody knows yet is not dead.
            while looks:
                time.sleep(WATCH_SECONDS)
                looks = 1 if _alive(tracker, key, server.port) else looks - 1
        finally:
            server.terminate()


def _alive(tracker, key, port):
    """Whether the tracker still knows the server: a dead one has lost its connection."""
    try:
        servers = rpc.connect_tracker(*_address(tracker)).summary()["server_info"]
    except Exception:  # The tracker is away; the server waits for it by itself.
        return True
    return any(entry["key"] == f"server:{key}" and entry["addr"][1] == port for entry in servers)


def _address(tracker):
    host, _, port = tracker.rpartition(":")
    if not host or not port.isdigit():
        raise OctetError(f"--tracker {tracker}: give it as HOST:PORT")
    return host, int(port)
