"""Resize: R.image.resize2d where its ratio of extents is ONNX's scale and it has such weights, one axis at a time where
not.

ONNX maps coordinates with the scale as given; Relax with output extent / input extent. The two differ when scale *
extent is not whole (1.5 * 5 = 7.5, cut to 7). Then, and for antialias, regions, volumes, batches and channels, nearest
becomes R.take, linear and cubic products with constant weights.
"""

from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError
from .resize_weights import positions, rounded_positions, weights

if TYPE_CHECKING:
    from .node import OnnxNode

_METHODS = {"nearest": "nearest_neighbor", "linear": "linear", "cubic": "cubic"}
_REGION = "tf_crop_and_resize"
# At a whole output extent half_pixel_symmetric is half_pixel.
_COORDINATES = {
    name: name for name in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn")
}
_COORDINATES["half_pixel_symmetric"] = "half_pixel"


def resize(node: "OnnxNode") -> relax.Expr:
    """[N, C, W] (at height 1) and [N, C, H, W] at once where height and width alone change."""
    shape, mode = node.shape(0), node.text("mode", "nearest")
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    if coordinates not in (*_COORDINATES, _REGION) or mode not in _METHODS:
        raise UnsupportedModelError(
            f"uses {mode} with {coordinates}; export it with linear or nearest and half_pixel, asymmetric or "
            "align_corners"
        )
    extents, scales = _target(node, shape)
    whole = coordinates == "align_corners" or not any(
        abs(scale * old - new) > 1e-3 for scale, old, new in zip(scales, shape, extents)
    )
    if (
        not whole
        or coordinates == _REGION
        or node.attrs.get("antialias", 0)
        or len(shape) not in (3, 4)
        or extents[:2] != shape[:2]
    ):
        return _explicit(node, mode, coordinates, extents, scales)
    x = (
        node.inputs[0]
        if len(shape) == 4
        else node.emit(relax.op.reshape(node.inputs[0], [*shape[:2], 1, shape[2]]), "reshape")
    )
    out = relax.op.image.resize2d(
        x,
        relax.ShapeExpr(extents[2:] if len(shape) == 4 else [1, extents[2]]),
        layout="NCHW",
        method=_METHODS[mode],
        coordinate_transformation_mode=_COORDINATES[coordinates],
        rounding_method=node.text("nearest_mode", "round_prefer_floor"),
        cubic_alpha=float(node.attrs.get("cubic_coeff_a", -0.75)),
        cubic_exclude=int(node.attrs.get("exclude_outside", 0)),
    )
    return out if len(shape) == 4 else node.emit(relax.op.reshape(node.emit(out), extents), "down")


def _axes(node: "OnnxNode", rank: int) -> list[int]:
    """Of `axes` (opset 18): those that the other inputs speak of."""
    return [int(axis) % rank for axis in node.attrs.get("axes", range(rank))]


def _target(node: "OnnxNode", shape: list[int]) -> tuple[list[int], list[float]]:
    """Output extents and scales for every axis."""
    sizes, scales = node.array(3, "sizes"), node.array(2, "scales")
    axes, policy = _axes(node, len(shape)), node.text("keep_aspect_ratio_policy", "stretch")
    extents, factors = list(shape), [1.0] * len(shape)
    by_size = sizes is not None and sizes.size
    if by_size and policy != "stretch":
        ratios = [int(sizes[i]) / shape[axis] for i, axis in enumerate(axes)]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        for axis in axes:
            extents[axis], factors[axis] = int(ratio * shape[axis] + 0.5), ratio
        return extents, factors
    for i, axis in enumerate(axes):
        extents[axis] = int(sizes[i]) if by_size else int(np.floor(np.float32(shape[axis]) * scales[i]))
        factors[axis] = extents[axis] / shape[axis] if by_size else float(scales[i])
    return extents, factors


def _explicit(node: "OnnxNode", mode: str, coordinates: str, extents: list[int], scales: list[float]) -> relax.Expr:
    x, shape, cropped = node.inputs[0], node.shape(0), coordinates == _REGION
    regions, outside = _regions(node, len(shape)) if cropped else {}, np.zeros(extents, bool)
    for axis in range(len(shape)):
        region = regions.get(axis, (0.0, 1.0))
        if extents[axis] == shape[axis] and scales[axis] == 1.0 and tuple(region) == (0.0, 1.0):
            continue
        position = positions(coordinates, extents[axis], np.float32(scales[axis]), shape[axis], region)
        if cropped:
            beyond = (position < 0) | (position > shape[axis] - 1)
            outside |= beyond.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        if mode == "nearest":
            index = np.clip(
                rounded_positions(position, node.text("nearest_mode", "round_prefer_floor")), 0, shape[axis] - 1
            )
            x = node.emit(relax.op.take(x, relax.const(index, "int64"), axis, mode="clip"), f"axis{axis}")
        else:
            x = _product(node, x, axis, _weights(node, mode, position, shape[axis], scales[axis]))
    if not outside.any():
        return x
    beyond = relax.const(np.full(extents, node.attrs.get("extrapolation_value", 0.0), "float32"))
    return relax.op.where(relax.const(outside), beyond, x)


def _weights(node: "OnnxNode", mode: str, position: np.ndarray, extent: int, scale: float) -> np.ndarray:
    alpha = float(node.attrs.get("cubic_coeff_a", -0.75))
    return weights(
        position,
        extent,
        mode,
        scale,
        bool(node.attrs.get("antialias", 0)),
        alpha,
        bool(node.attrs.get("exclude_outside", 0)),
    )


def _regions(node: "OnnxNode", rank: int) -> dict[int, tuple[float, float]]:
    """{axis: (first, last)} of the input that is resized, as parts of its extent."""
    roi = node.array(1, "region")
    if roi is None or not roi.size:
        raise UnsupportedModelError(
            "crops without a region; export it with one, or with another coordinate transformation"
        )
    axes = _axes(node, rank)
    return {axis: (float(roi[i]), float(roi[i + len(axes)])) for i, axis in enumerate(axes)}


def _product(node: "OnnxNode", x: relax.Expr, axis: int, matrix: np.ndarray) -> relax.Var:
    """x times [extent, new extent] along an axis."""
    rank = len(x.ty.shape.values)
    order = [i for i in range(rank) if i != axis] + [axis]
    product = relax.op.matmul(node.emit(relax.op.permute_dims(x, order), f"order{axis}"), relax.const(matrix))
    back = [order.index(i) for i in range(rank)]
    return node.emit(relax.op.permute_dims(node.emit(product, f"axis{axis}"), back), f"back{axis}")


CONVERTERS = {"Resize": resize}
