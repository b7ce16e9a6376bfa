"""A few candidates of one task, measured together in a child process: a kernel that crashes or hangs costs its own
measurement and nothing else."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from ..errors import OctetError
from ..kinds.backends import BACKENDS
from ..schema import checked, parsed
from ..seams import JsonObject
from .job import Job, MeasuringPlan, MeasuringTask, from_json, to_json

MOST_FAILURES = 3  # A default kernel that fails this often ends its batch.
_LONGEST_LINE = 64 << 20  # The bound is on the bytes of one line that a child writes.
_Times = Annotated[
    list[Annotated[list[Annotated[float, Meta(ge=0, le=1e6)]], Meta(max_length=256)]], Meta(max_length=10_000)
]


@dataclass(frozen=True)
class Batch:
    """Candidates of one task that a child process measures together. task: the candidates to measure, the default
    first. blobs: by digest. rounds: interleaved. threads: numbers of cores (CPU)."""

    kind: str
    task: MeasuringTask
    blobs: dict[str, bytes]
    rounds: int
    threads: tuple[int, ...] = (1,)

    def pack(self) -> bytes:
        """One line of JSON, then the blobs in its order."""
        job = Job(self.kind, "", (), {}, MeasuringPlan(self.rounds, 0, 0.0, self.threads), (self.task,))
        head = json.dumps({"job": to_json(job), "blobs": [[name, len(data)] for name, data in self.blobs.items()]})
        return b"".join([head.encode(), b"\n", *self.blobs.values()])

    @classmethod
    def unpack(cls, data: bytes) -> "Batch":
        """What `pack` made bytes of. Raises ValueError."""
        head, _, rest = data.partition(b"\n")
        entry = parsed(head)
        job, blobs, at = from_json(entry["job"]), {}, 0
        for name, size in entry["blobs"]:
            blobs[name] = rest[at : at + size]
            at += size
        return cls(job.kind, job.tasks[0], blobs, job.plan.first, job.plan.threads)


class _Said(Struct):
    """One line of a child, in which code of others runs: what it is at, why it gives up, or the figures."""

    at: Annotated[int, Meta(ge=0, le=1 << 20)] | None = None
    error: str | None = None
    seconds: dict[str, _Times] | None = None
    errors: dict[str, str] = {}
    device: dict[str, str | int | float | None] = {}


@dataclass(frozen=True)
class Figures:
    """What a batch measured. seconds: of one call, by candidate [rounds, numbers of cores] (fewer rounds for a hopeless
    one). errors: by candidate. device: what measured."""

    seconds: dict[int, np.ndarray]
    errors: dict[int, str]
    device: JsonObject = field(default_factory=dict)

    def as_json(self) -> str:
        """One line, which `of` reads back."""
        return json.dumps(
            {
                "seconds": {i: rows.tolist() for i, rows in self.seconds.items()},
                "errors": self.errors,
                "device": self.device,
            }
        )

    @classmethod
    def read(cls, text: str | bytes) -> "Figures":
        """The figures of a line that `as_json` wrote. Raises ValueError for anything else."""
        return cls.of(checked(parsed(text), _Said))

    @classmethod
    def of(cls, said: "_Said") -> "Figures":
        """The figures from JSON values. Raises ValueError where rows differ in length, as they are no figures then."""
        if said.seconds is None or any(len({len(row) for row in rows}) > 1 for rows in said.seconds.values()):
            raise ValueError("they are no figures")
        seconds = {int(i): np.array(rows) for i, rows in said.seconds.items()}
        return cls(seconds, {int(i): error for i, error in said.errors.items()}, said.device)


def part_of_task(task: MeasuringTask, numbers: Iterable[int]) -> MeasuringTask:
    """The task with the default and the candidates of these numbers."""
    return replace(task, candidates=(task.candidates[0], *(task.candidates[i] for i in numbers)))


def run_batch(batch: Batch, quiet: float | None = None) -> Figures:
    """Measures on this machine. quiet: other than the backend's `quiet_seconds`. Raises OctetError when the default
    cannot be measured."""
    packed, failures = batch.pack(), 0
    errors: dict[int, str] = {}
    quiet = BACKENDS[batch.kind].quiet_seconds if quiet is None else quiet
    while True:
        said, at, reason = _child(packed, sorted(errors), quiet)
        if said is not None:
            return Figures(said.seconds, said.errors | errors, said.device)
        if at > 0:
            errors[at] = reason
            continue
        failures += 1
        if failures >= MOST_FAILURES:
            raise OctetError(f"{batch.task.name}: the default kernel could not be measured: {reason}")


def _child(packed: bytes, skip: Iterable[int], quiet: float) -> tuple[Figures | None, int, str]:
    """(Figures or None, the candidate at work when the child ended, why it did)."""
    with tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-m", "octet.targets.measure.child", str(os.getpid()), *map(str, skip)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        found, at, reason = None, 0, ""
        try:
            try:
                assert process.stdin is not None
                process.stdin.write(packed)
                process.stdin.close()
            except BrokenPipeError:
                pass
            while line := _line(process, quiet):
                try:
                    entry = checked(parsed(line), _Said)
                    found = Figures.of(entry) if entry.seconds is not None else found
                except ValueError:
                    reason = "wrote to the channel of its figures"
                    _end(process)
                    break
                at, reason = at if entry.at is None else entry.at, entry.error or reason
            status = process.wait()
        finally:
            _end(process)
            process.wait()
        if found is None and not reason:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip().splitlines()
            reason = (
                f"did not answer within {quiet:.0f} s"
                if status == -9
                else f"crashed ({status})"
                if status < 0
                else (words or [f"ended with {status}"])[-1][:200]
            )
        return found, at, reason


def _end(process: subprocess.Popen[bytes]) -> None:
    """The child and whatever it may have started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _line(process: subprocess.Popen[bytes], quiet: float) -> bytes:
    """The child's next line; empty when it has ended. A child that says nothing is ended."""
    watch = threading.Timer(quiet, _end, [process])
    watch.start()
    assert process.stdout is not None
    try:
        return process.stdout.readline(_LONGEST_LINE)
    finally:
        watch.cancel()
