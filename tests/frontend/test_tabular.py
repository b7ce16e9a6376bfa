"""Operators of ai.onnx.ml against ONNX's reference implementation."""

import numpy as np
import pytest
from onnx import helper

from octet.passes.pipeline import canonicalize
from octet.passes.referee import reference
from octet.targets.errors import UnsupportedModelError

X = np.array([[1.5, -2.0, 0.25], [0.0, 3.0, -1.0]], "float32")


def tables(model, operator, inputs, constants=(), outputs=("y",), opset=17, **attributes):
    node = helper.make_node(operator, list(inputs), list(outputs), domain="ai.onnx.ml", **attributes)
    runtime = {name: value for name, value in inputs.items() if value is not None}
    proto = model([node], runtime, constants, opset=opset, outputs=outputs)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return proto, runtime


@pytest.mark.parametrize(
    "operator, attributes",
    [
        ("Scaler", {"offset": [0.5, 1.0, -1.0], "scale": [2.0, 0.5, 3.0]}),
        ("Scaler", {"offset": [0.5], "scale": [2.0]}),
        ("Normalizer", {"norm": "MAX"}),
        ("Normalizer", {"norm": "L1"}),
        ("Normalizer", {"norm": "L2"}),
        ("Binarizer", {"threshold": 0.25}),
        ("Imputer", {"imputed_value_floats": [7.0, 8.0, 9.0], "replaced_value_float": -2.0}),
        ("Imputer", {"imputed_value_floats": [7.0], "replaced_value_float": float("nan")}),
        ("LinearRegressor", {"coefficients": [1.0, 2.0, 3.0, -1.0, 0.5, 4.0], "intercepts": [0.5, -2.0], "targets": 2}),
    ],
)
def test_of_floats(model, agrees, operator, attributes):
    x = np.where(X == 0, np.float32("nan"), X) if operator == "Imputer" else X
    for opset in (11, 18) if operator == "Normalizer" else (17,):
        proto, inputs = tables(model, operator, {"x": x}, opset=opset, **attributes)
        agrees(proto, inputs)


@pytest.mark.parametrize("rows, transform", [(1, "LOGISTIC"), (2, "SOFTMAX"), (2, "NONE")])
def test_a_linear_classifier_gives_classes_and_scores(model, agrees, rows, transform):
    coefficients = [1.0, 2.0, 3.0, -1.0, 0.5, 4.0][: 3 * rows]
    attributes = {"coefficients": coefficients, "intercepts": [0.5, -2.0][:rows], "classlabels_ints": [4, 9]}
    proto, inputs = tables(
        model, "LinearClassifier", {"x": X}, outputs=("label", "scores"), post_transform=transform, **attributes
    )
    proto.graph.output[0].type.tensor_type.elem_type = 7
    agrees(proto, inputs)


def test_the_class_of_the_best_score(model, agrees):
    """As exporters of scikit-learn write it: ArgMax looks up a table of classes."""
    nodes = [
        helper.make_node("ArgMax", ["x"], ["best"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["classes", "best"], ["y"], domain="ai.onnx.ml"),
    ]
    proto = model(nodes, {"x": X}, {"classes": np.array([3, 5, 8])})
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    proto.graph.output[0].type.tensor_type.elem_type = 7
    agrees(proto, {"x": X})


@pytest.mark.parametrize(
    "attributes, reason",
    [
        ({"classlabels_strings": ["a", "b"]}, "by texts"),
        ({"classlabels_ints": [0, 1], "post_transform": "PROBIT"}, "PROBIT"),
    ],
)
def test_what_is_refused(model, load, attributes, reason):
    proto, _ = tables(model, "LinearClassifier", {"x": X}, outputs=("y", "s"), coefficients=[1.0] * 6, **attributes)
    with pytest.raises(UnsupportedModelError, match=reason):
        load(proto)


def test_a_file_without_operators_of_onnxs_own(model, load):
    """Whoever writes tables alone leaves out the version of what they do not use."""
    proto, inputs = tables(model, "Binarizer", {"x": X}, threshold=0.25)
    del proto.opset_import[0]
    assert [entry.domain for entry in proto.opset_import] == ["ai.onnx.ml"]
    found = reference.run(canonicalize(load(proto)).module, inputs)[0]
    assert np.array_equal(found, (X > 0.25).astype("float32"))
