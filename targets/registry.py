"""The table of targets, and the names that the command line knows but has no kernels for."""

from .arm64.specs import SPECS as ARM64
from .cuda.specs import SPECS as CUDA
from .errors import TargetError
from .spec import TargetSpec
from .x86.specs import SPECS as X86

TARGETS = {spec.name: spec for spec in (*X86, *ARM64, *CUDA)}
# Users of other tools will try these names: they get a line of their own instead of "unknown".
WITHOUT_KERNELS = ("x86-64-v2", "cuda-sm70")


def find(name: str) -> TargetSpec:
    """The target of that name ("native" is `detect.native()`). Raises TargetError for a name without kernels."""
    if name in TARGETS:
        return TARGETS[name]
    known = ", ".join(("native", *TARGETS))
    if name in WITHOUT_KERNELS or name.startswith("cuda-"):
        raise TargetError(f"target {name}: this version has no int8 kernels for it; take one of: {known}")
    raise TargetError(f"target {name}: unknown; take one of: {known}")
