"""Elements gathered along an axis."""

import numpy as np
from onnx import helper

RANDOM = np.random.default_rng(0)


def rand(*shape):
    return RANDOM.standard_normal(shape).astype("float32")


def test_gather_elements_counts_from_the_end_too(agrees, model):
    inputs = {"x": rand(2, 5, 3), "i": np.array([[[-1, 0, 4]], [[2, -5, 1]]], "int64")}
    agrees(model([helper.make_node("GatherElements", ["x", "i"], ["y"], axis=1)], inputs), inputs)


def test_gather_elements_of_a_known_table_is_known(model, load):
    """torch.export writes BERT's token types so: a buffer of as many zeros as there are positions, read in order."""
    nodes = [
        helper.make_node("GatherElements", ["table", "i"], ["rows"], axis=1),
        helper.make_node("Gather", ["x", "rows"], ["y"]),
    ]
    table, places = np.arange(300)[None] % 2, np.arange(16)[None]
    found = load(model(nodes, {"x": rand(2, 4)}, {"table": table, "i": places}))
    assert "gather_elements" not in str(found.module) and found.outputs[0].shape == (1, 16, 4)
