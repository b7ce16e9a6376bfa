"""Resize: R.image.resize2d where its ratio of extents is ONNX's scale, explicit interpolation where it is not.

ONNX maps coordinates with the scale as given; Relax with output extent / input extent. The two differ when scale * extent is not
whole (1.5 * 5 = 7.5, cut to 7): then nearest becomes R.take and linear a product with constant weights, one axis at a time.
"""

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError

_METHODS = {"nearest": "nearest_neighbor", "linear": "linear", "cubic": "cubic"}
# At a whole output extent half_pixel_symmetric is half_pixel.
_COORDINATES = {name: name for name in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn")}
_COORDINATES["half_pixel_symmetric"] = "half_pixel"


def resize(node):
    """[N, C, W] (at height 1) and [N, C, H, W]; the batch and the channels may not be resized."""
    shape, mode = node.shape(0), node.text("mode", "nearest")
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    if coordinates not in _COORDINATES or mode not in _METHODS:
        raise UnsupportedModelError(f"uses {mode} with {coordinates}; export it with linear or nearest and half_pixel, asymmetric or align_corners")
    if node.attrs.get("antialias", 0) or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsupportedModelError("uses antialias or keep_aspect_ratio_policy; export it without them")
    if len(shape) not in (3, 4):
        raise UnsupportedModelError(f"resizes a tensor of rank {len(shape)}; only [N, C, W] and [N, C, H, W] are supported")
    extents, scales = _target(node, shape)
    if extents[:2] != shape[:2]:
        raise UnsupportedModelError("resizes the batch or the channels; only height and width can be")
    if coordinates != "align_corners" and any(abs(scale * old - new) > 1e-3 for scale, old, new in zip(scales, shape, extents)):
        return _explicit(node, mode, coordinates, extents, scales)
    x = node.inputs[0] if len(shape) == 4 else node.emit(relax.op.reshape(node.inputs[0], [*shape[:2], 1, shape[2]]), "reshape")
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


def _target(node, shape):
    """Output extents and scales for every axis; `axes` (opset 18) names those that the inputs speak of."""
    sizes, scales = node.array(3, "sizes"), node.array(2, "scales")
    axes = [int(axis) % len(shape) for axis in node.attrs.get("axes", range(len(shape)))]
    extents, factors = list(shape), [1.0] * len(shape)
    by_size = sizes is not None and sizes.size
    for i, axis in enumerate(axes):
        extents[axis] = int(sizes[i]) if by_size else int(np.floor(np.float32(shape[axis]) * scales[i]))
        factors[axis] = extents[axis] / shape[axis] if by_size else float(scales[i])
    return extents, factors


def _explicit(node, mode, coordinates, extents, scales):
    if mode == "cubic":
        raise UnsupportedModelError("resizes cubically by a scale that gives no whole extent; export it with sizes")
    x, shape = node.inputs[0], node.shape(0)
    for axis in range(2, len(shape)):
        if extents[axis] == shape[axis]:
            continue
        position = _position(coordinates, np.arange(extents[axis], dtype="float32"), np.float32(scales[axis]), shape[axis])
        if mode == "nearest":
            index = _nearest(position, node.text("nearest_mode", "round_prefer_floor"))
            x = node.emit(relax.op.take(x, relax.const(np.clip(index, 0, shape[axis] - 1), "int64"), axis, mode="clip"), f"axis{axis}")
        else:
            x = _interpolate(node, x, axis, position, shape[axis])
    return x


def _position(coordinates, out, scale, extent):
    """Where an output element lies in the input, in elements; in float32 as other runtimes compute it, which decides ties of nearest."""
    if coordinates == "asymmetric":
        return out / scale
    if coordinates == "tf_half_pixel_for_nn":
        return (out + np.float32(0.5)) / scale
    if coordinates == "half_pixel_symmetric":
        adjustment = np.float32(out.size) / (scale * np.float32(extent))
        return np.float32(extent / 2) * (1 - adjustment) + (out + np.float32(0.5)) / scale - np.float32(0.5)
    if coordinates == "pytorch_half_pixel" and out.size == 1:
        return out * 0.0
    return (out + np.float32(0.5)) / scale - np.float32(0.5)


def _nearest(position, rounding):
    if rounding == "floor":
        return np.floor(position)
    if rounding == "ceil":
        return np.ceil(position)
    return np.ceil(position - 0.5) if rounding == "round_prefer_floor" else np.floor(position + 0.5)


def _interpolate(node, x, axis, position, extent):
    position = np.clip(position, 0, extent - 1)
    low = np.floor(position).astype("int64")
    weights = np.zeros((extent, position.size), "float32")
    columns = np.arange(position.size)
    np.add.at(weights, (low, columns), 1 - (position - low))
    np.add.at(weights, (np.minimum(low + 1, extent - 1), columns), position - low)
    rank = len(x.ty.shape.values)
    order = [i for i in range(rank) if i != axis] + [axis]
    product = relax.op.matmul(node.emit(relax.op.permute_dims(x, order), f"order{axis}"), relax.const(weights))
    back = [order.index(i) for i in range(rank)]
    return node.emit(relax.op.permute_dims(node.emit(product, f"axis{axis}"), back), f"back{axis}")


CONVERTERS = {"Resize": resize}
