"""Depthwise convolution: every channel on its own, 64 (int8) or 16 (float32) channels in a vector.

int8: a dot product of four needs four taps of one channel side by side, so four rows of one input column (of a kernel with one row: four columns) are
interleaved byte-wise (VPUNPCK), once for all output pixels of a tile that they serve. Unpacking permutes the channels within 128-bit lanes; packing the
result undoes exactly that.

Large images need no padded copy: a column beside the image is a constant vector; rows above or below it are blended away in a second version of the loop.
Small images are copied with their padding: that is cheaper than the cache misses of so much code, which runs only once per inference. Where a task is 64 channels
of an image it copies only those, so that all threads start once and none reads what another has just written.
The last vector of channels overlaps the one before where the channels do not fill it. With 16 or 32 channels a vector holds neighbouring pixels ("fold")."""

from dataclasses import dataclass, replace
from math import gcd

from tvm import tirx
from tvm.tirx.script import builder as T

from .depthwise_schedule import DepthwiseSchedule, is_local, padded_extents, walk_of
from ..elementwise.table import permuted
from ..intrinsics import bind, dot4_multiplied, dot_pairs, fma, interleave_bytes, load, multiplied, part, splat, split_pairs, store
from ..isa import current
from ..kernel import argument, built_once, emit_kernel, on_stack, task_loop
from ..layout import SLACK
from .depthwise_pack import chunk_starts, fold_of, lanes_of, pad_value, tap_groups
from .epilogue import Operands, Row, emit_depthwise, emit_epilogue, table_argument
from .problem import ConvProblem
from .stage import emit_stage
from .sums import coefficients_argument, for_task, sums_argument


@built_once
def conv2d_depthwise(p: ConvProblem, s: DepthwiseSchedule):
    """PrimFunc(data, weights, bias, [multiplier f32[]], [table u8[256]], [coefficients s32[]], [residual], out, [stage], [sums s32[]]); data and weights u8 and s8, bias s32, or all float32."""
    return emit_kernel(p.name, lambda: _body(p, s))


def _body(p, s):
    e, int8 = p.epilogue, p.dtype == "int8"
    lanes = lanes_of(p)
    chunks = len(chunk_starts(p))
    storage = "uint8" if int8 else "float32"
    data = argument("data", p.batch * p.height * p.width * p.data_stride + SLACK, storage)
    weights = argument("weights", chunks * len(tap_groups(p)) * (256 if int8 else 16), "int16" if int8 and not current().vnni else p.dtype)
    bias = argument("bias", chunks * lanes, "int32" if int8 else "float32")
    multiplier = argument("multiplier", chunks * lanes, "float32") if int8 else None
    table = table_argument(e)
    coefficients = coefficients_argument(p, chunks * lanes)
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    out_storage = "uint8" if e.out_dtype == "int8" else e.out_dtype
    residual = argument("residual", out_elements, out_storage) if e.residual else None
    out = argument("out", out_elements, out_storage)
    source, fold, local, image = emit_stage(p, walk_of(p, s), data), fold_of(p), is_local(p, s), p
    if s.staged:  # from here on it is a convolution of a larger image without padding
        p = replace(p, height=padded_extents(image)[0], width=padded_extents(image)[1], padding=(0, 0, 0, 0))
    k = _Kernel(p, min(s.pixels, p.out_width // fold), fold, 64 if local else p.data_stride, source, weights, bias, Operands(out, multiplier, residual))
    lines = p.batch * p.out_height
    tasks = p.batch * chunks if local else -(-lines // s.rows)
    sums = sums_argument(p, tasks)
    if local:
        _by_channels(image, replace(k, operands=Operands(out, multiplier, residual, table=table)), data, coefficients, sums)
        return
    with task_loop(tasks, p.microseconds) as task:
        k = replace(k, operands=for_task(k.operands, coefficients, sums, task))
        count = s.rows if lines % s.rows == 0 else tirx.min(s.rows, lines - task * s.rows)
        with T.serial(0, count) as i:
            line = bind(task * s.rows + i)
            k.line(bind(tirx.floordiv(line, p.out_height)), bind(tirx.floormod(line, p.out_height)))
        if table is not None:
            _look_up(out, table, bind(task * s.rows * (p.out_width * p.out_stride)), count * (p.out_width * p.out_stride), gcd(p.out_stride, 16))


def _by_channels(p, k, data, coefficients, sums):
    """A task: 64 channels of an image (problem `p`) and their padding go to a buffer on its stack, of which kernel `k` makes the results."""
    chunks, (height, width), padding = len(chunk_starts(p)), padded_extents(p), splat(pad_value(p), "uint8", 64)
    with task_loop(p.batch * chunks, p.microseconds) as task:
        image, chunk = bind(tirx.floordiv(task, chunks)), bind(tirx.floormod(task, chunks))
        channel = bind(tirx.min(chunk * 64, p.out_stride - 64))
        stage = on_stack(height * width * 64, "uint8")
        with T.serial(0, height) as y:
            row, source = bind(y * (width * 64)), bind(((image * p.height + y - p.padding[0]) * p.width) * p.data_stride + channel)

            def fill(first, count):
                if count > 0:
                    with T.serial(0, count) as x:
                        store(stage, row + (first + x) * 64, padding)

            with T.If(tirx.all(y >= p.padding[0], y < p.padding[0] + p.height)):
                with T.Then():
                    fill(0, p.padding[1])
                    with T.serial(0, p.width) as x:
                        store(stage, row + (p.padding[1] + x) * 64, load(data, source + x * p.data_stride, 64))
                    fill(p.padding[1] + p.width, p.padding[3])
                with T.Else():
                    fill(0, width)
        k = replace(k, data=stage, operands=for_task(k.operands, coefficients, sums, task))
        with T.serial(0, p.out_height) as y:
            rows = [(bind((y * p.strides[0] + r * p.dilation[0]) * (width * 64)), None) for r in range(p.kernel[0])]
            k.tiles(rows, bind((image * p.out_height + y) * (p.out_width * p.out_stride)), chunk, 0, channel)


def _look_up(out, table, first, size, piece):
    """Replaces `size` bytes from `first` on, a multiple of `piece`, by what the table holds for them. The task's rows are in the nearest cache; in the epilogue the
    table would need registers that hold sums, and vectors of channels that overlap would be looked up twice."""
    with T.serial(0, tirx.floordiv(size, 64)) as i:
        at = bind(first + i * 64)
        store(out, at, permuted(bind(load(out, at, 64)), table))
    with T.serial(0, tirx.floordiv(tirx.floormod(size, 64), piece)) as i:
        at = bind(first + tirx.floordiv(size, 64) * 64 + i * piece)
        store(out, at, part(bind(permuted(bind(load(out, at, 64)), table)), 0, piece))


@dataclass(frozen=True)
class _Kernel:
    """vectors: of `fold` output pixels each in a register tile. pitch: elements between two pixels of the data."""

    p: ConvProblem
    vectors: int
    fold: int
    pitch: int
    data: tirx.Buffer
    weights: tirx.Buffer
    bias: tirx.Buffer
    operands: Operands

    def line(self, image, row):
        """One row of the output."""
        p, lanes = self.p, lanes_of(self.p)
        first = bind(row * p.strides[0] - p.padding[0])
        reach = (p.kernel[0] - 1) * p.dilation[0]
        line = bind((image * p.out_height + row) * (p.out_width * p.out_stride))

        def channels(rows):
            count = len(chunk_starts(p))
            with T.serial(0, count) as chunk:
                channel = 0 if count == 1 else chunk * lanes if p.out_stride % lanes == 0 else bind(tirx.min(chunk * lanes, p.out_stride - lanes))
                self.tiles(rows, line, chunk, channel, channel)

        if p.padding[0] == 0 and p.padding[2] == 0:
            channels(self.input_rows(image, first, True))
            return
        with T.If(tirx.all(first >= 0, first + reach < p.height)):
            with T.Then():
                channels(self.input_rows(image, first, True))
            with T.Else():
                channels(self.input_rows(image, first, False))

    def input_rows(self, image, first, all_inside):
        """The input rows of an output row: (index of the first element, whether it lies in the image, or None for certainly)."""
        p, size, found = self.p, self.p.width * self.pitch, []
        for r in range(p.kernel[0]):
            y = first + r * p.dilation[0]
            if all_inside:
                found.append((bind((image * p.height + y) * size), None))
            else:
                inside = bind(tirx.all(y >= 0, y < p.height))
                found.append((bind((image * p.height + tirx.max(tirx.min(y, p.height - 1), 0)) * size), inside))
        return found

    def pixels(self, row, at, lanes, column):
        """`lanes` channels, at element `at` of `row`, of the pixel in image column `column` (or of it and its neighbours), or padding."""
        p, (start, inside), fold = self.p, row, self.fold
        padding = splat(pad_value(p), self.data.dtype, lanes)
        within = [0 <= column + i < p.width for i in range(fold)]
        if not any(within):
            return padding
        shift = 0 if all(within) else min(max(column, 0), p.width - fold) - column  # pixels beside the image are not read
        value = load(self.data, start + at + shift * self.pitch, lanes)
        if not all(within):
            each = lanes // fold
            order = [(i - shift) * each + lane if within[i] else lanes + lane for i in range(fold) for lane in range(each)]
            value = tirx.Shuffle([bind(value), padding], order)
        return value if inside is None else tirx.Select(tirx.Broadcast(inside, lanes), value, padding)

    def tiles(self, rows, line, chunk, source, channel):
        """The tiles of a row, of the channels that begin at `source` in a pixel of the data and at `channel` in one of the result: those that read only pixels of the image in a loop, those at its ends one by one."""
        p, pixels = self.p, self.vectors * self.fold
        count = -(-p.out_width // pixels)
        starts = [min(i * pixels, p.out_width - pixels) for i in range(count)]
        reach = (pixels - 1) * p.strides[1] + (p.kernel[1] - 1) * p.dilation[1]
        inside = [i for i, start in enumerate(starts) if self.column(start, 0) >= 0 and self.column(start, reach) < p.width]
        loop = range(inside[0], inside[-1] + 1) if len(inside) > 1 else range(0)
        for i, start in enumerate(starts):
            if i not in loop:
                self.tile(rows, line, chunk, source, channel, start, start)
        if loop:
            with T.serial(loop[0], loop[-1] + 1) as i:
                at = bind(tirx.min(i * pixels, p.out_width - pixels))
                self.tile(rows, line, chunk, source, channel, at, starts[loop[0]])

    def column(self, start, column):
        """The image column that input column `column` of a tile at `start` is."""
        return start * self.p.strides[1] - self.p.padding[1] + column

    @property
    def uses(self):
        """What a tile reads: taps as (row, column of the tile's input) -> the (vector of output pixels, group of taps) that they serve."""
        p = self.p
        found: dict[tuple, list] = {}
        for i in range(self.vectors):
            for g, group in enumerate(tap_groups(p)):
                found.setdefault(tuple((r, i * self.fold * p.strides[1] + c * p.dilation[1]) for r, c in group), []).append((i, g))
        return found

    def tile(self, rows, line, chunk, source, channel, start, example):
        """`start`: first output pixel, maybe a loop's; `example`: a number for which the same columns lie inside the image."""
        p, count, fold = self.p, self.vectors, self.fold
        int8, lanes = p.dtype == "int8", lanes_of(p)
        sums = T.alloc_buffer((count * lanes,), self.bias.dtype, annotations={"disable_lower_builtin": True})
        at = bind(self.column(start, 0) * self.pitch + source)
        if int8 and current().parts > 1:
            with T.serial(0, current().parts) as part:  # one after the other, so that the sums of a part stay in registers
                self.products(rows, chunk, at, example, sums, part)
        else:
            self.products(rows, chunk, at, example, sums, 0)
        vectors = lanes // 16
        outputs = [Row(bind(line + (start + i * fold) * p.out_stride + channel)) for i in range(count)]
        accumulator = lambda r, v: load(sums, (r * vectors + v) * 16, 16)  # noqa: E731
        if int8:
            emit_depthwise(p.epilogue, self.operands, outputs, chunk * lanes, min(lanes, p.out_stride * fold), accumulator)
        else:
            emit_epilogue(p.epilogue, self.operands, outputs, 1, 0, accumulator)

    def products(self, rows, chunk, at, example, sums, part):
        """The sums of a tile's pixels, of one register's bytes of the 64 channels (int8) or of all 16 (float32). The lanes of a register of sums are
        those of its `part` of the vector of 16."""
        p, count, isa = self.p, self.vectors, current()
        int8, lanes = p.dtype == "int8", lanes_of(p)
        vectors, size = lanes // 16, 16 // (isa.parts if int8 else 1)
        mine = T.alloc_buffer((count * vectors * size,), self.bias.dtype, annotations={"disable_lower_builtin": True})
        for v in range(vectors):
            first = bind(load(self.bias, chunk * lanes + v * 16 + part * size, size))
            for i in range(count):
                store(mine, (i * vectors + v) * size, first)
        width = size * (4 if int8 else 1)
        begin = bind(at + part * width) if int8 and isa.parts > 1 else at
        for taps, served in self.uses.items():
            found = [bind(self.pixels(rows[r], begin + column * self.pitch, width, self.column(example, column))) for r, column in taps]
            parts = [bind(x) for x in (interleave_bytes([multiplied(x) for x in found]) if int8 else found)]
            if self.weights.dtype == "int16":
                parts = [split_pairs(x) for x in parts]
            for i, g in served:
                for v, x in enumerate(parts):
                    slot, first = (i * vectors + v) * size, ((chunk * len(tap_groups(p)) + g) * vectors + v) * 16
                    store(mine, slot, self.multiplied(load(mine, slot, size), x, first, part * size, size))
        for i in range(count):
            for v in range(vectors):
                store(sums, (i * vectors + v) * 16 + part * size, load(mine, (i * vectors + v) * size, size))

    def multiplied(self, old, x, first, lane, size):
        """old + x times `size` weights, from `lane` on, of the vector of 16 that is number `first` / 16."""
        if self.p.dtype == "float32":
            return fma(old, x, load(self.weights, first + lane, size))
        if self.weights.dtype == "int8":
            return dot4_multiplied(old, x, load(self.weights, (first + lane) * 4, 4 * size))
        return dot_pairs(old, x, [load(self.weights, first * 4 + parity * 32 + lane * 2, 2 * size) for parity in (0, 1)])
