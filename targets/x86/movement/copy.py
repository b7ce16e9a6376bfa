"""A tensor of any type, copied."""

from tvm.tirx.script import builder as T

from ..kernel import emit_kernel
from ..layout import SLACK, Layout
from ..vector_loops import tensors


def copy(layout: Layout):
    """(x, y). One loop, which LLVM turns into memcpy. The slack behind a packed tensor stays as it is."""

    def body():
        x, y = tensors(x=layout, y=layout)
        with T.serial(0, layout.elements - (0 if layout.kind == "plain" else SLACK)) as i:
            T.buffer_store(y, x[i], [i])

    return emit_kernel(f"copy_{layout.kind}_{layout.dtype}_" + "x".join(map(str, layout.shape)), body)
