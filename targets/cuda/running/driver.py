"""The CUDA driver through ctypes: loading it, its errors, its devices. No toolkit, no compiler."""

import ctypes
import functools
import os
from dataclasses import dataclass

from ...errors import OctetError
from .device_identity import device_identity

ARCHITECTURES = (61, 75, 80, 86, 89, 90)  # Targets exist for these architectures.
EXACT = (90,)  # A second target exists for these, whose code runs on that architecture alone.
LIBRARY = "libcuda.so.1"  # The environment's OCTET_LIBCUDA may name another.
# CUdevice_attribute has these numbers for the compute capability and the multiprocessors.
_MAJOR, _MINOR, _MULTIPROCESSORS = 75, 76, 16


@dataclass(frozen=True)
class Device:
    """A device of this machine. number: the driver's. arch: compute capability, e.g. 80."""

    number: int
    name: str
    arch: int
    multiprocessors: int

    @property
    def identity(self) -> str:
        """The name by which tuning records know the device."""
        return device_identity(self.name, self.multiprocessors)


class Driver:
    """The loaded library; every call raises OctetError with the driver's own words."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: object) -> None:
        """Calls a function of the driver. Raises OctetError, with what the driver says, where it fails."""
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            raise OctetError(
                f"CUDA: {name} failed ({status}: {(text.value or b'unknown error').decode()}); check the device with "
                "nvidia-smi, or load the CPU variant with target="
            )

    def release(self, name: str, *arguments: object) -> None:
        """A call that gives something back. After a fault it fails as every call does; the end of the process gives
        back what it left."""
        getattr(self._library, name)(*arguments)

    def integer(self, name: str, *arguments: object) -> int:
        """A call whose first argument is an int that it sets."""
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def handle(self, name: str, *arguments: object) -> ctypes.c_void_p:
        """A call whose first argument is a handle that it sets."""
        value = ctypes.c_void_p()
        self.call(name, ctypes.byref(value), *arguments)
        return value

    def devices(self) -> tuple[Device, ...]:
        """The devices of this machine that the driver lists."""
        found = []
        for number in range(self.integer("cuDeviceGetCount")):
            device, text = self.integer("cuDeviceGet", number), ctypes.create_string_buffer(256)
            self.call("cuDeviceGetName", text, 256, device)
            major, minor, count = (
                self.integer("cuDeviceGetAttribute", attribute, device)
                for attribute in (_MAJOR, _MINOR, _MULTIPROCESSORS)
            )
            found.append(Device(number, text.value.decode(), 10 * major + minor, count))
        return tuple(found)


@functools.cache
def driver() -> Driver | None:
    """The driver, or None where there is none (or it refuses to start)."""
    try:
        return Driver(ctypes.CDLL(os.environ.get("OCTET_LIBCUDA", LIBRARY)))
    except (OSError, OctetError):
        return None


@functools.cache
def device() -> Device | None:
    """The device that sessions run on, or None: the first that CUDA_VISIBLE_DEVICES leaves."""
    found = driver()
    devices = found.devices() if found is not None else ()
    return devices[0] if devices else None


def state() -> str:
    """Which driver and devices this machine has, in words."""
    if driver() is None:
        return "there is no CUDA driver"
    found = device()
    return "there is no CUDA device" if found is None else f"the device is {found.name}, sm_{found.arch}"


def device_features() -> frozenset[str]:
    """Which of the CUDA targets' features this machine has: code for an older architecture runs as it is or through its
    PTX, "a" only where it is the device's."""
    found = device()
    if found is None:
        return frozenset()
    return frozenset(
        [
            *(f"cuda_sm{arch}" for arch in ARCHITECTURES if arch <= found.arch),
            *(f"cuda_sm{arch}a" for arch in EXACT if arch == found.arch),
        ]
    )
