"""What a target is: data and capabilities, never a name that a pass compares."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TargetSpec:
    """name: as on the command line. mcpu, mattr: LLVM's processor name and features beside its own. features: CPU flags (as /proc/cpuinfo spells them)
    that the code needs. dot: the int8 dot product: "amx" (tdpbusd tiles), "vnni" (vpdpbusd, 512 bit), "vnni_bf16" (with vdpbf16ps), "vnni256", "madd" (vpmaddwd, 512 bit), "madd256"; of arm64
    "neon" (smull), "dotprod" (sdot) and "i8mm" (usdot); see `UNITS` in x86/isa.py.
    vector_bits: width of the vector unit in use.
    rank: of two variants that run on a machine the higher rank is taken. kind: "cpu" or "cuda". native: whether `native` may mean it; False where a user has to ask for it.
    machine: of a CPU, as `uname -m` spells it; "" of a GPU. extra: of a GPU, what schedules ask (see targets/cuda/specs.py)."""

    name: str
    mcpu: str
    features: frozenset[str]
    dot: str
    vector_bits: int
    rank: int
    cores: int = 0
    kind: str = "cpu"
    mattr: tuple[str, ...] = ()
    native: bool = True
    machine: str = "x86_64"
    extra: dict = field(default_factory=dict, compare=False, hash=False)

    @property
    def triple(self) -> str:
        """Of LLVM and of cross compilers."""
        return f"{self.machine}-linux-gnu"

    def tvm_target(self):
        """The tvm.target.Target of this spec (imports TVM's compiler)."""
        import tvm

        if self.kind == "cuda":
            return tvm.target.Target({"kind": "cuda", "arch": self.mcpu})
        # Up to Cascade Lake a branch across 32 bytes is decoded anew every time (Intel's erratum of jump conditional code): inner loops took up to 1.4 of their time by where they happened to lie.
        triple = {"cl-opt": ["-x86-branches-within-32B-boundaries"]} if self.machine == "x86_64" else {"mtriple": self.triple}
        return tvm.target.Target({"kind": "llvm", "mcpu": self.mcpu} | triple | ({"mattr": list(self.mattr)} if self.mattr else {}))
