"""MergeAxes: operators that only know rows work on a view of fewer axes where no packed layout fits the tensor.

    f(x [A, B, C, D, E])                            ->  reshape(f(reshape(x, [A*B*C*D, E])), [A, B, C, D, E])
    f(x [A, B, C, D, E], y [1, B, 1, 1, E])         ->  the same over runs of axes that y has, or lacks, as a whole: x
                                                        [A, B, C*D, E], y [1, B, 1, E]
    f(x [A, 1, C, D])                               ->  reshape(f(reshape(x, [A*C, D])), [A, 1, C, D])
    f(x [A, B, 3], y [A, B, 1])                     ->  reshape(f(x [A, B*3], repeat(y) [A, B*3]), [A, B, 3])
    dense(x [A, B, C, K])                           ->  reshape(dense(reshape(x, [A*B*C, K])), [A, B, C, N])

Elementwise operators of rank 0 (in float32), of rank 1 and above 4, and linear layers above rank 3 (a packed tensor of
rank 4 has its channels on axis 1); elementwise operators behind such a layer stay in its form. So do those of images of
one channel in float32 that nothing has packed: packed they would be sixteen times as large (spectra), and so do large
tensors of vectors in space, [.., n, 3], whose rows would be mostly padding. Runs last before
lowering, on float and integer operators; the values do not change by one bit. What still has no layout keeps its shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import tvm
from tvm import relax

from .. import ops
from ..constants import array_of
from ..operators.registry import operators, traits_of
from ..ops import shape_of
from ..rewriting.dataflow_graph import DataflowGraph
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main

_LAYOUT_RANKS = (2, 3, 4)
_FEW = 4  # A float32 row of so few elements or less is padded to sixteen.
_LARGE = 1 << 12  # Fewer such rows stay in a cache, whatever is between them.
_VIEWS = operators(lambda traits: traits.view)


@dataclass(frozen=True)
class MergeAxes:
    """The pass that merges the axes of tensors of many axes where no operator tells them apart. padded: whether kernels
    of the target pad rows to whole vectors."""

    padded: bool = True

    def __call__(self, mod: tvm.IRModule) -> tvm.IRModule:
        """The module whose elementwise operators have as few axes as their operands allow."""
        return replace_main(mod, _Merger(mod["main"], self.padded).run())


class _Merger(Forward):
    def __init__(self, function: relax.Function, padded: bool) -> None:
        super().__init__(function)
        self._padded = padded
        self._graph = DataflowGraph(function)
        self._merged: dict[relax.Var, relax.Expr] = {}  # Maps a new variable to the same tensor with its axes merged.

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        new = self.new(value)
        if self._padded and isinstance(new, relax.Call) and _of_short_rows(new, var):
            return self._with_long_rows(new, var)
        shapes = (
            self._shapes(new, shape_of(var), self._is_flat(value))
            if isinstance(new, relax.Call) and isinstance(var.ty, relax.TensorType)
            else None
        )
        return None if shapes is None else self._reshaped(new, var, shapes)

    def _is_flat(self, value: relax.Expr) -> bool:
        """Whether an elementwise operator reads images of one channel in float32 that no kernel packs."""
        operands = value.args[: traits_of(value.op.name).elementwise]
        made = [self._graph.definition(arg) for arg in operands if isinstance(arg, relax.Var)]
        if not all(isinstance(each, relax.Var) or ops.is_op(each, *_VIEWS) for each in made):
            return False
        return all(
            str(arg.ty.dtype) == "float32" and len(shape_of(arg)) == 4 and shape_of(arg)[1] == 1 for arg in operands
        )

    def _shapes(self, call: relax.Call, result: tuple[int, ...], flat: bool) -> Mapping[int, tuple[int, ...]] | None:
        """The merged shapes of the tensor operands; None where the operator is another one, or its operands have a
        layout as they are. flat: as `_is_flat` says."""
        if ops.is_op(call, "octet.dense"):
            return _dense_shapes(call) if len(result) not in (2, 3) else None
        traits = traits_of(call.op.name)
        if not traits.by_rows or not _per_tensor(call):
            return None
        count = traits.elementwise
        rank = max(len(shape_of(arg)) for arg in call.args[:count])
        if rank == 0:
            return dict.fromkeys(range(count), (1, 1)) if str(call.args[0].ty.dtype) == "float32" else None
        if rank in _LAYOUT_RANKS and not flat and not any(arg in self._merged for arg in call.args[:count]):
            return None
        return _elementwise_shapes([shape_of(arg) for arg in call.args[:count]], rank)

    def _with_long_rows(self, call: relax.Call, var: relax.Var) -> relax.Expr:
        """The call on operands whose last two axes are one; what it repeats along them is written out."""
        _, n, few = shape_of(var)
        shapes = {}
        operands = list(call.args)
        for i, arg in enumerate(call.args[: traits_of(call.op.name).elementwise]):
            rows = ((1, 1, 1) + shape_of(arg))[-3]
            shapes[i] = (rows, n * few)
            if shape_of(arg) == (rows, n, few):
                continue
            if isinstance(arg, tvm.ir.GenericConst):
                operands[i] = relax.const(np.broadcast_to(array_of(arg), (rows, n, few)), str(arg.ty.dtype))
            else:
                operands[i] = self.emit(relax.op.broadcast_to(arg, [rows, n, few]), var.name)
        return self._reshaped(relax.Call(call.op, operands, call.attrs, call.ty_args), var, shapes)

    def _reshaped(self, call: relax.Expr, var: relax.Var, shapes: Mapping[int, tuple[int, ...]]) -> relax.Expr:
        """The call on operands of `shapes` ({position: shape}), and its result in the old shape."""
        operands = [self._as(arg, shapes[i], var) if i in shapes else arg for i, arg in enumerate(call.args)]
        made = self.emit(relax.Call(call.op, operands, call.attrs, call.ty_args), var.name)
        result = self.emit(relax.op.reshape(made, shape_of(var)), var.name)
        self._merged[result] = made
        return result

    def _as(self, operand: relax.Expr, shape: tuple[int, ...], var: relax.Var) -> relax.Expr:
        if isinstance(operand, tvm.ir.GenericConst):
            return relax.const(array_of(operand).reshape(shape), str(operand.ty.dtype))
        if operand in self._merged and shape_of(self._merged[operand]) == shape:
            return self._merged[operand]
        return self.emit(relax.op.reshape(operand, shape), var.name)


def _of_short_rows(call: relax.Call, var: relax.Var) -> bool:
    """Whether an elementwise operator makes a large float32 tensor [A, B, few], whose rows would be padding."""
    if not isinstance(var.ty, relax.TensorType) or not isinstance(call.op, tvm.ir.Op):
        return False
    shape, traits = shape_of(var), traits_of(call.op.name)
    if not traits.by_rows or len(shape) != 3 or shape[2] > _FEW or shape[1] * shape[2] < 16:
        return False
    operands = call.args[: traits.elementwise]
    return shape[0] * shape[1] >= _LARGE and all(str(each.ty.dtype) == "float32" for each in (var, *operands))


def _dense_shapes(call: relax.Call) -> dict[int, tuple[int, int]]:
    tensors = {0: call.args[0]}
    first = 3 if str(call.args[1].ty.dtype) == "float32" else 4  # The residual follows bias and, for int8, multiplier.
    if len(call.args) > first:
        tensors[first] = call.args[first]
    return {i: (prod(shape_of(arg)[:-1]), shape_of(arg)[-1]) for i, arg in tensors.items()}


def _elementwise_shapes(shapes: list[tuple[int, ...]], rank: int) -> Mapping[int, tuple[int, ...]] | None:
    """{operand: shape}: the last axis by itself, and runs of the others along which the same operand, or none, is
    repeated."""
    shapes = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    if len(shapes) == 1:
        return {0: (prod(shapes[0][:-1]), shapes[0][-1])}
    groups: list[tuple[int, ...]] = []
    for sizes in zip(*(shape[:-1] for shape in shapes)):
        if groups and _broadcast(groups[-1]) == _broadcast(sizes):
            groups[-1] = tuple(a * b for a, b in zip(groups[-1], sizes))
        elif sizes != (1, 1):
            groups.append(sizes)
    groups = (groups or [(1, 1)]) + [tuple(shape[-1] for shape in shapes)]
    return {i: tuple(group[i] for group in groups) for i in range(2)} if len(groups) in _LAYOUT_RANKS else None


def _broadcast(sizes: tuple[int, ...]) -> int:
    """Which of the two operands is repeated along an axis: neither, the first or the second."""
    return 0 if sizes[0] == sizes[1] else 1 if sizes[0] == 1 else 2


def _per_tensor(call: relax.Call) -> bool:
    """Whether the operator's parameters do not depend on an axis."""
    if ops.is_op(call, "octet.table"):
        return len(call.args[1].ty.shape.values) == 1
    if ops.is_op(call, "relax.quantize", "relax.dequantize"):
        return all(len(arg.ty.shape.values) == 0 or prod(shape_of(arg)) == 1 for arg in call.args[1:3])
    return True
