"""Networks launched again and again, alone and two at a time in two threads: the same bytes every time."""

import hashlib
import json
from threading import Thread

from packages import feed_of, session_of


def run(work) -> None:
    count, every = work.options.get("replays", 2000), work.options.get("every", 100)
    entries = [entry for entry in json.loads((work.folder / "networks.json").read_text()) if entry["batch"] <= 32]
    work.each({f"alone: {e['title']}": e for e in entries}, lambda entry: _alone(work, entry, count, every))
    pair = [entry for entry in entries if entry["batch"] == 1][:2]
    if len(pair) == 2:
        work.each(
            {f"in two threads: {pair[0]['title']}, {pair[1]['title']}": pair},
            lambda both: _together(work, both, count, every),
        )


def _alone(work, entry, count, every):
    session = session_of(work, entry)
    wrong = _wrong(session, entry, count, every)
    session.close()
    return {
        "replays": count,
        **({"error": f"{wrong} of {count // every} digests differ"} if wrong else {"right": True}),
    }


def _together(work, both, count, every):
    found: dict = {}

    def one(number, session, entry):
        try:
            found[number] = _wrong(session, entry, count, every)
        except Exception as error:
            found[number] = str(error)

    sessions = [session_of(work, entry) for entry in both]
    threads = [Thread(target=one, args=(number, *pair)) for number, pair in enumerate(zip(sessions, both, strict=True))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for session in sessions:
        session.close()
    return {
        "replays": count,
        **({"right": True} if found == {0: 0, 1: 0} else {"error": f"digests that differ, by thread: {found}"}),
    }


def _wrong(session, entry, count, every):
    """How many digests are not the CPU's."""
    feed, wrong = feed_of(session), 0
    for number in range(count):
        found = session.run(feed)[entry["output"]]
        if number % every == 0:
            wrong += hashlib.sha256(found.tobytes()).hexdigest() != entry["sha256"]
    return wrong
