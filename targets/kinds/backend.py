"""What the rest asks about a kind of target. There is one `Backend` per kind (backends.py); it is asked what it can do
and what it does, and nobody compares its name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..seams import JsonObject

if TYPE_CHECKING:
    import tvm

    from ..spec import TargetSpec
    from ..variant import Variant


@dataclass(frozen=True)
class Emulation:
    """A way to run variants on a machine that lacks what they need. how: in words. lacks: what this machine has not got
    for it, "" where it can.
    sessions(variants of one target, one per shape): what runs each, by `run` as a Session does. ordered: whether
    threads take another order with every run."""

    how: str
    sessions: Callable[[Sequence[Any]], list[Any]]
    lacks: str = ""
    ordered: bool = False


class Backend(ABC):
    """What the rest of Octet asks about a kind of targets. kind: its name in manifests, jobs and records.

    Of variants. library_member, source_member: the files of a package that hold their machine code, and what it was
    made from. package_format: the first that holds them.
    launches: whether each step is a launch that the manifest describes. exports: whether `octet export` makes C
    libraries of them.
    portable: whether a variant can be built again, from its source, for a CPU that lacks its instructions
    (x86/emulation). refusable: whether a driver may refuse a variant whose features are all there.

    Of targets. host: whether they are processors that programs themselves run on, with cores: the float baseline and
    the roofs of a report are of these. shapes: several shapes of inputs in one library. watches: --self-check and
    --count-clips. codes: --io int8. bfloat16: --float bf16. estimates: whether a cost model knows their kernels, so
    that policies may ask for time.
    per_device: whether tuning records are of one device, whose name is part of the target.

    Of measuring. repeats: of a round, the fastest of which counts. quiet_seconds: without a word, after which a child
    process is ended."""

    kind: ClassVar[str]
    library_member: ClassVar[str]
    source_member: ClassVar[str]
    package_format: ClassVar[int]
    launches: ClassVar[bool]
    exports: ClassVar[bool]
    portable: ClassVar[bool]
    refusable: ClassVar[bool]
    host: ClassVar[bool]
    shapes: ClassVar[bool]
    watches: ClassVar[bool]
    codes: ClassVar[bool]
    bfloat16: ClassVar[bool]
    estimates: ClassVar[bool]
    per_device: ClassVar[bool]
    repeats: ClassVar[int]
    quiet_seconds: ClassVar[int]

    @abstractmethod
    def tvm_target(self, spec: "TargetSpec") -> "tvm.target.Target":
        """The tvm.target.Target of a TargetSpec (imports TVM's compiler)."""

    @abstractmethod
    def check_compiler(self, spec: "TargetSpec") -> None:
        """Raises TargetError where this machine has no compiler for a TargetSpec."""

    @abstractmethod
    def features(self, asked: frozenset[str]) -> frozenset[str]:
        """The features among `asked` that this machine has."""

    @abstractmethod
    def lack(self, features: Iterable[str]) -> str:
        """In words, why a variant that needs these features does not run here, in words."""

    @abstractmethod
    def stands_in(self, features: Iterable[str]) -> str:
        """What this machine has in the place of a target with these features, in words: for whoever looks for another
        machine."""

    @abstractmethod
    def stored(self, source: Any) -> bytes:
        """A variant's source as the member of a package."""

    @abstractmethod
    def restored(self, member: bytes) -> Any:
        """The source that `stored` made a member of, and of b"" an empty one."""

    @abstractmethod
    def described(self, variant: "Variant") -> JsonObject:
        """JSON values that a manifest says of a variant beside what it says of all."""

    @abstractmethod
    def open(
        self, variant: "Variant", threads: int | None, reuse_outputs: bool, streams: int | None, pin: bool, beside: Any
    ) -> Any:
        """A session, as `opening.open_session` says."""

    @abstractmethod
    def session_device(self, session: Any) -> JsonObject:
        """{"device": name} where a session runs on a device beside the processor, else {}."""

    @abstractmethod
    def peak(self, spec: "TargetSpec", session: Any) -> Any:
        """What the kernels of a session could reach here, as `x86/roofline.py` takes it."""

    @abstractmethod
    def emulations(self, variant: "Variant") -> list[Emulation]:
        """The ways to run a variant without what it needs, the truest first."""

    @abstractmethod
    def device_name(self) -> str:
        """The name of the device that measures here."""

    @abstractmethod
    def measured_here(self, about: JsonObject) -> bool:
        """Whether what a measurement says about its device is true of this machine's."""

    @abstractmethod
    def measuring_device(self, threads: int) -> Any:
        """What times candidates here (`measure/rounds.py`). threads: most cores of a kernel."""
