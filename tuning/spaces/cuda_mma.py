"""The spaces of convolutions and matrix products on tensor cores (targets/cuda/device/conv_mma.cuh)."""

from dataclasses import replace
from itertools import product
from math import log2

from ...targets.cuda.kernels.conv_schedule import (
    SPLITS,
    TURNS,
    WGMMA,
    WGMMA_COLUMNS,
    Tile,
    buildable,
    candidates,
    depth_of,
    estimated_clocks,
    resident,
    tile_for,
)
from ...targets.cuda.workload import CudaWorkload
from ...targets.spec import TargetSpec
from .space import Space, choices, fixed

SIDES = (16, 32, 64, 128, 256)
MOST_STAGES, SYNCHRONOUS_STAGES = 6, 3  # Where copies pass through registers, more stages hide nothing.
GUESSES = 6


HEIGHTS = (8, 16, 32)  # A WMMA fragment has so many rows: it is 8x32x16, 16x16x16 or 32x8x16.


def space(workload: CudaWorkload, spec: TargetSpec) -> Space:
    """mma.sync, with operands by ldmatrix; dp4a on a target without tensor cores."""
    return _space("mma", workload, spec, tile_for(workload.problem, spec, 0), (0,))


def wmma_space(workload: CudaWorkload, spec: TargetSpec) -> Space:
    """The same kernel by WMMA: rows in shared memory are padded instead of swizzled, sums take a detour before the
    epilogue."""
    return _space("wmma", workload, spec, tile_for(workload.problem, spec, 16), HEIGHTS)


def wgmma_space(workload: CudaWorkload, spec: TargetSpec) -> Space:
    """The same kernel by wgmma, whose warpgroups read operands from shared memory, all at once or in turns."""
    return _space("wgmma", workload, spec, tile_for(workload.problem, spec, WGMMA), (WGMMA, TURNS))


def _space(family, workload, spec, default, heights):
    p, wgmma = workload.problem, default.by_wgmma
    most = MOST_STAGES if spec.extra["stages"] > 2 else SYNCHRONOUS_STAGES
    decisions = {
        "rows": choices(default.rows, *(n for n in (WGMMA_COLUMNS if wgmma else SIDES) if n < 2 * max(16, p.pixels))),
        "columns": choices(
            default.columns, *(n for n in (WGMMA_COLUMNS if wgmma else SIDES) if n < 2 * max(16, p.outputs))
        ),
        "depth": choices(default.depth, *(n for n in (32, 64, 128) if n < 2 * depth_of(p))),
        "warp_rows": (4, 8, 12, 16) if wgmma else (1, 2, 4, 8),
        "warp_columns": (1, 2, 4) if wgmma else (1, 2, 4, 8),
        "stages": choices(default.stages, *range(2, most + 1)),
        "splits": choices(default.splits, *(SPLITS if p.groups == 1 else (1,))),
        "wmma": heights,
    }
    return Space(
        family,
        p,
        fixed(default, decisions),
        Tile,
        default,
        lambda s: buildable(p, s, spec),
        lambda s: _features(p, s, spec),
        _guesses(p, default, spec, decisions),
    )


def _features(p, s, spec):
    """Logarithms of: blocks, blocks per multiprocessor, steps of a block, shared memory, threads, length of a sum, the
    analytical estimate; blocks that share a multiprocessor, what a product costs in copies and in reads of shared
    memory, registers; waste; stages, splits, rows of a WMMA fragment."""
    across, down = -(-p.pixels // s.rows), -(-p.outputs // s.columns)
    blocks = across * down * p.groups * s.splits
    together = resident(s, spec)
    steps = -(-(-(-depth_of(p) // s.depth)) // s.splits)
    logs = [
        log2(x)
        for x in (
            blocks,
            blocks / spec.extra["multiprocessors"],
            steps,
            s.shared_bytes,
            s.threads,
            depth_of(p),
            estimated_clocks(p, s, spec),
        )
    ]
    copies, reads = 1 / s.rows + 1 / s.columns, s.warp_rows / s.rows + s.warp_columns / s.columns
    waste = across * s.rows / p.pixels * down * s.columns / p.outputs
    return [
        *logs,
        float(together),
        64 * copies,
        64 * reads,
        s.registers / 64,
        waste,
        float(s.stages),
        float(s.splits),
        s.wmma / 16,
    ]


def _guesses(p, default, spec, decisions):
    """The estimate's other favourites, each of another shape, and the default with another depth of its pipeline."""
    shapes = {}
    heights = [height for height in (default.wmma, TURNS) if height in decisions["wmma"]]
    offered = [tile for height in heights for tile in candidates(spec, height)]
    for tile, splits in product(offered, decisions["splits"]):
        tile = replace(tile, splits=splits)
        if (
            tile != default
            and buildable(p, tile, spec)
            and all(getattr(tile, name) in values for name, values in decisions.items())
        ):
            shapes[tile] = estimated_clocks(p, tile, spec)
    best = sorted(shapes, key=shapes.__getitem__)[: GUESSES - 2]
    deeper = [
        replace(default, stages=stages)
        for stages in (default.stages - 1, default.stages + 1)
        if stages in decisions["stages"]
    ]
    return (*best, *(tile for tile in deeper if buildable(p, tile, spec)))
