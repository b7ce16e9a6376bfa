"""Which tensors are counted for values at the ends of their range.

    y = clip(rne(..) + z, low, high)    ==>    word = how many of y are high, or low where that stands for another number than 0

What a ReLU cuts off below is no value that was lost: its lowest code is zero itself."""

from dataclasses import dataclass
from math import lcm

from ... import ops
from ....targets.x86.checks.coefficients import BYTES
from ....targets.x86.layout import SLACK, STORED_OFFSET, Layout

_MOST_STEP, _ALL = 8, 64  # groups of which one is looked at; vectors of a tensor that is looked at whole
ROUNDING = ("octet.conv2d", "octet.dense", "octet.add", "octet.mul", "octet.requantize", "relax.quantize")


@dataclass(frozen=True)
class Rounded:
    """A result of the integer graph that one of these operators rounds to int8. high: its largest code. low: whether its lowest code is that of a number other than 0."""

    operator: str
    high: int
    low: bool


@dataclass(frozen=True)
class Counted:
    """Stored bytes of which `high` (u8), and 0 if `low`, are counted. size: bytes, in pixels of `stride`, of which the first `channels` are values. They are looked at in
    groups of whole pixels and vectors; of a large tensor one group in up to eight, always the same ones: counting all of MobileNet-v2's took 8 % of its time."""

    size: int
    channels: int
    stride: int
    high: int
    low: bool

    @property
    def period(self) -> int:
        """Vectors of a group."""
        return lcm(self.stride, BYTES) // BYTES

    @property
    def groups(self) -> int:
        return self.size // (self.period * BYTES)

    @property
    def step(self) -> int:
        return max(1, min(_MOST_STEP, self.groups * self.period // _ALL))

    @property
    def tail(self) -> int:
        """Bytes behind the groups that are looked at."""
        return self.size % (self.period * BYTES) if self.step == 1 else 0

    @property
    def values(self) -> int:
        """How many values are looked at."""
        return (self.groups // self.step * self.period * BYTES + self.tail) // self.stride * self.channels


def rounded_by(call) -> Rounded | None:
    """What a call of the integer graph rounds, or None."""
    if not ops.is_op(call, *ROUNDING) or str(call.ty.dtype) != "int8":
        return None
    attrs = ops.attrs_of(call)
    if call.op.name == "relax.quantize":
        zero_point = int(call.args[2].value.numpy().reshape(-1)[0])
        return Rounded(call.op.name, 127, zero_point != -128)
    return Rounded(call.op.name, int(min(attrs["clip_max"], 127)), attrs["clip_min"] <= -128 and attrs["out_zero_point"] != -128)


def counted(rounded: Rounded, layout) -> Counted | None:
    """How a kernel's result is counted; None for a layout whose values are not in one piece."""
    if not isinstance(layout, Layout) or layout.dtype != "int8":
        return None
    if layout.kind == "plain":
        return Counted(layout.elements, 1, 1, rounded.high + STORED_OFFSET, rounded.low)
    return Counted(layout.elements - SLACK, layout.channels, layout.channel_stride, rounded.high + STORED_OFFSET, rounded.low)
