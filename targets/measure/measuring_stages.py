"""Measures the candidates of a carried job on this machine: all, then the promising ones longer, then the best once
more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import detect
from ..errors import OctetError, TargetError
from ..kinds.backends import BACKENDS
from ..seams import JsonObject
from . import log
from .batch import Batch, part_of_task, run_batch
from .carrier import Carrier
from .job import MeasuringTask
from .log import FINAL, FIRST, WINNER, Measurement

if TYPE_CHECKING:
    from .batch import Figures


BATCH = 8  # Candidates are measured against the default in batches of this size.
FINALISTS = 2


@dataclass(frozen=True)
class Progress:
    """How far a job is, for whoever watches it. task: name. number, of: tasks. measured, failed: candidates of the task
    so far; best: the least ratio that a decision confirmed, None without one."""

    task: str
    number: int
    of: int
    measured: int
    failed: int
    best: float | None


def measure_job(
    carrier: Carrier,
    progress: Callable[[Progress], None] = lambda state: None,
    measure: "Callable[..., Figures]" = run_batch,
) -> JsonObject:
    """Appends to the carrier's measurements; what this device has measured before is not measured again. measure: takes
    a Batch to its Figures.
    Returns {"measured", "failed", "faster", "tasks", "device"}. Raises OctetError where this machine lacks what the job
    needs, or nothing could be measured."""
    job = carrier.job
    _check(carrier)
    backend = BACKENDS[job.kind]
    name = backend.device_name()
    totals, reasons = dict.fromkeys(("measured", "failed", "faster"), 0), []
    for number, task in enumerate(job.tasks, 1):
        held = [
            entry
            for entry in log.read(carrier.measurements, carrier.digest)
            if entry.task == task.key and backend.measured_here(entry.device)
        ]
        work = _Work(carrier, task, name, measure, held)
        try:
            best = work.run()
        except OctetError as error:  # The default does not run here, but other tasks' defaults may.
            reasons.append(str(error))
            best = None
        first = [entry for entry in work.held if entry.stage == FIRST and entry.candidate > 0]
        state = Progress(task.name, number, len(job.tasks), len(first), sum(bool(entry.error) for entry in first), best)
        totals["measured"] += state.measured
        totals["failed"] += state.failed
        totals["faster"] += best is not None
        progress(state)
    if reasons and len(reasons) == len(job.tasks):
        raise OctetError(f"{carrier.path}: nothing could be measured: {reasons[-1]}")
    return totals | {"tasks": len(job.tasks), "device": name}


def _check(carrier: Carrier) -> None:
    job = carrier.job
    if detect.missing(job.features):
        has = BACKENDS[job.kind].stands_in(job.features)
        raise TargetError(
            f"{carrier.path}: the candidates are for {job.target}, which this machine does not run ({has}); measure "
            "them on one that does"
        )


@dataclass
class _Work:
    """One task. held: its measurements by this device, old and new."""

    carrier: Carrier
    task: MeasuringTask
    name: str
    measure: "Callable[..., Figures]"
    held: list[log.Measurement]

    def run(self) -> float | None:
        plan, numbers = self.carrier.job.plan, range(1, len(self.task.candidates))
        waiting = [i for i in numbers if i not in self._ratios(FIRST)]
        for start in range(0, len(waiting), BATCH):
            self._stage(FIRST, waiting[start : start + BATCH], plan.first)
        first = {i: ratio for i, ratio in self._ratios(FIRST).items() if ratio < plan.promising}
        finalists = sorted(first, key=first.__getitem__)[:FINALISTS]
        self._stage(FINAL, [i for i in finalists if i not in self._ratios(FINAL)], plan.final)
        final = {i: ratio for i, ratio in self._ratios(FINAL).items() if ratio < 1.0}
        if not final:
            return None
        winner = min(final, key=final.__getitem__)
        # The best of many noisy figures is flattered by its noise: what counts is a measurement of its own.
        self._stage(WINNER, [winner] if winner not in self._ratios(WINNER) else [], plan.final)
        ratio = self._ratios(WINNER)[winner]
        return ratio if ratio < 1.0 else None

    def _ratios(self, stage: str) -> dict[int, float]:
        """{candidate: median ratio, infinite for a failure}."""
        return {
            e.candidate: float("inf") if e.error or e.ratios is None else float(np.median(e.ratios))
            for e in self.held
            if e.stage == stage
        }

    def _stage(self, stage: str, numbers: Sequence[int], rounds: int) -> None:
        if not numbers:
            return
        chosen = part_of_task(self.task, numbers)
        names = {name for candidate in chosen.candidates for name in (candidate.code, *candidate.constants)}
        blobs = {name: self.carrier.blob(name) for name in sorted(names)}
        found = self.measure(Batch(self.carrier.job.kind, chosen, blobs, rounds, self.carrier.job.plan.threads))
        made = [self._measurement(stage, i, position, found) for position, i in enumerate([0, *numbers])]
        log.append(self.carrier.measurements, made)
        self.held += made

    def _measurement(self, stage: str, candidate: int, position: int, figures: "Figures") -> Measurement:
        about = {**figures.device, "name": self.name}
        if position not in figures.seconds:
            return Measurement(
                self.carrier.digest,
                self.task.key,
                candidate,
                stage,
                about,
                error=figures.errors.get(position, "was not measured"),
            )
        seconds = figures.seconds[position].tolist()
        return Measurement(
            self.carrier.digest, self.task.key, candidate, stage, about, seconds, figures.seconds[0].tolist()
        )
