"""A variant for any x86 CPU -> the same variant for this one. Needs TVM's compiler."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ... import detect
from ...errors import PackageError
from ...native.interface import interface_of
from ...native.library import EARLIER, earlier
from ...native.link import link
from ...spec import TargetSpec
from ...variant import Variant
from .source import for_machine

if TYPE_CHECKING:
    import tvm


def compiled(source: str, host: TargetSpec) -> "tvm.runtime.Module":
    """TVM's module of LLVM IR (`source_of`) for machines of target `host`, with what they lack spelled portably."""
    import tvm

    with tempfile.TemporaryDirectory(prefix="octet-") as folder:
        text = Path(folder) / "kernels.ll"
        text.write_text(for_machine(source, host))
        return tvm.runtime.load_module(str(text))


def emulated(variant: Variant, host: TargetSpec | None = None) -> Variant:
    """The variant with kernels that run on machines of target `host`, by default this one: the same steps on the same
    memory. Raises PackageError where the variant does not hold its kernels as LLVM IR, or as IR that this version
    cannot read."""
    return emulated_shapes((variant,), host)[0]


def emulated_shapes(variants: Sequence[Variant], host: TargetSpec | None = None) -> tuple[Variant, ...]:
    """Emulates the variants of one target for several shapes, which share one library as they did before."""
    target, source = variants[0].target, str(variants[0].source)
    if not source:
        raise PackageError(
            f"{target}: its kernels are there as machine code only, as an older version wrote them; compile the "
            "package again to emulate it"
        )
    if EARLIER in source:
        raise earlier(target)
    host = host or detect.native()
    try:
        library, _ = link(
            compiled(source, host).write_to_file, [interface_of(variant) for variant in variants], host.machine
        )
    # LLVM's text may be of another version, or call an instruction of tomorrow.
    except (ValueError, RuntimeError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise PackageError(
            f"{target}: its LLVM IR cannot be compiled here ({reason}); emulate it with the version that made it"
        ) from error
    return tuple(replace(one, library=library, features=host.features, shape=i) for i, one in enumerate(variants))
