"""Rough times of operators from what the vector and matrix units of a target can do: constants of the instruction sets,
and what is fitted to profiles: `KERNEL_SECONDS`, `moved` and `functions` to small networks and a sentence encoder on an
Intel Xeon with AMX, depthwise rates to an EfficientNet-B0 there, `product_float`, of what has no kernel of its own, to
a sentence encoder on a Cascade Lake. They are halved, or nearly, for narrower registers.

For decisions where no machine of the target is at hand: good enough to tell a factor, not a tenth."""

from dataclasses import dataclass

_GHZ = 2.5
_EFFICIENCY = 0.6
KERNEL_SECONDS = 0.3e-6  # A kernel that does nothing takes so long, for the call and its edges.


@dataclass(frozen=True)
class Rates:
    """What one core does per cycle. dense, depthwise: multiply-adds in int8, in float32 and of bfloat16. moved: bytes
    between a kernel and the L2 cache. product_float: multiply-adds of two computed tensors in float32, which no kernel
    of ours has, with the copies that turn and spread their operands. functions: values of a function in float32 (a
    polynomial and a division each; in int8 it is a table)."""

    dense_int8: float
    dense_float: float
    depthwise_int8: float
    depthwise_float: float
    dense_bf16: float
    moved: float = 36.0
    product_float: float = 10.0
    functions: float = 1.2


# VPDPBUSD makes 64 products twice a cycle; without it three or four instructions make 64 (`conv/listed.py`), of which
# two or, at 256 bits, three run in a cycle. TDPBUSD makes 16 * 16 * 64 in 16 cycles, VFMADD231PS 16 twice, VDPBF16PS 32
# once; without that FMAs do it, and their operands are widened. All halve where registers are 256 bits wide. Without
# VNNI a depthwise tap is widened to 16 bits, multiplied and added: more instructions than its one multiply-add in
# float32.
_256 = {"product_float": 7.0, "functions": 0.6}  # These are the rates of 256-bit registers.
_128 = {"moved": 16.0, "product_float": 3.0, "functions": 0.3}
RATES = {
    "amx": Rates(1024, 32, 40, 32, 512),
    "vnni_bf16": Rates(128, 32, 40, 32, 32),
    "vnni": Rates(128, 32, 40, 32, 20),
    "vnni256": Rates(64, 16, 20, 16, 10, **_256),
    "madd": Rates(38, 32, 23, 30, 20),
    "madd256": Rates(28, 16, 17, 22, 10, **_256),
    # The rates of arm64 are assumed, not measured: small server cores have two vector pipes of 128 bits. USMMLA makes
    # 32 products twice a cycle, SDOT 16; SMULL takes six instructions for 16. FMLA makes 4 twice.
    "i8mm": Rates(64, 8, 10, 8, 6, **_128),
    "dotprod": Rates(32, 8, 10, 8, 6, **_128),
    "neon": Rates(5, 8, 3, 8, 6, **_128),
}


def seconds(
    dot: str, dtype: str, macs: int, moved: int, depthwise: bool = False, *, product: bool = False, functions: float = 0
) -> float:
    """One kernel on one core. dot: of the TargetSpec. dtype: "int8", "float32" or "bfloat16". macs: multiply-adds.
    moved: bytes read and written.
    product: of two computed tensors. functions: values of functions that it computes in float32."""
    rates = RATES[dot]
    if depthwise:
        rate = rates.depthwise_int8 if dtype == "int8" else rates.depthwise_float
    elif product and dtype == "float32":
        rate = rates.product_float
    else:
        rate = {"int8": rates.dense_int8, "float32": rates.dense_float, "bfloat16": rates.dense_bf16}[dtype]
    cycles = max(macs / rate, moved / rates.moved, functions / rates.functions) / _EFFICIENCY
    return KERNEL_SECONDS + cycles / _GHZ * 1e-9
