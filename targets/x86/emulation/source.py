"""LLVM IR of a variant's kernels, as a package carries it, and the same IR for this machine:

    call @llvm.x86.tdpbusd(...)   ->   call @octet.x86.tdpbusd(...), which is defined beside it

for every instruction that the machine lacks. All else in the IR is LLVM's own language, which it translates for any
CPU."""

import json
import re
from collections.abc import Iterable

from ...arm64.portable import ARM64
from ...spec import TargetSpec
from .floats import FLOATS, without_bfloat
from .instruction import Instruction
from .integers import INTEGERS
from .tiles import TILES

INSTRUCTIONS: dict[str, Instruction] = {one.name: one for one in (*INTEGERS, *FLOATS, *TILES, *ARM64)}
# Every x86-64-v3 machine has these.
BASE = frozenset(
    {
        "x86.avx.cvt.ps2dq.256",
        "x86.avx2.packssdw",
        "x86.avx2.packuswb",
        "x86.avx2.pmadd.wd",
        "x86.avx2.pmadd.ub.sw",
        "x86.avx2.pshuf.b",
    }
)

# Debug information and what may alias go: with addresses of the compiler's objects as names, the same kernels would
# never be the same text.
_REFERENCE = re.compile(r",? ![a-z._]+ !\d+")
_RECORD = re.compile(r"^(?:!\d+ = |!llvm\.dbg|!llvm\.module\.flags| *#dbg_).*\n", re.MULTILINE)
# LLVM writes both lines for the processor that it compiles for.
_MACHINE = re.compile(r"^target (?:datalayout|triple) = .*\n", re.MULTILINE)
_CALLED = re.compile(r"@llvm\.((?:x86|aarch64)\.[a-z0-9._]+)")
_CPU = re.compile(r' "(?:target-cpu|target-features|tune-cpu)"(?:="[^"]*")?')
_ATTRIBUTES = re.compile(r"^(attributes #\d+ = \{)(.*)\}$", re.MULTILINE)


def source_of(text: str) -> str:
    """What `inspect_source("ll")` of a module gives, without anything that is not needed to compile it again."""
    return _RECORD.sub("", _REFERENCE.sub("", text))


def for_machine(source: str, host: TargetSpec) -> str:
    """The IR with what machines of target `host` lack spelled portably. Raises ValueError for an instruction that has
    no such spelling."""
    called = sorted(set(_CALLED.findall(source)) - BASE)
    unknown = [name for name in called if name not in INSTRUCTIONS]
    if unknown:
        raise ValueError(f"no portable spelling of {', '.join(unknown)}")
    absent = [INSTRUCTIONS[name] for name in called if not INSTRUCTIONS[name].runs_with(host.features)]
    for one in absent:
        source = re.sub(rf"^declare .*@llvm\.{re.escape(one.name)}\(.*\n", "", source, flags=re.MULTILINE)
        source = re.sub(rf"@llvm\.{re.escape(one.name)}\(", f"@{one.symbol}(", source)
    if not host.features >= {"avx512_bf16"}:
        source = without_bfloat(source)
    source = _ATTRIBUTES.sub(lambda found: f"{found[1]}{_CPU.sub('', found[2])}{_host_attributes(host)} }}", source)
    return _MACHINE.sub("", source) + portable_spellings(absent, source, host) + _metadata(host)


def portable_spellings(instructions: Iterable[Instruction], beside: str, host: TargetSpec) -> str:
    """Definitions of the instructions and of what they use, but for declarations that the text `beside` has."""
    uses = list(dict.fromkeys(use for one in instructions for use in one.uses))
    have = set(re.findall(r"^declare .*?(@llvm\.[\w.]+)\(", beside, re.MULTILINE))
    missing = [
        use for use in uses if not (use.startswith("declare") and set(re.findall(r"@llvm\.[\w.]+", use)[:1]) & have)
    ]
    text = "\n".join([*missing, *(one.definition for one in instructions)])
    return (
        re.sub(r"^(define .*?) (\w+ nounwind) \{$", rf"\1 \2{_host_attributes(host)} {{", text, flags=re.MULTILINE)
        + "\n"
    )


def _host_attributes(host: TargetSpec) -> str:
    features = f' "target-features"="{",".join(host.mattr)}"' if host.mattr else ""
    return f' "target-cpu"="{host.mcpu}"{features}'


def _metadata(host: TargetSpec) -> str:
    """What TVM reads of a module to know its target."""
    target = {"kind": "llvm", "mtriple": host.triple, "mcpu": host.mcpu} | (
        {"mattr": list(host.mattr)} if host.mattr else {}
    )
    escaped = json.dumps(target, separators=(",", ":")).replace('"', r"\22")
    return f'\n!llvm.module.flags = !{{!0}}\n!0 = !{{i32 2, !"tvm_target", !"{escaped}"}}\n'
