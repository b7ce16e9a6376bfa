"""UseBfloat16: float layers multiply in bfloat16; what they must not touch stays."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.pipeline import float_layers
from octet.passes.realize.fuse_float import FuseFloat
from octet.passes.realize.use_bfloat16 import UseBfloat16
from octet.passes.referee import reference
from octet.passes.running import run_passes
from octet.targets.bfloat16 import round_to_bfloat16

RNG = np.random.default_rng(0)
WIDE = RNG.normal(size=(32, 8, 3, 3)).astype("float32")
LAST = RNG.normal(size=(6, 32, 1, 1)).astype("float32")


def constant(values):
    return relax.const(values, "float32")


def two(net, x):
    """3x3 convolution, ReLU, 1x1 convolution."""
    return net(R.nn.conv2d(net(R.nn.relu(net(R.nn.conv2d(x, constant(WIDE), padding=[1, 1, 1, 1])))), constant(LAST)))


def test_before_and_expected(build, becomes):
    geometry = {"strides": [1, 1], "dilation": [1, 1], "groups": 1}

    def expected(net, x):
        rounded = [constant(round_to_bfloat16(weight).astype("float32")) for weight in (WIDE, LAST)]
        biases = [constant(np.zeros(len(weight), "float32")) for weight in (WIDE, LAST)]
        first = net(
            ops.call(
                "octet.conv2d",
                [net(ops.call("octet.bfloat16", [x])), rounded[0], biases[0]],
                padding=[1, 1, 1, 1],
                **geometry,
                clip_min=0.0,
                clip_max=float("inf"),
                out_dtype="bfloat16",
            )
        )
        return net(
            ops.call(
                "octet.conv2d",
                [first, rounded[1], biases[1]],
                padding=[0, 0, 0, 0],
                **geometry,
                clip_min=-float("inf"),
                clip_max=float("inf"),
                out_dtype="float32",
            )
        )

    becomes(UseBfloat16(), FuseFloat()(build(two, x=[1, 8, 5, 5])), build(expected, x=[1, 8, 5, 5]))


def test_results_are_near_and_merging_changes_no_bit(build):
    module = build(two, x=[2, 8, 5, 5])
    data = {"x": RNG.normal(size=(2, 8, 5, 5)).astype("float32")}
    exact, merged = (reference.run(run_passes(float_layers(floats), module), data)[0] for floats in ("fp32", "bf16"))
    both = reference.run(
        UseBfloat16()(FuseFloat()(build(lambda net, x: relax.Tuple([two(net, x), net(R.nn.relu(x))]), x=[2, 8, 5, 5]))),
        data,
    )[0]
    assert 0 < np.abs(merged - exact).max() < 0.02 * np.abs(exact).max() and both.tobytes() == merged.tobytes()


def test_a_tensor_is_rounded_once(build, operators):
    module = build(
        lambda net, x: net(
            R.add(
                net(R.nn.relu(net(R.nn.conv2d(x, constant(WIDE))))), net(R.sigmoid(net(R.nn.conv2d(x, constant(WIDE)))))
            )
        ),
        x=[1, 8, 5, 5],
    )
    assert operators(UseBfloat16()(FuseFloat()(module))).count("octet.bfloat16") == 1


def test_a_linear_layer(build, becomes):
    matrix = RNG.normal(size=(40, 3)).astype("float32")

    def expected(net, x):
        operands = [
            net(ops.call("octet.bfloat16", [x])),
            constant(round_to_bfloat16(matrix).astype("float32")),
            constant(np.zeros(3)),
        ]
        return net(ops.call("octet.dense", operands, clip_min=-np.inf, clip_max=np.inf, out_dtype="float32"))

    before = build(lambda net, x: net(R.matmul(x, constant(matrix))), x=[2, 5, 40])
    becomes(UseBfloat16(), FuseFloat()(before), build(expected, x=[2, 5, 40]))


REFUSED = {
    "groups": lambda net, x: net(R.nn.conv2d(x, constant(np.ones((8, 1, 3, 3), "float32")), groups=8)),
    "few channels, pointwise": lambda net, x: net(
        R.nn.conv2d(net(R.strided_slice(x, [1], [0], [3])), constant(np.ones((4, 3, 1, 1), "float32")))
    ),
    "infinite weights": lambda net, x: net(R.nn.conv2d(x, constant(np.full((4, 8, 1, 1), np.inf, "float32")))),
    "no layer": lambda net, x: net(R.nn.relu(x)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_does_not_apply(name, build, unchanged):
    unchanged(UseBfloat16(), FuseFloat()(build(REFUSED[name], x=[1, 8, 5, 5])))
