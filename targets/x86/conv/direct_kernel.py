"""The register tiles of `direct.py`.

A register tile holds `pixels` x `vectors` accumulators of 16 output channels; a step multiplies one broadcast input
element (float32) or four neighbouring input channels (int8) of every pixel with `vectors` weight vectors. Lines whose
length is no multiple of the tile end with a tile that overlaps the one before.

Padding costs no copy. Tiles at the ends of a row are written out, so it is known which of their pixels lie beside the
image; a row above or below it is a branch. Beside the image a float32 kernel adds nothing, an int8 kernel multiplies
the zero point (the folded bias counts it for every tap)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import broadcast4, dot4_multiplied, fma, multiplied
from ..isa import current
from ..layout import STORED_OFFSET
from .direct_schedule import DirectSchedule, is_matmul, line_of, row_length, span_of, step_of
from .epilogue import Operands, Row, emit_epilogue
from .problem import ConvProblem
from .walk import channel_span

WRITTEN_OUT = 5  # Kernels with more columns are not written out, as they would not fit the instruction cache.


@dataclass(frozen=True)
class DirectKernel:
    """Computes register tiles; `neon.py` derives from it what arm64 does otherwise."""

    p: ConvProblem
    s: DirectSchedule
    data: tirx.Buffer
    weights: tirx.Buffer
    bias: tirx.Buffer
    operands: Operands

    def unit(self, block: tirx.Expr, unit: tirx.Expr) -> None:
        """One unit of pixels times one block of output channels; an odd last block has fewer vectors."""
        p, left = self.p, self.p.out_blocks % self.s.vectors
        if left == 0 or p.out_blocks < self.s.vectors:
            self.line(block, unit, min(self.s.vectors, p.out_blocks))
            return
        with T.If(block < p.out_blocks // self.s.vectors):
            with T.Then():
                self.line(block, unit, self.s.vectors)
            with T.Else():
                self.line(block, unit, left)

    def line(self, block: tirx.Expr, unit: tirx.Expr, vectors: int) -> None:
        """Emits one unit of a block of output channels: `pixels` rows of a linear layer, or one row of an image, whose
        tiles overlap where its width is no multiple of theirs. vectors: of 16 channels in the block."""
        p, s = self.p, self.s
        if is_matmul(p):
            self.tile(block, vectors, 0, 0, bind(tirx.min(unit * s.pixels, line_of(p) - s.pixels)), None)
            return
        image, row = bind(tirx.floordiv(unit, p.out_height)), bind(tirx.floormod(unit, p.out_height))
        starts = [min(i * s.pixels, p.out_width - s.pixels) for i in range(-(-p.out_width // s.pixels))]
        inside = [
            i
            for i, start in enumerate(starts)
            if self.outside(start, 0, 0) == self.outside(start, s.pixels - 1, p.kernel[1] - 1) == 0
        ]
        loop = range(inside[0], inside[-1] + 1) if len(inside) > 1 else range(0)
        for i, start in enumerate(starts):
            if i not in loop:
                self.tile(block, vectors, image, row, start, start)
        if loop:
            with T.serial(loop[0], loop[-1] + 1) as i:
                self.tile(
                    block, vectors, image, row, bind(tirx.min(i * s.pixels, p.out_width - s.pixels)), starts[loop[0]]
                )

    def outside(self, start: int, pixel: int, column: int) -> int:
        """How far the input column of (pixel of a tile at `start`, kernel column) lies beside the image: negative to
        the left, positive to the right."""
        p = self.p
        x = (start + pixel) * p.strides[1] - p.padding[1] + column * p.dilation[1]
        return min(x, 0) + max(x - p.width + 1, 0)

    def tile(
        self,
        block: tirx.Expr,
        vectors: int,
        image: tirx.Expr | int,
        row: tirx.Expr | int,
        start: tirx.Expr | int,
        example: int | None,
    ) -> None:
        """One register tile: `pixels` pixels from `start`. example: a number for which the same taps lie inside the
        image, None if all do."""
        p, s = self.p, self.s
        sums = T.alloc_buffer((s.pixels * vectors * 16,), self.bias.dtype, annotations={"disable_lower_builtin": True})
        self.start(sums, block * (s.vectors * 16), vectors)
        _, a, b = channel_span(p, s.vectors * 16)
        channel = tirx.floordiv(block, a) * b if p.groups > 1 else 0
        length = row_length(p, s) * s.vectors * 16
        weights = bind(block * (p.kernel[0] * length))
        padded_rows = p.padding[0] > 0 or p.padding[2] > 0

        def kernel_row(r: int) -> None:
            y = bind(row * p.strides[0] - p.padding[0] + r * p.dilation[0])
            at = bind(
                image * p.image_stride + (y * p.width + start * p.strides[1] - p.padding[1]) * p.data_stride + channel
            )
            first = bind(weights + r * length)
            if not padded_rows:
                self.taps(sums, at, first, vectors, start, example, True)
                return
            with T.If(tirx.all(y >= 0, y < p.height)):
                with T.Then():
                    self.taps(sums, at, first, vectors, start, example, True)
                if p.dtype == "int8":
                    with T.Else():
                        self.taps(sums, at, first, vectors, start, example, False)

        _each(p.kernel[0], current().rows_written_out, kernel_row)
        rows = [
            Row(bind(((image * p.out_height + row) * p.out_width + start + i) * p.out_stride)) for i in range(s.pixels)
        ]
        emit_epilogue(
            p.epilogue,
            self.operands,
            rows,
            vectors,
            block * (s.vectors * 16),
            lambda r, v: self.sums_of(sums, r, v, vectors),
        )

    def start(self, sums: tirx.Buffer, channel: tirx.Expr, vectors: int) -> None:
        """Begins the sums with the bias."""
        lanes, registers = current().lanes, vectors * current().parts
        for r in range(registers):
            first = bind(load_vector(self.bias, channel + r * lanes, lanes))
            for i in range(self.s.pixels):
                store_vector(sums, (i * registers + r) * lanes, first)

    def sums_of(self, sums: tirx.Buffer, pixel: int, vector: int, vectors: int) -> tirx.Expr:
        """16 sums of a pixel, of neighbouring channels."""
        return load_vector(sums, (pixel * vectors + vector) * 16, 16)

    def taps(
        self,
        sums: tirx.Buffer,
        at: tirx.Expr | int,
        weights: tirx.Expr | int,
        vectors: int,
        start: tirx.Expr | int,
        example: int | None,
        row_inside: bool,
    ) -> None:
        """The taps of one kernel row; neighbours whose channels follow each other in memory make one loop."""
        p, s, span = self.p, self.s, span_of(self.p, self.s.vectors)
        kw = p.kernel[1]
        beside = [
            [example is not None and self.outside(example, i, c) != 0 for i in range(s.pixels)] for c in range(kw)
        ]
        if not row_inside:  # Every tap reads padding.
            self.run(sums, at, weights, vectors, kw * span, [False] * s.pixels)
            return
        if not any(map(any, beside)) and p.dilation[1] == 1 and span == p.data_stride and not p.planar:
            self.run(sums, at, weights, vectors, kw * span, [True] * s.pixels)
            return

        def tap(c: int) -> None:
            if kw <= WRITTEN_OUT:
                inside = [not out for out in beside[c]]
                if not any(inside) and p.dtype == "float32":
                    return
            elif any(map(any, beside)):
                inside = [bind((start + i) * p.strides[1] - p.padding[1] + c * p.dilation[1]) for i in range(s.pixels)]
                inside = [tirx.all(x >= 0, x < p.width) for x in inside]
            else:
                inside = [True] * s.pixels
            self.run(
                sums, at + c * p.dilation[1] * p.data_stride, weights + c * span * s.vectors * 16, vectors, span, inside
            )

        _each(kw, WRITTEN_OUT, tap)

    def run(
        self,
        sums: tirx.Buffer,
        at: tirx.Expr | int,
        weights: tirx.Expr | int,
        vectors: int,
        length: int,
        inside: Sequence[tirx.Expr | bool],
    ) -> None:
        """`length` input elements from `at` on. inside: for every pixel whether it lies inside the image, a bool or a
        condition; padding for the others."""
        p, step = self.p, step_of(self.p)
        with T.serial(0, length // step) as k:
            first = weights + k * (16 * step * self.s.vectors)
            used = [i for i in range(self.s.pixels) if p.dtype == "int8" or inside[i] is not False]
            self.step(
                sums,
                first,
                vectors,
                used,
                lambda i: bind(
                    self.element(at + i * p.strides[1] * p.data_stride + k * (step * p.channel_step), inside[i])
                ),
            )

    def step(
        self,
        sums: tirx.Buffer,
        weights: tirx.Expr | int,
        vectors: int,
        used: list[int],
        element_of: Callable[[int], tirx.Expr],
    ) -> None:
        """Emits sums += element * weights for the pixels `used`. weights: offset of the vectors' weights. element_of:
        pixel -> its four bytes, or its value, in all lanes."""
        multiply = dot4_multiplied if self.p.dtype == "int8" else fma
        lanes, registers = current().lanes, vectors * current().parts
        size = lanes * step_of(self.p)
        loaded = [bind(load_vector(self.weights, weights + r * size, size)) for r in range(registers)]
        for i in used:
            element = element_of(i)
            for r in range(registers):
                slot = (i * registers + r) * lanes
                store_vector(sums, slot, multiply(load_vector(sums, slot, lanes), element, loaded[r]))

    def element(self, index: tirx.Expr | int, inside: tirx.Expr | bool) -> tirx.Expr:
        """One input element (int8: four bytes) in every lane of a register; padding where it is not `inside`."""
        lanes = current().lanes
        if inside is False:
            return multiplied(self.zero_points)
        if inside is not True:
            index = tirx.Select(inside, index, 0)
        if self.p.dtype == "float32":
            value = (
                self.data[index]
                if inside is True
                else tirx.Select(inside, self.data[index], tirx.const(0.0, "float32"))
            )
            return tirx.Broadcast(value, lanes)
        value = broadcast4(self.data, index, lanes)
        return multiplied(
            value if inside is True else tirx.Select(tirx.Broadcast(inside, lanes), value, self.zero_points)
        )

    @property
    def zero_points(self) -> tirx.Expr:
        """What the padding consists of: the data's zero point as it is stored, in every byte of an int32 vector."""
        stored = self.p.data_zero_point + STORED_OFFSET
        return splat(int.from_bytes(bytes([stored] * 4), "little", signed=True), "int32", current().lanes)


def _each(count: int, most: int, body: Callable[[tirx.Expr | int], None]) -> None:
    """body(i) for all i: written out where there are `most` or fewer, so that borders are known; else a loop."""
    if count <= most:
        for i in range(count):
            body(i)
        return
    with T.serial(0, count) as i:
        body(i)
