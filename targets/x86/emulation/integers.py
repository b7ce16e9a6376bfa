"""Portable spellings of the instructions on vectors of integers, and of the conversions to them.

Source: Intel SDM vol. 2 (VPDPBUSD, VPMADDWD, VPMADDUBSW, VPSHUFB, VPACKSSDW, VPACKUSWB, VPERMI2B, VCVTPS2DQ).
Instructions that work within 128-bit lanes
become two of 256 bits, which every x86-64-v3 machine has."""

from .instruction import Instruction, dot4, indices

AVX512 = (frozenset({"avx512f", "avx512bw"}),)
_VNNI = (frozenset({"avx512_vnni"}),)
_VNNI256 = (frozenset({"avx512_vnni", "avx512vl"}), frozenset({"avx_vnni"}))
_VBMI = (frozenset({"avx512vbmi"}),)


def _vpdpbusd(bits: int, features: tuple[frozenset[str], ...]) -> Instruction:
    lanes = bits // 32
    name = f"x86.avx512.vpdpbusd.{bits}"
    return Instruction(
        name,
        features,
        f"""
define internal <{lanes} x i32> @octet.{name}(<{lanes} x i32> %acc, <{4 * lanes} x i8> %data, <{4 * lanes} x i8> %weights) noinline nounwind {{
  %u = bitcast <{4 * lanes} x i8> %data to <{lanes} x i32>
  %s = bitcast <{4 * lanes} x i8> %weights to <{lanes} x i32>
{dot4("acc", "u", "s", "result", lanes)}
  ret <{lanes} x i32> %result
}}""",
    )


_VPMADDWD = Instruction(
    "x86.avx512.pmaddw.d.512",
    AVX512,
    """
define internal <16 x i32> @octet.x86.avx512.pmaddw.d.512(<32 x i16> %a, <32 x i16> %b) noinline nounwind {
  %x = bitcast <32 x i16> %a to <16 x i32>
  %y = bitcast <32 x i16> %b to <16 x i32>
  %x.up = shl <16 x i32> %x, splat (i32 16)
  %y.up = shl <16 x i32> %y, splat (i32 16)
  %x.low = ashr <16 x i32> %x.up, splat (i32 16)
  %y.low = ashr <16 x i32> %y.up, splat (i32 16)
  %x.high = ashr <16 x i32> %x, splat (i32 16)
  %y.high = ashr <16 x i32> %y, splat (i32 16)
  %low = mul <16 x i32> %x.low, %y.low
  %high = mul <16 x i32> %x.high, %y.high
  %result = add <16 x i32> %low, %high
  ret <16 x i32> %result
}""",
)

_VPMADDUBSW = Instruction(
    "x86.avx512.pmaddubs.w.512",
    AVX512,
    """
define internal <32 x i16> @octet.x86.avx512.pmaddubs.w.512(<64 x i8> %a, <64 x i8> %b) noinline nounwind {
  %x = bitcast <64 x i8> %a to <32 x i16>
  %y = bitcast <64 x i8> %b to <32 x i16>
  %x.low = and <32 x i16> %x, splat (i16 255)
  %x.high = lshr <32 x i16> %x, splat (i16 8)
  %y.up = shl <32 x i16> %y, splat (i16 8)
  %y.low = ashr <32 x i16> %y.up, splat (i16 8)
  %y.high = ashr <32 x i16> %y, splat (i16 8)
  %low = mul <32 x i16> %x.low, %y.low
  %high = mul <32 x i16> %x.high, %y.high
  %result = call <32 x i16> @llvm.sadd.sat.v32i16(<32 x i16> %low, <32 x i16> %high)
  ret <32 x i16> %result
}""",
    ("declare <32 x i16> @llvm.sadd.sat.v32i16(<32 x i16>, <32 x i16>)",),
)


def _by_halves(name: str, half: str, operand: tuple[str, int], result: tuple[str, int]) -> Instruction:
    """A 512-bit instruction by its 256-bit one. operand, result: (element, lanes of 512 bits). The 256-bit instruction
    `half` on both halves of two operands."""
    (kind, lanes), (result_kind, count) = operand, result
    halves = (indices(range(lanes // 2)), indices(range(lanes // 2, lanes)))
    cuts = "\n".join(
        f"  %{x}{i} = shufflevector <{lanes} x {kind}> %{x}, <{lanes} x {kind}> poison, <{lanes // 2} x i32> {mask}"
        for i, mask in enumerate(halves)
        for x in "ab"
    )
    calls = "\n".join(
        f"  %r{i} = call <{count // 2} x {result_kind}> @llvm.{half}(<{lanes // 2} x {kind}> %a{i}, <{lanes // 2} x {kind}> "
        f"%b{i})"
        for i in (0, 1)
    )
    return Instruction(
        name,
        AVX512,
        f"""
define internal <{count} x {result_kind}> @octet.{name}(<{lanes} x {kind}> %a, <{lanes} x {kind}> %b) noinline nounwind {{
{cuts}
{calls}
  %result = shufflevector <{count // 2} x {result_kind}> %r0, <{count // 2} x {result_kind}> %r1, <{count} x i32> {indices(range(count))}
  ret <{count} x {result_kind}> %result
}}""",
        (f"declare <{count // 2} x {result_kind}> @llvm.{half}(<{lanes // 2} x {kind}>, <{lanes // 2} x {kind}>)",),
    )


_VPERMI2B = Instruction(
    "x86.avx512.vpermi2var.qi.512",
    _VBMI,
    """
define internal <64 x i8> @octet.x86.avx512.vpermi2var.qi.512(<64 x i8> %low, <64 x i8> %index, <64 x i8> %high) noinline nounwind {
start:
  %table = alloca [128 x i8], align 64
  %at = alloca [64 x i8], align 64
  %upper = getelementptr i8, ptr %table, i64 64
  %wrapped = and <64 x i8> %index, splat (i8 127)
  store <64 x i8> %low, ptr %table, align 64
  store <64 x i8> %high, ptr %upper, align 64
  store <64 x i8> %wrapped, ptr %at, align 64
  br label %next
next:
  %lane = phi i64 [ 0, %start ], [ %following, %next ]
  %slot = getelementptr i8, ptr %at, i64 %lane
  %which = load i8, ptr %slot
  %offset = zext i8 %which to i64
  %entry = getelementptr i8, ptr %table, i64 %offset
  %byte = load i8, ptr %entry
  store i8 %byte, ptr %slot
  %following = add i64 %lane, 1
  %more = icmp ult i64 %following, 64
  br i1 %more, label %next, label %done
done:
  %result = load <64 x i8>, ptr %at, align 64
  ret <64 x i8> %result
}""",
)

# Values that int32 cannot hold and NaN become -2**31, as the 256-bit instruction makes them too.
_VCVTPS2DQ = Instruction(
    "x86.avx512.mask.cvtps2dq.512",
    AVX512,
    f"""
define internal <16 x i32> @octet.x86.avx512.mask.cvtps2dq.512(<16 x float> %value, <16 x i32> %other, i16 %mask, i32 %rounding) noinline nounwind {{
  %nearest = icmp eq i32 %rounding, 4
  br i1 %nearest, label %known, label %unknown
unknown:
  call void @llvm.trap()
  unreachable
known:
  %v0 = shufflevector <16 x float> %value, <16 x float> poison, <8 x i32> {indices(range(8))}
  %v1 = shufflevector <16 x float> %value, <16 x float> poison, <8 x i32> {indices(range(8, 16))}
  %r0 = call <8 x i32> @llvm.x86.avx.cvt.ps2dq.256(<8 x float> %v0)
  %r1 = call <8 x i32> @llvm.x86.avx.cvt.ps2dq.256(<8 x float> %v1)
  %all = shufflevector <8 x i32> %r0, <8 x i32> %r1, <16 x i32> {indices(range(16))}
  %lanes = bitcast i16 %mask to <16 x i1>
  %result = select <16 x i1> %lanes, <16 x i32> %all, <16 x i32> %other
  ret <16 x i32> %result
}}""",
    ("declare void @llvm.trap()", "declare <8 x i32> @llvm.x86.avx.cvt.ps2dq.256(<8 x float>)"),
)

INTEGERS = (
    _vpdpbusd(512, _VNNI),
    _vpdpbusd(256, _VNNI256),
    _VPMADDWD,
    _VPMADDUBSW,
    _by_halves("x86.avx512.pshuf.b.512", "x86.avx2.pshuf.b", ("i8", 64), ("i8", 64)),
    _by_halves("x86.avx512.packssdw.512", "x86.avx2.packssdw", ("i32", 16), ("i16", 32)),
    _by_halves("x86.avx512.packuswb.512", "x86.avx2.packuswb", ("i16", 32), ("i8", 64)),
    _VPERMI2B,
    _VCVTPS2DQ,
)
