"""How passes run: `apply` one, or `run_passes` a list of them. That only calls them, unless somebody looks on.

What looks on are `Instruments`: each result verified, the IR in files with its time, a pass to stop behind."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..targets.errors import OctetError
from .listing import listing
from .verify import verify_module

if TYPE_CHECKING:
    import tvm


T = TypeVar("T")

# A step runs as a pass: it takes a module and mostly gives one; the last of a pipeline gives the built network.
Step: TypeAlias = "Callable[[tvm.IRModule], Any]"

_active: ContextVar["Instruments | None"] = ContextVar("instruments", default=None)


@dataclass(frozen=True)
class NamedPass:
    """A function of a module as a pass. note: what tells its uses apart, such as the target."""

    name: str
    function: Callable[[Any], Any]
    note: str = ""

    def __call__(self, module: Any) -> Any:
        """What the function gives for a module: mostly a module, for the last pass the built network."""
        return self.function(module)


class _Stop(Exception):
    """Ends the work behind the pass that was asked for; `watched` catches it."""


@dataclass
class Instruments:
    """What is noted and asked for while passes run.

    ran: (name, note, seconds) of every pass, in order. module: what the last one made. written: its file, None
    without `dump_ir`. reached: whether `stop_after` ran."""

    dump_ir: Path | None
    stop_after: str | None
    verify: bool
    ran: list[tuple[str, str, float]] = field(default_factory=list)
    module: object = None
    written: Path | None = None
    reached: bool = False

    def saw(self, name: str, note: str, module: "tvm.IRModule", seconds: float) -> None:
        """Notes a pass that ran, and writes its module where that was asked for."""
        self.ran.append((name, note, seconds))
        self.module = module
        if self.dump_ir is not None:
            self._write(name, f"{name} ({note})" if note else name, seconds)
        if self.verify:
            verify_module(module, f"pass {len(self.ran)}, {name}")
        if name == self.stop_after:
            self.reached = True
            raise _Stop

    def _write(self, name: str, described: str, seconds: float) -> None:
        try:
            self._listed(name, described, seconds)
        except OSError as error:
            raise OctetError(
                f"{self.dump_ir}: the IR cannot be written: {error.strerror}; name another folder"
            ) from None

    def _listed(self, name: str, described: str, seconds: float) -> None:
        assert self.dump_ir is not None, "asked for"
        number = len(self.ran)
        title = f"{number:03} {described}: {seconds * 1e3:.1f} ms"
        self.dump_ir.mkdir(parents=True, exist_ok=True)
        self.written = self.dump_ir / f"{number:03}-{name}.py"
        self.written.write_text(f"# {title}\n{listing(self.module)}\n")
        with (self.dump_ir / "passes.txt").open("a") as index:
            index.write(f"{title}\n")


@contextmanager
def watched(looking: Instruments) -> Iterator[Instruments]:
    """The passes of this block are seen; it ends behind `stop_after`."""
    token = _active.set(looking)
    try:
        yield looking
    except _Stop:
        pass
    finally:
        _active.reset(token)


@contextmanager
def unwatched() -> Iterator[None]:
    """Passes of this block go unseen: they work on something else than the network that is compiled."""
    token = _active.set(None)
    try:
        yield
    finally:
        _active.reset(token)


def check_stopped() -> None:
    """Raises OctetError where all passes have run, and the one to stop behind was none of them."""
    active = _active.get()
    if active is not None and active.stop_after is not None:
        ran = ", ".join(dict.fromkeys(name for name, _, _ in active.ran))
        raise OctetError(
            f"pass {active.stop_after!r} does not run for this network with these options; stop after one of {ran}"
        )


def pass_name(step: Any) -> str:
    """What a pass is called: the name of its class; of a NamedPass, its own."""
    return step.name if isinstance(step, NamedPass) else type(step).__name__


def apply(step: "Callable[[T], Any]", module: T) -> Any:
    """The result of step(module), a module or a value with the field `module`, as the instruments in force see it."""
    active = _active.get()
    if active is None:
        return step(module)
    started = perf_counter()
    result: Any = step(module)
    seconds = perf_counter() - started
    active.saw(pass_name(step), getattr(step, "note", ""), getattr(result, "module", result), seconds)
    return result


def run_passes(steps: Iterable[Step], module: "tvm.IRModule") -> "tvm.IRModule":
    """The module after all of the passes, in their order."""
    for step in steps:
        module = apply(step, module)
    return module
