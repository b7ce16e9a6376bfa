"""Of which results bytes are promised, and what another reference computes."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.export.evaluate import evaluate
from octet.passes.realize.promise import promises
from octet.passes.referee.reference import operators_handed_on, run
from octet.targets.errors import UnsupportedModelError

R = relax.op
RNG = np.random.default_rng(0)


def module(body, shape=(2, 3, 8, 8)):
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            output = builder.emit_output(relax.Tuple([builder.emit(each) for each in body(builder.emit, x)]))
        builder.emit_func_output(output)
    return builder.get()


def quantized(x):
    return R.quantize(x, relax.const(np.float32(0.1)), relax.const(np.int8(0)))


CASES = {
    "elementwise": (lambda e, x: [R.add(x, x), R.exp(x), R.sigmoid(x)], ["bytes"] * 3),
    "functions": (lambda e, x: [R.sin(x), R.power(x, x), R.tan(x)], ["close"] * 3),
    "products": (lambda e, x: [R.matmul(x, x), R.nn.relu(e(R.matmul(x, x)))], ["close"] * 2),
    "sums": (lambda e, x: [R.mean(x, [3]), R.mean(x, [2, 3]), R.sum(x, [1])], ["close", "bytes", "bytes"]),
    "softmax": (lambda e, x: [R.nn.softmax(x, 3), R.nn.softmax(x, 1), R.nn.softmax(x, 2)], ["bytes", "bytes", "close"]),
    "codes": (lambda e, x: [quantized(x), quantized(e(R.matmul(x, x)))], ["bytes", "codes"]),
    "places": (lambda e, x: [R.argmax(x, 1), R.argmax(e(R.sin(x)), 1)], ["bytes", "close"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_promised(case):
    body, kinds = CASES[case]
    found = promises(module(body))
    assert [each.kind for each in found] == kinds
    assert all(bool(each.because) == (each.kind != "bytes") for each in found)


def test_another_reference_is_asked_and_named():
    """Cubic interpolation, against a plane, which it keeps away from the border."""
    made = module(
        lambda e, x: [R.image.resize2d(x, (16, 16), layout="NCHW", method="cubic", cubic_alpha=-0.5)], (1, 1, 8, 8)
    )
    plane = np.add.outer(np.arange(8), 2 * np.arange(8)).astype(np.float32)[None, None]
    (got,) = run(made, {"x": plane}, evaluate)
    places = (np.arange(16) + 0.5) / 2 - 0.5
    wanted = np.add.outer(places, 2 * places)
    np.testing.assert_allclose(got[0, 0, 4:-4, 4:-4], wanted[4:-4, 4:-4], atol=1e-5)
    assert operators_handed_on(made) == ["relax.image.resize2d"] and promises(made)[0].because == "relax.image.resize2d"


def test_what_neither_knows_is_one_line():
    made = module(lambda e, x: [R.image.resize3d(x, (4, 4, 4), layout="NCDHW")], (1, 1, 2, 2, 2))
    with pytest.raises(
        UnsupportedModelError, match="the referee has no operator relax.image.resize3d, and it has no ONNX form"
    ):
        run(made, {"x": np.zeros((1, 1, 2, 2, 2), np.float32)}, evaluate)
