"""bfloat16 in NumPy: the rounding of operands, and the sums of products in their fixed order (octet.bfloat16 and
bfloat16 layers of passes/ops.py).

Operands below 2^-56 in magnitude become zero. So every operand is a multiple of 2^-63 and every product and every
rounded sum of products a multiple of 2^-126: none is a denormal number, and it does not matter that the instructions
(Intel SDM, TDPBF16PS and VDPBF16PS) take those for zero and others do not."""

import ml_dtypes
import numpy as np

BLOCK = 32  # Products are summed up by themselves in blocks of what a tile row of 64 bytes holds.
FEW = 4  # An image at a network's input has few channels: a block then holds the columns of a kernel row.
SMALLEST = np.float32(2.0**-56)


def round_to_bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 -> ml_dtypes.bfloat16, to nearest, ties to even; magnitudes below 2^-56 to +0, NaN to the positive quiet
    one."""
    x = np.asarray(x, np.float32)
    with np.errstate(all="ignore"):  # NaN may be among the values.
        rounded = np.where(np.abs(x) < SMALLEST, np.float32(0), x).astype(ml_dtypes.bfloat16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded.view(np.uint16)).view(ml_dtypes.bfloat16)


def add_blocks(total: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """total [.., M, N] + a [.., M, K] x b [.., K, N]; float32, a and b of bfloat16 values. Of every BLOCK of K (the
    last padded with zeros): the even products, one after the other from +0, the odd ones likewise, and their sum is
    added to the total. Every sum is rounded, no product is: it has 16 bits."""
    for start in range(0, a.shape[-1], BLOCK):
        end = min(start + BLOCK, a.shape[-1])
        halves: list[np.ndarray] = []
        for first in (start, start + 1):
            half = np.zeros_like(total)
            for k in range(first, end, 2):
                half += a[..., :, k, None] * b[..., None, k, :]
            halves.append(half)
        total = total + (halves[0] + halves[1])
    return total
