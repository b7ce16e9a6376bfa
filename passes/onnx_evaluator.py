"""ONNX's own evaluator, with the operators for which it is too narrow written out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun


class GatherElements(OpRun):  # type: ignore[misc] # a class of ONNX, which has no annotations
    """ONNX's takes an axis of at most 64 (`numpy.choose`)."""

    op_domain = ""

    def _run(self, data: np.ndarray, indices: np.ndarray, axis: int | None = None) -> tuple[np.ndarray]:
        axis = range(data.ndim)[axis or 0]
        # Indices may be fewer than the data along the other axes.
        read = data[tuple(slice(None if i == axis else extent) for i, extent in enumerate(indices.shape))]
        return (np.take_along_axis(read, indices, axis),)


def evaluate_onnx(model: onnx.ModelProto, feed: Mapping[str, Any]) -> list[Any]:
    """The outputs of a model, in its order."""
    found: list[Any] = ReferenceEvaluator(model, new_ops=[GatherElements]).run(None, dict(feed))
    return found
