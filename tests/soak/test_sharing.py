"""Many processes and threads on one cache of calibrations and one database of tuning records: nothing is lost, torn or
locked for ever."""

import os
import signal
import threading
import traceback
from contextlib import closing

import numpy as np

import octet
from octet.passes.calibrate import store
from octet.targets.registry import find
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record, Trial

from ..bad_input.conftest import images
from .conftest import amount, bytes_of, feed_of

SPEC = find("avx512vnni")
SECONDS = 900  # A child may take so long.


def work(folder, place, who, rounds):
    """Calibrates on one of three sets of samples, which others do at the same time, and records what it made up."""
    model, data = octet.load_onnx(folder / "tiny.onnx"), images(24)
    with closing(Database(str(place / "records.db"))) as database:
        for number in range(rounds):
            first = 8 * ((who + number) % 3)
            octet.quantize(model, {"image": data[first : first + 8]}, cache=place / "cache", threads=1)
            own, common = key_of(f"{who} {number}", SPEC), key_of("common", SPEC)
            database.put(Record(own, {}, SPEC.name, {}, {}, 1e-5, 1e-5, 0.5, 0.0, ""))
            database.put(
                Record(
                    common,
                    {"by": who},
                    SPEC.name,
                    {"by": who},
                    {},
                    1e-5,
                    1e-5,
                    1 / (2 + who + rounds * number),
                    0.0,
                    "",
                )
            )
            database.add_trials(common, [Trial({"by": who, "number": number}, 0.5)])
            assert database.find(own) is not None and database.find(common).ratio <= 1 / (2 + who + rounds * number)


def child(*arguments) -> int:
    """A process that works; its id."""
    number = os.fork()
    if number == 0:
        signal.alarm(SECONDS)
        try:
            work(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return number


def test_processes_and_threads_on_one_cache_and_one_database(small, tmp_path):
    processes, workers, rounds = amount(4, 24), amount(2, 8), amount(2, 20)
    (tmp_path / "cache").mkdir()
    children = [child(small, tmp_path, who, rounds) for who in range(processes)]
    failures = []

    def attempt(who):
        try:
            work(small, tmp_path, who, rounds)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=attempt, args=(processes + who,)) for who in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.waitpid(number, 0)[1] for number in children] == [0] * processes and not failures
    with closing(Database(str(tmp_path / "records.db"))) as database:
        records = database.records()
        assert (
            len(records) == (processes + workers) * rounds + 1
            and database.count_trials() == (processes + workers) * rounds
        )
        assert min(record.ratio for record in records) == 1 / (
            2 + processes + workers - 1 + rounds * (rounds - 1)
        ) and {record.target_name for record in records} == {SPEC.name}
    entries = sorted((tmp_path / "cache").iterdir())
    assert len(entries) == 3 and all(store.load(entry)[0].samples == 8 for entry in entries), entries


def test_threads_on_one_session(small):
    """Each asks its own question, and gets its own answer."""
    with octet.load(small / "tiny.octet", threads=2) as session:
        feeds = [feed_of(session, seed) for seed in range(8)]
        wanted, failures = [bytes_of(session.run(feed)) for feed in feeds], []
        assert len(set(wanted)) > 1

        def ask(number):
            for _ in range(amount(50, 50_000)):
                if bytes_of(session.run(feeds[number])) != wanted[number]:
                    failures.append(number)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures


def test_threads_with_sessions_of_their_own(small):
    wanted = {}

    def alone(number):
        with octet.load(small / "tiny.octet", threads=1 + number % 2) as session:
            feed = feed_of(session)
            for _ in range(amount(20, 20_000)):
                wanted.setdefault(bytes_of(session.run(feed)), number)

    threads = [threading.Thread(target=alone, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wanted) == 1 and np.frombuffer(next(iter(wanted)), np.float32).size
