"""Operators of ai.onnx.ml in front of and behind networks of tables, as ONNX's own: scaling, missing values, linear
models and picked columns. Trees, kernels, texts and maps are no networks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from ...targets.errors import UnsupportedModelError
from ...targets.seams import Attrs
from .node import attribute_text

if TYPE_CHECKING:
    from .importer import OnnxImporter

_SMALLEST = np.float32(1e-30)  # Rows are divided by their norm or, where they are zero, by this.
DOMAIN = "ai.onnx.ml"
_NORMS = {"MAX": "ReduceMax", "L1": "ReduceSum", "L2": "ReduceL2"}
_TRANSFORMS = {"LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}


def _floats(graph: "OnnxImporter", node: onnx.NodeProto) -> Any:
    """The first input in float32, in which these operators compute."""
    cast = [helper.make_attribute("to", onnx.TensorProto.FLOAT)]
    return graph.apply(node, "Cast", [graph.value(node.input[0])], cast)


def _array(attrs: Attrs, name: str) -> np.ndarray:
    return np.array(attrs.get(name, []), "float32")


def scaler(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """(x - offset) * scale."""
    x = graph.apply(node, "Sub", [_floats(graph, node), _array(attrs, "offset")])
    return [graph.apply(node, "Mul", [x, _array(attrs, "scale")])]


def normalizer(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """Rows divided by their norm."""
    x, norm = _floats(graph, node), attribute_text(attrs.get("norm", "MAX"))
    magnitudes = x if norm == "L2" else graph.apply(node, "Abs", [x])
    as_input = graph.opset >= (13 if norm == "L1" else 18)
    axes = [] if as_input else [helper.make_attribute("axes", [-1])]
    size = graph.apply(node, _NORMS[norm], [magnitudes, *([np.array([-1])] if as_input else [])], axes)
    return [graph.apply(node, "Div", [x, graph.apply(node, "Max", [size, _SMALLEST])])]


def binarizer(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """1 above the threshold, else 0."""
    above = graph.apply(node, "Greater", [_floats(graph, node), np.float32(attrs.get("threshold", 0.0))])
    return [graph.apply(node, "Cast", [above], [helper.make_attribute("to", onnx.TensorProto.FLOAT)])]


def imputer(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """What stands in place of missing values."""
    kind = "float" if attrs.get("imputed_value_floats") else "int64"
    missing, x = np.float32(attrs.get(f"replaced_value_{kind}", 0)), _floats(graph, node)
    absent = graph.apply(node, "IsNaN", [x]) if np.isnan(missing) else graph.apply(node, "Equal", [x, missing])
    return [graph.apply(node, "Where", [absent, _array(attrs, f"imputed_value_{kind}s"), x])]


def columns(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """ArrayFeatureExtractor: elements along the last axis; of a vector as one row."""
    data, index = (graph.value(name) for name in node.input)
    if isinstance(data, np.ndarray) and data.dtype.kind in "OUS":
        raise UnsupportedModelError("names classes by texts; export it with numbers for classes")
    flat = graph.apply(node, "Reshape", [index, np.array([-1])])
    rank = len(graph.extents(data))
    found = graph.apply(node, "Gather", [data, flat], [helper.make_attribute("axis", rank - 1)])
    return [graph.apply(node, "Reshape", [found, np.array([1, -1])]) if rank == 1 else found]


def regressor(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """LinearRegressor: x @ coefficients + intercepts."""
    return [_transformed(graph, node, attrs, _linear(graph, node, attrs, attrs.get("targets", 1)))]


def classifier(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """LinearClassifier: [class of the greatest score, scores]; one row of coefficients tells two classes apart."""
    classes = attrs.get("classlabels_ints")
    if not classes:
        raise UnsupportedModelError("names classes by texts; export it with numbers for classes")
    features = graph.extents(graph.value(node.input[0]))[-1]
    rows = len(attrs["coefficients"]) // features
    scores = _linear(graph, node, attrs, rows)
    if rows == 1:
        scores = graph.apply(
            node, "Concat", [graph.apply(node, "Neg", [scores]), scores], [helper.make_attribute("axis", 1)]
        )
    scores = _transformed(graph, node, attrs, scores)
    axes = [helper.make_attribute("axis", 1), helper.make_attribute("keepdims", 0)]
    best = graph.apply(node, "ArgMax", [scores], axes)
    return [graph.apply(node, "Gather", [np.array(classes, "int64"), best]), scores]


def _linear(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs, rows: int) -> Any:
    weights = _array(attrs, "coefficients").reshape(rows, -1).T.copy()
    result = graph.apply(node, "MatMul", [_floats(graph, node), weights])
    intercepts = _array(attrs, "intercepts")
    return graph.apply(node, "Add", [result, intercepts]) if intercepts.size else result


def _transformed(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs, scores: Any) -> Any:
    kind = attribute_text(attrs.get("post_transform", "NONE"))
    if kind == "NONE":
        return scores
    if kind not in _TRANSFORMS:
        raise UnsupportedModelError(f"ends in {kind}, which no network in use has; export it without post_transform")
    return graph.apply(node, _TRANSFORMS[kind], [scores])


CONVERTERS: dict[str, Callable[..., list[Any]]] = {
    "Scaler": scaler,
    "Normalizer": normalizer,
    "Binarizer": binarizer,
    "Imputer": imputer,
    "ArrayFeatureExtractor": columns,
    "LinearRegressor": regressor,
    "LinearClassifier": classifier,
}
