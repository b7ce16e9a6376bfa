"""IntegerBoundary: parameters and results that are quantised become int8; others stay, with the reason."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes.realize.integer_boundary import IntegerBoundary, boundary_of
from octet.passes.realize.requantize import TensorQParams
from octet.passes.referee import reference

SCALE, ZERO = 0.05, -3


def pooled(net, codes):
    return net(R.nn.max_pool2d(codes, (2, 2), (2, 2)))


def between(net, x):
    return net.dequantize(pooled(net, net.quantize(x, SCALE, ZERO, "codes")), SCALE, ZERO)


def test_before_and_expected(build, becomes):
    becomes(IntegerBoundary(), build(between, x=[1, 3, 4, 4]), build(pooled, dtype="int8", x=[1, 3, 4, 4]))
    boundary = boundary_of(build(between, x=[1, 3, 4, 4]))
    params = TensorQParams(float(np.float32(SCALE)), ZERO)
    assert boundary.inputs == {0: params} and boundary.outputs == {0: params} and not boundary.reasons


def test_the_same_answers(build):
    before = build(between, x=[1, 3, 4, 4])
    codes = np.random.default_rng(0).integers(-128, 128, (1, 3, 4, 4)).astype("int8")
    params = TensorQParams(float(np.float32(SCALE)), ZERO)
    wanted = reference.run(before, {"x": params.dequantize(codes)})[0]
    given = reference.run(IntegerBoundary()(before), {"x": codes})[0]
    assert given.dtype == np.int8 and params.dequantize(given).tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    "network, reason",
    [
        (lambda net, x: net(R.nn.relu(x)), "nn.relu reads it in float"),
        (
            lambda net, x: relax.Tuple([net.dequantize(net.quantize(x, SCALE, ZERO), SCALE, ZERO), net(R.nn.relu(x))]),
            "nn.relu reads it in float",
        ),
        (
            lambda net, x: net(
                R.add(
                    net.dequantize(net.quantize(x, SCALE, ZERO), SCALE, ZERO),
                    net.dequantize(net.quantize(x, 0.5, 0), 0.5, 0),
                )
            ),
            "it is quantised to several scales",
        ),
        (
            lambda net, x: relax.Tuple([x, net.dequantize(net.quantize(x, SCALE, ZERO), SCALE, ZERO)]),
            "it is a result, or joined with others",
        ),
    ],
)
def test_does_not_apply_to_inputs_that_are_read_otherwise(build, network, reason):
    module = build(network, x=[1, 3, 4, 4])
    boundary = boundary_of(module)
    assert boundary.inputs == {} and boundary.reasons == {"x": reason}
    assert [str(param.ty.dtype) for param in IntegerBoundary()(module)["main"].params] == ["float32"]


def test_does_not_apply_to_a_network_in_float(build, unchanged):
    unchanged(IntegerBoundary(), build(lambda net, x: net(R.nn.relu(x)), x=[1, 3, 4, 4]))


def test_does_not_apply_to_results_that_are_computed_in_float(build):
    module = build(lambda net, x: net(R.nn.relu(between(net, x))), x=[1, 3, 4, 4])
    assert boundary_of(module).outputs == {}
    assert str(IntegerBoundary()(module)["main"].ret_ty.dtype) == "float32"
