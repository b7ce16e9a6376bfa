"""How much an operator multiplies, from shapes alone."""

from math import prod

from tvm import IRModule, relax

from .operators.registry import operators
from .ops import is_op, shape_of
from .rewriting.dataflow_graph import DataflowGraph
from .rewriting.loops import loops_of

_LAYERS = operators(lambda traits: traits.multiplies)
# The first axis of these weights is that of their results.
_WEIGHTED = ("octet.conv2d", "relax.nn.conv2d")


def multiply_adds(call: relax.Call) -> int:
    """Multiply-adds of one run of a convolution, linear layer or product of static shapes; 0 of any other operator."""
    if not is_op(call, *_LAYERS):
        return 0
    results = prod(shape_of(call))
    return results * (prod(shape_of(call.args[1])[1:]) if is_op(call, *_WEIGHTED) else shape_of(call.args[0])[-1])


def multiply_adds_of(module: IRModule) -> int:
    """Multiply-adds of one run of `main`, those of loops as often as their steps run."""
    loops = loops_of(module)
    return sum(
        loops.steps(var) * multiply_adds(value)
        for var, value in DataflowGraph(module["main"]).bindings
        if isinstance(value, relax.Call)
    )
