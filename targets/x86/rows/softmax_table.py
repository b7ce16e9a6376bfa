"""octet.softmax: softmax of rows of bytes in whole numbers, with a table of exponentials and a fixed-point
reciprocal."""

from dataclasses import dataclass
from math import prod

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind
from ...softmax_table import softmax_shift
from ..kernel import built_once, emit_kernel
from ..layout import STORED_OFFSET, Layout
from ..vector_loops import LoopSchedule, default_loops, each, tensors


@dataclass(frozen=True)
class SoftmaxTableProblem:
    """Over the last axis of `shape` (rows layout). The others as in passes/ops.py."""

    shape: tuple[int, ...]
    levels: int
    out_zero_point: int
    dtype = "int8"
    multiply_adds = 0  # A dot product does none of its work.
    light = False

    @property
    def layout(self) -> Layout:
        """The layout of operand and result: all axes but the last as rows of int8."""
        return Layout("rows", (prod(self.shape[:-1]), self.shape[-1]), "int8")

    @property
    def traffic(self) -> int:
        """A measure of its work: a look-up takes as long as eight bytes of other kernels."""
        return 8 * self.layout.elements

    @property
    def name(self) -> str:
        """The kernel's, with rows x channels."""
        return f"softmax_table_{self.layout.pixels}x{self.shape[-1]}"


@built_once
def softmax_by_table(p: SoftmaxTableProblem, schedule: LoopSchedule | None = None) -> tirx.PrimFunc:
    """(x, table int32[256], y). Scalar loops over a row, which LLVM makes vectors of."""
    how = schedule if schedule is not None else default_loops(p)
    layout, shift, columns = p.layout, softmax_shift(p.levels), p.shape[-1]

    def body() -> None:
        x, table, y = tensors(x=layout, table=Layout("plain", (256,), "int32"), y=layout)
        with each(layout.pixels, how) as row:
            at = bind(row * layout.channel_stride)
            powers = T.alloc_buffer((columns,), "int32", annotations={"disable_lower_builtin": True})
            largest, total = T.alloc_buffer((1,), "uint8"), T.alloc_buffer((1,), "int32")
            T.buffer_store(largest, tirx.const(0, "uint8"), [0])
            T.buffer_store(total, 0, [0])
            with T.serial(0, columns) as c:
                T.buffer_store(largest, tirx.max(largest[0], x[at + c]), [0])
            top = bind(tirx.Cast("int32", largest[0]))
            with T.serial(0, columns) as c:
                power = bind(table[top - tirx.Cast("int32", x[at + c])])
                T.buffer_store(powers, power, [c])
                T.buffer_store(total, total[0] + power, [0])
            share = bind(tirx.truncdiv(tirx.const(p.levels << shift, "int32"), total[0]))
            with T.serial(0, columns) as c:
                code = (powers[c] * share + (1 << (shift - 1))) >> shift
                T.buffer_store(y, tirx.Cast("uint8", code + (p.out_zero_point + STORED_OFFSET)), [at + c])

    return emit_kernel(p.name, body)
