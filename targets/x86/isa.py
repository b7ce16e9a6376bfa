"""The vector unit that kernels are being built for: how wide its registers are, how many there are, and how it multiplies int8.

Kernels are written for vectors of 16 lanes (512 bits); LLVM splits their arithmetic where registers are narrower. What LLVM cannot split are
instructions that are called by name: `intrinsics.py` asks `current()` how to spell those. Schedules ask it how many sums fit into registers."""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Isa:
    """bits: of a register. registers: how many. vnni: whether `dot4` takes four u8 * s8 products from bytes as they are (VPDPBUSD, NEON);
    otherwise pairs of int16 are multiplied (VPMADDWD; `conv/listed.py`: VPMADDUBSW where it is exact). vbmi: whether bytes are looked up in a table of 256 in registers.
    bf16_pairs: whether the vector unit multiplies pairs of bfloat16 (VDPBF16PS) and no tile unit does. tiles: whether there is one (AMX), for int8 and bfloat16.
    neon: whether it is arm64's (`targets/arm64/instructions.py`). dotprod, mixed: whether that has SDOT and UDOT, and u8 * s8 (USDOT, USMMLA).
    rows_written_out: of a convolution's kernel; with more the code would not fit the instruction cache, and a step of 128-bit registers has four times the instructions of one of 512."""

    bits: int
    registers: int
    vnni: bool
    vbmi: bool = False
    bf16_pairs: bool = False
    neon: bool = False
    dotprod: bool = False
    mixed: bool = False
    tiles: bool = False
    rows_written_out: int = 5

    @property
    def lanes(self) -> int:
        """int32 or float32 lanes of a register."""
        return self.bits // 32

    @property
    def parts(self) -> int:
        """Registers that a vector of 16 int32 or float32 lanes takes."""
        return 512 // self.bits

    @property
    def accumulators(self) -> int:
        """Vectors of 16 sums that fit into registers beside the operands of a multiplication."""
        if self.neon:  # the data of every pixel are in a register, for four steps; without SDOT products are in some, too
            return (self.registers - (4 if self.dotprod else 12)) // (self.parts + 1)
        return (self.registers - 4) // self.parts

    @property
    def paired_accumulators(self) -> int:
        """The same where a register holds sums of two pixels by two channels, beside eight data of two pixels and weights of two channels."""
        return 2 * (self.registers - 4) // (2 * self.parts + 1)

    @property
    def signed(self) -> bool:
        """Whether dot products take s8 * s8: kernels then multiply the stored bytes minus 128."""
        return self.neon and not self.mixed


# By the name that `TargetSpec.dot` gives.
UNITS = {
    "amx": Isa(512, 32, True, vbmi=True, tiles=True),
    "vnni_bf16": Isa(512, 32, True, bf16_pairs=True),
    "vnni": Isa(512, 32, True),
    "vnni256": Isa(256, 16, True),
    "madd": Isa(512, 32, False),
    "madd256": Isa(256, 16, False),
    "neon": Isa(128, 32, True, vbmi=True, neon=True, rows_written_out=1),
    "dotprod": Isa(128, 32, True, vbmi=True, neon=True, dotprod=True, rows_written_out=1),
    "i8mm": Isa(128, 32, True, vbmi=True, neon=True, dotprod=True, mixed=True, rows_written_out=1),
}
_current = ContextVar("isa")


def current() -> Isa:
    """The vector unit of the innermost `building_for`. Raises LookupError outside of any: which instructions a kernel may use is never assumed."""
    return _current.get()


@contextmanager
def building_for(dot: str):
    """Kernels built inside are for the vector unit that `TargetSpec.dot` names."""
    token = _current.set(UNITS[dot])
    try:
        yield UNITS[dot]
    finally:
        _current.reset(token)
