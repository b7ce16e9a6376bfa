"""The time of every operator of a graph by the cost model of a target: from shapes alone."""

from collections.abc import Callable, Set
from math import prod

import numpy as np
import tvm
from tvm import relax

from .. import ops
from ..lower.fusion import find_fusions
from ..multiply_adds import multiply_adds
from ..operators.registry import operators
from ..ops import shape_of
from ..rewriting.dataflow_graph import DataflowGraph
from ..rewriting.loops import MARKS, loops_of

_LOOK_UPS = ("relax.take", "octet.embedding")
_FUNCTIONS = {  # A value of an operator's result takes as long as so many scalar functions.
    "octet.unary": 1.0,
    "relax.nn.softmax": 1.0,
    "relax.nn.layer_norm": 0.5,
    "relax.nn.rms_norm": 0.5,
}
_BLOCK = 16  # A vector has so many channels.
_FREE = operators(lambda traits: traits.view) | set(MARKS)


def estimate(mod: tvm.IRModule, dot: str, cost: Callable[..., float]) -> list[tuple[str, str, float]]:
    """(layer that it belongs to, operator, seconds on one core) of every call in `main` of a realised, float-fused
    module. cost: as targets/x86/cost.seconds."""
    loops = loops_of(mod)
    return [(var.name, value.op.name, loops.steps(var) * _seconds(value, dot, cost)) for var, value in _calls(mod)]


def network_seconds(mod: tvm.IRModule, dot: str, cost: Callable[..., float]) -> float:
    """Estimated seconds of one run on one core. What one kernel computes is one: results inside a chain
    (passes/lower/fusion.py) move no bytes, and only its last operator costs a call."""
    _, inner = find_fusions(mod["main"])
    loops, call = loops_of(mod), cost(dot, "float32", 0, 0)

    def seconds(var: relax.Var, value: relax.Call) -> float:
        found = _seconds(value, dot, cost, inner=inner, moves_result=var not in inner)
        return max(0.0, found - call) if var in inner else found

    return sum(loops.steps(var) * seconds(var, value) for var, value in _calls(mod))


def most_to_gain(mod: tvm.IRModule, dot: str, cost: Callable[..., float]) -> tuple[float, float]:
    """(seconds in all, a bound of what float could save) for an integer graph, without making the float one: every
    conversion would go, and every operator would move no more bytes than it does in int8."""
    total, saved, loops = 0.0, 0.0, loops_of(mod)
    for var, value in _calls(mod):
        seconds, steps = _seconds(value, dot, cost), loops.steps(var)
        total += steps * seconds
        saved += steps * (
            seconds
            if ops.is_op(value, "relax.quantize", "relax.dequantize")
            else max(0.0, seconds - _seconds(value, dot, cost, real=True))
        )
    return total, saved


def _calls(mod: tvm.IRModule) -> list[tuple[relax.Var, relax.Call]]:
    """What takes time in `main`."""
    bindings = DataflowGraph(mod["main"]).bindings
    return [(var, value) for var, value in bindings if isinstance(value, relax.Call) and not ops.is_op(value, *_FREE)]


def _seconds(
    call: relax.Call,
    dot: str,
    cost: Callable[..., float],
    *,
    real: bool = False,
    inner: Set[relax.Expr | None] = frozenset(),
    moves_result: bool = True,
) -> float:
    """The estimated seconds of one call. real: as if its tensors were float. inner: tensors that it does not read from
    memory. moves_result: whether it writes its own."""
    if ops.is_part(call):
        return 0.0  # The operator is computed where its result is quantised (passes/lower/fusion.py).
    tensors = [arg for arg in call.args if isinstance(arg.ty, relax.TensorType)]
    int8 = not real and any(str(arg.ty.dtype) == "int8" for arg in tensors)
    read = [call] if ops.is_op(call, *_LOOK_UPS) else tensors  # Of a table only the rows that are looked up are read.
    moved = sum(_bytes(arg) for arg in read if arg not in inner)
    moved += _bytes(call) if moves_result and isinstance(call.ty, relax.TensorType) else 0
    macs, depthwise = multiply_adds(call), False
    if ops.is_op(call, "octet.conv2d"):
        attrs = ops.attrs_of(call)
        depthwise = attrs["groups"] == shape_of(call.args[0])[1] > 1
        # The layer runs as a grouped convolution, where every channel costs a block of them.
        if depthwise and int8 and attrs["out_dtype"] != "int8":
            macs, depthwise = macs * _BLOCK, False
    bf16 = ops.is_op(call, "octet.conv2d", "octet.dense") and str(call.args[0].ty.dtype) == "bfloat16"
    functions = 0.0 if int8 or call.op.name not in _FUNCTIONS else _FUNCTIONS[call.op.name] * prod(shape_of(call))
    dtype = "int8" if int8 else "bfloat16" if bf16 else "float32"
    return cost(
        dot, dtype, macs, moved, depthwise, product=ops.is_op(call, "octet.matmul", "relax.matmul"), functions=functions
    )


def _bytes(expr: relax.Expr) -> int:
    if expr.ty.shape is None:
        return 0
    return prod(shape_of(expr)) * np.dtype(str(expr.ty.dtype)).itemsize
