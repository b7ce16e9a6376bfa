"""Portable spellings of arm64's instructions, for machines of x86-64-v3 (see `targets/x86/emulation`).

Source: Arm Architecture Reference Manual for A-profile (SDOT, UDOT, USDOT, USMMLA, SMULL, SADDLP, ADDP, FCVTNS, SQXTN,
SQXTUN, TBL, TBX)."""

from ..x86.emulation.instruction import Instruction, indices

_NEON, _DOTPROD, _I8MM = (frozenset({"asimd"}),), (frozenset({"asimddp"}),), (frozenset({"i8mm"}),)


def _instruction(
    name: str, features: tuple[frozenset[str], ...], result: str, arguments: str, body: str, uses: tuple[str, ...] = ()
) -> Instruction:
    name = f"aarch64.neon.{name}"
    return Instruction(
        name, features, f"\ndefine internal {result} @octet.{name}({arguments}) noinline nounwind {{\n{body}\n}}", uses
    )


def _sum(start: str, wide: int, lanes: int, step: int) -> str:
    """Lines that add to %`start` the products %product, of which result i has those from `step` * i on."""
    lines, total = [], start
    for k in range(step):
        lines += [
            f"  %p{k} = shufflevector <{wide} x i32> %product, <{wide} x i32> poison, <{lanes} x i32> "
            f"{indices(step * i + k for i in range(lanes))}",
            f"  %t{k} = add <{lanes} x i32> %{total}, %p{k}",
        ]
        total = f"t{k}"
    return "\n".join([*lines, f"  ret <{lanes} x i32> %{total}"])


_BYTES = "<4 x i32> %acc, <16 x i8> %a, <16 x i8> %b"


def _dot(name: str, features: tuple[frozenset[str], ...], extend_a: str, extend_b: str) -> Instruction:
    body = f"""  %x = {extend_a} <16 x i8> %a to <16 x i32>
  %y = {extend_b} <16 x i8> %b to <16 x i32>
  %product = mul <16 x i32> %x, %y
{_sum("acc", 16, 4, 4)}"""
    return _instruction(f"{name}.v4i32.v16i8", features, "<4 x i32>", _BYTES, body)


def _matrix_product() -> Instruction:
    """Of two pairs of eight bytes: the first of `a` with both of `b`, then the second."""
    first, second = range(8), range(8, 16)
    lefts, rights = indices([*first, *first, *second, *second]), indices([*first, *second] * 2)
    body = f"""  %x = zext <16 x i8> %a to <16 x i32>
  %y = sext <16 x i8> %b to <16 x i32>
  %left = shufflevector <16 x i32> %x, <16 x i32> poison, <32 x i32> {lefts}
  %right = shufflevector <16 x i32> %y, <16 x i32> poison, <32 x i32> {rights}
  %product = mul <32 x i32> %left, %right
{_sum("acc", 32, 4, 8)}"""
    return _instruction("usmmla.v4i32.v16i8", _I8MM, "<4 x i32>", _BYTES, body)


_SMULL = """  %x = sext <8 x i8> %a to <8 x i16>
  %y = sext <8 x i8> %b to <8 x i16>
  %product = mul <8 x i16> %x, %y
  ret <8 x i16> %product"""

_EVEN_ODD = ("<i32 0, i32 2, i32 4, i32 6>", "<i32 1, i32 3, i32 5, i32 7>")

_SADDLP = f"""  %x = sext <8 x i16> %a to <8 x i32>
  %even = shufflevector <8 x i32> %x, <8 x i32> poison, <4 x i32> {_EVEN_ODD[0]}
  %odd = shufflevector <8 x i32> %x, <8 x i32> poison, <4 x i32> {_EVEN_ODD[1]}
  %sum = add <4 x i32> %even, %odd
  ret <4 x i32> %sum"""

_ADDP = f"""  %even = shufflevector <4 x i32> %a, <4 x i32> %b, <4 x i32> {_EVEN_ODD[0]}
  %odd = shufflevector <4 x i32> %a, <4 x i32> %b, <4 x i32> {_EVEN_ODD[1]}
  %sum = add <4 x i32> %even, %odd
  ret <4 x i32> %sum"""

_ROUND = """  %whole = call <4 x float> @llvm.roundeven.v4f32(<4 x float> %a)
  %words = call <4 x i32> @llvm.fptosi.sat.v4i32.v4f32(<4 x float> %whole)
  ret <4 x i32> %words"""


def _narrow(name: str, lanes: int, wide: str, narrow: str, low: int, high: int) -> Instruction:
    vector = f"<{lanes} x {wide}>"
    body = f"""  %above = call {vector} @llvm.smax.v{lanes}{wide}({vector} %a, {vector} splat ({wide} {low}))
  %within = call {vector} @llvm.smin.v{lanes}{wide}({vector} %above, {vector} splat ({wide} {high}))
  %narrow = trunc {vector} %within to <{lanes} x {narrow}>
  ret <{lanes} x {narrow}> %narrow"""
    uses = tuple(f"declare {vector} @llvm.{kind}.v{lanes}{wide}({vector}, {vector})" for kind in ("smax", "smin"))
    return _instruction(name, _NEON, f"<{lanes} x {narrow}>", f"{vector} %a", body, uses)


_PSHUFB = "declare <16 x i8> @llvm.x86.ssse3.pshuf.b.128(<16 x i8>, <16 x i8>)"


def _table(name: str, tables: int, otherwise: str) -> Instruction:
    """A look-up in so many registers; an index behind them gives `otherwise`."""
    lines, found = [], otherwise
    for k in range(tables):
        lines += [
            f"  %at{k} = sub <16 x i8> %index, splat (i8 {16 * k})",
            f"  %inside{k} = icmp ult <16 x i8> %at{k}, splat (i8 16)",
            f"  %entry{k} = call <16 x i8> @llvm.x86.ssse3.pshuf.b.128(<16 x i8> %table{k}, <16 x i8> %at{k})",
            f"  %found{k} = select <16 x i1> %inside{k}, <16 x i8> %entry{k}, <16 x i8> {found}",
        ]
        found = f"%found{k}"
    before = [] if otherwise == "zeroinitializer" else [f"<16 x i8> {otherwise}"]
    arguments = ", ".join([*before, *(f"<16 x i8> %table{k}" for k in range(tables)), "<16 x i8> %index"])
    return _instruction(
        name, _NEON, "<16 x i8>", arguments, "\n".join([*lines, f"  ret <16 x i8> {found}"]), (_PSHUFB,)
    )


ARM64 = (
    _dot("sdot", _DOTPROD, "sext", "sext"),
    _dot("udot", _DOTPROD, "zext", "zext"),
    _dot("usdot", _I8MM, "zext", "sext"),
    _matrix_product(),
    _instruction("smull.v8i16", _NEON, "<8 x i16>", "<8 x i8> %a, <8 x i8> %b", _SMULL),
    _instruction("saddlp.v4i32.v8i16", _NEON, "<4 x i32>", "<8 x i16> %a", _SADDLP),
    _instruction("addp.v4i32", _NEON, "<4 x i32>", "<4 x i32> %a, <4 x i32> %b", _ADDP),
    _instruction(
        "fcvtns.v4i32.v4f32",
        _NEON,
        "<4 x i32>",
        "<4 x float> %a",
        _ROUND,
        (
            "declare <4 x float> @llvm.roundeven.v4f32(<4 x float>)",
            "declare <4 x i32> @llvm.fptosi.sat.v4i32.v4f32(<4 x float>)",
        ),
    ),
    _narrow("sqxtn.v4i16", 4, "i32", "i16", -32768, 32767),
    _narrow("sqxtun.v8i8", 8, "i16", "i8", 0, 255),
    _table("tbl1.v16i8", 1, "zeroinitializer"),
    _table("tbl4.v16i8", 4, "zeroinitializer"),
    _table("tbx4.v16i8", 4, "%otherwise"),
)
