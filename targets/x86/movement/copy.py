"""A tensor of any type, copied; and int8 between its two ways of being stored."""

from tvm import tirx
from tvm.tirx.script import builder as T

from ..kernel import built_once, emit_kernel
from ..layout import SLACK, STORED_OFFSET, Layout
from ..vector_loops import tensors


@built_once
def copy(layout: Layout) -> tirx.PrimFunc:
    """(x, y). One loop, which LLVM turns into memcpy. The slack behind a packed tensor stays as it is."""

    def body() -> None:
        x, y = tensors(x=layout, y=layout)
        with T.serial(0, layout.elements - (0 if layout.kind == "plain" else SLACK)) as i:
            T.buffer_store(y, x[i], [i])

    return emit_kernel(f"copy_{layout.kind}_{layout.dtype}_" + "x".join(map(str, layout.shape)), body)


@built_once
def flip_signs(source: Layout, target: Layout) -> tirx.PrimFunc:
    """(x, y). Plain codes, stored as u8 = s8 + 128, from or to plain int8 as it is: the highest bit of every byte is
    turned over."""

    def body() -> None:
        x, y = tensors(x=source, y=target)
        with T.serial(0, source.elements) as i:
            byte = tirx.reinterpret("uint8", x[i]) ^ tirx.const(STORED_OFFSET, "uint8")
            T.buffer_store(y, tirx.reinterpret(target.storage, byte), [i])

    return emit_kernel(f"shift_{target.storage}_" + "x".join(map(str, source.shape)), body)
