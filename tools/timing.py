"""Latency, measured fairly: all candidates in interleaved rounds of one run, so that a noisy neighbour or a clock
change hits everyone."""

import threading
import time
from dataclasses import dataclass

import numpy as np

WARM_UP, ROUNDS, ROUND_SECONDS, MOST_RUNS = 3, 8, 0.25, 200


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one run: median, 10th and 90th percentile over all runs, and the median over the rounds of a
    round's fastest run; cpu: the same as the last of the CPU time of all threads, which other work on the machine
    changes less."""

    median: float
    p10: float
    p90: float
    best: float
    cpu: float
    runs: int

    def as_dict(self):
        """JSON values, milliseconds under names that end in `_ms`."""
        return {
            "latency_ms": round(self.median, 4),
            "p10_ms": round(self.p10, 4),
            "p90_ms": round(self.p90, 4),
            "best_ms": round(self.best, 4),
            "cpu_ms": round(self.cpu, 4),
            "runs": self.runs,
        }


class Lost(Exception):
    """A candidate that ended; the message is one line."""


def interleaved(
    candidates: dict,
    rounds: int = ROUNDS,
    round_seconds: float = ROUND_SECONDS,
    progress=None,
    lost: dict | None = None,
) -> dict[str, Latency]:
    """Times every candidate (name -> function without arguments) in every round for about `round_seconds`. A candidate
    of another process measures itself: it has both_times(count). progress: called once per candidate and round. lost:
    where the names of candidates that end (`Lost`) go, with the reason; they have no Latency."""
    samples: dict[str, list[np.ndarray]] = {name: [] for name in candidates}
    lost, counts = {} if lost is None else lost, {}
    # The first turn only finds out how often a candidate runs in a round.
    for turn in range(rounds + 1):
        for name, function in candidates.items():
            if name in lost:
                continue
            try:
                if turn == 0:
                    counts[name] = _runs_in(function, round_seconds)
                    continue
                if counts[name] > 1:
                    # The caches hold the previous candidate's data, which a run as long as a round does not notice.
                    both_times(function, 2)
                samples[name].append(both_times(function, counts[name]))
            except Lost as error:
                lost[name] = str(error)
            if progress is not None:
                progress()
    return {name: _summary(parts) for name, parts in samples.items() if name not in lost}


def _runs_in(function, seconds):
    both_times(function, 1)
    if float(both_times(function, 1)[0, 0]) >= seconds:
        return 1
    both_times(function, WARM_UP)
    once = float(both_times(function, 3)[0].min())
    return int(min(MOST_RUNS, max(3, seconds / max(once, 1e-9))))


def both_times(function, count: int) -> np.ndarray:
    """float64 [2, count]: seconds of each of `count` runs, and seconds of CPU time of all threads; of a candidate of
    another process, as that measures them."""
    if hasattr(function, "both_times"):
        return function.both_times(count)
    times = np.empty((2, count))
    for i in range(count):
        start, used = time.perf_counter(), time.process_time()
        function()
        times[:, i] = time.perf_counter() - start, time.process_time() - used
    return times


def time_callers(function, callers: int, seconds: float) -> np.ndarray:
    """float64 [runs, 2], start and end of every run: so many threads call the function for so long, each again as soon
    as it has its answer. Raises what a call raises."""
    runs_of_callers: list[list[tuple[float, float]]] = [[] for _ in range(callers)]
    failures, gate = [], threading.Barrier(callers)

    def call(runs):
        try:
            function()  # The first call makes what a caller needs, and warms it.
            gate.wait()
            until = time.perf_counter() + seconds
            while (start := time.perf_counter()) < until:
                function()
                runs.append((start, time.perf_counter()))
        except BaseException as error:  # Whoever measures is told of any failure.
            failures.append(error)
            gate.abort()

    threads = [threading.Thread(target=call, args=(runs,)) for runs in runs_of_callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise next((error for error in failures if not isinstance(error, threading.BrokenBarrierError)), failures[0])
    return np.array([run for runs in runs_of_callers for run in runs])


def _summary(parts):
    every = np.concatenate(parts, 1)[0] * 1e3
    best, cpu = np.median([part.min(1) for part in parts], 0) * 1e3
    return Latency(
        float(np.median(every)),
        float(np.percentile(every, 10)),
        float(np.percentile(every, 90)),
        float(best),
        float(cpu),
        len(every),
    )
