"""Opens a variant's shared library with TVM's runtime alone: no compiler, and not the 1.4 s of `import tvm`."""

import ctypes
import functools
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from . import detect
from .elf import check_library
from .errors import OctetError, PackageError


@functools.cache
def runtime():
    """tvm_ffi with libtvm_runtime.so loaded into the process. Raises OctetError where TVM is not installed."""
    found = importlib.util.find_spec("tvm")
    if found is None or importlib.util.find_spec("tvm_ffi") is None:
        raise OctetError("apache-tvm is not installed in this environment; run: pip install octet")
    # TVM halves the number of logical processors (it expects hyper-threads) and pins its workers to fixed cores, which two processes on
    # one machine would then share: the pool gets as many threads as there are cores, and the kernel places them.
    os.environ.setdefault("TVM_NUM_THREADS", str(detect.cores()))
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    tvm_ffi = _import_tvm_ffi()
    if "tvm" not in sys.modules:
        runtime_library()
    return tvm_ffi


@functools.cache
def runtime_library() -> ctypes.CDLL:
    """libtvm_runtime.so itself."""
    return ctypes.CDLL(str(Path(importlib.util.find_spec("tvm").origin).parent / "lib" / "libtvm_runtime.so"), ctypes.RTLD_GLOBAL)


def _import_tvm_ffi():
    """`import tvm_ffi` imports PyTorch where that is installed (0.9 s) for tensors that we never pass: it is hidden for that one import."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None
    try:
        import tvm_ffi
    finally:
        if hidden:
            del sys.modules["torch"]
    return tvm_ffi


def open_library(image: bytes):
    """The tvm_ffi module of a shared object held in memory. Raises PackageError when it cannot be mapped."""
    tvm_ffi = runtime()
    try:
        check_library(image)
    except ValueError as error:
        raise PackageError(f"the kernels cannot be loaded: the library {error}; compile the package again") from None
    try:
        # The file lies in memory, where neither a full disk nor a folder without execution is in its way; the link is a name that no other library of the process has.
        with os.fdopen(os.memfd_create("kernels.so"), "wb") as file, tempfile.TemporaryDirectory(prefix="octet-", dir=_folder_for_a_link()) as folder:
            file.write(image)
            file.flush()
            path = Path(folder) / "kernels.so"
            path.symlink_to(f"/proc/self/fd/{file.fileno()}")
            return tvm_ffi.load_module(str(path), keep_module_alive=False)  # mapped: the file may go; unmapped with the last user
    except (OSError, RuntimeError) as error:
        raise PackageError(f"the kernels cannot be loaded: {first_line(error)}; set TMPDIR to a folder that can be written, and see that memory is left") from error


def _folder_for_a_link():
    """Nothing is stored in it. Where no folder for temporary files can be written, there is often one in memory."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return "/dev/shm"


def max_threads() -> int:
    """The size of the pool."""
    runtime()
    return int(os.environ["TVM_NUM_THREADS"])


def first_line(error) -> str:
    """What a library said, as one line."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
