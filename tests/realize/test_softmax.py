"""Softmax in whole numbers: near to the real one, in every row length, and what stays in float."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference
from octet.targets.softmax_table import ONE, softmax_table


def body(scale, out, zero_point, axis=-1):
    def emit(net, x):
        y = (
            net(R.multiply(net.qdq(x, 0.03, 4), relax.const(np.float32(scale))))
            if scale is not None
            else net.qdq(x, 0.03, 4)
        )
        return net.quantize(net(R.nn.softmax(y, axis)), out, zero_point)

    return emit


@pytest.mark.parametrize("shape", [[2, 3], [3, 40], [1, 2, 3, 197], [2, 3000]])
@pytest.mark.parametrize("out, zero_point", [(1 / 127, 0), (1 / 255, -128)])
@pytest.mark.parametrize("scale", [None, 1.7])
def test_probabilities(build, operators, shape, out, zero_point, scale):
    module = build(body(scale, out, zero_point), x=shape)
    result = Realize()(module)
    assert operators(result) == ["octet.softmax"]
    feed = {"x": np.random.default_rng(0).normal(size=shape).astype("float32") * 2}
    exact, whole = reference.run(module, feed)[0].astype(int), reference.run(result, feed)[0].astype(int)
    assert np.abs(exact - whole).max() <= 1 and (exact != whole).mean() < 0.01


def test_extremes(build):
    module = Realize()(build(body(None, 1 / 127, 0), x=[3, 8]))
    even, steep = np.zeros(8, "float32"), np.full(8, -100, "float32")
    steep[3] = 100
    codes = reference.run(module, {"x": np.stack([even, steep, even + 100])})[0]
    e = np.exp(-0.03 * 255)  # Codes can be no further apart.
    assert codes[[0, 2]].tolist() == [[16] * 8] * 2 and codes[1].tolist() == [
        0,
        0,
        0,
        round(127 / (1 + 7 * e)),
        0,
        0,
        0,
        0,
    ]


def test_the_table():
    table = softmax_table(0.1)
    assert table.dtype == np.int32 and table[0] == ONE and np.all(np.diff(table) <= 0)
    np.testing.assert_allclose(table, ONE * np.exp(-0.1 * np.arange(256)), atol=0.51)


@pytest.mark.parametrize(
    "out, zero_point, axis, said", [(0.01, 0, -1, "steps of 1/127 or 1/255"), (1 / 127, 0, 0, "over the last axis")]
)
def test_reasons(build, out, zero_point, axis, said):
    (layer,) = realize(build(body(None, out, zero_point, axis), x=[4, 4])).layers
    assert layer.dtype == "float32" and said in layer.reason


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(-1.0, 1.0, "octet.softmax"), (0.0, 0.5, "relax.nn.softmax"), (0.25, 1.0, "relax.nn.softmax")],
)
def test_a_clip_that_no_probability_reaches_is_none(build, operators, low, high, found):
    module = build(
        lambda net, x: net.quantize(net(R.clip(net(R.nn.softmax(net.qdq(x, 0.03, 4), -1)), low, high)), 1 / 127, 0),
        x=[2, 9],
    )
    assert found in operators(Realize()(module))
