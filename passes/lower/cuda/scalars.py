"""Small operators around the work that would be launches of their own: indices that are wrapped before they are taken,
chains of scalar arithmetic, sums of embeddings.

take(x, where(less(i, 0), add(i, n), i))                 ==>    launch take(x', i')
        the kernel counts negative indices from the end, too,
take(x, maximum(minimum(where(..), n - 1), 0))           ==>    launch take(x', i')
        and goes no further than the last and the first
multiply(add(multiply(astype(x), a), b), c)              ==>    launch map_from(x')
        a, b, c: constants of one element
add(add(take(x, i), a), b)                               ==>    launch take_and_add(x', i', a', b')
        a, b: of the last axes' shape"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ....targets.cuda.kernels import floats
from ....targets.cuda.layout import plain
from ... import ops
from ...ops import shape_of
from .context import CudaContext, CudaTensor

if TYPE_CHECKING:
    from ...rewriting.dataflow_graph import DataflowGraph

_BINARY = {
    "relax.multiply": "mul",
    "relax.add": "add",
    "relax.subtract": "sub",
    "relax.divide": "div",
    "relax.maximum": "max",
    "relax.minimum": "min",
}


@dataclass(frozen=True)
class Wrapped:
    """Indices whose negative values are made positive and bounded, as the kernels that read them do anyway.

    indices: as they were."""

    indices: relax.Var
    root: relax.Var

    def lower(self, ctx: CudaContext) -> CudaTensor:
        """The indices as they lie: no kernel is made."""
        return ctx.view(self.indices)


@dataclass(frozen=True)
class Scalars:
    """A chain of operations with scalar constants, as one kernel.

    operations: (name of float_math's `m`, the constant, whether it is the right operand), in order, on
    float32(source)."""

    source: relax.Expr
    operations: tuple[tuple[str, float, bool], ...]
    root: relax.Var

    def lower(self, ctx: CudaContext) -> CudaTensor:
        """Emits one kernel that does all operations in order; gives its float32 result, row-major."""
        shape, value = shape_of(self.root), ctx.plain(self.source)
        return ctx.emit(
            floats.scalars(prod(shape), value.layout.dtype, self.operations),
            [value],
            plain(shape, "float32"),
            "scalars",
        )


@dataclass(frozen=True)
class Embedding:
    """A look-up with what is added to it, as one kernel.

    summands: one or two, in order."""

    take: relax.Call
    summands: tuple[relax.Expr, ...]
    root: relax.Var

    def lower(self, ctx: CudaContext) -> CudaTensor:
        """Emits one kernel that takes the rows and adds the summands; gives its float32 result, row-major."""
        table, axis, indices = (
            shape_of(self.take.args[0]),
            ops.attrs_of(self.take)["axis"] % len(shape_of(self.take.args[0])),
            self.take.args[1],
        )
        parts = [ctx.plain(part) for part in self.summands]
        sizes = prod(parts[0].layout.shape), prod(parts[1].layout.shape) if len(parts) > 1 else 0
        kernel = floats.take_and_add(
            prod(table[:axis]),
            table[axis],
            prod(table[axis + 1 :]),
            prod(shape_of(indices)),
            str(indices.ty.dtype),
            sizes,
        )
        index, layout = ctx.plain(indices), plain(shape_of(self.root), "float32")
        # A table is read in part.
        moved = 2 * layout.bytes + index.layout.bytes + sum(part.layout.bytes for part in parts)
        return ctx.emit(
            kernel,
            [ctx.plain(self.take.args[0]), index, parts[0], parts[-1]],
            layout,
            "relax.take + add",
            notes={"bytes": moved},
        )


def scalars_of(graph: "DataflowGraph") -> tuple[dict[relax.Var, Any], dict[relax.Var, Any]]:
    """({last variable: what it becomes}, {last variable: the variables before it})."""
    found, inner = {}, {}
    for var, value in graph.bindings:
        rule = (
            _wrapped if ops.is_op(value, "relax.where") else _embedding if ops.is_op(value, "relax.take") else _scalars
        )
        made = rule(graph, var, value)
        if made is not None:
            chain, members = made
            found[chain.root] = chain
            inner[chain.root] = set(members)
    return found, inner


def _wrapped(graph: "DataflowGraph", var: relax.Var, call: relax.Call) -> Any:
    condition, shifted, indices = call.args
    less, added = graph.definition(condition), graph.definition(shifted)
    if not (
        ops.is_op(less, "relax.less")
        and ops.is_op(added, "relax.add")
        and graph.used_once(condition)
        and graph.used_once(shifted)
    ):
        return None
    if (
        less.args[0] != indices
        or added.args[0] != indices
        or not isinstance(indices, relax.Var)
        or str(indices.ty.dtype) not in ("int64", "int32")
    ):
        return None
    zero, size, root, members = _number(graph, less.args[1]), _number(graph, added.args[1]), var, [condition, shifted]
    if zero != 0 or size is None:
        return None
    for operator, limit in (
        ("relax.minimum", size - 1),
        ("relax.maximum", 0),
    ):  # The kernel bounds indices so, whether it is asked to or not.
        users = graph.users(root)
        user = users[0] if len(users) == 1 else None
        bounded = None if user is None else graph.definition(user)
        if user is not None and ops.is_op(bounded, operator):
            if bounded.args[0] == root and _number(graph, bounded.args[1]) == limit:
                members.append(root)
                root = user
    return (
        (Wrapped(indices, root), members)
        if all(_takes(graph, user, root, size) for user in graph.users(root))
        else None
    )


def _number(graph: "DataflowGraph", expr: relax.Expr) -> float | None:
    """The value of a constant of one element, or None."""
    constant = graph.constant(expr)
    return constant.item() if constant is not None and constant.size == 1 else None


def _takes(graph: "DataflowGraph", user: relax.Expr | None, var: relax.Var, size: float) -> bool:
    call = graph.definition(user) if user is not None else None
    if (
        not ops.is_op(call, "relax.take")
        or call.args[1] != var
        or call.args[0] == var
        or str(call.ty.dtype) not in floats.TYPES
    ):
        return False
    axis = ops.attrs_of(call)["axis"]
    return axis is not None and shape_of(call.args[0])[axis] == size


def _embedding(graph: "DataflowGraph", var: relax.Var, call: relax.Call) -> Any:
    if (
        str(call.ty.dtype) != "float32"
        or ops.attrs_of(call)["axis"] is None
        or str(call.args[1].ty.dtype) not in ("int64", "int32")
    ):
        return None
    root, members = var, []
    summands: list[Any] = []
    while len(summands) < 2 and graph.used_once(root) and (user := graph.users(root)[0]) is not None:
        total = graph.definition(user)
        if not ops.is_op(total, "relax.add") or total.args[0] == total.args[1] or shape_of(total) != shape_of(call):
            break
        other = total.args[1] if total.args[0] == root else total.args[0]
        own = shape_of(other)
        while own and own[0] == 1:
            own = own[1:]
        if own != shape_of(call)[len(shape_of(call)) - len(own) :]:
            break
        members.append(root)
        summands.append(other)
        root = user
    return (Embedding(call, tuple(summands), root), members) if summands else None


def _scalars(graph: "DataflowGraph", var: relax.Var, call: relax.Expr) -> Any:
    """The chain that ends with `var`: its only reader does not go on with it. At least two operators."""
    users = graph.users(var)
    if (
        _step(graph, call) is None
        or len(users) == 1
        and users[0] is not None
        and _step(graph, graph.definition(users[0])) is not None
    ):
        return None
    members, source = [], var
    operations: list[Any] = []
    while (step := _step(graph, graph.definition(source))) is not None and (source is var or graph.used_once(source)):
        members.append(source)
        source, operation = step
        operations.insert(0, operation)
    if len(members) < 2 or not all(graph.position(member) >= 0 for member in members):
        return None
    if str(source.ty.dtype) != "float32" and operations[0] is not None:
        return None
    return Scalars(source, tuple(operation for operation in operations if operation is not None), var), members[1:]


def _step(graph: "DataflowGraph", call: relax.Expr | None) -> Sequence[Any] | None:
    """(operand, operation), the operation of a conversion to float32 being None; None where it is neither that nor
    arithmetic with one constant."""
    if (
        ops.is_op(call, "relax.astype")
        and str(call.ty.dtype) == "float32"
        and str(call.args[0].ty.dtype) in floats.TYPES
    ):
        return call.args[0], None
    if not ops.is_op(call, *_BINARY) or str(call.ty.dtype) != "float32":
        return None
    for operand, other, right in ((*call.args, True), (*list(call.args)[::-1], False)):
        constant = graph.constant(other)
        if (
            constant is not None
            and constant.size == 1
            and isinstance(operand, relax.Var)
            and shape_of(operand) == shape_of(call)
        ):
            return operand, (_BINARY[call.op.name], float(np.float32(constant.item())), right)
    return None
