"""octet.embedding: rows of an int8 table as float32, each times its own scale. The table is read as it is; indices
beyond it mean its nearest end."""

from dataclasses import dataclass
from math import prod

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import built_once, emit_kernel
from ..layout import Layout, packed, sure
from ..vector_loops import each, steps, tensors


@dataclass(frozen=True)
class EmbeddingProblem:
    """Rows of a table taken by their indices. rows x width: of the table. indices: their shape, of dtype `index`."""

    rows: int
    width: int
    indices: tuple[int, ...]
    index: str

    @property
    def count(self) -> int:
        """How many rows of the table are taken."""
        return prod(self.indices)

    @property
    def result(self) -> Layout:
        """Rows where there is such a layout, so that what follows finds whole vectors."""
        shape = (*self.indices, self.width)
        return sure(packed(shape, "float32")) if len(shape) in (2, 3) else Layout("plain", shape, "float32")

    @property
    def moved(self) -> int:
        """Bytes read and written."""
        return self.count * (5 * self.width + 4 + (8 if self.index == "int64" else 4))


@built_once
def embedding(p: EmbeddingProblem) -> tirx.PrimFunc:
    """(table, scales, indices, y): y[i] = f32(table[index i]) * scales[index i]."""
    lanes = min(16, p.width)
    stride = p.width if p.result.kind == "plain" else p.result.channel_stride

    def body() -> None:
        table = T.arg("table", T.Buffer((p.rows * p.width,), "int8"))
        scales = T.arg("scales", T.Buffer((p.rows,), "float32"))
        indices, y = tensors(indices=Layout("plain", p.indices, p.index), y=p.result)
        with each(p.count, p.moved) as i:
            inside = tirx.max(tirx.min(indices[i], tirx.const(p.rows - 1, p.index)), tirx.const(0, p.index))
            row = bind(tirx.Cast("int32", inside))
            scale = bind(splat(scales[row], "float32", lanes))
            start, to = bind(row * p.width), bind(i * stride)

            def piece(at: tirx.Expr | int, _: int) -> None:
                codes = tirx.Cast(f"int32x{lanes}", load_vector(table, start + at, lanes))
                store_vector(y, to + at, tirx.Cast(f"float32x{lanes}", codes) * scale)

            steps(p.width, lanes, piece)

    return emit_kernel(f"embedding_{p.rows}x{p.width}_{'x'.join(map(str, p.indices))}_{p.index}", body)
