"""What a generated kernel is tuned for: one loop nest as a function of its own, known by its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import tvm
from tvm import s_tir, tirx

from ...seams import JsonObject
from ...workload_key import Keyed
from .nest_text import parsed_function

KIND = "cuda-nest"
# Measuring can make up values of these types alone: an index would have to lie within what it points into.
_OPERANDS = (
    "float32",
    "int8",
    "uint8",
)


@dataclass(frozen=True)
class NestWorkload(Keyed):
    """A loop nest to tune: what its tuning record says. operator: the Relax operator that it came from, for people.
    tir: TVMScript of a function of the buffers that the nest reads, then the one that it writes."""

    operator: str
    tir: str

    @cached_property
    def function(self) -> tirx.PrimFunc:
        """The nest as a PrimFunc."""
        return parsed_function(self.tir)

    @property
    def result(self) -> tuple[tuple[int, ...], str]:
        """(shape, dtype)."""
        return extents_and_dtype(self.function.params[-1])

    @property
    def operands(self) -> list[tuple[tuple[int, ...], str]]:
        """(extents, dtype) of everything that is read."""
        return [extents_and_dtype(buffer) for buffer in list(self.function.params)[:-1]]

    @property
    def name(self) -> str:
        """The workload's name for people."""
        shape, dtype = self.result
        return f"generated {self.operator} {dtype}{list(shape)}"

    def as_dict(self) -> JsonObject:
        """JSON values; `from_dict` reads them back."""
        return {"kind": KIND, "operator": self.operator, "tir": self.tir}

    @property
    def multiply_adds(self) -> int:
        """Iterations of the nest."""
        extents, statement = [], self.function.body.block.body
        while isinstance(statement, tirx.For):
            extents.append(int(statement.extent))
            statement = statement.body
        return prod(extents)

    @property
    def dtype(self) -> str:
        """The dtype of the tensor that the nest writes."""
        return self.result[1]


def nest_workload(
    operator: str, statement: tirx.Stmt, reads: Sequence[tirx.Buffer], writes: Sequence[tirx.Buffer]
) -> NestWorkload | None:
    """The workload of a nest that a thread per element can do; None where nobody could measure it: it has several
    results, or operands that are indices."""
    if len(writes) != 1 or any(str(buffer.dtype) not in _OPERANDS for buffer in reads):
        return None
    block = s_tir.SBlock([], [], [], "root", statement)
    function = (
        tirx.PrimFunc([*reads, *writes], s_tir.SBlockRealize([], True, block))
        .with_attr("s_tir", True)
        .with_attr("global_symbol", "main")
    )
    made = NestWorkload(operator, function.script())
    try:
        tvm.ir.assert_structural_equal(made.function, function)
    except (ValueError, RuntimeError):  # For example, a constant may not be told to the bit by its text.
        return None
    return made


def from_dict(entry: JsonObject) -> NestWorkload:
    """The workload that `as_dict` made JSON values of. Raises KeyError, TypeError or ValueError for an entry of another
    structure."""
    made = NestWorkload(str(entry["operator"]), str(entry["tir"]))
    try:
        _ = made.operands, made.multiply_adds  # What cannot be told fails here rather than where it is used.
    except (AttributeError, IndexError, TypeError) as error:
        raise ValueError(f"its nest is no loops over buffers ({error})") from None
    return made


def extents_and_dtype(buffer: tirx.Buffer) -> tuple[tuple[int, ...], str]:
    """(extents, dtype)."""
    return tuple(int(extent) for extent in buffer.shape), str(buffer.dtype)
