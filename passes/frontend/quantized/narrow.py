"""Weights of 4 bits: how they lie in a file, and the operators that multiply with blocks of them.

    DequantizeLinear(w, s, z) of int4 or uint4, of the tensor, an axis or blocks  -> float32 constants
    com.microsoft MatMulNBits(A, B, s, z)                                          -> A @ dequantised(B).T
They are read as float32 and stay so or become int8 per channel with all others: no kernel computes in 4 bits."""

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper

from ....targets.errors import UnsupportedModelError
from ....targets.seams import Attrs

if TYPE_CHECKING:
    from tvm import relax

    from ..importer import OnnxImporter

# A byte holds two values of these element types, the first in its lower half.
PACKED = frozenset({onnx.TensorProto.INT4, onnx.TensorProto.UINT4})
NOTE = "weights of 4 bits were dequantised: float32 or int8 from there on"


def bytes_of(count: int, data_type: int) -> int:
    """How many bytes so many elements of a type take in a file."""
    return -(-count // 2) if data_type in PACKED else count * helper.tensor_dtype_to_np_dtype(data_type).itemsize


def halves(packed: np.ndarray, count: int) -> np.ndarray:
    """uint8 [..., n] -> its first `count` values of 4 bits, uint8 [..., count]."""
    both = np.stack((packed & 15, packed >> 4), axis=-1)
    return both.reshape(*packed.shape[:-1], -1)[..., :count]


def unpacked(packed: np.ndarray, shape: tuple[int, int], data_type: int) -> np.ndarray:
    """uint8 [n] of a file -> int4 or uint4 (ml_dtypes) of the shape."""
    values = halves(packed, int(np.prod(shape))).astype(np.int8)
    signed = np.where(values > 7, values - 16, values) if data_type == onnx.TensorProto.INT4 else values
    return signed.astype(helper.tensor_dtype_to_np_dtype(data_type)).reshape(shape)


def blocked_product(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> "list[relax.Var]":
    """MatMulNBits (A, B, scales, zero points, group index, bias): B uint8 [N, blocks, bytes of a block], scales [N *
    blocks], zero points packed as B or of the scales' type."""
    columns, depth, bits, block = attrs["N"], attrs["K"], attrs.get("bits", 4), attrs["block_size"]
    names = [*node.input, *[""] * (6 - len(node.input))]
    weight, scales, zeros = (graph.known(name) if name else None for name in names[1:4])
    if bits not in (4, 8) or names[4] or weight is None or scales is None or names[3] and zeros is None:
        raise UnsupportedModelError(
            f"multiplies weights of {bits} bits{', with an order of its own' if names[4] else ''}; only constants of "
            "4 or 8 bits in order are read, give the fp32 network it was made from"
        )
    blocks = -(-depth // block)
    values = weight.reshape(columns, blocks, -1)
    values = halves(values, block) if bits == 4 else values
    scales = scales.reshape(columns, blocks, 1).astype(np.float32)
    if zeros is None:
        zeros = np.full((columns, blocks), 1 << bits - 1, np.uint8)
    elif zeros.dtype == np.uint8 and bits == 4:
        zeros = halves(zeros.reshape(columns, -1), blocks)
    real = (values.astype(np.float32) - zeros.reshape(columns, blocks, 1).astype(np.float32)) * scales
    graph.notes.add(NOTE if bits == 4 else NOTE.replace("4", "8"))
    product = graph.apply(
        node, "MatMul", [graph.value(names[0]), np.ascontiguousarray(real.reshape(columns, -1)[:, :depth].T)]
    )
    return [graph.apply(node, "Add", [product, graph.value(names[5])]) if names[5] else product]
