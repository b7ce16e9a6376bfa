"""Which GPU a measurement is of: devices of one architecture differ in multiprocessors, clocks and memory, and so do
their best schedules."""

from dataclasses import replace

from ...spec import TargetSpec

_BETWEEN = ", "


def device_identity(name: str, multiprocessors: int | None = None) -> str:
    """A device's identity, as `octet targets` prints it: the driver's name, which tells boards and memories apart, and
    multiprocessors, which tell slices (MIG) apart."""
    return name if multiprocessors is None else f"{name}{_BETWEEN}{multiprocessors} multiprocessors"


def may_be_one_device(device: str, other: str) -> bool:
    """Whether two identities may be one device: one of them may be the name alone."""
    return device == other or _name(device) == other or device == _name(other)


def _name(device: str) -> str:
    return device.rpartition(_BETWEEN)[0] if device.endswith(" multiprocessors") else device


def on_device(spec: TargetSpec, device: str) -> TargetSpec:
    """The target as it is tuned for one device. device: an identity, or a name that a user gave."""
    return replace(spec, extra=spec.extra | {"device": device})


def device_of(spec: TargetSpec) -> str | None:
    """The device that `on_device` named, None without one."""
    return spec.extra.get("device")


def on_any_device(spec: TargetSpec) -> TargetSpec:
    """The target without a device."""
    return replace(spec, extra={key: value for key, value in spec.extra.items() if key != "device"})
