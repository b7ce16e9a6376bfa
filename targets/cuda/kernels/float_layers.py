"""Layers and products that stay in float32: on tensor cores where they multiply TF32 (from sm_80 on), else in fused
multiply-adds.

Three products of TF32 numbers make one of float32 to 22 bits (device/float_mma.cuh)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..kernel import CudaKernel, blocks, literal
from .conv_schedule import rounded_up
from .window import Window

if TYPE_CHECKING:
    from ...spec import TargetSpec

_TENSOR_ARCH = 80
_FEW_OUTPUTS = 16  # A group with fewer outputs leaves most of a tile empty.
_FEW_ROWS = 4
# Both are clocks: what a block takes beside its stages, and a stage that nothing overlaps.
_START, _LATENCY = 1500.0, 400.0


@dataclass(frozen=True)
class FloatConv(Window):
    """The parameters of the kernel in device/float_layers.cuh, field by field."""

    channels: int
    outputs: int
    groups: int
    low: float
    high: float
    residual: bool

    def __post_init__(self) -> None:
        assert max(self.images * self.channels * self.height * self.width, self.results) < 2**31, (
            "a tensor of 2^31 elements"
        )

    @property
    def results(self) -> int:
        """How many float32 values the layer makes."""
        return self.pixels * self.outputs

    @property
    def terms(self) -> int:
        """How many products one result adds up."""
        return self.channels // self.groups * self.taps

    @property
    def macs(self) -> int:
        """Multiply-adds of all results; positions in the padding count."""
        return self.results * self.terms


@dataclass(frozen=True)
class FloatTile:
    """The parameters of a tile in device/float_mma.cuh, field by field."""

    rows: int
    columns: int
    depth: int
    warp_rows: int
    warp_columns: int
    stages: int

    @property
    def threads(self) -> int:
        """Threads of a block, a multiple of 32."""
        return 32 * self.warp_rows * self.warp_columns

    @property
    def shared_bytes(self) -> int:
        """Bytes of shared memory, of the layout that takes more for the left operand: rows of depth + 4, or of rows +
        8."""
        left = max(self.rows * (self.depth + 4), self.depth * (self.rows + 8))
        return 4 * self.stages * (left + self.depth * (self.columns + 8))


TILES = (
    FloatTile(128, 64, 16, 2, 2, 3),
    FloatTile(64, 64, 32, 2, 2, 3),
    FloatTile(64, 32, 32, 2, 2, 3),
    FloatTile(32, 64, 32, 2, 2, 3),
    FloatTile(32, 32, 32, 2, 2, 3),
)


def conv(
    problem: FloatConv, weight: np.ndarray, spec: "TargetSpec", tile: FloatTile | None = None
) -> tuple[CudaKernel, np.ndarray]:
    """(kernel, weights as it wants them). weight: float32 [O, I, kh, kw] or [O, I]. spec: the target. tile: another
    than the estimate's.
    Operands: data, weights, bias, residual (or the data again), result."""
    p = problem
    row = p.groups == p.height == p.width == p.taps == 1
    if row and p.images <= _FEW_ROWS and tile is None:
        return CudaKernel(
            "float_dense", "float_layers.cuh", f"dense_float<{literal(p)}>", 5, blocks(32 * p.outputs, 128), 128
        ), weight
    outputs = p.outputs // p.groups
    if spec.extra["arch"] < _TENSOR_ARCH or outputs < _FEW_OUTPUTS and p.groups > 1:
        return CudaKernel(
            "float_conv2d", "float_layers.cuh", f"conv_float<{literal(p)}>", 5, blocks(p.results, 128), 128
        ), weight
    tile = tile if tile is not None else tile_for(p.pixels, outputs, p.terms, p.groups, spec)
    packed = np.zeros((p.groups, rounded_up(p.terms, tile.depth), rounded_up(outputs, tile.columns)), np.float32)
    packed[:, : p.terms, :outputs] = weight.reshape(p.groups, outputs, p.terms).transpose(0, 2, 1)
    return _tiled("conv2d", f"conv_tf32<{literal(p)}, {literal(tile)}>", 5, (p.pixels, outputs, p.groups), tile), packed


def matmul(
    batch: int,
    m: int,
    n: int,
    k: int,
    shared_a: bool,
    shared_b: bool,
    spec: "TargetSpec",
    tile: FloatTile | None = None,
) -> CudaKernel:
    """[m, k] x [k, n]. shared: one matrix for the whole batch. spec, tile: as of `conv`."""
    sizes = f"{m}, {n}, {k}, {0 if shared_a else m * k}L, {0 if shared_b else k * n}L"
    if spec.extra["arch"] < _TENSOR_ARCH:
        return CudaKernel(
            "float_matmul",
            "float_layers.cuh",
            f"matmul_float<{sizes}>",
            3,
            (-(-n // 16), -(-m // 16), batch),
            256,
            2 * 16 * 17 * 4,
        )
    tile = tile if tile is not None else tile_for(m, n, k, batch, spec)
    return _tiled("matmul", f"matmul_tf32<{sizes}, {literal(tile)}>", 3, (m, n, batch), tile)


def tile_for(rows: int, columns: int, terms: int, batch: int, spec: "TargetSpec") -> FloatTile:
    """The tile of the least estimated time; of equals the first."""

    def clocks(tile: FloatTile) -> float:
        waves = -(-(-(-rows // tile.rows) * -(-columns // tile.columns) * batch) // spec.extra["multiprocessors"])
        products = 3 * tile.rows * tile.columns * tile.depth / (spec.extra["macs_per_clock"] / 4)
        return waves * (_START + -(-terms // tile.depth) * max(_LATENCY, products))

    return min(TILES, key=clocks)


def _tiled(operator: str, call: str, operands: int, extents: tuple[int, ...], tile: FloatTile) -> CudaKernel:
    rows, columns, batch = extents
    grid = (-(-rows // tile.rows), -(-columns // tile.columns), batch)
    return CudaKernel(f"tf32_{operator}", "float_mma.cuh", call, operands, grid, tile.threads, tile.shared_bytes)
