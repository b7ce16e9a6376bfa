"""Kernels after a fork, on several threads, from threads that come and go, and in sessions that end: nothing is left
behind."""

import gc
import os
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from octet.targets import detect
from octet.targets.errors import OctetError
from octet.targets.opening import open_session
from octet.targets.runtime import Session

X = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32)
Y = (2 * X + np.arange(16, dtype=np.float32)).tobytes()
SECONDS = 60  # A child may take so long.


def runs(session):
    return session.run({"x": X})["y"].tobytes() == Y


def in_a_child(work) -> bool:
    """Whether work() is true in a forked process, within a minute."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)  # The alarm ends a child that hangs.
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


def os_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def comes_true(condition) -> bool:
    until = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def falls_to(count) -> bool:
    """Whether so few threads are left, after those that are ending (a joined thread ends a moment later)."""
    return comes_true(lambda: os_threads() <= count)


@pytest.mark.parametrize("count", [1, 2])
def test_a_fork_after_a_run(toy_variant, count):
    session, other = (open_session(toy_variant, threads=n) for n in (count, 2))
    assert runs(session) and runs(other)
    assert in_a_child(lambda: runs(session) and runs(other) and runs(open_session(toy_variant, threads=2)))
    assert in_a_child(lambda: runs(session) and in_a_child(lambda: runs(session))), "a child's child"
    assert runs(session)


def test_forks_while_another_thread_runs(toy_variant):
    """The child finds the stream as it was: in use, mostly."""
    session, over = open_session(toy_variant, threads=2), threading.Event()

    def work():
        while not over.is_set():
            session.run({"x": X})

    worker = threading.Thread(target=work)
    worker.start()
    try:
        stream = session._streams.take()
        held = in_a_child(lambda: runs(session))
        session._streams.give(stream)
        assert held and all(in_a_child(lambda: runs(session)) for _ in range(4))
    finally:
        over.set()
        worker.join()


@pytest.mark.parametrize("count", [1, 2])
def test_threads_that_end_leave_nothing(toy_variant, count):
    """The threads of a pool belong to the session, not to whoever calls it."""
    session, failures = open_session(toy_variant, threads=count), []

    def work():
        if not runs(session):
            failures.append(1)

    work()
    before = os_threads()
    for _ in range(20):
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    assert falls_to(before) and not failures


def test_one_core_starts_no_thread(toy_variant):
    before = os_threads()
    assert runs(open_session(toy_variant, threads=1)) and os_threads() == before


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(detect, "cores", lambda: 8)


@pytest.mark.parametrize("pin", [False, True])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_more_threads_than_cores(toy_variant, many_cores, count, pin):
    """They fall asleep between some of the runs, and in the middle of others."""
    gc.collect()
    before = os_threads()
    with Session(toy_variant, count, pin=pin) as session:
        for pause in (0, 0, 0.0005, 0, 0.002, 0.0002, 0):
            assert runs(session)
            time.sleep(pause)
            session.profile(
                {"x": X}, 1
            )  # A small network's runs go on one thread where that is faster, its steps never.
        assert all(runs(session) for _ in range(200)) and os_threads() == before + count - 1
    assert falls_to(before)


def test_pinned_threads_stay_on_a_core_each(toy_variant, many_cores):
    session, allowed = Session(toy_variant, 3, pin=True), os.sched_getaffinity(0)
    before = set(os.listdir("/proc/self/task"))
    assert runs(session)
    ours = [int(task) for task in set(os.listdir("/proc/self/task")) - before]
    comes_true(
        lambda: all(len(os.sched_getaffinity(task)) == 1 for task in ours)
    )  # A thread that the system has not let run yet is not there.
    kept = [os.sched_getaffinity(task) for task in ours]
    assert len(kept) == 2 and all(len(cores) == 1 and cores <= allowed for cores in kept)
    assert os.sched_getaffinity(0) == allowed


def test_idle_threads_sleep(toy_variant, many_cores):
    """They fall asleep once, and nothing wakes them until the next loop: whoever looked again now and then would give
    its core away each time."""
    before = set(os.listdir("/proc/self/task"))
    with Session(toy_variant, 3) as session:
        assert runs(session)
        ours = [Path(f"/proc/self/task/{task}/status") for task in set(os.listdir("/proc/self/task")) - before]

        def seen():
            return [
                [
                    line.split(":")[1].strip()
                    for line in path.read_text().splitlines()
                    if line.startswith(("State:", "voluntary_ctxt"))
                ]
                for path in ours
            ]

        if len(seen()[0]) < 2:
            pytest.skip("this system does not count how often a thread gave its core away")
        assert len(ours) == 2 and comes_true(lambda: all(state.startswith("S") for state, _ in seen()))
        found = seen()
        time.sleep(0.1)
        assert seen() == found
        session.profile({"x": X}, 1)
        assert comes_true(lambda: all(int(now) > int(then) for (_, now), (_, then) in zip(seen(), found))), (
            "a loop wakes them"
        )


def test_a_machine_that_starts_no_thread_is_said(toy_variant, monkeypatch):
    monkeypatch.setattr(detect, "cores", lambda: 64)

    def refused():
        session = Session(toy_variant, 64)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))  # There is no room for so many stacks.
        try:
            session.run({"x": X})
        except OctetError as error:
            return "starts no more threads" in str(error)
        return False

    assert in_a_child(refused)


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
