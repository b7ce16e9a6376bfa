"""The x86 targets: levels of vector and matrix units, each with everything that LLVM may use for its processor name."""

from ..spec import TargetSpec
from .isa import UNITS

_V3 = frozenset({"avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"})
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
_VNNI = _V4 | {"avx512_vnni"}
_SAPPHIRE_RAPIDS = _VNNI | {
    "avx512ifma",
    "avx512vbmi",
    "avx512_vbmi2",
    "avx512_bitalg",
    "avx512_vpopcntdq",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "gfni",
}


def _spec(
    name: str,
    mcpu: str,
    features: frozenset[str],
    dot: str,
    rank: int,
    mattr: tuple[str, ...] = (),
    native: bool = True,
) -> TargetSpec:
    unit = UNITS[dot]
    return TargetSpec(
        name,
        mcpu,
        features,
        dot,
        unit.bits,
        rank,
        mattr=mattr,
        native=native,
        tiles=unit.tiles,
        bfloat16=unit.tiles or unit.bf16_pairs,
    )


SPECS = (
    _spec("amx", "sapphirerapids", _SAPPHIRE_RAPIDS | {"amx_tile", "amx_int8"}, "amx", 20),
    # The int8 kernels of avx512bf16 are those of avx512vnni, of which there are more records and machines.
    _spec("avx512bf16", "cooperlake", _VNNI | {"avx512_bf16"}, "vnni_bf16", 12, native=False),
    _spec("avx512vnni", "cascadelake", _VNNI, "vnni", 10),
    _spec("avxvnni", "x86-64-v3", _V3 | {"avx_vnni"}, "vnni256", 6, ("+avxvnni",)),
    _spec("x86-64-v4", "x86-64-v4", _V4, "madd", 4),
    _spec("x86-64-v3", "x86-64-v3", _V3, "madd256", 2),
)
