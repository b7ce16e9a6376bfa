"""The least time of a kernel on this machine: its operations at the measured peak, or its bytes at the bandwidth of the cache that holds them, whichever takes longer."""

from dataclasses import dataclass

from .peak import Peak

_L2_SHARE, _L3_SHARE = 1 << 20, 1 << 24  # bytes: half of an L2 of 2 MB, per core; what one may hope to keep of a shared L3


@dataclass(frozen=True)
class Limit:
    """Seconds. compute: of the operations at the peak; memory: of the bytes. level: the cache that they come from: "L2", "L3" or "memory"."""

    compute: float
    memory: float
    level: str

    @property
    def seconds(self) -> float:
        return max(self.compute, self.memory)

    @property
    def bound(self) -> str:
        """What limits the kernel: "compute", or the cache's name."""
        return "compute" if self.compute >= self.memory else self.level


def limit_of(peak: Peak, dtype: str, macs: int, moved: int, depthwise: bool = False) -> Limit:
    """dtype: "int8" or "float32". macs: multiply-adds. moved: bytes read and written once. A depthwise convolution has no sums over channels for a dot product
    of int8: a tap is one multiply-add per 32-bit lane, as in float32."""
    rate = peak.int8_gops if dtype == "int8" and not depthwise else peak.float32_gflops
    level, bandwidth = _level(peak, moved)
    return Limit(2e-9 * macs / rate, moved / bandwidth / 1e9, level)


def _level(peak, moved):
    if moved <= _L2_SHARE * peak.threads:
        return "L2", peak.l2_gbytes
    if moved <= _L3_SHARE:
        return "L3", peak.l3_gbytes
    return "memory", peak.memory_gbytes
