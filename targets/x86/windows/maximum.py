"""Maximum pooling of packed tensors. Taps in the padding are moved to the border, which lies in the same window: a
maximum does not mind."""

from collections.abc import Callable, Sequence

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, store_vector
from ..kernel import built_once, emit_kernel
from ..vector import BYTES, LANES, store_bytes
from ..vector_loops import Accumulators, LoopSchedule, default_loops, each, steps, tensors
from .pooling import PoolProblem, first_tap, reaches_outside

UNROLLED_TAPS = 25


@built_once
def max_pool2d(p: PoolProblem, schedule: LoopSchedule | None = None) -> tirx.PrimFunc:
    """The kernel (x, y) of a maximum over windows, on nhwc buffers."""
    how = schedule if schedule is not None else default_loops(p)
    (n, _, h, w), stride = p.shape, p.source.channel_stride
    out_h, out_w = p.extent(0), p.extent(1)

    def body() -> None:
        x, y = tensors(x=p.source, y=p.target)
        with each(n * out_h, how) as task:
            image, row = bind(task // out_h), bind(task % out_h)
            rows = lambda i: (image * h + _tap(p, 0, row, i)) * (w * stride)
            with T.serial(0, out_w) as column:
                columns = [bind(_tap(p, 1, column, j) * stride) for j in range(p.size[1])]
                _pixel(p, x, y, rows, columns, bind((task * out_w + column) * stride))

    return emit_kernel(p.name, body)


def _tap(p: PoolProblem, axis: int, position: tirx.Expr, i: int) -> tirx.Expr | int:
    at = first_tap(p, axis, position) + i * p.dilation[axis]
    return tirx.max(tirx.min(at, p.shape[2 + axis] - 1), 0) if reaches_outside(p, axis) else at


def _pixel(
    p: PoolProblem,
    x: tirx.Buffer,
    y: tirx.Buffer,
    rows: Callable[[int], tirx.Expr | int],
    columns: list[tirx.Expr],
    target: tirx.Expr,
) -> None:
    lanes, stride = BYTES if p.dtype == "int8" else LANES, p.source.channel_stride
    write = store_bytes if p.dtype == "int8" else (lambda buffer, at, value, count: store_vector(buffer, at, value))
    if p.size[0] * p.size[1] <= UNROLLED_TAPS:
        starts = [bind(rows(i) + column) for i in range(p.size[0]) for column in columns]
        steps(
            stride,
            lanes,
            lambda c, count: write(
                y, target + c, bind(_maximum([load_vector(x, start + c, lanes) for start in starts])), count
            ),
        )
        return

    def large(c: tirx.Expr | int, count: int) -> None:
        best = Accumulators(1, x.dtype, lanes)
        best[0] = load_vector(x, rows(0) + columns[0] + c, lanes)
        with T.serial(0, p.size[0]) as i:
            row = bind(rows(i))
            best[0] = _maximum([best[0]] + [load_vector(x, row + column + c, lanes) for column in columns])
        write(y, target + c, bind(best[0]), count)

    steps(stride, lanes, large)


def _maximum(values: Sequence[tirx.Expr]) -> tirx.Expr:
    result = values[0]
    for value in values[1:]:
        result = tirx.max(result, value)
    return result
