"""The nodes of ONNX's own operators that stand for one of another domain, written one after the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

BEFORE = "give the file from before ONNX Runtime's optimiser"
OPSET = 23  # The version of the operators that bodies are written in.


class Body:
    """A body that grows: each call adds a node and gives the name of its result."""

    def __init__(self, node: onnx.NodeProto, shapes: Sequence[Sequence[int] | None]) -> None:
        self.attrs = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        self._outputs = [bool(name) for name in node.output]
        self._prefix = node.name or node.output[0]
        self._shapes = [tuple(shape) if shape is not None else None for shape in shapes]
        self.inputs = [f"input{i}" if shape is not None else "" for i, shape in enumerate(shapes)]
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def input(self, index: int) -> str:
        """The name of an input of the node; "" for one that is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def wanted(self, index: int) -> bool:
        """Whether the node has a result of that number."""
        return index < len(self._outputs) and self._outputs[index]

    def shape(self, index: int) -> tuple[int, ...]:
        """The extents of an input that is there."""
        shape = self._shapes[index]
        assert shape is not None, index
        return shape

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, **attrs: Any) -> Any:
        """Adds a node; the name of its result, or a list of names where there are several."""
        names = [f"{operator}{len(self._nodes)}.{i}" for i in range(outputs)]
        name = f"{self._prefix}.{operator}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), names, name=name, **attrs))
        return names[0] if outputs == 1 else names

    def const(self, value: Any, dtype: type = np.float32) -> str:
        """The name of a constant."""
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values: int) -> str:
        """The name of a constant of int64, as shapes and axes are."""
        return self.const(values, np.int64)

    def graph(self, results: Sequence[str], node: onnx.NodeProto) -> onnx.GraphProto:
        """The body; of its results those that the node names, of its inputs those that it gives."""
        return helper.make_graph(
            self._nodes,
            node.op_type,
            [onnx.ValueInfoProto(name=name) for name in self.inputs if name],
            [onnx.ValueInfoProto(name=name) for name, wanted in zip(results, node.output) if wanted],
            self._constants,
        )
