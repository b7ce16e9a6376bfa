"""Records and trials: as values, as rows of the database's tables, and what such a row may hold, whoever wrote it."""

import warnings
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sql
from msgspec import Meta, Struct

from ..targets.errors import OctetWarning
from ..targets.schema import Text, checked, parsed

_Short = Annotated[str, Meta(max_length=64)]
_Time = Annotated[float, Meta(ge=0, le=1e9)]
_Whole = Annotated[int, Meta(ge=-(1 << 31), le=(1 << 31) - 1)]  # A database's column of integers holds 32 bits.
_Choice = bool | int | str
COLUMNS = (
    "problem",
    "target_name",
    "schedule",
    "default_schedule",
    "seconds",
    "default_seconds",
    "ratio",
    "noise",
    "cpu",
    "created",
)
META = sql.MetaData()


def _key():
    """The columns of a key."""
    return [
        *(sql.Column(name, sql.String(64), nullable=False) for name in ("workload", "target", "tvm")),
        sql.Column("space", sql.Integer, nullable=False),
    ]


RECORDS = sql.Table(
    "octet_records",
    META,
    sql.Column("id", sql.Integer, primary_key=True),
    *_key(),
    *(
        sql.Column(name, sql.Text, nullable=False)
        for name in ("problem", "target_name", "schedule", "default_schedule", "cpu", "created")
    ),
    *(sql.Column(name, sql.Float, nullable=False) for name in ("seconds", "default_seconds", "ratio", "noise")),
    sql.UniqueConstraint("workload", "target", "tvm", "space"),
)
TRIALS = sql.Table(
    "octet_trials",
    META,
    sql.Column("id", sql.Integer, primary_key=True),
    *_key(),
    sql.Column("schedule", sql.String(512), nullable=False),
    sql.Column("ratio", sql.Float),
    sql.Column("error", sql.Text, nullable=False),
    sql.UniqueConstraint("workload", "target", "tvm", "space", "schedule"),
)


class RecordRow(Struct):
    """One line of a file of records: the best schedule of a workload, and where it was measured."""

    workload: _Short
    target: _Short
    tvm: _Short
    space: _Whole
    problem: dict[Text, object]
    target_name: Text
    schedule: dict[Text, _Choice]
    default_schedule: dict[Text, _Choice]
    seconds: _Time
    default_seconds: _Time
    ratio: _Time
    noise: _Time
    cpu: Text
    created: Text
    id: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0


class TrialRow(Struct):
    """One schedule that was measured: its time over that of the default, or why there is none."""

    schedule: dict[Text, _Choice]
    ratio: _Time | None
    error: Annotated[str, Meta(max_length=1 << 16)]


@dataclass(frozen=True)
class Key:
    """What must be equal for a record to apply."""

    workload: str
    target: str
    tvm: str
    space: int


@dataclass(frozen=True)
class Record:
    """The best schedule that is known of a workload, and how it was measured.

    problem, schedule, default_schedule: JSON values. seconds, default_seconds: of one call, on `cpu`. ratio: time
    over the default's, measured interleaved. noise: half width of its interval. id: 0 before it is stored."""

    key: Key
    problem: dict
    target_name: str
    schedule: dict
    default_schedule: dict
    seconds: float
    default_seconds: float
    ratio: float
    noise: float
    cpu: str
    created: str = ""
    id: int = 0


@dataclass(frozen=True)
class Trial:
    """A measured schedule. ratio: time over the default's; None for a failure, and `error` says why."""

    schedule: dict
    ratio: float | None
    error: str = ""


def readable(rows, parse):
    """What rows say; one that says nothing sensible is left out with a warning, whoever wrote it."""
    found = []
    for row in rows:
        try:
            found.append(parse({str(name): value for name, value in row._mapping.items()}))
        except ValueError as error:
            warnings.warn(
                f"tuning database: {'record' if parse is record_of_row else 'trial'} {row.id} is left out: {error}",
                OctetWarning,
                stacklevel=3,
            )
    return found


def trial_of(values):
    """A row of a data base as a trial. Raises ValueError."""
    row = checked(values | {"schedule": parsed(values["schedule"])}, TrialRow)
    return Trial(row.schedule, row.ratio, row.error)


def record_of_row(values):
    """A row of a data base as a record. Raises ValueError."""
    return record_of(values | {name: parsed(values[name]) for name in ("problem", "schedule", "default_schedule")})


def record_of(values: dict) -> Record:
    """A record of JSON values, those of its key among the others. Raises ValueError for what no session records."""
    row = checked(values, RecordRow)
    return Record(
        Key(row.workload, row.target, row.tvm, row.space), **{name: getattr(row, name) for name in COLUMNS}, id=row.id
    )
