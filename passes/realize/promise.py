"""What is promised of each result of a network, and so what `--referee` demands of it.

bytes   every operator on the way gives the referee's bytes, on every target
close   a float operator on the way has an order of sums, or last bits of a function, of its own: within `TOLERANCE` of
        the largest magnitude
codes   behind such an operator something was rounded to int8, so that single codes may differ by one: at least
        `LEAST_DB` of signal to noise"""

from dataclasses import dataclass

from tvm import IRModule, relax

from ...targets.seams import Attrs
from .. import ops
from ..referee.elementwise import FUNCTIONS
from ..referee.reference import handed_on
from ..rewriting.dataflow_graph import DataflowGraph, variables
from ..rewriting.loops import MARKS, RecurrentLoop, loops_of

TOLERANCE = 1e-4
LEAST_DB = 30.0
_FREE = {
    *(f"relax.{name}" for name in ("matmul", "einsum", "power", "sin", "cos", "prod", "variance", "std", *FUNCTIONS)),
    *(f"relax.nn.{name}" for name in ("conv1d", "conv2d", "conv3d", "batch_norm", "group_norm", "instance_norm")),
}
_KINDS = {"sin", "cos", "celu", "power"}


@dataclass(frozen=True)
class Promise:
    """How far the bytes of a result are the same on every machine.

    kind: "bytes", "close" or "codes". because: the first operator on the way whose bytes are not promised."""

    kind: str = "bytes"
    because: str = ""


def promises(module: IRModule) -> list[Promise]:
    """What is promised of each result of `main`, in order."""
    graph = DataflowGraph(module["main"])
    follows = {
        var: loop.next[i]
        for loop in loops_of(module).arranged()
        if isinstance(loop, RecurrentLoop)
        for i, (var, _) in loop.states.items()
    }
    found = {param: Promise() for param in graph.function.params}
    while True:  # A loop's step leaves what the next one finds, so this repeats until nothing changes.
        last = dict(found)
        _walk(graph, follows, found)
        if not follows or found == last:
            break
    result = graph.definition(graph.result)
    return [
        found.get(field, Promise()) for field in (result.fields if isinstance(result, relax.Tuple) else [graph.result])
    ]


def _walk(graph: DataflowGraph, follows: dict[relax.Expr, relax.Expr], promises: dict[relax.Var, Promise]) -> None:
    """What is promised of every variable, into `promises`. follows: state of a loop -> what it is in the next step."""
    for var, value in graph.bindings:
        before = [promises[each] for each in variables(value)] + (
            [promises[follows[var]]] if follows.get(var) in promises else []
        )
        worst = max(before, key=lambda promise: ("bytes", "close", "codes").index(promise.kind), default=Promise())
        if isinstance(value, relax.Call):
            if worst.kind == "close" and value.op.name == "relax.quantize":
                worst = Promise("codes", worst.because)
            elif worst.kind == "bytes" and _is_free(value):
                worst = Promise("close", value.op.name)
        promises[var] = worst


def _is_free(call: relax.Call) -> bool:
    """Whether a target may give other last bits than the referee."""
    name, attrs = call.op.name, ops.attrs_of(call)
    if name in MARKS:
        return False
    if not any(
        "float" in str(ty.dtype) for ty in (call.ty.fields if isinstance(call.ty, relax.TupleType) else [call.ty])
    ):
        return False
    if name in ("octet.conv2d", "octet.dense"):
        return str(call.args[1].ty.dtype) == "float32" and str(call.args[0].ty.dtype) == "float32"
    if name == "octet.unary":
        return attrs["kind"] in _KINDS
    if name in (
        "relax.nn.softmax",
        "relax.nn.log_softmax",
        "relax.mean",
        "relax.sum",
        *ops.NORMS,
    ):
        return not _has_kernel(call, name, attrs)
    return name in _FREE or handed_on(call)


def _has_kernel(call: relax.Call, name: str, attrs: Attrs) -> bool:
    """Whether the sums are made in the referee's order: over the last axis of what a kernel takes, or over others one
    element after the other."""
    rank = len(call.args[0].ty.shape.values)
    axes = attrs.get("axes", attrs.get("axis"))
    axes = (
        list(range(rank))
        if axes is None
        else sorted(axis % rank for axis in ([axes] if isinstance(axes, int) else axes))
    )
    last = axes == [rank - 1]
    if name in ("relax.mean", "relax.sum"):
        return rank in (2, 3) if last else rank > 1
    if name in ops.NORMS:
        return last and rank > 1
    return (last and (name == "relax.nn.softmax" or rank in (2, 3)) and rank > 1) or (rank == 4 and axes == [1])
