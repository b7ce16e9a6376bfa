"""Networks whose ranges are computed at run time, and ONNX Runtime's own quantised operators."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_nodes import node

from octet.passes.calibrate.given_quantizers import given_hub
from octet.passes.pipeline import canonicalize
from octet.passes.realize.realize import realize
from octet.passes.referee import reference
from octet.targets.errors import UnsupportedModelError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 4, 6, 6)).astype("float32")
XS, YS, XZ = np.float32(0.03), np.float32(0.09), np.uint8(128)


def integer_graph(network):
    return realize(given_hub(canonicalize(network)).module)


def test_dynamic_quantization_becomes_static(model, agrees):
    x, w = RNG.standard_normal((2, 8)).astype("float32"), RNG.integers(-9, 9, (8, 3)).astype("int8")
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z", "wz"], ["i"]),
        node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["s", "ws"], ["both"]),
        node("Mul", ["f", "both"], ["m"]),
        node("Add", ["m", "bias"]),
    ]
    constants = {"w": w, "wz": np.array(2, "int8"), "ws": np.float32(0.1), "bias": np.ones(3, "float32")}
    network = agrees(model(nodes, {"x": x}, constants), {"x": x}, [x @ ((w.astype("float32") - 2) * 0.1) + 1])
    assert any("become static" in note for note in network.notes) and not network.comes_quantised


def test_a_bias_in_steps_of_a_scale_known_at_run_time(model, agrees):
    """floor(bias / (s_x * s_w)) added to the accumulators."""
    x, w = RNG.standard_normal((1, 3, 5, 5)).astype("float32"), RNG.integers(-9, 9, (4, 3, 1, 1)).astype("int8")
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("Mul", ["s", "ws"], ["both"]),
        node("Div", ["bias", "both"], ["steps"]),
        node("Floor", ["steps"], ["whole"]),
        node("Cast", ["whole"], ["b"], to=TensorProto.INT32),
        node("Reshape", ["b", "shape"], ["shaped"]),
        node("ConvInteger", ["q", "w", "z"], ["i"]),
        node("Add", ["i", "shaped"], ["sum"]),
        node("Cast", ["sum"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "both"]),
    ]
    bias = RNG.standard_normal(4).astype("float32")
    constants = {"w": w, "ws": np.float32(0.1), "bias": bias, "shape": np.array([1, 4, 1, 1])}
    agrees(
        model(nodes, {"x": x}, constants),
        {"x": x},
        [np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0] * np.float32(0.1)) + bias.reshape(1, 4, 1, 1)],
    )


def contributed(proto):
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto


def test_contributed_operators(model, load):
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("QLinearAdd", ["q", "xs", "xz", "q", "xs", "xz", "ys", "yz"], ["a"], domain="com.microsoft"),
        node("QLinearGlobalAveragePool", ["a", "ys", "yz", "xs", "xz"], ["g"], domain="com.microsoft", channels_last=0),
        node("DequantizeLinear", ["g", "xs", "xz"]),
    ]
    realized = integer_graph(load(contributed(model(nodes, {"x": X}, {"xs": XS, "xz": XZ, "ys": YS, "yz": XZ}))))
    found = reference.run(realized.module, {"x": X})[0]
    np.testing.assert_allclose(found, (2 * X).mean((2, 3), keepdims=True), atol=0.1)
    assert all(layer.dtype == "int8" for layer in realized.layers)


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("of", [12, 13])
@pytest.mark.parametrize("opset", [12, 17])
def test_the_softmax_of_a_version(model, load, axis, of, opset):
    """Up to opset 12 the axes from `axis` on are one; the node says of which version it is."""
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("QLinearSoftmax", ["q", "xs", "xz", "ps", "pz"], ["p"], domain="com.microsoft", axis=axis, opset=of),
        node("DequantizeLinear", ["p", "ps", "pz"]),
    ]
    constants = {"xs": XS, "xz": XZ, "ps": np.float32(1 / 255), "pz": np.uint8(0)}
    x = (np.clip(np.rint(X / XS), -128, 127) * XS).astype("float64")
    axes = tuple(range(axis % 4, 4)) if of < 13 else (axis,)
    want = np.exp(x) / np.exp(x).sum(axes, keepdims=True)
    realized = integer_graph(load(contributed(model(nodes, {"x": X}, constants, opset=opset))))
    assert np.abs(reference.run(realized.module, {"x": X})[0] - np.rint(want * 255) / 255).max() <= 1.01 / 255


def test_a_choice_between_integers(model, load):
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("Greater", ["x", "limit"], ["c"]),
        node("QLinearWhere", ["c", "q", "xs", "xz", "k", "ys", "xz", "xs", "xz"], ["w"], domain="com.microsoft"),
        node("DequantizeLinear", ["w", "xs", "xz"]),
    ]
    constants = {"xs": XS, "xz": XZ, "ys": YS, "limit": np.float32(0), "k": np.uint8(130)}
    realized = integer_graph(load(contributed(model(nodes, {"x": X}, constants))))
    want = np.where(X > 0, np.clip(np.rint(X / XS), -128, 127), np.rint(2 * YS / XS)) * XS
    np.testing.assert_allclose(reference.run(realized.module, {"x": X})[0], want, atol=1e-6)


def test_operators_read_integers_by_their_own_scales(model, load):
    """QLinearConv and QLinearAdd of what was quantised with another scale and zero point."""
    w = RNG.integers(-99, 99, (3, 4, 1, 1)).astype("int8")
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("QLinearConv", ["q", "ys", "yz", "w", "xs", "wz", "cs", "xz"], ["c"]),
        node("QLinearAdd", ["c", "ys", "yz", "c", "ys", "yz", "cs", "xz"], ["a"], domain="com.microsoft"),
        node("DequantizeLinear", ["a", "cs", "xz"]),
    ]
    constants = {"xs": XS, "xz": XZ, "ys": YS, "yz": np.uint8(7), "w": w, "wz": np.int8(0), "cs": np.float32(2)}
    realized = integer_graph(load(contributed(model(nodes, {"x": X}, constants))))
    q = np.clip(np.rint(X / XS) + 128, 0, 255) - 7
    c = np.clip(np.rint(np.einsum("nchw,oc->nohw", q, w[:, :, 0, 0]) * (np.float64(YS) * XS / 2)) + 128, 0, 255)
    want = np.clip(np.rint((c - 7) * np.float64(YS)) + 128, 0, 255) - 128
    assert np.abs(reference.run(realized.module, {"x": X})[0] / 2 - want).max() <= 1
    assert [layer.dtype for layer in realized.layers] == ["int8"] * len(realized.layers)


def test_branches_between_integers(model, agrees):
    bodies = [
        helper.make_graph([node("Identity", [read], [made])], made, [], [onnx.ValueInfoProto(name=made)])
        for read, made in (("q", "taken"), ("p", "other"))
    ]
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("QuantizeLinear", ["x", "ys", "xz"], ["p"]),
        node("If", ["c"], ["i"], then_branch=bodies[0], else_branch=bodies[1]),
        node("DequantizeLinear", ["i", "ys", "xz"]),
    ]
    for flag in (True, False):
        want = np.clip(np.rint(X / (XS if flag else YS)), -128, 127) * YS
        feed = {"x": X, "c": np.array(flag)}
        agrees(model(nodes, feed, {"xs": XS, "ys": YS, "xz": XZ}), feed, [want])


def test_what_is_computed_but_should_be_constant_is_one_line(model, load):
    q = node("QuantizeLinear", ["x", "xs", "xz"], ["q"])
    constants = {"xs": XS, "xz": XZ, "w": np.ones((3, 4, 1, 1), "int8"), "wz": np.int8(0)}
    conv = node("QLinearConv", ["q", "xs", "xz", "w", "xs", "wz", "xs", "xz", "b"], ["c"])
    with pytest.raises(UnsupportedModelError, match="QLinearConv node 'c' computes its bias or a scale at run time"):
        load(
            model([q, conv, node("DequantizeLinear", ["c", "xs", "xz"])], {"x": X, "b": np.ones(3, "int32")}, constants)
        )
    dynamic = node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
    with pytest.raises(UnsupportedModelError, match="known at run time only by another scale or zero point"):
        load(model([dynamic, node("DequantizeLinear", ["q", "xs", "xz"])], {"x": X}, constants))


def test_dynamic_lstm(model, load, tmp_path):
    x, w, r = (
        RNG.standard_normal((3, 1, 5)).astype("float32"),
        RNG.integers(-99, 99, (1, 5, 16)).astype("int8"),
        RNG.integers(-99, 99, (1, 4, 16)).astype("int8"),
    )
    scale, zero, b = (
        np.full((1, 16), 0.01, "float32"),
        np.zeros((1, 16), "int8"),
        RNG.standard_normal((1, 32)).astype("float32"),
    )
    dynamic = contributed(
        model(
            [
                node(
                    "DynamicQuantizeLSTM",
                    ["x", "w", "r", "b", "", "", "", "", "s", "z", "s", "z"],
                    domain="com.microsoft",
                    hidden_size=4,
                )
            ],
            {"x": x},
            {"w": w, "r": r, "b": b, "s": scale, "z": zero},
        )
    )
    plain = model(
        [node("LSTM", ["x", "w", "r", "b"], hidden_size=4)],
        {"x": x},
        {
            "w": (w * np.float32(0.01)).transpose(0, 2, 1).copy(),
            "r": (r * np.float32(0.01)).transpose(0, 2, 1).copy(),
            "b": b,
        },
    )
    found, want = (reference.run(load(proto).module, {"x": x})[0] for proto in (dynamic, plain))
    np.testing.assert_allclose(found, want, atol=1e-6)
