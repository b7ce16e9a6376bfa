"""Lower for CUDA: logical operators -> launches of kernels on buffers.

    y = octet.conv2d(x, w, ...)    ==>    launch conv_mma(x', packed w, bias, multiplier, .., y'),  x', y' in the layouts of targets/cuda/layout.py

Runs after `Realize` and `FuseFloat`. One walk over `main`; a rule per operator (tables `RULES` of the rules_*.py files) emits launches; an operator
without a rule becomes kernels generated from its TIR (fallback.py). What cannot be generated either is an error that names it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tvm
from tvm import relax

from ....targets.cuda.generated.cxx import Unsupported
from ....targets.cuda.kernel import Kernel
from ....targets.cuda.kernels import movement
from ....targets.cuda.layout import Layout, Strided, packed, plain
from ....targets.errors import TargetError
from ....targets.spec import TargetSpec
from ....targets.variant import Step
from ....targets.x86.workload import Records, Tuned, words
from ..walk import lowered


@dataclass(frozen=True, eq=False)
class Tensor:
    """A buffer of the program: an input ("input", its number), a constant, or something that launches write. `layout` may differ between views of one storage."""

    layout: Layout
    storage: "Storage"


@dataclass(eq=False)
class Storage:
    """kind: "input" (number), "constant" (array), "buffer", or "state": memory that is zero between launches, for all kernels that want some."""

    kind: str
    number: int = 0
    array: np.ndarray | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Call:
    """One launch: operands in the kernel's order, the results last."""

    kernel: Kernel
    operands: tuple[Storage, ...]
    step: Step


@dataclass(frozen=True)
class Lowered:
    calls: tuple[Call, ...]
    outputs: tuple[Storage, ...]  # each written by a launch, no two the same


ANY = ""  # the key of what takes every operator that no rule takes
Rule = Callable[[relax.Call, "Context"], "Tensor | tuple | None"]


@dataclass
class Context:
    """What rules see: operands in the layout that they ask for, constants, and a way to emit launches."""

    spec: TargetSpec
    values: dict = field(default_factory=dict)  # variable of the logical graph -> Tensor, or tuple of Tensors
    calls: list = field(default_factory=list)
    state: Storage = field(default_factory=lambda: Storage("state"))
    tuned: Records | None = None  # schedules that were found by measuring
    var: relax.Var | None = None  # of the logical graph, that is being lowered
    users: dict = field(default_factory=dict)  # variable of the logical graph -> the calls that read it, None for the function's result

    @property
    def layer(self) -> str:
        return self.var.name if self.var is not None else ""

    _forms: dict = field(default_factory=dict)  # (storage, layout, layout) -> Tensor

    def constant(self, expr) -> np.ndarray | None:
        """The array of a constant, or None."""
        return expr.value.numpy() if isinstance(expr, tvm.ir.GenericConst) else None

    def view(self, expr) -> Tensor:
        """The operand in whatever layout it has now, `Strided` in the buffer of another one included."""
        array = self.constant(expr)
        if array is not None:
            return Tensor(plain(array.shape, str(array.dtype)), self.array(array))
        return self.values[expr]

    def find(self, expr) -> Tensor:
        """The operand in whatever layout it has now, in a buffer of its own."""
        tensor = self.view(expr)
        return self.formed(tensor, tensor.layout.dense) if isinstance(tensor.layout, Strided) else tensor

    def only_user(self, var) -> relax.Call | None:
        """The call that alone reads a variable of the logical graph."""
        users = self.users.get(var, ())
        return users[0] if len(users) == 1 else None

    def packed(self, expr) -> Tensor:
        """The operand in the layout that kernels want."""
        tensor = self.find(expr)
        return self.formed(tensor, packed(tensor.layout.shape, tensor.layout.dtype))

    def plain(self, expr) -> Tensor:
        tensor = self.find(expr)
        return self.formed(tensor, plain(tensor.layout.shape, tensor.layout.dtype))

    def formed(self, tensor: Tensor, layout: Layout) -> Tensor:
        """The tensor in another layout; a copy is emitted at most once."""
        if tensor.layout == layout:
            return tensor
        if tensor.layout.same_places(layout):
            return Tensor(layout, tensor.storage)
        key = (tensor.storage, tensor.layout, layout)
        if key not in self._forms:
            kernel = movement.move(movement.copy(tensor.layout, layout), np.dtype(layout.dtype).itemsize)
            self._forms[key] = self.emit(kernel, [tensor], layout, "reformat")
        return self._forms[key]

    def found(self, workload) -> Tuned | None:
        """The schedule that was found by measuring, None for the analytical default."""
        return self.tuned(workload) if self.tuned is not None else None

    def array(self, array: np.ndarray) -> Storage:
        array = np.ascontiguousarray(array)
        return Storage("constant", array=array, bytes=array.nbytes)

    def storage(self, size: int) -> Storage:
        """A buffer of so many bytes that launches will write."""
        return Storage("buffer", bytes=size)

    def empty(self, layout: Layout) -> Tensor:
        """A result that launches will write."""
        return Tensor(layout, Storage("buffer", bytes=layout.bytes))

    def emit(self, kernel: Kernel, operands, layout: Layout, operator: str, macs: int = 0, into: Tensor | None = None, notes=None) -> Tensor:
        """A launch of `kernel` on `operands` (Tensors, or arrays that become constants). into: the result, if other launches write it too.
        notes: further fields of the Step: of a kernel that can be tuned, see `notes`; bytes, of one that reads a part of an operand."""
        result = into if into is not None else self.empty(layout)
        self.launch(kernel, [*operands, result], operator, macs, notes)
        return result

    def launch(self, kernel: Kernel, operands, operator: str, macs: int = 0, notes: dict | None = None) -> None:
        """As `emit`, with the results among the operands: the last `kernel.results`."""
        storages = [operand.storage if isinstance(operand, Tensor) else self.array(operand) for operand in operands]
        results = operands[len(operands) - kernel.results :]
        moved = sum(storage.bytes for storage in dict.fromkeys(storages))  # an operand that stands for a missing one is given twice
        if kernel.state:
            self.state.bytes = max(self.state.bytes, kernel.state)
            storages.insert(len(storages) - kernel.results, self.state)
        assert len(storages) == kernel.operands, (kernel.family, len(storages))
        int8 = any(isinstance(operand, Tensor) and operand.layout.dtype == "int8" for operand in operands)
        step = Step(f"{len(self.calls)}:{kernel.family}", operator, kernel.family, "int8" if int8 else results[0].layout.dtype, int(macs), layer=self.layer, **({"bytes": int(moved)} | (notes or {})))
        self.calls.append(Call(kernel, tuple(storages), step))


def notes(workload, schedule, found: Tuned | None) -> dict:
    """What a Step says of a kernel that can be tuned."""
    return {"schedule": words(schedule), "source": found.source if found is not None else "default", "workload": workload.text}


def lower(mod: tvm.IRModule, spec: TargetSpec, rules: dict[str, list[Rule]], tuned: Records | None = None) -> Lowered:
    """The launches of `main`. tuned: schedules found by measuring. Raises TargetError for an operator without a kernel."""
    from .fused import chains_of

    main = mod["main"]
    chains, inner = chains_of(main)
    context = Context(spec, tuned=tuned, users=_users(main))
    for i, param in enumerate(main.params):
        layout = plain(_shape(param), str(param.ty.dtype))
        context.values[param] = Tensor(layout, Storage("input", i, bytes=layout.bytes))
    for block in main.body.blocks:
        for binding in block.bindings:
            context.var = binding.var
            if binding.var in chains:
                context.values[binding.var] = chains[binding.var](context)
            elif binding.var not in inner:
                context.values[binding.var] = _lowered(binding.value, context, rules)
    context.var = None
    fields = main.body.body.fields if isinstance(main.body.body, relax.Tuple) else [main.body.body]
    results = [tensor for expr in fields for tensor in _flat(context.values[expr] if isinstance(expr, relax.Var) else context.find(expr))]
    outputs = []
    for tensor in results:
        outputs.append(_output(tensor, outputs, context).storage)
    return Lowered(tuple(context.calls), tuple(outputs))


def _users(main):
    found: dict = {}

    def note(expr, user):
        for part in expr.fields if isinstance(expr, relax.Tuple) else [expr]:
            if isinstance(part, relax.Var):
                found.setdefault(part, []).append(user)

    for block in main.body.blocks:
        for binding in block.bindings:
            for part in binding.value.args if isinstance(binding.value, relax.Call) else [binding.value]:
                note(part, binding.value if isinstance(binding.value, relax.Call) else None)
    note(main.body.body, None)
    return found


def _flat(value):
    return list(value) if isinstance(value, tuple) else [value]


def _output(tensor, before, context):
    """The tensor in plain layout, in a buffer of its own."""
    found = context.formed(tensor, plain(tensor.layout.shape, tensor.layout.dtype))
    if found.storage.kind == "buffer" and found.storage not in before:
        return found
    return context.emit(movement.move(movement.copy(found.layout, found.layout), np.dtype(found.layout.dtype).itemsize), [found], found.layout, "copy")


def _shape(expr):
    return tuple(int(extent) for extent in expr.ty.shape.values)


def _lowered(expr, context, rules):
    try:
        return lowered(expr, context, rules, lambda call: rules[ANY][0](call, context))
    except Unsupported as error:
        types = ", ".join(f"{arg.ty.dtype}{list(_shape(arg))}" for arg in expr.args if isinstance(getattr(arg, "ty", None), relax.TensorType))
        raise TargetError(f"target {context.spec.name}: {expr.op.name} ({context.layer}; {types}) has no CUDA kernel: {error}; leave this target out, or do that step outside of the network") from error
