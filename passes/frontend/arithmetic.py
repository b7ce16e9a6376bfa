"""Sum, Mean, Max and Min of any number of operands as a chain of two-operand operators (TVM's importer stacks them
first), and softmax."""

from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError

if TYPE_CHECKING:
    from .node import OnnxNode

_OPERATORS = {"Sum": relax.op.add, "Mean": relax.op.add, "Max": relax.op.maximum, "Min": relax.op.minimum}


def chain(node: "OnnxNode") -> relax.Expr:
    """((x0 op x1) op x2) ...; the mean is the sum times 1/n."""
    result, *rest = node.inputs
    for i, operand in enumerate(rest):
        last = i == len(rest) - 1 and node.op != "Mean"
        result = node.emit(_OPERATORS[node.op](result, operand), "" if last else f"part{i}")
    if node.op == "Mean" and rest:
        return relax.op.multiply(result, relax.const(np.float32(1.0 / len(node.inputs))))
    return result


def softmax(node: "OnnxNode") -> relax.Call | None:
    """R.nn.softmax / log_softmax over one axis. Before opset 13 ONNX flattens from the axis on: that is the same for
    the last axis only."""
    rank = len(node.shape(0))
    axis = node.axis(-1 if node.opset >= 13 else 1)
    if node.opset < 13 and axis != rank - 1:
        return None
    return (relax.op.nn.softmax if node.op == "Softmax" else relax.op.nn.log_softmax)(node.inputs[0], axis)


def is_inf(node: "OnnxNode") -> relax.Expr:
    """IsInf as a comparison with the infinities of both signs, or of one."""
    signs = [
        sign for sign, name in ((np.inf, "detect_positive"), (-np.inf, "detect_negative")) if node.attrs.get(name, 1)
    ]
    if len(signs) == 2:
        return relax.op.isinf(node.inputs[0])
    wanted = signs[0] if signs else np.nan  # Nothing equals NaN.
    return relax.op.equal(node.inputs[0], relax.const(np.array(wanted, node.dtype(0)), node.dtype(0)))


def reduce_truth(node: "OnnxNode") -> "relax.Expr | None":
    """The largest or smallest truth value, which is a reduction of 0 and 1; numbers are left to TVM."""
    if node.dtype(0) != "bool":
        return None
    axes = node.attrs.get("axes") if node.opset < 18 else node.array(1, "axes")
    if axes is None or not len(axes):
        if node.attrs.get("noop_with_empty_axes", 0):
            return node.inputs[0]
        axes = range(len(node.shape(0)))
    x = node.emit(relax.op.astype(node.inputs[0], "int32"), "numbers")
    reduce = relax.op.max if node.op == "ReduceMax" else relax.op.min
    found = reduce(x, [int(axis) for axis in axes], keepdims=bool(node.attrs.get("keepdims", 1)))
    return relax.op.astype(node.emit(found, "number"), "bool")


def equal(node: "OnnxNode") -> "relax.Expr | None":
    """Truths are equal where not one alone holds: LLVM's comparison of floats, which TVM takes for them, has none of
    this type. Numbers are left to TVM."""
    if node.dtype(0) != "bool":
        return None
    return relax.op.logical_not(node.emit(relax.op.logical_xor(*node.inputs), "differ"))


def prelu(node: "OnnxNode") -> None:
    """Left to TVM where the slopes are one for each element along some axes; ONNX widens them, never the data."""
    slopes, shape = node.shape(1), node.shape(0)
    if len(slopes) > len(shape) or any(own not in (1, extent) for own, extent in zip(slopes[::-1], shape[::-1])):
        raise UnsupportedModelError(f"has slopes of extents {slopes} for data of {shape}; export it again")
    return None


CONVERTERS = (
    dict.fromkeys(_OPERATORS, chain)
    | {"Softmax": softmax, "LogSoftmax": softmax, "Equal": equal, "IsInf": is_inf, "PRelu": prelu}
    | dict.fromkeys(("ReduceMax", "ReduceMin"), reduce_truth)
)
