"""Depthwise convolution: every channel on its own, 64 (int8) or 16 (float32) channels in a vector.

int8: a dot product of four needs four taps of one channel side by side, so four rows of one input column (of a kernel
with one row: four columns) are interleaved byte-wise (VPUNPCK), once for all output pixels of a tile that they serve.
Unpacking permutes the channels within 128-bit lanes; packing the result undoes exactly that.

Large images need no padded copy: a column beside the image is a constant vector; rows above or below it are blended
away in a second version of the loop.
Small images are copied with their padding: that is cheaper than the cache misses of so much code, which runs only once
per inference. Where a task is 64 channels of an image it copies only those, so that all threads start once and none
reads what another has just written.
The last vector of channels overlaps the one before where the channels do not fill it. With 16 or 32 channels a vector
holds neighbouring pixels ("fold")."""

from dataclasses import replace
from math import gcd
from typing import TYPE_CHECKING

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..elementwise.table import permuted
from ..intrinsics import part
from ..isa import current
from ..kernel import argument, built_once, emit_kernel, on_stack, task_loop
from ..layout import SLACK
from .depthwise_kernel import DepthwiseKernel
from .depthwise_pack import channels_per_vector, chunk_starts, fold_of, pad_value, tap_groups
from .depthwise_schedule import DepthwiseSchedule, is_local, padded_extents, walk_of
from .epilogue import Operands, table_argument
from .left_sums import coefficients_argument, for_task, sums_argument
from .problem import ConvProblem
from .stage import emit_stage

if TYPE_CHECKING:
    from .left_sums import Checked


@built_once
def conv2d_depthwise(p: ConvProblem, s: DepthwiseSchedule) -> tirx.PrimFunc:
    """PrimFunc(data, weights, bias, [multiplier f32[]], [table u8[256]], [coefficients s32[]], [residual], out,
    [stage], [sums s32[]]); data and weights u8 and s8, bias s32, or all float32."""
    return emit_kernel(p.name, lambda: _body(p, s))


def _body(p: "Checked | ConvProblem", s: DepthwiseSchedule) -> None:
    e, int8 = p.epilogue, p.dtype == "int8"
    lanes = channels_per_vector(p)
    chunks = len(chunk_starts(p))
    storage = "uint8" if int8 else "float32"
    data = argument("data", p.batch * p.height * p.width * p.data_stride + SLACK, storage)
    weights = argument(
        "weights",
        chunks * len(tap_groups(p)) * (256 if int8 else 16),
        "int16" if int8 and not current().vnni else p.dtype,
    )
    bias = argument("bias", chunks * lanes, "int32" if int8 else "float32")
    multiplier = argument("multiplier", chunks * lanes, "float32") if int8 else None
    table = table_argument(e)
    coefficients = coefficients_argument(p, chunks * lanes)
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    out_storage = "uint8" if e.out_dtype == "int8" else e.out_dtype
    residual = argument("residual", out_elements, out_storage) if e.residual else None
    out = argument("out", out_elements, out_storage)
    source, fold, local, image = emit_stage(p, walk_of(p, s), data), fold_of(p), is_local(p, s), p
    if s.staged:  # From here on it is a convolution of a larger image without padding.
        p = replace(p, height=padded_extents(image)[0], width=padded_extents(image)[1], padding=(0, 0, 0, 0))
    k = DepthwiseKernel(
        p,
        min(s.pixels, p.out_width // fold),
        fold,
        64 if local else p.data_stride,
        source,
        weights,
        bias,
        Operands(out, multiplier, residual),
    )
    lines = p.batch * p.out_height
    tasks = p.batch * chunks if local else -(-lines // s.rows)
    sums = sums_argument(p, tasks)
    if local:
        _by_channels(
            image, replace(k, operands=Operands(out, multiplier, residual, table=table)), data, coefficients, sums
        )
        return
    with task_loop(tasks, p.microseconds) as task:
        k = replace(k, operands=for_task(k.operands, coefficients, sums, task))
        count = s.rows if lines % s.rows == 0 else tirx.min(s.rows, lines - task * s.rows)
        with T.serial(0, count) as i:
            line = bind(task * s.rows + i)
            k.line(bind(tirx.floordiv(line, p.out_height)), bind(tirx.floormod(line, p.out_height)))
        if table is not None:
            _look_up(
                out,
                table,
                bind(task * s.rows * (p.out_width * p.out_stride)),
                count * (p.out_width * p.out_stride),
                gcd(p.out_stride, 16),
            )


def _by_channels(
    p: ConvProblem, k: DepthwiseKernel, data: tirx.Buffer, coefficients: tirx.Buffer | None, sums: tirx.Buffer | None
) -> None:
    """A task: 64 channels of an image (problem `p`) and their padding go to a buffer on its stack, of which kernel `k`
    makes the results."""
    chunks, (height, width), padding = len(chunk_starts(p)), padded_extents(p), splat(pad_value(p), "uint8", 64)
    with task_loop(p.batch * chunks, p.microseconds) as task:
        image, chunk = bind(tirx.floordiv(task, chunks)), bind(tirx.floormod(task, chunks))
        channel = bind(tirx.min(chunk * 64, p.out_stride - 64))
        stage = on_stack(height * width * 64, "uint8")
        with T.serial(0, height) as y:
            row, source = (
                bind(y * (width * 64)),
                bind(((image * p.height + y - p.padding[0]) * p.width) * p.data_stride + channel),
            )

            def fill(first: int, count: int) -> None:
                if count > 0:
                    with T.serial(0, count) as x:
                        store_vector(stage, row + (first + x) * 64, padding)

            with T.If(tirx.all(y >= p.padding[0], y < p.padding[0] + p.height)):
                with T.Then():
                    fill(0, p.padding[1])
                    with T.serial(0, p.width) as x:
                        store_vector(
                            stage, row + (p.padding[1] + x) * 64, load_vector(data, source + x * p.data_stride, 64)
                        )
                    fill(p.padding[1] + p.width, p.padding[3])
                with T.Else():
                    fill(0, width)
        k = replace(k, data=stage, operands=for_task(k.operands, coefficients, sums, task))
        with T.serial(0, p.out_height) as y:
            rows = [(bind((y * p.strides[0] + r * p.dilation[0]) * (width * 64)), None) for r in range(p.kernel[0])]
            k.tiles(rows, bind((image * p.out_height + y) * (p.out_width * p.out_stride)), chunk, 0, channel)


def _look_up(out: tirx.Buffer, table: tirx.Buffer, first: tirx.Expr, size: tirx.Expr | int, piece: int) -> None:
    """Replaces `size` bytes from `first` on, a multiple of `piece`, by what the table holds for them. The task's rows
    are in the nearest cache; in the epilogue the table would need registers that hold sums, and vectors of channels
    that overlap would be looked up twice."""
    with T.serial(0, tirx.floordiv(size, 64)) as i:
        at = bind(first + i * 64)
        store_vector(out, at, permuted(bind(load_vector(out, at, 64)), table))
    with T.serial(0, tirx.floordiv(tirx.floormod(size, 64), piece)) as i:
        at = bind(first + tirx.floordiv(size, 64) * 64 + i * piece)
        store_vector(out, at, part(bind(permuted(bind(load_vector(out, at, 64)), table)), 0, piece))
