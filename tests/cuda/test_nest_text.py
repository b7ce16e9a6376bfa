"""A nest that somebody else wrote is read without evaluating anything but nests."""

import json

import pytest

from octet.targets.cuda.generated.nest_text import LARGEST, parsed_function
from octet.targets.errors import DataError
from octet.targets.registry import find
from octet.targets.workloads import workload_from
from octet.tuning.database import Database, key_of
from octet.tuning.exchange import export_records, import_records
from octet.tuning.records import Record

VALUE = "p0[v_ax0 % T.int64(2), v_ax1 % T.int64(7)]"
NEST = f"""# from tvm.script import tirx as T
# from tvm.tirx.layout import Axis

@T.prim_func(s_tir=True)
def main(p0: T.Buffer((T.int64(2), T.int64(7)), "int8"), T_tile: T.Buffer((T.int64(4), T.int64(7)), "int8")):
    # with T.sblock("root"):
    for ax0, ax1 in T.grid(T.int64(4), T.int64(7)):
        with T.sblock("T_tile"):
            v_ax0, v_ax1 = T.axis.remap("SS", [ax0, ax1])
            T.reads(p0[v_ax0 % T.int64(2), v_ax1 % T.int64(7)])
            T.writes(T_tile[v_ax0, v_ax1])
            T_tile[v_ax0, v_ax1] = {VALUE}"""
RUNS = 'tvm.base.os.mkdir("{}")'  # The parser by itself would evaluate it.


def test_a_nest_is_read():
    assert parsed_function(NEST).script() == NEST
    assert workload_from({"kind": "cuda-nest", "operator": "tile", "tir": NEST}).name == "generated tile int8[4, 7]"


@pytest.mark.parametrize(
    "value",
    [
        RUNS,
        "T.evaluate(0)",
        'open("x")',
        '__import__("os")',
        "T.__class__",
        "T.axis.__class__",
        "T.max.__globals__",
        "().__class__",
        "[x for x in y]",
        "lambda: 0",
        'f"{x}"',
        '"a"("b")',
        "T",
        "T.max(1)(2)",
        'T["max"](1)',
        'T_tile.access_ptr("r")',
        'T.Buffer("os.system(1)")',
        'T.call_extern("int32", "f")',
        'T.call_packed("f")',
        "T.ir",
        "T.external_kernel",
        "(yield)",
        "x if y else z",
        "(x := 1)",
        "await x",
        "*x",
        "{}",
        "{1}",
        "R.add",
        "tvm",
    ],
)
def test_nothing_else_is(value, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="its nest"):
        parsed_function(NEST.replace(VALUE, value.replace("{}", "made") if value == RUNS else value))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "def",
        "(" * 100_000,
        "x" * (LARGEST + 1),
        "\0",
        NEST + "\n",
        NEST.replace("@T.prim_func(s_tir=True)\n", ""),
        "import os\n" + NEST,
    ],
)
def test_texts_that_are_no_nest(text):
    with pytest.raises(ValueError, match="its nest"):
        parsed_function(text)


def test_a_record_runs_nothing(tmp_path, monkeypatch):
    """Neither when records are imported, nor from a database that somebody else wrote to."""
    monkeypatch.chdir(tmp_path)
    spec, problem = (
        find("cuda-sm80"),
        {"kind": "cuda-nest", "operator": "tile", "tir": NEST.replace(VALUE, RUNS.format("made"))},
    )
    schedule = {"family": "stock", "threads": 128, "unroll": 0}
    database = Database(str(tmp_path / "a.db"))
    database.put(Record(key_of("0" * 32, spec), problem, spec.name, schedule, schedule, 1e-6, 2e-6, 0.5, 0.01, ""))
    export_records(database, tmp_path / "records.json")
    assert json.loads((tmp_path / "records.json").read_text())["records"][0]["problem"] == problem
    other = Database(str(tmp_path / "b.db"))
    with pytest.raises(DataError, match=r"which no nest has\); nothing was imported"):
        import_records(other, tmp_path / "records.json")
    assert not other.records() and not (tmp_path / "made").exists()
    database.close()
    other.close()
