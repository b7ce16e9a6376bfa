"""CUDA C++ -> machine code and PTX by NVRTC, the run-time compiler: a pip package instead of a toolkit, and the only
one that still knows sm_61 (before 13)."""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import TargetError
from .fatbin import fatbin

# These packages bring the library, newest first: each installs into a folder of `nvidia`, where one file is wanted.
_WHEELS = (("cu13/lib", "libnvrtc.so.13"), ("cuda_nvrtc/lib", "libnvrtc.so.12"))
_SYSTEM = ("libnvrtc.so.13", "libnvrtc.so.12")
_LEAST = (12, 4)


@dataclass(frozen=True, eq=False)
class Nvrtc:
    """One loaded library. version: (major, minor). architectures: that it makes code for."""

    path: str
    version: tuple[int, int]
    architectures: frozenset[int]
    library: ctypes.CDLL

    def fatbin(self, text: str, arch: int | str, flags: tuple[str, ...], folder: Path) -> tuple[bytes, str]:
        """(machine code and, unless it is for one architecture alone ("90a"), PTX, the compiler's messages). folder: of
        the headers. Raises TargetError in one line."""
        cubin, ptx, log = self._compiled(text, arch, flags, folder)
        return (
            fatbin(cubin, ptx, arch) if isinstance(arch, int) else fatbin(cubin, b"", int(arch.removesuffix("a")))
        ), log

    def cubin(self, text: str, arch: int | str, flags: tuple[str, ...], folder: Path) -> tuple[bytes, str]:
        """Compiles as `fatbin` does, to machine code alone."""
        cubin, _, log = self._compiled(text, arch, flags, folder)
        return cubin, log

    def ptx(self, text: str, arch: int | str, flags: tuple[str, ...], folder: Path) -> tuple[bytes, str]:
        """Compiles as `fatbin` does, to PTX alone."""
        _, ptx, log = self._compiled(text, arch, flags, folder)
        return ptx.rstrip(b"\0"), log

    def _compiled(self, text: str, arch: int | str, flags: tuple[str, ...], folder: object) -> tuple[bytes, bytes, str]:
        """(cubin, PTX, messages)."""
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
        try:
            options = [option.encode() for option in (*flags, f"--gpu-architecture=sm_{arch}", f"-I{folder}")]
            status = self.library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
            log = self._text(program, "nvrtcGetProgramLog").decode(errors="replace")
            if status != 0:
                reason = next((line.strip() for line in log.splitlines() if "error" in line), log.strip()[-200:])
                raise TargetError(
                    f"{self.path} failed for sm_{arch}: {reason}; it must be 12.4 or newer and know the architecture"
                )
            return self._bytes(program, "nvrtcGetCUBIN"), self._bytes(program, "nvrtcGetPTX"), log
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self.library, name)(*arguments)
        if status != 0:
            raise TargetError(f"{self.path}: {name} failed with status {status}; install the package again")

    def _bytes(self, program: ctypes.c_void_p, getter: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"{getter}Size", program, ctypes.byref(size))
        found = ctypes.create_string_buffer(size.value)
        self._call(getter, program, found)
        return found.raw

    def _text(self, program: ctypes.c_void_p, getter: str) -> bytes:
        return self._bytes(program, getter).rstrip(b"\0")


def find_nvrtc(arch: int) -> Nvrtc | None:
    """A library that makes code for the architecture; None where there is none."""
    return next(
        (
            found
            for path in _places()
            if (found := _opened(path)) is not None and arch in found.architectures and found.version >= _LEAST
        ),
        None,
    )


def _places() -> Sequence[str]:
    """Paths or names of libraries, the environment's NVRTC alone if that is set."""
    named = os.environ.get("NVRTC")
    if named is not None:
        return (named,)
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    wheels = [
        str(path) for inner, name in _WHEELS for folder in folders if (path := Path(folder) / inner / name).exists()
    ]
    return (*wheels, *_SYSTEM)


@functools.cache
def _opened(path: str) -> Nvrtc | None:
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return None
    major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    found = (ctypes.c_int * count.value)()
    library.nvrtcGetSupportedArchs(found)
    return Nvrtc(str(path), (major.value, minor.value), frozenset(found), library)
