"""Which driver a fatbin needs, read from the fatbin: machine code runs on every driver of its compiler's major version,
PTX only on one that knows its version."""

import struct
from dataclasses import dataclass

from ...errors import PackageError
from .driver import Device

_MAGIC = 0xBA55ED50
_CONTAINER, _ENTRY = struct.Struct("<IHHQ"), struct.Struct("<HHIQIIHHI")
_PTX = 1
# Each version of PTX came with a version of CUDA (PTX ISA, release notes). Later ones count on by the minor version:
# 9.0 came with CUDA 13.0.
_BROUGHT = {(8, 4): (12, 4), (8, 5): (12, 5), (8, 6): (12, 7), (8, 7): (12, 8), (8, 8): (12, 9)}


@dataclass(frozen=True)
class Needs:
    """What a device and its driver must have to load a library. arch: of the machine code. code: the least driver for
    it, as drivers count (13000 is CUDA 13.0). ptx: for devices of another architecture, which run the PTX."""

    arch: int
    code: int
    ptx: int


def needs_of(fatbin: bytes) -> Needs | None:
    """What a fat binary needs of a device; None where there is no PTX to tell, or no fatbin."""
    if len(fatbin) < _CONTAINER.size or _CONTAINER.unpack_from(fatbin)[0] != _MAGIC:
        return None
    at, end = _CONTAINER.size, min(len(fatbin), _CONTAINER.size + _CONTAINER.unpack_from(fatbin)[3])
    while at + _ENTRY.size <= end:
        kind, _, header, size, _, _, minor, major, arch = _ENTRY.unpack_from(fatbin, at)
        if kind == _PTX:
            cuda = _BROUGHT.get((major, minor), (major + 4, minor))
            return Needs(arch, 1000 * cuda[0], 1000 * cuda[0] + 10 * cuda[1])
        at += max(header + size, _ENTRY.size)
    return None


def check_driver(target: str, needs: Needs | None, device: Device, version: int) -> None:
    """Refuses a driver that is too old for a library. version: of the driver. Raises PackageError in one line where it
    is older than what the device would run needs."""
    if needs is None:
        return
    own = device.arch // 10 == needs.arch // 10
    least, what = (
        (needs.code, "its machine code needs")
        if own
        else (needs.ptx, f"its PTX, which sm_{device.arch} would run, needs")
    )
    if version < least:
        raise PackageError(
            f"target {target}: {what} a driver of CUDA {_words(least)} or newer, this one is of CUDA "
            f"{_words(version)}; update it, or compile with an older CUDA toolkit"
        )


def _words(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
