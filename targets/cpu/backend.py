"""The backend of processors: x86 and arm64, whose kernels LLVM compiles into a shared library with a runtime of its
own."""

import platform
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..kinds.backend import Backend, Emulation
from ..seams import JsonObject
from ..standalone.features import machine_of

if TYPE_CHECKING:
    import tvm

    from ..measure.cpu import CpuDevice
    from ..packed import PackedText
    from ..runtime import Session
    from ..spec import TargetSpec
    from ..variant import Variant
    from ..x86.peak import Peak


class CpuBackend(Backend):
    """Shared libraries that this process maps and calls."""

    kind = "cpu"
    library_member, source_member = "kernels.so", "kernels.ll.xz"
    # Since this format kernels have a runtime of their own; those of 1 to 3 were called through TVM's.
    package_format = 4
    launches, refusable, per_device = False, False, False
    exports, portable, host, shapes, watches, codes, bfloat16, estimates = (True,) * 8
    repeats, quiet_seconds = 8, 120

    def tvm_target(self, spec: "TargetSpec") -> "tvm.target.Target":
        import tvm

        # Up to Cascade Lake a branch across 32 bytes is decoded anew every time (Intel's erratum of jump conditional
        # code): how fast an inner loop is depends on where it happens to lie (docs/architecture.md).
        triple = (
            {"cl-opt": ["-x86-branches-within-32B-boundaries"]}
            if spec.machine == "x86_64"
            else {"mtriple": spec.triple}
        )
        return tvm.target.Target(
            {"kind": "llvm", "mcpu": spec.mcpu} | triple | ({"mattr": list(spec.mattr)} if spec.mattr else {})
        )

    def check_compiler(self, spec: "TargetSpec") -> None:
        """LLVM comes with TVM; a linker for another machine is looked for where it is called."""

    def features(self, asked: frozenset[str]) -> frozenset[str]:
        from .. import detect

        return asked & detect.cpu_features()

    def lack(self, features: Iterable[str]) -> str:
        machine, here = machine_of(features), platform.machine()
        return (
            f"this CPU lacks {', '.join(_missing(features))}"
            if machine in (None, here)
            else f"it is for {machine}, this CPU is {here}"
        )

    def stands_in(self, features: Iterable[str]) -> str:
        return f"it lacks {', '.join(_missing(features))}"

    def stored(self, source: "PackedText | str") -> bytes:
        from ..packed import packed_stream

        return packed_stream(source)

    def restored(self, member: bytes) -> "PackedText | str":
        from ..packed import PackedText

        return PackedText(member) if member else ""

    def described(self, variant: "Variant") -> dict[str, object]:
        return {}

    def open(
        self,
        variant: "Variant",
        threads: int | None,
        reuse_outputs: bool,
        streams: int | None,
        pin: bool,
        beside: "Session | None",
    ) -> "Session":
        from ..runtime import Session

        return Session(variant, threads, reuse_outputs, streams, pin, beside)

    def session_device(self, session: "Session") -> dict[str, object]:
        return {}

    def peak(self, spec: "TargetSpec", session: "Session") -> "Peak":
        from ..x86.peak import measure_peak

        return measure_peak(spec, session.threads)

    def emulations(self, variant: "Variant") -> list[Emulation]:
        from ..arm64 import emulator
        from ..registry import TARGETS

        portably = Emulation("its instructions spelled portably", _portably)
        if variant.target not in TARGETS or TARGETS[variant.target].machine != emulator.MACHINE:
            return [portably]
        lacks = emulator.lacking()
        return [
            Emulation(
                "its machine code under QEMU",
                lambda variants: list(map(emulator.EmulatedArm64Session, variants)),
                f"as machine code: {lacks}" if lacks else "",
            ),
            portably,
        ]

    def device_name(self) -> str:
        from .. import detect

        return detect.cpu_name()

    def measured_here(self, about: JsonObject) -> bool:
        return about.get("name") == self.device_name()

    def measuring_device(self, threads: int) -> "CpuDevice":
        from ..measure.cpu import CpuDevice

        return CpuDevice(threads)


def _missing(features: Iterable[str]) -> tuple[str, ...]:
    from .. import detect

    return detect.missing(features)


def _portably(variants: "Sequence[Variant]") -> "list[Session]":
    from ..opening import open_session
    from ..x86.emulation.emulated_variant import emulated_shapes

    return list(map(open_session, emulated_shapes(variants)))
