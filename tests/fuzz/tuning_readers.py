"""Readers of what tuning writes and reads again."""

import io
import json
import sqlite3
import tarfile
import warnings
from contextlib import closing
from functools import cache

from hypothesis import strategies as st

from octet.targets.measure import carrier, log
from octet.targets.measure.job import Candidate, Input, Job, MeasuringPlan, MeasuringTask, Output, digest, to_json
from octet.targets.registry import find
from octet.targets.workloads import workload_from
from octet.tuning.apply import Applied
from octet.tuning.carry_import import import_measurements
from octet.tuning.database import Database, key_of
from octet.tuning.exchange import export_records, import_records
from octet.tuning.records import Record, Trial
from octet.tuning.spaces.registry import spaces_of, to_json as schedule_json

from ..cuda.test_nest_text import NEST
from ..tuning.conftest import make_workload
from . import mutations
from .reader import Reader

SPEC, GPU = find("avx512vnni"), find("cuda-sm80")


@cache
def _record(gpu=False):
    if gpu:
        schedule = {"family": "stock", "threads": 128, "unroll": 0}
        problem = {"kind": "cuda-nest", "operator": "tile", "tir": NEST}
        return Record(
            key_of(workload_from(problem).key, GPU),
            problem,
            GPU.name,
            schedule,
            schedule,
            1e-6,
            2e-6,
            0.5,
            0.01,
            "a GPU",
        )
    workload = make_workload()
    space = spaces_of(workload, SPEC)[0]
    schedule = schedule_json(space.family, space.default)
    return Record(
        key_of(workload.key, SPEC), workload.as_dict(), SPEC.name, schedule, schedule, 1e-6, 2e-6, 0.5, 0.01, "a CPU"
    )


class Records(Reader):
    """An export of tuning records, and rows of a database that somebody else writes to."""

    def strategy(self, _):
        with closing(Database(str(self.folder / "whole.db"))) as database:
            for gpu in (False, True):
                database.put(_record(gpu))
            export_records(database, self.folder / "whole.json")
        held = json.loads((self.folder / "whole.json").read_text())
        return st.one_of(
            mutations.documents(held).map(mutations.json_bytes),
            mutations.spoilt((self.folder / "whole.json").read_bytes()),
        )

    def read(self, path):
        with closing(Database(":memory:")) as database:
            import_records(database, path)
        self._rows(path)

    def _rows(self, path):
        """Its values as rows, past every check of ours."""
        place = self.folder / "rows.db"
        place.unlink(missing_ok=True)
        with warnings.catch_warnings(), closing(Database(str(place))) as database:
            warnings.simplefilter("ignore")
            database.put(_record())
            database.add_trials(_record().key, [Trial(_record().schedule, 0.5)])
            entry = next(iter(json.loads(path.read_text())["records"]), {"schedule": {}})
            with closing(sqlite3.connect(place)) as raw, raw:
                for name, value in entry.items():
                    if name in ("problem", "schedule", "cpu", "ratio", "seconds", "created", "target_name"):
                        value = (
                            value
                            if isinstance(value, (int, float, type(None))) and abs(value or 0) < 1 << 63
                            else json.dumps(value)
                        )
                        raw.execute(f"update or ignore octet_records set {name} = coalesce(?, {name})", (value,))
                raw.execute("update octet_trials set schedule = ?", (json.dumps(entry["schedule"]),))
            applied = Applied(database, SPEC)(make_workload())
            assert applied is None or applied.schedule is not None
            database.trials(_record().key)
            database.prune()


class Candidates(Reader):
    """What another machine is to measure, and what it measured."""

    def strategy(self, _):
        record = _record()
        code, made = b"code", Input(1, 4, "int8", "0" * 64)
        candidate = Candidate(record.schedule, digest(code), "f", (), (("input", 0), ("output", 0)))
        task = MeasuringTask(
            record.key.workload,
            "a convolution",
            1,
            record.problem,
            (made,),
            Output(4, "int8", 1, 4, 4, "0" * 64),
            (candidate, candidate),
        )
        self.key = {"target": record.key.target, "tvm": record.key.tvm, "space": record.key.space}
        job = Job("cpu", SPEC.name, (), self.key, MeasuringPlan(3, 12, 0.98), (task,))
        blobs, values = {digest(code): code}, json.loads(to_json(job))
        whole = self._archive(values, blobs)
        lines = [
            log.Measurement(digest(to_json(job).encode()), task.key, number, stage, {"name": "a CPU"}, [[1.0]], [[2.0]])
            for number, stage in ((1, "first"), (1, "final"), (1, "winner"))
        ]
        self.lines = [json.loads(json.dumps(vars(line))) for line in lines]
        return st.one_of(
            mutations.documents(values).map(lambda made: self._archive(made, blobs)),
            mutations.spoilt(whole),
            mutations.documents(self.lines).map(mutations.json_bytes),
        )

    @staticmethod
    def _archive(job, blobs):
        canonical = json.dumps(job, sort_keys=True).encode()
        text = mutations.json_bytes({"octet-candidates": carrier.FORMAT, "sha256": digest(canonical), "job": job})
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:xz", preset=0) as file:
            for name, data in {
                carrier.MANIFEST: text,
                **{f"{carrier.BLOBS}/{name}": data for name, data in blobs.items()},
            }.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    def read(self, path):
        archive = self.folder / "candidates.tar.xz"
        archive.write_bytes(path.read_bytes())
        measured = carrier.Path(f"{archive}.{carrier.LOG}")
        try:
            lines = json.loads(path.read_bytes())
        except ValueError:
            lines = None
        if isinstance(lines, list):  # These are measurements of the whole archive.
            record = _record()
            whole = next(self.folder.glob("whole.tar.xz"), None)
            if whole is None:
                return
            archive.write_bytes(whole.read_bytes())
            measured.write_text("\n".join(json.dumps(line) for line in lines))
            log.read(measured, record.key.workload)
        source = carrier.Carrier(archive)
        for name in source.job.blobs:
            source.blob(name)
        if not isinstance(lines, list):
            measured.write_text("".join(json.dumps(line | {"job": source.digest}) + "\n" for line in self.lines))
        with closing(Database(":memory:")) as database:
            import_measurements(archive, database)
