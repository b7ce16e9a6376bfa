"""Which tensors are counted for values at the ends of their range, and where a network's input is looked at.

    y = clip(rne(..) + z, low, high)    ==>    words = how many of y are high, how many low where that stands for
                                               another number than 0

What a ReLU cuts off below is no value that was lost: its lowest code is zero itself."""

from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from ....targets.x86.checks.coefficients import BYTES
from ....targets.x86.layout import SLACK, STORED_OFFSET, Layout
from ... import ops

if TYPE_CHECKING:
    from tvm import relax

_MOST = 128  # So many vectors are looked at: far apart, each waits for a cache that is not the nearest.
_PARTS = 8  # The channels of an input are divided into so many parts.
ROUNDING = ("octet.conv2d", "octet.dense", "octet.add", "octet.mul", "octet.requantize", "relax.quantize")


@dataclass(frozen=True)
class Rounded:
    """A result of the integer graph that one of these operators rounds to int8. high: its largest code. low: whether
    its lowest code is that of a number other than 0."""

    operator: str
    high: int
    low: bool


@dataclass(frozen=True)
class CountedBytes:
    """Stored bytes of which `high` (u8), and 0 if `low`, are counted. size: bytes, in pixels of `stride`, of which the
    first `channels` are values. They are looked at in groups of whole pixels and vectors; of a tensor above 16 KB in
    some 8,000 values all over it, always the same ones: counting all would show in the time of a run."""

    size: int
    channels: int
    stride: int
    high: int
    low: bool

    @property
    def period(self) -> int:
        """Vectors of a group: whole pixels that are whole vectors."""
        return lcm(self.stride, BYTES) // BYTES

    @property
    def groups(self) -> int:
        """How many whole groups the tensor has; bytes behind the last one are the tail."""
        return self.size // (self.period * BYTES)

    @property
    def step(self) -> int:
        """Every how manieth group is looked at, 1 for all of them."""
        return max(1, self.groups * self.period // _MOST)

    @property
    def tail(self) -> int:
        """Bytes behind the groups that are looked at."""
        return self.size % (self.period * BYTES) if self.step == 1 else 0

    @property
    def values(self) -> int:
        """How many values of the tensor are looked at."""
        return self._pixels * self.channels

    @property
    def ends(self) -> tuple[str, ...]:
        """The ends of the range that are counted, in the order of the words that hold the counts."""
        return ("high", "low") if self.low else ("high",)

    @property
    def parts(self) -> tuple[int, ...]:
        """How many values are looked at of every part of the channels: neighbours, in eight parts at most."""
        return tuple(self._pixels * int(count) for count in np.bincount(self._part_of))

    @property
    def valid(self) -> np.ndarray:
        """The mask int8 [period * 64]: 1 where a group has a value, 0 for padding."""
        return self._of_group(np.arange(self.stride) < self.channels)

    @property
    def members(self) -> np.ndarray:
        """The masks int8 [parts * period * 64]: for every part 1 where a group has a value of it."""
        padded = np.pad(self._part_of, (0, self.stride - self.channels), constant_values=-1)
        return np.concatenate([self._of_group(padded == part) for part in range(len(self.parts))])

    @property
    def _pixels(self) -> int:
        return (self.groups // self.step * self.period * BYTES + self.tail) // self.stride

    @property
    def _part_of(self) -> np.ndarray:
        return np.arange(self.channels) * min(self.channels, _PARTS) // self.channels

    def _of_group(self, pixel: np.ndarray) -> np.ndarray:
        return np.resize(pixel.astype(np.int8), self.period * BYTES)


def rounded_by(call: "relax.Expr") -> Rounded | None:
    """What a call of the integer graph rounds, or None."""
    if not ops.is_op(call, *ROUNDING) or str(call.ty.dtype) != "int8":
        return None
    attrs = ops.attrs_of(call)
    if call.op.name == "relax.quantize":
        zero_point = int(call.args[2].value.numpy().reshape(-1)[0])
        return Rounded(call.op.name, 127, zero_point != -128)
    return Rounded(
        call.op.name, int(min(attrs["clip_max"], 127)), attrs["clip_min"] <= -128 and attrs["out_zero_point"] != -128
    )


def counted(rounded: Rounded, layout: object) -> CountedBytes | None:
    """How a kernel's result is counted; None for a layout whose values are not in one piece."""
    if not isinstance(layout, Layout) or layout.dtype != "int8":
        return None
    if layout.kind == "plain":
        return CountedBytes(layout.elements, 1, 1, rounded.high + STORED_OFFSET, rounded.low)
    return CountedBytes(
        layout.elements - SLACK, layout.channels, layout.channel_stride, rounded.high + STORED_OFFSET, rounded.low
    )
