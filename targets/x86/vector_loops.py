"""Loops of the vector kernels: parallel when there is enough work, and tails without a scalar loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tvm import tirx
from tvm.tirx.script import builder as T

if TYPE_CHECKING:
    from .layout import Layout


# Less traffic than this is done before a second thread has woken up; the second holds where a vector takes a few
# cycles: sums, tables by byte permutations. Both were fitted (docs/architecture.md).
PARALLEL_BYTES = 1 << 16
LIGHT_BYTES = 1 << 18


@dataclass(frozen=True)
class LoopSchedule:
    """The only decision of a simple kernel. parallel: whether the outermost loop is shared out among the cores."""

    parallel: bool


class Traffic(Protocol):
    """A problem that knows its traffic: bytes read and written; and whether it is light: does little with them."""

    @property
    def traffic(self) -> int:
        """Bytes read and written by one run."""

    @property
    def light(self) -> bool:
        """Whether it does little with every vector, so that more of them are needed to be worth a second thread."""


def default_loops(p: Traffic) -> LoopSchedule:
    """The analytical schedule of a kernel whose only decision is this one."""
    return LoopSchedule(p.traffic >= (LIGHT_BYTES if p.light else PARALLEL_BYTES))


def tensors(**layouts: "Layout") -> list[tirx.Buffer]:
    """The arguments of a kernel, all of them: name -> layout. Returns flat buffers (a plain tensor has its logical
    shape outside)."""
    arguments = [T.arg(name, T.Buffer(layout.physical_shape, layout.storage)) for name, layout in layouts.items()]
    return [
        argument
        if len(layout.physical_shape) == 1
        else T.decl_buffer((layout.elements,), layout.storage, data=argument.data)
        for argument, layout in zip(arguments, layouts.values())
    ]


def each(extent: int, how: LoopSchedule | int) -> AbstractContextManager[tirx.Expr]:
    """`for i in range(extent)`, over all cores where the schedule says so, or, for a number of bytes read and written
    by all of it, when they are enough."""
    parallel = how.parallel if isinstance(how, LoopSchedule) else how >= PARALLEL_BYTES
    return T.parallel(0, extent) if extent > 1 and parallel else T.serial(0, extent)


def sweep(elements: int, step: int, how: LoopSchedule | int, body: Callable[[tirx.Expr | int, int], None]) -> None:
    """body(at, count) over [0, elements) in pieces of `step`. Only a sweep shorter than one step sees count < step: the
    last piece of a longer one is moved back to end at the last element, so that its vector is written whole (twice the
    same values where it overlaps)."""
    if elements <= step:
        body(0, elements)
        return
    with each(-(-elements // step), how) as i:
        body(_start(i, elements, step), step)


def steps(elements: int, step: int, body: Callable[[tirx.Expr | int, int], None]) -> None:
    """`sweep` within one task: serial, unrolled when there is one piece."""
    if elements <= step:
        body(0, elements)
        return
    if elements <= 4 * step:
        for i in range(-(-elements // step)):
            body(min(i * step, elements - step), step)
        return
    with T.serial(0, -(-elements // step)) as i:
        body(_start(i, elements, step), step)


def _start(i: tirx.Expr, elements: int, step: int) -> tirx.Expr:
    return i * step if elements % step == 0 else T.Bind(tirx.min(i * step, elements - step))


class Accumulators:
    """`count` vectors of 16 lanes that a loop updates; a local buffer, which LLVM keeps in registers. Indices must be
    constants."""

    def __init__(self, count: int, dtype: str, lanes: int = 16) -> None:
        self.buffer, self.lanes = T.alloc_buffer((count * lanes,), dtype), lanes

    def __getitem__(self, i: int) -> tirx.Expr:
        return self.buffer.vload([i * self.lanes], f"{self.buffer.dtype}x{self.lanes}")

    def __setitem__(self, i: int, value: tirx.Expr) -> None:
        T.add_to_parent(self.buffer.vstore([i * self.lanes], value))


def reuse(value: tirx.Expr, dtype: str = "float32") -> tirx.Expr:
    """`value` by way of a local buffer, so that it is computed once; LLVM makes a register of it. Not `T.Bind`: TVM's
    simplifier follows the definitions of variables into conditions and bounds, and theirs, which takes exponential time
    for long sequences."""
    cell = Accumulators(1, dtype)
    cell[0] = value
    return cell[0]
