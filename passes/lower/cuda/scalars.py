"""Small operators around the work that would be launches of their own: indices that are wrapped before they are taken, and chains of scalar arithmetic.

    take(x, where(less(i, 0), add(i, n), i))                 ==>    launch take(x', i')              the kernel counts negative indices from the end, too
    multiply(add(multiply(astype(x), a), b), c)              ==>    launch map(x')                   a, b, c: constants of one element"""

from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import relax

from ....targets.cuda.kernels import floats
from ....targets.cuda.layout import plain
from ... import ops
from .context import Context, Tensor

_BINARY = {"relax.multiply": "mul", "relax.add": "add", "relax.subtract": "sub", "relax.divide": "div", "relax.maximum": "max", "relax.minimum": "min"}


@dataclass(frozen=True)
class Wrapped:
    """indices: as they were."""

    indices: relax.Var
    root: relax.Var

    def lower(self, ctx: Context) -> Tensor:
        return ctx.view(self.indices)


@dataclass(frozen=True)
class Scalars:
    """operations: (name of float_math's `m`, the constant, whether it is the right operand), in order, on float32(source)."""

    source: relax.Expr
    operations: tuple[tuple[str, float, bool], ...]
    root: relax.Var

    def lower(self, ctx: Context) -> Tensor:
        shape, value = _shape(self.root), ctx.plain(self.source)
        return ctx.emit(floats.scalars(prod(shape), value.layout.dtype, self.operations), [value], plain(shape, "float32"), "scalars")


def scalars_of(graph) -> tuple[dict, dict]:
    """({last variable: Wrapped or Scalars}, {last variable: the variables before it})."""
    found, inner = {}, {}
    for var, value in graph.bindings:
        made = _wrapped(graph, var, value) if ops.is_op(value, "relax.where") else _scalars(graph, var, value)
        if made is not None:
            chain, members = made
            found[chain.root] = chain
            inner[chain.root] = set(members)
    return found, inner


def _wrapped(graph, var, call):
    condition, shifted, indices = call.args
    less, added = graph.definition(condition), graph.definition(shifted)
    if not (ops.is_op(less, "relax.less") and ops.is_op(added, "relax.add") and graph.used_once(condition) and graph.used_once(shifted)):
        return None
    if less.args[0] != indices or added.args[0] != indices or not isinstance(indices, relax.Var) or str(indices.ty.dtype) not in ("int64", "int32"):
        return None
    zero, size = graph.constant(less.args[1]), graph.constant(added.args[1])
    if zero is None or size is None or zero.size != 1 or size.size != 1 or zero.item() != 0 or not all(_takes(graph, user, var, size.item()) for user in graph.users(var)):
        return None
    return Wrapped(indices, var), (condition, shifted)


def _takes(graph, user, var, size):
    call = graph.definition(user) if user is not None else None
    if not ops.is_op(call, "relax.take") or call.args[1] != var or call.args[0] == var or str(call.ty.dtype) not in floats.TYPES:
        return False
    axis = ops.attrs_of(call)["axis"]
    return axis is not None and _shape(call.args[0])[axis] == size


def _scalars(graph, var, call):
    """The chain that ends with `var`: its only reader does not go on with it. At least two operators."""
    users = graph.users(var)
    if _step(graph, call) is None or len(users) == 1 and users[0] is not None and _step(graph, graph.definition(users[0])) is not None:
        return None
    operations, members, source = [], [], var
    while (step := _step(graph, graph.definition(source))) is not None and (source is var or graph.used_once(source)):
        members.append(source)
        source, operation = step
        operations.insert(0, operation)
    if len(members) < 2 or not all(graph.position(member) >= 0 for member in members):
        return None
    if str(source.ty.dtype) != "float32" and operations[0] is not None:
        return None
    return Scalars(source, tuple(operation for operation in operations if operation is not None), var), members[1:]


def _step(graph, call):
    """(operand, operation), the operation of a conversion to float32 being None; None where it is neither that nor arithmetic with one constant."""
    if ops.is_op(call, "relax.astype") and str(call.ty.dtype) == "float32" and str(call.args[0].ty.dtype) in floats.TYPES:
        return call.args[0], None
    if not ops.is_op(call, *_BINARY) or str(call.ty.dtype) != "float32":
        return None
    for operand, other, right in ((*call.args, True), (*list(call.args)[::-1], False)):
        constant = graph.constant(other)
        if constant is not None and constant.size == 1 and isinstance(operand, relax.Var) and _shape(operand) == _shape(call):
            return operand, (_BINARY[call.op.name], float(np.float32(constant.item())), right)
    return None


def _shape(expr):
    return tuple(int(extent) for extent in expr.ty.shape.values)
