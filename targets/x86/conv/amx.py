"""Dense and grouped convolution on the tile unit (AMX): u8 x s8 or bfloat16 dot products, two tiles of 16 pixels x two
tiles of 16 channels.

A tile of data is 16 pixels x 64 bytes, loaded straight from the channels-last input: no im2col. Partial sums stay in
tiles 0-3; when a unit (a pair of pixel tiles, a block of channels) is done they go through a 4 KiB buffer to the vector
unit, which requantises them while the tile unit is at the next one (see `amx_micro.py`).
Lines whose number of pixels is no multiple of 16 end with a tile that overlaps the one before (the same bytes are
written twice)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm import tirx
from tvm.tirx.script import builder as T

from ... import bfloat16
from ...cpu.expressions import bind
from ..kernel import argument, built_once, emit_kernel, on_stack, task_loop
from ..layout import SLACK, STORAGE
from ..tiles import TILE_BYTES, TILE_ROWS, tile_configure
from .amx_micro import BLOCK, SUMS, AmxUnit, Micro, branch
from .epilogue import Operands, table_argument
from .left_sums import coefficients_argument, for_task, sums_argument
from .problem import ConvProblem
from .stage import emit_stage
from .walk import Walk, plan_walk

if TYPE_CHECKING:
    from .left_sums import Checked

LONG = 1 << 28  # A convolution of so many multiply-adds runs for so long that its code is read once and for all.
DEEP = 8  # Between so many steps there is room for an epilogue.


@dataclass(frozen=True)
class AmxSchedule:
    """How a convolution on the tile unit is divided and ordered. pixels_outer: a task is a chunk of pixels and runs
    over all channels (weights stay in cache); otherwise the weights stream once. units: pairs of pixel tiles of one
    task. unroll: steps of 64 input bytes that are unrolled. phases: whether short rows may be walked as one line.
    ahead: weights that stream are prefetched a block ahead: a tile load waits for each of its 16 cache lines. woven:
    whether the epilogue of a unit stands between the dot products of the next one (`amx_micro.py`)."""

    pixels_outer: bool
    units: int
    unroll: int = 4
    phases: bool = True
    ahead: bool = True
    woven: bool = True


def width_of(p: ConvProblem) -> int:
    """Input elements of a dot-product step, which a tile row holds."""
    return TILE_BYTES if p.dtype == "int8" else bfloat16.BLOCK


def walk_of(p: ConvProblem, phases: bool = True) -> Walk:
    """How the kernel walks over its input. phases: whether it may stage strided columns apart."""
    return plan_walk(p, BLOCK, TILE_ROWS, allow_phases=phases, step=TILE_BYTES)


def default_schedule(p: ConvProblem) -> AmxSchedule:
    """Keep the smaller operand in the cache and stream the larger one once; about 16 tasks, so that a few threads share
    them evenly."""
    phases = _cost(p, walk_of(p, True)) <= _cost(p, walk_of(p, False))
    walk = walk_of(p, phases)
    total = walk.images * walk.rows * units_of(walk)
    weights = p.out_blocks * 16 * sum(run.length for run in walk.runs)
    data = p.batch * p.height * p.width * p.data_stride
    woven, ahead = weaves(p), total > 1
    if weights < data:
        return AmxSchedule(True, max(1, min(8, total // 16)), phases=phases, woven=woven)
    blocks = -(-p.out_blocks // 2)
    return AmxSchedule(False, max(1, -(-total // max(1, 16 // blocks))), phases=phases, ahead=ahead, woven=woven)


def weaves(p: ConvProblem) -> bool:
    """Whether epilogues pay between the dot products of the next unit: of a matrix product, and of a convolution that
    is long and deep. Short ones gain as much alone, but a network of them loses as a whole: their code is longer and
    comes from memory, and both units at work at once cost clock rate (docs/architecture.md)."""
    return (p.height, p.width) == (1, 1) or p.multiply_adds >= LONG and steps_of(p, walk_of(p)) >= DEEP


def _cost(p: "Checked | ConvProblem", walk: Walk) -> int:
    """Dot-product steps of all tiles. Planes of a stride as large as the kernel hold one tap each, so rows win
    there."""
    return walk.images * walk.rows * -(-walk.pixels // TILE_ROWS) * steps_of(p, walk)


def units_of(walk: Walk) -> int:
    """How many pairs of pixel tiles a line has."""
    return -(-(-(-walk.pixels // TILE_ROWS)) // 2)


def steps_of(p: ConvProblem, walk: Walk) -> int:
    """How many steps of 64 bytes a dot product has."""
    return sum(-(-run.length // width_of(p)) for run in walk.runs)


@built_once
def conv2d_amx(p: ConvProblem, s: AmxSchedule) -> tirx.PrimFunc:
    """PrimFunc(data u8[], weights s8[], bias s32[], config u8[64], multiplier f32[], [table u8[256]], [coefficients
    s32[]], [residual u8[]], out, [stage u8[]], [sums s32[]]). Of bfloat16 data, weights and stage are u16, bias and
    residual float32, and there is no multiplier."""
    return emit_kernel(p.name + "_amx", lambda: _body(p, s))


def _body(p: "Checked | ConvProblem", s: AmxSchedule) -> None:
    walk, e, int8 = walk_of(p, s.phases), p.epilogue, p.dtype == "int8"
    steps, width = steps_of(p, walk), width_of(p)
    data = argument("data", p.batch * p.height * p.width * p.data_stride + SLACK, STORAGE[p.dtype])
    weights = argument("weights", p.out_blocks * steps * TILE_ROWS * width, "int8" if int8 else "uint16")
    bias = argument("bias", p.out_blocks * 16, "int32" if int8 else "float32")
    config = argument("config", 64, "uint8")
    multiplier = argument("multiplier", p.out_blocks * 16, "float32") if int8 else None
    table = table_argument(e)
    coefficients = coefficients_argument(p, p.out_blocks * 16)
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    residual = argument("residual", out_elements, "uint8" if int8 else "float32") if e.residual else None
    out = argument("out", out_elements, STORAGE.get(e.out_dtype, e.out_dtype))
    source = emit_stage(p, walk, data)
    units = walk.images * walk.rows * units_of(walk)
    ahead = -(-2 * TILE_ROWS // units) if s.ahead and not s.pixels_outer and units <= 2 * TILE_ROWS else 0
    operands = Operands(out, multiplier, residual, min(16, p.out_stride), table)
    chunks, wide, odd = -(-units // s.units), p.out_blocks // 2, p.out_blocks % 2
    tasks = chunks if s.pixels_outer else chunks * (wide + odd)
    checked = sums_argument(p, tasks)
    with task_loop(tasks, p.microseconds) as task:
        tile_configure(config)
        micro = Micro(
            p,
            walk,
            width,
            steps,
            s.unroll,
            ahead,
            source,
            weights,
            bias,
            config,
            for_task(operands, coefficients, checked, task),
        )
        sums = on_stack(2 * SUMS, bias.dtype)
        first = bind((task if s.pixels_outer else tirx.floormod(task, chunks)) * s.units)
        count = s.units if units % s.units == 0 else tirx.min(s.units, units - first)
        if s.pixels_outer:
            if wide:
                _units(micro, s.woven, 0, wide, first, count, 2, sums)
            if odd:
                _units(micro, s.woven, wide, 1, first, count, 1, sums)
        else:
            block = bind(tirx.floordiv(task, chunks))
            branch(
                block < wide if wide and odd else wide > 0,
                lambda: _units(micro, s.woven, block, 1, first, count, 2, sums),
                (lambda: _units(micro, s.woven, block, 1, first, count, 1, sums)) if odd else None,
            )


def _units(
    micro: Micro,
    woven: bool,
    first_block: tirx.Expr | int,
    blocks: int,
    first: tirx.Expr,
    count: tirx.Expr | int,
    vectors: int,
    sums: tirx.Buffer,
) -> None:
    """Blocks x units. Woven: the first has none before it and requantises its own place, whose sums are not there yet;
    that is written again, and the loop has one body. A kernel that adds up its sums must not do so twice: it is not
    woven."""
    if not woven or micro.p.checked or isinstance(count, int) and blocks * count == 1:
        with T.serial(0, blocks) as block:
            with T.serial(0, count) as unit:
                micro.alone(AmxUnit(first_block + block, first + unit, 0), vectors, sums)
        return
    with T.serial(0, blocks) as block:
        with T.serial(0, count) as unit:
            number = bind(block * count + unit)
            before = bind(tirx.Select(unit > 0, unit - 1, tirx.Select(block > 0, count - 1, 0)))
            block_before = bind(block - tirx.Cast("int32", tirx.all(unit == 0, block > 0)))
            at = bind(tirx.floormod(number, 2) * SUMS)
            micro.woven(
                AmxUnit(first_block + block, first + unit, at),
                AmxUnit(first_block + block_before, first + before, SUMS - at),
                vectors,
                sums,
            )
    last = bind(tirx.floormod(blocks * count - 1, 2) * SUMS)
    micro.finish(AmxUnit(first_block + (blocks - 1), first + (count - 1), last), vectors, sums)
