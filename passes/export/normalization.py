"""Normalisations of rows in ONNX (opset 17)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...targets.errors import UnsupportedModelError
from ..ops import attrs_of, shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .onnx_qdq import Emitter


def layer_norm(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """LayerNormalization; over trailing axes only, else UnsupportedModelError."""
    attrs = attrs_of(call)
    axes = [a % len(shape_of(call)) for a in attrs["axes"]]
    if axes != list(range(min(axes), len(shape_of(call)))):
        raise UnsupportedModelError(f"ONNX export: layer_norm over axes {axes} has no ONNX form")
    return out.node("LayerNormalization", operands, axis=axes[0], epsilon=attrs["epsilon"])


def rms_norm(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """RMS normalisation, spelled out, as ONNX has the operator from opset 23 on."""
    attrs, (x, weight) = attrs_of(call), operands
    axes = [axis % len(shape_of(call)) for axis in attrs["axes"]]
    mean = out.node("ReduceMean", [out.node("Mul", [x, x])], axes=axes, keepdims=1)
    root = out.node("Sqrt", [out.node("Add", [mean, out.constant(np.float32(attrs["epsilon"]))])])
    return out.node("Mul", [out.node("Div", [x, root]), weight])


def batch_norm(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> tuple[str, str, str]:
    """BatchNormalization of statistics that are computed; what it makes is followed by them, as they are."""
    return out.node("BatchNormalization", operands, epsilon=attrs_of(call)["epsilon"]), operands[3], operands[4]


EXPORTERS = {"relax.nn.batch_norm": batch_norm, "relax.nn.layer_norm": layer_norm, "relax.nn.rms_norm": rms_norm}
