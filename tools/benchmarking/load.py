"""What a session does under load: so many callers, each of which asks again as soon as it has its answer."""

import threading
import time
from dataclasses import dataclass

import numpy as np

from ...targets.runtime import Session

_SLICES = 3


@dataclass(frozen=True)
class Load:
    """per_second: samples of all callers. p50, p99: milliseconds of one run, as its caller sees it."""

    streams: int
    threads: int
    per_second: float
    p50: float
    p99: float
    runs: int

    def as_dict(self):
        return {"streams": self.streams, "threads": self.threads, "per_second": round(self.per_second, 2), "p50_ms": round(self.p50, 4), "p99_ms": round(self.p99, 4), "runs": self.runs}


def under_load(session: Session, feed: dict, callers: tuple[int, ...], seconds: float) -> list[Load]:
    """For each number of callers, `seconds` in slices that take turns: a neighbour on the machine is in everyone's way. Raises what a run raises."""
    found = {count: [] for count in callers}
    for _ in range(_SLICES):
        for count, slices in found.items():
            slices.append(_slice(session, feed, count, seconds / _SLICES))
    return [_summary(session, count, slices) for count, slices in found.items()]


def _slice(session, feed, callers, seconds):
    """(start, end) of every run."""
    found, failures, gate = [[] for _ in range(callers)], [], threading.Barrier(callers)

    def call(mine):
        try:
            session.run(feed)  # makes the stream, and its memory warm
            gate.wait()
            until = time.perf_counter() + seconds
            while (start := time.perf_counter()) < until:
                session.run(feed)
                mine.append((start, time.perf_counter()))
        except BaseException as error:  # for whoever measures
            failures.append(error)
            gate.abort()

    threads = [threading.Thread(target=call, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise next((error for error in failures if not isinstance(error, threading.BrokenBarrierError)), failures[0])
    return np.array([run for mine in found for run in mine])


def _summary(session, callers, slices):
    runs, whole = np.concatenate(slices), sum(part[:, 1].max() - part[:, 0].min() for part in slices)
    taken = (runs[:, 1] - runs[:, 0]) * 1e3
    return Load(callers, session.threads, len(runs) * session.batch / whole, *np.percentile(taken, (50, 99)).tolist(), len(runs))
