"""Which kernel families can do a CUDA workload, the one that is taken by default first."""

from ...targets.cuda.generated.nest import NestWorkload
from ...targets.cuda.generated.stock import Stock
from ...targets.cuda.kernels.conv import default_schedule, fits_tiles, is_few_rows
from ...targets.cuda.kernels.conv_schedule import Depthwise, Direct, Rows, Tile, tile_for
from ...targets.cuda.workload import CudaWorkload
from ...targets.spec import TargetSpec
from . import cuda_depthwise, cuda_direct, cuda_mma, cuda_rows, cuda_stock
from .space import Space

SCHEDULES = {
    "mma": Tile,
    "wmma": Tile,
    "wgmma": Tile,
    "dp4a_depthwise": Depthwise,
    "dp4a_direct": Direct,
    "dp4a_rows": Rows,
    "stock": Stock,
}
_SPACES = {
    "mma": cuda_mma.space,
    "wmma": cuda_mma.wmma_space,
    "wgmma": cuda_mma.wgmma_space,
    "dp4a_depthwise": cuda_depthwise.space,
    "dp4a_direct": cuda_direct.space,
    "dp4a_rows": cuda_rows.space,
}
# Up to so many multiply-adds a thread per result may beat tensor cores, whose tiles stay empty or few.
_SMALL = 1 << 24


def family_of(schedule) -> str:
    """The family that a schedule belongs to."""
    if isinstance(schedule, Tile):
        return "wgmma" if schedule.by_wgmma else "wmma" if schedule.wmma else "mma"
    return next(family for family, made in SCHEDULES.items() if isinstance(schedule, made))


def spaces_of(workload: CudaWorkload | NestWorkload, spec: TargetSpec) -> list[Space]:
    if isinstance(workload, NestWorkload):
        return [cuda_stock.space(workload, spec)]
    p, tensor = workload.problem, spec.dot != "dp4a"
    first = family_of(tile_for(p, spec) if p.batched else default_schedule(p, spec))
    tiled = first in ("mma", "wgmma")
    able = {
        "mma": fits_tiles(p),
        "wgmma": spec.dot == "wgmma" and tiled,
        "wmma": tensor and tiled,
        "dp4a_rows": not p.batched and is_few_rows(p),
        "dp4a_direct": not p.batched and p.macs <= _SMALL,
    }
    others = [family for family, fits in able.items() if fits and family != first]
    return [_SPACES[family](workload, spec) for family in (first, *others)]
