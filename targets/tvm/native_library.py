"""TVM's runtime alone, for single kernels that are measured: no compiler, and not the time that `import tvm` takes.
Sessions do not need it."""

import functools
import importlib.util
import os
import threading
from types import ModuleType
from typing import Any

from .. import detect
from ..errors import OctetError
from ..native.mapped import mapped
from . import privates


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
    tvm_ffi = privates.import_tvm_ffi()
    if not privates.is_imported():
        _library()
    return tvm_ffi


_library = functools.cache(privates.runtime_library)


def open_library(image: bytes) -> Any:
    """The tvm_ffi module of a shared object held in memory. Raises PackageError when it cannot be mapped."""
    tvm_ffi = runtime()
    with mapped(image) as path:
        return tvm_ffi.load_module(path, keep_module_alive=False)  # The library is unmapped with its last user.


_thread = threading.local()  # The attribute `count` is what TVM was told last on this thread.


def use_threads(count: int) -> None:
    """Makes kernels that the calling thread calls through TVM run on `count` cores. TVM's pool belongs to the thread
    that calls a kernel; its threads stay when that thread ends, and in a forked process they are missing while TVM
    waits for them: it is for processes of ours that measure, on their main thread."""
    if getattr(_thread, "count", None) != count:
        known = runtime()  # The kernel's library needs a library that this loads.
        if count == 1:
            privates.set_most_cores(_library(), 1)
        else:
            known.get_global_func("runtime.config_threadpool")(1, count)  # The call also lifts the limit again.
        _thread.count = count
