"""What `listed.py` copies before it computes: the image with its padding, in bytes and in 16 bits."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import task_loop
from ..layout import STORED_OFFSET
from .direct_schedule import line_of
from .problem import ConvProblem

if TYPE_CHECKING:
    from .direct_schedule import DirectSchedule
    from .left_sums import Checked
    from .listed import Source
    from .pack import StepList


def gathered_pixels(p: ConvProblem) -> ConvProblem | None:
    """A pointwise convolution with strides, on the pixels that it reads: they are copied first, and a matrix product
    remains. None for others."""
    if p.kernel != (1, 1) or p.strides == (1, 1) or any(p.padding):
        return None
    return replace(p, height=p.out_height, width=p.out_width, strides=(1, 1))


def emit_copy(
    p: "Checked | ConvProblem", source: "Source", data: tirx.Buffer, copy: tirx.Buffer, steps: "StepList"
) -> None:
    """The image with its padding, in bytes (where there is padding) and in 16 bits (where a step needs them); parallel
    over rows."""
    row, line, sparse = source.width * p.data_stride, p.width * p.data_stride, gathered_pixels(p) is not None
    fill = splat(p.data_zero_point + STORED_OFFSET, "uint8", 64)
    with task_loop(p.batch * source.height, p.batch * source.height * row / 2e4) as task:
        image, y = (
            tirx.floordiv(task, source.height),
            bind(tirx.floormod(task, source.height) * (p.strides[0] if sparse else 1) - p.padding[0]),
        )
        target = bind(task * row)

        def put(at: tirx.Expr | int, length: int, value: Callable[[tirx.Expr | int, int], tirx.Expr]) -> None:
            def piece(i: tirx.Expr | int, lanes: int) -> None:
                x = bind(value(i, lanes))
                if source.copied:
                    store_vector(copy, target + at + i, x)
                if steps.unsafe:
                    store_vector(
                        copy,
                        source.wide + 2 * (target + at + i),
                        tirx.reinterpret(f"uint8x{2 * lanes}", tirx.Cast(f"uint16x{lanes}", x)),
                    )

            _pieces(length, piece)

        def outside(at: int, length: int) -> None:
            put(at, length, lambda i, lanes: tirx.Shuffle([fill], list(range(lanes))) if lanes < 64 else fill)

        def inside() -> None:
            start = bind((image * p.height + y) * line)
            left = p.padding[1] * p.data_stride
            outside(0, left)
            put(left, line, lambda i, lanes: load_vector(data, start + i, lanes))
            outside(left + line, row - left - line)

        if sparse:
            with T.serial(0, p.out_width) as x:
                start = bind(((image * p.height + y) * p.width + x * p.strides[1]) * p.data_stride)
                put(x * p.data_stride, p.data_stride, lambda i, lanes: load_vector(data, start + i, lanes))
            return
        if source.height == p.height:
            inside()
            return
        with T.If(tirx.all(y >= 0, y < p.height)):
            with T.Then():
                inside()
            with T.Else():
                outside(0, row)


def widened(
    p: ConvProblem, s: "DirectSchedule", data: tirx.Buffer, first: tirx.Expr | int, count: tirx.Expr | int
) -> tuple[tirx.Buffer, tirx.Expr]:
    """The pixels of `count` register tiles from number `first` on, in 16 bits, on the stack, and the number of the
    first of them."""
    stack = T.alloc_buffer(
        (2 * s.units * s.pixels * p.data_stride,), "uint8", annotations={"disable_lower_builtin": True}
    )
    begin = bind(tirx.min(first * s.pixels, line_of(p) - s.pixels))
    with T.serial(0, tirx.min(count * s.pixels, line_of(p) - begin)) as pixel:

        def piece(i: tirx.Expr | int, lanes: int) -> None:
            x = bind(load_vector(data, (begin + pixel) * p.data_stride + i, lanes))
            store_vector(
                stack,
                2 * (pixel * p.data_stride + i),
                tirx.reinterpret(f"uint8x{2 * lanes}", tirx.Cast(f"uint16x{lanes}", x)),
            )

        _pieces(p.data_stride, piece)
    return stack, begin


def _pieces(length: int, body: Callable[[tirx.Expr | int, int], None]) -> None:
    """body(index, lanes) over [0, length), a multiple of 4: whole vectors of 64, then halves; nothing behind the end is
    touched."""
    full = length // 64
    if full:
        with T.serial(0, full) as i:
            body(i * 64, 64)
    done, lanes = full * 64, 32
    while done < length:
        if lanes <= length - done:
            body(done, lanes)
            done += lanes
        lanes //= 2
