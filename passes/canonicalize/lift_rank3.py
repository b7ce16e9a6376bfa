"""f(reshape(y, [N, C, W])) = reshape(f'(y), ...) for y [N, C, 1, W]: an operator on rank 3 moves up to the rank of its
operand's source.

f is elementwise, concat, split, prelu, pad, strided_slice, softmax or a mean/max over W; so a 1-D network stays
four-dimensional between its convolutions and RemoveNoops cancels the reshapes. In front of the first convolution the
reshape moves up through elementwise operators with constants: reshape(f(x)) = f'(reshape(x)). Needs ConvertConv1d,
ConvertBatchNorm and RecognizeUnary.
"""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..operators.registry import operators
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import constant

_UNARY = operators(lambda traits: traits.elementwise == 1 and traits.by_rows and traits.real_function)
_BINARY = operators(lambda traits: traits.elementwise == 2 and traits.by_rows and traits.real_function)
_AXIS = [0, 1, 3]  # Axis i of rank 3 becomes axis _AXIS[i] of rank 4.


@dataclass(frozen=True)
class LiftRank3:
    """Leaves alone what has no lifted operand, and operators that mix the axes (reshape, permute_dims, matmul)."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose elementwise operators on rank 3 run on rank 4 where their operands came from there."""
        return rewrite(mod, _lift)


def _lift(graph: RewriteGraph, value: relax.Expr, var: relax.Var) -> relax.Expr | None:
    if isinstance(value, relax.TupleGetItem):
        return _field(graph, value, var)
    if not isinstance(value, Call) or not value.args or isinstance(var.ty, relax.ShapeType):
        return None
    if ops.is_op(value, "relax.reshape"):
        x, shape = value.args[0], shape_of(var)
        raised = (
            len(shape) == 4 and shape[2] == 1 and shape_of(x) == (*shape[:2], shape[3]) and _is_elementwise(graph, x)
        )
        return _raise(graph, x) if raised else None
    lifted = _lift_call(graph, value)
    if lifted is None:
        return None
    # A split stays a tuple of lifted parts; _field brings each down.
    return (
        lifted if isinstance(var.ty, relax.TupleType) else relax.op.reshape(graph.emit(lifted, like=var), shape_of(var))
    )


def _lift_call(graph: RewriteGraph, call: relax.Call) -> relax.Expr | None:
    x = call.args[0]
    if ops.is_op(call, *_BINARY):
        return _binary(graph, call)
    if ops.is_op(call, "relax.concat"):
        return _concat(graph, call)
    source = _source(graph, x)
    if source is None:
        return None
    attrs = call.attrs
    if ops.is_op(call, *_UNARY):
        return Call(call.op, [source, *call.args[1:]], attrs, call.ty_args)
    if ops.is_op(call, "relax.nn.prelu"):
        return relax.op.nn.prelu(source, call.args[1], _AXIS[int(attrs.axis) % 3])
    if ops.is_op(call, "relax.nn.softmax"):
        return relax.op.nn.softmax(source, _AXIS[int(attrs.axis) % 3])
    if ops.is_op(call, "relax.split"):
        return relax.op.split(source, ops.attrs_of(call)["indices_or_sections"], _AXIS[int(attrs.axis) % 3])
    if ops.is_op(call, "relax.nn.pad"):
        width = [int(w) for w in attrs.pad_width]
        return relax.op.nn.pad(source, width[:4] + [0, 0] + width[4:], attrs.pad_mode, float(attrs.pad_value))
    if ops.is_op(call, "relax.strided_slice"):
        return _slice(call, source)
    if (
        ops.is_op(call, "relax.mean", "relax.max")
        and attrs.axis is not None
        and [int(a) % 3 for a in attrs.axis] == [2]
    ):
        return (relax.op.mean if ops.is_op(call, "relax.mean") else relax.op.max)(source, [2, 3], keepdims=True)
    return None


def _binary(graph: RewriteGraph, call: relax.Call) -> relax.Expr | None:
    if not any(_source(graph, arg) is not None for arg in call.args):
        return None
    if any(len(shape_of(arg)) > 3 for arg in call.args):
        return None
    return Call(call.op, [_up(graph, arg) for arg in call.args], call.attrs, call.ty_args)


def _concat(graph: RewriteGraph, call: relax.Call) -> relax.Expr | None:
    fields = graph.value(call.args[0]).fields
    if not any(_source(graph, field) is not None for field in fields):
        return None
    return relax.op.concat([_up(graph, field) for field in fields], _AXIS[int(call.attrs.axis) % 3])


def _slice(call: relax.Call, source: relax.Expr) -> relax.Expr:
    axes, begin, end = ([int(v.value) for v in arg.fields] for arg in call.args[1:4])
    strides = [int(v.value) for v in call.args[4].fields] if len(call.args) > 4 else None
    return relax.op.strided_slice(source, [_AXIS[a % 3] for a in axes], begin, end, strides)


def _is_elementwise(graph: RewriteGraph, x: relax.Expr) -> bool:
    """Whether x is a scalar function, or arithmetic with a constant, that nothing else uses."""
    call = graph.match(x, *_UNARY, "relax.add", "relax.multiply")
    constants = call is not None and all(
        constant(arg) is not None for arg in call.args[1:] if isinstance(arg.ty, relax.TensorType)
    )
    return constants and graph.used_once(x) and shape_of(call.args[0]) == shape_of(x)


def _raise(graph: RewriteGraph, x: relax.Expr) -> relax.Expr:
    """x [N, C, W] computed as [N, C, 1, W]."""
    if not _is_elementwise(graph, x):
        return graph.emit(_up(graph, x))
    call = graph.value(x)
    if ops.is_op(call, "relax.add", "relax.multiply"):
        args = [_raise(graph, call.args[0]), _up(graph, call.args[1])]
    else:
        args = [_raise(graph, call.args[0]), *call.args[1:]]
    return graph.emit(Call(call.op, args, call.attrs, call.ty_args), like=x)


def _field(graph: RewriteGraph, value: relax.Expr, var: relax.Var) -> relax.Expr | None:
    split = graph.match(value.tuple_value, "relax.split")
    if split is None or len(shape_of(split.args[0])) == len(shape_of(var)):
        return None
    return relax.op.reshape(graph.emit(value, like=var), shape_of(var))


def _source(graph: RewriteGraph, x: relax.Expr) -> relax.Expr | None:
    """The [N, C, 1, W] value that an [N, C, W] one is a reshape of."""
    if not isinstance(x, relax.Var) or not isinstance(x.ty, relax.TensorType) or len(shape_of(x)) != 3:
        return None
    reshape = graph.match(x, "relax.reshape")
    n, c, w = shape_of(x)
    return reshape.args[0] if reshape is not None and shape_of(reshape.args[0]) == (n, c, 1, w) else None


def _up(graph: RewriteGraph, x: relax.Expr) -> relax.Expr:
    source = _source(graph, x)
    if source is not None:
        return source
    shape = shape_of(x)
    if not shape:
        return x
    n, c, w = (1,) * (3 - len(shape)) + shape
    value = constant(x)
    return (
        relax.const(value.reshape(n, c, 1, w)) if value is not None else graph.emit(relax.op.reshape(x, [n, c, 1, w]))
    )
