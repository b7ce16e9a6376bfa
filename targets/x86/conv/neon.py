"""The inner loops of `direct_kernel.py` on arm64's vector unit: what multiplies by one lane of a register, and what
multiplies two pixels by two channels."""

from collections.abc import Sequence

from tvm import tirx
from tvm.tirx.script import builder as T

from ...arm64.instructions import product_of_pairs, row_of_pairs, starts_of_pairs
from ...cpu.expressions import bind, joined_vectors, lanes_of, load_vector, splat, store_vector
from ..intrinsics import multiplied
from ..kernel import built_once, emit_kernel
from ..layout import STORED_OFFSET
from .direct import emit_body
from .direct_kernel import DirectKernel
from .direct_schedule import PAIR_STEP, DirectSchedule, by_pairs, row_length, step_of, taps_paired
from .problem import ConvProblem


@built_once
def conv2d_neon(p: ConvProblem, s: DirectSchedule) -> tirx.PrimFunc:
    """The kernel of `conv2d_direct`, in the instructions of arm64."""
    return emit_kernel(p.name + "_direct", lambda: emit_body(p, s, PairKernel if by_pairs(p, s) else LaneKernel))


class LaneKernel(DirectKernel):
    """SDOT and float multiply-adds by one lane of a register."""

    def run(
        self,
        sums: tirx.Buffer,
        at: tirx.Expr | int,
        weights: tirx.Expr | int,
        vectors: int,
        length: int,
        inside: Sequence[tirx.Expr | bool],
    ) -> None:
        """An instruction multiplies by one lane of a register: four steps from one register of every pixel."""
        p, step = self.p, step_of(self.p)
        if length % (4 * step) or p.planar or not all(isinstance(one, bool) for one in inside):
            super().run(sums, at, weights, vectors, length, inside)
            return
        used = [i for i in range(self.s.pixels) if p.dtype == "int8" or inside[i]]
        with T.serial(0, length // (4 * step)) as k:
            found = {}
            for i in used:
                if inside[i]:
                    value = load_vector(self.data, at + i * p.strides[1] * p.data_stride + k * (4 * step), 4 * step)
                    found[i] = bind(tirx.reinterpret("int32x4", multiplied(value)) if p.dtype == "int8" else value)
            for lane in range(4):
                first = weights + (k * 4 + lane) * (16 * step * self.s.vectors)
                self.step(
                    sums,
                    first,
                    vectors,
                    used,
                    lambda i: tirx.Shuffle([found[i]], [lane] * 4) if inside[i] else self.element(0, False),
                )


class PairKernel(DirectKernel):
    """A register holds eight input channels of two neighbouring pixels, of weights eight of two neighbouring output
    channels, and of sums, in `sums` [pair of pixels] [pair of channels], what both give: the first pixel's two and the
    second's two."""

    def start(self, sums: tirx.Buffer, channel: tirx.Expr | int, vectors: int) -> None:
        """The sums begin with the bias, that of two channels for each of the pair's pixels."""
        for r in range(vectors * 4):
            for half, first in enumerate(map(bind, starts_of_pairs(bind(load_vector(self.bias, channel + r * 4, 4))))):
                for pair in range(self.s.pixels // 2):
                    store_vector(sums, (pair * vectors * 8 + 2 * r + half) * 4, first)

    def sums_of(self, sums: tirx.Buffer, pixel: int, vector: int, vectors: int) -> tirx.Expr:
        """16 sums of a pixel, of neighbouring channels, taken out of its pair."""
        at = (pixel // 2 * vectors + vector) * 32
        return row_of_pairs([bind(load_vector(sums, at + 4 * r, 4)) for r in range(8)], pixel % 2)

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
        """Emits the taps of one row. Of a first layer those of a kernel row are one run; where some lie beside the
        image, two of them at a time."""
        p, s, columns = self.p, self.s, self.p.kernel[1]
        if not taps_paired(p):
            super().taps(sums, at, weights, vectors, start, example, row_inside)
            return
        assert example is not None
        beside = [[self.outside(example, i, c) != 0 for c in range(columns)] + [True] for i in range(s.pixels)]
        if not row_inside or not any(any(out[:columns]) for out in beside):
            self.run(sums, at, weights, vectors, row_length(p, s), [row_inside] * s.pixels)
            return
        for c in range(0, columns, 2):
            places = [at + (i * p.strides[1] + c) * p.data_stride for i in range(s.pixels)]
            pixels = [
                joined_vectors(
                    [self.bytes_of(place + j * p.data_stride, p.data_stride, not out[c + j]) for j in range(2)]
                )
                for place, out in zip(places, beside)
            ]
            self.products(sums, list(map(bind, pixels)), weights + c * p.data_stride * (16 * s.vectors), vectors)

    def run(
        self,
        sums: tirx.Buffer,
        at: tirx.Expr | int,
        weights: tirx.Expr | int,
        vectors: int,
        length: int,
        inside: Sequence[tirx.Expr | bool],
    ) -> None:
        """Sixteen input elements of every pixel at a time, where there are as many."""
        width = 2 * PAIR_STEP if length % (2 * PAIR_STEP) == 0 else PAIR_STEP
        stride = self.p.strides[1] * self.p.data_stride
        with T.serial(0, length // width) as k:
            pixels = [self.bytes_of(at + i * stride + k * width, width, inside[i]) for i in range(self.s.pixels)]
            self.products(sums, pixels, weights + k * width * (16 * self.s.vectors), vectors)

    def products(self, sums: tirx.Buffer, pixels: list[tirx.Expr], weights: tirx.Expr | int, vectors: int) -> None:
        """Adds the products of `pixels`, vectors of one or two steps, to the sums."""
        width = lanes_of(pixels[0])
        for part in range(0, width, PAIR_STEP):
            order = [*range(part, part + PAIR_STEP), *range(width + part, width + part + PAIR_STEP)]
            data = [bind(tirx.Shuffle(pixels[i : i + 2], order)) for i in range(0, len(pixels), 2)]
            first = weights + part * (16 * self.s.vectors)
            for r in range(vectors * 8):
                channels = bind(load_vector(self.weights, first + r * 2 * PAIR_STEP, 2 * PAIR_STEP))
                for pair, values in enumerate(data):
                    slot = (pair * vectors * 8 + r) * 4
                    store_vector(sums, slot, product_of_pairs(load_vector(sums, slot, 4), values, channels))

    def bytes_of(self, index: tirx.Expr | int, count: int, inside: tirx.Expr | bool) -> tirx.Expr:
        """Input bytes of a pixel; the zero point where it is not `inside`."""
        zero_points = splat(self.p.data_zero_point + STORED_OFFSET, "uint8", count)
        if inside is False:
            return bind(zero_points)
        if inside is True:
            return bind(load_vector(self.data, index, count))
        return bind(
            tirx.Select(
                tirx.Broadcast(inside, count), load_vector(self.data, tirx.Select(inside, index, 0), count), zero_points
            )
        )
