"""The inner part of the tile unit's convolution: the sums of one unit woven with the epilogue of the one before.

A dot product of tiles takes 16 cycles, and the epilogue of a unit about as long as 10 steps of four of them. Behind
each other they hardly overlap: an epilogue is longer than what the processor looks ahead. So its parts ("groups": four
vectors of 16 results) stand between the steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, const, load_vector
from ..bf16_intrinsics import tile_dot_bf16
from ..intrinsics import prefetch
from ..tiles import TILE_BYTES, TILE_ROWS, TILE_ROWS_AT, tile_dot, tile_load, tile_store, tile_zero
from .epilogue import Operands, Row, emit_epilogue
from .problem import ConvProblem
from .walk import Walk, channel_span

BLOCK = 32  # Output channels are taken in blocks of two tiles.
SUMS = 4 * TILE_ROWS * TILE_ROWS  # A unit has four tiles of sums, whose elements these are.
UNROLLED = 16  # A unit with more steps is a loop.
# The next block's weights are prefetched as several streams side by side: the processor's own prefetcher runs 20 lines
# ahead on each, and one such stream is too few for the latency of the third-level cache.
STREAMS = 8


class AmxUnit(NamedTuple):
    """A unit: its block of output channels, its number among all pairs of pixel tiles, and where its sums are."""

    block: tirx.Expr | int
    unit: tirx.Expr
    at: tirx.Expr | int


class _Pixels(NamedTuple):
    image: tirx.Expr
    row: tirx.Expr
    starts: list[tirx.Expr]


@dataclass(frozen=True)
class Micro:
    """Emits units of a kernel: sums in tiles, and the epilogue of a unit, alone or woven into the next one."""

    p: ConvProblem
    walk: Walk
    width: int  # The input elements of a step fill a tile row.
    steps: int
    unroll: int
    ahead: int  # The number counts cache lines of the next block's weights that a step prefetches.
    source: tirx.Buffer
    weights: tirx.Buffer
    bias: tirx.Buffer
    config: tirx.Buffer
    operands: Operands

    def alone(self, place: AmxUnit, vectors: int, sums: tirx.Buffer) -> None:
        """Sums `place` up and requantises it. vectors: tiles of output channels, 2 or 1."""
        tiles = -(-self.walk.pixels // TILE_ROWS)
        pair = tirx.floormod(place.unit, -(-tiles // 2))
        whole = tiles % 2 == 0 or tiles > 1 and pair < tiles // 2
        branch(whole, lambda: self._alone(place, 2, vectors, sums), lambda: self._alone(place, 1, vectors, sums))

    def _alone(self, place: AmxUnit, tiles: int, vectors: int, sums: tirx.Buffer) -> None:
        pixels = self._pixels(place, tiles)
        self._sum(place, pixels, vectors, sums, None, 0)
        for tile in range(len(pixels.starts)):
            with T.serial(0, self._groups_of_tile(vectors)) as group:
                self._group(pixels, place, const(tile, "int32"), group, vectors, sums, biased=True)

    def woven(self, place: AmxUnit, before: AmxUnit, vectors: int, sums: tirx.Buffer) -> None:
        """Sums `place` up and requantises `before`."""
        pixels = self._pixels(before)

        def group(number: tirx.Expr) -> None:
            tile, rest = bind(tirx.floordiv(number, per_tile)), bind(tirx.floormod(number, per_tile))
            self._group(pixels, before, tile, rest, vectors, sums, biased=False)

        per_tile = self._groups(vectors)
        self._sum(place, self._pixels(place), vectors, sums, group, len(pixels.starts) * per_tile)

    def finish(self, place: AmxUnit, vectors: int, sums: tirx.Buffer) -> None:
        """Requantises `place`, the last of those that were woven."""
        pixels = self._pixels(place)
        for tile in range(len(pixels.starts)):
            with T.serial(0, self._groups_of_tile(vectors)) as group:
                self._group(pixels, place, const(tile, "int32"), group, vectors, sums, biased=False)

    def _groups_of_tile(self, vectors: int) -> tirx.Expr:
        """The number of rows comes from the configuration: unrolled, a loop over them would be much of the kernel's
        code and miss the cache on every inference."""
        return tirx.floordiv(tirx.Cast("int32", self.config[TILE_ROWS_AT]) * vectors + 3, 4)

    @property
    def _rows(self) -> int:
        return min(TILE_ROWS, self.walk.pixels)

    def _groups(self, vectors: int) -> int:
        """Groups of a tile of pixels."""
        return -(-self._rows * vectors // 4)

    def _pixels(self, place: AmxUnit, most: int = 2) -> _Pixels:
        """The places of at most so many tiles of pixels; one where a line has no more. The second may overlap the
        first, or be the same."""
        walk, tiles = self.walk, -(-self.walk.pixels // TILE_ROWS)
        line, pair = bind(tirx.floordiv(place.unit, -(-tiles // 2))), bind(tirx.floormod(place.unit, -(-tiles // 2)))
        starts = [bind(tirx.min((pair * 2 + t) * TILE_ROWS, walk.pixels - self._rows)) for t in range(min(most, tiles))]
        return _Pixels(bind(tirx.floordiv(line, walk.rows)), bind(tirx.floormod(line, walk.rows)), starts)

    def _sum(
        self,
        place: AmxUnit,
        pixels: _Pixels,
        vectors: int,
        sums: tirx.Expr,
        group: Callable[[tirx.Expr], None] | None,
        groups: tirx.Expr | int,
    ) -> None:
        """Tiles 0-3: sums, 4-5: data, 6-7: weights. group(i), if any, emits one of `groups` parts of another unit's
        epilogue."""
        walk = self.walk
        _, a, b = channel_span(self.p, BLOCK)
        channel = tirx.floordiv(place.block, a) * b if self.p.groups > 1 else 0
        base = bind(pixels.image * walk.image_stride + pixels.row * walk.row_stride + channel)
        at = [bind(base + start * walk.pixel_stride) for start in pixels.starts]
        width, size, bf16 = self.width, self.width * TILE_ROWS, self.p.dtype == "bfloat16"
        weights = bind(place.block * (self.steps * 2 * size))
        each = -(-self.ahead // STREAMS)  # The streams share the cache lines evenly.
        streams = -(-self.ahead // each) if each else 0
        following = bind(weights + (2 * size + place.unit * (each * width)) * self.steps) if streams else 0
        length = -(-2 * TILE_ROWS * self.steps // streams) * width if streams else 0
        tiles = [(2 * t + v, t * 16 * 32 + v * 16) for t in range(len(at)) for v in range(vectors)]
        for tile, _ in tiles:
            if group is None and not bf16:
                # At stride 0 every row starts from the bias.
                tile_load(tile, self.bias, place.block * BLOCK + tile % 2 * 16, 0)
            else:
                # The bias is added in the epilogue: loading it here would wait for the stores of the unit before, and
                # bfloat16 sums start from zero.
                tile_zero(tile)

        def step(number: int, offset: int) -> None:
            for stream in range(streams):
                for line in range(each):
                    prefetch(self.weights, following + stream * length + (number * each + line) * width)
            for v in range(vectors):
                tile_load(6 + v, self.weights, weights + (number * vectors + v) * size, TILE_BYTES)
            for t, start in enumerate(at):
                tile_load(4 + t, self.source, start + offset, walk.pixel_stride * (TILE_BYTES // width))
                for v in range(vectors):
                    (tile_dot_bf16 if bf16 else tile_dot)(2 * t + v, 4 + t, 6 + v)

        self._weave(step, group, groups)
        for tile, index in tiles:
            tile_store(tile, sums, place.at + index, 32 * 4)

    def _weave(
        self,
        step: Callable[[tirx.Expr | int, int], None],
        group: Callable[[tirx.Expr], None] | None,
        groups: tirx.Expr | int,
    ) -> None:
        """All steps, with the groups spread evenly over them; long runs of steps are loops."""
        runs, done = [], 0
        for run in self.walk.runs:
            count = -(-run.length // self.width)
            runs.append(
                (
                    done,
                    count,
                    count // self.unroll if self.steps > UNROLLED and count >= 2 * self.unroll else 0,
                    run.offset,
                )
            )
            done += count
        emit: Callable[[tirx.Expr], None] = group if group is not None else lambda _: None
        loops = sum(loop for _, _, loop, _ in runs)
        each, emitted = -(-groups // loops) if loops else 0, 0
        for done, count, loop, offset in runs:
            if loop:
                with T.serial(0, loop) as outer:
                    for i in range(self.unroll):
                        step(done + outer * self.unroll + i, offset + (outer * self.unroll + i) * self.width)
                    for i in range(each):
                        number = bind(emitted + outer * each + i)
                        branch(number < groups if each * loops > groups else True, lambda: emit(number))
                emitted += loop * each
            for i in range(loop * self.unroll, count):
                step(done + i, offset + i * self.width)
                if not loops:
                    first, last = (groups * (done + i + k) // self.steps for k in (0, 1))
                    # The places of a pitched line are long to compute, and to compile.
                    if last - first > (2 if self.walk.pitch == 0 else 1):
                        with T.serial(first, last) as number:
                            emit(number)
                        continue
                    for place in range(first, last):
                        emit(const(place, "int32"))

    def _group(
        self,
        pixels: _Pixels,
        place: AmxUnit,
        tile: tirx.Expr,
        group: tirx.Expr,
        vectors: int,
        sums: tirx.Buffer,
        biased: bool,
    ) -> None:
        """Requantises as many pixels of a tile as fill four vectors. biased: whether the sums started from the bias."""
        biased = biased and self.p.dtype != "bfloat16"
        at_once, rows = 4 // vectors, self._rows
        start = pixels.starts[0] if len(pixels.starts) == 1 else bind(tirx.Select(tile == 0, *pixels.starts))
        first = bind(group * at_once)
        found = [
            self._row(pixels, start + first + r, first + r < rows if rows % at_once else None) for r in range(at_once)
        ]
        base, channel = bind(place.at + tile * (16 * 32) + first * 32), bind(place.block * BLOCK)

        def accumulator(r: int, v: int) -> tirx.Expr:
            value = load_vector(sums, base + r * 32 + v * 16, 16)
            return value if biased else value + load_vector(self.bias, channel + v * 16, 16)

        emit_epilogue(self.p.epilogue, self.operands, found, vectors, channel, accumulator)

    def _row(self, pixels: _Pixels, pixel: tirx.Expr, inside: tirx.Expr | None) -> Row:
        p, walk = self.p, self.walk
        if walk.pitch == 0:
            return Row(bind(((pixels.image * walk.rows + pixels.row) * walk.pixels + pixel) * p.out_stride), inside)
        y, x = bind(tirx.floordiv(pixel, walk.pitch)), bind(tirx.floormod(pixel, walk.pitch))
        valid = x < p.out_width if walk.pitch > p.out_width else None
        if inside is not None:
            valid = inside if valid is None else tirx.all(inside, valid)
        return Row(bind(((pixels.image * p.out_height + y) * p.out_width + x) * p.out_stride), valid)


def branch(condition: tirx.Expr | bool, then: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
    """if condition: then() else: otherwise(); a Python bool decides now. otherwise None: never taken where the
    condition may fail."""
    if isinstance(condition, bool):
        chosen = then if condition else otherwise
        if chosen is not None:
            chosen()
        return
    if otherwise is None:
        with T.If(condition):
            with T.Then():
                then()
        return
    with T.If(condition):
        with T.Then():
            then()
        with T.Else():
            otherwise()
