"""The database of tuning records: SQLite (a file, several sessions at once) or PostgreSQL (a URL, for a team).

A record is found only by its whole key: the workload's structure, the target's features (and the device, of a GPU), TVM's version and the version of its
kind's design spaces."""

import json
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from ..targets.errors import OctetError, OctetWarning
from ..targets.schema import checked, parsed
from ..targets.spec import TargetSpec
from . import rows as schema
from .spaces.space import VERSIONS

BUSY_SECONDS = 60  # that a session waits for another one's transaction
_ROOM = 128 << 10  # bytes beside the write-ahead log: a transaction and the index of the log
_COLUMNS = ("problem", "target_name", "schedule", "default_schedule", "seconds", "default_seconds", "ratio", "noise", "cpu", "created")
_MAKING = 0x6F63746574  # the lock of who makes the tables
_META = sql.MetaData()


def _key():
    """The columns of a key."""
    return [*(sql.Column(name, sql.String(64), nullable=False) for name in ("workload", "target", "tvm")), sql.Column("space", sql.Integer, nullable=False)]


_RECORDS = sql.Table(
    "octet_records",
    _META,
    sql.Column("id", sql.Integer, primary_key=True),
    *_key(),
    *(sql.Column(name, sql.Text, nullable=False) for name in ("problem", "target_name", "schedule", "default_schedule", "cpu", "created")),
    *(sql.Column(name, sql.Float, nullable=False) for name in ("seconds", "default_seconds", "ratio", "noise")),
    sql.UniqueConstraint("workload", "target", "tvm", "space"),
)
_TRIALS = sql.Table(
    "octet_trials",
    _META,
    sql.Column("id", sql.Integer, primary_key=True),
    *_key(),
    sql.Column("schedule", sql.String(512), nullable=False),
    sql.Column("ratio", sql.Float),
    sql.Column("error", sql.Text, nullable=False),
    sql.UniqueConstraint("workload", "target", "tvm", "space", "schedule"),
)


@dataclass(frozen=True)
class Key:
    """What must be equal for a record to apply."""

    workload: str
    target: str
    tvm: str
    space: int


@dataclass(frozen=True)
class Record:
    """problem, schedule, default_schedule: JSON values. seconds, default_seconds: of one call, on `cpu`. ratio: time over the default's, measured
    interleaved. noise: half width of its interval. id: 0 before it is stored."""

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


def key_of(workload_key: str, spec: TargetSpec) -> Key:
    """The key of a workload on a target with the installed TVM and these design spaces."""
    device = {"device": spec.extra["device"]} if "device" in spec.extra else {}
    target = json.dumps({"mcpu": spec.mcpu, "features": sorted(spec.features), "dot": spec.dot, "bits": spec.vector_bits} | device, sort_keys=True)
    return Key(workload_key, sha256(target.encode()).hexdigest()[:32], _tvm(), VERSIONS[spec.kind])


@cache
def _tvm():
    return version("apache-tvm")


class Database:
    """where: a file's path (made if missing) or an SQLAlchemy URL. Raises OctetError when it cannot be opened."""

    def __init__(self, where: str):
        self.where = str(where)
        try:
            url = sql.make_url(_url(self.where))
            encoded = {"client_encoding": "utf8"} if url.get_backend_name() == "postgresql" else {}  # psycopg hands out bytes where a server has no encoding
            self._engine = sql.create_engine(url, pool_pre_ping=True, connect_args=encoded)
            if self._engine.dialect.name == "sqlite":
                sql.event.listen(self._engine, "connect", _set_up_sqlite)
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "postgresql":  # there "if not exists" alone loses races
                    connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_MAKING)))
                for table in _META.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))  # another session may be making it at this moment
        except (sql.exc.SQLAlchemyError, ImportError, ValueError) as error:  # the last for a port that is no number
            raise OctetError(f"--db {self.shown}: cannot be opened: {_line(error)}; name a writable file or a database URL") from error

    @property
    def shown(self):
        """The place without a password."""
        try:
            return sql.make_url(self.where).render_as_string(hide_password=True) if "://" in self.where else self.where
        except (sql.exc.ArgumentError, ValueError):  # no URL: nobody can say where in it a password is
            return f"{self.where.partition('://')[0]}://..."

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self):
        """A connection; committed at the end. Raises OctetError where the database has gone away, is locked or is full."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sql.exc.DBAPIError as error:
            raise OctetError(f"--db {self.shown}: {_line(error)}; what was committed before is kept: start again when the database answers") from error

    @contextmanager
    def _writing(self):
        """A transaction that writes. Raises OctetError where a file's folder has too little room for what its write-ahead log holds: SQLite has lost a database that could not take that back."""
        if self._engine.dialect.name == "sqlite" and (file := self._engine.url.database) not in (None, "", ":memory:"):
            log = Path(f"{file}-wal")
            if shutil.disk_usage(Path(file).resolve().parent).free < _ROOM + (log.stat().st_size if log.exists() else 0):
                raise OctetError(f"--db {self.shown}: the disk is full; what was committed before is kept: make room, or name another place")
        with self._transaction() as connection:
            yield connection

    def find(self, key: Key) -> Record | None:
        """The record of exactly this key."""
        with self._transaction() as connection:
            row = connection.execute(sql.select(_RECORDS).where(*_matches(_RECORDS, key))).first()
        return next(iter(_readable([row], _record)), None) if row is not None else None

    def put(self, record: Record) -> None:
        """Stores a record; one with the same key is replaced if it is slower against the default."""
        values = vars(record.key) | {name: getattr(record, name) for name in _COLUMNS} | {"created": record.created or datetime.now(UTC).isoformat(timespec="seconds")}
        for name in ("problem", "schedule", "default_schedule"):
            values[name] = json.dumps(values[name], sort_keys=True)
        with self._writing() as connection:
            connection.execute(self._put, values)

    @cached_property
    def _put(self):
        """The statement of `put`, compiled once: SQLAlchemy's own cache does not keep those that may meet a conflict."""
        insert, keys = self._insert(_RECORDS), [field.name for field in fields(Key)]
        changed = {name: insert.excluded[name] for name in _COLUMNS}
        better = insert.on_conflict_do_update(index_elements=keys, set_=changed, where=_RECORDS.c.ratio > insert.excluded.ratio)
        return better.compile(self._engine, column_keys=[*keys, *_COLUMNS])

    def add_trials(self, key: Key, trials: list[Trial]) -> None:
        """Remembers what was measured, so that a resumed session does not measure it again."""
        rows = [asdict(key) | {"schedule": json.dumps(t.schedule, sort_keys=True), "ratio": t.ratio, "error": t.error} for t in trials]
        if rows:
            with self._writing() as connection:
                connection.execute(self._insert(_TRIALS).on_conflict_do_nothing(), rows)

    def trials(self, key: Key) -> list[Trial]:
        """Everything that was measured for a key, in order."""
        with self._transaction() as connection:
            rows = connection.execute(sql.select(_TRIALS).where(*_matches(_TRIALS, key)).order_by(_TRIALS.c.id)).all()
        return _readable(rows, _trial)

    def records(self) -> list[Record]:
        """All of them, in order."""
        with self._transaction() as connection:
            return _readable(connection.execute(sql.select(_RECORDS).order_by(_RECORDS.c.id)), _record)

    def count_trials(self) -> int:
        with self._transaction() as connection:
            return connection.execute(sql.select(sql.func.count()).select_from(_TRIALS)).scalar_one()

    def prune(self) -> tuple[int, int]:
        """Deletes records and trials of other versions of TVM or of the spaces; (records, trials) deleted."""
        deleted = []
        with self._transaction() as connection:
            for table in (_RECORDS, _TRIALS):
                other = (table.c.tvm != _tvm()) | table.c.space.not_in(VERSIONS.values())
                deleted.append(connection.execute(sql.delete(table).where(other)).rowcount)
        return tuple(deleted)

    def _insert(self, table):
        dialect = self._engine.dialect.name
        if dialect not in ("sqlite", "postgresql"):
            raise OctetError(f"--db {self.shown}: {dialect} is not supported; take an SQLite file or a postgresql:// URL")
        return (sqlite if dialect == "sqlite" else postgresql).insert(table)


@contextmanager
def opened(where: str):
    """A Database that is closed at the end. A file that was made for a session that could not start is removed again."""
    new = "://" not in where and not Path(where).exists()
    database = Database(where)
    try:
        yield database
    except OctetError:
        empty = new and database.count_trials() == 0 and not database.records()
        database.close()
        for suffix in ("", "-wal", "-shm") if empty else ():
            Path(where + suffix).unlink(missing_ok=True)
        raise
    finally:
        database.close()


def _url(where):
    if "://" not in where:
        return sql.URL.create("sqlite", database=where)
    return where.replace("postgresql://", "postgresql+psycopg://", 1)


def _set_up_sqlite(connection, _):
    """Write-ahead log: readers and one writer at a time go on side by side; the others wait."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _matches(table, key):
    return [table.c[name] == value for name, value in asdict(key).items()]


def _readable(rows, made):
    """What rows say; one that says nothing sensible is left out with a warning, whoever wrote it."""
    found = []
    for row in rows:
        try:
            found.append(made({str(name): value for name, value in row._mapping.items()}))
        except ValueError as error:
            warnings.warn(f"tuning database: {'record' if made is _record else 'trial'} {row.id} is left out: {error}", OctetWarning, stacklevel=3)
    return found


def _trial(values):
    row = checked(values | {"schedule": parsed(values["schedule"])}, schema.TrialRow)
    return Trial(row.schedule, row.ratio, row.error)


def _record(values):
    return record_of(values | {name: parsed(values[name]) for name in ("problem", "schedule", "default_schedule")})


def record_of(values: dict) -> Record:
    """A record of JSON values, those of its key among the others. Raises ValueError for what no session records."""
    row = checked(values, schema.RecordRow)
    return Record(Key(row.workload, row.target, row.tvm, row.space), **{name: getattr(row, name) for name in _COLUMNS}, id=row.id)


def _line(error):
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
