"""Images as integers: a Cast of 8-bit integers, and what is done to it in front of the first layer."""

from tvm import relax

from ...rewriting.rule import RewriteGraph
from ..questions import constant

_MOVES = (
    "relax.permute_dims",
    "relax.reshape",
    "relax.expand_dims",
    "relax.squeeze",
    "relax.flip",
    "relax.strided_slice",
)
_LIMITS = {"uint8": (0, 255), "int8": (-128, 127)}


def limits_of(graph: RewriteGraph, expr: relax.Expr) -> tuple[int, int] | None:
    """The least and the greatest integer of a float tensor that holds 8-bit integers, moved about at most; None if it
    is anything else."""
    call = graph.match(expr, *_MOVES, "relax.astype")
    while call is not None and call.op.name != "relax.astype":
        call = graph.match(call.args[0], *_MOVES, "relax.astype")
    return None if call is None else _LIMITS.get(str(call.args[0].ty.dtype))


def steps_behind(graph: RewriteGraph, expr: relax.Expr) -> tuple[list[relax.Call], relax.Expr] | None:
    """(the sums and products with constants, pads with zeros, that make `expr` of integers; the last one first, each
    read once; the integers); None if that is not how it is made."""
    found = []
    while limits_of(graph, expr) is None:
        call = graph.match(expr, "relax.add", "relax.multiply", "relax.nn.pad")
        if call is None or not graph.used_once(expr) or not (_pads_with_zeros(call) or _has_constant(call)):
            return None
        found.append(call)
        expr = call.args[0]
    return found, expr


def _has_constant(call: relax.Call) -> bool:
    return call.op.name != "relax.nn.pad" and constant(call.args[1]) is not None


def _pads_with_zeros(call: relax.Call) -> bool:
    return call.op.name == "relax.nn.pad" and call.attrs.pad_mode == "constant" and float(call.attrs.pad_value) == 0.0
