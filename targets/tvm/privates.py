"""Everything that Octet takes of TVM beside its public interface, each with a test (tests/targets/test_privates.py):
what to look at first when TVM's version changes."""

import ctypes
import importlib.util
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from ..seams import Attrs

_INTRINSICS = "tvm.s_tir.tensor_intrin"


@contextmanager
def _standing_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """Whoever imports `name` inside gets `module`, or ImportError for None, unless it was imported before."""
    missing = name not in sys.modules
    if missing:
        cast(dict[str, Any], sys.modules)[name] = module
    try:
        yield
    finally:
        if missing:
            del sys.modules[name]


@contextmanager
def without_intrinsics() -> Iterator[None]:
    """A TuneContext of MetaSchedule that is made inside does not import TVM's tensor intrinsics for all targets, which
    takes longer than `import tvm` itself: none of our spaces uses them."""
    with _standing_in(_INTRINSICS, ModuleType(_INTRINSICS)):
        yield


def import_tvm_ffi() -> ModuleType:
    """`import tvm_ffi` imports PyTorch where that is installed, for tensors that we never pass: it is hidden for that
    one import."""
    with _standing_in("torch", None):
        import tvm_ffi
    return tvm_ffi


def runtime_library() -> ctypes.CDLL:
    """TVM's libtvm_runtime.so itself, which `import tvm` loads too."""
    found = importlib.util.find_spec("tvm")
    assert found is not None and found.origin is not None, "whoever asks has imported tvm_ffi, which comes with it"
    return ctypes.CDLL(str(Path(found.origin).parent / "lib" / "libtvm_runtime.so"), ctypes.RTLD_GLOBAL)


def is_imported() -> bool:
    """Whether `import tvm` ran in this process, and so has loaded its libraries."""
    return "tvm" in sys.modules


def set_most_cores(library: ctypes.CDLL, count: int) -> None:
    """tvm::runtime::threading::SetMaxConcurrency(int), for the calling thread: with 1 TVM calls kernels without a
    pool. library: of `runtime_library`."""
    library["_ZN3tvm7runtime9threading17SetMaxConcurrencyEi"](count)


def register_operator(name: str, summary: str) -> None:
    """Makes an operator of Relax known to TVM. Once for each name."""
    import tvm

    tvm.ir._ffi_api.RegisterOp(name, summary)


def onnx_converters() -> dict[str, Any]:
    """TVM's converters by the name of ONNX's operator."""
    from tvm.relax.frontend.onnx import onnx_frontend

    return onnx_frontend._get_convert_map()


def parsed_attributes(importer: Any, attributes: Any) -> dict[str, Any]:
    """The attributes of a node, as TVM's converters take them. importer: an ONNXGraphImporter."""
    return importer._parse_attr(attributes)


def converted(importer: Any, operator: str, inputs: Any, attrs: Attrs, opset: int) -> Any:
    """What TVM's converter makes of a node: an expression, or a tuple of them."""
    return importer._convert_operator(operator, inputs, attrs, opset)


def end_block(builder: Any) -> None:
    """Ends the open block of a BlockBuilder whose function is given up."""
    builder._end_block()


def listen(door: Any, port: int, key: str, tracker: tuple[str, int] | None) -> None:
    """The loop of TVM's RPC server, for ever. door: what it takes for a listening socket: `accept` and `fileno`.
    tracker: (host, port) that it reports its key and port to.

    Its sessions are forks, as they inherit the connection; from Python 3.14 on that is no longer what multiprocessing
    does unasked."""
    from tvm.rpc import server

    server.multiprocessing = multiprocessing.get_context("fork")
    server.logger.setLevel("ERROR")
    server._listen_loop(door, port, key, tracker, None, None)
