"""Which operators of ONNX Runtime's domain are known, and what stands for a node of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import onnx
from onnx import helper

from ....targets.errors import UnsupportedModelError
from . import fused_attention, fused_layers
from .body import BEFORE, OPSET, Body

DOMAIN = "com.microsoft"
# ONNX Runtime writes this one into ONNX's own domain, which has none of the name.
_MISPLACED = "SimplifiedLayerNormalization"

_BODIES: dict[str, Callable[[Body], list[str]]] = {
    "Attention": fused_attention.attention_with_product,
    "BiasGelu": fused_layers.gelu,
    "BiasSoftmax": fused_layers.bias_softmax,
    "EmbedLayerNormalization": fused_layers.embed_layer_norm,
    "FastGelu": partial(fused_layers.gelu, approximate="tanh"),
    "FusedConv": fused_layers.fused_conv,
    "FusedGemm": fused_layers.fused_gemm,
    "FusedMatMul": fused_layers.fused_matmul,
    "TransposeMatMul": fused_layers.fused_matmul,
    "Gelu": fused_layers.gelu,
    "GridSample": partial(fused_layers.of_onnx, operator="GridSample"),
    "MultiHeadAttention": fused_attention.multi_head_attention,
    "QuickGelu": fused_layers.quick_gelu,
    "RotaryEmbedding": fused_attention.rotary_embedding,
    "SimplifiedLayerNormalization": fused_layers.rms_norm,
    "SkipLayerNormalization": fused_layers.skip_layer_norm,
    "SkipSimplifiedLayerNormalization": fused_layers.skip_rms_norm,
    "Trilu": partial(fused_layers.of_onnx, operator="Trilu"),
}
OPERATORS = frozenset(_BODIES)


def body_of(
    node: onnx.NodeProto, values: Sequence[Any], extents: Callable[[Any], list[int]]
) -> tuple[onnx.GraphProto, int]:
    """(the nodes that stand for this one, inputs and outputs as far as the node names them; their opset). values: of
    its inputs, None for one that is left out. Raises UnsupportedModelError for a form that is not known."""
    body = Body(node, [None if value is None else extents(value) for value in values])
    results = _BODIES[node.op_type](body)
    unknown = [name for i, name in enumerate(node.output) if name and not (i < len(results) and results[i])]
    if unknown:
        raise UnsupportedModelError(f"has the result {unknown[0]!r}; {BEFORE}")
    return body.graph(results, node), OPSET


def put_into_domain(proto: onnx.ModelProto) -> None:
    """Gives nodes that ONNX Runtime writes into ONNX's own domain its own."""
    misplaced = [node for node in proto.graph.node if node.op_type == _MISPLACED and not node.domain]
    for node in misplaced:
        node.domain = DOMAIN
    if misplaced and DOMAIN not in {entry.domain for entry in proto.opset_import}:
        proto.opset_import.append(helper.make_opsetid(DOMAIN, 1))
