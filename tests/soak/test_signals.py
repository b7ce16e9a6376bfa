"""Signals in the middle of runs: a handler's run goes on as if nothing had been; ^C leaves a session that answers;
SIGTERM ends the process."""

import random
import signal
import subprocess
import sys
import time

import octet

from .conftest import amount, bytes_of, feed_of


def test_a_timer_that_interrupts_every_run(small):
    with octet.load(small / "tiny.octet", threads=2) as session:
        feed, seen = feed_of(session), []
        wanted = bytes_of(session.run(feed))
        before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            until = time.monotonic() + amount(1, 120)
            while time.monotonic() < until or len(seen) < 20:
                assert bytes_of(session.run(feed)) == wanted
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


class Stop(Exception):
    pass


def test_handlers_that_raise(small):
    """As ^C does: wherever it comes, the next answer is right."""
    with octet.load(small / "tiny.octet", threads=2) as session:
        feed, stopped = feed_of(session), 0
        wanted = bytes_of(session.run(feed))

        def stop(*_):
            raise Stop

        before, rng = signal.signal(signal.SIGALRM, stop), random.Random(0)
        try:
            for _ in range(amount(50, 20_000)):
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 3e-4))
                    until = time.monotonic() + 5
                    while time.monotonic() < until:
                        session.run(feed)
                except Stop:
                    stopped += 1
                assert bytes_of(session.run(feed)) == wanted
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert stopped == amount(50, 20_000)


_RUNS = """
import signal, sys, octet
# Whoever starts pytest in the background has switched this off.
signal.signal(signal.SIGINT, signal.default_int_handler)
session = octet.load(sys.argv[1], threads=2)
import numpy as np
feed = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs}
session.run(feed)
print("ready", flush=True)
while True:
    session.run(feed)
"""


def test_a_process_in_a_run_ends_when_it_is_told(small):
    for _ in range(amount(1, 20)):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            running = subprocess.Popen(
                [sys.executable, "-c", _RUNS, small / "tiny.octet"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert running.stdout.readline() == "ready\n"
            running.send_signal(number)
            assert running.wait(60) != 0
