"""Networks: the CPU's bytes, and how long one pass takes on the device and with transfers."""

import hashlib
import json
import time

import numpy as np
from packages import feed_of, session_of


def run(work) -> None:
    entries = json.loads((work.folder / "networks.json").read_text())
    work.each({entry["title"]: entry for entry in entries}, lambda entry: _network(work, entry))


def _network(work, entry):
    started = time.perf_counter()
    session = session_of(work, entry)
    loading, feed = time.perf_counter() - started, feed_of(session)
    found = session.run(feed)[entry["output"]]
    right = hashlib.sha256(found.tobytes()).hexdigest() == entry["sha256"]
    passes = work.options.get("passes", 50)
    resident = [session.device_seconds(feed, passes) for _ in range(5)]
    whole = []
    for _ in range(passes):
        started = time.perf_counter()
        session.run(feed)
        whole.append(time.perf_counter() - started)
    launches = len(session.steps)
    session.close()
    figures = {
        "ms": round(min(resident) * 1e3, 4),
        "ms_median": round(float(np.median(resident)) * 1e3, 4),
        "ms_with_transfers": round(float(np.median(whole)) * 1e3, 4),
    }
    return {
        **figures,
        "launches": launches,
        "loading_s": round(loading, 2),
        **({"right": True} if right else {"error": "the output is not the CPU's bytes"}),
    }
