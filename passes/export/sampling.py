"""What reads an image between its pixels, as ONNX nodes: Resize, GridSample, RoiAlign."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops import attrs_of, shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .onnx_qdq import Emitter


def resize(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """Resize to the extents of the result."""
    attrs = attrs_of(call)
    mode = {"nearest_neighbor": "nearest", "linear": "linear", "cubic": "cubic"}[attrs["method"]]
    nearest = {
        "round": "round_prefer_floor",
        "": "round_prefer_floor",
        "floor": "floor",
        "ceil": "ceil",
        "round_prefer_floor": "round_prefer_floor",
        "round_prefer_ceil": "round_prefer_ceil",
    }
    extra: dict[str, Any] = {"nearest_mode": nearest[attrs["rounding_method"]]} if mode == "nearest" else {}
    if mode == "cubic":
        extra = {"cubic_coeff_a": attrs["cubic_alpha"], "exclude_outside": int(attrs["cubic_exclude"])}
    sizes = out.constant(np.array(shape_of(call), np.int64))
    return out.node(
        "Resize",
        [operands[0], "", "", sizes],
        mode=mode,
        coordinate_transformation_mode=attrs["coordinate_transformation_mode"],
        **extra,
    )


def grid_sample(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """GridSample, whose grid has its coordinates last."""
    attrs = attrs_of(call)
    rank = len(shape_of(call))
    grid = out.node("Transpose", [operands[1]], perm=[0, *range(2, rank), 1])
    mode = (
        attrs["method"]
        if out.opset < 20
        else {"bilinear": "linear", "bicubic": "cubic"}.get(attrs["method"], attrs["method"])
    )
    return out.node(
        "GridSample",
        [operands[0], grid],
        mode=mode,
        padding_mode=attrs["padding_mode"],
        align_corners=int(attrs["align_corners"]),
    )


def roi_align(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """Regions (image, x1, y1, x2, y2) apart into numbers of images and corners. ONNX's aligned form takes half a pixel
    off what is scaled, Relax's does not."""
    attrs = attrs_of(call)
    first, corner, last, axis = (out.constant(np.array([value], np.int64)) for value in (0, 1, 5, 1))
    images = out.node("Slice", [operands[1], first, corner, axis])
    flat = out.node("Reshape", [images, out.constant(np.array([-1], np.int64))])
    corners = out.node("Slice", [operands[1], corner, last, axis])
    if attrs["aligned"]:
        corners = out.node("Add", [corners, out.constant(np.float32(0.5 / attrs["spatial_scale"]))])
    height, width = attrs["pooled_size"]
    return out.node(
        "RoiAlign",
        [operands[0], corners, out.node("Cast", [flat], to=out.dtype("int64"))],
        mode=attrs["mode"],
        output_height=height,
        output_width=width,
        sampling_ratio=attrs["sample_ratio"],
        spatial_scale=attrs["spatial_scale"],
        coordinate_transformation_mode="half_pixel" if attrs["aligned"] else "output_half_pixel",
    )
