"""What a CUDA device could do at most, by its own clocks and widths: not measured, and no kernel gets all of it."""

from dataclasses import asdict, dataclass

from ...seams import JsonObject
from ..specs import SPECS
from .driver import Device, driver

# CUdevice_attribute numbers them so; the values are in kHz, kHz and bits.
_CLOCK, _MEMORY_CLOCK, _BUS_BITS = 13, 36, 37
# The lanes are float32 multiply-adds a clock of one multiprocessor (CUDA C++ Programming Guide).
_FLOAT_LANES = {
    61: 128,
    75: 64,
    80: 64,
    86: 128,
    89: 128,
    90: 128,
}


@dataclass(frozen=True)
class DevicePeak:
    """What a device can do, in 1e9 per second: int8 (by the fastest instruction that a target has) and float32
    operations, a multiply-add is two; bytes of the device's memory. A cache's bandwidth no driver tells."""

    device: str
    int8_gops: float
    float32_gflops: float
    memory_gbytes: float

    def level(self, moved: int) -> tuple[str, float]:
        """Where `moved` bytes come from, and how fast."""
        return "memory", self.memory_gbytes

    def as_dict(self) -> JsonObject:
        """{field: 1e9 per second}, JSON values."""
        return asdict(self)


def peak_of(device: Device) -> DevicePeak:
    """What a device can do at most. Raises OctetError where the driver does not tell."""
    found = driver()
    assert found is not None, "a device has one"
    clock, memory_clock, bits = (
        found.integer("cuDeviceGetAttribute", attribute, device.number)
        for attribute in (_CLOCK, _MEMORY_CLOCK, _BUS_BITS)
    )
    known = max((spec.extra["arch"] for spec in SPECS if spec.extra["arch"] <= device.arch), default=min(_FLOAT_LANES))
    macs = max(
        spec.extra["macs_per_clock"]
        for spec in SPECS
        if spec.extra["arch"] == known and (spec.extra["code"] == known or device.arch == known)
    )
    clocks = 1e-6 * clock * device.multiprocessors  # The clocks of all multiprocessors are added up, in 1e9 a second.
    # Memory makes two transfers a clock.
    return DevicePeak(device.name, 2 * macs * clocks, 2 * _FLOAT_LANES[known] * clocks, 2e-6 * memory_clock * bits / 8)
