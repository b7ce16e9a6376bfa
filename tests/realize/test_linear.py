"""Biases that do not fit int32, and other borders of quantised weights."""

import numpy as np
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.constants import array_of
from octet.passes.realize.linear import Weight, widen_for_bias
from octet.passes.realize.realize import realize
from octet.passes.referee import reference


def test_only_the_channel_that_needs_it_is_widened():
    weight = Weight(np.array([[100, -50], [100, -50]], "int8"), np.array([0.01, 1e-12], "float32"))
    wide = widen_for_bias(weight, np.array([3, 3], "float32"), 0.5)
    assert wide.values[0].tolist() == [100, -50] and wide.scale[0] == weight.scale[0]
    assert abs(3 / (0.5 * float(wide.scale[1]))) <= 2**30 * (1 + 1e-6) and wide.values[1].tolist() == [0, 0]
    assert widen_for_bias(weight, np.zeros(2, "float32"), 0.5) is weight


def test_an_almost_zero_channel_keeps_its_bias(build):
    def body(net, x):
        weight = net.weight(np.full((2, 3, 1, 1), 50, "int8"), [0.01, 1e-14], 0)
        y = net(R.nn.conv2d(net.qdq(x, 0.1, 0), weight))
        return net.quantize(net(R.add(y, relax.const(np.float32([0.5, 0.7]).reshape(1, 2, 1, 1), "float32"))), 0.01, 0)

    module = build(body, x=[1, 3, 2, 2])
    realized = realize(module)
    (layer,) = realized.layers
    (conv,) = [b.value for b in realized.module["main"].body.blocks[0].bindings if ops.is_op(b.value, "octet.conv2d")]
    assert layer.dtype == "int8" and abs(int(array_of(conv.args[2])[1])) <= 2**30 + 2**7
    codes = reference.run(realized.module, {"x": np.ones((1, 3, 2, 2), "float32")})[0]
    assert codes[0, 1].tolist() == [[70, 70], [70, 70]]
    assert codes.tobytes() == reference.run(module, {"x": np.ones((1, 3, 2, 2), "float32")})[0].tobytes()


def test_refusals(build):
    def body(values, zero_point):
        def run(net, x):
            zeros = relax.const(np.full(2, zero_point, values.dtype), str(values.dtype))
            weight = net(
                R.dequantize(
                    relax.const(values, str(values.dtype)),
                    relax.const(np.float32([0.1, 0.1]), "float32"),
                    zeros,
                    axis=0,
                )
            )
            return net.quantize(net(R.nn.conv2d(net.qdq(x, 0.1, 0), weight)), 0.1, 0)

        return run

    def reason(*options):
        return realize(build(body(*options), x=[1, 3, 2, 2])).layers[0].reason

    ones = np.ones((2, 3, 1, 1))
    assert reason(ones.astype("int8"), 1) == "its weights are int8 with zero point 1; int8 with zero point 0 is needed"
    assert (
        reason(ones.astype("uint8"), 0) == "its weights are uint8 with zero point 0; int8 with zero point 0 is needed"
    )


def test_a_bias_that_is_not_finite_is_added_in_float(build):
    def body(net, x):
        y = net(R.nn.conv2d(net.qdq(x, 0.1, 0), net.weight(np.ones((2, 3, 1, 1), "int8"), [0.1, 0.1], 0)))
        return net.quantize(net(R.add(y, relax.const(np.full((1, 2, 1, 1), np.inf, "float32"), "float32"))), 0.1, 0)

    assert [(layer.operator, layer.dtype) for layer in realize(build(body, x=[1, 3, 2, 2])).layers] == [
        ("octet.conv2d", "int8"),
        ("relax.add", "float32"),
    ]
