"""The machine instructions that multiply bfloat16 (Intel SDM vol. 2: VDPBF16PS, TDPBF16PS)."""

from contextlib import AbstractContextManager, nullcontext

from tvm import tirx
from tvm.tirx.script import builder as T

from ..cpu.expressions import const, effect
from .isa import current

# TVM has no bfloat16 vectors to call the intrinsic with, so the cast is made in LLVM's own language.
_BF16_FUNCTIONS = """
declare <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float>, <32 x bfloat>, <32 x bfloat>)
define linkonce_odr <16 x float> @octet_dot_bf16(<16 x float> %sums, <16 x i32> %data, <16 x i32> %weights) alwaysinline nounwind {
  %a = bitcast <16 x i32> %data to <32 x bfloat>
  %b = bitcast <16 x i32> %weights to <32 x bfloat>
  %c = call <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float> %sums, <32 x bfloat> %a, <32 x bfloat> %b)
  ret <16 x float> %c
}
"""


def bf16_functions() -> AbstractContextManager[None]:
    """Context in which `dot_bf16` can be emitted; nothing where the vector unit has no such instruction."""
    return T.attr(const(0, "int32"), "pragma_import_llvm", _BF16_FUNCTIONS) if current().bf16_pairs else nullcontext()


def dot_bf16(acc: tirx.Expr, data: tirx.Expr, weights: tirx.Expr) -> tirx.Expr:
    """acc[i] + d[2i + 1] * w[2i + 1] + d[2i] * w[2i], in this order, each sum rounded (VDPBF16PS). acc: float32x16.
    data: uint32x16, weights: uint16x32, bits of bfloat16."""
    return tirx.call_pure_extern(
        "float32x16", "octet_dot_bf16", acc, tirx.reinterpret("int32x16", data), tirx.reinterpret("int32x16", weights)
    )


def tile_dot_bf16(acc: int, data: int, weights: int) -> None:
    """Tile `acc` (float32) += tile `data` (bfloat16 rows) x tile `weights` (two input channels interleaved), in the
    order of passes/ops.py (TDPBF16PS)."""
    effect("llvm.x86.tdpbf16ps", *(const(tile, "int8") for tile in (acc, data, weights)))
