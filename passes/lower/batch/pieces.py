"""A network as pieces that run one after the other, each on some samples at a time.

    main [B, ..]  ==>  piece 1 [m1, ..] for B/m1 chunks, piece 2 [m2, ..] for B/m2 chunks, ...

A piece is a module of its own whose `main` takes what earlier pieces (or the caller) left of its samples and returns
what later ones (or the caller) need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax

from ....targets.batches import batch_of
from ....targets.variant import TensorSpec
from ....targets.x86.layout import Layout, as_is, packed, sure
from ...ops import shape_of
from ...rewriting.dataflow_graph import variables
from ...rewriting.forward import Forward
from ..linearize import ALIASES
from .analysis import BatchGraph, analyze, tensors_of
from .sample_axis import samples_of
from .stretches import Choose, plan_stretches

if TYPE_CHECKING:
    from ...rewriting.dataflow_graph import DataflowGraph
    from .stretches import Stretch

_VIEWS = (*ALIASES, "relax.nn.batch_flatten")


@dataclass(frozen=True)
class Crossing:
    """A tensor that enters or leaves a piece. var: in the whole graph. layout: of the samples of one chunk. whole: of
    the whole batch.
    result: number of the network's result that it is, None for what other pieces read."""

    var: relax.Var
    layout: Layout
    whole: Layout
    result: int | None = None


@dataclass(frozen=True)
class Piece:
    """A stretch of the network as a module of its own, which runs chunk by chunk.

    module: `main` on `samples` samples. chunks: how often it runs. params, results: in the order of `main`."""

    module: tvm.IRModule
    samples: int
    chunks: int
    params: tuple[Crossing, ...]
    results: tuple[Crossing, ...]


def split_batch(module: tvm.IRModule, choose: Choose = plan_stretches) -> list[Piece]:
    """The pieces of `main`; none where the network stays one: a batch of 1 (the extent that all parameters begin with),
    no stretch that may run in parts and gains by it, or a result that no operator computes. choose: BatchGraph -> list
    of Stretch."""
    main = module["main"]
    batch = batch_of([TensorSpec(param.name, shape_of(param), str(param.ty.dtype)) for param in main.params])
    if batch == 1:
        return []
    batched = analyze(main, batch)
    results = _results(batched.graph)
    stretches = choose(batched) if _computed(results, batched.graph) else []
    if all(stretch.samples == batch for stretch in stretches):
        return []
    readers = [
        {var for _, value in batched.graph.bindings[s.first : s.last] for var in variables(value)} for s in stretches
    ]
    return [_piece(batched, stretch, set().union(*readers[i + 1 :]), results) for i, stretch in enumerate(stretches)]


def _results(graph: "DataflowGraph") -> list[relax.Var]:
    value = graph.definition(graph.result)
    return list(value.fields) if isinstance(value, relax.Tuple) else [graph.result]


def _computed(results: Sequence[relax.Expr], graph: "DataflowGraph") -> bool:
    return len(set(results)) == len(results) and all(
        isinstance(var, relax.Var) and graph.position(var) >= 0 for var in results
    )


def _piece(
    batched: BatchGraph, stretch: "Stretch", wanted_later: set[relax.Var], results: Sequence[relax.Expr]
) -> Piece:
    bindings = batched.graph.bindings[stretch.first : stretch.last]
    own = {var for var, _ in bindings}
    read = dict.fromkeys(var for _, value in bindings for var in variables(value) if var not in own)
    params = [_crossing(var, batched, stretch.samples, var in batched.graph.function.params) for var in read]
    left = [_crossing(var, batched, stretch.samples, False) for var, _ in bindings if var in wanted_later]
    left += [_crossing(var, batched, stretch.samples, True, number) for number, var in enumerate(results) if var in own]
    walk = Forward(batched.graph.function)
    for crossing in params:
        walk.values[crossing.var] = relax.Var(
            crossing.var.name, relax.TensorType(crossing.layout.shape, str(crossing.var.ty.dtype))
        )
    inputs = list(walk.values.values())
    for var, value in bindings:
        walk.values[var] = walk.emit(_narrowed(value, var, batched, stretch.samples, walk.values), var.name)
    function, _ = walk.finish(relax.Tuple([walk.values[crossing.var] for crossing in left]), inputs)
    return Piece(
        tvm.IRModule({"main": function}), stretch.samples, batched.batch // stretch.samples, tuple(params), tuple(left)
    )


def _crossing(var: relax.Var, batched: BatchGraph, samples: int, callers: bool, result: int | None = None) -> Crossing:
    """How a tensor goes into or out of a piece. callers: whether the tensor is the caller's, and so plain."""
    shape, dtype, axis = shape_of(var), str(var.ty.dtype), batched.axes[var]
    assert axis is None or samples == batched.batch or axis.contiguous(shape), f"{var.name}: a sample is not one piece"
    share = shape if axis is None or samples == batched.batch else axis.shape(shape, samples)
    plain = callers or (axis is not None and axis.axis != 0) or packed(shape, dtype) is None
    dtype = as_is(dtype) if callers else dtype
    part, whole = (Layout("plain", each, dtype) if plain else sure(packed(each, dtype)) for each in (share, shape))
    return Crossing(var, part, whole, result)


def _narrowed(
    value: relax.Expr, var: relax.Var, batched: BatchGraph, samples: int, new: dict[relax.Var, relax.Var]
) -> relax.Expr:
    """`value` on `samples` samples."""
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(new[value.tuple_value], value.index)
    if samples == batched.batch or batched.axes[var] is None:
        return _rebuilt(value, lambda position, tensor: new.get(tensor, tensor), new)
    axis, cut = batched.axes[var], batched.sliced.get(var, {})
    shape: Any = axis.shape(shape_of(var), samples) if isinstance(var.ty, relax.TensorType) else None

    def operand(position: int, tensor: relax.Expr) -> relax.Expr:
        if position in cut:
            return relax.const(samples_of(tensor.value.numpy(), cut[position], samples), str(tensor.ty.dtype))
        return new.get(tensor, tensor)

    if value.op.name in _VIEWS:
        return relax.op.reshape(operand(0, value.args[0]), shape)
    if value.op.name == "relax.broadcast_to":
        return relax.op.broadcast_to(operand(0, value.args[0]), shape)
    return _rebuilt(value, operand, new)


def _rebuilt(
    call: relax.Expr, operand: Callable[[int, relax.Expr], relax.Expr], new: dict[relax.Var, relax.Var]
) -> relax.Call:
    """The call with its tensor operands, numbered as `tensors_of` does, replaced."""
    fresh = iter([operand(position, tensor) for position, tensor in enumerate(tensors_of(call))])

    def rebuilt(arg: relax.Expr) -> relax.Expr:
        if isinstance(arg, relax.Tuple):
            return relax.Tuple([rebuilt(field) for field in arg.fields])
        if isinstance(arg, (relax.Var, tvm.ir.GenericConst)) and isinstance(arg.ty, relax.TensorType):
            return next(fresh)
        return new.get(arg, arg) if isinstance(arg, relax.Var) else arg

    return relax.Call(call.op, [rebuilt(arg) for arg in call.args], call.attrs, call.ty_args)
