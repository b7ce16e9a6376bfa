"""Which register tiles a dense or grouped convolution on the vector unit has (`direct.py`), and how long its rows
are."""

from dataclasses import dataclass

from ..isa import current
from .problem import ConvProblem
from .walk import channel_span

PAIR_STEP = 8  # An instruction that multiplies two pixels by two channels takes eight input channels.
# A tile begins and ends, and has its weights brought to the nearest cache, in the time of this many pixels; the number
# was fitted (docs/architecture.md).
TILE = 2


@dataclass(frozen=True)
class DirectSchedule:
    """How a convolution on the vector unit is divided into register tiles and tasks. vectors: of 16 output channels in
    a block. pixels: of a register tile. pixels_outer: a task is a chunk of `units` lines (of a matrix product: register
    tiles) and runs over all channels; otherwise the weights stream once."""

    vectors: int
    pixels: int
    pixels_outer: bool
    units: int


def is_matmul(p: ConvProblem) -> bool:
    """Whether the convolution is a matrix product over all pixels of the batch."""
    return p.kernel == (1, 1) and p.strides == (1, 1) and not any(p.padding) and not p.planar


def line_of(p: ConvProblem) -> int:
    """Pixels that follow each other at a constant stride."""
    return p.batch * p.height * p.width if is_matmul(p) else p.out_width


def step_of(p: ConvProblem) -> int:
    """How many elements of the input one step multiplies."""
    return 4 if p.dtype == "int8" else 1


def span_of(p: ConvProblem, vectors: int) -> int:
    """Input channels that a block reads at each tap, padded to whole steps."""
    return -(-channel_span(p, vectors * 16)[0] // step_of(p)) * step_of(p)


def units_of(p: ConvProblem, pixels: int) -> int:
    """Units of work for one block of channels: register tiles of a matrix product, else rows of the output."""
    return -(-line_of(p) // pixels) if is_matmul(p) else p.batch * p.out_height


def paired(p: ConvProblem, vectors: int) -> bool:
    """Whether tiles of an even number of pixels are multiplied two pixels by two channels (`neon.py`): where pixels, or
    rows of taps, are whole steps of it."""
    whole = p.data_stride % PAIR_STEP == 0 and span_of(p, vectors) % PAIR_STEP == 0
    return current().mixed and p.dtype == "int8" and not p.planar and (whole or taps_paired(p))


def taps_paired(p: ConvProblem) -> bool:
    """Whether two neighbouring taps make a step, as pixels of a first layer are half of one."""
    return p.data_stride < PAIR_STEP and p.kernel[1] > 1 and p.dilation[1] == 1 and p.groups == 1


def by_pairs(p: ConvProblem, s: DirectSchedule) -> bool:
    """Whether a register of data holds two pixels."""
    return s.pixels % 2 == 0 and paired(p, s.vectors)


def packed_step(p: ConvProblem, s: DirectSchedule) -> int:
    """Input elements of a channel that lie side by side in the packed weights."""
    return PAIR_STEP if by_pairs(p, s) else step_of(p)


def row_length(p: ConvProblem, s: DirectSchedule) -> int:
    """Input elements of a kernel row in the packed weights, of which the last may be zeros."""
    step = packed_step(p, s)
    return -(-p.kernel[1] * span_of(p, s.vectors) // step) * step


def most_pixels(p: ConvProblem, vectors: int) -> int:
    """Pixels of a register tile of `vectors` vectors of channels: its sums and the operands of a step fit into
    registers."""
    return max(
        1, current().paired_pixels(vectors) if paired(p, vectors) else current().accumulators(p.dtype) // vectors
    )


def _holds(p: ConvProblem, vectors: int, line: int) -> bool:
    """Whether registers hold the sums of a whole line, or of two pixels of it where two are multiplied at once."""
    pairs = line > 1 and paired(p, vectors)
    return current().paired_pixels(vectors) >= 2 if pairs else current().accumulators(p.dtype) >= vectors * line


def most_vectors(p: ConvProblem) -> int:
    """Vectors of channels in a block: as many as keep the loads of a step fewer than its multiplications."""
    isa = current()
    return max(1, min(isa.registers // isa.parts // 16, p.out_blocks))


def default_schedule(p: ConvProblem) -> DirectSchedule:
    """The analytical schedule: as many pixels as the registers hold; for few pixels more vectors, to hide the latency
    of the sums."""
    line = line_of(p)
    vectors = most_vectors(p)
    if line <= 3:
        vectors = max(v for v in (1, 2, 4, 8) if v == 1 or v <= p.out_blocks and _holds(p, v, line))
    most = min(line, most_pixels(p, vectors), 14)
    # A tile of fewer pixels takes no less time.
    latency = -(-current().latency(p.dtype).chains // (vectors * current().parts))
    even = paired(p, vectors) and most > 1
    pixels = min(
        range(2, most + 1, 2) if even else range(max(1, most // 2), most + 1),
        key=lambda n: (-(-line // n) * (max(n, latency) + TILE), -n),
    )
    units = units_of(p, pixels)
    size = 1 if p.dtype == "int8" else 4
    weights = p.out_channels * p.channels // p.groups * p.kernel[0] * p.kernel[1] * size
    data = p.batch * p.height * p.width * p.data_stride * size
    if weights < data:
        return DirectSchedule(vectors, pixels, True, max(1, min(8 if is_matmul(p) else 2, units // 16)))
    blocks = -(-p.out_blocks // vectors)
    return DirectSchedule(vectors, pixels, False, max(1, -(-units // max(1, 16 // blocks))))
