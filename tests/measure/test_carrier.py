"""Files that carry candidates: whole or refused in one line; measurements survive a kill; operands are the same
everywhere."""

import json
import lzma
import tarfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from octet.targets.errors import DataError, OctetError, OctetWarning
from octet.targets.measure import carrier, log
from octet.targets.measure.batch import Batch, Figures, part_of_task
from octet.targets.measure.job import (
    Candidate,
    Input,
    Job,
    MeasuringPlan,
    MeasuringTask,
    Output,
    digest,
    from_json,
    to_json,
)
from octet.targets.measure.log import FIRST, Measurement
from octet.targets.measure.random_values import random_bytes

from ..json_edits import edits

BLOBS = {digest(data): data for data in (b"code" * 500, bytes(1000), b"other code")}
NAMES = tuple(BLOBS)


def job_of():
    candidates = tuple(
        Candidate(
            {"family": "f", "n": n},
            NAMES[2 * n],
            "run",
            (NAMES[1],),
            (("input", 0), ("constant", 0), ("zero", 8), ("output", 0)),
            grid=(n + 1, 1, 1),
        )
        for n in (0, 1)
    )
    task = MeasuringTask(
        "key",
        "a kernel",
        2,
        {"n": 1},
        (Input.of(1, 40, "int8"),),
        Output(64, "int8", 4, 16, 10, digest(b"")),
        candidates,
    )
    return Job(
        "cuda",
        "cuda-sm80",
        ("cuda_sm80",),
        {"target": "t", "tvm": "0", "space": 1},
        MeasuringPlan(3, 12, 0.98),
        (task,),
    )


@pytest.mark.parametrize("name", ["folder", "archive.tar.xz"])
def test_what_is_written_is_read(name, tmp_path):
    job, path = job_of(), tmp_path / name
    size = carrier.write(path, job, BLOBS | {"unused": b"x"})
    read = carrier.Carrier(path)
    assert read.job == job and read.digest == digest(to_json(job).encode()) and size < 6000
    assert {digest_: read.blob(digest_) for digest_ in job.blobs} == BLOBS
    if path.is_dir():
        with pytest.raises(OctetError, match="exists and is no empty folder"):
            carrier.check_free(path)


@pytest.mark.parametrize("name", ["folder", "archive.tar.xz"])
def test_damage_is_one_line(name, tmp_path):
    path = tmp_path / name
    carrier.write(path, job_of(), BLOBS)
    if path.is_dir():
        victim = path / "blobs" / f"{NAMES[0]}.xz"
        for damage, words in ((b"rubbish", "corrupt"), (lzma.compress(b"another"), "does not match its SHA-256")):
            victim.write_bytes(damage)
            with pytest.raises(DataError, match=words):
                carrier.Carrier(path).blob(NAMES[0])
        victim.unlink()
        with pytest.raises(DataError, match="cannot be read"):
            carrier.Carrier(path).blob(NAMES[0])
        manifest = path / "manifest.json"
        text = manifest.read_text()
        for old, new, words in (
            ("a kernel", "b kernel", "does not match its SHA-256"),
            ('"octet-candidates": 1', '"octet-candidates": 2', "is of format 2"),
            ("{", "", "is not what"),
        ):
            manifest.write_text(text.replace(old, new, 1))
            with pytest.raises(DataError, match=words):
                carrier.Carrier(path)
        return
    data = path.read_bytes()
    for cut in (b"", data[:100], data[: len(data) // 2], b"no archive at all"):
        path.write_bytes(cut)
        with pytest.raises(DataError, match="truncated or no archive|is not what|missing"):
            carrier.Carrier(path)
    with pytest.raises(DataError, match="cannot be read"):
        carrier.Carrier(tmp_path / "nowhere.tar.xz")


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 70))
def test_bytes_do_not_depend_on_how_many_are_asked_for(seed, count):
    assert random_bytes(seed, count).tobytes() == random_bytes(seed, 80)[:count].tobytes()


def test_bytes_are_the_same_for_all_time():
    assert digest(random_bytes(1, 1000))[:16] == "c9f859d4ae49ba28"
    assert abs(random_bytes(7, 100_000).astype(float).mean() - 127.5) < 1
    with pytest.raises(ValueError, match="another digest"):
        Input(1, 10, "int8", "0" * 64).array()


def test_only_what_counts_is_compared():
    rows = np.arange(64, dtype=np.uint8).reshape(4, 16)
    output = Output(64, "uint8", 4, 16, 10, digest(np.ascontiguousarray(rows[:, :10])))
    assert output.agrees(rows)
    rows[:, 10:] = 7
    assert output.agrees(rows)
    rows[2, 9] += 1
    assert not output.agrees(rows)


def test_a_batch_survives_the_way():
    job = job_of()
    batch = Batch("cuda", part_of_task(job.tasks[0], [1]), {name: BLOBS[name] for name in job.blobs}, 3, (1, 2))
    assert Batch.unpack(batch.pack()) == batch and from_json(to_json(job)) == job
    figures = Figures({0: np.ones((3, 1)), 2: np.full((1, 1), 0.5)}, {1: "crashed"}, {"name": "d"})
    again = Figures.read(figures.as_json())
    assert (
        again.errors == figures.errors
        and again.device == figures.device
        and all((again.seconds[i] == figures.seconds[i]).all() for i in (0, 2))
    )


def entry(candidate=0, **more):
    return Measurement(
        **{
            "job": "j",
            "task": "t",
            "candidate": candidate,
            "stage": FIRST,
            "device": {"name": "d"},
            "seconds": [[1.0]],
            "default": [[2.0]],
        }
        | more
    )


def test_measurements_are_appended_and_fragments_passed_over(tmp_path):
    path = tmp_path / "measurements.jsonl"
    assert log.read(path, "j") == []
    log.append(path, [entry(0), entry(1)])
    with open(path, "ab") as file:
        file.write(b'{"job": "j", "ta')  # The writer was killed here.
    log.append(path, [entry(2, seconds=None, default=None, error="crashed")])
    with pytest.warns(OctetWarning, match="1 of 4 lines are no measurements and are left out .line 3: "):
        found = log.read(path, "j")
    assert (
        [one.candidate for one in found] == [0, 1, 2]
        and found[0].ratios == [0.5]
        and found[2].ratios is None
        and found[0].time
    )
    for bad in (
        {"seconds": [[-1.0]]},
        {"seconds": [[float("nan")]]},
        {"stage": "other"},
        {"default": None},
        {"candidate": "1"},
        {"device": {"name": 1}},
        {"device": {"name": None}},
        {"device": {"multiprocessors": "8"}},
    ):
        with open(path, "a") as file:
            file.write(json.dumps(entry(9).__dict__ | bad) + "\n")
    with pytest.warns(OctetWarning, match="9 of 12 lines"):
        assert len(log.read(path, "j")) == 3
    with pytest.warns(OctetWarning), pytest.raises(DataError, match="other candidates"):
        log.read(path, "another")


def test_edited_jobs_are_refused_or_harmless():
    """Also plans that never end, and operands that fill the memory."""
    one = Candidate(
        {"family": "f", "units": 1}, "0" * 64, "octet_run", ("1" * 64,), (("input", 0), ("constant", 0), ("output", 0))
    )
    task = MeasuringTask(
        "key",
        "name",
        1,
        {"kind": "pool"},
        (Input.of(1, 16, "uint8"),),
        Output(16, "uint8", 1, 16, 16, "2" * 64),
        (one,),
    )
    job = json.loads(
        to_json(
            Job(
                "cpu",
                "avx512vnni",
                ("avx512f",),
                {"target": "t", "tvm": "0", "space": 3},
                MeasuringPlan(3, 9, 0.9, (1, 2)),
                (task,),
            )
        )
    )
    refused = 0
    for done, made in edits(job):
        try:
            from_json(json.dumps(made))
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 500, done
    assert refused > 300
    for field in ("first", "final"):
        with pytest.raises(ValueError, match=field):
            from_json(json.dumps(job | {"plan": job["plan"] | {field: 10**9}}))


@pytest.mark.filterwarnings("ignore::octet.targets.errors.OctetWarning")
def test_measurements_that_are_none_are_passed_over(tmp_path):
    path, job = tmp_path / "measurements.jsonl", "a" * 64
    good = log.Measurement(job, "key", 1, log.FIRST, {"name": "cpu"}, [[1e-6, 2e-6]], [[1e-6, 2e-6]])
    log.append(path, [good])
    line = json.loads(path.read_text())
    for done, made in edits({"entry": line}):
        path.write_text(json.dumps(made.get("entry")) + "\n")
        try:
            found = log.read(path, job)
        except DataError:
            continue  # It belongs to another job.
        assert all(
            entry.candidate >= 0 and (entry.ratios is None or np.isfinite(entry.ratios).all()) for entry in found
        ), done


def test_blobs_that_grow_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(carrier, "_LARGEST", 1 << 16)
    with pytest.raises(EOFError):
        carrier._decompressed(lzma.compress(bytes(1 << 20)))
    assert carrier._decompressed(lzma.compress(b"small")) == b"small"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_that_grow_are_refused(tmp_path, kind):
    """What stands before a file is read whole, whatever it says of its length."""
    info = tarfile.TarInfo("a")
    info.type, info.size = kind, 64 << 20
    (tmp_path / "c.tar.xz").write_bytes(lzma.compress(info.tobuf() + bytes(64 << 20), preset=0))
    tracemalloc.start()
    with pytest.raises(DataError, match="no archive of candidates"):
        carrier.Carrier(tmp_path / "c.tar.xz")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
