"""Linear layers and products of computed tensors."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference


@pytest.mark.parametrize("shape", [[3, 20], [2, 5, 20]])
@pytest.mark.parametrize("residual", [False, True])
def test_dense_equals_the_hub(build, operators, assert_close_codes, shape, residual):
    def body(net, x, *r):
        rng = np.random.default_rng(0)
        weight = net.weight(rng.integers(-127, 128, (20, 7)).astype("int8"), rng.uniform(0.002, 0.01, 7), -1)
        y = net(R.matmul(net.qdq(x, 0.03, 4), weight))
        y = net(R.add(y, relax.const(rng.normal(size=7).astype("float32"), "float32")))
        for other in r:
            y = net(R.add(y, net.qdq(other, 0.02, 7)))
        return net.quantize(net(R.nn.relu(y)), 0.04, -128)

    shapes = {"x": shape} | ({"r": [*shape[:-1], 7]} if residual else {})
    module = build(body, **shapes)
    result = Realize()(module)
    assert operators(result) == ["octet.dense"]
    rng = np.random.default_rng(1)
    feed = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    assert_close_codes(reference.run(module, feed)[0], reference.run(result, feed)[0])


def two_tensors(zero_points, quantised=True):
    def body(net, a, b):
        y = net(R.matmul(net.qdq(a, 0.03, zero_points[0]), net.qdq(b, 0.02, zero_points[1])))
        return net.quantize(y, 0.05, 3) if quantised else y

    return body


@pytest.mark.parametrize("zero_points", [(0, 0), (-128, 0), (9, -7), (0, 127)])
def test_matmul_of_two_tensors(build, operators, assert_close_codes, zero_points):
    shapes = {"a": [2, 3, 10], "b": [2, 10, 4]}
    module = build(two_tensors(zero_points), **shapes)
    result = Realize()(module)
    assert operators(result) == ["octet.matmul"]
    rng = np.random.default_rng(1)
    feed = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    assert_close_codes(reference.run(module, feed)[0], reference.run(result, feed)[0])


def test_matmul_with_a_float_result(build, operators):
    shapes = {"a": [3, 10], "b": [10, 4]}
    module = build(two_tensors((0, 0), quantised=False), **shapes)
    result = Realize()(module)
    assert operators(result) == ["octet.matmul"]
    (call,) = [b.value for b in result["main"].body.blocks[0].bindings if ops.is_op(b.value, "octet.matmul")]
    assert ops.attrs_of(call)["out_dtype"] == "float32"
    feed = {name: np.random.default_rng(1).normal(size=shape).astype("float32") for name, shape in shapes.items()}
    np.testing.assert_allclose(reference.run(module, feed)[0], reference.run(result, feed)[0], rtol=1e-5, atol=1e-5)


def test_zero_points_count_in_what_an_accumulator_could_reach(build):
    shapes = {"a": [1, 40000], "b": [40000, 2]}
    (layer,) = realize(build(two_tensors((0, 0)), **shapes)).layers
    assert layer.reason == ""
    (layer,) = realize(build(two_tensors((-128, 127)), **shapes)).layers
    assert layer.reason.startswith(f"an accumulator could reach {256 * 255 * 40000}")
