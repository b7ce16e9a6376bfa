"""Whose records apply to a CUDA target, when devices of one architecture have records of their own.

The device that was named (--target 'cuda-sm80@NVIDIA A30'); else this machine's, if it has records; else the only one
that has any. Several, and none of them named or here, are an error: nobody but the user knows where the package will
run."""

from ..targets.cuda.running import driver
from ..targets.cuda.running.device_identity import device_of, may_be_one_device, on_any_device, on_device
from ..targets.errors import OctetError
from ..targets.spec import TargetSpec
from .database import Database, key_of
from .records import Record


def recorded(database: Database, spec: TargetSpec) -> tuple[str, ...]:
    """The devices that have records of this target, sorted. Records of before keys named devices count by the name that
    they were measured on."""
    found: list[str] = []
    # A device's whole identity comes before its name alone.
    for record in sorted(database.records(), key=lambda record: -len(record.cpu)):
        if _of(record, spec) and not any(
            may_be_one_device(device, record.cpu) and record.cpu in device for device in found
        ):
            found.append(record.cpu)
    return tuple(sorted(found))


def chosen_device(database: Database, spec: TargetSpec) -> str | None:
    """The device whose records apply, None where there are none. Raises OctetError for several."""
    devices, named, here = recorded(database, spec), device_of(spec), driver.device()
    if named is not None:
        devices = tuple(device for device in devices if may_be_one_device(device, named))
    elif here is not None and any(may_be_one_device(device, here.identity) for device in devices):
        devices = tuple(device for device in devices if may_be_one_device(device, here.identity))
    if len(devices) > 1:
        raise OctetError(
            f"--db {database.shown}: has records of {spec.name} from {'; '.join(devices)}; name the one that the "
            f"package is for: --target '{spec.name}@{devices[0]}'"
        )
    return devices[0] if devices else None


def record_on_device(database: Database, workload_key: str, spec: TargetSpec, device: str) -> Record | None:
    """The device's record of a workload; one of before keys named devices if it was measured there."""
    record = database.find(key_of(workload_key, on_device(spec, device)))
    if record is None:
        older = database.find(key_of(workload_key, on_any_device(spec)))
        record = older if older is not None and may_be_one_device(older.cpu, device) else None
    return record


def _of(record, spec):
    """Whether a record is of the target, on whatever device, and of this version of TVM and of the spaces."""
    keys = [key_of(record.key.workload, one) for one in (on_any_device(spec), on_device(spec, record.cpu))]
    return record.key in keys
