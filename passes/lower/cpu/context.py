"""What the rules of the CPU are given: values in their layouts, constants, and where their kernels are emitted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax

from ....targets.seams import Attrs, JsonObject
from ....targets.spec import TargetSpec
from ....targets.tuned import Records
from ....targets.x86.checks.coefficients import LayerSum
from ....targets.x86.layout import AS_IS, SLACK, Layout, packed, sure
from ....targets.x86.movement.copy import flip_signs
from ....targets.x86.movement.view_copy import ViewCopyProblem, view_copy
from ....targets.x86.reformat import choose as reformat
from ....targets.x86.view import View, rows_view, view_of
from ...constants import array_of, as_constant
from ...ops import shape_of
from ..linearize import label
from ..memory import ALIGNMENT
from ..watch.counted_clips import Rounded, counted
from ..watch.watch import Watch
from .results import kernel_result
from .value import Value

if TYPE_CHECKING:
    from tvm import tirx


# For a layer's variable, gives the constants that its kernel reads behind the data, from (its weights, its bias).
Packing = dict[str, Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]]


@dataclass
class CpuContext:
    """What rules see: operands in the layout that they ask for, constants, and a way to emit kernels."""

    spec: TargetSpec
    builder: relax.BlockBuilder
    # Maps a variable of the logical graph to its Value, or a tuple of Values.
    values: dict[relax.Var, Any] = field(default_factory=dict)
    # Maps (physical variable, its layout, wanted layout) to a Value.
    _forms: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    # Maps (kernel, its notes) to the module's function.
    _functions: dict[tuple[Any, ...], tvm.ir.GlobalVar] = field(default_factory=dict)
    fallbacks: list[str] = field(default_factory=list)  # Fallbacks are operators that had no rule.
    tuned: Records | None = None  # Tuned schedules were found by measuring.
    parted: set[Any] = field(default_factory=set)  # Parts of these tensors are read where they lie.
    layer: str = ""  # The layer that is being lowered goes by its variable of the logical graph.
    layers: dict[str, int] = field(default_factory=dict)  # Every layer has a number.
    watch: Watch | None = None  # Rules note here what is watched.
    packing: Packing | None = None  # Rules note here how a layer's constants are made of its weights and bias.
    rounded: Rounded | None = None  # Clipped values are counted in these bytes of the layer that is being lowered.

    def label(self) -> str:
        """What the variables of the layer that is being lowered are called."""
        return label(self.layers.setdefault(self.layer, len(self.layers)))

    def constant(self, expr: relax.Expr) -> Any:
        """The array of a constant, or None."""
        return array_of(expr) if isinstance(expr, tvm.ir.GenericConst) else None

    def layout(self, shape: tuple[int, ...], dtype: str) -> Layout | None:
        """The packed layout of a logical tensor, None where there is none (rank above 4, other types)."""
        return packed(shape, dtype)

    def value(self, expr: relax.Expr) -> Value:
        """The tensor in whatever layout it has now; a strided view is written out."""
        value = self.find(expr)
        if not isinstance(value.layout, View):
            return value
        return (
            self.packed(expr)
            if len(value.layout.shape) in (2, 3) and value.layout.dtype in ("int8", "float32")
            else self.plain_of(value)
        )

    def find(self, expr: relax.Expr) -> Value:
        """The tensor where it lies: its layout may be a `View`."""
        if isinstance(expr, tvm.ir.GenericConst):
            return self._constant_value(expr)
        found = self.values[expr]
        assert isinstance(found, Value), f"{expr} is a tuple"
        return found

    def strided(self, expr: relax.Expr) -> Value:
        """The tensor where it lies, as a `View`."""
        value = self.find(expr)
        return Value(value.var, view_of(value.layout))

    def rows(self, expr: relax.Expr) -> Value:
        """The tensor as a `View` of any rank whose last axis is contiguous and padded to whole vectors, with slack
        behind it."""
        value = self.strided(expr)
        view, lies = rows_view(value.layout.shape, value.layout.dtype), view_of(value.layout)
        same = lies.padded >= SLACK and lies.offset == 0 and lies.strides == view.strides
        return value if same else self.formed(value, view)

    def packed(self, expr: relax.Expr) -> Value:
        """The tensor channels-last in a flat buffer."""
        value = self.find(expr)
        return self.formed(
            value, sure(packed(value.layout.shape, "int8" if value.layout.dtype == AS_IS else value.layout.dtype))
        )

    def plain(self, expr: relax.Expr) -> Value:
        """The tensor with its logical shape."""
        return self.plain_of(self.value(expr))

    def plain_of(self, value: Value) -> Value:
        """The value in C order, with its logical shape."""
        return self.formed(value, Layout("plain", value.layout.shape, value.layout.dtype))

    def codes(self, call: relax.Call) -> None:
        """From here on the int8 tensors that `call` reads are stored as codes: an operator of the integer graph takes
        nothing else."""
        for arg in call.args:
            value = self.values.get(arg) if isinstance(arg, relax.Var) else None
            if isinstance(value, Value) and value.layout.dtype == AS_IS:
                self.values[arg] = self.formed(value, Layout("plain", value.layout.shape, "int8"))

    def as_is(self, value: Value) -> Value:
        """The plain tensor as the network's caller and arithmetic on integers take it: int8 without the shift of
        codes."""
        return (
            self.formed(value, Layout("plain", value.layout.shape, AS_IS))
            if value.layout.dtype == "int8"
            else self.plain_of(value)
        )

    def formed(self, value: Value, layout: Layout | View) -> Value:
        """The tensor in `layout`; each conversion is emitted once."""
        if value.layout == layout:
            return value
        if value.layout.dtype != layout.dtype:
            return self.formed(self._shifted(self.plain_of(value), layout.dtype), layout)
        key = (value.var, value.layout, layout)
        if key not in self._forms:
            if isinstance(value.layout, View) or isinstance(layout, View):
                func = view_copy(ViewCopyProblem(view_of(value.layout), layout))
            else:
                func = reformat.reformat(reformat.ReformatProblem(value.layout, layout))
            self._forms[key] = self.emit(func, [value], layout, "reformat")
        return self._forms[key]

    def _shifted(self, value: Value, dtype: str) -> Value:
        layout = Layout("plain", value.layout.shape, dtype)
        key = (value.var, value.layout, layout)
        if key not in self._forms:
            self._forms[key] = self.emit(flip_signs(value.layout, layout), [value], layout, "reformat")
        return self._forms[key]

    def _constant_value(self, expr: relax.Expr) -> Value:
        value = array_of(expr)
        layout = Layout("plain", value.shape, str(value.dtype))
        if layout.storage != layout.dtype:
            expr = relax.const((value.astype(np.int16) + 128).astype(layout.storage))
        return Value(expr, layout)

    def part(self, value: Value, first: int, layout: Layout) -> Value | None:
        """A tensor that lies inside `value`, from its element `first` on, without a copy; None where a kernel cannot
        read it there."""
        source, start = kernel_result(self.builder, value.var), first * np.dtype(layout.storage).itemsize
        if source is None or start % ALIGNMENT or first + layout.elements > value.layout.elements:
            return None
        self.parted.add(source)
        view = relax.op.memory.view(value.var, layout.physical_shape, layout.storage, start)
        return Value(self.builder.emit(view, self.label()), layout)

    def emit(
        self,
        func: Any,
        operands: Sequence[Any],
        layout: Layout | View,
        operator: str,
        kernel: str = "vector",
        macs: int = 0,
        workspace: tuple[int, str] = (0, "uint8"),
        notes: JsonObject | None = None,
        check: LayerSum | None = None,
    ) -> Value:
        """A call of `func` on `operands` (Values, or arrays that become constants); returns its result, a tensor of
        `layout`.
        macs: multiply-adds. workspace: (elements, storage dtype) of a scratch buffer that `func` takes behind its
        output; 0 elements for none.
        notes: further fields of the kernel's Step. check: of a kernel whose last result are the words of its
        checksum."""
        args = [
            operand.var if isinstance(operand, Value) else as_constant(np.ascontiguousarray(operand))
            for operand in operands
        ]
        moved = layout.elements * np.dtype(layout.storage).itemsize + sum(_bytes(arg) for arg in args)
        dtypes = {layout.dtype, *(operand.layout.dtype for operand in operands if isinstance(operand, Value))}
        dtype = next(
            (narrow for narrow in ("int8", "bfloat16") if narrow in dtypes),
            "int8" if layout.dtype == AS_IS else layout.dtype,
        )
        attrs = {
            "octet.operator": operator,
            "octet.kernel": kernel,
            "octet.dtype": dtype,
            "octet.macs": int(macs),
            "octet.bytes": int(moved),
        }
        attrs |= {f"octet.{key}": value for key, value in (notes or {}).items()}
        var = self._added(func, operator, attrs)
        ends = counted(self.rounded, layout) if self.rounded is not None and self.rounded.operator == operator else None
        if self.watch is not None and ends is not None:
            self.watch.note_ends(var.name_hint, self.layer, ends)
        result = relax.TensorType(layout.physical_shape, layout.storage)
        more = [relax.TensorType([workspace[0]], workspace[1])] if workspace[0] else []
        if check is not None:
            assert self.watch is not None, "only a watched network has kernels with a checksum"
            self.watch.note(var.name_hint, self.layer, check)
            more.append(relax.TensorType([int(func.params[-1].shape[0])], "int32"))
        if not more:
            return Value(self.builder.emit(relax.call_tir(var, args, result), self.label()), layout)
        all_of_them = self.builder.emit(relax.call_tir(var, args, [result, *more]), self.label())
        return Value(self.builder.emit(relax.TupleGetItem(all_of_them, 0)), layout)

    def _added(self, func: "tirx.PrimFunc", operator: str, attrs: Attrs) -> tvm.ir.GlobalVar:
        """The module's function for a kernel with these notes; of the same object (kernel.py: built_once) the same
        one."""
        key = (func, tuple(attrs.items()))
        if key not in self._functions:
            name = str(func.attrs["global_symbol"]) if "global_symbol" in func.attrs else operator.split(".")[-1]
            noted = func.without_attr("global_symbol") if "global_symbol" in func.attrs else func
            for name_, value in attrs.items():
                noted = noted.with_attr(name_, value)
            self._functions[key] = self.builder.add_func(noted, name)
        return self._functions[key]


def _bytes(expr: relax.Expr) -> int:
    return int(np.prod(shape_of(expr))) * np.dtype(str(expr.ty.dtype)).itemsize
