"""What a session, and peers, do under load: so many callers, each of which asks again as soon as it has its answer."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...targets.batches import takes_whole
from ...targets.shaped.session import AnySession
from ..timing import Lost, time_callers

_SLICES = 3
# A stream runs so many seconds, and at most so often, in one call of `run_many`: long enough that starting threads does
# not count.
_MANY_SECONDS, _MOST_RUNS = 0.05, 1024


@dataclass(frozen=True)
class Load:
    """How many samples callers got answered at once, and how long each call took.

    per_second: samples of all callers. p50, p99: milliseconds of one call, as its caller sees it: of one run, or of
    `Session.run_many` with so many samples."""

    name: str
    streams: int
    threads: int
    per_second: float
    p50: float
    p99: float
    runs: int

    def as_dict(self):
        """JSON values, milliseconds under `p50_ms` and `p99_ms`."""
        return {
            "name": self.name,
            "streams": self.streams,
            "threads": self.threads,
            "per_second": round(self.per_second, 2),
            "p50_ms": round(self.p50, 4),
            "p99_ms": round(self.p99, 4),
            "runs": self.runs,
        }


def under_load(
    session: AnySession,
    feed: dict,
    callers: tuple[int, ...],
    seconds: float,
    name: str = "octet",
    peers: dict | None = None,
    lost: dict | None = None,
) -> list[Load]:
    """For each number of callers of the session, for one caller of its `run_many` on so many streams, and for the last
    number of callers of each of the peers (peers/process.py), `seconds` in slices that take turns: a neighbour on the
    machine is in everyone's way. lost: where the names of peers that end go, with the reason; they have no Load. Raises
    what a run of the session raises."""
    lost = {} if lost is None else lost
    samples = _samples(session, feed, callers[-1])
    many = len(next(iter(samples.values())))
    at_once = f"{name}, run_many of {many}"
    measured = {(name, count): partial(time_callers, lambda: session.run(feed), count) for count in callers}
    measured |= {
        (at_once, streams): partial(time_callers, partial(session.run_many, samples, streams), 1) for streams in callers
    }
    measured |= {(peer, callers[-1]): partial(process.together, callers[-1]) for peer, process in (peers or {}).items()}
    found: dict[tuple[str, int], list] = {key: [] for key in measured}
    for _ in range(_SLICES):
        for key, measure in measured.items():
            if key[0] not in lost:
                try:
                    found[key].append(measure(seconds / _SLICES))
                except Lost as error:
                    lost[key[0]] = str(error)
    return [
        _summary(*key, session, slices, many if key[0] == at_once else session.batch)
        for key, slices in found.items()
        if key[0] not in lost
    ]


def _samples(session, feed, streams):
    """{input: array} for `run_many`: the run's samples over and over, for some milliseconds on every stream."""
    session.run(feed)
    start = time.perf_counter()
    session.run(feed)
    turns = streams * int(min(_MOST_RUNS, max(1, _MANY_SECONDS / (time.perf_counter() - start))))
    return {
        spec.name: np.concatenate([_first_axis(spec, np.asarray(feed[spec.name]), session.batch)] * turns)
        for spec in session.inputs
    }


def _first_axis(spec, array, batch):
    """A run's samples on the first axis."""
    return np.repeat(array[None], batch, axis=0) if takes_whole(spec, batch) else np.moveaxis(array, spec.batch_axis, 0)


def _summary(name, callers, session, slices, samples):
    calls, whole = np.concatenate(slices), sum(part[:, 1].max() - part[:, 0].min() for part in slices)
    taken = (calls[:, 1] - calls[:, 0]) * 1e3
    median, slow = np.percentile(taken, (50, 99)).tolist()
    return Load(
        name,
        callers,
        session.threads,
        len(calls) * samples / whole,
        median,
        slow,
        len(calls) * samples // session.batch,
    )
