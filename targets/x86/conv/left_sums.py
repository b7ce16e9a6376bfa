"""The left side of a layer's checksum: what a kernel adds up of its own s32 sums (equations:
targets/x86/checks/coefficients.py).

A task has 16 words of its own; the kernel's last argument holds those of all tasks. Every register tile adds its sums
over pixels, multiplied by one odd number per output channel: a wrong bit in any sum changes the total, whichever bit it
is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tvm import tirx

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import argument
from .problem import ConvProblem

if TYPE_CHECKING:
    from .epilogue import Operands, Row

LANES = 16


@dataclass(frozen=True)
class Checked(ConvProblem):
    """A problem whose kernel also takes `coefficients`, s32 in the order of its multipliers and behind its table, and
    `sums`, s32 [tasks * 16], its last argument."""

    checked = True


@dataclass(frozen=True)
class Sums:
    """Where a task adds up: coefficients as `channel` of the epilogue counts them, `at`: the task's first word of
    `out`."""

    coefficients: tirx.Buffer
    out: tirx.Buffer
    at: tirx.Expr

    def add(
        self,
        rows: "Sequence[Row]",
        vectors: int,
        channel: tirx.Expr | int,
        accumulator: Callable[[int, int], tirx.Expr],
    ) -> None:
        """Adds rows x (vectors * 16) sums; those of a row that is not valid count as nothing."""
        total = load_vector(self.out, self.at, LANES)
        for v in range(vectors):
            of_channel = None
            for r, row in enumerate(rows):
                value = accumulator(r, v)
                if row.valid is not None:
                    value = tirx.Select(tirx.Broadcast(row.valid, LANES), value, splat(0, "int32"))
                of_channel = value if of_channel is None else of_channel + value
            total = total + of_channel * load_vector(self.coefficients, channel + v * LANES, LANES)
        store_vector(self.out, self.at, bind(total))


def with_checksum(p: ConvProblem) -> Checked:
    """The problem of a kernel that also computes a checksum of its sums."""
    return Checked(**vars(p))


def coefficients_argument(p: ConvProblem, elements: int) -> tirx.Expr | None:
    """The kernel's argument behind its table; None for a problem that is not checked."""
    return argument("coefficients", elements, "int32") if p.checked else None


def sums_argument(p: ConvProblem, tasks: int) -> tirx.Expr | None:
    """The kernel's last argument, where it leaves its checksum; None without one."""
    return argument("sums", tasks * LANES, "int32") if p.checked else None


def for_task(operands: "Operands", coefficients: Any, sums: Any, task: tirx.Expr) -> "Operands":
    """The operands of a task's epilogues; its words start from zero."""
    if sums is None:
        return operands
    at = bind(task * LANES)
    store_vector(sums, at, splat(0, "int32"))
    return replace(operands, sums=Sums(coefficients, sums, at))
