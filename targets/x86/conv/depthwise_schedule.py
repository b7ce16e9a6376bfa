"""How a depthwise convolution is done, and where its source lies for that."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..isa import current
from .depthwise_pack import chunk_starts, fold_of
from .problem import ConvProblem
from .walk import Stage, Walk

if TYPE_CHECKING:
    from .left_sums import Checked

STAGED_BYTES = 1 << 18  # A larger input, in bytes, is read where it lies instead of being copied with its padding.
# A task that reads 64 channels copies them itself if they fit into these bytes; half of that with a stride, as it then
# reads them less often.
LOCAL_BYTES = 1 << 16
LOCAL_TASKS = 3  # With fewer tasks the copies are made before all of them.


@dataclass(frozen=True)
class DepthwiseSchedule:
    """How a depthwise convolution is divided, and whether its input is copied. pixels: output pixels of a register tile
    (times `fold_of`, as many as fit into a row). rows: output rows of a task. staged: whether the input is copied with
    its padding first; small ones 64 channels at a time, and then those are a task (`is_local`)."""

    pixels: int
    rows: int
    staged: bool


def default_schedule(p: ConvProblem) -> DepthwiseSchedule:
    """Every input column is prepared once for all pixels of a tile; beyond four int8 pixels that saves little and costs
    compile time. A copy with its padding pays where inputs are strided or taps are many, not for 3x3 taps on 512-bit
    vectors, which read an image where it lies (docs/architecture.md)."""
    many = p.dtype == "float32" or p.out_width <= 14
    width = p.out_width // fold_of(p)
    most = min(width, 7 if many and current().parts == 1 else 2 if p.dtype == "int8" and current().parts > 1 else 4)
    pixels = min(range(max(1, most // 2), most + 1), key=lambda n: (-(-width // n) * n, -n))
    small = p.dtype == "int8" and p.kernel == (3, 3) and p.strides == (1, 1) and current().parts == 1
    size = p.batch * p.height * p.width * p.data_stride * (1 if p.dtype == "int8" else 4)
    return DepthwiseSchedule(
        pixels, max(1, min(4, p.batch * p.out_height // 8)), any(p.padding) and size <= STAGED_BYTES and not small
    )


def is_local(p: "Checked | ConvProblem", s: DepthwiseSchedule) -> bool:
    """Whether a task is 64 channels of an image, with a copy of its own; else it is some rows, and the copy is made
    before all tasks."""
    height, width = padded_extents(p)
    return (
        s.staged
        and p.dtype == "int8"
        and height * width * 64 <= LOCAL_BYTES // max(p.strides)
        and p.batch * len(chunk_starts(p)) >= LOCAL_TASKS
        and p.out_stride >= 64
    )


def padded_extents(p: "Checked | ConvProblem") -> tuple[int, int]:
    """(height, width) of the image with its padding."""
    return p.height + p.padding[0] + p.padding[2], p.width + p.padding[1] + p.padding[3]


def walk_of(p: ConvProblem, s: DepthwiseSchedule) -> Walk:
    """The walk over the input, of which a depthwise kernel uses the stage alone."""
    return Walk(
        p.batch,
        p.out_height,
        p.out_width,
        0,
        0,
        0,
        0,
        (),
        0,
        Stage((1, 1), *padded_extents(p)) if s.staged and not is_local(p, s) else None,
    )
