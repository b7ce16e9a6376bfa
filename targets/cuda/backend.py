"""The backend of NVIDIA GPUs, whose kernels are CUDA C++ and launched through the driver."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..kinds.backend import Backend, Emulation
from ..seams import JsonObject

if TYPE_CHECKING:
    import tvm

    from ..measure.cuda import CudaDevice
    from ..shaped.session import ShapedSession
    from ..spec import TargetSpec
    from ..variant import Variant
    from .emulator import EmulatedCudaSession
    from .running.peak import DevicePeak
    from .running.session import CudaSession

_FEATURE = "cuda_"  # The features of CUDA targets begin with this.


class CudaBackend(Backend):
    """Fat binaries that the driver loads; launches are captured in a graph."""

    kind = "cuda"
    library_member, source_member = "kernels.fatbin", "kernels.cu"
    package_format = 1
    launches, refusable, per_device = True, True, True
    exports = portable = host = shapes = watches = codes = bfloat16 = estimates = False
    # Candidates are machine code and load in milliseconds, so a child that is quiet for long has failed.
    repeats, quiet_seconds = 4, 20

    def tvm_target(self, spec: "TargetSpec") -> "tvm.target.Target":
        import tvm

        return tvm.target.Target({"kind": "cuda", "arch": spec.mcpu})

    def check_compiler(self, spec: "TargetSpec") -> None:
        from .compiling.compiler import find_compiler

        find_compiler(spec.extra["code"])

    def features(self, asked: frozenset[str]) -> frozenset[str]:
        """The driver is asked only where a feature is a GPU's."""
        from .running import driver

        return (
            asked & driver.device_features() if any(feature.startswith(_FEATURE) for feature in asked) else frozenset()
        )

    def lack(self, features: Iterable[str]) -> str:
        from .running import driver

        return driver.state()

    def stands_in(self, features: Iterable[str]) -> str:
        found = _device()
        return f"its {found.name} is sm_{found.arch}" if found is not None else "there is no CUDA device or no driver"

    def stored(self, source: str) -> bytes:
        return source.encode()

    def restored(self, member: bytes) -> str:
        return member.decode()

    def described(self, variant: "Variant") -> dict[str, object]:
        """What a manifest says of a variant for a GPU. driver: the least versions that load it, for whoever chooses a
        machine; a session reads them from the library itself."""
        from dataclasses import asdict

        from .running.needs import needs_of

        needs = needs_of(variant.library)
        return {"kind": self.kind, "launches": [asdict(launch) for launch in variant.launches]} | (
            {"driver": asdict(needs)} if needs is not None else {}
        )

    def open(
        self,
        variant: "Variant",
        threads: int | None,
        reuse_outputs: bool,
        streams: int | None,
        pin: bool,
        beside: object,
    ) -> "CudaSession":
        from ..errors import OctetError
        from .running.session import CudaSession

        if streams not in (None, 1):
            raise OctetError(f"streams is {streams}: {variant.target} runs one inference at a time; leave it out")
        return CudaSession(variant, threads, reuse_outputs)

    def session_device(self, session: "ShapedSession") -> dict[str, str]:
        return {"device": _device().name}

    def peak(self, spec: "TargetSpec", session: object) -> "DevicePeak":
        from .running.peak import peak_of

        return peak_of(_device())

    def emulations(self, variant: "Variant") -> list[Emulation]:
        return [Emulation("thread by thread", _thread_by_thread, ordered=True)]

    def device_name(self) -> str:
        return _device().name

    def measured_here(self, about: JsonObject) -> bool:
        from .running.device_identity import device_identity, may_be_one_device

        return may_be_one_device(
            device_identity(about.get("name", ""), about.get("multiprocessors")), _device().identity
        )

    def measuring_device(self, threads: int) -> "CudaDevice":
        from ..measure.cuda import CudaDevice

        return CudaDevice()


def _device() -> Any:
    from .running.driver import device

    return device()


def _thread_by_thread(variants: "Sequence[Variant]") -> "list[EmulatedCudaSession]":
    from .emulator import EmulatedCudaSession

    return list(map(EmulatedCudaSession, variants))
