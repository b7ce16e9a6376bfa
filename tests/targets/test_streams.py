"""Several inferences at one time on one package: streams of a session, awaited runs, and what load is measured with."""

import asyncio
import gc
import os
import threading
import time

import numpy as np
import pytest

from octet.targets import detect
from octet.targets.errors import DataError, OctetError
from octet.targets.native.library import Library
from octet.targets.native.streams import Streams
from octet.targets.opening import open_session
from octet.targets.package import load
from octet.tools.benchmarking.load import under_load

X = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32)


def answer(x):
    return (2 * x + np.arange(16, dtype=np.float32)).tobytes()


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(detect, "cores", lambda: 4)


@pytest.mark.parametrize(
    ("given", "threads", "streams"),
    [
        ({}, 4, 1),
        ({"threads": 1}, 1, 4),
        ({"threads": 2}, 2, 2),
        ({"threads": 3}, 3, 1),
        ({"streams": 4}, 1, 4),
        ({"streams": 9}, 1, 9),
        ({"streams": 2, "threads": 1}, 1, 2),
        ({"threads": 99}, 4, 1),
    ],
)
def test_how_cores_are_shared_out(toy_package, four_cores, given, threads, streams):
    with load(toy_package, **given) as session:
        assert (session.threads, session.streams) == (threads, streams)
        assert session.run({"x": X})["y"].tobytes() == answer(X)


def test_runs_at_one_time_have_memory_of_their_own(toy_variant, four_cores):
    """All streams are taken at once, and each gives the answer for its own input."""
    session = open_session(toy_variant, streams=3, threads=2)
    leases = [session._streams.take() for _ in range(3)]
    taken = [lease.stream for lease in leases]
    for number, stream in enumerate(taken):
        stream.stage([X + number])
    for stream in reversed(taken):
        session._library.run(stream.handle, stream.tensors)
    assert [stream.results["y"].tobytes() for stream in taken] == [answer(X + number) for number in range(3)]
    for lease in leases:
        session._streams.give(lease)


def test_a_thread_in_a_loop_keeps_nobody_waiting():
    """It takes a stream again as soon as it gave it back, before the thread that was woken gets to run; who has waited
    long enough goes before it."""
    streams, served = Streams(lambda number: number, 1), threading.Event()

    def waits():
        with streams.take():
            served.set()

    lease, other = streams.take(), threading.Thread(target=waits, daemon=True)
    other.start()
    for _ in range(3000):
        time.sleep(0.0005)  # While it is at work, the other thread may look.
        streams.give(lease)
        lease = streams.take()
        if served.is_set():
            break
    assert served.is_set()
    streams.give(lease)
    other.join()
    assert not streams._overdue and not streams._waiting


def test_callers_wait_for_a_stream_and_all_get_their_own_answer(toy_variant, four_cores):
    session, wrong = open_session(toy_variant, streams=2, threads=1), []

    def call(number):
        for _ in range(50):
            if session.run({"x": X + number})["y"].tobytes() != answer(X + number):
                wrong.append(number)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong and len(session._streams._all) <= 2, "as many as ran at once"


def test_a_stream_is_made_when_it_is_needed():
    made = []
    streams = Streams(lambda number: made.append(number) or number, 3)
    first = streams.take()
    streams.give(first)
    again = streams.take()
    assert again.stream == first.stream and made == [0], "the one that was in use is the next"
    others = [streams.take(), streams.take()]
    assert {lease.stream for lease in others} == {1, 2}


def test_a_stream_that_its_user_lost_comes_back():
    """As where the exception of a signal's handler comes between taking it and giving it back."""
    streams = Streams(lambda number: number, 1)
    for _ in range(3):
        lease = streams.take()
        del lease
    lease = streams.take()
    assert lease.stream == 0 and len(streams._all) == 1 and not streams._idle
    streams.give(lease)
    del lease
    assert len(streams._idle) == 1, "what was given back does not come twice"
    streams.close()
    assert not streams._idle


def test_closing_does_not_wait_for_a_stream_that_its_user_lost():
    streams = Streams(lambda number: number, 1)
    lease = streams.take()
    closing = threading.Thread(target=streams.close)
    closing.start()
    time.sleep(0.05)
    assert closing.is_alive(), "somebody may still give it back"
    del lease
    closing.join(30)
    assert not closing.is_alive() and not streams._idle and not streams._all


def test_closing_waits_for_runs_and_ends_those_that_wait():
    streams, seen = Streams(lambda number: number, 1), []
    taken = streams.take()

    def wait():
        try:
            streams.take()
        except OctetError as error:
            seen.append(str(error))

    waiting, closing = threading.Thread(target=wait), threading.Thread(target=streams.close)
    waiting.start()
    closing.start()
    time.sleep(0.05)
    assert closing.is_alive(), "a run is at work"
    streams.give(taken)
    waiting.join(30)
    closing.join(30)
    assert not closing.is_alive() and seen in ([], ["run: the session is closed; load the package again"])
    with pytest.raises(OctetError, match="closed"):
        streams.take()


def test_a_stream_that_cannot_be_made_is_no_stream():
    def make(number):
        raise OctetError("no memory")

    streams = Streams(make, 1)
    for _ in range(2):
        with pytest.raises(OctetError, match="no memory"):
            streams.take()


def test_runs_are_awaited(toy_variant, four_cores):
    async def many(session):
        return await asyncio.gather(*(session.run_async({"x": X + number}) for number in range(20)))

    before = len(os.listdir("/proc/self/task"))
    with open_session(toy_variant, streams=2, threads=1) as session:
        answers = asyncio.run(many(session))
        assert [y["y"].tobytes() for y in answers] == [answer(X + number) for number in range(20)]
        with pytest.raises(OctetError, match="takes float32"):
            asyncio.run(session.run_async({"x": X.astype(np.float64)}))
    del session
    gc.collect()
    until = time.monotonic() + 60
    while len(os.listdir("/proc/self/task")) > before and time.monotonic() < until:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/task")) <= before


@pytest.mark.parametrize("given", [{"streams": 0}, {"streams": 2, "reuse_outputs": True}])
def test_streams_that_cannot_be(toy_variant, given):
    with pytest.raises(OctetError, match=f"streams is {given['streams']}"):
        open_session(toy_variant, **given)


def test_load_is_measured(toy_variant, four_cores):
    session = open_session(toy_variant, streams=2, threads=1)
    found = under_load(session, {"x": X}, (1, 2), 0.06)
    assert [load_.streams for load_ in found] == [1, 2, 1, 2] and [load_.name.split(" of ")[0] for load_ in found] == [
        "octet"
    ] * 2 + ["octet, run_many"] * 2
    for load_ in found:
        assert load_.runs > 0 and load_.per_second > 0 and 0 < load_.p50 <= load_.p99
    with pytest.raises(OctetError, match="takes float32"):
        under_load(session, {"x": X.astype(np.float64)}, (2,), 0.01)


@pytest.mark.parametrize("count", [1, 4, 11, 40])
@pytest.mark.parametrize("version", ["today", "earlier"])
def test_streams_share_many_samples_out(toy_variant, four_cores, monkeypatch, count, version):
    """Also of a library of an earlier version, which cannot share in C. Four samples are a run; the last one is filled
    up."""
    if version == "earlier":
        monkeypatch.setattr(Library, "shares", False)
    x = np.random.default_rng(count).standard_normal((count, 16)).astype(np.float32)
    with open_session(toy_variant, streams=3, threads=1) as session:
        for streams in (None, 1, 2, 9):
            assert session.run_many({"x": x}, streams)["y"].tobytes() == answer(x)
        assert session.run_many({"x": np.asfortranarray(x)})["y"].tobytes() == answer(x)


def test_many_samples_that_a_network_does_not_take(toy_variant):
    with open_session(toy_variant, streams=2, threads=1) as session:
        for given, said in (
            ({"X": X}, "inputs are x, but X"),
            ({"x": X.astype(np.float64)}, "takes float32"),
            ({"x": X[:, :15]}, r"takes \[samples, 16\]"),
            ({"x": X[:0]}, "x has 0 samples"),
        ):
            with pytest.raises(DataError, match=said):
                session.run_many(given)
        with pytest.raises(OctetError, match="streams is 0"):
            session.run_many({"x": X}, streams=0)


def test_one_run_that_fails_ends_them_all(toy_variant, four_cores, monkeypatch):
    def fail(self, stream, *rest):
        raise OctetError("no memory")

    monkeypatch.setattr(Library, "share", fail)
    with open_session(toy_variant, streams=3, threads=1) as session:
        with pytest.raises(OctetError, match="no memory"):
            session.run_many({"x": np.tile(X, (50, 1))})
        assert len(session._streams._idle) == len(session._streams._all), "every stream came back"
