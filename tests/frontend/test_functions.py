"""Operators that ONNX defines by others."""

import numpy as np
import onnx
import pytest
from onnx import helper

from octet.passes.frontend.onnx_functions import definition
from octet.targets.errors import UnsupportedModelError

NEWEST = onnx.defs.onnx_opset_version()


def rand(*shape):
    return np.random.default_rng([7, *shape]).standard_normal(shape).astype("float32")


def _type(*shape):
    return helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, shape)


def test_expected(model, agrees):
    """Attention with a mask, groups of heads and the causal triangle is two products around a softmax."""
    feed = {"q": rand(1, 4, 6, 8), "k": rand(1, 2, 6, 8), "v": rand(1, 2, 6, 8), "m": rand(6, 6)}
    node = helper.make_node("Attention", ["q", "k", "v", "m"], ["y"], is_causal=1)
    canonical = agrees(model([node], feed, opset=23), feed)
    names = [
        binding.value.op.name
        for binding in canonical.module["main"].body.blocks[0].bindings
        if hasattr(binding.value, "op")
    ]
    assert names.count("relax.matmul") == 2 and "relax.nn.softmax" in names


def test_inputs_and_outputs_that_the_node_leaves_out(model, agrees):
    feed = {
        "q": rand(1, 2, 3, 4),
        "k": rand(1, 2, 3, 4),
        "v": rand(1, 2, 3, 4),
        "p": rand(1, 2, 2, 4),
        "w": rand(1, 2, 2, 4),
    }
    node = helper.make_node("Attention", ["q", "k", "v", "", "p", "w"], ["y", "", "", "scores"])
    agrees(model([node], feed, opset=23, outputs=("y", "scores")), feed)


def test_attributes_reach_the_definition(model, agrees):
    feed = {"x": rand(1, 6, 2, 8)}
    constants = {"c": rand(10, 2), "s": rand(10, 2), "at": np.arange(2).reshape(1, 2)}
    node = helper.make_node("RotaryEmbedding", ["x", "c", "s", "at"], ["y"], rotary_embedding_dim=4, interleaved=1)
    agrees(model([node], feed, constants, opset=23), feed)


def test_does_not_apply():
    """Conv is no composition; and an opset from before a definition has none."""
    assert (
        definition(helper.make_node("Conv", ["x", "w"], ["y"]), NEWEST, [_type(1, 2, 3, 3), _type(2, 2, 1, 1)]) is None
    )
    assert definition(helper.make_node("Attention", ["q", "k", "v"], ["y"]), 20, [_type(1, 2, 3, 4)] * 3) is None


def test_what_fails_inside_is_named_after_the_node(model, load):
    node = helper.make_node("CenterCropPad", ["x", "to"], ["y"], name="frame", axes=[1])
    with pytest.raises(UnsupportedModelError, match=r"Pad node 'frame\.padded_input'"):
        load(model([node], {"x": rand(2, 3), "to": np.array([5])}, opset=18))


def test_what_draws_numbers_is_refused_by_its_own_name(model, load):
    node = helper.make_node("Bernoulli", ["x"], ["y"], name="coin")
    with pytest.raises(UnsupportedModelError, match="Bernoulli node 'coin'"):
        load(model([node], {"x": rand(2, 3)}, opset=15))
