"""A variant for any x86 CPU -> the same variant for this one. Needs TVM's compiler."""

import tempfile
from dataclasses import replace
from pathlib import Path

from ... import detect
from ...errors import PackageError
from ...spec import TargetSpec
from ...variant import Variant
from .source import for_machine


def library_of(source: str, host: TargetSpec) -> bytes:
    """A shared library of LLVM IR (`source_of`) for machines of target `host`, with what they lack spelled portably."""
    import tvm

    with tempfile.TemporaryDirectory(prefix="octet-") as folder:
        text, library = Path(folder) / "kernels.ll", Path(folder) / "kernels.so"
        text.write_text(for_machine(source, host))
        tvm.runtime.load_module(str(text)).export_library(str(library))
        return library.read_bytes()


def emulated(variant: Variant, host: TargetSpec | None = None) -> Variant:
    """The variant with kernels that run on machines of target `host`, by default this one: the same steps on the same
    memory. Raises PackageError where the
    variant does not hold its kernels as LLVM IR, or as IR that this version cannot read."""
    if not variant.source:
        raise PackageError(
            f"{variant.target}: its kernels are there as machine code only, as an older version wrote them; compile the package again to emulate it"
        )
    host = host or detect.native()
    try:
        library = library_of(str(variant.source), host)
    except (ValueError, RuntimeError) as error:  # an instruction of tomorrow; LLVM's text of another version
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise PackageError(
            f"{variant.target}: its LLVM IR cannot be compiled here ({reason}); emulate it with the version that made it"
        ) from error
    return replace(variant, library=library, features=host.features)
