"""Scales and zero points per channel, and those that are none."""

import numpy as np
import pytest
from onnx_nodes import i8, node, u8

from octet.targets.errors import UnsupportedModelError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 4, 6, 6)).astype("float32")
W = RNG.integers(-127, 128, (3, 4)).astype("int8")


@pytest.mark.parametrize("zero", [u8, i8], ids=["uint8", "int8"])
def test_computed_tensors_with_a_scale_per_channel_are_rounded_in_float(model, agrees, zero):
    """NNCF has them in front of depthwise convolutions."""
    steps, zeros = np.float32([0.03, 0.2, 1e-3, 0.07]), zero([3, 0, 100, 9])
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=1),
        node("Mul", ["d", "two"]),
    ]
    own, above = steps.reshape(1, 4, 1, 1), zeros.astype("float32").reshape(1, 4, 1, 1)
    limits = np.iinfo(zeros.dtype)
    wanted = (np.clip(np.rint(X / own) + above, limits.min, limits.max) - above) * own * 2
    agrees(model(nodes, {"x": X}, {"s": steps, "z": zeros, "two": np.float32(2)}), {"x": X}, [wanted])


@pytest.mark.parametrize("zeros", [None, i8([3, 0, -100, 9])], ids=["symmetric", "affine"])
def test_integers_that_come_in_with_a_scale_per_channel(model, agrees, zeros):
    steps, codes = np.float32([0.03, 0.2, 1e-3, 0.07]), RNG.integers(-128, 128, (1, 4, 6, 6)).astype("int8")
    nodes = [node("DequantizeLinear", ["x", "s", *(["z"] if zeros is not None else [])], axis=1)]
    constants = {"s": steps} | ({} if zeros is None else {"z": zeros})
    zero = 0 if zeros is None else zeros.astype("float32").reshape(1, 4, 1, 1)
    agrees(model(nodes, {"x": codes}, constants), {"x": codes}, [(codes - zero) * steps.reshape(1, 4, 1, 1)])


@pytest.mark.parametrize(
    "scale, zero, axis, why",
    [
        (np.float32(-0.01), None, 0, "has the scale -0.00999"),
        (np.full(3, np.nan, "float32"), None, 0, "has the scale nan"),
        (np.ones(3, "float32"), None, 7, "has axis 7 of 2"),
        (np.ones(4, "float32"), None, 0, "has 4 scales along an axis of 3"),
        (np.ones(3, "float32"), np.zeros(4, "int8"), 0, "has 4 zero points along an axis of 3"),
    ],
)
def test_grids_that_are_none_are_refused(model, load, scale, zero, axis, why):
    """A scale below 0 gave another network."""
    constants = {"w": W, "s": scale} | ({} if zero is None else {"z": zero})
    nodes = [node("DequantizeLinear", ["w", *list(constants)[1:]], ["d"], axis=axis), node("MatMul", ["x", "d"])]
    with pytest.raises(UnsupportedModelError, match=f"DequantizeLinear node 'd' {why}"):
        load(model(nodes, {"x": X[0, 0, :, :3]}, constants))
