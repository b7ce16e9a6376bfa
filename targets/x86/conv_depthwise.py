"""Depthwise convolution: every channel on its own, 64 (int8) or 16 (float32) channels in a vector.

int8: a dot product of four needs four taps of one channel side by side, so four rows of one input column are interleaved byte-wise (VPUNPCK) and that
column serves every output pixel which it touches. Unpacking permutes the channels within 128-bit lanes; packing the result undoes exactly that."""

from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from .conv_epilogue import Operands, Row, emit_depthwise_bytes, emit_epilogue
from .conv_problem import ConvProblem
from .conv_stage import emit_stage
from .conv_walk import Walk, plan_walk
from .intrinsics import bind, dot4, fma, interleave_bytes, load, store
from .kernel import argument, emit_kernel
from .layout import SLACK


@dataclass(frozen=True)
class DepthwiseSchedule:
    """pixels: output pixels of a register tile. rows: output rows of a task."""

    pixels: int
    rows: int


def walk_of(p: ConvProblem) -> Walk:
    walk = plan_walk(p, 16, 1, allow_phases=False)
    if walk.rows == p.out_height:
        return walk
    line = p.width * p.data_stride  # a 1 x 1 kernel: no matrix product over all pixels here
    return replace(walk, images=p.batch, rows=p.height, pixels=p.width, row_stride=line, image_stride=p.height * line)


def lanes_of(p: ConvProblem) -> int:
    return 64 if p.dtype == "int8" else 16


def default_schedule(p: ConvProblem) -> DepthwiseSchedule:
    """As many pixels as the accumulators of a tile allow: every input column is prepared once for all of them."""
    most = min(p.out_width, 7 if p.dtype == "int8" else 14)
    pixels = min(range(max(1, most // 2), most + 1), key=lambda n: (-(-p.out_width // n) * n, -n))
    return DepthwiseSchedule(pixels, max(1, min(4, p.batch * p.out_height // 8)))


def pack_weights(p: ConvProblem, weight: np.ndarray) -> np.ndarray:
    """[C, 1, kh, kw] -> int8: [chunk][4 rows][column][vector][lane][tap], float32: [chunk][row][column][16]; zero where there is no channel or row."""
    kh, kw = p.kernel
    lanes = lanes_of(p)
    chunks = -(-p.channels // lanes)
    rows = -(-kh // 4) * 4 if p.dtype == "int8" else kh
    full = np.zeros((chunks * lanes, rows, kw), weight.dtype)
    full[: p.channels, :kh] = weight[:, 0]
    if p.dtype == "float32":
        return full.reshape(chunks, lanes, rows, kw).transpose(0, 2, 3, 1).reshape(-1).copy()
    # channel within a chunk = 16 * lane group + 4 * vector + element, see `interleave_bytes`
    split = full.reshape(chunks, 4, 4, 4, rows // 4, 4, kw)  # chunk, group, vector, element, row block, tap, column
    return split.transpose(0, 4, 6, 2, 1, 3, 5).reshape(-1).copy()


def pack_channels(p: ConvProblem, values: np.ndarray) -> np.ndarray:
    """One value per channel in the order of the accumulators: int8 [chunk][vector][16], float32 as it is; padded with zeros."""
    lanes = lanes_of(p)
    padded = np.pad(values, (0, -len(values) % lanes))
    if p.dtype == "float32":
        return padded
    return padded.reshape(-1, 4, 4, 4).transpose(0, 2, 1, 3).reshape(-1).copy()


def conv2d_depthwise(p: ConvProblem, s: DepthwiseSchedule):
    """PrimFunc(data, weights, bias, [multiplier f32[]], [residual], out, [stage]); data and weights u8 and s8, bias s32, or all float32."""
    return emit_kernel(p.name, lambda: _body(p, s))


def _body(p, s):
    walk, e, int8 = walk_of(p), p.epilogue, p.dtype == "int8"
    lanes = lanes_of(p)
    chunks, (kh, kw) = -(-p.channels // lanes), p.kernel
    row_blocks = -(-kh // 4) if int8 else kh
    data = argument("data", p.batch * p.height * p.width * p.data_stride + SLACK, "uint8" if int8 else "float32")
    weights = argument("weights", chunks * row_blocks * kw * (256 if int8 else 16), p.dtype)
    bias = argument("bias", chunks * lanes, "int32" if int8 else "float32")
    multiplier = argument("multiplier", chunks * lanes, "float32") if int8 else None
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    out_storage = "uint8" if e.out_dtype == "int8" else e.out_dtype
    residual = argument("residual", out_elements, out_storage) if e.residual else None
    out = argument("out", out_elements, out_storage)
    k = _Kernel(p, s, walk, emit_stage(p, walk, data), weights, bias, Operands(out, multiplier, residual))
    lines = p.batch * p.out_height
    tasks = -(-lines // s.rows)
    with T.parallel(0, tasks) as task:
        count = s.rows if lines % s.rows == 0 else tirx.min(s.rows, lines - task * s.rows)
        with T.serial(0, count) as i:
            line = bind(task * s.rows + i)
            k.line(bind(tirx.floordiv(line, p.out_height)), bind(tirx.floormod(line, p.out_height)))


@dataclass(frozen=True)
class _Kernel:
    p: ConvProblem
    s: DepthwiseSchedule
    walk: Walk
    source: object
    weights: object
    bias: object
    operands: Operands

    def line(self, image, row):
        """One row of the output: all channels of full vectors, then the rest."""
        lanes = lanes_of(self.p)
        full, rest = divmod(self.p.out_stride, lanes)
        if full:
            with T.serial(0, full) as chunk:
                self.tiles(image, row, chunk, lanes)
        if rest:
            self.tiles(image, row, full, rest)

    def tiles(self, image, row, chunk, channels):
        p, s = self.p, self.s
        with T.serial(0, -(-p.out_width // s.pixels)) as tile:
            start = bind(tirx.min(tile * s.pixels, p.out_width - s.pixels))
            self.tile(image, row, chunk, channels, start)

    def tile(self, image, row, chunk, channels, start):
        p, s, walk = self.p, self.s, self.walk
        int8, lanes = p.dtype == "int8", lanes_of(p)
        vectors = lanes // 16
        base = bind(image * walk.image_stride + row * walk.row_stride + start * walk.pixel_stride + chunk * lanes)
        sums = T.alloc_buffer((s.pixels * lanes,), self.bias.dtype, scope="local")
        for v in range(vectors):
            first = bind(load(self.bias, chunk * lanes + v * 16, 16))
            for i in range(s.pixels):
                store(sums, i * lanes + v * 16, first)
        offsets = {(tap.row, tap.column): tap.offset for run in walk.runs for tap in run.taps}
        (kh, kw), stride, dilation = p.kernel, p.strides[1], p.dilation[1]
        uses = {}  # input column -> (output pixel, kernel column) that it serves
        for i in range(s.pixels):
            for c in range(kw):
                uses.setdefault(i * stride + c * dilation, []).append((i, c))
        step = 4 if int8 else 1
        for block in range(-(-kh // step)):
            taps = range(block * step, min(kh, block * step + step))
            weights = chunk * (-(-kh // step) * kw * 16 * vectors * step) + block * (kw * 16 * vectors * step)
            for column in sorted(uses):
                found = [load(self.source, base + offsets[(r, 0)] + column * p.data_stride, lanes) for r in taps]
                parts = [bind(x) for x in (interleave_bytes([bind(x) for x in found]) if int8 else found)]
                for i, c in uses[column]:
                    for v, x in enumerate(parts):
                        weight = load(self.weights, weights + (c * vectors + v) * 16 * step, 16 * step)
                        slot = i * lanes + v * 16
                        old = load(sums, slot, 16)
                        store(sums, slot, dot4(old, x, weight) if int8 else fma(old, x, weight))
        rows = [Row(bind(((image * p.out_height + row) * p.out_width + start + i) * p.out_stride)) for i in range(s.pixels)]
        accumulator = lambda r, v: load(sums, r * lanes + v * 16, 16)
        if int8:
            emit_depthwise_bytes(p.epilogue, self.operands, rows, chunk * lanes, channels, accumulator)
        else:
            emit_epilogue(p.epilogue, self.operands, rows, 1, chunk * lanes, accumulator)
