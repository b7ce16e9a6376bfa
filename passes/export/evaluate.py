"""One operator by ONNX's own evaluator, from its ONNX form: for those that the referee lacks."""

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from ...targets.errors import UnsupportedModelError
from ..onnx_evaluator import evaluate_onnx
from ..referee.values import Values
from .onnx_qdq import OPSET, Emitter
from .operators import EXPORTERS

if TYPE_CHECKING:
    from tvm import relax


def evaluate(call: "relax.Call", args: Values) -> np.ndarray | tuple[np.ndarray, ...]:
    """An array, or a tuple of them. args: stand for call.args. Raises UnsupportedModelError for an operator without an
    ONNX form."""
    if call.op.name not in EXPORTERS:
        raise UnsupportedModelError(
            f"the referee has no operator {call.op.name}, and it has no ONNX form to ask ONNX's own evaluator; run "
            "without the referee"
        )
    arrays = [
        each for arg in args for each in (arg if isinstance(arg, tuple) else (arg,)) if isinstance(each, np.ndarray)
    ]
    feed = {f"x{i}": array for i, array in enumerate(arrays)}
    # The evaluator knows only the newer names of grid_sample's modes.
    out = Emitter(20 if call.op.name == "relax.image.grid_sample" else OPSET)
    out.reserve(feed)
    result = EXPORTERS[call.op.name](call, list(feed), out)
    names = result if isinstance(result, tuple) else (result,)
    inputs = [
        helper.make_tensor_value_info(name, out.dtype(str(array.dtype)), array.shape) for name, array in feed.items()
    ]
    graph = helper.make_graph(
        out.nodes, "other", inputs, [helper.make_tensor_value_info(name, 0, None) for name in names], out.initializers
    )
    for value in graph.output:
        value.ClearField("type")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", out.opset)], ir_version=8)
    results = tuple(np.asarray(each) for each in evaluate_onnx(model, feed))
    fields = call.ty.fields if hasattr(call.ty, "fields") else [call.ty]
    results = tuple(each.astype(str(ty.dtype)) for each, ty in zip(results, fields, strict=True))
    return results if isinstance(result, tuple) else results[0]
