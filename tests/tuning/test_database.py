"""Records: found by their whole key only, the better one stays, several sessions at once, damage is one line."""

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from octet.targets.errors import OctetError, OctetWarning
from octet.targets.registry import find
from octet.tuning.apply import Applied
from octet.tuning.database import Database, key_of
from octet.tuning.exchange import export_records, import_records
from octet.tuning.records import Record, Trial
from octet.tuning.spaces.registry import member, spaces_of, to_json
from octet.tuning.spaces.space import VERSIONS

AMX, VNNI = find("amx"), find("avx512vnni")
SCHEDULE = {"family": "vnni", "vectors": 1, "pixels": 8, "pixels_outer": True, "units": 3}


def record(chosen, spec=VNNI, ratio=0.8, **changes):
    made = Record(
        key_of(chosen.key, spec),
        chosen.as_dict(),
        spec.name,
        SCHEDULE,
        SCHEDULE,
        1e-5,
        1e-5 / ratio,
        ratio,
        0.01,
        "a CPU",
    )
    return replace(made, **changes)


@pytest.fixture
def database(tmp_path):
    opened = Database(str(tmp_path / "records.db"))
    yield opened
    opened.close()


def test_applied_only_to_its_own_target_version_and_workload(database, workload):
    chosen = workload()
    database.put(record(chosen))
    applied = Applied(database, VNNI)
    found = applied(chosen)
    assert found.schedule.pixels == 8 and found.source.startswith("record 1")
    assert applied(workload(channels=32)) is None and Applied(database, AMX)(chosen) is None
    assert (applied.tuned, applied.default) == (1, 1)
    for part in ({"tvm": "0.0.1"}, {"space": -1}):
        other = workload(out=48)
        database.put(record(other, key=replace(key_of(other.key, VNNI), **part)))
        assert applied(other) is None, part


def test_features_are_part_of_the_key(workload):
    more = replace(VNNI, features=VNNI.features | {"avx512_bf16"})
    assert (
        key_of(workload().key, VNNI)
        != key_of(workload().key, more)
        != key_of(workload().key, replace(VNNI, mcpu="icelake-server"))
    )


def test_the_better_record_stays(database, workload):
    chosen = workload()
    for ratio in (0.8, 0.9, 0.7):
        database.put(record(chosen, ratio=ratio))
    assert [r.ratio for r in database.records()] == [0.7]


def test_a_record_of_another_template_is_not_applied(database, workload):
    chosen = workload()
    database.put(record(chosen, schedule={"family": "vnni", "spirals": 3}))
    assert Applied(database, VNNI)(chosen) is None


def test_trials_are_remembered_once(database, workload):
    key = key_of(workload().key, VNNI)
    trials = [Trial(SCHEDULE, 0.9), Trial(SCHEDULE | {"units": 4}, None, "crashed")]
    database.add_trials(key, trials)
    database.add_trials(key, trials[:1])
    assert database.trials(key) == trials and database.count_trials() == 2


def test_prune_deletes_other_versions(database, workload):
    chosen, other = workload(), workload(out=48)
    database.put(record(chosen))
    database.put(record(other, key=replace(key_of(other.key, VNNI), tvm="0.0.1")))
    assert database.prune() == (1, 0) and len(database.records()) == 1


def test_kinds_of_targets_have_design_spaces_of_their_own(database, workload, monkeypatch):
    chosen, gpu = workload(), find("cuda-sm80")
    database.put(record(chosen))
    database.put(record(workload(out=48), spec=gpu))
    assert key_of(chosen.key, VNNI).space != key_of(chosen.key, gpu).space
    monkeypatch.setitem(VERSIONS, "cuda", VERSIONS["cuda"] + 1)
    assert Applied(database, VNNI)(chosen) is not None and database.find(key_of(workload(out=48).key, gpu)) is None
    assert database.prune() == (1, 0) and [found.target_name for found in database.records()] == [VNNI.name]


def test_export_and_import(database, workload, tmp_path):
    database.put(record(workload()))
    database.put(record(workload(out=48), spec=AMX))
    assert export_records(database, tmp_path / "records.json") == 2
    other = Database(str(tmp_path / "other.db"))
    assert import_records(other, tmp_path / "records.json") == 2
    plain = lambda r: replace(r, id=0)
    assert list(map(plain, other.records())) == list(map(plain, database.records()))
    other.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"octet-records": 7, "records": []}',
        '{"octet-records": 1, "records": [{"key": {}}]}',
        '{"octet-records": 1, "records": 5}',
    ],
)
def test_a_file_that_is_no_export(database, tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(OctetError, match="bad.json"):
        import_records(database, tmp_path / "bad.json")
    assert database.records() == []


def test_places_that_cannot_be_opened(tmp_path):
    (tmp_path / "text.db").write_text("this is no database, but long enough to be looked at as one " * 20)
    for where in (tmp_path / "missing" / "x.db", tmp_path / "text.db", "nosuchdialect://host/db"):
        with pytest.raises(OctetError, match="cannot be opened"):
            Database(str(where))


@pytest.mark.parametrize(
    "where",
    [
        "nosuchdialect://user:secret@host/db",
        "no dialect://user:secret@host/db",
        "postgresql://user:secret@host:port/db",
    ],
)
def test_a_password_is_not_shown(where):
    with pytest.raises(OctetError, match="cannot be opened") as caught:
        Database(where)
    assert "secret" not in str(caught.value)


_WRITER = """
import sys
from octet.targets.registry import find
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record, Trial
database = Database(sys.argv[1])
for i in range(25):
    key = key_of(f"workload {sys.argv[2]} {i}", find("amx"))
    database.put(Record(key, {}, "x", {}, {}, 1e-5, 1e-5, 0.5, 0.0, ""))
    database.add_trials(key, [Trial({}, 0.5)])
"""


def test_sessions_at_the_same_time(tmp_path):
    path = str(tmp_path / "records.db")
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, path, str(i)]) for i in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    database = Database(path)
    assert len(database.records()) == database.count_trials() == 75
    database.close()


def test_exported_numbers_are_checked(database, workload, tmp_path):
    database.put(record(workload()))
    path = tmp_path / "records.json"
    export_records(database, path)
    held = json.loads(path.read_text())
    held["records"][0]["ratio"] = "fast"
    path.write_text(json.dumps(held))
    with pytest.raises(OctetError):
        import_records(database, path)


@pytest.mark.parametrize(
    "change",
    [{"units": -1}, {"pixels": 1000}, {"pixels_outer": 1}, {"units": True}, {"family": "amx"}, {"family": "none"}],
)
def test_a_schedule_outside_of_its_space_is_neither_applied_nor_imported(database, workload, tmp_path, change):
    """It would compute wrong, or write beyond its buffers."""
    chosen = workload()
    database.put(record(chosen, schedule=SCHEDULE | change))
    applied = Applied(database, VNNI)
    with pytest.warns(RuntimeWarning, match="tuning record 1 is not applied"):
        assert applied(chosen) is None
    assert (applied.tuned, applied.default) == (0, 1)
    export_records(database, tmp_path / "records.json")
    with closing(Database(str(tmp_path / "other.db"))) as other:
        with pytest.raises(OctetError, match="records.json: record 0, target avx512vnni: "):
            import_records(other, tmp_path / "records.json")
        assert other.records() == []


def test_a_record_of_another_problem_than_its_key_is_not_imported(database, workload, tmp_path):
    database.put(record(workload(), key=key_of(workload(out=48).key, VNNI)))
    export_records(database, tmp_path / "records.json")
    with pytest.raises(OctetError, match="not the one that its key is of"):
        import_records(database, tmp_path / "records.json")


def test_every_schedule_of_a_space_is_held_by_it(workload):
    for space in spaces_of(workload(), VNNI):
        for schedule in space.every():
            assert member(to_json(space.family, schedule), [space]) == (space.family, schedule)


@pytest.mark.parametrize(
    "column, value",
    [
        ("schedule", "no json"),
        ("schedule", "[" * 10000),
        ("schedule", "[]"),
        ("schedule", '{"family": {}}'),
        ("schedule", '{"units": 3.0}'),
        ("schedule", '{"vectors": [2]}'),
        ("problem", "null"),
        ("ratio", "fast"),
        ("ratio", float("inf")),
        ("ratio", -1.0),
        ("cpu", "a\x1b[31mb"),
        ("seconds", b"\x00"),
        ("space", "x"),
        ("created", b"\xff"),
    ],
)
def test_one_bad_row_is_left_out_and_named(database, workload, column, value):
    database.put(record(workload()))
    database.put(record(workload(out=48)))
    with database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE octet_records SET {column} = ? WHERE id = 1", (value,))
    with pytest.warns(OctetWarning, match="record 1 is left out"):
        assert [found.id for found in database.records()] == [2]


def test_a_bad_trial_is_left_out(database, workload):
    key = key_of(workload().key, VNNI)
    database.add_trials(key, [Trial(SCHEDULE, 0.9), Trial(SCHEDULE | {"units": 4}, 0.8)])
    with database._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE octet_trials SET schedule = '[1' WHERE id = 1")
    with pytest.warns(OctetWarning, match="trial 1 is left out"):
        assert [trial.ratio for trial in database.trials(key)] == [0.8]
