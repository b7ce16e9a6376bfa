"""ONNX's evaluator takes GatherElements of long axes, as exporters write it for tables of token types."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from octet.passes.onnx_evaluator import evaluate_onnx


@pytest.mark.parametrize(
    ("shape", "indices", "axis"),
    [((1, 130), (1, 16), 1), ((130, 3), (2, 2), 0), ((2, 3, 70), (2, 3, 5), -1), ((2, 5, 3), (1, 2, 3), 1)],
)
def test_gather_elements(shape, indices, axis):
    random = np.random.default_rng(0)
    data = random.standard_normal(shape).astype("float32")
    places = random.integers(-shape[axis], shape[axis], indices)
    graph = helper.make_graph(
        [helper.make_node("GatherElements", ["x", "i"], ["y"], axis=axis)],
        "gather",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("i", TensorProto.INT64, indices),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    [found] = evaluate_onnx(model, {"x": data, "i": places})
    want = np.empty(indices, "float32")
    for place in np.ndindex(*indices):
        source = list(place)
        source[axis] = places[place]
        want[place] = data[tuple(source)]
    np.testing.assert_array_equal(found, want)
