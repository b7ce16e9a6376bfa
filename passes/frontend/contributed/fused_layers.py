"""Activations, products, convolutions and normalisations that ONNX Runtime's optimiser joins with their neighbours."""

from typing import Any

import numpy as np

from ....targets.errors import UnsupportedModelError
from .body import BEFORE, Body

_PARAMETERS = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}  # An activation joined with a layer has these attributes.
_EPSILON = 1e-12  # Normalisations joined with a sum have this one where they say none.
_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


def gelu(b: Body, approximate: str = "none") -> list[str]:
    """Of x [+ bias]."""
    x = b("Add", b.input(0), b.input(1)) if b.input(1) else b.input(0)
    return [b("Gelu", x, approximate=approximate)]


def quick_gelu(b: Body) -> list[str]:
    """x * sigmoid(alpha * x)."""
    scaled = b("Mul", b.input(0), b.const(b.attrs.get("alpha", 1.702)))
    return [b("Mul", b.input(0), b("Sigmoid", scaled))]


def of_onnx(b: Body, operator: str) -> list[str]:
    """An operator that ONNX has by this name, too."""
    return [b(operator, *b.inputs, **b.attrs)]


def fused_matmul(b: Body) -> list[str]:
    """alpha * op(a) @ op(b), where op exchanges the last two axes."""
    if b.attrs.get("transBatchA", 0) or b.attrs.get("transBatchB", 0):
        raise UnsupportedModelError(f"turns its batch; {BEFORE}")
    sides = []
    for i, name in enumerate(("transA", "transB")):
        axes = list(range(len(b.shape(i))))
        turned = b.attrs.get(name, 0) and len(axes) > 1
        sides.append(b("Transpose", b.input(i), perm=[*axes[:-2], axes[-1], axes[-2]]) if turned else b.input(i))
    product, alpha = b("MatMul", *sides), b.attrs.get("alpha", 1.0)
    return [product if alpha == 1 else b("Mul", product, b.const(alpha))]


def fused_gemm(b: Body) -> list[str]:
    """Gemm with an activation."""
    attrs = {name: b.attrs[name] for name in ("alpha", "beta", "transA", "transB") if name in b.attrs}
    given = [b.attrs[f"activation_{name}"] for name in ("alpha", "beta") if f"activation_{name}" in b.attrs]
    return [_activated(b, b("Gemm", *b.inputs, **attrs), given)]


def fused_conv(b: Body) -> list[str]:
    """Conv [+ z] with an activation."""
    attrs = {name: b.attrs[name] for name in _CONV if name in b.attrs}
    y = b("Conv", *b.inputs[:3], **attrs)
    y = b("Add", y, b.input(3)) if b.input(3) else y
    return [_activated(b, y, b.attrs.get("activation_params", []))]


def _activated(b: Body, x: str, given: Any) -> str:
    kind = b.attrs.get("activation", b"").decode()
    if not kind:
        return x
    if kind == "Clip":
        return b("Clip", x, *(b.const(bound) for bound in given))
    if kind not in _PARAMETERS:
        raise UnsupportedModelError(f"has the activation {kind}; {BEFORE}")
    return b(kind, x, **dict(zip(_PARAMETERS[kind], given)))


def skip_layer_norm(b: Body) -> list[str]:
    """layer_norm(x + skip [+ bias]): the result, its statistics and the sum."""
    x = _summed(b, 4)
    epsilon = b.attrs.get("epsilon", _EPSILON)
    beta = [b.input(3)] if b.input(3) else []
    y, *statistics = b("LayerNormalization", x, b.input(2), *beta, outputs=3, axis=-1, epsilon=epsilon)
    return [y, *statistics, x]


def skip_rms_norm(b: Body) -> list[str]:
    """rms_norm(x + skip [+ bias]), and as the fourth result the sum. Statistics are for training alone."""
    x = _summed(b, 3)
    return [b("RMSNormalization", x, b.input(2), axis=-1, epsilon=b.attrs.get("epsilon", _EPSILON)), "", "", x]


def rms_norm(b: Body) -> list[str]:
    """Over the axes from `axis` on."""
    axis, epsilon = b.attrs.get("axis", -1), b.attrs.get("epsilon", 1e-5)
    return [b("RMSNormalization", *b.inputs[:2], axis=axis, epsilon=epsilon)]


def _summed(b: Body, bias: int) -> str:
    x = b("Add", b.input(0), b.input(1))
    return b("Add", x, b.input(bias)) if b.input(bias) else x


def embed_layer_norm(b: Body) -> list[str]:
    """layer_norm(word[ids] + position[0, 1, ..] [+ segment[ids]]), the count of kept tokens, and the sum."""
    ids, segments, words, positions, kinds, gamma, beta, mask, places = (b.input(i) for i in range(9))
    length = b.shape(0)[1]
    x = b("Gather", words, ids)
    places = places or b.const(np.arange(length), np.int64)
    x = b("Add", x, b("Gather", positions, places))
    if segments:
        x = b("Add", x, b("Gather", kinds, segments))
    y = b("LayerNormalization", x, gamma, beta, axis=-1, epsilon=b.attrs.get("epsilon", _EPSILON))
    kept = b("ReduceSum", mask, b.ints(1), keepdims=0) if mask else b.const(np.zeros(b.shape(0)[0]), np.int32)
    return [y, kept, x]


def bias_softmax(b: Body) -> list[str]:
    """softmax(x + bias)."""
    return [b("Softmax", b("Add", b.input(0), b.input(1)), axis=b.attrs.get("axis", 1))]
