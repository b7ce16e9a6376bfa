"""What CUDA's lowering rules see and make: tensors in their layouts, launches, and the context that holds them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax

from ....targets.cuda.kernel import CudaKernel
from ....targets.cuda.kernels import movement
from ....targets.cuda.layout import GRANULE, CudaLayout, Strided, packed, plain
from ....targets.seams import JsonObject
from ....targets.spec import TargetSpec
from ....targets.tuned import Records, Tuned, words
from ....targets.variant import Step

if TYPE_CHECKING:
    from ....targets.cuda.generated.nest import NestWorkload
    from ....targets.cuda.kernels.conv_schedule import Depthwise, Direct, Rows, Tile
    from ....targets.cuda.workload import CudaWorkload


@dataclass(frozen=True, eq=False)
class CudaTensor:
    """A buffer of the program: an input ("input", its number), a constant, or something that launches write. `layout`
    may differ between views of one storage."""

    layout: Any  # Most tensors have a CudaLayout; a kernel that reads a part of one sees it Strided.
    storage: "Storage"


@dataclass(eq=False)
class Storage:
    """A piece of memory that launches read or write.

    kind: "input" (number), "constant" (array), "buffer", or "state": memory that is zero between launches, for all
    kernels that want some.
    "part": what lies `number` bytes behind the beginning of another buffer, `whole`."""

    kind: str
    number: int = 0
    array: np.ndarray | None = None
    bytes: int = 0
    whole: "Storage | None" = None

    @property
    def root(self) -> "tuple[Storage, int]":
        """(the storage that it lies in, bytes from its beginning)."""
        return (self, 0) if self.whole is None else (self.whole, self.number)


@dataclass(frozen=True)
class Call:
    """One launch: operands in the kernel's order, the results last."""

    kernel: CudaKernel
    operands: tuple[Storage, ...]
    step: Step


@dataclass(frozen=True)
class Lowered:
    """Launches in their order, and where the outputs lie."""

    calls: tuple[Call, ...]
    outputs: tuple[Storage, ...]  # Every output is written by a launch, and no two are the same storage.


ANY = ""  # The rule of this key takes every operator that no other rule takes.
Rule = Callable[[relax.Call, "CudaContext"], "CudaTensor | tuple[CudaTensor, ...] | None"]


@dataclass
class CudaContext:
    """What rules see: operands in the layout that they ask for, constants, and a way to emit launches."""

    spec: TargetSpec
    # Maps a variable of the logical graph to its CudaTensor, or a tuple of them.
    values: dict[relax.Var, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    state: Storage = field(default_factory=lambda: Storage("state"))
    tuned: Records | None = None  # Tuned schedules were found by measuring.
    var: relax.Var | None = None  # The layer that is being lowered goes by its variable of the logical graph.
    # Maps a variable of the logical graph to the calls that read it; None stands for the function's result.
    users: dict[relax.Expr | None, list[relax.Call | None]] = field(default_factory=dict)

    @property
    def layer(self) -> str:
        """The name of what is lowered now."""
        return self.var.name if self.var is not None else ""

    _forms: dict[tuple[Any, ...], CudaTensor] = field(default_factory=dict)  # Keys are (storage, layout, layout).

    def constant(self, expr: relax.Expr) -> Any:
        """The array of a constant, or None."""
        return expr.value.numpy() if isinstance(expr, tvm.ir.GenericConst) else None

    def view(self, expr: relax.Expr) -> CudaTensor:
        """The operand in whatever layout it has now, `Strided` in the buffer of another one included."""
        array = self.constant(expr)
        if array is not None:
            return CudaTensor(plain(array.shape, str(array.dtype)), self.array(array))
        return self.values[expr]

    def find(self, expr: relax.Expr) -> CudaTensor:
        """The operand in whatever layout it has now, in a buffer of its own."""
        tensor = self.view(expr)
        return self.formed(tensor, tensor.layout.dense) if isinstance(tensor.layout, Strided) else tensor

    def only_user(self, var: relax.Expr | None) -> relax.Call | None:
        """The call that alone reads a variable of the logical graph."""
        users = self.users.get(var, ())
        return users[0] if len(users) == 1 else None

    def packed(self, expr: relax.Expr) -> CudaTensor:
        """The operand in the layout that kernels want."""
        tensor = self.find(expr)
        return self.formed(tensor, packed(tensor.layout.shape, tensor.layout.dtype))

    def plain(self, expr: relax.Expr) -> CudaTensor:
        """The operand in C order."""
        tensor = self.find(expr)
        return self.formed(tensor, plain(tensor.layout.shape, tensor.layout.dtype))

    def formed(self, tensor: CudaTensor, layout: CudaLayout) -> CudaTensor:
        """The tensor in another layout; a copy is emitted at most once."""
        if tensor.layout == layout:
            return tensor
        if tensor.layout.same_places(layout):
            return CudaTensor(layout, tensor.storage)
        key = (tensor.storage, tensor.layout, layout)
        if key not in self._forms:
            kernel = movement.move(movement.copy(tensor.layout, layout), np.dtype(layout.dtype).itemsize)
            self._forms[key] = self.emit(kernel, [tensor], layout, "reformat")
        return self._forms[key]

    def found(self, workload: "CudaWorkload | NestWorkload") -> Tuned | None:
        """The schedule that was found by measuring, None for the analytical default."""
        return self.tuned(workload) if self.tuned is not None else None

    def array(self, array: np.ndarray) -> Storage:
        """The storage of a constant, whose bytes lie in the package."""
        array = np.ascontiguousarray(array)
        return Storage("constant", array=array, bytes=array.nbytes)

    def storage(self, size: int) -> Storage:
        """A buffer of so many bytes that launches will write."""
        return Storage("buffer", bytes=size)

    def part(self, whole: Storage, start: int, size: int) -> Storage:
        """So many bytes of a buffer, from `start` on."""
        assert whole.kind == "buffer" and start % GRANULE == 0 and start + size <= whole.bytes
        return Storage("part", start, bytes=size, whole=whole)

    def empty(self, layout: "CudaLayout | Strided") -> CudaTensor:
        """A result that launches will write."""
        return CudaTensor(layout, Storage("buffer", bytes=layout.bytes))

    def emit(
        self,
        kernel: CudaKernel,
        operands: Sequence[Any],
        layout: "CudaLayout | Strided",
        operator: str,
        macs: int = 0,
        into: CudaTensor | None = None,
        notes: JsonObject | None = None,
    ) -> CudaTensor:
        """A launch of `kernel` on `operands` (Tensors, or arrays that become constants). into: the result, if other
        launches write it too.
        notes: further fields of the Step: of a kernel that can be tuned, see `notes`; bytes, of one that reads a part
        of an operand."""
        result = into if into is not None else self.empty(layout)
        self.launch(kernel, [*operands, result], operator, macs, notes)
        return result

    def launch(
        self,
        kernel: CudaKernel,
        operands: list[CudaTensor | np.ndarray],
        operator: str,
        macs: int = 0,
        notes: JsonObject | None = None,
    ) -> None:
        """Emits a launch as `emit` does, whose results are among the operands: the last `kernel.results`."""
        storages = [operand.storage if isinstance(operand, CudaTensor) else self.array(operand) for operand in operands]
        results: Any = operands[len(operands) - kernel.results :]
        # An operand that stands for a missing one is given twice.
        moved = sum(storage.bytes for storage in dict.fromkeys(storages))
        if kernel.state:
            self.state.bytes = max(self.state.bytes, kernel.state)
            storages.insert(len(storages) - kernel.results, self.state)
        assert len(storages) == kernel.operands, (kernel.family, len(storages))
        int8 = any(isinstance(operand, CudaTensor) and operand.layout.dtype == "int8" for operand in operands)
        fields: JsonObject = {"bytes": int(moved)} | (notes or {})
        step = Step(
            f"{len(self.calls)}:{kernel.family}",
            operator,
            kernel.family,
            "int8" if int8 else results[0].layout.dtype,
            int(macs),
            layer=self.layer,
            **fields,
        )
        self.calls.append(Call(kernel, tuple(storages), step))


def notes(
    workload: "CudaWorkload | NestWorkload", schedule: "Direct | Tile | Depthwise | Rows | object", tuned: Tuned | None
) -> JsonObject:
    """What a Step says of a kernel that can be tuned."""
    return {
        "schedule": words(schedule),
        "source": tuned.source if tuned is not None else "default",
        "workload": workload.text,
    }
