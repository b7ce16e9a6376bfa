"""Runs kernels without a GPU: the same CUDA C++ as a host library, threads as fibres (device/fibres.cuh).

A launch is as on a GPU, only slower, and stricter: accesses that are misaligned or outside of a buffer, and barriers that some threads miss, are errors."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from ..errors import TargetError
from .kernel import Kernel
from .source import DEVICE, emulated_source, named

FLAGS = ("-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-fno-strict-aliasing", "-DOCTET_EMULATE")
_TEXT = 400


class EmulationError(RuntimeError):
    """What a GPU would have answered with a fault, or with a wrong result now and then."""


class Emulator:
    """Kernels of one translation unit. kernels: what `launch` may name. device: folder of the .cuh files."""

    def __init__(self, kernels, device: Path = DEVICE):
        self.names = named(kernels)
        self._library = compile_host(emulated_source(self.names), device)
        self._library.octet_buffer_end.restype = ctypes.c_void_p
        self._library.octet_buffer_end.argtypes = (ctypes.c_size_t,)
        self._library.octet_release.argtypes = (ctypes.c_void_p, ctypes.c_size_t)

    def buffer(self, array: np.ndarray) -> "Buffer":
        return Buffer(self._library, array)

    def launch(self, kernel: Kernel, addresses, seed: int = 0) -> None:
        """addresses: of the operands, in order. Raises EmulationError."""
        values = [ctypes.c_void_p(address) for address in addresses]
        assert len(values) == kernel.operands, (kernel, len(values))
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        text = ctypes.create_string_buffer(_TEXT)
        grid, block = (ctypes.c_uint * 3)(*kernel.grid), (ctypes.c_uint * 3)(kernel.block, 1, 1)
        name = self.names[kernel].encode()
        if self._library.octet_emulate(name, grid, block, kernel.shared, pointers, ctypes.c_uint64(seed), text, _TEXT):
            raise EmulationError(f"{kernel.family}: {text.value.decode()}")

    def run(self, kernel: Kernel, operands, result: np.ndarray, seed: int = 0) -> np.ndarray:
        """One launch on buffers of their own, each with forbidden memory right behind it. result: what the output buffer holds before; a new array comes back."""
        buffers = [self.buffer(operand) for operand in (*operands, result)]
        self.launch(kernel, [buffer.address for buffer in buffers], seed)
        return buffers[-1].array.copy()


class Buffer:
    """A copy of an array that ends (to 16 bytes) where memory may no longer be touched."""

    def __init__(self, library, array: np.ndarray):
        flat = np.ascontiguousarray(array).reshape(-1)
        self._library, self._bytes = library, -(-max(flat.nbytes, 1) // 16) * 16
        self._end = library.octet_buffer_end(self._bytes)
        self.address = self._end - self._bytes
        raw = (ctypes.c_uint8 * self._bytes).from_address(self.address)
        self.array = np.frombuffer(raw, np.uint8)[: flat.nbytes].view(flat.dtype)
        self.array[...] = flat

    def __del__(self):
        self._library.octet_release(self._end, self._bytes)


def compile_host(text: str, device: Path = DEVICE) -> ctypes.CDLL:
    """A C++ text that includes the device files, as a loaded library. Raises TargetError without a host compiler."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if not compiler:
        raise TargetError("the CUDA emulator needs a C++20 host compiler and found no g++; install one, or name it in CXX")
    with tempfile.TemporaryDirectory() as folder:
        path, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        path.write_text(text)
        done = subprocess.run([compiler, *FLAGS, f"-I{device}", str(path), "-o", str(library)], capture_output=True, text=True)
        if done.returncode != 0:
            raise TargetError(f"{compiler}: cannot compile the emulator ({_first_error(done.stderr)}); it needs C++20, g++ 12 or newer")
        return ctypes.CDLL(str(library))


def _first_error(text):
    return next((line for line in text.splitlines() if "error" in line), text.strip()[-200:])
