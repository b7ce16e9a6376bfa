"""The time of every operator of a graph by the cost model of a target: from shapes alone."""

from collections.abc import Callable
from math import prod

import numpy as np
import tvm
from tvm import relax

from .. import ops
from ..multiply_adds import multiply_adds
from ..operators.registry import operators
from ..ops import shape_of
from ..rewriting.graph import DataflowGraph
from ..rewriting.loops import MARKS, loops_of

_LOOK_UPS = ("relax.take", "octet.embedding")
_FUNCTIONS = ("octet.unary", "relax.nn.softmax")
_BLOCK = 16  # channels of a vector
_FREE = operators(lambda traits: traits.view) | set(MARKS)


def estimate(mod: tvm.IRModule, dot: str, cost: Callable) -> list[tuple[str, str, float]]:
    """(layer that it belongs to, operator, seconds on one core) of every call in `main` of a realised, float-fused
    module. cost: as targets/x86/cost.seconds."""
    bindings, loops = DataflowGraph(mod["main"]).bindings, loops_of(mod)
    calls = [(var, value) for var, value in bindings if isinstance(value, relax.Call) and not ops.is_op(value, *_FREE)]
    return [(var.name, value.op.name, loops.steps(var) * _seconds(value, dot, cost)) for var, value in calls]


def most_to_gain(mod: tvm.IRModule, dot: str, cost: Callable[..., float]) -> tuple[float, float]:
    """(seconds in all, a bound of what float could save) for an integer graph, without making the float one: every
    conversion would go, and every operator would move no more bytes than it does in int8."""
    total, saved, loops = 0.0, 0.0, loops_of(mod)
    for var, value in DataflowGraph(mod["main"]).bindings:
        if isinstance(value, relax.Call) and not ops.is_op(value, *_FREE):
            seconds, steps = _seconds(value, dot, cost), loops.steps(var)
            total += steps * seconds
            saved += steps * (
                seconds
                if ops.is_op(value, "relax.quantize", "relax.dequantize")
                else max(0.0, seconds - _seconds(value, dot, cost, real=True))
            )
    return total, saved


def _seconds(call: relax.Call, dot: str, cost: Callable, real: bool = False) -> float:
    """real: as if its tensors were float."""
    if ops.is_part(call):
        return 0.0  # passes/lower/fusion.py computes it where its result is quantised
    tensors = [arg for arg in call.args if isinstance(arg.ty, relax.TensorType)]
    int8 = not real and any(str(arg.ty.dtype) == "int8" for arg in tensors)
    read = [call] if ops.is_op(call, *_LOOK_UPS) else tensors  # of a table only the rows that are looked up
    moved = sum(map(_bytes, read)) + (_bytes(call) if isinstance(call.ty, relax.TensorType) else 0)
    macs, depthwise = multiply_adds(call), False
    if ops.is_op(call, "octet.conv2d"):
        attrs = ops.attrs_of(call)
        depthwise = attrs["groups"] == shape_of(call.args[0])[1] > 1
        if (
            depthwise and int8 and attrs["out_dtype"] != "int8"
        ):  # as a grouped convolution: every channel costs a block of them
            macs, depthwise = macs * _BLOCK, False
    bf16 = ops.is_op(call, "octet.conv2d", "octet.dense") and str(call.args[0].ty.dtype) == "bfloat16"
    functions = 0 if int8 or not ops.is_op(call, *_FUNCTIONS) else prod(shape_of(call))
    dtype = "int8" if int8 else "bfloat16" if bf16 else "float32"
    return cost(
        dot, dtype, macs, moved, depthwise, product=ops.is_op(call, "octet.matmul", "relax.matmul"), functions=functions
    )


def _bytes(expr: relax.Expr) -> int:
    if expr.ty.shape is None:
        return 0
    return prod(shape_of(expr)) * np.dtype(str(expr.ty.dtype)).itemsize
