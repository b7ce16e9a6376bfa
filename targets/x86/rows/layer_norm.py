"""Layer normalisation of rows: (x - mean) * (1 / sqrt(variance + epsilon)) * gamma + beta, dequantised on load and quantised on store.

The order of operations is that of passes/realize/reference_float.py."""

from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ..intrinsics import bind, fence, load, pure, splat, store
from ..kernel import emit_kernel
from ..layout import STORED_OFFSET, Layout
from ..vector import limit, round_straight, store_bytes
from ..vector_loops import Accumulators, LoopSchedule, default_loops, each, tensors
from .pieces import exact_quotient, held, lane_sum, mask_tail, over

STEP = 4  # vectors that are packed to bytes at a time


@dataclass(frozen=True)
class LayerNormProblem:
    """rows x channels. source, target: (scale, zero point) of an int8 operand or result; None for float32."""

    rows: int
    channels: int
    epsilon: float
    source: tuple[float, int] | None
    target: tuple[float, int] | None
    multiply_adds = 0  # none that a dot product does
    light = False

    @property
    def operand(self) -> Layout:
        return Layout("rows", (self.rows, self.channels), "float32" if self.source is None else "int8")

    @property
    def result(self) -> Layout:
        return Layout("rows", (self.rows, self.channels), "float32" if self.target is None else "int8")

    @property
    def dtype(self) -> str:
        return self.operand.dtype

    @property
    def traffic(self) -> int:
        """A measure of its work: the bytes of a row that are read and written as float32."""
        return self.rows * -(-self.channels // 16) * 16 * 8

    @property
    def name(self) -> str:
        return f"layer_norm_{self.operand.dtype}_{self.result.dtype}_{self.rows}x{self.channels}"


def layer_norm(p: LayerNormProblem, schedule: LoopSchedule | None = None):
    """(x, gamma f32[whole vectors], beta, y)."""
    how = schedule if schedule is not None else default_loops(p)
    x_layout, y_layout = p.operand, p.result
    vectors, tail = -(-p.channels // 16), p.channels % 16 or 16
    width = vectors * 16

    def body():
        x, gamma, beta, y = tensors(x=x_layout, gamma=_vector(width), beta=_vector(width), y=y_layout)
        with each(p.rows, how) as row:
            values = T.alloc_buffer((width,), "float32", annotations={"disable_lower_builtin": True})
            at, to = bind(row * x_layout.channel_stride), bind(row * y_layout.channel_stride)
            sums = Accumulators(2, "float32")

            def gather(first, size, whole=True):
                for i in range(size):
                    value = held(mask_tail(_loaded(p, x, at + (first + i) * 16), 16 if whole else tail, 0.0))
                    store(values, (first + i) * 16, value)
                    sums[0] = sums[0] + value

            def centre(first, size, whole=True):
                for i in range(size):
                    value = held(mask_tail(load(values, (first + i) * 16, 16) - sums[0], 16 if whole else tail, 0.0))
                    store(values, (first + i) * 16, value)
                    sums[1] = sums[1] + fence(value * value)

            def finish(first, size):
                results = [_scaled(load(values, (first + i) * 16, 16), sums[1], gamma, beta, (first + i) * 16) for i in range(size)]
                _write(p, y, to + first * 16, results)

            count = splat(float(p.channels), "float32")
            for i in range(2):
                sums[i] = splat(0.0, "float32")
            _each_vector(vectors, tail, gather)
            sums[0] = tirx.Div(lane_sum(sums[0]), count)
            _each_vector(vectors, tail, centre)
            variance = tirx.Div(lane_sum(sums[1]), count) + splat(float(np.float32(p.epsilon)), "float32")
            sums[1] = tirx.Div(splat(1.0, "float32"), pure("float32x16", "llvm.sqrt", variance))
            over(vectors, STEP, finish)

    return emit_kernel(p.name, body)


def _vector(width):
    return Layout("plain", (width,), "float32")


def _each_vector(vectors, tail, body):
    if tail == 16:
        over(vectors, STEP, body)
        return
    over(vectors - 1, STEP, body)
    body(vectors - 1, 1, whole=False)


def _loaded(p, x, at):
    if p.source is None:
        return load(x, at, 16)
    scale, zero_point = p.source
    words = tirx.Cast("int32x16", load(x, at, 16)) - splat(zero_point + STORED_OFFSET, "int32")
    return fence(tirx.Cast("float32x16", words) * splat(scale, "float32"))


def _scaled(centred, inverse, gamma, beta, at):
    value = fence(centred * inverse)
    return fence(value * load(gamma, at, 16)) + load(beta, at, 16)


def _write(p, y, at, results):
    if p.target is None:
        for i, value in enumerate(results):
            store(y, at + i * 16, value)
        return
    scale, zero_point = p.target
    divisor, inverse = (splat(float(v), "float32") for v in (np.float32(scale), np.float32(1) / np.float32(scale)))
    bound = splat(float(np.float32(scale) * np.float32(1024)), "float32")
    clamped = [held(tirx.max(tirx.min(held(v), bound), splat(-0.0, "float32") - bound)) for v in results]
    quotients = [limit(exact_quotient(v, divisor, inverse)) for v in clamped]
    store_bytes(y, at, bind(round_straight(quotients, zero_point)), 16 * len(results))
