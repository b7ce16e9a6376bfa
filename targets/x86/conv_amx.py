"""Dense and grouped int8 convolution on the tile unit (AMX): u8 x s8 dot products, two tiles of 16 pixels x two tiles of 16 channels.

A tile of data is 16 pixels x 64 bytes, loaded straight from the channels-last input: no im2col. Partial sums start from the bias and stay in tiles 0-3;
when a block is done they go through a 4 KiB buffer to the vector unit, which requantises them.
Lines whose number of pixels is no multiple of 16 end with a tile that overlaps the one before (the same bytes are written twice)."""

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from .conv_epilogue import Operands, Row, emit_epilogue
from .conv_problem import ConvProblem
from .conv_stage import emit_stage
from .conv_walk import Walk, channel_span, plan_walk
from .intrinsics import TILE_BYTES, TILE_ROWS, TILE_ROWS_AT, bind, load, tile_configure, tile_dot, tile_load, tile_store
from .kernel import argument, emit_kernel, task_loop
from .layout import SLACK

BLOCK = 32  # output channels of a block: two tiles
TILE_SIZE = TILE_ROWS * TILE_BYTES


@dataclass(frozen=True)
class AmxSchedule:
    """pixels_outer: a task is a chunk of pixels and runs over all channels (weights stay in cache); otherwise the weights stream once.
    units: pairs of pixel tiles of one task. unroll: steps of 64 input bytes that are unrolled. phases: whether short rows may be walked as one line."""

    pixels_outer: bool
    units: int
    unroll: int = 4
    phases: bool = True


def walk_of(p: ConvProblem, phases: bool = True) -> Walk:
    return plan_walk(p, BLOCK, TILE_ROWS, allow_phases=phases, step=TILE_BYTES)


def default_schedule(p: ConvProblem) -> AmxSchedule:
    """Keep the smaller operand in the cache and stream the larger one once; about 16 tasks, so that a few threads share them evenly."""
    phases = _cost(walk_of(p, True)) <= _cost(walk_of(p, False))
    walk = walk_of(p, phases)
    total = walk.images * walk.rows * _units(walk)
    weights = p.out_blocks * 16 * sum(run.length for run in walk.runs)
    data = p.batch * p.height * p.width * p.data_stride
    if weights < data:
        return AmxSchedule(True, max(1, min(8, total // 16)), phases=phases)
    blocks = -(-p.out_blocks // 2)
    return AmxSchedule(False, max(1, -(-total // max(1, 16 // blocks))), phases=phases)


def _cost(walk):
    """Dot-product steps of all tiles. Planes of a stride as large as the kernel hold one tap each, so rows win there."""
    return walk.images * walk.rows * -(-walk.pixels // TILE_ROWS) * steps_of(walk)


def _units(walk):
    return -(-(-(-walk.pixels // TILE_ROWS)) // 2)


def steps_of(walk: Walk) -> int:
    """Dot-product steps of 64 bytes."""
    return sum(-(-run.length // TILE_BYTES) for run in walk.runs)


def conv2d_amx(p: ConvProblem, s: AmxSchedule):
    """PrimFunc(data u8[], weights s8[], bias s32[], config u8[64], [multiplier f32[]], [residual u8[]], out, [stage u8[]])."""
    return emit_kernel(p.name + "_amx", lambda: _body(p, s))


def _body(p, s):
    walk, e = walk_of(p, s.phases), p.epilogue
    steps = steps_of(walk)
    data = argument("data", p.batch * p.height * p.width * p.data_stride + SLACK, "uint8")
    weights = argument("weights", p.out_blocks * steps * TILE_SIZE, "int8")
    bias = argument("bias", p.out_blocks * 16, "int32")
    config = argument("config", 64, "uint8")
    multiplier = argument("multiplier", p.out_blocks * 16, "float32")
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    residual = argument("residual", out_elements, "uint8") if e.residual else None
    out = argument("out", out_elements, "uint8" if e.out_dtype == "int8" else e.out_dtype)
    source = emit_stage(p, walk, data)
    k = _Kernel(p, walk, steps, s.unroll, source, weights, bias, config, Operands(out, multiplier, residual, min(16, p.out_stride)))
    units = walk.images * walk.rows * _units(walk)
    chunks, blocks = -(-units // s.units), -(-p.out_blocks // 2)
    with task_loop(chunks if s.pixels_outer else chunks * blocks, p.microseconds) as task:
        tile_configure(config)
        sums = T.alloc_buffer((4 * 256,), "int32", annotations={"disable_lower_builtin": True})  # on the stack
        chunk = task if s.pixels_outer else tirx.floormod(task, chunks)
        first = bind(chunk * s.units)
        count = s.units if units % s.units == 0 else tirx.min(s.units, units - first)
        with T.serial(0, blocks if s.pixels_outer else 1) as inner:
            block = bind(inner if s.pixels_outer else tirx.floordiv(task, chunks))
            with T.serial(0, count) as unit:
                k.unit(block, bind(first + unit), sums)


@dataclass(frozen=True)
class _Kernel:
    p: ConvProblem
    walk: Walk
    steps: int
    unroll: int
    source: object
    weights: object
    bias: object
    config: object
    operands: Operands

    def unit(self, block, unit, sums):
        """One block of output channels at one pair of pixel tiles."""
        tiles = -(-self.walk.pixels // TILE_ROWS)
        per_line = _units(self.walk)
        line, pair = bind(tirx.floordiv(unit, per_line)), bind(tirx.floormod(unit, per_line))
        wide = self.p.out_blocks // 2

        def channels(data_tiles):
            if wide == 0 or self.p.out_blocks % 2 == 0:
                self.micro(block, line, pair, data_tiles, 2 if wide else 1, sums)
                return
            _branch(block < wide, lambda: self.micro(block, line, pair, data_tiles, 2, sums), lambda: self.micro(block, line, pair, data_tiles, 1, sums))

        if tiles % 2 == 0:
            channels(2)
        elif tiles == 1:
            channels(1)
        else:
            _branch(pair < per_line - 1, lambda: channels(2), lambda: channels(1))

    def micro(self, block, line, pair, data_tiles, weight_tiles, sums):
        """Tiles 0-3: sums, 4-5: data, 6-7: weights."""
        p, walk = self.p, self.walk
        rows = min(TILE_ROWS, walk.pixels)
        image, row = bind(tirx.floordiv(line, walk.rows)), bind(tirx.floormod(line, walk.rows))
        starts = [bind(tirx.min((pair * 2 + t) * TILE_ROWS, walk.pixels - rows)) for t in range(data_tiles)]
        _, a, b = channel_span(p, BLOCK)
        channel = tirx.floordiv(block, a) * b if p.groups > 1 else 0
        base = bind(image * walk.image_stride + row * walk.row_stride + channel)
        at = [bind(base + start * walk.pixel_stride) for start in starts]
        weights = bind(block * (self.steps * 2 * TILE_SIZE))
        for t in range(data_tiles):
            for v in range(weight_tiles):
                tile_load(2 * t + v, self.bias, block * BLOCK + v * 16, 0)  # stride 0: every row starts from the bias
        done = 0
        for run in walk.runs:
            count = -(-run.length // TILE_BYTES)
            self.dots(run.offset, count, at, weights + done * weight_tiles * TILE_SIZE, weight_tiles)
            done += count
        for t in range(data_tiles):
            for v in range(weight_tiles):
                tile_store(2 * t + v, sums, t * 16 * 32 + v * 16, 32 * 4)
        self.finish(block, image, row, starts, rows, weight_tiles, sums)

    def dots(self, offset, count, at, weights, weight_tiles):
        def step(i):
            for v in range(weight_tiles):
                tile_load(6 + v, self.weights, weights + (i * weight_tiles + v) * TILE_SIZE, TILE_BYTES)
            for t, start in enumerate(at):
                tile_load(4 + t, self.source, start + offset + i * TILE_BYTES, self.walk.pixel_stride)
                for v in range(weight_tiles):
                    tile_dot(2 * t + v, 4 + t, 6 + v)

        unroll = self.unroll
        looped = count // unroll * unroll if count > unroll else 0
        if looped:
            with T.serial(0, looped // unroll) as outer:
                for i in range(unroll):
                    step(outer * unroll + i)
        for i in range(looped, count):
            step(i)

    def finish(self, block, image, row, starts, rows, vectors, sums):
        """Requantises pixel tile by pixel tile, as many pixels at a time as fill four vectors."""
        p, walk = self.p, self.walk
        at_once = 4 // vectors
        for t, start in enumerate(starts):
            # the number of pixels comes from the configuration: unrolled, this loop would be most of the kernel's code and miss the cache on every inference
            with T.serial(0, tirx.floordiv(tirx.Cast("int32", self.config[TILE_ROWS_AT]) + (at_once - 1), at_once)) as group:
                first = bind(group * at_once)
                found = [self.row(image, row, start + first + r, first + r < rows if rows % at_once else None) for r in range(at_once)]
                emit_epilogue(p.epilogue, self.operands, found, vectors, block * BLOCK,
                              lambda r, v: load(sums, t * 16 * 32 + (first + r) * 32 + v * 16, 16))

    def row(self, image, row, pixel, inside):
        p, walk = self.p, self.walk
        if walk.pitch == 0:
            return Row(bind(((image * walk.rows + row) * walk.pixels + pixel) * p.out_stride), inside)
        y, x = bind(tirx.floordiv(pixel, walk.pitch)), bind(tirx.floormod(pixel, walk.pitch))
        valid = x < p.out_width if walk.pitch > p.out_width else None
        if inside is not None:
            valid = inside if valid is None else tirx.all(inside, valid)
        return Row(bind(((image * p.out_height + y) * p.out_width + x) * p.out_stride), valid)


def _branch(condition, then, otherwise):
    with T.If(condition):
        with T.Then():
            then()
        with T.Else():
            otherwise()
