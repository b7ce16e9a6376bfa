"""The loops of a depthwise convolution's kernel: lines of pixels, tiles of them, and their products."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import dot4_multiplied, dot_pairs, fma, interleave_bytes, multiplied, split_pairs
from ..isa import current
from .depthwise_pack import channels_per_vector, chunk_starts, pad_value, tap_groups
from .epilogue import Operands, Row, emit_depthwise, emit_epilogue
from .problem import ConvProblem


@dataclass(frozen=True)
class DepthwiseKernel:
    """The code of a depthwise convolution while it is emitted. vectors: of `fold` output pixels each in a register
    tile. pitch: elements between two pixels of the data."""

    p: ConvProblem
    vectors: int
    fold: int
    pitch: int
    data: tirx.Buffer
    weights: tirx.Buffer
    bias: tirx.Buffer
    operands: Operands

    def line(self, image: tirx.Expr, row: tirx.Expr) -> None:
        """Emits one row of the output."""
        p, lanes = self.p, channels_per_vector(self.p)
        first = bind(row * p.strides[0] - p.padding[0])
        reach = (p.kernel[0] - 1) * p.dilation[0]
        line = bind((image * p.out_height + row) * (p.out_width * p.out_stride))

        def channels(rows: list[tuple[tirx.Expr, tirx.Expr | None]]) -> None:
            count = len(chunk_starts(p))
            with T.serial(0, count) as chunk:
                channel = (
                    0
                    if count == 1
                    else chunk * lanes
                    if p.out_stride % lanes == 0
                    else bind(tirx.min(chunk * lanes, p.out_stride - lanes))
                )
                self.tiles(rows, line, chunk, channel, channel)

        if p.padding[0] == 0 and p.padding[2] == 0:
            channels(self.input_rows(image, first, True))
            return
        with T.If(tirx.all(first >= 0, first + reach < p.height)):
            with T.Then():
                channels(self.input_rows(image, first, True))
            with T.Else():
                channels(self.input_rows(image, first, False))

    def input_rows(
        self, image: tirx.Expr, first: tirx.Expr, all_inside: bool
    ) -> list[tuple[tirx.Expr, tirx.Expr | None]]:
        """The input rows of an output row: (index of the first element, whether it lies in the image, or None for
        certainly)."""
        p, size = self.p, self.p.width * self.pitch
        found: list[tuple[tirx.Expr, tirx.Expr | None]] = []
        for r in range(p.kernel[0]):
            y = first + r * p.dilation[0]
            if all_inside:
                found.append((bind((image * p.height + y) * size), None))
            else:
                inside = bind(tirx.all(y >= 0, y < p.height))
                found.append((bind((image * p.height + tirx.max(tirx.min(y, p.height - 1), 0)) * size), inside))
        return found

    def pixels(
        self, row: tuple[tirx.Expr, tirx.Expr | None], at: tirx.Expr, lanes: int, column: tirx.Expr | int
    ) -> tirx.Expr:
        """`lanes` channels, at element `at` of `row`, of the pixel in image column `column` (or of it and its
        neighbours), or padding."""
        p, (start, inside), fold = self.p, row, self.fold
        padding = splat(pad_value(p), self.data.dtype, lanes)
        within = [0 <= column + i < p.width for i in range(fold)]
        if not any(within):
            return padding
        # Pixels beside the image are not read.
        shift = 0 if all(within) else min(max(column, 0), p.width - fold) - column
        value = load_vector(self.data, start + at + shift * self.pitch, lanes)
        if not all(within):
            each = lanes // fold
            order = [
                (i - shift) * each + lane if within[i] else lanes + lane for i in range(fold) for lane in range(each)
            ]
            value = tirx.Shuffle([bind(value), padding], order)
        return value if inside is None else tirx.Select(tirx.Broadcast(inside, lanes), value, padding)

    def tiles(
        self,
        rows: Sequence[tuple[tirx.Expr, tirx.Expr | None]],
        line: tirx.Expr,
        chunk: tirx.Expr,
        source: tirx.Expr | int,
        channel: tirx.Expr | int,
    ) -> None:
        """The tiles of a row, of the channels that begin at `source` in a pixel of the data and at `channel` in one of
        the result: those that read only pixels of the image in a loop, those at its ends one by one."""
        p, pixels = self.p, self.vectors * self.fold
        count = -(-p.out_width // pixels)
        starts = [min(i * pixels, p.out_width - pixels) for i in range(count)]
        reach = (pixels - 1) * p.strides[1] + (p.kernel[1] - 1) * p.dilation[1]
        inside = [
            i for i, start in enumerate(starts) if self.column(start, 0) >= 0 and self.column(start, reach) < p.width
        ]
        loop = range(inside[0], inside[-1] + 1) if len(inside) > 1 else range(0)
        for i, start in enumerate(starts):
            if i not in loop:
                self.tile(rows, line, chunk, source, channel, start, start)
        if loop:
            with T.serial(loop[0], loop[-1] + 1) as i:
                at = bind(tirx.min(i * pixels, p.out_width - pixels))
                self.tile(rows, line, chunk, source, channel, at, starts[loop[0]])

    def column(self, start: tirx.Expr | int, column: int) -> tirx.Expr | int:
        """The image column that input column `column` of a tile at `start` is."""
        return start * self.p.strides[1] - self.p.padding[1] + column

    @property
    def uses(self) -> dict[tuple[tuple[int, int], ...], list[tuple[int, int]]]:
        """What a tile reads: taps as (row, column of the tile's input) -> the (vector of output pixels, group of taps)
        that they serve."""
        p = self.p
        found: dict[tuple[Any, ...], list[Any]] = {}
        for i in range(self.vectors):
            for g, group in enumerate(tap_groups(p)):
                found.setdefault(
                    tuple((r, i * self.fold * p.strides[1] + c * p.dilation[1]) for r, c in group), []
                ).append((i, g))
        return found

    def tile(
        self,
        rows: Sequence[tuple[tirx.Expr, tirx.Expr | None]],
        line: tirx.Expr,
        chunk: tirx.Expr,
        source: tirx.Expr | int,
        channel: tirx.Expr | int,
        start: tirx.Expr | int,
        example: int,
    ) -> None:
        """Emits one register tile. `start`: first output pixel, maybe a loop's; `example`: a number for which the same
        columns lie inside the image."""
        p, count, fold = self.p, self.vectors, self.fold
        int8, lanes = p.dtype == "int8", channels_per_vector(p)
        sums = T.alloc_buffer((count * lanes,), self.bias.dtype, annotations={"disable_lower_builtin": True})
        at = bind(self.column(start, 0) * self.pitch + source)
        if int8 and current().parts > 1:
            # The parts follow one after the other, so that the sums of each stay in registers.
            with T.serial(0, current().parts) as part:
                self.products(rows, chunk, at, example, sums, part)
        else:
            self.products(rows, chunk, at, example, sums, 0)
        vectors = lanes // 16
        outputs = [Row(bind(line + (start + i * fold) * p.out_stride + channel)) for i in range(count)]
        accumulator = lambda r, v: load_vector(sums, (r * vectors + v) * 16, 16)
        if int8:
            emit_depthwise(
                p.epilogue, self.operands, outputs, chunk * lanes, min(lanes, p.out_stride * fold), accumulator
            )
        else:
            emit_epilogue(p.epilogue, self.operands, outputs, 1, 0, accumulator)

    def products(
        self,
        rows: Sequence[tuple[tirx.Expr, tirx.Expr | None]],
        chunk: tirx.Expr,
        at: tirx.Expr,
        example: int,
        sums: tirx.Buffer,
        part: tirx.Expr | int,
    ) -> None:
        """The sums of a tile's pixels, of one register's bytes of the 64 channels (int8) or of all 16 (float32). The
        lanes of a register of sums are those of its `part` of the vector of 16."""
        p, count, isa = self.p, self.vectors, current()
        int8, lanes = p.dtype == "int8", channels_per_vector(p)
        vectors, size = lanes // 16, 16 // (isa.parts if int8 else 1)
        partial = T.alloc_buffer(
            (count * vectors * size,), self.bias.dtype, annotations={"disable_lower_builtin": True}
        )
        for v in range(vectors):
            first = bind(load_vector(self.bias, chunk * lanes + v * 16 + part * size, size))
            for i in range(count):
                store_vector(partial, (i * vectors + v) * size, first)
        width = size * (4 if int8 else 1)
        begin = bind(at + part * width) if int8 and isa.parts > 1 else at
        for taps, served in self.uses.items():
            found = [
                bind(self.pixels(rows[r], begin + column * self.pitch, width, self.column(example, column)))
                for r, column in taps
            ]
            parts: list[Any] = [bind(x) for x in (interleave_bytes([multiplied(x) for x in found]) if int8 else found)]
            if self.weights.dtype == "int16":
                parts = [split_pairs(x) for x in parts]
            for i, g in served:
                for v, x in enumerate(parts):
                    slot, first = (i * vectors + v) * size, ((chunk * len(tap_groups(p)) + g) * vectors + v) * 16
                    store_vector(
                        partial, slot, self.multiplied(load_vector(partial, slot, size), x, first, part * size, size)
                    )
        for i in range(count):
            for v in range(vectors):
                store_vector(
                    sums, (i * vectors + v) * 16 + part * size, load_vector(partial, (i * vectors + v) * size, size)
                )

    def multiplied(
        self,
        old: tirx.Expr,
        x: Any,
        first: tirx.Expr | int,
        lane: tirx.Expr | int,
        size: int,
    ) -> tirx.Expr:
        """old + x times `size` weights, from `lane` on, of the vector of 16 that is number `first` / 16."""
        if self.p.dtype == "float32":
            return fma(old, x, load_vector(self.weights, first + lane, size))
        if self.weights.dtype == "int8":
            return dot4_multiplied(old, x, load_vector(self.weights, (first + lane) * 4, 4 * size))
        return dot_pairs(
            old, x, [load_vector(self.weights, first * 4 + parity * 32 + lane * 2, 2 * size) for parity in (0, 1)]
        )
