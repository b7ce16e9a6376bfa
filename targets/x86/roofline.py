"""The least time of a kernel on this machine: its operations at the measured peak, or its bytes at the bandwidth of the
cache that holds them, whichever takes longer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .peak import Peak


FLOPS = 32  # Other vector instructions are counted in the rate of a multiply-add of 16 float32 lanes.


@dataclass(frozen=True)
class TimeLimit:
    """Seconds. compute: of the operations at the peak; memory: of the bytes. level: the cache that they come from:
    "L2", "L3" or "memory"."""

    compute: float
    memory: float
    level: str

    @property
    def seconds(self) -> float:
        """The least time: the larger of that of the operations and that of the bytes."""
        return max(self.compute, self.memory)

    @property
    def bound(self) -> str:
        """What limits the kernel: "compute", or the cache's name."""
        return "compute" if self.compute >= self.memory else self.level


def limit_of(
    peak: "Peak", dtype: str, macs: int, moved: int, depthwise: bool = False, vectors: float = 0.0, tiles: bool = False
) -> TimeLimit:
    """The least time that a kernel's work takes at these rates. peak: a Peak, or what else has its rates and `level`
    (targets/cuda/running/peak.py). dtype: "int8", "float32" or "bfloat16". macs: multiply-adds. moved: bytes read and
    written once. A depthwise convolution has no sums over channels for a dot product of int8: a tap is one multiply-add
    per 32-bit lane, as in float32. vectors: of 16 lanes, what the vector unit computes besides: an epilogue, a softmax.
    tiles: whether a tile unit multiplies meanwhile."""
    rate = peak.int8_gops if dtype == "int8" and not depthwise else peak.float32_gflops
    if dtype == "bfloat16":  # A register or tile holds half as many operands.
        rate = max(rate, peak.int8_gops / 2)
    level, bandwidth = peak.level(moved)
    products, rest = 2e-9 * macs / rate, 1e-9 * vectors * FLOPS / peak.float32_gflops
    return TimeLimit(max(products, rest) if tiles else products + rest, moved / bandwidth / 1e9, level)
