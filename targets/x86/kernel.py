"""The frame of a kernel: a PrimFunc over flat buffers."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache, wraps
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from .isa import current

if TYPE_CHECKING:
    from .isa import Isa


# A network has some dozens of kernels that differ, a large one of many extents 400, and as many in another precision.
_KEPT = 2048


def emit_kernel(name: str, body: Callable[[], object]) -> tirx.PrimFunc:
    """A PrimFunc called `name`; `body()` declares its arguments with `argument` and emits its statements."""
    with IRBuilder() as builder:
        with T.prim_func():
            T.func_name(name)
            T.func_attr({"global_symbol": name, "tirx.noalias": True})
            body()
    return builder.get()


def built_once(build: Callable[..., tirx.PrimFunc]) -> Callable[..., tirx.PrimFunc]:
    """Decorates a function of problems and schedules (hashable values) alone: the kernel of equal ones for the same
    vector unit is one object, built once. Building takes milliseconds, and networks repeat their layers."""

    @lru_cache(_KEPT)
    def built(isa: "Isa", *args: object, **options: object) -> tirx.PrimFunc:
        return build(*args, **options)

    @wraps(build)
    def found(*args: object, **options: object) -> tirx.PrimFunc:
        return built(current(), *args, **options)

    return found


def argument(name: str, elements: int, dtype: str) -> tirx.Buffer:
    """The next argument: a flat buffer."""
    return T.arg(name, T.Buffer((elements,), dtype))


WAKE_UP = 10.0  # Waking another thread and waiting for it pays from this work on, in microseconds.


def task_loop(extent: int, microseconds: float) -> AbstractContextManager[tirx.Expr]:
    """`for task in range(extent)`, over all cores if the whole loop is estimated to take long enough."""
    return T.parallel(0, extent) if extent > 1 and microseconds >= WAKE_UP else T.serial(0, extent)


LINE = 64


def on_stack(elements: int, dtype: str) -> tirx.Buffer:
    """A flat buffer on the stack that starts with a cache line. TVM asks LLVM for 16 bytes at most, and then every
    64-byte vector lies in two lines."""
    size = np.dtype(dtype).itemsize
    room = T.alloc_buffer((elements + LINE // size - 1,), dtype, annotations={"disable_lower_builtin": True})
    address = tirx.Cast("int32", tirx.reinterpret("uint64", tirx.address_of(room[0])) & tirx.const(LINE - 1, "uint64"))
    start = T.Bind(tirx.address_of(room[tirx.floordiv((LINE - address) & (LINE - 1), size)]))
    return T.decl_buffer((elements,), dtype, data=start)
