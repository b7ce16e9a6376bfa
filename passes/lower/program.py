"""The lowered module as a straight program: kernel calls on numbered storage, without Relax."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import tvm
import tvm_ffi

from ...targets.native.stream import aligned
from ...targets.variant import Step
from . import memory

if TYPE_CHECKING:
    from tvm import tirx


_ALIGNED = memory.ALIGNMENT // 4
Number = tuple[str, float | int]  # A number that a kernel computes with is (dtype, value).


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: kind "weights" or "arena" (offset in bytes), "input" or "output" (number), "packed" (element
    of the only output), "lane" (offset in the bytes that a thread has for itself, see `Loop`). stride: bytes from a
    loop's chunk to the next; of an input or output only whether there is one."""

    kind: str
    offset: int
    stride: int = 0


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel, with the places of its operands.

    copied: bytes that "memcpy" copies from the second operand to the first. joined: it belongs to the step of the
    call before it. numbers: what the kernel takes behind its operands (`share_kernels`)."""

    function: str
    operands: tuple[Place, ...]
    step: Step
    copied: int = 0
    joined: bool = False
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True)
class Loop:
    """Calls [first, last) of the program are run `chunks` times, each time on the next samples of the batch. Chunks are
    independent of each other, but in order those of a recurrent layer, which are its steps."""

    first: int
    last: int
    chunks: int
    in_order: bool = False


@dataclass(frozen=True)
class Program:
    """What a package runs: kernel calls in order, and the memory that they need.

    weight_bytes: of the blob of all constants. loops: in order, apart from each other. lane_bytes: scratch of each
    thread that takes chunks for itself. words_at: byte of the arena where the words of a watched program begin."""

    calls: tuple[KernelCall, ...]
    weight_bytes: int
    arena_bytes: int
    loops: tuple[Loop, ...] = ()
    lane_bytes: int = 0
    words_at: int = 0

    @property
    def spans(self) -> tuple[tuple[int, int, int], ...]:
        """Its loops as (first call, call behind the last one, chunks), as libraries and variants have them."""
        return tuple((loop.first, loop.last, loop.chunks) for loop in self.loops)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a profile lists; calls that belong to a step before are not."""
        return tuple(call.step for call in self.calls if not call.joined)


class Weights:
    """Constants behind each other, each at a 64-byte boundary, equal ones once (unless `share` is off)."""

    def __init__(self, share: bool = True) -> None:
        self.size, self._share = 0, share
        self.parts: list[tuple[int, np.ndarray]] = []  # A part is (offset, bytes).
        # Maps (bytes, their checksum) to [(the constant, its offset)] of constants that differ.
        self._alike: dict[tuple[int, int], list[tuple[np.ndarray, int]]] = {}

    def place(self, array: np.ndarray) -> Place:
        """Where the constant lies; equal ones lie in one place where constants are shared."""
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        alike = self._alike.setdefault((raw.size, crc32(raw.data)), []) if self._share else []
        start = next((offset for other, offset in alike if np.array_equal(other, raw)), None)
        if start is None:
            start = self.size
            self.parts.append((start, raw))
            alike.append((raw, start))
            # A kernel may read one vector past the end.
            self.size += -(-(raw.size + memory.ALIGNMENT) // memory.ALIGNMENT) * memory.ALIGNMENT
        return Place("weights", start)

    @property
    def blob_bytes(self) -> int:
        """Bytes that all constants take together, at least one cache line."""
        return max(self.size, memory.ALIGNMENT)

    def blob(self) -> np.ndarray:
        """All of them, uint8, on a 64-byte boundary, so that a session reads them where they lie. Each is let go as it
        is copied, so that large weights do not lie in memory twice: nothing can be placed behind it."""
        whole = aligned((self.blob_bytes,), np.uint8, zeros=True)
        self._alike.clear()
        while self.parts:
            start, raw = self.parts.pop()
            whole[start : start + raw.size] = raw
        return whole


def kernels_of(mod: tvm.IRModule) -> tvm.IRModule:
    """The kernels of a lowered module without `main`, which holds its constants."""
    return tvm.IRModule({var: func for var, func in mod.functions_items() if var.name_hint != "main"}, attrs=mod.attrs)


class Kernels:
    """The kernels of several lowered modules, equal ones once. functions: {name: PrimFunc}."""

    def __init__(self) -> None:
        self.functions: dict[str, tvm.tirx.PrimFunc] = {}
        self._known: dict[int, list[str]] = {}

    def added(self, module: tvm.IRModule, calls: Iterable[KernelCall]) -> list[KernelCall]:
        """Takes the kernels of a module in; its calls, by the names that their kernels have here."""
        names = {
            var.name_hint: self._name(var.name_hint, func)
            for var, func in module.functions_items()
            if var.name_hint != "main"
        }
        return [replace(call, function=names.get(call.function, call.function)) for call in calls]

    def _name(self, wanted: str, func: "tirx.PrimFunc") -> str:
        alike = self._known.setdefault(tvm_ffi.structural_hash(func), [])
        for name in alike:
            if tvm_ffi.structural_equal(self.functions[name], func):
                return name
        name = f"{wanted}_{len(self.functions)}"
        self.functions[name] = func
        alike.append(name)
        return name


def pack_outputs(program: Program, elements: list[int]) -> tuple[Program, list[int], int]:
    """(the program with all outputs, float32 of so many elements each, in one; where each begins; elements in all). The
    code that checks an argument of the entry is larger than a small kernel, and calibration has a result per tensor."""
    starts, size = [], 0
    for count in elements:
        starts.append(size)
        size += -(-count // _ALIGNED) * _ALIGNED
    calls = [
        replace(c, operands=tuple(Place("packed", starts[p.offset]) if p.kind == "output" else p for p in c.operands))
        for c in program.calls
    ]
    return replace(program, calls=tuple(calls)), starts, size
