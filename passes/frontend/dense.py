"""Gemm: alpha, beta and the transpositions go into known weights and biases right away."""

import numpy as np
from tvm import relax


def gemm(node):
    """R.matmul(a, b) and, with a third input, R.add(.., c): alpha * op(a) @ op(b) + beta * c."""
    a, b = node.inputs[:2]
    alpha, beta = (np.float32(node.attrs.get(name, 1.0)) for name in ("alpha", "beta"))
    if node.attrs.get("transA", 0):
        a = node.emit(relax.op.permute_dims(a, [1, 0]), "transA")
    if node.arrays[1] is not None:
        weight = node.arrays[1].T if node.attrs.get("transB", 0) else node.arrays[1]
        b = relax.const(np.ascontiguousarray(weight if alpha == 1 else weight * alpha))
    else:
        if node.attrs.get("transB", 0):
            b = node.emit(relax.op.permute_dims(b, [1, 0]), "transB")
        if alpha != 1:
            a = node.emit(relax.op.multiply(a, relax.const(alpha)), "alpha")
    product = node.emit(relax.op.matmul(a, b))
    if not node.has(2):
        return product
    if node.arrays[2] is not None:
        c = relax.const(np.ascontiguousarray(node.arrays[2] * beta))
    else:
        c = node.inputs[2] if beta == 1 else node.emit(relax.op.multiply(node.inputs[2], relax.const(beta)), "beta")
    return node.emit(relax.op.add(product, c), "bias")


CONVERTERS = {"Gemm": gemm}
