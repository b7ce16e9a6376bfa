"""Sum, Mean, Max and Min of any number of operands as a chain of two-operand operators (TVM's importer stacks them first), and softmax."""

import numpy as np
from tvm import relax

_OPERATORS = {"Sum": relax.op.add, "Mean": relax.op.add, "Max": relax.op.maximum, "Min": relax.op.minimum}


def chain(node):
    """((x0 op x1) op x2) ...; the mean is the sum times 1/n."""
    result, *rest = node.inputs
    for i, operand in enumerate(rest):
        last = i == len(rest) - 1 and node.op != "Mean"
        result = node.emit(_OPERATORS[node.op](result, operand), "" if last else f"part{i}")
    if node.op == "Mean" and rest:
        return relax.op.multiply(result, relax.const(np.float32(1.0 / len(node.inputs))))
    return result


def softmax(node):
    """R.nn.softmax / log_softmax over one axis. Before opset 13 ONNX flattens from the axis on: that is the same for the last axis only."""
    rank = len(node.shape(0))
    axis = node.attrs.get("axis", -1 if node.opset >= 13 else 1) % rank
    if node.opset < 13 and axis != rank - 1:
        return None
    return (relax.op.nn.softmax if node.op == "Softmax" else relax.op.nn.log_softmax)(node.inputs[0], axis)


def is_inf(node):
    """Of both signs, or of one: a comparison."""
    signs = [sign for sign, name in ((np.inf, "detect_positive"), (-np.inf, "detect_negative")) if node.attrs.get(name, 1)]
    if len(signs) == 2:
        return relax.op.isinf(node.inputs[0])
    wanted = signs[0] if signs else np.nan  # nothing equals NaN
    return relax.op.equal(node.inputs[0], relax.const(np.array(wanted, node.dtype(0)), node.dtype(0)))


CONVERTERS = dict.fromkeys(_OPERATORS, chain) | {"Softmax": softmax, "LogSoftmax": softmax, "IsInf": is_inf}
