"""Tensors without elements inside a graph, and sequences that never leave it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from octet.targets.errors import UnsupportedModelError

sys.path.insert(0, str(Path(__file__).parent))
from graphs import check, imported, make

X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
F32 = "float32"


def test_empty_parts():
    """Rotary embeddings join an empty slice; a Split may have a part of 0; what is computed of nothing is known."""
    nodes = [
        ("Slice", "x from from axis", "nothing", {}),
        ("Concat", "nothing x", "joined", {"axis": 2}),
        ("Split", "x parts", "a b c", {"axis": 2}),
        ("ReduceSum", "b axis", "zeros", {}),
        ("Relu", "b", "still", {}),
        ("Concat", "still a c", "again", {"axis": 2}),
        ("MatMul", "turned b2", "product", {}),
        ("Transpose", "b", "turned", {"perm": [0, 1, 2]}),
        ("Transpose", "b", "b2", {"perm": [0, 2, 1]}),
        ("Shape", "b", "shape", {}),
    ]
    nodes.append(nodes.pop(6))
    outputs = dict.fromkeys(("joined", "a", "c", "zeros", "again", "product", "b"), F32) | {"shape": "int64"}
    check(
        make(nodes, {"x": X}, outputs, {"from": np.array([4]), "axis": np.array([2]), "parts": np.array([1, 0, 3])}),
        {"x": X},
    )


def test_sequences_of_known_length():
    nodes = [
        ("SequenceConstruct", "x y", "two", {}),
        ("SequenceInsert", "two x first", "three", {}),
        ("SequenceErase", "three last", "again", {}),
        ("ConcatFromSequence", "three", "joined", {"axis": 1}),
        ("ConcatFromSequence", "again", "stacked", {"axis": -1, "new_axis": 1}),
        ("SequenceAt", "three last", "y_again", {}),
        ("SequenceLength", "three", "length", {}),
        ("SplitToSequence", "x", "each", {"axis": 1, "keepdims": 0}),
        ("SequenceAt", "each first", "row", {}),
        ("SplitToSequence", "x size", "some", {"axis": 2}),
        ("SequenceAt", "some last", "rest", {}),
    ]
    outputs = dict.fromkeys(("joined", "stacked", "y_again", "row", "rest"), F32) | {"length": "int64"}
    y = X[::-1].copy()
    want = {
        "joined": np.concatenate([X, X, y], 1),
        "stacked": np.stack([X, X], -1),
        "y_again": y,
        "row": X[:, 0],
        "rest": X[:, :, 3:],
        "length": np.array(3),
    }
    check(
        make(nodes, {"x": X, "y": y}, outputs, {"first": np.array(0), "last": np.array(-1), "size": np.array(3)}),
        {"x": X, "y": y},
        want,
        levels=False,
    )


@pytest.mark.parametrize(
    "nodes, message",
    [
        ([("SequenceConstruct", "x x", "y", {})], "output 'y' is no tensor"),
        (
            [("SequenceConstruct", "x x", "s", {}), ("Squeeze", "i", "place", {}), ("SequenceAt", "s place", "y", {})],
            "'y' computes its position at run time",
        ),
        (
            [("SequenceConstruct", "x x", "s", {}), ("SequenceAt", "s nine", "y", {})],
            "'y' takes position 9 where a sequence has 2",
        ),
        (
            [("SequenceEmpty", "", "s", {}), ("ConcatFromSequence", "s", "y", {"axis": 0})],
            "'y' joins an empty sequence",
        ),
    ],
)
def test_what_is_not_known_is_one_line(nodes, message):
    proto = make(nodes, {"x": X, "i": np.array([0])}, {"y": F32}, {"nine": np.array(9)})
    if message.startswith("output"):
        import onnx

        del proto.graph.output[:]
        proto.graph.output.append(onnx.helper.make_tensor_sequence_value_info("y", onnx.TensorProto.FLOAT, None))
    with pytest.raises(UnsupportedModelError, match=message):
        imported(proto)


def test_space_to_depth_in_both_orders():
    x = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)
    blocks = x.reshape(2, 3, 2, 2, 3, 2)
    want = {
        "dcr": blocks.transpose(0, 3, 5, 1, 2, 4).reshape(2, 12, 2, 3),
        "crd": blocks.transpose(0, 1, 3, 5, 2, 4).reshape(2, 12, 2, 3),
    }
    nodes = [
        ("SpaceToDepth", "x", "dcr", {"blocksize": 2}),
        ("SpaceToDepth", "x", "crd", {"blocksize": 2, "mode": "CRD"}),
    ]
    check(make(nodes, {"x": x}, {"dcr": F32, "crd": F32}, opset=28), {"x": x}, want, levels=False)
