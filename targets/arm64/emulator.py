"""Variants for arm64 on another machine: QEMU runs their library, instruction by instruction, in a process of its own.

QEMU's user mode stands in for any processor that has all extensions (-cpu max); the C library is that of the cross
compiler."""

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..batches import Arrays, Results, meant
from ..errors import OctetError
from ..native.link import FLAGS, run_compiler
from ..variant import Variant

if TYPE_CHECKING:
    from ..variant import TensorSpec


QEMU, MACHINE = "qemu-aarch64", "aarch64"
_SYSROOT = "/usr/aarch64-linux-gnu"  # Debian's cross compiler keeps arm64's libraries here.
_HERE = Path(__file__).parent


def lacking() -> str:
    """What this machine lacks to run arm64 code, in words; "" where it lacks nothing."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed (Debian: qemu-user)"
    try:
        _runner()
    except OctetError as error:
        return str(error)
    return ""


@functools.cache
def _runner() -> bytes:
    """The program of runner.c."""
    with tempfile.TemporaryDirectory(prefix="octet-") as folder:
        program = Path(folder) / "runner"
        run_compiler(
            folder, *FLAGS, f"-I{_HERE.parent / 'native'}", "-o", program, _HERE / "runner.c", "-ldl", machine=MACHINE
        )
        return program.read_bytes()


class EmulatedArm64Session:
    """Runs one variant for arm64. As `Session`, with a process per run."""

    def __init__(self, variant: Variant, threads: int = 1) -> None:
        """Raises OctetError where this machine cannot."""
        if lacks := lacking():
            raise OctetError(f"{variant.target}: cannot be emulated here: {lacks}")
        self._variant, self._threads = variant, threads

    def run(self, inputs: Arrays) -> Results:
        """{name: array} -> {name: array}. Raises OctetError where the program fails."""
        variant = self._variant
        arrays = [np.ascontiguousarray(inputs[spec.name], spec.dtype).reshape(spec.shape) for spec in variant.inputs]
        with tempfile.TemporaryDirectory(prefix="octet-") as folder:
            runner, library, weights, given, found = (
                Path(folder) / name for name in ("runner", "kernels.so", "weights", "in", "out")
            )
            runner.write_bytes(_runner())
            runner.chmod(0o755)
            library.write_bytes(variant.library)
            weights.write_bytes(variant.weights.tobytes())
            given.write_bytes(b"".join(array.tobytes() for array in arrays))
            sizes = [
                *(str(spec.nbytes) for spec in variant.inputs),
                "-",
                *(str(spec.nbytes) for spec in variant.outputs),
            ]
            command: list[str | Path] = [
                QEMU,
                "-cpu",
                "max",
                "-L",
                os.environ.get("QEMU_LD_PREFIX", _SYSROOT),
                runner,
                library,
                weights,
                str(variant.shape),
                str(self._threads),
                given,
                found,
                *sizes,
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                said = next(iter(done.stderr.strip().splitlines()[-1:]), f"{QEMU} ended with {done.returncode}")
                raise OctetError(f"{variant.target}: cannot be emulated here: {said}")
            return meant(variant.outputs, _arrays(variant.outputs, found.read_bytes()))


def _arrays(specs: "Sequence[TensorSpec]", data: bytes) -> Results:
    """The outputs, which lie behind each other, as arrays."""
    found, at = {}, 0
    for spec in specs:
        found[spec.name] = np.frombuffer(data, spec.dtype, spec.nbytes // np.dtype(spec.dtype).itemsize, at).reshape(
            spec.shape
        )
        at += spec.nbytes
    return found
