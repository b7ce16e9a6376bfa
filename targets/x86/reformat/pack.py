"""plain NCHW -> nhwc: y[n, pixel, c] = convert(x[n, c, pixel]); blocks of 16 pixels x 16 channels, transposed in
registers."""

from typing import TYPE_CHECKING

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import built_once, emit_kernel
from ..vector import join_bytes, round_planes, widen
from ..vector_loops import each, tensors
from .convert import converted_element, over_scale, quantizes, times_scale
from .transpose import pixels_from_quads, transpose16

if TYPE_CHECKING:
    from .choose import ReformatProblem


@built_once
def pack(p: "ReformatProblem") -> tirx.PrimFunc:
    """The kernel (x plain NCHW, y packed)."""
    n, c, h, w = p.source.shape
    pixels = h * w

    def body() -> None:
        x, y = tensors(x=p.source, y=p.target)
        traffic = n * c * pixels * (4 if p.source.dtype == "float32" else 1)
        if pixels < 16:
            _scalar(p, x, y, n * pixels, pixels, traffic)
            return
        blocks = -(-pixels // 16)
        with each(n * blocks, traffic) as task:
            image, block = bind(task // blocks), bind(task % blocks)
            first = bind(tirx.min(block * 16, pixels - 16))
            out = bind((image * pixels + first) * p.target.channel_stride)
            _block_row(p, x, y, bind(image * (c * pixels) + first), out, c, pixels)

    return emit_kernel(p.name, body)


def _block_row(
    p: "ReformatProblem",
    x: tirx.Buffer,
    y: tirx.Buffer,
    source: tirx.Expr,
    out: tirx.Expr,
    channels: int,
    pixels: int,
) -> None:
    """16 pixels, all channels."""
    stride, full = p.target.channel_stride, channels // 16
    if full > 1:
        with T.serial(0, full) as i:
            _block(p, x, y, bind(source + i * (16 * pixels)), bind(out + i * 16), 16, pixels)
    elif full == 1:
        _block(p, x, y, source, out, 16, pixels)
    if channels % 16 != 0:
        _block(p, x, y, source + full * 16 * pixels, out + full * 16, channels % 16, pixels, narrow=stride == 4)


def _block(
    p: "ReformatProblem",
    x: tirx.Buffer,
    y: tirx.Buffer,
    source: tirx.Expr,
    out: tirx.Expr,
    channels: int,
    pixels: int,
    narrow: bool = False,
) -> None:
    """16 pixels x `channels` <= 16; absent channels repeat the last one (they fill padding)."""
    rows = [load_vector(x, source + min(c, channels - 1) * pixels, 16) for c in range(4 if narrow else 16)]
    stride = p.target.channel_stride
    if p.target.dtype == "float32":
        if p.source.dtype == "int8":
            rows = [times_scale(p, widen(row, p.zero_point)) for row in rows]
        for pixel, value in enumerate(transpose16([bind(row) for row in rows])):
            store_vector(y, out + pixel * stride, value)
        return
    quads = [_quad(p, rows[k : k + 4], min(4, channels - k)) for k in range(0, len(rows), 4)]
    if narrow:
        store_vector(y, out, quads[0])
        return
    for pixel, value in enumerate(pixels_from_quads(quads)):
        store_vector(y, out + pixel * stride, value)


def _quad(p: "ReformatProblem", rows: list[tirx.Expr], present: int) -> tirx.Expr:
    """Four channels of 16 pixels -> uint8x64, pixel by pixel. present: how many of the four exist (the rest is not
    converted again)."""
    if present <= 0:
        return splat(128, "uint8", 64)
    if quantizes(p):
        vectors = [over_scale(p, bind(row)) for row in rows[:present]]
        return bind(round_planes(vectors + vectors[-1:] * (4 - present), p.zero_point))
    words = [bind(tirx.Cast("int32x16", row)) for row in rows[:present]]
    return bind(join_bytes(words + words[-1:] * (4 - present), -128))


def _scalar(p: "ReformatProblem", x: tirx.Expr, y: tirx.Buffer, rows: int, pixels: int, traffic: int) -> None:
    """Images of fewer than 16 pixels: too small for a block."""
    channels, stride = p.source.shape[1], p.target.channel_stride
    with each(rows, traffic) as row:
        image, pixel = bind(row // pixels), bind(row % pixels)
        with T.serial(0, channels) as c:
            T.buffer_store(
                y, converted_element(p, x[image * (channels * pixels) + c * pixels + pixel]), [row * stride + c]
            )
