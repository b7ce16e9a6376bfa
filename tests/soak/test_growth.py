"""Inferences without end leave nothing behind: neither memory, nor descriptors, nor threads; and the last answer is the
first."""

import gc
import os
import threading
import time

import psutil
import pytest

import octet

from .conftest import LONG, amount, bytes_of, feed_of

BYTES = 16 << 20  # The allocator may keep so much more than it did.


def held():
    """(bytes of memory, descriptors, threads) of this process."""
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds(), process.num_threads()


def settled(before) -> bool:
    """Whether it is back to that; threads that were joined end a moment later."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        memory, descriptors, threads = held()
        if memory <= before[0] + BYTES and descriptors <= before[1] and threads <= before[2]:
            return True
        time.sleep(0.1)
    return False


def endured(path, count, threads):
    with octet.load(path, threads=threads) as session:
        feed = feed_of(session)
        wanted = bytes_of(session.run(feed))
        for _ in range(max(count // 20, 100)):
            session.run(feed)
        before = held()
        for _ in range(count):
            outputs = session.run(feed)
        assert bytes_of(outputs) == wanted
        assert settled(before), (before, held())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_small_network(small, threads):
    """Ten million in the long run, half of them on each number of cores."""
    endured(small / "tiny.octet", amount(2_000, 5_000_000), threads)


@pytest.mark.skipif(not LONG, reason="a hundred thousand inferences of some milliseconds: make soak")
def test_a_large_network(large):
    endured(large, 100_000, None)


def test_sessions_that_come_and_go(small):
    def once():
        with octet.load(small / "tiny.octet", threads=1) as session:
            session.run(feed_of(session))

    for _ in range(10):
        once()
    before = held()
    for _ in range(amount(20, 20_000)):
        once()
    assert settled(before), (before, held())


def test_threads_that_come_and_go(small):
    """Twice as many as may keep a pool of their own, again and again."""
    with octet.load(small / "tiny.octet", threads=2) as session:
        feed = feed_of(session)
        wanted, failures = bytes_of(session.run(feed)), []

        def work():
            for _ in range(3):
                if bytes_of(session.run(feed)) != wanted:
                    failures.append(1)

        def together(count):
            workers = [threading.Thread(target=work) for _ in range(count)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

        for _ in range(3):
            together(2 * 8)
        before = held()
        for _ in range(amount(3, 2_000)):
            together(2 * 8)
        assert not failures and settled(before), (before, held())


def test_forks_of_a_process_that_runs(small):
    """Every child answers as its parent does, while another thread of the parent runs."""
    with octet.load(small / "tiny.octet", threads=2) as session:
        feed, over = feed_of(session), threading.Event()
        wanted = bytes_of(session.run(feed))
        worker = threading.Thread(target=lambda: [session.run(feed) for _ in iter(over.is_set, True)])
        worker.start()
        try:
            for number in range(amount(4, 400)):
                child = os.fork()
                if child == 0:
                    import signal

                    signal.alarm(60)
                    os._exit(0 if all(bytes_of(session.run(feed)) == wanted for _ in range(3)) else 1)
                assert os.waitpid(child, 0)[1] == 0, number
        finally:
            over.set()
            worker.join()
