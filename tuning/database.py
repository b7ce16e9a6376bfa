"""The database of tuning records: SQLite (a file, several sessions at once) or PostgreSQL (a URL, for a team).

A record is found only by its whole key: the workload's structure, the target's features (and the device, of a GPU),
TVM's version and the version of its kind's design spaces."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from ..targets.errors import OctetError
from ..targets.spec import TargetSpec
from .records import COLUMNS, META, RECORDS, TRIALS, Key, Record, Trial, readable, record_of_row, trial_of
from .spaces.space import VERSIONS

BUSY_SECONDS = 60  # A session waits so long for another one's transaction.
_ROOM = 128 << 10  # Beside the write-ahead log a transaction and the index of the log need so many bytes.
_MAKING = 0x6F63746574  # Whoever makes the tables takes the lock of this number.


def key_of(workload_key: str, spec: TargetSpec) -> Key:
    """The key of a workload on a target with the installed TVM and these design spaces."""
    device = {"device": spec.extra["device"]} if "device" in spec.extra else {}
    target = json.dumps(
        {"mcpu": spec.mcpu, "features": sorted(spec.features), "dot": spec.dot, "bits": spec.vector_bits} | device,
        sort_keys=True,
    )
    return Key(workload_key, sha256(target.encode()).hexdigest()[:32], _tvm(), VERSIONS[spec.kind])


@cache
def _tvm():
    return version("apache-tvm")


class Database:
    """Tuning records and trials, in a file or on a server.

    where: a file's path (made if missing) or an SQLAlchemy URL. Raises OctetError when it cannot be opened."""

    def __init__(self, where: str):
        self.where = str(where)
        try:
            url = sql.make_url(_url(self.where))
            # Where a server has no encoding, psycopg hands out bytes, so one is named.
            encoded = {"client_encoding": "utf8"} if url.get_backend_name() == "postgresql" else {}
            self._engine = sql.create_engine(url, pool_pre_ping=True, connect_args=encoded)
            if self._engine.dialect.name == "sqlite":
                sql.event.listen(self._engine, "connect", _set_up_sqlite)
            with self._engine.begin() as connection:
                # In PostgreSQL "if not exists" alone loses races.
                if self._engine.dialect.name == "postgresql":
                    connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_MAKING)))
                for table in META.sorted_tables:
                    # Another session may be making the table at this moment.
                    connection.execute(CreateTable(table, if_not_exists=True))
        except (sql.exc.SQLAlchemyError, ImportError, ValueError) as error:
            # A ValueError is raised for a port that is no number.
            raise OctetError(
                f"--db {self.shown}: cannot be opened: {_line(error)}; name a writable file or a database URL"
            ) from error

    @property
    def shown(self):
        """The place without a password."""
        try:
            return sql.make_url(self.where).render_as_string(hide_password=True) if "://" in self.where else self.where
        except (sql.exc.ArgumentError, ValueError):
            # In what is no URL nobody can say where a password is.
            return f"{self.where.partition('://')[0]}://..."

    def close(self) -> None:
        """Closes all connections; nothing may be called afterwards."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self):
        """A connection; committed at the end. Raises OctetError where the database has gone away, is locked or is
        full."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sql.exc.DBAPIError as error:
            raise OctetError(
                f"--db {self.shown}: {_line(error)}; what was committed before is kept: start again when the database "
                "answers"
            ) from error

    @contextmanager
    def _writing(self):
        """A transaction that writes. Raises OctetError where a file's folder has too little room for what its
        write-ahead log holds: SQLite has lost a database that could not take that back."""
        if self._engine.dialect.name == "sqlite" and (file := self._engine.url.database) not in (None, "", ":memory:"):
            log = Path(f"{file}-wal")
            if shutil.disk_usage(Path(file).resolve().parent).free < _ROOM + (
                log.stat().st_size if log.exists() else 0
            ):
                raise OctetError(
                    f"--db {self.shown}: the disk is full; what was committed before is kept: make room, or name "
                    "another place"
                )
        with self._transaction() as connection:
            yield connection

    def find(self, key: Key) -> Record | None:
        """The record of exactly this key."""
        with self._transaction() as connection:
            row = connection.execute(sql.select(RECORDS).where(*_matches(RECORDS, key))).first()
        return next(iter(readable([row], record_of_row)), None) if row is not None else None

    def put(self, record: Record) -> None:
        """Stores a record; one with the same key is replaced if it is slower against the default."""
        values = (
            vars(record.key)
            | {name: getattr(record, name) for name in COLUMNS}
            | {"created": record.created or datetime.now(UTC).isoformat(timespec="seconds")}
        )
        for name in ("problem", "schedule", "default_schedule"):
            values[name] = json.dumps(values[name], sort_keys=True)
        with self._writing() as connection:
            connection.execute(self._put, values)

    @cached_property
    def _put(self):
        """The statement of `put`, compiled once: SQLAlchemy's own cache does not keep those that may meet a
        conflict."""
        insert, keys = self._insert(RECORDS), [field.name for field in fields(Key)]
        changed = {name: insert.excluded[name] for name in COLUMNS}
        better = insert.on_conflict_do_update(
            index_elements=keys, set_=changed, where=RECORDS.c.ratio > insert.excluded.ratio
        )
        return better.compile(self._engine, column_keys=[*keys, *COLUMNS])

    def add_trials(self, key: Key, trials: list[Trial]) -> None:
        """Remembers what was measured, so that a resumed session does not measure it again."""
        rows = [
            asdict(key) | {"schedule": json.dumps(t.schedule, sort_keys=True), "ratio": t.ratio, "error": t.error}
            for t in trials
        ]
        if rows:
            with self._writing() as connection:
                connection.execute(self._insert(TRIALS).on_conflict_do_nothing(), rows)

    def trials(self, key: Key) -> list[Trial]:
        """Everything that was measured for a key, in order."""
        with self._transaction() as connection:
            rows = connection.execute(sql.select(TRIALS).where(*_matches(TRIALS, key)).order_by(TRIALS.c.id)).all()
        return readable(rows, trial_of)

    def records(self) -> list[Record]:
        """All records, in the order in which they were stored."""
        with self._transaction() as connection:
            return readable(connection.execute(sql.select(RECORDS).order_by(RECORDS.c.id)), record_of_row)

    def count_trials(self) -> int:
        """How many measured candidates it holds, of all workloads and targets."""
        with self._transaction() as connection:
            return connection.execute(sql.select(sql.func.count()).select_from(TRIALS)).scalar_one()

    def prune(self) -> tuple[int, int]:
        """Deletes records and trials of other versions of TVM or of the spaces; (records, trials) deleted."""
        deleted = []
        with self._transaction() as connection:
            for table in (RECORDS, TRIALS):
                other = (table.c.tvm != _tvm()) | table.c.space.not_in(VERSIONS.values())
                deleted.append(connection.execute(sql.delete(table).where(other)).rowcount)
        return tuple(deleted)

    def _insert(self, table):
        dialect = self._engine.dialect.name
        if dialect not in ("sqlite", "postgresql"):
            raise OctetError(
                f"--db {self.shown}: {dialect} is not supported; take an SQLite file or a postgresql:// URL"
            )
        return (sqlite if dialect == "sqlite" else postgresql).insert(table)


@contextmanager
def opened(where: str):
    """A Database that is closed at the end. A file that was made for a session that could not start is removed
    again."""
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


def _line(error):
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
