"""The database of a team for real: a PostgreSQL server, two sessions at once, and the commands against its URL."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from octet.targets.errors import OctetError
from octet.targets.registry import find
from octet.tools.main import main
from octet.tuning.apply import Applied
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record, Trial

from . import postgres

pytestmark = pytest.mark.skipif(bool(postgres.absent()), reason=postgres.absent() or "-")
SPEC = find("avx512vnni")
SCHEDULE = {"family": "vnni", "vectors": 1, "pixels": 8, "pixels_outer": True, "units": 3}


@pytest.fixture(scope="module")
def url():
    with postgres.server() as address:
        yield address


@pytest.fixture
def database(url):
    opened = Database(url)
    with opened._engine.begin() as connection:
        for table in ("octet_records", "octet_trials"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    yield opened
    opened.close()


def record(chosen, ratio=0.8, **changes):
    made = Record(
        key_of(chosen.key, SPEC),
        chosen.as_dict(),
        SPEC.name,
        SCHEDULE,
        SCHEDULE,
        1e-5,
        1e-5 / ratio,
        ratio,
        0.01,
        "a CPU",
    )
    return replace(made, **changes)


def octet(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_records_and_trials(database, workload):
    chosen = workload()
    for ratio in (0.8, 0.9, 0.7):
        database.put(record(chosen, ratio))
    assert [r.ratio for r in database.records()] == [0.7]
    trials = [Trial(SCHEDULE, 0.9), Trial(SCHEDULE | {"units": 4}, None, "crashed")]
    database.add_trials(key_of(chosen.key, SPEC), trials)
    database.add_trials(key_of(chosen.key, SPEC), trials[:1])
    assert database.trials(key_of(chosen.key, SPEC)) == trials
    assert Applied(database, SPEC)(chosen).schedule.pixels == 8 and Applied(database, find("amx"))(chosen) is None


_WRITER = """
import sys
from octet.targets.registry import find
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record, Trial
database = Database(sys.argv[1])
for i in range(25):
    for name, ratio in ((f"own {sys.argv[2]} {i}", 0.5), (f"common {i}", 0.5 + 0.1 * int(sys.argv[2]))):
        key = key_of(name, find("amx"))
        database.put(Record(key, {}, "x", {}, {}, 1e-5, 1e-5, ratio, 0.0, ""))
        database.add_trials(key, [Trial({}, ratio)])
"""


def test_two_sessions_write_at_the_same_time(database, url):
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, url, str(i)]) for i in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(database.records()) == database.count_trials() == 75
    assert {r.ratio for r in database.records()} == {0.5}, "the better of two for the same kernel"


def test_sessions_that_open_an_empty_database_together(url):
    first = Database(url)
    with first._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE octet_records, octet_trials")
    first.close()
    opener = "import sys; from octet.tuning.database import Database; Database(sys.argv[1])"
    assert [
        process.wait(60) for process in [subprocess.Popen([sys.executable, "-c", opener, url]) for _ in range(3)]
    ] == [0, 0, 0]


def test_the_commands(database, url, workload, tmp_path):
    database.put(record(workload()))
    database.put(record(workload(out=48), key=replace(key_of(workload(out=48).key, SPEC), tvm="0.0.1")))
    assert "2 records" in octet("db", "stats", url)
    assert octet("db", "export", url, tmp_path / "all.json").startswith("2 records")
    assert "deleted 1 records" in octet("db", "prune", url)
    octet("db", "import", tmp_path / "local.db", tmp_path / "all.json")
    octet("db", "import", url, tmp_path / "all.json")
    assert len(database.records()) == 2 == json.loads((tmp_path / "all.json").read_text())["records"].__len__()


def test_a_server_that_is_not_there():
    with pytest.raises(OctetError, match="cannot be opened"):
        Database("postgresql://octet:secret@127.0.0.1:1/postgres")
    with pytest.raises(OctetError) as caught:
        Database("postgresql://octet:secret@127.0.0.1:1/postgres")
    assert "secret" not in str(caught.value)
