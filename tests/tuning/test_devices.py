"""Records of GPUs: found by the device that measured them, never silently by another one of the same architecture."""

import pytest

from octet.targets import detect
from octet.targets.cuda.compiling import compiler
from octet.targets.cuda.kernels.conv import Conv, Epilogue
from octet.targets.cuda.kernels.window import ROW
from octet.targets.cuda.running.device_identity import device_identity, may_be_one_device, on_device
from octet.targets.cuda.running.driver import Device
from octet.targets.cuda.workload import workload_of
from octet.targets.errors import OctetError, TargetError
from octet.targets.registry import find
from octet.tuning import cuda_runner, devices
from octet.tuning.apply import Applied
from octet.tuning.cuda_runner import check_device
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record
from octet.tuning.spaces.registry import spaces_of, to_json

SPEC = find("cuda-sm80")
WORKLOAD = workload_of(Conv(4096, *ROW, 64, 64, 1, 64, 64, 0), Epilogue(False, 0, -128, 127, 0.0, 0.0, False, 0, 0.0))
TILES = {tile.rows: tile for tile in reversed(spaces_of(WORKLOAD, SPEC)[0].every())}
A100, A30 = device_identity("NVIDIA A100-SXM4-80GB", 108), device_identity("NVIDIA A30", 56)
SLICE = device_identity("NVIDIA A100-SXM4-80GB", 14)


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setattr(devices.driver, "device", lambda: None)
    opened = Database(str(tmp_path / "records.db"))
    yield opened
    opened.close()


def put(database, device, rows, key=None):
    schedules = [to_json("mma", TILES[n]) for n in (rows, 128)]
    key = key if key is not None else key_of(WORKLOAD.key, on_device(SPEC, device))
    database.put(Record(key, WORKLOAD.as_dict(), SPEC.name, *schedules, 1e-6, 2e-6, 0.5, 0.01, device))


def rows(database, spec=SPEC):
    found = Applied(database, spec)(WORKLOAD)
    return None if found is None else found.schedule.rows


def test_each_device_has_records_of_its_own(database):
    put(database, A100, 256)
    put(database, A30, 64)
    assert devices.recorded(database, SPEC) == (A100, A30) and len(database.records()) == 2
    assert rows(database, on_device(SPEC, A100)) == 256 and rows(database, on_device(SPEC, "NVIDIA A30")) == 64
    assert rows(database, on_device(SPEC, "NVIDIA A10")) is None
    with pytest.raises(
        OctetError,
        match=r"records of cuda-sm80 from NVIDIA A100-SXM4-80GB, 108 multiprocessors; "
        r"NVIDIA A30, 56 .*--target 'cuda-sm80@",
    ):
        Applied(database, SPEC)
    assert rows(database, find("cuda-sm90")) is None


def test_the_only_device_needs_no_name_and_this_machines_goes_first(database, monkeypatch):
    assert rows(database) is None
    put(database, A30, 64)
    assert rows(database) == 64
    put(database, A100, 256)
    put(database, SLICE, 32)
    monkeypatch.setattr(devices.driver, "device", lambda: Device(0, "NVIDIA A100-SXM4-80GB", 80, 108))
    assert rows(database) == 256 and rows(database, on_device(SPEC, "NVIDIA A30")) == 64
    with pytest.raises(OctetError, match="name the one"):
        rows(database, on_device(SPEC, "NVIDIA A100-SXM4-80GB"))  # It may mean the whole device, or a slice.


def test_records_of_before_keys_named_devices_still_apply(database):
    put(database, "NVIDIA A30", 64, key_of(WORKLOAD.key, SPEC))
    assert (
        devices.recorded(database, SPEC) == ("NVIDIA A30",)
        and rows(database) == 64
        and rows(database, on_device(SPEC, A30)) == 64
    )
    assert rows(database, on_device(SPEC, A100)) is None
    put(database, A30, 128)
    assert devices.recorded(database, SPEC) == (A30,) and rows(database) == 128 and len(database.records()) == 2


def test_what_one_device_may_be():
    assert (
        may_be_one_device(A30, A30)
        and may_be_one_device(A30, "NVIDIA A30")
        and may_be_one_device("NVIDIA A30", A30)
        and not may_be_one_device(A100, SLICE)
        and not may_be_one_device(A30, A100)
    )
    assert (
        key_of("w", SPEC).target
        != key_of("w", on_device(SPEC, A30)).target
        != key_of("w", on_device(SPEC, A100)).target
    )
    assert key_of("w", find("amx")).target == key_of("w", find("amx")).target


def test_a_device_is_named_behind_the_target(monkeypatch):
    monkeypatch.setattr(compiler, "find_compiler", lambda arch: None)
    spec = detect.resolve("cuda-sm80@NVIDIA A30")
    assert spec == SPEC and spec.extra["device"] == "NVIDIA A30" and "device" not in detect.resolve("cuda-sm80").extra
    with pytest.raises(TargetError, match="only CUDA targets"):
        detect.resolve("native@NVIDIA A30")


def test_a_session_measures_on_the_device_that_was_named(monkeypatch):
    monkeypatch.setattr(cuda_runner, "device", lambda: Device(0, "NVIDIA A30", 80, 56))
    assert cuda_runner.here(SPEC) == A30 == cuda_runner.here(on_device(SPEC, "NVIDIA A30"))
    with pytest.raises(TargetError, match="this machine's device is NVIDIA A30, 56"):
        cuda_runner.here(on_device(SPEC, A100))


class Remote:
    def get_function(self, name):
        return lambda: '{"name": "NVIDIA A30", "multiprocessors": 56, "arch": 80}'


def test_workers_of_one_key_are_of_one_device():
    assert check_device(Remote(), SPEC) == A30 == check_device(Remote(), on_device(SPEC, A30))
    with pytest.raises(TargetError, match="is NVIDIA A30, 56 multiprocessors, not NVIDIA A100"):
        check_device(Remote(), on_device(SPEC, A100))
