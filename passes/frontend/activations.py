"""Scalar functions: each becomes one `octet.unary` or `R.clip`, where TVM's importer spells it out in several
operators."""

from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from .. import ops

if TYPE_CHECKING:
    from .node import OnnxNode

# Maps an ONNX operator to (kind, {parameter: (ONNX attribute, ONNX default)}).
UNARY = {
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "Exp": ("exp", {}),
    "Log": ("log", {}),
    "Sqrt": ("sqrt", {}),
    "Erf": ("erf", {}),
    "Abs": ("abs", {}),
    "Sin": ("sin", {}),
    "Cos": ("cos", {}),
    "Floor": ("floor", {}),
    "Ceil": ("ceil", {}),
    "Round": ("round", {}),
    "Sign": ("sign", {}),
    "Reciprocal": ("reciprocal", {}),
    "Softplus": ("softplus", {}),
    "Softsign": ("softsign", {}),
    "Mish": ("mish", {}),
    "HardSwish": ("hard_swish", {}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": ("alpha", 0.2), "beta": ("beta", 0.5)}),
    "LeakyRelu": ("leaky_relu", {"alpha": ("alpha", 0.01)}),
    "Elu": ("elu", {"alpha": ("alpha", 1.0)}),
    "Selu": ("selu", {"alpha": ("alpha", 1.67326319217681884765625), "gamma": ("gamma", 1.05070102214813232421875)}),
    "Celu": ("celu", {"alpha": ("alpha", 1.0)}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": ("alpha", 1.0)}),
}


def unary(node: "OnnxNode") -> relax.Call | None:
    """One `octet.unary`; integer inputs are left to TVM."""
    if node.dtype(0) != "float32":
        return None
    kind, parameters = UNARY[node.op]
    return _unary(
        node, node.inputs[0], kind, **{p: float(node.attrs.get(a, default)) for p, (a, default) in parameters.items()}
    )


def _unary(node: "OnnxNode", x: relax.Var, kind: str, **parameters: float) -> relax.Call:
    """octet.unary; a scalar is a vector of one element for as long, as kernels have rows."""
    scalar = not x.ty.shape.values
    x = node.emit(relax.op.reshape(x, [1]), "vector") if scalar else x
    y = ops.call("octet.unary", [x], kind=kind, **parameters)
    return relax.op.reshape(node.emit(y), []) if scalar else y


def gelu(node: "OnnxNode") -> relax.Call:
    """Gelu (opset 20, or contributed), FastGelu and BiasGelu: with the bias added first where there is one."""
    exact = node.op == "BiasGelu" or (node.op == "Gelu" and node.text("approximate", "none") == "none")
    x = node.inputs[0]
    if node.has(1):
        x = node.emit(relax.op.add(x, node.inputs[1]), "bias")
    return _unary(node, x, "gelu" if exact else "gelu_tanh")


def swish(node: "OnnxNode") -> relax.Call:
    """Swish (opset 24): x * sigmoid(alpha * x)."""
    alpha, x = float(node.attrs.get("alpha", 1.0)), node.inputs[0]
    if alpha == 1.0:
        return _unary(node, x, "silu")
    scaled = node.emit(relax.op.multiply(x, relax.const(np.float32(alpha))), "scaled")
    return relax.op.multiply(x, node.emit(_unary(node, scaled, "sigmoid"), "sigmoid"))


def clip(node: "OnnxNode") -> relax.Expr | None:
    """R.clip with the bounds as Python floats; a bound that is left out or NaN is no bound. Of integers, and of bounds
    known at run time only, a maximum and a minimum."""
    if "int" in node.dtype(0) or any(node.has(i) and node.arrays[i] is None for i in (1, 2)):
        x = node.inputs[0]
        for index, op in ((1, relax.op.maximum), (2, relax.op.minimum)):
            x = node.emit(op(x, node.inputs[index]), "clip" if index == 1 else "") if node.has(index) else x
        return x
    if node.dtype(0) != "float32":
        return None
    low, high = (float(node.arrays[i].reshape(())) if node.has(i) else np.nan for i in (1, 2))
    low, high = (-np.inf if np.isnan(low) else low), (np.inf if np.isnan(high) else high)
    return node.inputs[0] if (low, high) == (-np.inf, np.inf) else relax.op.clip(node.inputs[0], low, high)


def shrink(node: "OnnxNode") -> relax.Call:
    """x + bias below -lambd, x - bias above lambd, 0 between."""
    x, dtype = node.inputs[0], node.dtype(0)
    lambd = node.attrs.get("lambd", 0.5)
    bound, negative, bias, zero = (
        relax.const(np.asarray(value, dtype), dtype) for value in (lambd, -lambd, node.attrs.get("bias", 0.0), 0)
    )
    above = node.emit(relax.op.greater(x, bound), "above")
    below = node.emit(relax.op.less(x, negative), "below")
    upper = node.emit(relax.op.where(above, node.emit(relax.op.subtract(x, bias), "less"), zero), "upper")
    return relax.op.where(below, node.emit(relax.op.add(x, bias), "more"), upper)


CONVERTERS = dict.fromkeys(UNARY, unary) | {
    "Gelu": gelu,
    "FastGelu": gelu,
    "BiasGelu": gelu,
    "Swish": swish,
    "Clip": clip,
    "Shrink": shrink,
}
