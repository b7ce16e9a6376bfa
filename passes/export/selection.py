"""Operators that keep some of their candidates, in ONNX: its own result, whose size follows from the data, then -1 up
to the room that the network has for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..ops import attrs_of, shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .onnx_qdq import Emitter


def _non_max_suppression(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    limits = [out.constant(np.array([attrs["most"]], np.int64)), out.constant(np.array([attrs["overlap"]], np.float32))]
    if "threshold" in attrs:
        limits.append(out.constant(np.array([attrs["threshold"]], np.float32)))
    kept = out.node("NonMaxSuppression", [*operands, *limits], center_point_box=int(attrs["centers"]))
    return _filled(kept, shape_of(call), 0, out)


def _nonzero(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return _filled(out.node("NonZero", operands), shape_of(call), 1, out)


def _filled(kept: str, shape: Sequence[int], axis: int, out: "Emitter") -> str:
    room = out.constant(np.full(shape, -1, np.int64))
    bounds = [out.constant(np.array([value], np.int64)) for value in (0, shape[axis], axis)]
    return out.node("Slice", [out.node("Concat", [kept, room], axis=axis), *bounds])


EXPORTERS = {"octet.non_max_suppression": _non_max_suppression, "octet.nonzero": _nonzero}
