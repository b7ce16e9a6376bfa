"""Average pooling of packed tensors: int32 sums and one requantize (octet.avg_pool2d), or float32 sums and one
division.

Float elements are added one after the other in row-major order, as the referee does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import add_bytes
from ..kernel import built_once, emit_kernel
from ..layout import STORED_OFFSET
from ..vector import BYTES, LANES, round_planes, store_bytes, to_float
from ..vector_loops import Accumulators, LoopSchedule, default_loops, each, steps, tensors
from .pooling import PoolProblem, first_tap, inside, reaches_outside


@dataclass(frozen=True)
class AverageSchedule(LoopSchedule):
    """How the window of an average is summed up. chains: independent integer sums of a window, so that one does not
    wait for the latency of the other; 1 for float32, whose order is fixed."""

    chains: int


def default_schedule(p: PoolProblem) -> AverageSchedule:
    """The analytical schedule: two chains of sums for int8, one for float32."""
    return AverageSchedule(default_loops(p).parallel, 2 if p.dtype == "int8" else 1)


@built_once
def avg_pool2d(p: PoolProblem, schedule: AverageSchedule | None = None) -> tirx.PrimFunc:
    """(x, y): nhwc buffers. A window over the whole image is a global average: then the tasks are blocks of
    channels."""
    s = schedule if schedule is not None else default_schedule(p)

    def body() -> None:
        x, y = tensors(x=p.source, y=p.target)
        if p.size == p.shape[2:] and not any(p.padding):
            _whole_image(p, s, x, y)
        else:
            _windows(p, s, x, y)

    return emit_kernel(p.name, body)


def _whole_image(p: PoolProblem, s: AverageSchedule, x: tirx.Buffer, y: tirx.Buffer) -> None:
    (n, _, h, w), stride, lanes = p.shape, p.source.channel_stride, _lanes(p)
    blocks = -(-stride // lanes)
    with each(n * blocks, s) as task:
        image, c = bind(task // blocks), bind(tirx.max(tirx.min(task % blocks * lanes, stride - lanes), 0))
        sums = _sum(p, s.chains, x, [(0, 1, 1), (0, h * w, 1)], bind(image * (h * w * stride) + c))
        _write(p, y, bind(image * stride + c), min(lanes, stride), sums, h * w, h * w)


def _windows(p: PoolProblem, s: AverageSchedule, x: tirx.Buffer, y: tirx.Buffer) -> None:
    (n, _, h, w), stride = p.shape, p.source.channel_stride
    out_h, out_w = p.extent(0), p.extent(1)

    def pixel(task: tirx.Expr, image: tirx.Expr, row: tirx.Expr, column: tirx.Expr) -> None:
        bounds = [_bounds(p, axis, position) for axis, position in enumerate((row, column))]
        valid = _length(bounds[0]) * _length(bounds[1])
        count = p.size[0] * p.size[1] if p.count_include_pad else valid
        source, target = bind(image * (h * w * stride)), bind((task * out_w + column) * stride)
        steps(
            stride,
            _lanes(p),
            lambda c, size: _write(p, y, target + c, size, _sum(p, s.chains, x, bounds, source + c), valid, count),
        )

    with each(n * out_h, s) as task:
        image, row = bind(task // out_h), bind(task % out_h)
        with T.serial(0, out_w) as column:
            pixel(task, image, row, column)


def _lanes(p: PoolProblem) -> int:
    return BYTES if p.dtype == "int8" else min(4 * LANES, p.source.channel_stride)


def _bounds(p: PoolProblem, axis: int, position: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr | int, int]:
    """(first coordinate, number of taps, step) of the part of a window that lies in the image."""
    if reaches_outside(p, axis):
        first, end = inside(p, axis, position)
        return first, T.Bind(end - first), 1
    return bind(first_tap(p, axis, position)), p.size[axis], p.dilation[axis]


def _length(bounds: tuple[tirx.Expr, tirx.Expr | int, int]) -> tirx.Expr | int:
    return bounds[1]


def _sum(
    p: PoolProblem,
    chains: int,
    x: tirx.Buffer,
    bounds: Sequence[tuple[Any, Any, int]],
    source: tirx.Expr,
) -> list[tirx.Expr]:
    """The sums over a window, from the vector at `source` of an image on: int32 planes of stored bytes, or float32
    vectors."""
    (top, height, down), (left, width, along) = bounds
    stride, vectors = p.source.channel_stride, _lanes(p) // LANES
    dtype = "int32" if p.dtype == "int8" else "float32"
    sums = Accumulators(chains * vectors, dtype)
    for i in range(chains * vectors):
        sums[i] = splat(0 if dtype == "int32" else 0.0, dtype)
    whole = width // chains
    with T.serial(0, height) as i:
        row = bind(source + ((top + i * down) * p.shape[3] + left) * stride)
        with T.serial(0, whole) as j:
            for chain in range(chains):
                _accumulate(sums, chain * vectors, vectors, x, row + (j * chains + chain) * (along * stride))
        if chains > 1:
            with T.serial(0, width - whole * chains) as j:
                _accumulate(sums, 0, vectors, x, row + (whole * chains + j) * (along * stride))
    return [bind(sums[v] + sums[vectors + v] if chains > 1 else sums[v]) for v in range(vectors)]


def _accumulate(sums: Accumulators, first: int, vectors: int, x: tirx.Buffer, at: tirx.Expr) -> None:
    if x.dtype == "float32":
        for v in range(vectors):
            sums[first + v] = sums[first + v] + load_vector(x, at + v * LANES, LANES)
        return
    stored = bind(load_vector(x, at, BYTES))
    for k in range(4):
        sums[first + k] = add_bytes(sums[first + k], stored, k)


def _write(
    p: PoolProblem,
    y: tirx.Buffer,
    target: tirx.Expr,
    size: int,
    sums: list[tirx.Expr],
    valid: tirx.Expr | int,
    count: tirx.Expr | int,
) -> None:
    """Stores the quotient. valid: taps in the image. count: what the sum is divided by."""
    count = tirx.Cast("float32", count) if not isinstance(count, int) else tirx.const(float(count), "float32")
    if p.dtype == "float32":
        divisor = splat(bind(count), "float32")
        for v, total in enumerate(sums[: size // LANES]):
            store_vector(y, target + v * LANES, total / divisor)
        return
    start = splat(valid * (p.data_zero_point + STORED_OFFSET), "int32")
    factor = splat(bind(tirx.const(p.multiplier, "float32") / count), "float32")
    planes = [to_float(total - start) * factor for total in sums]
    store_bytes(y, target, bind(round_planes(planes, p.out_zero_point, p.clip_min, p.clip_max)), size)
