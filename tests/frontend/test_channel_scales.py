"""Activations with a scale per channel, as NNCF writes them in front of depthwise convolutions."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_nodes import node

from octet.passes.calibrate.given_quantizers import given_hub
from octet.passes.pipeline import canonicalize
from octet.passes.realize.realize import realize
from octet.passes.referee import reference
from octet.targets.errors import UnsupportedModelError

RNG = np.random.default_rng(11)
CHANNELS = 8
X = RNG.standard_normal((1, 4, 9, 9)).astype("float32")
APART = (np.arange(CHANNELS) * 31).astype("uint8")


def network(model, zeros, pads, between, groups=CHANNELS, x=X):
    """Convolution -> `between` -> a scale per channel -> convolution -> a scale, as QDQ."""
    columns = CHANNELS // groups
    constants = {
        "xs": np.float32(0.03),
        "xz": np.uint8(128),
        "w": RNG.integers(-127, 128, (CHANNELS, 4, 1, 1)).astype("int8"),
        "ws": RNG.uniform(0.001, 0.02, CHANNELS).astype("float32"),
        "b": RNG.standard_normal(CHANNELS).astype("float32"),
        "low": np.float32(0),
        "high": np.float32(6),
        "s": RNG.uniform(0.004, 0.02, CHANNELS).astype("float32"),
        "z": np.broadcast_to(zeros, CHANNELS).copy(),
        "dw": RNG.integers(-127, 128, (CHANNELS, columns, 3, 3)).astype("int8"),
        "dws": RNG.uniform(0.001, 0.02, CHANNELS).astype("float32"),
        "db": RNG.standard_normal(CHANNELS).astype("float32"),
        "ys": np.float32(0.1),
    }
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0),
        node("Conv", ["xd", "wd", "b"], ["c"]),
        node(*between, ["p"]) if between else node("Identity", ["c"], ["p"]),
        node("QuantizeLinear", ["p", "s", "z"], ["pq"], axis=1),
        node("DequantizeLinear", ["pq", "s", "z"], ["pd"], axis=-3),
        node("DequantizeLinear", ["dw", "dws"], ["dwd"], axis=0),
        node("Conv", ["pd", "dwd", "db"], ["d"], group=groups, pads=pads),
        node("QuantizeLinear", ["d", "ys", "xz"], ["yq"]),
        node("DequantizeLinear", ["yq", "ys", "xz"]),
    ]
    return model(nodes, {"x": x}, constants, opset=21), constants


def integer_graph(network):
    return realize(given_hub(canonicalize(network)).module)


def check(proto, realized):
    """The last layer's integers from the file's own in front of it, within one step, and seldom that."""
    whole = onnx.ModelProto.FromString(proto.SerializeToString())
    want = ReferenceEvaluator(whole).run(None, {"x": X})[0]
    off = np.abs(reference.run(realized.module, {"x": X})[0] - want) / 0.1
    # A step of the codes in between is up to a fourth of a step of the result.
    assert off.max() <= 1.01 and np.mean(off > 0.01) < 0.02


RELU, RELU6 = ("Relu", ["c"]), ("Clip", ["c", "low", "high"])


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize(
    "zeros, between",
    [
        (np.uint8(0), RELU),
        (np.uint8(0), RELU6),
        (np.int8(0), RELU6),
        (np.uint8(40), None),
        (APART, None),
        (APART.astype("int8"), None),
    ],
)
def test_depthwise_convolutions_take_the_scales_into_their_weights(model, load, zeros, between, pads):
    proto, _ = network(model, zeros, pads, between)
    realized = integer_graph(load(proto))
    assert [layer.operator for layer in realized.layers] == ["octet.conv2d"] * 2
    check(proto, realized)


def test_a_clip_that_cuts_off_more_than_the_scale_cuts_codes_off(model, load):
    proto, constants = network(model, np.uint8(0), [1, 1, 1, 1], RELU6)
    next(each for each in proto.graph.initializer if each.name == "high").raw_data = np.float32(0.5).tobytes()
    assert constants["s"].max() * 255 > 0.5
    realized = integer_graph(load(proto))
    assert [layer.operator for layer in realized.layers] == ["octet.conv2d", "octet.conv2d"]
    check(proto, realized)


@pytest.mark.parametrize("between", [RELU, RELU6])
def test_channels_that_are_always_zero_have_a_zero_point_of_their_own(model, load, between):
    """NNCF gives them 0 where the others of int8 have -128: what is cut off below is another code in each."""
    zeros = np.where(np.arange(CHANNELS) % 3 == 0, 0, -128).astype("int8")
    proto, _ = network(model, zeros, [1, 1, 1, 1], between)
    realized = integer_graph(load(proto))
    assert [layer.operator for layer in realized.layers] == ["octet.conv2d", "octet.conv2d"]
    check(proto, realized)


def test_a_layer_that_adds_channels_up_stays_in_float_with_the_reason(model, load):
    proto, _ = network(model, np.uint8(0), [1, 1, 1, 1], RELU, groups=1)
    realized = integer_graph(load(proto))
    (layer,) = [layer for layer in realized.layers if layer.name.startswith("d") and layer.operator.endswith("conv2d")]
    assert layer.dtype == "float32" and "channels that it reads have scales of their own" in layer.reason
    check(proto, realized)


def test_an_input_of_integers_with_scales_per_channel(model, agrees):
    q, s, z = RNG.integers(0, 256, (2, 5, 3)).astype("uint8"), RNG.uniform(0.1, 1, 5), RNG.integers(0, 256, 5)
    constants = {"s": s.astype("float32"), "z": z.astype("uint8")}
    agrees(model([node("DequantizeLinear", ["q", "s", "z"])], {"q": q}, constants, opset=21), {"q": q})


@pytest.mark.parametrize("same", [False, True])
def test_codes_read_by_other_scales_are_the_integers(model, agrees, same):
    """The scales of DequantizeLinear are its own, whatever the tensor was quantised with."""
    x = RNG.standard_normal((2, 5, 3)).astype("float32")
    s = RNG.uniform(0.01, 0.03, 5).astype("float32")
    constants = {"s": s, "z": RNG.integers(0, 256, 5).astype("uint8"), "one": np.float32(0.5), "many": s[::-1].copy()}
    other = ["many", "z"] if same else ["one"]
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("MaxPool", ["q"], ["m"], kernel_shape=[1]) if same else node("Reshape", ["q", "shape"], ["m"]),
        node("DequantizeLinear", ["m", *other]),
    ]
    want = np.clip(np.rint(x / s.reshape(-1, 1)) + constants["z"].reshape(-1, 1), 0, 255)
    if same:
        want = (want - constants["z"].reshape(-1, 1)) * s[::-1].reshape(-1, 1)
    else:
        want = want.reshape(5, 6) * 0.5
    agrees(model(nodes, {"x": x}, constants | {"shape": np.array([5, 6])}, opset=13), {"x": x}, [want])


def test_as_many_scales_as_channels(model, load):
    constants = {"s": np.ones(4, "float32"), "z": np.zeros(4, "uint8"), "t": np.array([1, -1, 1, 1, 1], "float32")}
    constants["u"] = np.zeros(5, "uint8")
    for scale, zero, message in (("s", "z", "has 4 scales along an axis of 5"), ("t", "u", "has the scale -1.0")):
        nodes = [node("QuantizeLinear", ["x", scale, zero], ["q"]), node("DequantizeLinear", ["q", scale, zero])]
        with pytest.raises(UnsupportedModelError, match=message):
            load(model(nodes, {"x": np.ones((2, 5, 3), "float32")}, constants))
