"""Activations as uint8, which differ from int8 by 128 in codes and zero points alone: the values that they stand for
are the same.

    DequantizeLinear(QuantizeLinear(x, s, int8 z), s, int8 z)
        = DequantizeLinear(QuantizeLinear(x, s, uint8 z + 128), s, uint8 z + 128)

Where something else than a dequantize reads the codes, it wants those integers, and they stay."""

import numpy as np

from ...targets.errors import OctetError
from ..annotate.graph import Graph, Node, is_constant
from ..constants import array_of
from ..ops import attrs_of, is_op

CODES = ("uint8", "int8")


def check_codes(codes: str) -> None:
    """Raises OctetError for another type."""
    if codes not in CODES:
        raise OctetError(f"codes {codes!r} are unknown; take one of {', '.join(CODES)}")


def shifted(graph: Graph) -> set[Node]:
    """The quantize and dequantize nodes of activations."""
    found = set()
    for node in graph.nodes:
        readers = graph.users.get(node.var, ())
        own = (
            is_op(node.value, "relax.quantize")
            and str(attrs_of(node.value)["out_dtype"]) == "int8"
            and is_constant(node.inputs[2])
        )
        if (
            own
            and node.var not in graph.outputs
            and readers
            and all(
                is_op(reader.value, "relax.dequantize") and reader.inputs[0].same_as(node.var) for reader in readers
            )
        ):
            found |= {node, *readers}
    return found


def zero_point(node: Node) -> np.ndarray:
    """The zero point of a node that is shifted to unsigned codes, uint8."""
    return (array_of(node.inputs[2]).astype(np.int16) + 128).astype(np.uint8)
