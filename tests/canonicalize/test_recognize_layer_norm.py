import numpy as np
import pytest
from octet.passes.canonicalize.recognize_layer_norm import RecognizeLayerNorm
from tvm.relax import op

SHAPE = [(2, 5, 8)]


def spelled(build, x, division, axis=-1):
    centred = build.e(op.subtract(x, build.e(op.mean(x, [axis], keepdims=True))))
    variance = build.e(op.mean(build.e(op.multiply(centred, centred)), [axis], keepdims=True))
    shifted = build.e(op.add(variance, build.const(1e-5)))
    if division == "divide":
        return build.e(op.divide(centred, build.unary("sqrt", shifted)))
    inverse = build.unary("rsqrt", shifted) if division == "rsqrt" else build.unary("reciprocal", build.unary("sqrt", shifted))
    return build.e(op.multiply(inverse, centred))


@pytest.mark.parametrize("division", ["divide", "rsqrt", "reciprocal"])
def test_nine_operators_become_one(build, preserves, names, division):
    gamma, beta = build.random(8), build.random(8, seed=1)

    def body(x):
        return op.add(build.e(op.multiply(spelled(build, x, division), build.const(gamma))), build.const(beta))

    after = preserves(RecognizeLayerNorm(), build(SHAPE, body))
    assert names(after) == ["nn.layer_norm"]
    norm = after["main"].body.blocks[0].bindings[0].value
    np.testing.assert_array_equal(norm.args[1].value.numpy(), gamma)
    np.testing.assert_array_equal(norm.args[2].value.numpy(), beta)


def test_another_axis_stays(build, unchanged):
    unchanged(RecognizeLayerNorm(), build(SHAPE, lambda x: spelled(build, x, "divide", axis=1)))
