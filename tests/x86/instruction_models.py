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
        )  # They are below what longdouble holds beside 1.
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
    "x86.avx512.pmaddubs.w.512": lambda a, b: np.clip(
        (a.view(np.uint8).astype(np.int64) * b).reshape(-1, 2).sum(1), -(2**15), 2**15 - 1
    ).astype(np.int16),
    "x86.avx512.pshuf.b.512": by_lanes(lambda table, index: np.where(index < 0, 0, table[index & 15]).astype(np.int8)),
    "x86.avx512.packssdw.512": by_lanes(
        lambda a, b: np.clip(np.concatenate([a, b]), -(2**15), 2**15 - 1).astype(np.int16)
    ),
    "x86.avx512.packuswb.512": by_lanes(
        lambda a, b: np.clip(np.concatenate([a, b]), 0, 255).astype(np.uint8).view(np.int8)
    ),
    "x86.avx512.vpermi2var.qi.512": lambda low, index, high: np.concatenate([low, high])[index & 127],
    "x86.avx512.mask.cvtps2dq.512": to_int,
    "x86.avx512.mask.scalef.ps.512": scaled,
    "x86.avx512.mask.reduce.ps.512": fraction,
}


def _arm_dot(a_type, b_type):
    def model(acc, a, b):
        products = a.view(a_type).astype(np.int64) * b.view(b_type)
        return (acc + products.reshape(4, 4).sum(1)).astype(np.int32)

    return model


def _nearest(value):
    """FCVTNS saturates, and NaN is zero."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.rint(value.astype(np.float64)), nan=0.0).clip(-(2.0**31), 2.0**31 - 1).astype(np.int32)


def _look_up(tables, index, otherwise):
    entries, at = np.concatenate(tables), index.view(np.uint8)
    return np.where(at < entries.size, entries[np.minimum(at, entries.size - 1)], otherwise)


MODELS |= {
    f"aarch64.neon.{name}": model
    for name, model in {
        "sdot.v4i32.v16i8": _arm_dot(np.int8, np.int8),
        "udot.v4i32.v16i8": _arm_dot(np.uint8, np.uint8),
        "usdot.v4i32.v16i8": _arm_dot(np.uint8, np.int8),
        "usmmla.v4i32.v16i8": lambda acc, a, b: (
            acc + (a.view(np.uint8).reshape(2, 8).astype(np.int64) @ b.reshape(2, 8).T).reshape(4)
        ).astype(np.int32),
        "smull.v8i16": lambda a, b: a.astype(np.int16) * b,
        "saddlp.v4i32.v8i16": lambda a: a.astype(np.int32).reshape(4, 2).sum(1, dtype=np.int32),
        "addp.v4i32": lambda a, b: np.concatenate([a, b]).astype(np.int64).reshape(4, 2).sum(1).astype(np.int32),
        "fcvtns.v4i32.v4f32": _nearest,
        "sqxtn.v4i16": lambda a: a.clip(-(1 << 15), (1 << 15) - 1).astype(np.int16),
        "sqxtun.v8i8": lambda a: a.clip(0, 255).astype(np.uint8).view(np.int8),
        "tbl1.v16i8": lambda table, index: _look_up([table], index, np.int8(0)),
        "tbl4.v16i8": lambda a, b, c, d, index: _look_up([a, b, c, d], index, np.int8(0)),
        "tbx4.v16i8": lambda before, a, b, c, d, index: _look_up([a, b, c, d], index, before),
    }.items()
}
