"""What this machine is: its CPU features, its cores, and the targets that run on it."""

import ctypes
import functools
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

from .cuda.running.device_identity import on_device
from .errors import TargetError
from .kinds.backends import BACKENDS
from .registry import TARGETS, find
from .spec import TargetSpec
from .standalone.features import AUXILIARY

CPU_VARIABLE = "OCTET_CPU"  # The variable names the level of a lesser CPU that this machine is taken for.
_CPUINFO = Path("/proc/cpuinfo")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
# On x86-64 Linux a process asks by arch_prctl, once, before it touches the 8 KiB of AMX tile state
# (Documentation/arch/x86/xstate.rst).
_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18


def _fields(text: str) -> list[dict[str, str]]:
    """/proc/cpuinfo as one dictionary per logical processor."""
    blocks = (block.splitlines() for block in text.strip().split("\n\n"))
    return [
        {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block)} for block in blocks
    ]


def flags_of(cpuinfo: str) -> frozenset[str]:
    """The CPU flags of the first processor in the text of /proc/cpuinfo, which arm64 calls features."""
    first = _fields(cpuinfo)[0]
    return frozenset(first.get("flags", first.get("Features", "")).split())


@functools.cache
def request_amx() -> bool:
    """Asks the kernel once per process for the AMX tile state; False where the kernel or a sandbox refuses. Covers all
    threads of the process."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA) == 0


@functools.cache
def cpu_features() -> frozenset[str]:
    """The flags of this CPU as /proc/cpuinfo spells them, without amx_* where the kernel does not let us use the tiles;
    of a lesser CPU, those that its level needs, where OCTET_CPU names one. Raises TargetError for an unknown level and
    one that this CPU does not reach."""
    level = os.environ.get(CPU_VARIABLE)
    return _lesser(level, own_features()) if level else own_features()


def _lesser(level: str, flags: frozenset[str]) -> frozenset[str]:
    levels = [spec for spec in TARGETS.values() if spec.machine == platform.machine()]
    known = {spec.name: spec.features for spec in levels}
    here = ", ".join(spec.name for spec in levels if not spec.features - flags) or "none here"
    if level not in known:
        raise TargetError(f"{CPU_VARIABLE}={level}: unknown; take a level of this CPU: {here}")
    if known[level] - flags:
        raise TargetError(
            f"{CPU_VARIABLE}={level}: this CPU lacks {', '.join(sorted(known[level] - flags))}; take one of: {here}"
        )
    return known[level]


def auxiliary_flags(getauxval: Callable[[int], int]) -> frozenset[str]:
    """The flags of arm64 that targets need, by what the system tells this very process (getauxval of C): /proc/cpuinfo
    is the machine's beneath an emulator."""
    return frozenset(flag for flag, (entry, _, _, bit, _) in AUXILIARY.items() if getauxval(entry) >> bit & 1)


def own_features() -> frozenset[str]:
    """The flags that this CPU has, whatever OCTET_CPU takes it for."""
    if platform.machine() == "aarch64" and platform.system() == "Linux":
        getauxval = ctypes.CDLL(None).getauxval
        getauxval.restype, getauxval.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
        return auxiliary_flags(getauxval)
    if not _CPUINFO.exists():
        return frozenset()
    flags = flags_of(_CPUINFO.read_text())
    if "amx_tile" in flags and not request_amx():
        flags = frozenset(flag for flag in flags if not flag.startswith("amx_"))
    return flags


@functools.cache
def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    if not _CPUINFO.exists():
        return platform.processor() or platform.machine()
    return _fields(_CPUINFO.read_text())[0].get("model name", platform.machine())


@functools.cache
def cores() -> int:
    """Physical cores that this process may use: its affinity mask, a container's CPU quota and hyper-threads taken into
    account."""
    allowed = os.sched_getaffinity(0)
    processors = _fields(_CPUINFO.read_text()) if _CPUINFO.exists() else []
    mine = [p for p in processors if int(p.get("processor", -1)) in allowed and "core id" in p]
    physical = len({(p.get("physical id"), p["core id"]) for p in mine}) or len(allowed)
    return max(1, min(physical, _quota()))


def _quota() -> int:
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # Without cgroup v2, or where it says "max", there is no limit.
        return os.cpu_count() or 1


def beside(number: int, threads: int) -> list[int]:
    """The process's processors for the threads beside the caller's, of the stream of that number."""
    allowed = sorted(os.sched_getaffinity(0))
    return [allowed[(number * threads + i) % len(allowed)] for i in range(1, threads)]


def missing(features: Iterable[str]) -> tuple[str, ...]:
    """The features that this machine lacks, sorted."""
    features = frozenset(features)
    return tuple(sorted(features.difference(*(backend.features(features) for backend in BACKENDS.values()))))


def runnable() -> tuple[TargetSpec, ...]:
    """The targets that run here, best first."""
    return tuple(sorted((spec for spec in TARGETS.values() if not missing(spec.features)), key=lambda spec: -spec.rank))


def native() -> TargetSpec:
    """The best CPU target that runs here. Raises TargetError where none does."""
    best = [spec for spec in runnable() if spec.native]
    if not best:
        least = min(
            (spec for spec in TARGETS.values() if spec.backend.host),
            key=lambda spec: (spec.machine != platform.machine(), spec.rank),
        )
        raise TargetError(
            f"target native: this CPU ({cpu_name()}) lacks {', '.join(missing(least.features))}; name a target with "
            "--target and run the package elsewhere"
        )
    return best[0]


def resolve(name: str) -> TargetSpec:
    """A name of the command line, "native" and NAME@DEVICE (a GPU whose tuning records apply) included, as a
    TargetSpec. Raises TargetError for a target that this machine cannot compile for."""
    name, _, device = name.partition("@")
    spec = native() if name == "native" else find(name)
    if device and not spec.backend.per_device:
        raise TargetError(f"target {name}@{device}: only CUDA targets have records per device; leave out @{device}")
    spec.backend.check_compiler(spec)
    return on_device(spec, device) if device else spec
