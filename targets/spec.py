"""What a target is: data and capabilities, never a name that a pass compares."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .kinds.backend import Backend
from .kinds.backends import BACKENDS, PROCESSORS
from .seams import JsonObject

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class TargetSpec:
    """What a compiled network is for: a level of a processor or GPU. name: as on the command line. mcpu, mattr: LLVM's
    processor name and features beside its own. features: CPU flags (as /proc/cpuinfo spells them) that the code needs.
    dot: the int8 dot product: "amx" (tdpbusd tiles), "vnni" (vpdpbusd, 512 bit), "vnni_bf16" (with vdpbf16ps),
    "vnni256", "madd" (vpmaddwd, 512 bit), "madd256"; of arm64 "neon" (smull), "dotprod" (sdot) and "i8mm" (usmmla,
    usdot); see `UNITS` in x86/isa.py. vector_bits: width of the vector unit in use. tiles: whether there is a tile
    unit. bfloat16: whether an instruction multiplies bfloat16. rank: of two variants that run on a machine the higher
    rank is taken. kind: of its backend (kinds/backends.py). native: whether `native` may mean it; False where a user
    has to ask for it. machine: of a CPU, as `uname -m` spells it; "" of a GPU. extra: of a GPU, what schedules ask (see
    targets/cuda/specs.py)."""

    name: str
    mcpu: str
    features: frozenset[str]
    dot: str
    vector_bits: int
    rank: int
    cores: int = 0
    kind: str = PROCESSORS
    mattr: tuple[str, ...] = ()
    native: bool = True
    machine: str = "x86_64"
    tiles: bool = False
    bfloat16: bool = False
    extra: JsonObject = field(default_factory=dict, compare=False, hash=False)

    @property
    def backend(self) -> Backend:
        """The backend of the target's kind: what it can do, and who does it."""
        return BACKENDS[self.kind]

    @property
    def triple(self) -> str:
        """The name of the platform, as LLVM and cross compilers know it."""
        return f"{self.machine}-linux-gnu"

    def tvm_target(self) -> "tvm.target.Target":
        """The tvm.target.Target of this spec (imports TVM's compiler)."""
        return self.backend.tvm_target(self)
