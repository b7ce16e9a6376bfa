"""Dense and grouped int8 convolution where the vector unit has no VPDPBUSD: dot products of four from VPMADDUBSW
wherever that is exact, else from VPMADDWD.

VPMADDUBSW adds two products u8 * s8 in int16 with saturation. Weights are constants, so it is known which sums can
never leave int16: those where neither the positive nor the negative weights of a pair add up to more than 128
(`pack.py`). A block of output channels therefore has two lists of steps: the safe ones (multiply, add pairs, add to the
sum: three instructions for 64 products) and the others, on data widened to 16 bits once per run (four instructions). A
list entry is where a step's data lie, so the steps need no order; those whose weights are all zero are left out.
Whatever the weights, the result is exact.

The input is copied with its padding first, so that all taps of a tile make one list."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, store_vector
from ..intrinsics import broadcast4, dot2, dot4_safe
from ..isa import current
from ..kernel import argument, emit_kernel, task_loop
from ..layout import SLACK
from .direct_schedule import DirectSchedule, is_matmul, line_of
from .epilogue import Operands, Row, emit_epilogue
from .left_sums import coefficients_argument, for_task, sums_argument
from .listed_copy import emit_copy, gathered_pixels, widened
from .pack import STEP_HEADER, StepList
from .problem import ConvProblem

if TYPE_CHECKING:
    from .left_sums import Checked

_MOST_PIXELS = 14
STACK_BYTES = 1 << 18  # The stack of a task holds its pixels in 16 bits, up to these bytes.


def most_pixels(vectors: int) -> int:
    """Pixels of a register tile: its sums, a step's weights (of narrow registers: read from memory), an element, a
    product and the ones fit into registers."""
    isa = current()
    return max(1, min(_MOST_PIXELS, (isa.registers - 4) // (vectors * isa.parts)))


def units_of(p: ConvProblem, pixels: int) -> int:
    """Units of work for one block of channels: register tiles of a matrix product, else rows of the output, of short
    ones as many as a tile holds."""
    return -(-line_of(p) // pixels) if is_matmul(p) else p.batch * -(-p.out_height // _tall(p, pixels))


def _tall(p: "Checked | ConvProblem", pixels: int) -> int:
    """Rows of the output in a register tile."""
    return max(1, pixels // p.out_width)


def default_schedule(p: ConvProblem) -> DirectSchedule:
    """One vector: the fewer weights share a step, the more steps are safe. Few pixels take more vectors, which share
    what a step costs besides."""
    p = gathered_pixels(p) or p
    line = line_of(p)
    vectors = min(4 if line == 1 else 2, p.out_blocks) if line <= 3 else 1
    pixels = _pixels(p, line, most_pixels(vectors))
    units = units_of(p, pixels)
    weights = p.out_channels * p.channels // p.groups * p.kernel[0] * p.kernel[1]
    if weights < p.batch * p.height * p.width * p.data_stride:
        return DirectSchedule(vectors, pixels, True, max(1, min(8 if is_matmul(p) else 2, units // 16)))
    blocks = -(-p.out_blocks // vectors)
    return DirectSchedule(vectors, pixels, False, max(1, -(-units // max(1, 16 // blocks))))


def _pixels(p: "Checked | ConvProblem", line: int, most: int) -> int:
    """Of a register tile: few of them for nothing at the end of a line. A step costs a quarter of a pixel besides; one
    pixel more than registers hold costs little at 256 bits (fitted, docs/architecture.md), less than a tile that half
    repeats another."""
    tall = max((n for n in range(2, most // line + 1) if p.out_height % n == 0), default=1)
    if not is_matmul(p) and tall > 1:
        return line * tall
    extra = current().parts > 1
    cost = lambda n: (-(-line // n) * (n + 0.25) * (1.11 if n > most else 1), -n)
    return min(range(max(1, most // 2), min(line, most + extra) + 1) if line > 1 else (1,), key=cost, default=line)


@dataclass(frozen=True)
class Source:
    """Where the kernel reads: the image with its padding, `height` x `width`. copied: whether the workspace begins with
    it. wide: the byte of the workspace where its elements in 16 bits begin. elements: bytes of the workspace."""

    height: int
    width: int
    copied: bool
    wide: int
    elements: int


def _local(p: "Checked | ConvProblem", s: DirectSchedule) -> bool:
    """Whether each task widens its own pixels on its stack, where they stay in the nearest cache: a task that runs over
    all channels."""
    return is_matmul(p) and s.pixels_outer and s.units * s.pixels * p.data_stride <= STACK_BYTES // 2


def input_or_copy(p: ConvProblem, s: DirectSchedule, steps: StepList) -> Source:
    """What the kernel reads: the input itself, or a copy of it with its padding."""
    if _local(p, s):
        return Source(p.height, p.width, False, 0, 0)
    copied = any(p.padding) or gathered_pixels(p) is not None
    p = gathered_pixels(p) or p
    height, width = p.height + p.padding[0] + p.padding[2], p.width + p.padding[1] + p.padding[3]
    size = p.batch * height * width * p.data_stride
    wide = -(-size // 64) * 64 if copied else 0
    return Source(height, width, copied, wide, wide + 2 * size * bool(steps.unsafe))


def source_width(p: ConvProblem) -> int:
    """Pixels of a line of what the kernel reads, padding included."""
    return (gathered_pixels(p) or p).width + p.padding[1] + p.padding[3]


def workspace(p: ConvProblem, s: DirectSchedule, steps: StepList) -> int:
    """Bytes of the kernel's last argument; 0 if it takes none."""
    elements = input_or_copy(p, s, steps).elements
    return elements + SLACK if elements else 0


def conv2d_listed(p: ConvProblem, s: DirectSchedule, steps: StepList) -> tirx.PrimFunc:
    """PrimFunc(data u8[], weights s8[], table s32[], bias s32[], multiplier f32[], [coefficients s32[]], [residual],
    out, [workspace u8[]], [sums s32[]])."""
    return emit_kernel(p.name + "_listed", lambda: _body(p, s, steps))


def _body(p: "Checked | ConvProblem", s: DirectSchedule, steps: StepList) -> None:
    e, blocks = p.epilogue, -(-p.out_blocks // s.vectors)
    data = argument("data", p.batch * p.image_stride + SLACK, "uint8")
    weights, table = argument("weights", len(steps.weights), "int8"), argument("table", len(steps.table), "int32")
    bias = argument("bias", blocks * s.vectors * 16, "int32")
    multiplier = argument("multiplier", blocks * s.vectors * 16, "float32")
    coefficients = coefficients_argument(p, blocks * s.vectors * 16)
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    out_storage = "uint8" if e.out_dtype == "int8" else e.out_dtype
    residual = argument("residual", out_elements, out_storage) if e.residual else None
    out = argument("out", out_elements, out_storage)
    source, local = input_or_copy(p, s, steps), _local(p, s)
    copy = argument("workspace", workspace(p, s, steps), "uint8") if source.elements else None
    if copy is not None:
        emit_copy(p, source, data, copy, steps)
    p = gathered_pixels(p) or p
    operands = Operands(out, multiplier, residual, min(16, p.out_stride))
    k = _Kernel(
        p, s, source, copy if source.copied else data, copy if steps.unsafe else None, 0, weights, table, bias, operands
    )
    units = units_of(p, s.pixels)
    chunks = -(-units // s.units)
    tasks = chunks if s.pixels_outer else chunks * blocks
    sums = sums_argument(p, tasks)
    with task_loop(tasks, p.microseconds) as task:
        k = replace(k, operands=for_task(operands, coefficients, sums, task))
        first = bind((task if s.pixels_outer else tirx.floormod(task, chunks)) * s.units)
        count = s.units if units % s.units == 0 else tirx.min(s.units, units - first)
        if local and steps.unsafe:
            wide, first_pixel = widened(p, s, data, first, count)
            k = replace(k, wide=wide, wide_from=bind(first_pixel * p.data_stride))
        with T.serial(0, blocks if s.pixels_outer else 1) as inner:
            block = bind(inner if s.pixels_outer else tirx.floordiv(task, chunks))
            header = [bind(table[block * STEP_HEADER + i]) for i in range(STEP_HEADER)]
            with T.serial(0, count) as unit:
                k.unit(block, header, bind(first + unit))


@dataclass(frozen=True)
class _Kernel:
    """The code of a convolution by lists of steps while it is emitted. source: the bytes that safe steps read. wide:
    what the others read, None without any; its data in 16 bits begin with element `wide_from` of the source."""

    p: ConvProblem
    s: DirectSchedule
    at: Source
    source: Any  # The field is None where no step reads the input, else its buffer.
    wide: tirx.Buffer | None
    wide_from: tirx.Expr | int
    weights: tirx.Buffer
    table: tirx.Buffer
    bias: tirx.Buffer
    operands: Operands

    def unit(self, block: tirx.Expr, header: list[tirx.Expr], unit: tirx.Expr) -> None:
        """One unit of pixels times one block of output channels; an odd last block has fewer vectors."""
        p, left = self.p, self.p.out_blocks % self.s.vectors
        if left == 0 or p.out_blocks < self.s.vectors:
            self.line(block, header, unit, min(self.s.vectors, p.out_blocks))
            return
        with T.If(block < p.out_blocks // self.s.vectors):
            with T.Then():
                self.line(block, header, unit, self.s.vectors)
            with T.Else():
                self.line(block, header, unit, left)

    def line(self, block: tirx.Expr, header: list[tirx.Expr], unit: tirx.Expr, vectors: int) -> None:
        """A register tile of a matrix product, or the tiles of one row; the last one of a line overlaps the one
        before."""
        p, s = self.p, self.s
        if is_matmul(p):
            start = bind(tirx.min(unit * s.pixels, line_of(p) - s.pixels))
            self.tile(block, header, vectors, bind(start * p.data_stride), bind(start * p.out_stride))
            return
        tall = _tall(p, s.pixels)
        groups = -(-p.out_height // tall)
        image, row = (
            bind(tirx.floordiv(unit, groups)),
            bind(tirx.min(tirx.floormod(unit, groups) * tall, p.out_height - tall)),
        )
        base, to = (
            bind((image * self.at.height + row * p.strides[0]) * self.at.width),
            bind((image * p.out_height + row) * p.out_width),
        )
        with T.serial(0, -(-p.out_width * tall // s.pixels)) as i:
            start = bind(tirx.min(i * s.pixels, p.out_width * tall - s.pixels))
            self.tile(
                block,
                header,
                vectors,
                bind((base + start * p.strides[1]) * p.data_stride),
                bind((to + start) * p.out_stride),
            )

    def tile(self, block: tirx.Expr, header: list[tirx.Expr], vectors: int, at: tirx.Expr, to: tirx.Expr) -> None:
        """`pixels` pixels whose data begin at element `at` of the source, whose results at element `to`."""
        p, s = self.p, self.s
        lanes, registers = current().lanes, vectors * current().parts
        sums = T.alloc_buffer((s.pixels * vectors * 16,), "int32", annotations={"disable_lower_builtin": True})
        for r in range(registers):
            first = bind(load_vector(self.bias, block * (s.vectors * 16) + r * lanes, lanes))
            for i in range(s.pixels):
                store_vector(sums, (i * registers + r) * lanes, first)
        weights, entries, safe, unsafe = header
        pitches = [self.pitch(i) for i in range(s.pixels)]

        def add(i: int, r: int, value: Callable[[tirx.Expr], tirx.Expr]) -> None:
            slot = (i * registers + r) * lanes
            store_vector(sums, slot, value(load_vector(sums, slot, lanes)))

        with T.serial(0, safe) as k:
            offset = bind(at + self.table[entries + k])
            found = [
                bind(load_vector(self.weights, weights + k * (s.vectors * 64) + r * 4 * lanes, 4 * lanes))
                for r in range(registers)
            ]
            for i in range(s.pixels):
                element = bind(broadcast4(self.source, offset + pitches[i], lanes))
                for r in range(registers):
                    add(i, r, lambda old: dot4_safe(old, element, found[r]))
        if self.wide is not None:
            behind = bind(weights + safe * (s.vectors * 64))
            with T.serial(0, unsafe) as k:
                offset = bind(self.at.wide + 2 * (at - self.wide_from + self.table[entries + safe + k]))
                for half in (0, 1):
                    first = behind + (k * 2 + half) * (s.vectors * 64)
                    found = [
                        bind(load_vector(self.weights, first + r * 4 * lanes, 4 * lanes)) for r in range(registers)
                    ]
                    for i in range(s.pixels):
                        element = bind(broadcast4(self.wide, offset + 2 * pitches[i] + 4 * half, lanes))
                        for r in range(registers):
                            add(i, r, lambda old: dot2(old, element, found[r]))
        rows = [Row(bind(to + i * p.out_stride)) for i in range(s.pixels)]
        emit_epilogue(
            p.epilogue,
            self.operands,
            rows,
            vectors,
            block * (s.vectors * 16),
            lambda r, v: load_vector(sums, (r * vectors + v) * 16, 16),
        )

    def pitch(self, i: int) -> int:
        """Elements between the first data of a tile's first pixel and of pixel i."""
        p = self.p
        row, column = divmod(i, p.out_width) if not is_matmul(p) and self.s.pixels > p.out_width else (0, i)
        return (row * p.strides[0] * self.at.width + column * p.strides[1]) * p.data_stride
