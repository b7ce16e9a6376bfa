"""Kernels after a fork, from threads that come and go, and sessions that end: nothing is left behind."""

import gc
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from octet.targets import threads
from octet.targets.errors import OctetError
from octet.targets.opening import open_session

X = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32)
Y = (2 * X + np.arange(16, dtype=np.float32)).tobytes()
SECONDS = 60  # that a child may take


def runs(session):
    return session.run({"x": X})["y"].tobytes() == Y


def in_a_child(work) -> bool:
    """Whether work() is true in a forked process, within a minute."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)  # ends a child that hangs
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


def os_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def falls_to(count) -> bool:
    """Whether so few threads are left, after those that are ending (a joined thread ends a moment later)."""
    until = time.monotonic() + SECONDS
    while os_threads() > count and time.monotonic() < until:
        time.sleep(0.01)
    return os_threads() <= count


@pytest.mark.parametrize("count", [1, 2])
def test_a_fork_after_a_run(toy_variant, count):
    session, other = (open_session(toy_variant, threads=n) for n in (count, 2))
    assert runs(session) and runs(other)
    assert in_a_child(lambda: runs(session) and runs(other) and runs(open_session(toy_variant, threads=2)))
    assert in_a_child(lambda: runs(session) and in_a_child(lambda: runs(session))), "a child's child"
    assert runs(session)


def test_forks_while_another_thread_runs(toy_variant):
    """The child finds the session's lock as it was: taken, mostly."""
    session, over = open_session(toy_variant, threads=2), threading.Event()

    def work():
        while not over.is_set():
            session.run({"x": X})

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with session._lock:
            held = in_a_child(lambda: runs(session))
        assert held and all(in_a_child(lambda: runs(session)) for _ in range(4))
    finally:
        over.set()
        worker.join()


@pytest.mark.parametrize("count", [1, 2])
def test_threads_that_end_leave_a_bounded_number_of_threads(toy_variant, count):
    session, failures = open_session(toy_variant, threads=count), []

    def work():
        if not runs(session):
            failures.append(1)

    def round_of(number):
        for _ in range(number):
            worker = threading.Thread(target=work)
            worker.start()
            worker.join()

    round_of(threads.OWNERS + 1)
    before = min(os_threads() for _ in range(10) if time.sleep(0.01) is None)
    round_of(3 * threads.OWNERS)
    assert falls_to(before) and not failures


def test_one_core_makes_no_pool(toy_variant):
    def alone():
        session = open_session(toy_variant, threads=1)
        before = os_threads()
        return runs(session) and os_threads() == before

    assert in_a_child(alone)


def test_a_runner_raises_what_the_call_raises(monkeypatch):
    def fail():
        raise ValueError("as it was")

    monkeypatch.setattr(threads, "_owns", lambda: False)
    for _ in range(2):
        with pytest.raises(ValueError, match="as it was"):
            threads.call(2, fail)
    assert threads.call(2, lambda a: a + 1, 1) == 2


def test_sessions_end(toy_variant):
    """Neither their code nor a descriptor stays; the one in the last round is still there when it is counted."""
    def mapped():
        gc.collect()
        return Path("/proc/self/maps").read_text().count("kernels.so"), len(os.listdir("/proc/self/fd"))

    assert runs(open_session(toy_variant))
    before = mapped()
    for _ in range(20):
        assert runs(open_session(toy_variant))
    assert mapped() <= before
    with open_session(toy_variant) as session:
        assert runs(session)
    for use in (lambda: session.run({"x": X}), lambda: session.profile({"x": X}, 1)):
        with pytest.raises(OctetError, match="the session is closed"):
            use()
    session.close()
