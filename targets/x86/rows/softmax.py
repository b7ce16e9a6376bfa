"""Softmax over the rows of a matrix, as a kernel."""

from dataclasses import dataclass
from math import gcd, prod
from typing import TYPE_CHECKING

from tvm.tirx.script import builder as T

from ...cpu.expressions import load_vector
from ..kernel import built_once, emit_kernel, on_stack
from ..layout import Layout
from ..vector_loops import LoopSchedule, default_loops, each, tensors
from .softmax_bytes import emit_softmax_bytes, scratch_elements, staged_rows
from .softmax_exact import emit_softmax, write_floats

if TYPE_CHECKING:
    from tvm import tirx

TOGETHER = 16  # A task takes sixteen rows at a time where results are bytes.


@dataclass(frozen=True)
class SoftmaxProblem:
    """Over the last axis of `shape` (rows layout). scale: of an int8 result, whose zero point is 0 or -128; None for
    float32. peak: of an int8 result, whether each row is multiplied by 1 / its largest value."""

    shape: tuple[int, ...]
    scale: float | None
    zero_point: int = 0
    peak: bool = False
    dtype = "float32"
    multiply_adds = 0  # A dot product does none of its work.
    light = False

    @property
    def source(self) -> Layout:
        """All axes but the last as rows of float32."""
        return Layout("rows", (prod(self.shape[:-1]), self.shape[-1]), "float32")

    @property
    def target(self) -> Layout:
        """The layout of the result: the source's, of int8 where the result has a scale."""
        return Layout("rows", (prod(self.shape[:-1]), self.shape[-1]), "float32" if self.scale is None else "int8")

    @property
    def traffic(self) -> int:
        """Bytes of the source, which is read once; the later rounds find it in a cache."""
        return 4 * self.source.elements

    @property
    def name(self) -> str:
        """The kernel's, with the result's dtype and rows x channels."""
        return f"softmax_rows_{self.target.dtype}_{self.source.pixels}x{self.source.channels}"


@built_once
def softmax(p: SoftmaxProblem, schedule: LoopSchedule | None = None) -> "tirx.PrimFunc":
    """The kernel (x, y) of a softmax over rows."""
    how = schedule if schedule is not None else default_loops(p)
    source, target = p.source, p.target
    columns, rows = (
        source.channels,
        staged_rows(source.channels, gcd(source.pixels, TOGETHER)) if p.scale is not None else 1,
    )

    def body() -> None:
        x, y = tensors(x=source, y=target)
        with each(source.pixels // rows, how) as task:
            scratch = on_stack(scratch_elements(columns, rows), "float32")
            row = T.Bind(task * rows)

            def value(r: int, v: int) -> "tirx.Expr":
                return load_vector(x, (row + r) * source.channel_stride + v * 16, 16)

            if p.scale is None:
                emit_softmax(columns, 1, value, scratch, write_floats(y, lambda r: (row + r) * target.channel_stride))
            else:
                emit_softmax_bytes(
                    columns,
                    rows,
                    value,
                    scratch,
                    y,
                    lambda r: (row + r) * target.channel_stride,
                    p.scale,
                    p.zero_point,
                    p.peak,
                )

    return emit_kernel(p.name, body)
