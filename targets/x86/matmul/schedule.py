"""How an int8 product of two computed tensors is cut into tasks, and the scratch memory of one."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from ..isa import UNITS
from ..rows.softmax_bytes import scratch_elements, staged_rows
from ..tiles import TILE_ROWS, tile_config
from .pack import packed_bytes
from .problem import MatmulProblem

if TYPE_CHECKING:
    import numpy as np

STACK_LIMIT = 4 << 20  # Threads have 8 MiB of stack, of which a kernel takes at most these bytes.
# A tile of rows at a time is faster than two between these columns of a softmax; the limits were fitted
# (docs/architecture.md).
_ALONE = (64, 176)


@dataclass(frozen=True)
class MatmulSchedule:
    """How a product of matrices is divided among tasks and tiles. tiles: tiles of 16 rows that are computed before
    their rows are finished. chunks: tasks per matrix. together: rows whose softmax goes through its stages together,
    where it divides a tile's. height: rows of 64 columns whose sums the vector unit holds in registers."""

    tiles: int
    chunks: int
    together: int = 1
    height: int = 4


def default_schedule(p: MatmulProblem) -> MatmulSchedule:
    """Two tiles of rows share what is loaded of the packed operand; one, where its softmax then finds the sums nearer.
    A few matrices are divided among the cores, as long as repacking stays cheap."""
    tiles = -(-p.rows // TILE_ROWS)
    chunks = 1 if prod(p.batch) >= 4 else max(1, min(4, tiles // 8))
    together = 1 if p.softmax is None else staged_rows(p.columns, min(TILE_ROWS, p.rows))
    alone = p.softmax is not None and _ALONE[0] < p.columns <= _ALONE[1]
    return MatmulSchedule(1 if alone else min(2, tiles), chunks, together)


def stack_bytes(p: MatmulProblem, s: MatmulSchedule) -> int:
    """Bytes that a task keeps on its stack."""
    return packed_bytes(p) + p.column_blocks * 64 * (1 + s.tiles * TILE_ROWS) + 4 * scratch_floats(p, s)


def scratch_floats(p: MatmulProblem, s: MatmulSchedule) -> int:
    """float32 elements that the softmax of a tile's rows keeps."""
    return scratch_elements(p.columns, s.together) if p.softmax is not None else 16


def constants_of(p: MatmulProblem, dot: str) -> "list[np.ndarray]":
    """Constant arguments of the kernel, behind a, b and the mask."""
    return [tile_config(min(TILE_ROWS, p.rows))] if UNITS[dot].tiles else []
