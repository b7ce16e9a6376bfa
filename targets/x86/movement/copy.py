"""A plain tensor of any type, copied."""

from tvm.tirx.script import builder as T

from ..kernel import emit_kernel
from ..layout import Layout
from ..vector_loops import tensors


def copy(layout: Layout):
    """(x, y). One loop, which LLVM turns into memcpy."""

    def body():
        x, y = tensors(x=layout, y=layout)
        with T.serial(0, layout.elements) as i:
            T.buffer_store(y, x[i], [i])

    return emit_kernel(f"copy_{layout.dtype}_" + "x".join(map(str, layout.shape)), body)
