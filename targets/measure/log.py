"""Measurements as lines of JSON that are only ever appended: a killed run loses what it was at, and the next one goes on."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ..errors import DataError, OctetError
from .rounds import ratios

FIRST, FINAL, WINNER = "first", "final", "winner"  # a first look at all; the promising ones, longer; the best of them once more
STAGES = (FIRST, FINAL, WINNER)


@dataclass(frozen=True)
class Measurement:
    """job: its digest. task: its key. candidate: number in the task, 0 for the default. seconds, default: of the candidate and of the default beside it
    [rounds][numbers of cores]; None where it failed, and `error` says why. device: its name, and what else is known of it."""

    job: str
    task: str
    candidate: int
    stage: str
    device: dict
    seconds: list | None = None
    default: list | None = None
    error: str = ""
    time: str = ""

    @property
    def ratios(self) -> np.ndarray | None:
        """Times over the default's."""
        return ratios(np.array(self.seconds), np.array(self.default)) if self.seconds is not None else None


def append(path: Path, measurements: Iterable[Measurement]) -> None:
    """Adds lines and waits until they are on the disk. Raises OctetError where that fails."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = "".join(json.dumps(asdict(entry) | {"time": entry.time or now}) + "\n" for entry in measurements)
    try:
        with open(path, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                text = "\n" + text  # a run was killed within a line
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OctetError(f"{path}: cannot be written ({error.strerror}); measurements are kept beside the candidates: make that place writable") from error


def read(path: Path, job: str) -> list[Measurement]:
    """All measurements of a job, in order; fragments of lines are passed over. Raises DataError for measurements of other candidates."""
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    found = []
    for line in lines:
        try:
            found.append(_measurement(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            continue
    if any(entry.job != job for entry in found):
        raise DataError(f"{path}: holds measurements of other candidates than the manifest beside it; put each export into a folder of its own")
    return found


def _measurement(entry):
    made = Measurement(**entry)
    rows = [np.array(part, float) for part in (made.seconds, made.default) if part is not None]
    positive = all(part.ndim == 2 and part.size and np.isfinite(part).all() and (part > 0).all() for part in rows)
    if made.stage not in STAGES or len(rows) == 1 or not positive or not isinstance(made.candidate, int):
        raise ValueError("not a measurement")
    return made
