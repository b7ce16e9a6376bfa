"""CPU flags, as /proc/cpuinfo spells them, as the bits by which a program asks for them: of the instruction cpuid on
x86 (Intel's and AMD's manuals, "CPUID"), of the auxiliary vector on arm64 (Documentation/arch/arm64/elf_hwcaps.rst of
Linux)."""

from collections.abc import Iterable

_EAX, _EBX, _ECX, _EDX = range(4)
# XCR0 has these bits for registers that the system keeps when it changes between threads.
_YMM, _ZMM, _TILES = 0x6, 0xE6, 0x60000

# CPUID tells a flag by leaf, sub-leaf, register and bit; the last number is the state that the system must keep.
CPUID = {
    "fma": (1, 0, _ECX, 12, _YMM), "movbe": (1, 0, _ECX, 22, 0), "avx": (1, 0, _ECX, 28, _YMM),
    "f16c": (1, 0, _ECX, 29, _YMM), "bmi1": (7, 0, _EBX, 3, 0), "avx2": (7, 0, _EBX, 5, _YMM),
    "bmi2": (7, 0, _EBX, 8, 0), "avx512f": (7, 0, _EBX, 16, _ZMM), "avx512dq": (7, 0, _EBX, 17, _ZMM),
    "avx512ifma": (7, 0, _EBX, 21, _ZMM), "avx512cd": (7, 0, _EBX, 28, _ZMM), "avx512bw": (7, 0, _EBX, 30, _ZMM),
    "avx512vl": (7, 0, _EBX, 31, _ZMM), "avx512vbmi": (7, 0, _ECX, 1, _ZMM), "avx512_vbmi2": (7, 0, _ECX, 6, _ZMM),
    "gfni": (7, 0, _ECX, 8, 0), "avx512_vnni": (7, 0, _ECX, 11, _ZMM), "avx512_bitalg": (7, 0, _ECX, 12, _ZMM),
    "avx512_vpopcntdq": (7, 0, _ECX, 14, _ZMM), "amx_bf16": (7, 0, _EDX, 22, _TILES),
    "avx512_fp16": (7, 0, _EDX, 23, _ZMM), "amx_tile": (7, 0, _EDX, 24, _TILES), "amx_int8": (7, 0, _EDX, 25, _TILES),
    "avx_vnni": (7, 1, _EAX, 4, _YMM), "avx512_bf16": (7, 1, _EAX, 5, _ZMM), "abm": (0x80000001, 0, _ECX, 5, 0),
}  # The table is ordered by leaf and register.  # fmt: skip

_HWCAP, _HWCAP2 = 16, 26  # Linux's auxiliary vector has these entries.
AUXILIARY = {"asimd": (_HWCAP, 0, 0, 1, 0), "asimddp": (_HWCAP, 0, 0, 20, 0), "i8mm": (_HWCAP2, 0, 0, 13, 0)}

_ASKED = {"x86_64": CPUID, "aarch64": AUXILIARY}


def machine_of(features: Iterable[str]) -> str | None:
    """The machine whose flags these are; None where there is none that libraries are made for."""
    return next((machine for machine, known in _ASKED.items() if frozenset(features) <= known.keys()), None)


def feature_table(features: Iterable[str]) -> str:
    """The constants FEATURES and FEATURES_COUNT in C, as `cpu.h` takes them."""
    known = CPUID | AUXILIARY
    entries = [f"{{{', '.join(map(str, known[feature]))}}}" for feature in sorted(features)]
    listed = (
        ", ".join(f"{entry} /* {feature} */" for entry, feature in zip(entries, sorted(features))) or "{0, 0, 0, 0, 0}"
    )
    return f"static const octet_feature FEATURES[] = {{{listed}}};\nenum {{ FEATURES_COUNT = {len(entries)} }};"
