"""Reformats in which the channel is innermost on both sides: rows <-> plain, and quantize or dequantize between packed
tensors.

Row by row with different strides; one long row where the strides agree."""

from math import prod
from typing import TYPE_CHECKING

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, store_vector
from ..kernel import built_once, emit_kernel
from ..movement.pixels import clear_padding
from ..vector import round_straight, store_bytes, widen
from ..vector_loops import each, steps, sweep, tensors
from .convert import converted_element, over_scale, quantizes, times_scale

if TYPE_CHECKING:
    from .choose import ReformatProblem


@built_once
def copy_rows(p: "ReformatProblem") -> tirx.PrimFunc:
    """(x, y): rows of channels, of which either side may be padded."""
    packed = [layout for layout in (p.source, p.target) if layout.kind != "plain"]
    channels = packed[0].channels if packed else prod(p.source.shape)
    rows = prod(p.source.shape) // channels
    strides = [layout.channel_stride if layout.kind != "plain" else channels for layout in (p.source, p.target)]
    exact = "plain" in (p.source.kind, p.target.kind)
    size = 4 if "float32" in (p.source.dtype, p.target.dtype) else 1

    def body() -> None:
        x, y = tensors(x=p.source, y=p.target)
        traffic = rows * max(strides) * (size + 1)
        if strides[0] == strides[1]:
            total = rows * strides[0]
            if not (exact and total < 64):
                sweep(total, 64, traffic, lambda at, count: _vector(p, x, at, y, at, count))
                return
        length = channels if exact else min(strides)
        with each(rows, traffic) as row:
            source, target = bind(row * strides[0]), bind(row * strides[1])
            if p.target.kind != "plain":
                clear_padding(y, target, p.target)
            if length >= 64:
                steps(length, 64, lambda at, count: _vector(p, x, source + at, y, target + at, count))
            elif length >= 16 or length == 4:
                steps(length, min(length, 16), lambda at, count: _narrow(p, x, source + at, y, target + at, count))
            else:
                _elements(p, x, source, y, target, length)

    return emit_kernel(p.name, body)


def _vector(
    p: "ReformatProblem",
    x: tirx.Buffer,
    source: tirx.Expr | int,
    y: tirx.Buffer,
    target: tirx.Expr | int,
    count: int,
) -> None:
    """`count` <= 64 elements, a multiple of 4; reads 64."""
    if p.source.dtype == p.target.dtype:
        lanes = 64 if p.source.dtype == "int8" else 16
        if lanes == 64:
            store_bytes(y, target, bind(load_vector(x, source, 64)), count)
            return
        for i in range(0, count, 16):
            store_vector(y, target + i, load_vector(x, source + i, 16))
    elif quantizes(p):
        vectors = [over_scale(p, load_vector(x, source + i, 16)) for i in range(0, -(-count // 16) * 16, 16)]
        store_bytes(y, target, bind(round_straight(vectors, p.zero_point)), count)
    else:
        for i in range(0, count, 16):
            store_vector(y, target + i, times_scale(p, widen(load_vector(x, source + i, 16), p.zero_point)))


def _narrow(
    p: "ReformatProblem",
    x: tirx.Buffer,
    source: tirx.Expr,
    y: tirx.Buffer,
    target: tirx.Expr,
    count: int,
) -> None:
    """Exactly `count` elements (16 or 4), without reading more."""
    values = load_vector(x, source, count)
    if p.source.dtype == p.target.dtype:
        store_vector(y, target, values)
    elif quantizes(p):
        ratio = tirx.Div(values, tirx.Broadcast(tirx.const(p.scale, "float32"), count))
        bound = tirx.Broadcast(tirx.const(1024.0, "float32"), count)
        ratio = tirx.max(tirx.min(ratio, bound), tirx.const(-1.0, "float32") * bound)
        words = tirx.Cast(f"int32x{count}", tirx.nearbyint(ratio)) + tirx.Broadcast(
            tirx.const(p.zero_point + 128, "int32"), count
        )
        low, high = (tirx.Broadcast(tirx.const(v, "int32"), count) for v in (0, 255))
        store_vector(y, target, tirx.Cast(f"uint8x{count}", tirx.max(tirx.min(words, high), low)))
    else:
        words = tirx.Cast(f"int32x{count}", values) - tirx.Broadcast(tirx.const(p.zero_point + 128, "int32"), count)
        store_vector(
            y, target, tirx.Cast(f"float32x{count}", words) * tirx.Broadcast(tirx.const(p.scale, "float32"), count)
        )


def _elements(
    p: "ReformatProblem", x: tirx.Expr, source: tirx.Expr, y: tirx.Buffer, target: tirx.Expr, length: int
) -> None:
    with T.serial(0, length) as i:
        T.buffer_store(y, converted_element(p, x[source + i]), [target + i])
