"""What x86 instructions on vectors mean, in NumPy (Intel SDM vol. 2), by LLVM's name."""

import numpy as np


def dot(acc, data, weights):
    products = data.view(np.uint8).astype(np.int64) * weights
    return (acc + products.reshape(-1, 4).sum(1)).astype(np.int32)


def by_lanes(operation):
    """A function of 128-bit lanes on vectors of 512 bits."""
    return lambda a, b: np.concatenate([operation(x, y) for x, y in zip(np.split(a, 4), np.split(b, 4))])


def scaled(x, n, *_):
    with np.errstate(all="ignore"):
        power = np.where(
            np.isinf(n), np.where(n > 0, np.inf, 0.0), np.exp2(np.clip(np.floor(n.astype(np.float64)), -400, 400))
        )
        found = np.where(np.isnan(n), np.float32(np.nan), (x.astype(np.float64) * power).astype(np.float32))
        quiet = np.isnan(x) & (x.view(np.int32) & 0x400000 != 0) & np.isinf(n)
        return np.where(quiet, np.where(n > 0, np.float32(np.inf), np.float32(0)), found)


def fraction(t, *_):
    with np.errstate(all="ignore"):
        found = t - np.floor(t)
        exact = t.astype(np.longdouble) - np.floor(t.astype(np.longdouble))
        found = np.where(exact < found, np.nextafter(found, np.float32(-1)), found)
        found = np.where(
            (t < 0) & (np.abs(t) < 2.0**-25), np.nextafter(np.float32(1), np.float32(0)), found
        )  # below what longdouble holds beside 1
        return np.where(np.isinf(t), np.float32(0), np.where(found == 0, np.float32(-0.0), found))


def to_int(value, *_):
    with np.errstate(all="ignore"):
        rounded = np.rint(value.astype(np.float64))
        return (
            np.where((np.abs(rounded) < 2.0**31) | (rounded == -(2.0**31)), rounded, -(2.0**31))
            .astype(np.int64)
            .astype(np.int32)
        )


MODELS = {
    "x86.avx512.vpdpbusd.512": dot,
    "x86.avx512.vpdpbusd.256": dot,
    "x86.avx512.pmaddw.d.512": lambda a, b: (a.astype(np.int64) * b).reshape(-1, 2).sum(1).astype(np.int32),
    "x86.avx512.pmaddubs.w.512": lambda a, b: np.clip((a.view(np.uint8).astype(np.int64) * b).reshape(-1, 2).sum(1), -(2**15), 2**15 - 1).astype(np.int16),
    "x86.avx512.pshuf.b.512": by_lanes(lambda table, index: np.where(index < 0, 0, table[index & 15]).astype(np.int8)),
    "x86.avx512.packssdw.512": by_lanes(lambda a, b: np.clip(np.concatenate([a, b]), -(2**15), 2**15 - 1).astype(np.int16)),
    "x86.avx512.packuswb.512": by_lanes(lambda a, b: np.clip(np.concatenate([a, b]), 0, 255).astype(np.uint8).view(np.int8)),
    "x86.avx512.vpermi2var.qi.512": lambda low, index, high: np.concatenate([low, high])[index & 127],
    "x86.avx512.mask.cvtps2dq.512": to_int,
    "x86.avx512.mask.scalef.ps.512": scaled,
    "x86.avx512.mask.reduce.ps.512": fraction,
}  # fmt: skip
