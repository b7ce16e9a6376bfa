"""Which kernel takes a convolution or linear layer, with its analytical schedule and its packed constants."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ...bfloat16 import BLOCK, round_to_bfloat16
from ..checks.coefficients import LayerSum, layer_sum
from ..checks.counting import computed, computed_channels
from ..checks.kernels import digit_base
from ..elementwise.table import stored_table
from ..isa import UNITS, building_for, current
from ..layout import STORED_OFFSET
from ..tiles import TILE_ROWS, tile_config
from . import (
    amx as conv_amx,
    amx_micro,
    bf16 as conv_bf16,
    depthwise as conv_depthwise,
    depthwise_pack,
    depthwise_schedule,
    direct as conv_direct,
    direct_schedule,
    listed as conv_listed,
    neon as conv_neon,
)
from .epilogue import supports_depthwise
from .pack import fold_bias, pack_amx, pack_channels, pack_direct, pack_steps, pad_rows, tap_matrix, weight_matrix
from .problem import ConvProblem
from .stage import stage_elements

if TYPE_CHECKING:
    from tvm import tirx

    from ..isa import Isa
    from .amx import AmxSchedule
    from .bf16 import Bf16Schedule
    from .depthwise_schedule import DepthwiseSchedule
    from .direct_schedule import DirectSchedule
    from .left_sums import Checked

    ConvSchedule: TypeAlias = AmxSchedule | Bf16Schedule | DepthwiseSchedule | DirectSchedule
    # A kernel comes with its constants, its schedule and the elements of its workspace.
    _Built: TypeAlias = tuple[tirx.PrimFunc, list[np.ndarray | None], Any, int]


@dataclass(frozen=True)
class ChosenConv:
    """The kernel that takes a convolution, with its schedule and constants. family: "amx", "vnni", "listed" (without
    VPDPBUSD), "fma", "bf16" (bfloat16 on the vector unit) or "depthwise". constants: arguments of `func` between the
    data and the residual or output. workspace: elements, of the data's storage type, of its argument behind the output;
    0 if it takes none. check: of a problem that is checked, what its sums must be."""

    family: str
    func: "tirx.PrimFunc"
    constants: list[np.ndarray]
    schedule: Any
    workspace: int
    check: LayerSum | None = None


def family_of(p: ConvProblem, dot: str) -> str:
    """The family of kernels that takes a problem by default. dot: the target's int8 dot product (see
    `TargetSpec.dot`)."""
    if p.depthwise and (p.dtype == "float32" or supports_depthwise(p)):
        return "depthwise"
    if p.dtype == "float32":
        return "fma"
    if p.dtype == "bfloat16":
        return "amx" if UNITS[dot].tiles else "bf16"
    return "amx" if UNITS[dot].tiles and _tiles_pay(p) else _vector_family(UNITS[dot])


def _tiles_pay(p: "Checked | ConvProblem") -> bool:
    """Whether the tile unit is the faster one: a tile holds 16 pixels x 64 products, and loses where it stays
    nearly empty: few channels, a single row, or too few products in all. The limits were fitted
    (docs/architecture.md)."""
    depth = p.channels // p.groups * p.kernel[0] * p.kernel[1]
    one_row = p.batch * p.out_height * p.out_width == 1
    return depth > 16 and p.multiply_adds >= 32_000 and not (one_row and depth <= 512)


def _vector_family(isa: "Isa") -> str:
    return "vnni" if isa.vnni else "listed"


def family_of_schedule(p: ConvProblem, schedule: "ConvSchedule") -> str:
    """The family that a schedule is of: a target with a tile unit runs the vector unit's kernels, too."""
    if isinstance(schedule, direct_schedule.DirectSchedule):
        return _vector_family(current()) if p.dtype == "int8" else "fma"
    if isinstance(schedule, conv_bf16.Bf16Schedule):
        return "bf16"
    return "amx" if isinstance(schedule, conv_amx.AmxSchedule) else "depthwise"


def conv_kernel(
    p: ConvProblem,
    dot: str,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray | None,
    schedule: "ConvSchedule | None" = None,
    table: np.ndarray | None = None,
) -> ChosenConv:
    """The kernel for a convolution or linear layer, with its packed constants. weight: OIHW, s8 or float32 (which is
    rounded for dtype "bfloat16"). bias: s32 (at scale s_x * s_w, zero point of the data not yet folded in) or float32.
    multiplier: float32 or None. schedule: of a kernel family that takes this problem; None for the analytical default
    of the target's. table: octet.table's int8 [256], if the epilogue has one."""
    with building_for(dot):
        return _conv_kernel(p, dot, weight, bias, multiplier, schedule, table)


def _conv_kernel(
    p: ConvProblem,
    dot: str,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray | None,
    schedule: "ConvSchedule | None",
    table: np.ndarray | None,
) -> ChosenConv:
    family = family_of(p, dot) if schedule is None else family_of_schedule(p, schedule)
    given = bias
    if p.dtype == "int8":
        bias, given = (
            fold_bias(p, weight, bias, offset) for offset in (STORED_OFFSET, 0 if current().signed else STORED_OFFSET)
        )
    if p.dtype == "bfloat16":
        weight = round_to_bfloat16(weight).view(np.uint16)
    builders: dict[str, Callable[..., _Built]] = {
        "depthwise": _depthwise,
        "amx": _amx,
        "vnni": _direct,
        "listed": _listed,
        "fma": _direct,
        "bf16": _bf16,
    }
    assert p.epilogue.table == (table is not None) and (
        table is None or current().vbmi and p.epilogue.out_dtype == "int8"
    ), p.epilogue
    func, constants, chosen, workspace = builders[family](p, weight, given, multiplier, schedule)
    constants.append(stored_table(table) if table is not None else None)
    check = (
        layer_sum(p, weight, bias, computed(p, family, chosen), computed_channels(p, family), digit_base())
        if p.checked
        else None
    )
    if check is not None:
        constants.append(
            depthwise_pack.pack_channels(p, check.r)
            if family == "depthwise"
            else pack_channels(check.r, 16 if family == "amx" else chosen.vectors * 16)
        )
    return ChosenConv(
        family, func, [constant for constant in constants if constant is not None], chosen, workspace, check
    )


def _depthwise(
    p: ConvProblem,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray | None,
    schedule: "DepthwiseSchedule | None",
) -> "tuple[tirx.PrimFunc, list[np.ndarray | None], DepthwiseSchedule, int]":
    schedule = schedule or depthwise_schedule.default_schedule(p)
    order = depthwise_pack.pack_channels
    constants = [
        depthwise_pack.pack_weights(p, weight),
        order(p, bias),
        order(p, multiplier) if multiplier is not None else None,
    ]
    return (
        conv_depthwise.conv2d_depthwise(p, schedule),
        constants,
        schedule,
        stage_elements(p, depthwise_schedule.walk_of(p, schedule)),
    )


def _amx(
    p: "Checked | ConvProblem",
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray | None,
    schedule: "AmxSchedule | None",
) -> "tuple[tirx.PrimFunc, list[np.ndarray | None], AmxSchedule, int]":
    schedule = schedule or conv_amx.default_schedule(p)
    walk = conv_amx.walk_of(p, schedule.phases)
    matrix = weight_matrix(p, walk, weight, amx_micro.BLOCK, conv_amx.width_of(p))
    constants = [
        pack_amx(matrix, p.out_blocks),
        pack_channels(bias, 16),
        tile_config(min(TILE_ROWS, walk.pixels)),
        pack_channels(multiplier, 16) if multiplier is not None else None,
    ]
    return conv_amx.conv2d_amx(p, schedule), constants, schedule, stage_elements(p, walk)


def _bf16(
    p: ConvProblem, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray | None, schedule: "Bf16Schedule | None"
) -> "tuple[tirx.PrimFunc, list[np.ndarray | None], Bf16Schedule, int]":
    schedule = schedule or conv_bf16.default_schedule(p)
    walk, block = conv_bf16.walk_of(p), schedule.vectors * 16
    packed = conv_bf16.pack_weights(weight_matrix(p, walk, weight, block, BLOCK))
    return conv_bf16.conv2d_bf16(p, schedule), [packed, pack_channels(bias, block)], schedule, stage_elements(p, walk)


def _direct(
    p: ConvProblem,
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray | None,
    schedule: "DirectSchedule | None",
) -> "tuple[tirx.PrimFunc, list[np.ndarray | None], DirectSchedule, int]":
    schedule = schedule or direct_schedule.default_schedule(p)
    block = schedule.vectors * 16
    rows = pad_rows(
        tap_matrix(p, weight, block, direct_schedule.step_of(p)), p.kernel[0], direct_schedule.row_length(p, schedule)
    )
    packed = pack_direct(rows, direct_schedule.packed_step(p, schedule))
    constants = [
        packed,
        pack_channels(bias, block),
        pack_channels(multiplier, block) if multiplier is not None else None,
    ]
    return (conv_neon.conv2d_neon if current().neon else conv_direct.conv2d_direct)(p, schedule), constants, schedule, 0


def _listed(
    p: ConvProblem, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, schedule: "DirectSchedule | None"
) -> "tuple[tirx.PrimFunc, list[np.ndarray | None], DirectSchedule, int]":
    schedule = schedule or conv_listed.default_schedule(p)
    block = schedule.vectors * 16
    steps = pack_steps(p, tap_matrix(p, weight, block, 4), conv_listed.source_width(p))
    constants: list[np.ndarray | None] = [
        steps.weights,
        steps.table,
        pack_channels(bias, block),
        pack_channels(multiplier, block),
    ]
    return conv_listed.conv2d_listed(p, schedule, steps), constants, schedule, conv_listed.workspace(p, schedule, steps)
