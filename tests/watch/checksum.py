"""The checksum of an integer layer, as the referee defines it; every number modulo 2^32, `acc` and `centred` as in
passes/ops.py:

    left  = sum over o of r[o] * sum over pixels of (acc[o] + bias[o])
            from the sums of a run
    right = sum over pixels of conv(centred, sum over o of r[o] * weight[o]) + pixels * sum of r * bias
            from its input, with weights summed at compile time

They are equal unless a bit of the weights, the input or a sum has changed in between. A byte of the input whose
coefficients in `right` add up to nothing does not show there; kernels guard such an input by the sum of its bytes.
Kernels add up stored bytes and multiples of pixels (targets/x86/checks/coefficients.py): another sum, which holds for
the same reason.

A flipped weight meets stored bytes, codes + 128, of which none is negative: zero points are folded into the bias when a
network is compiled, with the weights of then. So the flip changes `left` by r[o] * 2^bit * (a sum of stored bytes),
which is 0 only where no sum changed; centred values may well add up to 0."""

from dataclasses import dataclass

import numpy as np

from octet.passes.referee.conv import convolve
from octet.targets.watch.odd_numbers import odd_numbers

MODULUS = 1 << 32
_STORED = 128  # A stored byte is greater than its code by this.


@dataclass(frozen=True)
class Checksum:
    """r: int64 [O]. weight: of one output channel per group, float64 of whole numbers. biases: sum of r * bias."""

    r: np.ndarray
    weight: np.ndarray
    biases: int
    geometry: tuple
    zero_point: int

    def left(self, sums: np.ndarray) -> int:
        """sums: integers [N, O, OH, OW], bias included."""
        return int((sums.astype(np.int64).sum(axis=(0, 2, 3)) * self.r).sum()) % MODULUS

    def right(self, data: np.ndarray) -> int:
        """data: int8 [N, C, H, W]."""
        found = convolve(data.astype(np.float64) - self.zero_point, self.weight, *self.geometry)
        pixels = found.shape[0] * found.shape[2] * found.shape[3]
        return (int(found.astype(np.int64).sum()) + pixels * self.biases) % MODULUS


def checksum_of(weight: np.ndarray, bias: np.ndarray, attrs: dict) -> Checksum:
    """Of an int8 octet.conv2d, or of an octet.dense whose weight is [N, K, 1, 1]. weight: int8 OIHW. bias: int32
    [O]."""
    groups = attrs.get("groups", 1)
    r = odd_numbers(len(bias), 0)
    scaled = r[:, None, None, None] * weight.astype(np.int64)
    summed = scaled.reshape(groups, -1, *weight.shape[1:]).sum(axis=1)
    geometry = (attrs.get("strides", (1, 1)), attrs.get("padding", (0, 0, 0, 0)), attrs.get("dilation", (1, 1)), groups)
    return Checksum(
        r, summed.astype(np.float64), int((r * bias.astype(np.int64)).sum()), geometry, attrs["data_zero_point"]
    )


def sums_of(
    data: np.ndarray, weight: np.ndarray, bias: np.ndarray, attrs: dict, folded: np.ndarray | None = None
) -> np.ndarray:
    """acc + bias of an int8 layer, as int64. weight: as a run reads it. folded: as it was when the bias was folded,
    where a bit has flipped since."""
    geometry = (
        attrs.get("strides", (1, 1)),
        attrs.get("padding", (0, 0, 0, 0)),
        attrs.get("dilation", (1, 1)),
        attrs.get("groups", 1),
    )
    centred = data.astype(np.float64) - attrs["data_zero_point"]
    sums = convolve(centred, weight.astype(np.float64), *geometry).astype(np.int64) + bias.reshape(1, -1, 1, 1)
    if folded is None:
        return sums
    changed = (weight.astype(np.int64) - folded).reshape(len(weight), -1).sum(axis=1)
    return sums + (attrs["data_zero_point"] + _STORED) * changed.reshape(1, -1, 1, 1)
