"""A stream of requests of varying extents: a package of several shapes, beside peers that read the same file with its
dynamic shapes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...targets.batches import feed_of
from ...targets.errors import OctetError
from ...targets.runtime import Session
from ...targets.shaped.dimensions import dimensions
from ...targets.shaped.session import ShapedSession, for_samples
from ..timing import Lost, both_times


@dataclass(frozen=True)
class RequestTimes:
    """Milliseconds of a request: the mean over a pass (of the passes the median), the mean over the first pass, when
    every extent was new, median and 99th percentile over all requests of the other passes; cpu: of the mean, the CPU
    time of all threads, which other work on the machine changes less."""

    name: str
    mean: float
    first: float
    p50: float
    p99: float
    cpu: float
    ratio: float  # The CPU time is divided by that of the package.

    def as_dict(self):
        """JSON values, milliseconds under names that end in `_ms`."""
        return {
            "name": self.name,
            "mean_ms": round(self.mean, 4),
            "first_ms": round(self.first, 4),
            "p50_ms": round(self.p50, 4),
            "p99_ms": round(self.p99, 4),
            "cpu_ms": round(self.cpu, 4),
            "ratio": round(self.ratio, 4),
        }


def requests_of(session: Session | ShapedSession, arrays: dict, count: int) -> list[dict]:
    """So many requests {input: array}: samples cut to extents that are drawn evenly, from 1 to the most that session
    and data have where the session pads, and else from its shapes. arrays: {input: samples on the first axis}. Raises
    OctetError for a session of one shape."""
    if not isinstance(session, ShapedSession):
        raise OctetError("--varying: the package has one shape; compile it with several, as --dim NAME=32,64,128")
    of_data, random = (
        for_samples(session, {name: array.shape for name, array in arrays.items()}),
        np.random.default_rng(3),
    )
    found = dimensions([each.inputs for each in session.shapes], [each.outputs for each in session.shapes])
    samples, made = len(next(iter(arrays.values()))), []
    for number in range(count):
        feed = feed_of(of_data.inputs, arrays, (np.arange(of_data.batch) + number * of_data.batch) % samples)
        shape = random.integers(len(session.shapes))
        for dimension in found:
            have = min(feed[name].shape[axis] for name, axis in dimension.inputs)
            padded = dimension.cuts and all(name in session.pads for name, _ in dimension.inputs)
            extent = int(random.integers(min(max(dimension.extents), have))) + 1 if padded else dimension.extents[shape]
            if extent > have:
                raise OctetError(
                    f"--varying: the data have {have} places, a shape of the package {extent}; give data of the "
                    "largest shape"
                )
            for name, axis in dimension.inputs:
                feed[name] = np.ascontiguousarray(feed[name][(slice(None),) * axis + (slice(extent),)])
        made.append(feed)
    return made


def in_turn(run: Callable, requests: list[dict]) -> Callable:
    """A function that runs the next of the requests, the first one behind the last."""
    at = -1

    def once():
        nonlocal at
        at = (at + 1) % len(requests)
        return run(requests[at])

    return once


def measured(candidates: dict, count: int, rounds: int, lost: dict, progress: Callable) -> list[RequestTimes]:
    """Times the same requests with every candidate, in turns.

    candidates: {name: function that runs the next request}, the package first. In every round each takes all `count`
    requests. lost: where the names of candidates that end go, with the reason."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name, function in candidates.items():
            if name not in lost:
                try:
                    found[name].append(both_times(function, count))
                except Lost as error:
                    lost[name] = str(error)
            progress()
    # The axes of these arrays are passes, wall or CPU, and requests.
    kept = {name: np.stack(passes) * 1e3 for name, passes in found.items() if name not in lost}
    means = {name: np.median(passes[1:].mean(2), 0).tolist() for name, passes in kept.items()}
    ours = next(iter(means.values()))[1]
    return [_stream(name, passes, means[name], ours) for name, passes in kept.items()]


def _stream(name, passes, means, ours):
    (mean, cpu), (p50, p99) = means, np.percentile(passes[1:, 0], (50, 99)).tolist()
    return RequestTimes(name, mean, float(passes[0, 0].mean()), p50, p99, cpu, cpu / ours)
