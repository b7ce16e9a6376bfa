"""Writes ONNX graphs of transformers node by node, for networks whose packages hold only weights."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # From this opset on LayerNormalization is a node.
_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


class Graph:
    """Nodes are made by calls that give the name of their result; arrays become initializers."""

    def __init__(self):
        self._nodes, self._constants = [], []

    def constant(self, value, dtype="float32") -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, dtype, order="C"), name))
        return name

    def node(self, kind: str, *inputs: str, results: tuple[str, ...] = (), **attributes) -> str:
        results = results or (f"{kind}_{len(self._nodes)}",)
        self._nodes.append(helper.make_node(kind, list(inputs), list(results), name=results[0], **attributes))
        return results[0]

    def linear(self, x: str, weight, bias=None) -> str:
        """Adds a linear layer, x W' + b; weight [out, in]."""
        product = self.node("MatMul", x, self.constant(np.asarray(weight).T))
        return product if bias is None else self.node("Add", product, self.constant(bias))

    def norm(self, x: str, gamma, beta, epsilon: float) -> str:
        return self.node("LayerNormalization", x, self.constant(gamma), self.constant(beta), epsilon=epsilon)

    def gelu(self, x: str) -> str:
        erf = self.node("Erf", self.node("Div", x, self.constant(np.sqrt(2.0))))
        return self.node("Mul", self.node("Mul", x, self.node("Add", erf, self.constant(1.0))), self.constant(0.5))

    def attention(self, query: str, key: str, value: str, heads: int, width: int, bias: str | None = None) -> str:
        """Adds attention of projected queries, keys and values [N, T, width]; bias is added to the scores."""
        query, key, value = (
            self.node("Transpose", self._heads(x, heads, width), perm=order)
            for x, order in ((query, [0, 2, 1, 3]), (key, [0, 2, 3, 1]), (value, [0, 2, 1, 3]))
        )
        scores = self.node("MatMul", query, key)
        scores = self.node("Div", scores, self.constant(np.sqrt(width // heads)))
        scores = scores if bias is None else self.node("Add", scores, bias)
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), value)
        return self.node(
            "Reshape", self.node("Transpose", mixed, perm=[0, 2, 1, 3]), self.constant([0, -1, width], "int64")
        )

    def _heads(self, x, heads, width):
        return self.node("Reshape", x, self.constant([0, -1, heads, width // heads], "int64"))

    def save(self, path: Path, inputs: dict, outputs: dict) -> Path:
        """Writes the graph to a file; inputs, outputs: {name: (dtype, shape)}."""
        ends = [
            [helper.make_tensor_value_info(name, _TYPES[dtype], shape) for name, (dtype, shape) in values.items()]
            for values in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, path.stem, *ends, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return path
