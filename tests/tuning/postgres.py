"""A throw-away PostgreSQL server on the loopback interface, for tests."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

USERS = ("postgres", "nobody")  # The server refuses to run as root.
START_SECONDS = 20


def absent() -> str:
    """What is missing for a server, "" if nothing is."""
    programs = [name for name in ("initdb", "postgres") if _program(name) is None]
    if programs:
        return f"no {' and no '.join(programs)} on this machine"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed (pip install 'octet[postgresql]')"
    if os.geteuid() == 0 and _user() is None:
        return f"runs as root, and there is none of the users {', '.join(USERS)}"
    return ""


@contextmanager
def server():
    """Yields the URL of an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="octet-postgres-"))
    process = None
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _user())
        data, port = folder / "data", _free_port()
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", "octet", "--auth=trust", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **_identity(),
        )
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
        process = subprocess.Popen(
            [_program("postgres"), "-D", data, *options],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_identity(),
        )
        url = f"postgresql://octet@127.0.0.1:{port}/postgres"
        _wait(url, process)
        yield url
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # A fast shutdown waits for no client.
            process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _program(name):
    found = shutil.which(name)
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))  # Debian keeps them out of the path.
    return found or (str(installed[-1]) if installed else None)


def _user():
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in USERS if name in known), None)


def _identity():
    if os.geteuid() != 0:
        return {}
    return {
        "user": _user(),
        "group": pwd.getpwnam(_user()).pw_gid,
        "extra_groups": [],
        "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"},
    }


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(url, process):
    import psycopg

    for _ in range(10 * START_SECONDS):
        assert process.poll() is None, "the server ended"
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")
