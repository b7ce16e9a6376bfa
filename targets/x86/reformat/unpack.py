"""nhwc -> plain NCHW: y[n, c, pixel] = convert(x[n, pixel, c]); blocks of 16 pixels x 16 channels, transposed in
registers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, store_vector
from ..intrinsics import part
from ..kernel import built_once, emit_kernel
from ..vector import round_straight, split_bytes
from ..vector_loops import each, tensors
from .convert import converted_element, over_scale, quantizes, times_scale
from .transpose import quads_from_pixels, transpose16

if TYPE_CHECKING:
    from .choose import ReformatProblem


@built_once
def unpack(p: "ReformatProblem") -> tirx.PrimFunc:
    """The kernel (x packed, y plain NCHW)."""
    n, c, h, w = p.source.shape
    pixels = h * w

    def body() -> None:
        x, y = tensors(x=p.source, y=p.target)
        traffic = n * c * pixels * (4 if p.target.dtype == "float32" else 1)
        if pixels < 16:
            _scalar(p, x, y, n * c, pixels, traffic)
            return
        groups, blocks = -(-c // 16), -(-pixels // 16)
        with each(n * groups, traffic) as task:  # A task writes 16 whole channels.
            image, group = bind(task // groups), bind(task % groups)
            with T.serial(0, blocks) as block:
                first = bind(tirx.min(block * 16, pixels - 16))
                source = bind((image * pixels + first) * p.source.channel_stride + group * 16)
                target = bind((image * c + group * 16) * pixels + first)
                _block(
                    p, x, y, source, target, pixels, lambda k: None if c % 16 == 0 or k < c % 16 else group < c // 16
                )

    return emit_kernel(p.name, body)


def _block(
    p: "ReformatProblem",
    x: tirx.Buffer,
    y: tirx.Buffer,
    source: tirx.Expr,
    target: tirx.Expr,
    pixels: int,
    guard: Callable[[int], tirx.Expr | bool | None],
) -> None:
    """Writes 16 pixels of 16 channels; guard(k): condition under which channel k of this group exists, None for
    always."""
    values = _channels(p, x, source)
    for k in range(16):
        condition = guard(k)
        if condition is None or k >= len(values):
            _write(y, target + k * pixels, values, k)
            continue
        with T.If(condition):
            with T.Then():
                _write(y, target + k * pixels, values, k)


def _write(y: tirx.Buffer, at: tirx.Expr, values: list[tirx.Expr], k: int) -> None:
    if k < len(values):
        store_vector(y, at, values[k])


def _channels(p: "ReformatProblem", x: tirx.Buffer, source: tirx.Expr) -> list[tirx.Expr]:
    """Vectors of 16 pixels, one per channel: 16, or 4 of a tensor that has no more."""
    stride = p.source.channel_stride
    if p.source.dtype == "float32":
        columns = transpose16([bind(load_vector(x, source + pixel * stride, 16)) for pixel in range(16)])
        return (
            [part(bind(round_straight([over_scale(p, column)], p.zero_point)), 0, 16) for column in columns]
            if quantizes(p)
            else columns
        )
    quads = (
        [bind(load_vector(x, source, 64))]
        if stride == 4
        else quads_from_pixels(x, lambda pixel: source + pixel * stride)
    )
    if p.target.dtype == "float32":
        return [bind(times_scale(p, word)) for quad in quads for word in split_bytes(quad, p.zero_point)]
    return [bind(tirx.Cast("uint8x16", word)) for quad in quads for word in split_bytes(quad, -128)]


def _scalar(p: "ReformatProblem", x: tirx.Expr, y: tirx.Buffer, rows: int, pixels: int, traffic: int) -> None:
    channels, stride = p.source.shape[1], p.source.channel_stride
    with each(rows, traffic) as row:
        image, c = bind(row // channels), bind(row % channels)
        with T.serial(0, pixels) as pixel:
            T.buffer_store(y, converted_element(p, x[(image * pixels + pixel) * stride + c]), [row * pixels + pixel])
