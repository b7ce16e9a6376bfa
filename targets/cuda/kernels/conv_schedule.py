"""Schedules of convolutions and linear layers, and which tile a convolution on tensor cores takes: an analytical
estimate over a short list.

Time of a block's stage = the largest of what the tensor cores, the copies into shared memory and the reads of it need;
blocks on one multiprocessor share these, and the instructions of their epilogues, but none ends before its own stages
and its own results have followed one another. A layer takes at least what memory needs for its operands."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .tile_shapes import SHAPES, TURN_SHAPES, WGMMA_SHAPES

if TYPE_CHECKING:
    from ...spec import TargetSpec
    from .conv import Conv

SPLITS = (1, 2, 3, 4, 6, 8)
WGMMA, WGMMA_COLUMNS = 64, (64, 128, 192, 256)  # A warpgroup computes 64 rows by one of these columns.
TURNS = 2 * WGMMA  # Two warpgroups of a block that stays take turns with tiles, a third loads.
_WARPGROUP, _TABLE_BYTES, _MBARRIERS = 128, 256, 16
MOST_THREADS = 1024
_SHARED_BYTES = 128.0  # The rate is that of ldmatrix, per clock and multiprocessor.
_REGISTERS, _MOST_REGISTERS = 65536, 255  # A multiprocessor has 65536 registers, of which a thread can name 255.
_RESERVED = 1024  # From sm_80 on a block costs this much shared memory, in bytes, beside its own.
_WGMMA_REGISTERS = 36  # A thread needs at least 36 registers beside its sums.
_TURN_REGISTERS = 232  # Loaders give theirs up to this number for each thread that multiplies.


@dataclass(frozen=True)
class Costs:
    """What the estimate does not know from data sheets, in clocks: fitted to the times of layers by
    tests/cuda/fit_schedule.py (docs/architecture.md says to which, and how well).

    launch: of a layer. start: of a block: to fill the pipeline, and until the last store is done. stage: of a stage
    that nothing overlaps. gather: of a 16-byte granule that a thread copies, where there are taps. results: of a
    multiprocessor per result, a lane each. chain: of a thread per result. meeting: until the last of the blocks that
    share a sum knows that it is the last. efficiency: of the tensor cores. atomic_bytes: added to memory per clock and
    multiprocessor. resident: blocks of one multiprocessor that overlap at most."""

    launch: float = 780.0
    start: float = 2840.0
    stage: float = 87.0
    gather: float = 10.0
    results: float = 0.089
    chain: float = 46.0
    meeting: float = 6300.0
    efficiency: float = 0.89
    atomic_bytes: float = 14.5
    resident: int = 6


COSTS = Costs()


@dataclass(frozen=True)
class Tile:
    """The parameters of a tile in device/tiles.cuh: rows (pixels) x columns (channels) per block, `depth` bytes of the
    sum per stage; splits: blocks that share a sum. wmma: rows of a WMMA fragment, 8, 16 or 32; 64 for wgmma, whose
    warpgroups are four warps of warp_rows, 128 for two warpgroups that take turns with tiles (device/conv_turns.cuh);
    0 for mma.sync (dp4a where there are no tensor cores)."""

    rows: int
    columns: int
    depth: int
    warp_rows: int
    warp_columns: int
    stages: int
    splits: int = 1
    wmma: int = 0

    @property
    def sound(self) -> bool:
        """Whether the template can be instantiated: whole matrices of 16 x 16 per warp, whole granules per thread."""
        granules = self.depth // 16
        if granules not in (2, 4, 8) or self.stages < 2 or self.threads > MOST_THREADS:
            return False
        if self.by_wgmma and (
            self.warp_rows % 4
            or self.columns // self.warp_columns not in WGMMA_COLUMNS
            or self.stages < 3
            or self._sums + _WGMMA_REGISTERS > self._most
        ):
            return False
        if self.in_turns and (self.threads != _WARPGROUP or self.splits > 1):
            return False
        height, width = (self.wmma, 256 // self.wmma) if self.wmma and not self.by_wgmma else (16, 16)
        whole = (
            self.rows % (max(16, height) * self.warp_rows) == 0
            and self.columns % (max(16, width) * self.warp_columns) == 0
        )
        return whole and self.threads % granules == 0 and self.rows % (self.threads // granules) == 0

    @property
    def by_wgmma(self) -> bool:
        """Whether warpgroups multiply from shared memory, which only sm_90a does."""
        return self.wmma in (WGMMA, TURNS)

    @property
    def in_turns(self) -> bool:
        """Whether a block makes many tiles, and requantises one while it multiplies the next."""
        return self.wmma == TURNS

    @property
    def threads(self) -> int:
        """Threads that share a tile, a multiple of 32."""
        return 32 * self.warp_rows * self.warp_columns

    @property
    def block(self) -> int:
        """Threads of a block."""
        return 3 * self.threads if self.in_turns else self.threads

    @property
    def registers(self) -> int:
        """An upper estimate per thread: the sums, the operands of this step and of the next, addresses of the gather,
        the rest."""
        row_tiles, column_pairs = self.rows // self.warp_rows // 16, self.columns // self.warp_columns // 16
        gathered = self.rows * (self.depth // 16) // self.threads
        if self.by_wgmma:  # Operands stay in shared memory; the compiler computes addresses anew where registers end.
            return min(self._sums + 4 * gathered + 32, self._most)
        return self._sums + 8 * (row_tiles + column_pairs) + 3 * gathered + 40

    @property
    def _sums(self) -> int:
        return self.rows * self.columns // self.threads

    @property
    def _most(self) -> int:
        if self.in_turns:
            return _TURN_REGISTERS
        return min(_MOST_REGISTERS, _REGISTERS // self.threads // 8 * 8)

    @property
    def shared_bytes(self) -> int:
        """The stages; the int8 tile of the result reuses them, and so does what settles WMMA's sums. Where warpgroups
        take turns, both have a tile and a table behind the stages, and every stage two mbarriers."""
        if self.in_turns:
            stage, staged = (self.rows + self.columns) * self.depth, self.rows * (self.columns + 16) + _TABLE_BYTES
            return self.stages * (stage + _MBARRIERS) + 2 * staged + _MBARRIERS
        height = 0 if self.by_wgmma else self.wmma
        pitch, settle = (self.depth + 16, 4 * height * (256 // height + 8)) if height else (self.depth, 0)
        return max(
            self.stages * (self.rows + self.columns) * pitch,
            self.rows * (self.columns + 16),
            settle * self.threads // 32,
        )


@dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution's schedule. run: neighbours of a line that a thread makes, four channels each. threads:
    of a block."""

    run: int
    threads: int


@dataclass(frozen=True)
class Direct:
    """A thread per result. threads: of a block."""

    threads: int


@dataclass(frozen=True)
class Rows:
    """A warp per column of a product of few rows. warps: of a block."""

    warps: int


Schedule = Tile | Depthwise | Direct | Rows


def rounded_up(value: int, unit: int) -> int:
    """The least multiple of `unit` that holds `value`."""
    return -(-value // unit) * unit


def depth_of(problem: "Conv") -> int:
    """Bytes of the sum: 16-byte granules per tap, one word per tap of a first layer."""
    return (
        problem.kernel_height * problem.kernel_width * (4 if problem.stride == 4 else rounded_up(problem.channels, 16))
    )


def candidates(spec: "TargetSpec", wmma: int = 0) -> tuple[Tile, ...]:
    """The tiles that a target's shared memory holds. wmma: as in a Tile."""
    staged = {WGMMA: WGMMA_SHAPES, TURNS: TURN_SHAPES}.get(wmma)
    shapes = staged or [(*shape, spec.extra["stages"]) for shape in SHAPES]
    tiles = tuple(replace(Tile(*shape), wmma=wmma) for shape in shapes)
    return tuple(tile for tile in tiles if tile.sound and tile.shared_bytes <= spec.extra["shared_bytes"])


def buildable(problem: "Conv", tile: Tile, spec: "TargetSpec") -> bool:
    """Whether the target's shared memory, registers and threads hold the tile, and the problem fills its splits."""
    if (
        not tile.sound
        or tile.shared_bytes > spec.extra["shared_bytes"]
        or (tile.splits > 1 and not _splits_evenly(problem, tile, tile.splits))
        or (tile.in_turns and (problem.groups > 1 or problem.batched))
    ):
        return False
    if tile.in_turns:
        return True  # The block's registers are dealt out by number.
    return tile.registers <= _MOST_REGISTERS and tile.registers * tile.threads <= _REGISTERS


def units(spec: "TargetSpec", measured: bool = True) -> tuple[int, ...]:
    """What a target multiplies with, as in a Tile's `wmma`. measured: what default schedules may take; no device has
    tried TURNS."""
    return ((0, WGMMA) if measured else (0, WGMMA, TURNS)) if spec.dot == "wgmma" else (0,)


def tile_for(problem: "Conv", spec: "TargetSpec", wmma: int | None = None, columns: int = 0) -> Tile:
    """The tile of the least estimated time; of equals the first. A sum is split where there are too few tiles to fill
    the device. wmma: as in a Tile; None: any of `units`.
    columns: where a tile must end; 0: anywhere."""
    fitting = [
        tile
        for unit in (units(spec) if wmma is None else (wmma,))
        for tile in candidates(spec, unit)
        if columns % tile.columns == 0
    ]
    tiles = [
        replace(tile, splits=splits)
        for splits in SPLITS
        for tile in fitting
        if splits == 1 or (not tile.in_turns and _splits_evenly(problem, tile, splits))
    ]
    return min(tiles, key=lambda tile: estimated_clocks(problem, tile, spec))


def _splits_evenly(problem: "Conv", tile: Tile, splits: int) -> bool:
    """Every block gets work, and enough of it."""
    steps = -(-depth_of(problem) // tile.depth)
    share = -(-steps // splits)
    return problem.groups == 1 and share >= 3 and share * (splits - 1) < steps


def resident(tile: Tile, spec: "TargetSpec", costs: Costs = COSTS) -> int:
    """Blocks that share a multiprocessor: as many as its registers, threads and shared memory hold, of which it has
    what the largest block may take."""
    registers, beside = rounded_up(tile.registers, 8) * tile.threads, _RESERVED if spec.extra["arch"] >= 80 else 0
    shared = (spec.extra["shared_bytes"] + beside) // (tile.shared_bytes + beside)
    return max(1, min(_REGISTERS // registers, spec.extra["threads"] // tile.threads, shared, costs.resident))


def estimated_clocks(problem: "Conv", tile: Tile, spec: "TargetSpec", costs: Costs = COSTS) -> float:
    """The estimated clocks of the whole layer."""
    blocks = -(-problem.pixels // tile.rows) * -(-problem.outputs // tile.columns) * problem.groups * tile.splits
    steps = -(-(-(-depth_of(problem) // tile.depth)) // tile.splits)
    macs, warp = tile.rows * tile.columns * tile.depth, (tile.rows // tile.warp_rows, tile.columns // tile.warp_columns)
    if tile.by_wgmma:
        warp = (64, warp[1])  # An instruction reads its rows, and the columns of the whole warpgroup.
    reads = macs * (1 / warp[0] + 1 / warp[1]) / _SHARED_BYTES
    halved = 2 if spec.dot == "wgmma" and not tile.by_wgmma else 1  # Here mma.sync reaches half of the peak.
    products = macs * halved / spec.extra["macs_per_clock"] / costs.efficiency
    copied = (
        tile.rows * (tile.depth // 16) / tile.threads
        if problem.kernel_height * problem.kernel_width > 1 and not tile.by_wgmma
        else 0
    )
    work = costs.gather * copied + max(
        products, (tile.rows + tile.columns) * tile.depth / spec.extra["cache_bytes"], reads
    )
    results, shared = tile.rows * tile.columns, tile.splits > 1
    # Only one of the blocks that share a sum has an epilogue.
    end = results * costs.results / tile.splits + (2 * 4 * results / costs.atomic_bytes if shared else 0.0)
    start = costs.start + (costs.meeting if shared else 0.0)
    most = resident(tile, spec, costs)
    each = -(-blocks // spec.extra["multiprocessors"])  # The busiest multiprocessor gets this number of blocks.
    least = _bytes(problem) / (spec.extra["memory_bytes"] * spec.extra["multiprocessors"])
    if tile.in_turns:  # Products follow one another, and beside them results do, one tile later.
        stages, last = steps * max(costs.stage, work), max(end, results / tile.threads * costs.chain)
        tiles = (each - 1) * max(stages, end, (stages + last) / 2)
        return max(costs.launch + start + tiles + stages + last, least)
    whole, rest = divmod(each, most)

    def clocks(together: int) -> float:
        return (
            start
            + max(steps * costs.stage, together * steps * work)
            + max(together * end, results / tile.threads * costs.chain)
            if together
            else 0.0
        )

    return max(costs.launch + whole * clocks(most) + clocks(rest), least)


def _bytes(p: "Conv") -> int:
    """Of data, weights and result, each once."""
    data, result = p.images * p.height * p.width * p.stride, p.pixels * p.out_stride
    return p.groups * (p.outputs * depth_of(p) + (data + result if p.batched else 0)) + (
        0 if p.batched else data + result
    )
