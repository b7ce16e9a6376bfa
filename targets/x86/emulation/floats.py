"""Portable spellings of the instructions on vectors of floats.

Source: Intel SDM vol. 2 (VSCALEFPS, VREDUCEPS, VDPBF16PS). VDPBF16PS rounds to nearest even whatever MXCSR says,
takes denormal operands for zero and makes
denormal results zero; its two sums follow each other."""

import re

from .instruction import Instruction
from .integers import AVX512

_TRAP = "declare void @llvm.trap()"
_FLOOR = "declare <16 x float> @llvm.floor.v16f32(<16 x float>)"

# The product with a power of two is exact in float64, whose exponent holds every float32 times 2**+-400, so the
# conversion back is the only rounding. An infinite exponent multiplies by infinity or zero: NaN where the manual says
# so. It makes +infinity or +0 of a quiet NaN.
_VSCALEFPS = Instruction(
    "x86.avx512.mask.scalef.ps.512",
    AVX512,
    """
define internal <16 x float> @octet.x86.avx512.mask.scalef.ps.512(<16 x float> %x, <16 x float> %n, <16 x float> %other, i16 %mask, i32 %rounding) noinline nounwind {
  %nearest = icmp eq i32 %rounding, 4
  br i1 %nearest, label %known, label %unknown
unknown:
  call void @llvm.trap()
  unreachable
known:
  %whole = call <16 x float> @llvm.floor.v16f32(<16 x float> %n)
  %is.low = fcmp olt <16 x float> %whole, splat (float -400.0)
  %above = select <16 x i1> %is.low, <16 x float> splat (float -400.0), <16 x float> %whole
  %is.high = fcmp ogt <16 x float> %above, splat (float 400.0)
  %clamped = select <16 x i1> %is.high, <16 x float> splat (float 400.0), <16 x float> %above
  %unknown.n = fcmp uno <16 x float> %n, %n
  %number = select <16 x i1> %unknown.n, <16 x float> zeroinitializer, <16 x float> %clamped
  %power = fptosi <16 x float> %number to <16 x i64>
  %biased = add <16 x i64> %power, splat (i64 1023)
  %bits = shl <16 x i64> %biased, splat (i64 52)
  %finite = bitcast <16 x i64> %bits to <16 x double>
  %grows = fcmp oeq <16 x float> %n, splat (float 0x7FF0000000000000)
  %factor.up = select <16 x i1> %grows, <16 x double> splat (double 0x7FF0000000000000), <16 x double> %finite
  %shrinks = fcmp oeq <16 x float> %n, splat (float 0xFFF0000000000000)
  %factor = select <16 x i1> %shrinks, <16 x double> zeroinitializer, <16 x double> %factor.up
  %wide = fpext <16 x float> %x to <16 x double>
  %product = fmul <16 x double> %wide, %factor
  %narrow = fptrunc <16 x double> %product to <16 x float>
  %x.bits = bitcast <16 x float> %x to <16 x i32>
  %quiet.bit = and <16 x i32> %x.bits, splat (i32 4194304)
  %is.quiet = icmp ne <16 x i32> %quiet.bit, zeroinitializer
  %x.unknown = fcmp uno <16 x float> %x, %x
  %quiet = and <16 x i1> %x.unknown, %is.quiet
  %infinite.n = or <16 x i1> %grows, %shrinks
  %absorbed = and <16 x i1> %quiet, %infinite.n
  %end = select <16 x i1> %grows, <16 x float> splat (float 0x7FF0000000000000), <16 x float> zeroinitializer
  %known.n = select <16 x i1> %absorbed, <16 x float> %end, <16 x float> %narrow
  %all = select <16 x i1> %unknown.n, <16 x float> %n, <16 x float> %known.n
  %lanes = bitcast i16 %mask to <16 x i1>
  %result = select <16 x i1> %lanes, <16 x float> %all, <16 x float> %other
  ret <16 x float> %result
}""",
    (_TRAP, _FLOOR),
)

# Only control 9 is spelled, t - floor(t): the difference is rounded downwards as well, so that it stays below 1, and a
# zero is -0 (+0 of an infinity). Rounded to nearest it has an error that float32 holds (Dekker's fast sum); where that
# is negative the number below is the result.
_VREDUCEPS = Instruction(
    "x86.avx512.mask.reduce.ps.512",
    (frozenset({"avx512dq"}),),
    """
define internal <16 x float> @octet.x86.avx512.mask.reduce.ps.512(<16 x float> %t, i32 %control, <16 x float> %other, i16 %mask, i32 %rounding) noinline nounwind {
  %nearest = icmp eq i32 %rounding, 4
  %downwards = icmp eq i32 %control, 9
  %both = and i1 %nearest, %downwards
  br i1 %both, label %known, label %unknown
unknown:
  call void @llvm.trap()
  unreachable
known:
  %whole = call <16 x float> @llvm.floor.v16f32(<16 x float> %t)
  %nearest.one = fsub <16 x float> %t, %whole
  %back = fadd <16 x float> %nearest.one, %whole
  %error = fsub <16 x float> %t, %back
  %too.large = fcmp olt <16 x float> %error, zeroinitializer
  %bits = bitcast <16 x float> %nearest.one to <16 x i32>
  %below.bits = add <16 x i32> %bits, splat (i32 -1)
  %below = bitcast <16 x i32> %below.bits to <16 x float>
  %difference = select <16 x i1> %too.large, <16 x float> %below, <16 x float> %nearest.one
  %magnitude = call <16 x float> @llvm.fabs.v16f32(<16 x float> %t)
  %infinite = fcmp oeq <16 x float> %magnitude, splat (float 0x7FF0000000000000)
  %none = fcmp oeq <16 x float> %difference, zeroinitializer
  %finite = select <16 x i1> %none, <16 x float> splat (float -0.0), <16 x float> %difference
  %all = select <16 x i1> %infinite, <16 x float> zeroinitializer, <16 x float> %finite
  %lanes = bitcast i16 %mask to <16 x i1>
  %result = select <16 x i1> %lanes, <16 x float> %all, <16 x float> %other
  ret <16 x float> %result
}""",
    (_TRAP, _FLOOR, "declare <16 x float> @llvm.fabs.v16f32(<16 x float>)"),
)

FMA = "declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)"

# Denormal numbers become zero of the same sign.
FLUSH = """
define internal <16 x float> @octet.flush(<16 x float> %x) alwaysinline nounwind {
  %bits = bitcast <16 x float> %x to <16 x i32>
  %exponent = and <16 x i32> %bits, splat (i32 2139095040)
  %tiny = icmp eq <16 x i32> %exponent, zeroinitializer
  %sign = and <16 x i32> %bits, splat (i32 -2147483648)
  %kept = select <16 x i1> %tiny, <16 x i32> %sign, <16 x i32> %bits
  %result = bitcast <16 x i32> %kept to <16 x float>
  ret <16 x float> %result
}"""

# Each product of the lower or the higher bfloat16 of every 32 bits is added to acc; denormal numbers are zero before
# and after.
MULTIPLY_BF16 = """
define internal <16 x float> @octet.multiply_bf16(<16 x float> %acc, <16 x i32> %a, <16 x i32> %b, i1 %higher) noinline nounwind {
  %a.low = shl <16 x i32> %a, splat (i32 16)
  %b.low = shl <16 x i32> %b, splat (i32 16)
  %a.high = and <16 x i32> %a, splat (i32 -65536)
  %b.high = and <16 x i32> %b, splat (i32 -65536)
  %a.bits = select i1 %higher, <16 x i32> %a.high, <16 x i32> %a.low
  %b.bits = select i1 %higher, <16 x i32> %b.high, <16 x i32> %b.low
  %a.any = bitcast <16 x i32> %a.bits to <16 x float>
  %b.any = bitcast <16 x i32> %b.bits to <16 x float>
  %x = call <16 x float> @octet.flush(<16 x float> %a.any)
  %y = call <16 x float> @octet.flush(<16 x float> %b.any)
  %z = call <16 x float> @octet.flush(<16 x float> %acc)
  %sum = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %y, <16 x float> %z)
  %result = call <16 x float> @octet.flush(<16 x float> %sum)
  ret <16 x float> %result
}"""

# Where a CPU has no bfloat16 LLVM calls library functions for vectors of them: they are integers here
# (`without_bfloat`).
_VDPBF16PS = Instruction(
    "x86.avx512bf16.dpbf16ps.512",
    (frozenset({"avx512_bf16"}),),
    """
define internal <16 x float> @octet.x86.avx512bf16.dpbf16ps.512(<16 x float> %acc, <32 x i16> %data, <32 x i16> %weights) noinline nounwind {
  %a = bitcast <32 x i16> %data to <16 x i32>
  %b = bitcast <32 x i16> %weights to <16 x i32>
  %first = call <16 x float> @octet.multiply_bf16(<16 x float> %acc, <16 x i32> %a, <16 x i32> %b, i1 true)
  %result = call <16 x float> @octet.multiply_bf16(<16 x float> %first, <16 x i32> %a, <16 x i32> %b, i1 false)
  ret <16 x float> %result
}""",
    (FMA, FLUSH, MULTIPLY_BF16),
)


def without_bfloat(text: str) -> str:
    """LLVM IR with the bits of vectors of bfloat16 in their place; the only instruction that multiplies them is the
    one above."""
    return re.sub(r"bfloat 0xR([0-9A-F]{4})", r"i16 u0x\1", text).replace("x bfloat>", "x i16>")


FLOATS = (_VSCALEFPS, _VREDUCEPS, _VDPBF16PS)
