"""Whether a worker's CPU has what a target needs, asked through TVM's RPC: a library that reads /proc/cpuinfo there."""

import functools

import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..passes.lower.codegen import compile_library
from ..targets.detect import flags_of
from ..targets.errors import TargetError
from ..targets.spec import TargetSpec

_BYTES = 1 << 14  # The first processor in /proc/cpuinfo is enough, and takes fewer bytes than this.
_BASE = TargetSpec("baseline", "x86-64", frozenset(), "madd256", 128, 0)


def check_worker(remote, spec: TargetSpec) -> None:
    """Makes sure that a worker's CPU can run the kernels of a target.

    remote: an RPC session. Raises TargetError when the worker's CPU lacks features of the target. A worker without
    /proc/cpuinfo is trusted."""
    remote.upload(bytearray(_library()), "probe.so")
    text = tvm.runtime.tensor(np.zeros(_BYTES, np.uint8), remote.cpu(0))
    remote.load_module("probe.so")["octet_cpuinfo"](text)
    found = text.numpy().tobytes().rstrip(b"\0").decode(errors="replace")
    if "\n\n" not in found:
        return
    lacks = sorted(spec.features - flags_of(found.split("\n\n")[0]))
    if lacks:
        raise TargetError(
            f"tune: a worker's CPU lacks {', '.join(lacks)}, which target {spec.name} needs; give machines of another "
            "kind another --key"
        )


@functools.cache
def _library() -> bytes:
    """octet_cpuinfo(text u8[_BYTES]), for any x86-64 Linux."""
    with IRBuilder() as builder:
        with T.prim_func():
            T.func_name("octet_cpuinfo")
            T.func_attr({"global_symbol": "octet_cpuinfo"})
            text = T.arg("text", T.Buffer((_BYTES,), "uint8"))
            file = T.Bind(tirx.call_extern("int32", "open", "/proc/cpuinfo", tirx.const(0, "int32")))
            with T.serial(0, 8) as part:  # A read gives one page at most.
                at = tirx.address_of(text[part * (_BYTES // 8)])
                T.evaluate(tirx.call_extern("int64", "read", file, at, tirx.const(_BYTES // 8, "int64")))
            T.evaluate(tirx.call_extern("int32", "close", file))
    return compile_library(tvm.IRModule({"octet_cpuinfo": builder.get()}), _BASE)
