"""Several workers as one: each measures its share of the candidates against the default, at the same time as the
others."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .runner import Compared, Measured, Runner

if TYPE_CHECKING:
    from .cuda_runner import CudaRunner


class RunnerPool:
    """Several machines that measure as one.

    runners: one per worker; each candidate's ratio is to the default on the machine that measured it."""

    def __init__(self, runners: "Sequence[Runner | CudaRunner]"):
        self._runners = runners

    def compare(self, case, default, candidates, rounds: int, until: float = math.inf) -> Compared:
        """Measures every candidate on one of the workers, and the default on all of them, each as `Runner.compare`
        does. A worker that fails altogether costs its share, unless all do."""
        shares = [list(range(start, len(candidates), len(self._runners))) for start in range(len(self._runners))]
        shares = [share for share in shares if share] or [[]]
        with ThreadPoolExecutor(len(shares)) as threads:
            jobs = [
                threads.submit(runner.compare, case, default, [candidates[i] for i in share], rounds, until)
                for runner, share in zip(self._runners, shares)
            ]
        outcomes: list[Measured] = [Measured()] * len(candidates)
        done, failures = [], []
        for job, share in zip(jobs, shares):
            error = job.exception()
            if error is not None:
                failures.append(error)
                for i in share:
                    outcomes[i] = Measured(error=str(error))
                continue
            done.append(job.result().default)
            for i, outcome in zip(share, job.result().candidates):
                outcomes[i] = outcome
        if not done:
            raise failures[0]
        return Compared(done[0], tuple(outcomes))
