"""The arm64 targets: levels of the vector unit's int8 dot products.

Every 64-bit Arm processor has the first (Cortex-A53, A72); SDOT and UDOT came with Cortex-A75/A55 and Neoverse N1,
USDOT and the products of matrices with Neoverse V1, N2 and Apple's M2."""

from ..spec import TargetSpec
from ..x86.isa import UNITS

_NEON = frozenset({"asimd"})
_DOTPROD = _NEON | {"asimddp"}


def _spec(name: str, features: frozenset[str], dot: str, rank: int, mattr: tuple[str, ...]) -> TargetSpec:
    return TargetSpec(f"arm64-{name}", "generic", features, dot, UNITS[dot].bits, rank, machine="aarch64", mattr=mattr)


SPECS = (
    _spec("i8mm", _DOTPROD | {"i8mm"}, "i8mm", 6, ("+neon", "+dotprod", "+i8mm")),
    _spec("dotprod", _DOTPROD, "dotprod", 4, ("+neon", "+dotprod")),
    _spec("neon", _NEON, "neon", 2, ("+neon",)),
)
