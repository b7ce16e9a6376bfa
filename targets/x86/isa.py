"""The vector unit that kernels are being built for: how wide its registers are, how many there are, and how it
multiplies int8.

Kernels are written for vectors of 16 lanes (512 bits); LLVM splits their arithmetic where registers are narrower. What
LLVM cannot split are instructions that are called by name: `intrinsics.py` asks `current()` how to spell those.
Schedules ask it how many sums fit into registers."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple


class InstructionLatency(NamedTuple):
    """How long an instruction that multiplies and adds takes. cycles: until the next one may add to its sum. starts: of
    it in a cycle."""

    cycles: int
    starts: int

    @property
    def chains(self) -> int:
        """Sums that must be in flight for it to start whenever it can."""
        return self.cycles * self.starts


@dataclass(frozen=True)
class Isa:
    """The vector unit that kernels are written for. bits: of a register. registers: how many. vnni: whether `dot4`
    takes four u8 * s8 products from bytes as they are (VPDPBUSD, NEON); otherwise pairs of int16 are multiplied
    (VPMADDWD; `conv/listed.py`: VPMADDUBSW where it is exact). vbmi: whether bytes are looked up in a table of 256 in
    registers. bf16_pairs: whether the vector unit multiplies pairs of bfloat16 (VDPBF16PS) and no tile unit does.
    tiles: whether there is one (AMX), for int8 and bfloat16. neon: whether it is arm64's
    (`targets/arm64/instructions.py`). dotprod, mixed: whether that has SDOT and UDOT, and u8 * s8 (USDOT, USMMLA). dot,
    fma: latencies of what multiplies int8 and float32. operands: registers that multiplying int8 takes beside sums and
    the data of pixels. rows_written_out: of a convolution's kernel; with more the code would not fit the instruction
    cache, and a step of 128-bit registers has four times the instructions of one of 512."""

    bits: int
    registers: int
    vnni: bool
    vbmi: bool = False
    bf16_pairs: bool = False
    neon: bool = False
    dotprod: bool = False
    mixed: bool = False
    tiles: bool = False
    dot: InstructionLatency = InstructionLatency(5, 2)
    fma: InstructionLatency = InstructionLatency(5, 2)
    operands: int = 4
    rows_written_out: int = 5

    @property
    def lanes(self) -> int:
        """int32 or float32 lanes of a register."""
        return self.bits // 32

    @property
    def parts(self) -> int:
        """Registers that a vector of 16 int32 or float32 lanes takes."""
        return 512 // self.bits

    def accumulators(self, dtype: str) -> int:
        """Vectors of 16 sums that fit into registers beside the operands of a multiplication."""
        operands = self.operands if dtype == "int8" else 4
        # On arm64 the data of every pixel are in a register, for four steps.
        return (self.registers - operands) // (self.parts + self.neon)

    def latency(self, dtype: str) -> InstructionLatency:
        """The latency of the instruction that multiplies that dtype."""
        return self.dot if dtype == "int8" else self.fma

    def paired_pixels(self, vectors: int) -> int:
        """Pixels of a tile where a register holds sums of two pixels by two channels: beside those of a pair of pixels
        are 16 channels of both, their halves as pairs, one of which takes the place of what was loaded, and two
        weights."""
        return 2 * ((self.registers - 2) // (2 * self.parts * vectors + 3))

    @property
    def signed(self) -> bool:
        """Whether dot products take s8 * s8: kernels then multiply the stored bytes minus 128."""
        return self.neon and not self.mixed


# Units are told by the name that `TargetSpec.dot` gives. Latencies of arm64 are those of a processor that brought the
# instructions, from Arm's software optimization guides. Neoverse V1 (PJDOC-466751330-9685) and V2
# (PJDOC-466751330-593177) take 3 cycles for USDOT, SDOT and USMMLA, 1 to the next sum, on four pipes; FMLA takes 4
# cycles, 2 to the next sum. On Neoverse N1 (PJDOC-466751330-9707), as LLVM's model of it counts, SDOT takes 2 cycles
# and FMLA 4, on two pipes. On Cortex-A72 (UAN0016) sums wait three cycles for an ADD, of which no more than one starts
# beside the five other instructions of a product; FMLA takes 4 cycles to the next sum, on two pipes. Its products of 16
# bits are in registers, too.
UNITS = {
    "amx": Isa(512, 32, True, vbmi=True, tiles=True),
    "vnni_bf16": Isa(512, 32, True, bf16_pairs=True),
    "vnni": Isa(512, 32, True),
    "vnni256": Isa(256, 16, True),
    "madd": Isa(512, 32, False),
    "madd256": Isa(256, 16, False),
    "neon": Isa(
        128,
        32,
        True,
        vbmi=True,
        neon=True,
        dot=InstructionLatency(3, 1),
        fma=InstructionLatency(4, 2),
        operands=20,
        rows_written_out=1,
    ),
    "dotprod": Isa(
        128,
        32,
        True,
        vbmi=True,
        neon=True,
        dotprod=True,
        dot=InstructionLatency(2, 2),
        fma=InstructionLatency(4, 2),
        rows_written_out=1,
    ),
    "i8mm": Isa(
        128,
        32,
        True,
        vbmi=True,
        neon=True,
        dotprod=True,
        mixed=True,
        dot=InstructionLatency(1, 4),
        fma=InstructionLatency(2, 4),
        rows_written_out=1,
    ),
}
_current: ContextVar[Isa] = ContextVar("isa")


def current() -> Isa:
    """The vector unit of the innermost `building_for`. Raises LookupError outside of any: which instructions a kernel
    may use is never assumed."""
    return _current.get()


@contextmanager
def building_for(dot: str) -> Iterator[Isa]:
    """Kernels built inside are for the vector unit that `TargetSpec.dot` names."""
    token = _current.set(UNITS[dot])
    try:
        yield UNITS[dot]
    finally:
        _current.reset(token)
