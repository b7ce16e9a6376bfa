"""3-D transposed convolutions, ReverseSequence and LpNormalization against onnx.reference."""

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

RANDOM = np.random.default_rng(6)


def real(*shape):
    return RANDOM.standard_normal(shape).astype("float32")


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 2, 2], "kernel_shape": [2, 2, 2]},
        {"strides": [2, 1, 2], "kernel_shape": [3, 3, 3], "pads": [1, 1, 0, 1, 1, 1], "output_padding": [1, 0, 0]},
        {"strides": [1, 1, 1], "kernel_shape": [3, 2, 1], "dilations": [2, 1, 1]},
        {"strides": [3, 1, 1], "kernel_shape": [2, 1, 1]},
    ],
)
def test_transposed(model, agrees, attributes):
    x, w, b = real(2, 4, 3, 5, 4), real(4, 3, *attributes["kernel_shape"]), real(3)
    agrees(
        model([helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)], {"x": x}, {"w": w, "b": b}),
        {"x": x},
    )


def test_transposed_in_groups(model, agrees):
    """As each group alone."""
    x, w = real(1, 4, 3, 2, 4), real(4, 3, 3, 2, 1)
    halves = [
        ReferenceEvaluator(
            model([helper.make_node("ConvTranspose", ["x", "w"], ["y"])], {"x": half}, {"w": kernel})
        ).run(None, {"x": half})[0]
        for half, kernel in zip(np.split(x, 2, 1), np.split(w, 2))
    ]
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=2)
    agrees(model([node], {"x": x}, {"w": w}), {"x": x}, [np.concatenate(halves, 1)])


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
@pytest.mark.parametrize("known", [True, False], ids=["known", "at run time"])
def test_reversed_sequences(model, agrees, axes, known):
    time, batch = axes
    x = real(4, 4, 3)
    node = helper.make_node("ReverseSequence", ["x", "n"], ["y"], time_axis=time, batch_axis=batch)
    lengths = {"n": np.array([1, 4, 2, 3])}
    feed = {"x": x} | ({} if known else lengths)
    agrees(model([node], feed, lengths if known else {}), feed)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("p", [1, 2])
def test_lp_norm(model, agrees, p, axis):
    x = real(3, 4, 5)
    want = x / np.linalg.norm(x, p, axis, keepdims=True)  # The reference of ONNX takes no magnitudes.
    agrees(model([helper.make_node("LpNormalization", ["x"], ["y"], p=p, axis=axis)], {"x": x}), {"x": x}, [want])


def test_the_norm_of_zeros(model, agrees):
    x = np.zeros((2, 3), "float32")
    agrees(model([helper.make_node("LpNormalization", ["x"], ["y"])], {"x": x}), {"x": x}, [x])
