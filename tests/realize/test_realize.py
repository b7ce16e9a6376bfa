"""Realize as a whole: borders, chains of Q and DQ, what several users share, reasons, and a small network against its
hub."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference


def conv_weight(net, rng, out, depth, kernel=3):
    values = rng.integers(-127, 128, (out, depth, kernel, kernel)).astype("int8")
    return net.weight(values, rng.uniform(0.001, 0.01, out), 0)


def bias(rng, channels):
    return relax.const(rng.normal(size=(1, channels, 1, 1)).astype("float32"), "float32")


def test_before_and_expected(build, becomes):
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (2, 3, 1, 1)).astype("int8")
    scales = np.array([0.5, 0.25], "float32")

    def before(net, x):
        data = net.qdq(x, 0.5, 3)
        y = net(R.nn.conv2d(data, net.weight(weight, scales, 0), padding=[1, 1, 1, 1]))
        y = net(R.add(y, relax.const(np.array([1.0, -2.0], "float32").reshape(1, 2, 1, 1), "float32")))
        return net.qdq(net(R.nn.relu(y)), 2.0, -128)

    def expected(net, x):
        q = net.quantize(x, 0.5, 3)
        constants = [
            relax.const(np.asarray(v, t), t)
            for v, t in ((weight, "int8"), ([4, -16], "int32"), ([0.125, 0.0625], "float32"))
        ]
        attrs = {
            "strides": [1, 1],
            "padding": [1, 1, 1, 1],
            "dilation": [1, 1],
            "groups": 1,
            "residual_zero_point": 0,
            "residual_multiplier": 0.0,
            "data_zero_point": 3,
            "out_zero_point": -128,
            "clip_min": -128,
            "clip_max": 127,
            "out_dtype": "int8",
        }
        return net.dequantize(net(ops.call("octet.conv2d", [q, *constants], **attrs)), 2.0, -128)

    becomes(Realize(), build(before, x=[1, 3, 4, 4]), build(expected, x=[1, 3, 4, 4]))


def test_a_chain_of_q_and_dq_collapses(build, operators):
    module = build(lambda net, x: net.qdq(net.qdq(net.qdq(x, 0.5, 3), 0.5, 3), 0.5, 3), x=[4])
    result = Realize()(module)
    assert [b.value.op.name for b in result["main"].body.blocks[0].bindings if isinstance(b.value, relax.Call)] == [
        "relax.quantize",
        "relax.dequantize",
    ]
    changed = build(lambda net, x: net.qdq(net.qdq(x, 0.5, 3), 0.25, 3), x=[4])
    assert operators(Realize()(changed)) == ["octet.requantize"]


def test_does_not_apply_to_a_float_network_and_says_why(build, unchanged):
    rng = np.random.default_rng(0)
    weight = relax.const(rng.normal(size=(4, 3, 3, 3)).astype("float32"), "float32")
    module = build(lambda net, x: net(R.nn.relu(net(R.nn.conv2d(x, weight)))), x=[1, 3, 6, 6])
    unchanged(Realize(), module)
    realized = realize(module)
    assert [(layer.dtype, layer.reason) for layer in realized.layers] == [
        ("float32", "its operands or its result are not quantised")
    ] * 2


def test_weights_in_float_are_a_reason(build):
    weight = relax.const(np.ones((4, 3, 3, 3), "float32"), "float32")
    module = build(lambda net, x: net.qdq(net(R.nn.conv2d(net.qdq(x, 0.5, 0), weight)), 0.5, 0), x=[1, 3, 6, 6])
    (layer,) = realize(module).layers
    assert (layer.operator, layer.dtype) == ("relax.nn.conv2d", "float32")
    assert layer.reason.startswith("its weights lie on no grid of 8 bits with a scale per output channel")


def test_an_operator_without_integer_form_keeps_its_borders(build, operators):
    module = build(lambda net, x: net.qdq(net(R.nn.log_softmax(net.qdq(x, 0.5, 0))), 1 / 16, 127), x=[2, 5])
    realized = realize(module)
    assert operators(realized.module) == ["relax.nn.log_softmax"]
    assert realized.layers[0].reason == "it has no integer form"
    data = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    np.testing.assert_array_equal(reference.run(realized.module, {"x": data})[0], reference.run(module, {"x": data})[0])


def test_a_result_read_in_float_and_int8_is_computed_once(build, operators):
    rng = np.random.default_rng(1)

    def body(net, x):
        y = net(R.nn.conv2d(net.qdq(x, 0.05, 0), conv_weight(net, rng, 4, 3)))
        return relax.Tuple([net(R.nn.softmax(y)), net.quantize(y, 0.1, 0)])

    result = Realize()(build(body, x=[1, 3, 6, 6]))
    assert operators(result) == ["octet.conv2d", "relax.nn.softmax"]
    (conv,) = [b.value for b in result["main"].body.blocks[0].bindings if ops.is_op(b.value, "octet.conv2d")]
    assert ops.attrs_of(conv)["out_dtype"] == "float32"


def test_two_scales_of_one_result_compute_it_once(build, operators):
    rng = np.random.default_rng(1)

    def body(net, x):
        y = net(R.nn.conv2d(net.qdq(x, 0.05, 0), conv_weight(net, rng, 4, 3)))
        return relax.Tuple([net.quantize(y, 0.1, 0), net.quantize(y, 0.2, 0)])

    assert operators(Realize()(build(body, x=[1, 3, 6, 6]))) == ["octet.conv2d"]


def test_names_survive(build):
    rng = np.random.default_rng(1)

    def body(net, x):
        y = net(R.nn.conv2d(net.qdq(x, 0.05, 0), conv_weight(net, rng, 4, 3)), "stem")
        return net.qdq(net(R.nn.relu(y)), 0.1, 0)

    (layer,) = realize(build(body, x=[1, 3, 6, 6])).layers
    assert layer.name == "stem" and layer.bound.accumulator < 2**31


def small_network(net, x):
    """Stem, depthwise, residual block, squeeze and excitation, concat, pooling, classifier."""
    rng = np.random.default_rng(7)
    x = net.qdq(x, 0.03, 5)
    x = net(R.nn.conv2d(x, conv_weight(net, rng, 8, 3), strides=[2, 2], padding=[1, 1, 1, 1]))
    x = net.qdq(net(R.clip(net(R.add(x, bias(rng, 8))), 0, 6)), 6 / 255, -128)
    y = net(R.nn.conv2d(x, conv_weight(net, rng, 8, 1), padding=[1, 1, 1, 1], groups=8))
    y = net.qdq(net(R.nn.relu(net(R.add(y, bias(rng, 8))))), 0.03, -128)
    y = net(R.add(net(R.nn.conv2d(y, conv_weight(net, rng, 8, 8, 1))), bias(rng, 8)))
    y = net.qdq(net(R.nn.relu(net(R.add(y, x)))), 0.04, -128)
    gate = net.qdq(net(R.mean(y, [2, 3], keepdims=True)), 0.02, -128)
    gate = net.qdq(net(R.nn.conv2d(gate, conv_weight(net, rng, 8, 8, 1))), 0.03, 0)
    gate = net.qdq(net(ops.call("octet.unary", [gate], kind="sigmoid")), 1 / 256, -128)
    z = net.qdq(net(R.multiply(y, gate)), 0.03, -128)
    z = net.qdq(net(R.concat([z, y], 1)), 0.04, -128)
    z = net.qdq(net(R.nn.max_pool2d(z, [2, 2], [2, 2])), 0.04, -128)
    z = net.qdq(net(R.nn.avg_pool2d(z, [2, 2], [2, 2])), 0.04, -128)
    z = net(R.reshape(z, [1, 16 * 4]))
    values = rng.integers(-127, 128, (64, 10)).astype("int8")
    z = net(R.matmul(net.qdq(z, 0.04, -128), net.weight(values, rng.uniform(0.001, 0.004, 10), 1)))
    return net(R.add(z, relax.const(rng.normal(size=10).astype("float32"), "float32")))


def test_small_network_equals_its_hub(build, operators):
    module = build(small_network, x=[1, 3, 16, 16])
    realized = realize(module)
    relax.analysis.well_formed(realized.module)
    assert all(layer.dtype == "int8" for layer in realized.layers)
    assert operators(realized.module) == [
        "octet.conv2d",
        "octet.conv2d",
        "octet.conv2d",
        "octet.avg_pool2d",
        "octet.conv2d",
        "octet.table",
        "octet.mul",
        "octet.requantize",
        "relax.concat",
        "relax.nn.max_pool2d",
        "octet.avg_pool2d",
        "relax.reshape",
        "octet.dense",
    ]
    data = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype("float32")
    (hub,), (integer,) = (reference.run(m, {"x": data}) for m in (module, realized.module))
    # The classifier sums 64 activations of 0.04 with weights below 0.51: one quantum of a few of them.
    assert np.abs(hub - integer).max() < 0.08 and np.abs(hub).max() > 1


@pytest.mark.parametrize("kind", ["relu", "clip"])
def test_clips_behind_a_moved_tensor(build, operators, assert_close_codes, kind):
    def body(net, x):
        moved = net(R.permute_dims(net.qdq(x, 0.1, 0), [0, 2, 3, 1]))
        return net.quantize(net(R.nn.relu(moved) if kind == "relu" else R.clip(moved, -1, 1)), 0.05, 2)

    module = build(body, x=[1, 3, 4, 4])
    result = Realize()(module)
    assert "relax.permute_dims" in operators(result) and not any(
        name.startswith("relax.nn") for name in operators(result)
    )
    data = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype("float32") * 4
    assert_close_codes(reference.run(module, {"x": data})[0], reference.run(result, {"x": data})[0])
