"""Constants on import: a node whose inputs are all known is evaluated with ONNX's own reference implementation.

With the batch fixed this turns every chain of Shape, Gather, Concat, Cast, ... that computes a shape into a constant.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from ...targets.seams import Attrs
from ..onnx_evaluator import evaluate_onnx

# Each run of these gives other numbers.
DRAWS = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
# What draws, and operators with a body of their own, are never folded.
_NEVER = DRAWS | {"If", "Loop", "Scan"}

# The second input of these is one number; files in use have vectors of one element, which ONNX Runtime takes.
_NUMBER_BEHIND = ("CumSum", "CumProd", "OneHot")


def can_fold(node: onnx.NodeProto, inputs: list[np.ndarray | str | None]) -> bool:
    """Whether every input is a NumPy array or left out (None)."""
    if node.op_type == "Constant":
        return True
    return (
        bool(inputs)
        and node.op_type not in _NEVER
        and all(value is None or isinstance(value, np.ndarray) for value in inputs)
    )


def fold(node: onnx.NodeProto, inputs: list[np.ndarray], opsets: Sequence[onnx.OperatorSetIdProto]) -> list[np.ndarray]:
    """The node's outputs. `inputs`: arrays (None for an input left out); `opsets`: the model's opset_import."""
    if node.op_type in _NUMBER_BEHIND and inputs[1].shape == (1,):
        inputs = [inputs[0], inputs[1].reshape(()), *inputs[2:]]
    named = {name: value for name, value in zip(node.input, inputs) if name}
    graph = helper.make_graph(
        [node],
        "fold",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in named.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
    )
    results = evaluate_onnx(helper.make_model(graph, opset_imports=opsets), named)
    return [np.asarray(result) for result in results]


def shape_slice(shape: list[int], attrs: Attrs) -> np.ndarray:
    """ONNX Shape of a static shape; `start` and `end` (opset 15) may count from the end."""
    return np.array(shape[slice(attrs.get("start", 0), attrs.get("end", len(shape)))], "int64")
