"""Bias correction (Nagel et al., arXiv 1906.04721, appendix D): bias + what was learnt for it
(sensitivity/learn_biases.py), by channel, on the hub. The fp32 network stays as it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import IRModule

from ..annotate.conv import bare_members
from ..annotate.graph import Graph, is_constant
from ..constants import array_of
from ..ops import is_op
from .weights import Operand, products, replace_constants


@dataclass(frozen=True)
class CorrectBiases:
    """The pass that adds what data say to the biases of layers.

    deltas: {layer: float32 [channels]}, layers counted as in RoundWeights. Runs on the hub of a network on which
    AddBiases ran; layers in float there stay."""

    deltas: Mapping[int, np.ndarray]

    def __call__(self, mod: IRModule) -> IRModule:
        """The hub with the deltas in the biases of their layers; those that are not quantized keep theirs."""
        graph = Graph(mod)
        constants: dict[Operand, np.ndarray] = {}
        for number, node in enumerate(products(graph)):
            if number not in self.deltas:
                continue
            weight, members = graph.producer.get(node.inputs[1]), bare_members(graph, node)
            if weight is None or not is_op(weight.value, "relax.dequantize") or len(members) < 2:
                continue
            bias = next(array_of(x) for x in members[1].inputs if is_constant(x))
            constants[members[1].index, None] = bias + self.deltas[number].reshape(bias.shape).astype(np.float32)
        return replace_constants(mod, constants) if constants else mod
