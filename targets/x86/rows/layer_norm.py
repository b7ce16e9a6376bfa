"""Layer normalisation of rows: (x - mean) * (1 / sqrt(variance + epsilon)) * gamma + beta, and RMS normalisation: x *
(1 / sqrt(mean(x * x) + epsilon)) * gamma, dequantised on load and quantised on store.

The order of operations is that of passes/referee/floats.py."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...cpu.expressions import bind, const, load_vector, pure, splat, store_vector
from ..intrinsics import fence
from ..isa import current
from ..kernel import built_once, emit_kernel, on_stack
from ..layout import STORED_OFFSET, Layout
from ..vector import round_straight, store_bytes
from ..vector_loops import Accumulators, LoopSchedule, default_loops, each, reuse, tensors
from .quotient import byte_quotient
from .row_pieces import mask_tail, over, reduce_two

STEP = 4  # Vectors are packed to bytes four at a time.
_TOGETHER = 4  # A task takes four rows by default where a vector is a register.


@dataclass(frozen=True)
class LayerNormProblem:
    """rows x channels. source, target: (scale, zero point) of an int8 operand or result; None for float32."""

    rows: int
    channels: int
    epsilon: float
    source: tuple[float, int] | None
    target: tuple[float, int] | None
    multiply_adds = 0  # A dot product does none of its work.
    light = False

    @property
    def operand(self) -> Layout:
        """The layout of the operand: rows of float32, or of int8 where it has a scale."""
        return Layout("rows", (self.rows, self.channels), "float32" if self.source is None else "int8")

    @property
    def result(self) -> Layout:
        """The layout of the result: rows of float32, or of int8 where it has a scale."""
        return Layout("rows", (self.rows, self.channels), "float32" if self.target is None else "int8")

    @property
    def dtype(self) -> str:
        """The dtype of the operand."""
        return self.operand.dtype

    @property
    def traffic(self) -> int:
        """A measure of its work: the bytes of a row that are read and written as float32."""
        return self.rows * -(-self.channels // 16) * 16 * 8

    @property
    def name(self) -> str:
        """The kernel's, with both dtypes and rows x channels."""
        return f"layer_norm_{self.operand.dtype}_{self.result.dtype}_{self.rows}x{self.channels}"


@dataclass(frozen=True)
class RmsNormProblem(LayerNormProblem):
    """RMS normalisation: about zero instead of the mean, without beta. Its workloads are not tuned."""

    @property
    def name(self) -> str:
        """The kernel's name: that of a layer normalisation, with `rms` for `layer`."""
        return super().name.replace("layer", "rms", 1)


@dataclass(frozen=True)
class RowSchedule(LoopSchedule):
    """How rows are shared out. together: rows of a task, side by side."""

    together: int


def default_schedule(p: LayerNormProblem) -> RowSchedule:
    """The analytical schedule: as many rows at a time as hide the latency of one."""
    return RowSchedule(default_loops(p).parallel, min(_TOGETHER // current().parts, p.rows))


@built_once
def layer_norm(p: LayerNormProblem, schedule: RowSchedule | None = None) -> tirx.PrimFunc:
    """(x, gamma f32[whole vectors], beta, y)."""
    return _kernel(p, schedule if schedule is not None else default_schedule(p), centred=True)


@built_once
def rms_norm(p: RmsNormProblem) -> tirx.PrimFunc:
    """The kernel (x, gamma f32[whole vectors], y)."""
    return _kernel(p, default_schedule(p), centred=False)


def _kernel(p: LayerNormProblem, s: RowSchedule, centred: bool) -> tirx.PrimFunc:
    """A task takes a few rows side by side, which hides the latency of their sums; the last task's rows end at the last
    row and may overlap those before."""
    x_layout, y_layout = p.operand, p.result
    vectors, tail = -(-p.channels // 16), p.channels % 16 or 16
    width, rows = vectors * 16, s.together

    def body() -> None:
        vectors_of = {"gamma": _vector(width)} | ({"beta": _vector(width)} if centred else {})
        x, *affine, y = tensors(x=x_layout, **vectors_of, y=y_layout)
        with each(-(-p.rows // rows), s) as task:
            values, sums, factors = (
                on_stack(rows * width, "float32"),
                Accumulators(rows, "float32"),
                Accumulators(rows, "float32"),
            )
            first_row = bind(task * rows if p.rows % rows == 0 else tirx.min(task * rows, p.rows - rows))
            at, to = (
                [bind((first_row + r) * layout.channel_stride) for r in range(rows)] for layout in (x_layout, y_layout)
            )

            def pieces(size: int) -> list[tuple[int, int]]:
                return [(r, i) for i in range(size) for r in range(rows)]

            def gather(first: int, size: int, whole: bool = True) -> None:
                for r, i in pieces(size):
                    value = reuse(mask_tail(_loaded(p, x, at[r] + (first + i) * 16), 16 if whole else tail, 0.0))
                    store_vector(values, r * width + (first + i) * 16, value)
                    sums[r] = sums[r] + (value if centred else fence(value * value))

            def centre(first: int, size: int, whole: bool = True) -> None:
                for r, i in pieces(size):
                    place = r * width + (first + i) * 16
                    value = reuse(mask_tail(load_vector(values, place, 16) - factors[r], 16 if whole else tail, 0.0))
                    store_vector(values, place, value)
                    sums[r] = sums[r] + fence(value * value)

            def finish(first: int, size: int) -> None:
                for r in range(rows):
                    results = [
                        _scaled(
                            load_vector(values, r * width + (first + i) * 16, 16), factors[r], affine, (first + i) * 16
                        )
                        for i in range(size)
                    ]
                    _write(p, y, to[r] + first * 16, results)

            def reduced(loop: Callable[..., None]) -> Iterator[tirx.Expr]:
                """The mean of what `loop` adds up, per row, a scalar."""
                for r in range(rows):
                    sums[r] = splat(0.0, "float32")
                _each_vector(vectors, tail, loop)
                for r in range(0, rows, 2):
                    pair = [reuse(sums[row]) for row in range(r, min(r + 2, rows))]
                    yield from (
                        bind(tirx.Div(total, const(float(p.channels), "float32")))
                        for total in reduce_two(lambda a, b: a + b, *pair)
                    )

            moments = list(reduced(gather))
            if centred:
                for r, mean in enumerate(moments):
                    factors[r] = splat(mean, "float32")
                moments = list(reduced(centre))
            for r, variance in enumerate(moments):
                root = pure("float32", "llvm.sqrt", variance + const(float(np.float32(p.epsilon)), "float32"))
                factors[r] = splat(tirx.Div(const(1.0, "float32"), root), "float32")
            over(vectors, STEP, finish)

    return emit_kernel(p.name, body)


def _vector(width: int) -> Layout:
    return Layout("plain", (width,), "float32")


def _each_vector(vectors: int, tail: int, body: Callable[..., None]) -> None:
    if tail == 16:
        over(vectors, STEP, body)
        return
    over(vectors - 1, STEP, body)
    body(vectors - 1, 1, whole=False)


def _loaded(p: LayerNormProblem, x: tirx.Buffer, at: tirx.Expr) -> tirx.Expr:
    if p.source is None:
        return load_vector(x, at, 16)
    scale, zero_point = p.source
    words = tirx.Cast("int32x16", load_vector(x, at, 16)) - splat(zero_point + STORED_OFFSET, "int32")
    return fence(tirx.Cast("float32x16", words) * splat(scale, "float32"))


def _scaled(value: tirx.Expr, inverse: tirx.Expr, affine: list[tirx.Buffer], at: tirx.Expr | int) -> tirx.Expr:
    """The normalised values times gamma, plus beta. affine: gamma and, if there is one, beta."""
    scaled = fence(fence(value * inverse) * load_vector(affine[0], at, 16))
    return scaled if len(affine) == 1 else scaled + load_vector(affine[1], at, 16)


def _write(p: LayerNormProblem, y: tirx.Buffer, at: tirx.Expr, results: list[tirx.Expr]) -> None:
    if p.target is None:
        for i, value in enumerate(results):
            store_vector(y, at + i * 16, value)
        return
    scale, zero_point = p.target
    store_bytes(
        y,
        at,
        bind(round_straight([byte_quotient(reuse(v), scale) for v in results], zero_point)),
        16 * len(results),
    )
