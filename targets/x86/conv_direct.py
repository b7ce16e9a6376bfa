"""Dense and grouped convolution on the vector unit: int8 with VPDPBUSD, float32 with FMA, from one template.

A register tile holds `pixels` x `vectors` accumulators of 16 output channels; a step multiplies one broadcast input element (float32) or four neighbouring
input channels (int8) of every pixel with `vectors` weight vectors. Lines whose length is no multiple of the tile end with a tile that overlaps the one before."""

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from .conv_epilogue import Operands, Row, emit_epilogue
from .conv_problem import ConvProblem
from .conv_stage import emit_stage
from .conv_walk import Walk, channel_span, plan_walk
from .intrinsics import bind, broadcast4, dot4, fma, load, store
from .kernel import argument, emit_kernel
from .layout import SLACK

ACCUMULATORS = 28  # of the 32 vector registers; the others hold weights and the broadcast element


@dataclass(frozen=True)
class DirectSchedule:
    """vectors: of 16 output channels in a block. pixels: of a register tile. pixels_outer: a task is a chunk of `units` pixel tiles and runs
    over all channels; otherwise the weights stream once."""

    vectors: int
    pixels: int
    pixels_outer: bool
    units: int


def walk_of(p: ConvProblem, vectors: int) -> Walk:
    return plan_walk(p, vectors * 16, 1, allow_phases=False)


def step_of(p: ConvProblem) -> int:
    """Input elements of one step."""
    return 4 if p.dtype == "int8" else 1


def default_schedule(p: ConvProblem) -> DirectSchedule:
    """Two vectors of channels and as many pixels as the registers hold; for few pixels more vectors, to hide the latency of the sums."""
    line = walk_of(p, 1).pixels
    if line <= 3:
        vectors = max(v for v in (1, 2, 4, 8) if v <= max(1, p.out_blocks) and v * line <= ACCUMULATORS)
    else:
        vectors = 2 if p.out_blocks > 1 else 1
    most = min(line, ACCUMULATORS // vectors, 14)
    pixels = min(range(max(1, most // 2), most + 1), key=lambda n: (-(-line // n) * n, -n))
    walk = walk_of(p, vectors)
    total = walk.images * walk.rows * -(-line // pixels)
    size = 1 if p.dtype == "int8" else 4
    weights = p.out_channels * p.channels // p.groups * p.kernel[0] * p.kernel[1] * size
    data = p.batch * p.height * p.width * p.data_stride * size
    if weights < data:
        return DirectSchedule(vectors, pixels, True, max(1, min(8, total // 16)))
    blocks = -(-p.out_blocks // vectors)
    return DirectSchedule(vectors, pixels, False, max(1, -(-total // max(1, 16 // blocks))))


def conv2d_direct(p: ConvProblem, s: DirectSchedule):
    """PrimFunc(data, weights, bias, [multiplier f32[]], [residual], out, [stage]); data and weights u8 and s8, bias s32, or all float32."""
    return emit_kernel(p.name + "_direct", lambda: _body(p, s))


def _body(p, s):
    walk, e, int8 = walk_of(p, s.vectors), p.epilogue, p.dtype == "int8"
    align = step_of(p)
    steps = sum(-(-run.length // align) for run in walk.runs)
    blocks = -(-p.out_blocks // s.vectors)
    data = argument("data", p.batch * p.height * p.width * p.data_stride + SLACK, "uint8" if int8 else "float32")
    weights = argument("weights", blocks * steps * align * s.vectors * 16, p.dtype)
    bias = argument("bias", blocks * s.vectors * 16, "int32" if int8 else "float32")
    multiplier = argument("multiplier", blocks * s.vectors * 16, "float32") if int8 else None
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    out_storage = "uint8" if e.out_dtype == "int8" else e.out_dtype
    residual = argument("residual", out_elements, out_storage) if e.residual else None
    out = argument("out", out_elements, out_storage)
    source = emit_stage(p, walk, data)
    k = _Kernel(p, s, walk, steps, source, weights, bias, Operands(out, multiplier, residual, min(16, p.out_stride)))
    units = walk.images * walk.rows * k.per_line
    chunks = -(-units // s.units)
    with T.parallel(0, chunks if s.pixels_outer else chunks * blocks) as task:
        chunk = task if s.pixels_outer else tirx.floormod(task, chunks)
        first = bind(chunk * s.units)
        count = s.units if units % s.units == 0 else tirx.min(s.units, units - first)
        with T.serial(0, blocks if s.pixels_outer else 1) as inner:
            block = bind(inner if s.pixels_outer else tirx.floordiv(task, chunks))
            with T.serial(0, count) as unit:
                k.tile(block, bind(first + unit))


@dataclass(frozen=True)
class _Kernel:
    p: ConvProblem
    s: DirectSchedule
    walk: Walk
    steps: int
    source: object
    weights: object
    bias: object
    operands: Operands

    @property
    def per_line(self):
        return -(-self.walk.pixels // self.s.pixels)

    def tile(self, block, unit):
        """One register tile: a block of output channels at `pixels` neighbouring pixels. An odd last block has fewer vectors."""
        left = self.p.out_blocks % self.s.vectors
        if left == 0 or self.p.out_blocks < self.s.vectors:
            self.micro(block, unit, min(self.s.vectors, self.p.out_blocks))
            return
        with T.If(block < self.p.out_blocks // self.s.vectors):
            with T.Then():
                self.micro(block, unit, self.s.vectors)
            with T.Else():
                self.micro(block, unit, left)

    def micro(self, block, unit, vectors):
        p, s, walk = self.p, self.s, self.walk
        line, tile = bind(tirx.floordiv(unit, self.per_line)), tirx.floormod(unit, self.per_line)
        image, row = bind(tirx.floordiv(line, walk.rows)), bind(tirx.floormod(line, walk.rows))
        start = bind(tirx.min(tile * s.pixels, walk.pixels - s.pixels))
        _, a, b = channel_span(p, s.vectors * 16)
        channel = tirx.floordiv(block, a) * b if p.groups > 1 else 0
        base = bind(image * walk.image_stride + row * walk.row_stride + start * walk.pixel_stride + channel)
        weights = bind(block * (self.steps * step_of(p) * s.vectors * 16))
        sums = T.alloc_buffer((s.pixels * vectors * 16,), self.bias.dtype, scope="local")
        for v in range(vectors):
            first = bind(load(self.bias, block * (s.vectors * 16) + v * 16, 16))
            for i in range(s.pixels):
                store(sums, (i * vectors + v) * 16, first)
        done = 0
        for run in walk.runs:
            count = -(-run.length // step_of(p))
            with T.serial(0, count) as k:
                self.step(sums, base + run.offset + k * step_of(p), weights + (done + k) * (step_of(p) * s.vectors * 16), vectors)
            done += count
        rows = [Row(bind(((image * walk.rows + row) * walk.pixels + start + i) * p.out_stride)) for i in range(s.pixels)]
        emit_epilogue(p.epilogue, self.operands, rows, vectors, block * (s.vectors * 16), lambda r, v: load(sums, (r * vectors + v) * 16, 16))

    def step(self, sums, at, weights, vectors):
        int8 = self.p.dtype == "int8"
        lanes = 16 * step_of(self.p)
        found = [bind(load(self.weights, weights + v * lanes, lanes)) for v in range(vectors)]
        for i in range(self.s.pixels):
            where = at + i * self.walk.pixel_stride
            element = bind(broadcast4(self.source, where) if int8 else tirx.Broadcast(self.source[where], 16))
            for v in range(vectors):
                slot = (i * vectors + v) * 16
                old = load(sums, slot, 16)
                store(sums, slot, dot4(old, element, found[v]) if int8 else fma(old, element, found[v]))

