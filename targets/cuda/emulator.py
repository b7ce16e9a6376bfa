"""Runs kernels without a GPU: the same CUDA C++ as a host library, threads as fibres (device/fibres.cuh).

A launch is as on a GPU, only slower, and stricter: accesses that are misaligned or outside of a buffer, and barriers
that some threads miss, are errors."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from ..batches import Arrays, Results
from ..errors import TargetError
from ..variant import Variant
from .compiling.source import DEVICE, emulated_source

FLAGS = (
    "-std=c++20",
    "-O1",
    "-w",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-U_FORTIFY_SOURCE",
    "-fno-strict-aliasing",
    "-DOCTET_EMULATE",
)
_TEXT = 400


class EmulationError(RuntimeError):
    """What a GPU would have answered with a fault, or with a wrong result now and then."""


class Emulator:
    """Kernels of CUDA C++ that run on the CPU. text: CUDA C++ of kernels (`source.source`). operands: number of each
    kernel's arguments. device: folder of the .cuh files."""

    def __init__(self, text: str, operands: dict[str, int], device: Path = DEVICE) -> None:
        self._operands = operands
        self._library = compile_host(emulated_source(text, operands), device)
        self._library.octet_buffer_end.restype = ctypes.c_void_p
        self._library.octet_buffer_end.argtypes = (ctypes.c_size_t,)
        self._library.octet_release.argtypes = (ctypes.c_void_p, ctypes.c_size_t)

    @classmethod
    def of_variant(cls, variant: Variant) -> "Emulator":
        """The kernels of a variant of kind "cuda"."""
        return cls(str(variant.source), {launch.function: len(launch.operands) for launch in variant.launches})

    def buffer(self, array: np.ndarray) -> "Buffer":
        """A copy of an array that ends (to 16 bytes) where memory may no longer be touched."""
        return Buffer(self._library, array)

    def launch(
        self, name: str, grid: tuple[int, int, int], block: int, shared: int, addresses: list[int], seed: int = 0
    ) -> None:
        """Runs a kernel on the CPU. addresses: of the operands, in order. seed: picks the order of threads. Raises
        EmulationError."""
        values = [ctypes.c_void_p(address) for address in addresses]
        assert len(values) == self._operands[name], (name, len(values))
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        text = ctypes.create_string_buffer(_TEXT)
        extents, threads = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(block, 1, 1)
        if self._library.octet_emulate(
            name.encode(), extents, threads, shared, pointers, ctypes.c_uint64(seed), text, _TEXT
        ):
            raise EmulationError(f"{name}: {text.value.decode()}")

    def run(self, variant: Variant, inputs: Arrays, seed: int = 0) -> Results:
        """One inference of the variant: arrays by input name in, arrays by output name out. Outputs hold rubbish before
        they are written."""
        bases = {
            "weights": self.buffer(variant.weights),
            "arena": self.buffer(np.zeros(max(variant.arena_bytes, 1), np.uint8)),
        }
        given = [self.buffer(inputs[spec.name]) for spec in variant.inputs]
        made = [self.buffer(np.full(spec.shape, 0x5A, spec.dtype)) for spec in variant.outputs]
        sides = {"input": given, "output": made}
        for launch in variant.launches:
            addresses = [
                bases[kind].address + at if kind in bases else sides[kind][at].address for kind, at in launch.operands
            ]
            self.launch(launch.function, launch.grid, launch.block, launch.shared, addresses, seed)
        return {
            spec.name: buffer.array.reshape(spec.shape).copy()
            for spec, buffer in zip(variant.outputs, made, strict=True)
        }


class EmulatedCudaSession:
    """Runs one variant. As `Session`, and with every run threads take another order."""

    def __init__(self, variant: Variant) -> None:
        self._variant, self._emulator, self._order = variant, Emulator.of_variant(variant), -1

    def run(self, inputs: Arrays) -> Results:
        """{name: array} -> {name: array}. Raises EmulationError."""
        self._order += 1
        return self._emulator.run(self._variant, inputs, self._order)


class Buffer:
    """A copy of an array that ends (to 16 bytes) where memory may no longer be touched. `array` is valid as long as the
    buffer lives."""

    def __init__(self, library: ctypes.CDLL, array: np.ndarray) -> None:
        flat = np.ascontiguousarray(array).reshape(-1)
        self._library, self._bytes = library, -(-max(flat.nbytes, 1) // 16) * 16
        self._end = library.octet_buffer_end(self._bytes)
        self.address = self._end - self._bytes
        raw = (ctypes.c_uint8 * self._bytes).from_address(self.address)
        self.array = np.ctypeslib.as_array(raw)[: flat.nbytes].view(flat.dtype)
        self.array[...] = flat

    def __del__(self) -> None:
        self._library.octet_release(self._end, self._bytes)


def compile_host(text: str, device: Path = DEVICE) -> ctypes.CDLL:
    """A C++ text that includes the device files, as a loaded library. Raises TargetError without a host compiler."""
    with tempfile.TemporaryDirectory() as folder:
        # The library is mapped, so its file may go.
        return ctypes.CDLL(str(write_library(text, Path(folder) / "kernels.so", device)))


def write_library(text: str, path: Path, device: Path = DEVICE) -> Path:
    """Compiles as `compile_host` does, into a file."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if not compiler:
        raise TargetError(
            "the CUDA emulator needs a C++20 host compiler and found no g++; install one, or name it in CXX"
        )
    source = path.with_suffix(".cpp")
    source.write_text(text)
    done = subprocess.run(
        [compiler, *FLAGS, f"-I{device}", str(source), "-o", str(path)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise TargetError(
            f"{compiler}: cannot compile the emulator ({_first_error(done.stderr)}); it needs C++20, g++ 12 or newer"
        )
    return path


def _first_error(text: str) -> str:
    return next((line for line in text.splitlines() if "error" in line), text.strip()[-200:])
