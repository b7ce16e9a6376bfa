"""Measurements as lines of JSON that are only ever appended: a killed run loses what it was at, and the next one goes
on."""

import os
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from ..errors import DataError, OctetError, OctetWarning
from ..reading.regular import read_regular
from ..schema import Name, Text, checked, json_text, parsed
from ..seams import JsonObject
from .rounds import ratios

_LARGEST = 64 << 20  # Hundreds of thousands of measurements fit into these bytes.
_MOST_WRONG = 1000  # A log with more lines that are no measurements is refused.
_Times = Annotated[
    list[Annotated[list[Annotated[float, msgspec.Meta(gt=0, le=1e6)]], msgspec.Meta(max_length=256)]],
    msgspec.Meta(max_length=10_000),
]
_Device = dict[Name, Text | int | float | None]
# Candidates get a first look, the promising ones a longer one, and the best is measured once more.
FIRST, FINAL, WINNER = (
    "first",
    "final",
    "winner",
)


@dataclass(frozen=True)
class Measurement:
    """One line of a log: what one candidate took. job: its digest. task: its key. candidate: number in the task, 0 for
    the default. seconds, default: of the candidate and of the default beside it [rounds][numbers of cores]; None where
    it failed, and `error` says why. device: its name, and what else is known of it."""

    job: str
    task: str
    candidate: int
    stage: str
    device: JsonObject
    seconds: list[list[float]] | None = None
    default: list[list[float]] | None = None
    error: str = ""
    time: str = ""

    @property
    def ratios(self) -> np.ndarray | None:
        """The candidate's times over the default's; None where it failed."""
        return ratios(np.array(self.seconds), np.array(self.default)) if self.seconds is not None else None


def append(path: Path, measurements: Iterable[Measurement]) -> None:
    """Adds lines and waits until they are on the disk. Raises OctetError where that fails."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = "".join(json_text(asdict(entry) | {"time": entry.time or now}) + "\n" for entry in measurements)
    try:
        with open(path, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                text = "\n" + text  # A run may have been killed within a line.
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OctetError(
            f"{path}: cannot be written ({error.strerror}); measurements are kept beside the candidates: make that "
            "place writable"
        ) from error


def read(path: Path, job: str) -> list[Measurement]:
    """All measurements of a job, in order; lines that are none, fragments among them, are left out with a warning.
    Raises DataError for measurements of other candidates."""
    try:
        lines = read_regular(path, _LARGEST).splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); copy the measurements again"
        ) from error
    found, wrong = [], []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_measurement(parsed(line)))
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
            if len(wrong) > _MOST_WRONG:
                raise DataError(
                    f"{path}: more than {_MOST_WRONG} lines are no measurements ({wrong[0]}); copy the measurements "
                    "again"
                ) from error
    if wrong:
        warnings.warn(
            f"{path}: {len(wrong)} of {len(lines)} lines are no measurements and are left out ({wrong[0]})",
            OctetWarning,
            stacklevel=2,
        )
    if any(entry.job != job for entry in found):
        raise DataError(
            f"{path}: holds measurements of other candidates than the manifest beside it; put each export into a "
            "folder of its own"
        )
    return found


class _Line(msgspec.Struct):
    """A line as it may be: bounded, finite, above zero."""

    job: Name
    task: Name
    candidate: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
    stage: Literal["first", "final", "winner"]
    device: _Device
    seconds: _Times | None = None
    default: _Times | None = None
    error: Text = ""
    time: Text = ""


def _measurement(entry: object) -> Measurement:
    """Raises ValueError for what is no measurement."""
    line = checked(entry, _Line)
    if not isinstance(line.device.get("name", ""), str) or not isinstance(
        line.device.get("multiprocessors"), int | None
    ):
        raise ValueError("not of a device with a name")
    rows = [np.array(part, float) for part in (line.seconds, line.default) if part is not None]
    if len(rows) == 1 or not all(part.ndim == 2 and part.size for part in rows) or not (rows or line.error):
        raise ValueError("not a measurement")
    if rows and (rows[0].shape[1] != rows[1].shape[1] or len(rows[0]) > len(rows[1])):
        raise ValueError("not of the rounds of its default")
    return Measurement(**{name: getattr(line, name) for name in line.__struct_fields__})
