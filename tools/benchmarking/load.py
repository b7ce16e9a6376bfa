"""What a session, and peers, do under load: so many callers, each of which asks again as soon as it has its answer."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ...targets.runtime import Session
from ..timing import Lost, together

_SLICES = 3


@dataclass(frozen=True)
class Load:
    """per_second: samples of all callers. p50, p99: milliseconds of one run, as its caller sees it."""

    name: str
    streams: int
    threads: int
    per_second: float
    p50: float
    p99: float
    runs: int

    def as_dict(self):
        return {"name": self.name, "streams": self.streams, "threads": self.threads, "per_second": round(self.per_second, 2), "p50_ms": round(self.p50, 4), "p99_ms": round(self.p99, 4), "runs": self.runs}


def under_load(session: Session, feed: dict, callers: tuple[int, ...], seconds: float, name: str = "octet", peers: dict | None = None, lost: dict | None = None) -> list[Load]:
    """For each number of callers of the session, and for the last number of each of the peers (peers/process.py), `seconds` in slices that take turns: a neighbour on
    the machine is in everyone's way. lost: where the names of peers that end go, with the reason; they have no Load. Raises what a run of the session raises."""
    lost = {} if lost is None else lost
    measured = {(name, count): partial(together, lambda: session.run(feed), count) for count in callers}
    measured |= {(peer, callers[-1]): partial(process.together, callers[-1]) for peer, process in (peers or {}).items()}
    found = {key: [] for key in measured}
    for _ in range(_SLICES):
        for key, measure in measured.items():
            if key[0] not in lost:
                try:
                    found[key].append(measure(seconds / _SLICES))
                except Lost as error:
                    lost[key[0]] = str(error)
    return [_summary(*key, session, slices) for key, slices in found.items() if key[0] not in lost]


def _summary(name, callers, session, slices):
    runs, whole = np.concatenate(slices), sum(part[:, 1].max() - part[:, 0].min() for part in slices)
    taken = (runs[:, 1] - runs[:, 0]) * 1e3
    return Load(name, callers, session.threads, len(runs) * session.batch / whole, *np.percentile(taken, (50, 99)).tolist(), len(runs))
