"""What a portable spelling is: an LLVM function with the operands, the result and the meaning of one of LLVM's x86
intrinsics."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """An instruction spelled in portable LLVM IR. name: LLVM's, without "llvm.". features: sets of CPU flags, any of
    which brings the instruction. definition: LLVM IR that defines `@octet.<name>` from what every x86-64-v3 machine
    has. uses: what the definition needs at module level: globals and declarations, one a line."""

    name: str
    features: tuple[frozenset[str], ...]
    definition: str
    uses: tuple[str, ...] = ()

    @property
    def symbol(self) -> str:
        """The symbol of the function that stands for the instruction in a module without the instruction."""
        return f"octet.{self.name}"

    def runs_with(self, features: frozenset[str]) -> bool:
        """Whether a CPU with these flags has the instruction."""
        return any(needed <= features for needed in self.features)


def indices(values: list[int] | Iterator[int] | range) -> str:
    """The mask of a shufflevector with these indices, as LLVM writes it."""
    return "<" + ", ".join(f"i32 {value}" for value in values) + ">"


def dot4(acc: str, unsigned_bytes: str, signed_bytes: str, result: str, lanes: int) -> str:
    """Lines that compute %result[i] = %acc[i] + sum over j < 4 of u8[4i + j] * s8[4i + j], wrapping in int32; all
    operands are vectors of i32."""
    vector, lines, total = f"<{lanes} x i32>", [], acc
    for byte in range(4):
        name = f"{result}.{byte}"
        following = result if byte == 3 else f"{name}.sum"
        lines += [
            f"  %{name}.u.low = lshr {vector} %{unsigned_bytes}, splat (i32 {8 * byte})",
            f"  %{name}.u = and {vector} %{name}.u.low, splat (i32 255)",
            f"  %{name}.s.high = shl {vector} %{signed_bytes}, splat (i32 {24 - 8 * byte})",
            f"  %{name}.s = ashr {vector} %{name}.s.high, splat (i32 24)",
            f"  %{name}.product = mul {vector} %{name}.u, %{name}.s",
            f"  %{following} = add {vector} %{total}, %{name}.product",
        ]
        total = following
    return "\n".join(lines)
