"""TVM's runtime alone, for single kernels that are measured: no compiler, and not the 1.4 s of `import tvm`. Sessions
do not need it."""

import ctypes
import functools
import importlib.util
import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from . import detect
from .errors import OctetError
from .native.mapped import mapped


@functools.cache
def runtime() -> ModuleType:
    """tvm_ffi with libtvm_runtime.so loaded into the process. Raises OctetError where TVM is not installed."""
    found = importlib.util.find_spec("tvm")
    if found is None or importlib.util.find_spec("tvm_ffi") is None:
        raise OctetError("apache-tvm is not installed in this environment; run: pip install 'octet[compile]'")
    # TVM halves the number of logical processors (it expects hyper-threads) and pins its workers to fixed cores, which
    # two processes on one machine would then share: the pool gets as many threads as there are cores, and the kernel
    # places them.
    os.environ.setdefault("TVM_NUM_THREADS", str(detect.cores()))
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    tvm_ffi = _import_tvm_ffi()
    if "tvm" not in sys.modules:
        runtime_library()
    return tvm_ffi


@functools.cache
def runtime_library() -> ctypes.CDLL:
    """libtvm_runtime.so itself."""
    found = importlib.util.find_spec("tvm")
    assert found is not None and found.origin is not None, "whoever asks has imported tvm_ffi, which comes with it"
    return ctypes.CDLL(str(Path(found.origin).parent / "lib" / "libtvm_runtime.so"), ctypes.RTLD_GLOBAL)


def _import_tvm_ffi() -> ModuleType:
    """`import tvm_ffi` imports PyTorch where that is installed (0.9 s) for tensors that we never pass: it is hidden for
    that one import."""
    hidden = "torch" not in sys.modules
    if hidden:
        cast(dict, sys.modules)["torch"] = None
    try:
        import tvm_ffi
    finally:
        if hidden:
            del sys.modules["torch"]
    return tvm_ffi


def open_library(image: bytes) -> Any:
    """The tvm_ffi module of a shared object held in memory. Raises PackageError when it cannot be mapped."""
    tvm_ffi = runtime()
    with mapped(image) as path:
        return tvm_ffi.load_module(path, keep_module_alive=False)  # unmapped with the last user


_thread = threading.local()  # count: what TVM was last told on this thread


def use_threads(count: int) -> None:
    """Makes kernels that the calling thread calls through TVM run on `count` cores. TVM's pool belongs to the thread
    that calls a kernel; its threads stay when that thread ends, and in a forked process they are missing while TVM
    waits for them: it is for processes of ours that measure, on their main thread."""
    if getattr(_thread, "count", None) != count:
        alone, pool = _functions()
        alone(1) if count == 1 else pool(1, count)  # the pool's configuration lifts the limit again
        _thread.count = count


@functools.cache
def _functions() -> tuple[Any, Any]:
    """(the limit of the calling thread's cores: with 1 TVM calls kernels without a pool; the configuration of the
    calling thread's pool, which is made)."""
    known = runtime()  # its library needs one that this loads
    return runtime_library()["_ZN3tvm7runtime9threading17SetMaxConcurrencyEi"], known.get_global_func(
        "runtime.config_threadpool"
    )
