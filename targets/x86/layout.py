"""Physical layouts of tensors on x86: where a logical element lies in a kernel's buffer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from ..bfloat16 import BLOCK, FEW

if TYPE_CHECKING:
    from tvm import tirx


SLACK = 64  # A kernel may read one full vector of elements behind a flat buffer, never write.
CHANNEL_BLOCK = 16  # A block fills one 512-bit vector of int32 or float32 lanes.
AS_IS = "s8"  # A plain int8 tensor stored as it is holds the network's own integers, in contrast to codes ("int8").
# Dot products of x86 are u8 x s8; bfloat16 is stored as its bits (targets/bfloat16.py).
STORAGE = {
    "int8": "uint8",
    AS_IS: "int8",
    "bfloat16": "uint16",
}
STORED_OFFSET = 128  # An s8 value is stored as u8 = s8 + 128.


def as_is(dtype: str) -> str:
    """The dtype of a layout that stores a tensor of a logical dtype without a shift."""
    return AS_IS if dtype == "int8" else dtype


def channel_stride(channels: int, dtype: str) -> int:
    """Distance in elements between two pixels: `channels` rounded up to 16, or to 4 for the input of a first layer in
    int8 or bfloat16; bfloat16 otherwise to whole blocks of 32 (passes/ops.py). Padding of bfloat16 is zero, not
    unspecified as otherwise."""
    if dtype == "bfloat16":
        return FEW if channels <= FEW else -(-channels // BLOCK) * BLOCK
    if channels <= 4 and dtype == "int8":
        return 4
    return -(-channels // CHANNEL_BLOCK) * CHANNEL_BLOCK


@dataclass(frozen=True)
class Layout:
    """How a tensor lies in its buffer. kind: "plain" (logical shape, row-major), "nhwc" (rank 4) or "rows" (rank 2, 3).
    shape: logical. dtype: logical, e.g. "int8"."""

    kind: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        assert self.kind in ("plain", "nhwc", "rows"), self.kind
        assert self.kind != "nhwc" or len(self.shape) == 4, self.shape

    @property
    def storage(self) -> str:
        """The dtype of the buffer's elements."""
        return STORAGE.get(self.dtype, self.dtype)

    @property
    def channels(self) -> int:
        """The extent of the axis that lies innermost."""
        return self.shape[1] if self.kind == "nhwc" else self.shape[-1]

    @property
    def channel_stride(self) -> int:
        """Elements from one pixel to the next."""
        return channel_stride(self.channels, self.dtype)

    @property
    def sparse(self) -> bool:
        """Whether three quarters or more of the buffer are padding between pixels of few float32 channels."""
        return self.kind != "plain" and self.dtype == "float32" and self.channel_stride >= 4 * self.channels

    @property
    def pixels(self) -> int:
        """Number of channel vectors: N*H*W, or the number of rows."""
        return prod(self.shape) // self.channels

    @property
    def elements(self) -> int:
        """Elements of the flat buffer, slack included; of a plain tensor just its size."""
        return prod(self.shape) if self.kind == "plain" else self.pixels * self.channel_stride + SLACK

    @property
    def physical_shape(self) -> tuple[int, ...]:
        """The shape of the buffer that kernels take."""
        return self.shape if self.kind == "plain" else (self.elements,)


def packed(shape: "Sequence[tirx.Expr | int]", dtype: str) -> Layout | None:
    """The packed layout of a logical tensor, or None for a rank that has none."""
    shape = tuple(int(d) for d in shape)
    kind = {4: "nhwc", 3: "rows", 2: "rows"}.get(len(shape))
    return Layout(kind, shape, dtype) if kind is not None and dtype in ("int8", "float32", "bfloat16") else None


def sure(layout: Layout | None) -> Layout:
    """The layout; for places where there must be one."""
    assert layout is not None, "its tensor has a rank that can be packed"
    return layout
