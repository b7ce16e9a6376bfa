"""DeformConv against onnx.reference, and what is refused of it."""

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from octet.passes.export.evaluate import evaluate
from octet.passes.pipeline import canonicalize
from octet.passes.referee import reference
from octet.targets.errors import UnsupportedModelError

OPSET = onnx.defs.onnx_opset_version()
RANDOM = np.random.default_rng(7)


def real(*shape):
    return RANDOM.standard_normal(shape).astype("float32")


@pytest.fixture
def difference(model, load):
    """The largest one between the imported node and onnx.reference, relative to the largest value."""

    def of(names, inputs, constants, **attributes):
        proto = model([helper.make_node("DeformConv", names, ["y"], **attributes)], inputs, constants, OPSET)
        (wanted,) = ReferenceEvaluator(proto).run(None, inputs)
        (got,) = reference.run(canonicalize(load(proto)).module, inputs, evaluate)
        assert got.shape == wanted.shape
        return np.abs(got - wanted).max() / np.abs(wanted).max()

    return of


def test_rows_and_columns_differ_in_everything(difference):
    attributes = {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 2, 0, 1], "group": 2, "offset_group": 2}
    inputs = {"x": real(2, 4, 7, 9), "offsets": real(2, 2 * 6 * 2, 3, 10), "mask": real(2, 2 * 6, 3, 10)}
    constants = {"w": real(6, 2, 3, 2), "b": real(6)}
    assert difference(["x", "w", "offsets", "b", "mask"], inputs, constants, **attributes) < 1e-5


def test_without_mask_and_bias_and_with_a_computed_kernel(difference):
    inputs = {"x": real(1, 3, 5, 6), "w": real(4, 3, 2, 2), "offsets": real(1, 8, 4, 5)}
    assert difference(["x", "w", "offsets"], inputs, {}) < 1e-5


@pytest.mark.parametrize("rank", [1, 3])
def test_another_rank_is_refused(rank, model, load):
    inputs = {"x": real(1, 3, *[8] * rank), "offsets": real(1, 3**rank * rank, *[6] * rank)}
    node = helper.make_node("DeformConv", ["x", "w", "offsets"], ["y"], name="sampled")
    with pytest.raises(UnsupportedModelError, match=f"'sampled' is a {rank}-D deformable convolution; only 2-D ones"):
        load(model([node], inputs, {"w": real(4, 3, *[3] * rank)}, OPSET))
