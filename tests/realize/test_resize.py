"""Linear interpolation in whole numbers."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference
from octet.passes.referee.resize import coordinates, whole_taps

MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size, result", [(4, 8), (5, 15), (9, 4), (6, 1), (1, 7)])
def test_taps_are_the_float_positions(mode, size, result):
    taps, unit = whole_taps(size, result, mode)
    low, high, weight = taps.T
    where = np.clip(coordinates(size, result, mode), 0, size - 1)
    assert np.all((0 <= weight) & (weight < unit)) and taps.min() >= 0 and max(low.max(), high.max()) < size
    np.testing.assert_allclose((low * (unit - weight) + high * weight) / unit, where, atol=1e-5)


def test_a_common_unit_may_not_exist():
    assert whole_taps(100, 297, "half_pixel") is None and whole_taps(4, 8, "cubic") is None


@pytest.mark.parametrize("mode", MODES)
def test_linear(build, operators, assert_close_codes, mode):
    def body(net, x):
        y = net(
            R.image.resize2d(
                net.qdq(x, 0.03, 4), (8, 15), method="linear", layout="NCHW", coordinate_transformation_mode=mode
            )
        )
        return net.quantize(net(R.nn.relu(y)), 0.0231, -120)  # Such a ratio of scales makes ties rare.

    module = build(body, x=[1, 3, 4, 5])
    result = Realize()(module)
    assert operators(result) == ["octet.resize2d"]
    feed = {"x": np.random.default_rng(0).normal(size=[1, 3, 4, 5]).astype("float32")}
    assert_close_codes(reference.run(module, feed)[0], reference.run(result, feed)[0])


def test_before_and_expected(build, becomes):
    """Scales 0.5 and 0.25, and 4 * 3 = 12 units of both taps together."""

    def before(net, x):
        y = net(R.image.resize2d(net.qdq(x, 0.5, 4), (8, 15), method="linear", layout="NCHW"))
        return net.quantize(net(R.nn.relu(y)), 0.25, -120)

    def expected(net, x):
        (rows, four), (columns, three) = (whole_taps(*sizes, "half_pixel") for sizes in ((4, 8), (5, 15)))
        assert (four, three) == (4, 3)
        attributes = {"row_units": 4, "column_units": 3, "data_zero_point": 4, "out_zero_point": -120}
        attributes |= {"multiplier": float(np.float32(0.5 / 0.25 / 12)), "clip_min": -120, "clip_max": 127}
        taps = [relax.const(taps.astype("int32")) for taps in (rows, columns)]
        return net(ops.call("octet.resize2d", [net.quantize(x, 0.5, 4), *taps], **attributes))

    becomes(Realize(), *(build(body, x=[1, 3, 4, 5]) for body in (before, expected)))


def test_other_ratios_are_a_reason(build):
    def body(net, x):
        return net.quantize(
            net(R.image.resize2d(net.qdq(x, 0.03, 4), (99, 4), method="linear", layout="NCHW")), 0.02, 0
        )

    (layer,) = realize(build(body, x=[1, 3, 32, 4])).layers
    assert layer.dtype == "float32" and "multiples of one unit" in layer.reason
