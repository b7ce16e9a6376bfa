"""Data movement on int8."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference

MOVES = {
    "relax.reshape": lambda net, x: R.reshape(x, [1, 12, 20]),
    "relax.permute_dims": lambda net, x: R.permute_dims(x, [0, 2, 3, 1]),
    "relax.nn.max_pool2d": lambda net, x: R.nn.max_pool2d(x, [3, 3], [2, 2], [1, 1, 1, 1]),
    "relax.strided_slice": lambda net, x: R.strided_slice(x, [1, 2], [1, 0], [4, 6], [1, 2]),
    "relax.nn.pad": lambda net, x, fill=0.0, _=None: R.nn.pad(x, [0, 0, 0, 0, 1, 2, 0, 3], "constant", fill),
    "relax.image.resize2d": lambda net, x: R.image.resize2d(
        x, (12, 10), method="nearest_neighbor", rounding_method="floor", coordinate_transformation_mode="asymmetric"
    ),
    "octet.interleave": lambda net, x, fill=0.0, _=None: ops.call("octet.interleave", [x], strides=[2, 2], fill=fill),
    "octet.depth_to_space": lambda net, x: ops.call("octet.depth_to_space", [x], strides=[2, 2]),
    "octet.frame": lambda net, x, _=None, fill=(0.3, -0.6, 0.0, 0.06): ops.call(
        "octet.frame", [x], padding=[1, 0, 2, 3], fill=list(fill)
    ),
    "relax.split": lambda net, x: relax.TupleGetItem(net(R.split(x, 2, 1)), 1),
    "relax.concat": lambda net, x: R.concat([x, net.qdq(x, 0.03, 4)], 1),
}


FILLED = ("relax.nn.pad", "octet.interleave", "octet.frame")


@pytest.mark.parametrize("name", MOVES)
def test_before_and_expected(build, becomes, name):
    """Codes move where numbers did: what fills is a code of the same scale and zero point."""
    codes = (4, (14, -16, 4, 6)) if name in FILLED else ()

    def expected(net, x):
        q = net.quantize(x, 0.03, 4)
        return net(R.concat([q, q], 1)) if name == "relax.concat" else net(MOVES[name](net, q, *codes))

    def before(net, x):
        y = net.qdq(x, 0.03, 4)
        return net.quantize(net(R.concat([y, y], 1) if name == "relax.concat" else MOVES[name](net, y)), 0.03, 4)

    becomes(Realize(), *(build(body, x=[1, 4, 6, 10]) for body in (before, expected)))


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("out", [(0.03, 4), (0.06, -7)], ids=["same scale", "other scale"])
def test_equals_the_hub(build, operators, assert_close_codes, name, out):
    module = build(lambda net, x: net.quantize(net(MOVES[name](net, net.qdq(x, 0.03, 4))), *out), x=[1, 4, 6, 10])
    result = Realize()(module)
    found = operators(result)
    assert sorted(set(found)) == sorted({name} | ({"octet.requantize"} if out != (0.03, 4) else set()))
    data = np.random.default_rng(0).normal(size=(1, 4, 6, 10)).astype("float32")
    hub, integer = reference.run(module, {"x": data})[0], reference.run(result, {"x": data})[0]
    if out == (0.03, 4):
        assert hub.tobytes() == integer.tobytes()
    assert_close_codes(hub, integer)


def test_moving_int8_is_no_layer_and_no_float(build):
    """A split has a tuple for a result: what it moves says whether it is in float."""
    for name, body in MOVES.items():
        assert (
            realize(
                build(
                    lambda net, x, body=body: net.quantize(net(body(net, net.qdq(x, 0.03, 4))), 0.03, 4),
                    x=[1, 4, 6, 10],
                )
            ).layers
            == ()
        ), name
    (layer,) = realize(build(lambda net, x: MOVES["relax.split"](net, x), x=[1, 4, 6, 10])).layers
    assert (layer.operator, layer.dtype) == ("relax.split", "float32")


def test_borders_are_the_zero_point(build):
    module = build(
        lambda net, x: net.quantize(net(MOVES["relax.nn.pad"](net, net.qdq(x, 0.03, 4))), 0.03, 4), x=[1, 1, 2, 2]
    )
    codes = reference.run(Realize()(module), {"x": np.ones((1, 1, 2, 2), "float32")})[0]
    assert codes[0, 0, 0, 0] == 4 and codes[0, 0, 1, 0] == 37


def test_operands_of_different_scales_meet_on_the_result(build, operators, assert_close_codes):
    def body(net, a, b):
        return net.quantize(net(R.concat([net.qdq(a, 0.03, 4), net.qdq(b, 0.05, 0)], 1)), 0.05, 0)

    module = build(body, a=[1, 2, 3, 3], b=[1, 3, 3, 3])
    result = Realize()(module)
    assert operators(result) == ["octet.requantize", "relax.concat"]
    rng = np.random.default_rng(0)
    feed = {"a": rng.normal(size=(1, 2, 3, 3)).astype("float32"), "b": rng.normal(size=(1, 3, 3, 3)).astype("float32")}
    assert_close_codes(reference.run(module, feed)[0], reference.run(result, feed)[0])


def test_one_float_operand_leaves_the_movement_in_float(build, unchanged):
    module = build(
        lambda net, a, b: net.quantize(net(R.concat([net.qdq(a, 0.1, 0), b], 1)), 0.1, 0),
        a=[1, 2, 3, 3],
        b=[1, 2, 3, 3],
    )
    unchanged(Realize(), module)


def test_cubic_resize_stays_in_float(build):
    body = lambda net, x: net.quantize(net(R.image.resize2d(net.qdq(x, 0.1, 0), (8, 8), method="cubic")), 0.1, 0)
    (layer,) = realize(build(body, x=[1, 2, 4, 4])).layers
    assert (layer.dtype, layer.reason) == ("float32", "it has no integer form")
