"""Convolutions and linear layers: problem -> kernel, with its constants packed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ..kernel import CudaKernel, blocks, literal
from ..layout import GRANULE
from .conv_constants import folded_bias, tiled_constants
from .conv_schedule import TURNS, WGMMA, Depthwise, Direct, Rows, Schedule, Tile, rounded_up, tile_for
from .window import Window

if TYPE_CHECKING:
    from ...spec import TargetSpec


_TABLE_BYTES = 256
_Constants = tuple[np.ndarray, ...]  # The arrays are weights, bias and multipliers.


@dataclass(frozen=True)
class Epilogue:
    """The parameters of the epilogue in device/requantize.cuh, field by field. float fields are passed as bits."""

    to_float: bool
    zero_point: int
    low: int
    high: int
    low_float: float
    high_float: float
    residual: bool
    residual_zero_point: int
    residual_multiplier: float


@dataclass(frozen=True)
class TableEpilogue(Epilogue):
    """An epilogue with a table of 256 bytes, which lies behind the biases."""

    table: bool = True


@dataclass(frozen=True)
class TurnedEpilogue(Epilogue):
    """Columns from `turned` on lie along the rows: of `tokens` rows each column's bytes together."""

    table: bool = False
    turned: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Conv(Window):
    """The parameters of the kernel in device/conv.cuh, field by field. stride, out_stride: bytes from pixel to pixel;
    channels, outputs: logical, of one group. batched: groups are problems of their own (products of two computed
    tensors), which have a bias each where the data's zero point is not 0."""

    stride: int
    out_stride: int
    groups: int
    channels: int
    outputs: int
    zero_point: int
    batched: bool = False

    def __post_init__(self) -> None:
        assert max(self.images * self.height * self.width * self.stride, self.pixels * self.out_stride) < 2**31, (
            "a tensor of 2 GiB"
        )

    @property
    def macs(self) -> int:
        """Multiply-adds of all images and groups; positions in the padding count."""
        return self.pixels * self.groups * self.outputs * self.channels * self.taps


@dataclass(frozen=True)
class Views:
    """The parameters of device/conv.cuh that say where the products of a batch lie. Bytes, multiples of 16. row_parts:
    whether the residual operand is what every row's sums begin with, int32 [batch, rows]."""

    inner: int
    a_outer: int
    a_inner: int
    b_outer: int
    b_inner: int
    y_outer: int
    y_inner: int
    column_pitch: int
    row_parts: bool = False


@dataclass(frozen=True)
class ConvKernel:
    """A convolution's kernel with its packed constants. constants: weights, bias (and table), multiplier, as the
    kernel's operands behind the data; the residual (or the data again) and the result follow. schedule: as built."""

    kernel: CudaKernel
    constants: tuple[np.ndarray, ...]
    schedule: Schedule


def conv_kernel(
    problem: Conv,
    epilogue: Epilogue,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    spec: "TargetSpec",
    schedule: Schedule | None = None,
    table: np.ndarray | None = None,
    turned: tuple[int, int] | None = None,
) -> ConvKernel:
    """The kernel of a convolution, and its constants. weight: int8 [O, I, kh, kw]; bias: int32 [O]; multiplier: float32
    [O]; spec: the target. schedule: other than the analytical one; its class says which template. table: int8 [256]
    that int8 results are looked up in. turned: as (turned, tokens) of a TurnedEpilogue; the schedule is a tile whose
    columns end there."""
    schedule = schedule if schedule is not None else default_schedule(problem, spec)
    if table is not None:
        epilogue = TableEpilogue(**asdict(epilogue))
    if turned is not None:
        assert (
            isinstance(schedule, Tile)
            and turned[0] % schedule.columns == 0
            and turned[1] % GRANULE == 0
            and table is None
        ), (schedule, turned)
        epilogue = TurnedEpilogue(**asdict(epilogue), turned=turned[0], tokens=turned[1])
    arguments = f"{literal(problem)}, {literal(epilogue)}"
    if isinstance(schedule, Tile):
        kernel = tiled_kernel("conv2d", problem, epilogue, schedule, spec)
        constants: _Constants = tiled_constants(problem, schedule, weight, bias, multiplier)
    else:
        families: dict[type, Callable[..., tuple[CudaKernel, _Constants]]] = {
            Depthwise: _depthwise,
            Rows: _rows,
            Direct: _direct,
        }
        make = families[type(schedule)]
        kernel, constants = make(problem, schedule, arguments, weight, folded_bias(problem, weight, bias), multiplier)
    if table is not None:
        rows, biases, multipliers = constants
        constants = rows, np.concatenate([biases.reshape(-1), table.view(np.int32)]), multipliers
    return ConvKernel(kernel, constants, schedule)


def default_schedule(problem: Conv, spec: "TargetSpec") -> Schedule:
    """The analytical schedule. spec: the target."""
    if is_depthwise(problem):
        return Depthwise(4 if problem.out_width >= 4 else 1, 128)
    if is_few_rows(problem):
        return Rows(4)
    return tile_for(problem, spec) if fits_tiles(problem) else Direct(256)


def tiled_kernel(
    operator: str, problem: Conv, epilogue: Epilogue, tile: Tile, spec: "TargetSpec", views: Views | None = None
) -> CudaKernel:
    """The kernel of a convolution or product by tiles. operator: what the family is called by; spec: the target, which
    has tensor cores or multiplies with dp4a. views: of a batch. Operands: data, weights, bias, multiplier, residual,
    state if the tile is split, result, as device/conv_mma.cuh wants them."""
    assert problem.batched == (views is not None)
    assert tile.sound and not (tile.wmma and spec.dot == "dp4a") and (not tile.by_wgmma or spec.dot == "wgmma"), tile
    grid = (-(-problem.pixels // tile.rows), -(-problem.outputs // tile.columns), problem.groups * tile.splits)
    if tile.in_turns:
        assert views is None and problem.groups == 1, problem
        grid = (min(grid[0] * grid[1], spec.extra["multiprocessors"]), 1, 1)
    unit = "dp4a" if spec.dot == "dp4a" else {0: "mma", WGMMA: "wgmma", TURNS: "turns"}.get(tile.wmma, "wmma")
    call = (
        f"conv_{unit if unit in ('dp4a', 'turns') else 'mma'}<{literal(problem)}, {literal(tile)}, "
        f"{literal(epilogue)}{'' if views is None else ', ' + literal(views)}>"
    )
    table = tile.rows * (tile.columns + 16) + _TABLE_BYTES if isinstance(epilogue, TableEpilogue) else 0
    shared = max(tile.shared_bytes, table)
    assert shared <= spec.extra["shared_bytes"], tile
    state = (
        4 * (rounded_up(grid[0] * grid[1], 32) + grid[0] * grid[1] * tile.rows * tile.columns) if tile.splits > 1 else 0
    )
    return CudaKernel(
        f"dp4a_tiled_{operator}" if unit == "dp4a" else f"{unit}_{operator}",
        "conv_turns.cuh" if tile.in_turns else "conv_mma.cuh",
        call,
        7 if state else 6,
        grid,
        tile.block,
        shared,
        state=state,
    )


def packed_views(p: Conv) -> Views:
    """Products behind one another, the right operand's columns padded to whole granules."""
    pitch = rounded_up(p.channels, 16)
    return Views(p.groups, 0, p.images * p.stride, 0, p.outputs * pitch, 0, p.images * p.out_stride, pitch)


def is_depthwise(p: Conv) -> bool:
    """Whether every channel has one filter of its own."""
    return p.groups > 1 and p.channels == 1 and p.outputs == 1 and p.stride == p.out_stride


def is_few_rows(p: Conv) -> bool:
    """Whether dense_rows of device/conv_direct.cuh can compute the layer."""
    return (
        prod((p.height, p.width, p.kernel_height, p.kernel_width, p.groups)) == 1
        and p.images <= 4
        and p.stride % 16 == 0
    )


def fits_tiles(p: Conv) -> bool:
    """Whether groups start at 16-byte granules of data and result."""
    return p.groups == 1 or (p.channels % 16 == 0 and p.outputs % 16 == 0)


def _depthwise(
    p: Conv, schedule: Depthwise, arguments: str, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> tuple[CudaKernel, _Constants]:
    words, runs = p.stride // 4, -(-p.out_width // schedule.run)
    call = f"conv_depthwise<{arguments}, {schedule.run}>"
    kernel = CudaKernel(
        "dp4a_depthwise",
        "conv_direct.cuh",
        call,
        6,
        blocks(p.images * p.out_height * runs * words, schedule.threads),
        schedule.threads,
    )
    rows = np.zeros((p.kernel_height, p.kernel_width, p.stride), np.int8)
    rows[..., : p.groups] = weight[:, 0].transpose(1, 2, 0)
    return kernel, (rows, *(np.pad(vector, (0, p.stride - p.groups)) for vector in (bias, multiplier)))


def _rows(
    p: Conv, schedule: Rows, arguments: str, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> tuple[CudaKernel, _Constants]:
    kernel = CudaKernel(
        "dp4a_dense",
        "conv_direct.cuh",
        f"dense_rows<{arguments}>",
        6,
        blocks(p.outputs, schedule.warps),
        32 * schedule.warps,
    )
    rows = np.zeros((p.outputs, p.stride), np.int8)
    rows[:, : p.channels] = weight[:, :, 0, 0]
    return kernel, (rows, bias, multiplier)


def _direct(
    p: Conv, schedule: Direct, arguments: str, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> tuple[CudaKernel, _Constants]:
    call = f"conv_direct<{arguments}>"
    kernel = CudaKernel(
        "dp4a_conv2d",
        "conv_direct.cuh",
        call,
        6,
        blocks(p.pixels * p.groups * p.outputs, schedule.threads),
        schedule.threads,
    )
    rows = np.zeros((p.groups * p.outputs, p.kernel_height, p.kernel_width, rounded_up(p.channels, 4)), np.int8)
    rows[..., : p.channels] = weight.transpose(0, 2, 3, 1)
    return kernel, (rows, bias, multiplier)
