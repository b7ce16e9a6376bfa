"""ScatterND and ScatterElements, with indices that are known and that come at run time, against onnx.reference."""

import numpy as np
import pytest
from onnx import helper

from octet.targets.errors import UnsupportedModelError

RANDOM = np.random.default_rng(5)
DATA = RANDOM.standard_normal((4, 5, 3)).astype("float32")
ELEMENTS = RANDOM.integers(-4, 4, (3, 4, 2))
ROWS = np.array([[[0, 1], [-1, 2]], [[2, 4], [2, -1]]])  # One place is named twice: [2, 4], and [2, -1] from the end.
APART = np.array([[[0, 1], [-1, 2]], [[2, 4], [2, -2]]])


def _check(model, agrees, kind, indices, updates, known, **attributes):
    nodes = [helper.make_node(kind, ["x", "i", "u"], ["y"], **attributes)]
    feed = {"x": DATA, "u": updates} | ({} if known else {"i": indices})
    agrees(model(nodes, feed, {"i": indices} if known else {}, opset=18), feed)


@pytest.mark.parametrize("known", [True, False], ids=["known", "at run time"])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_nd(model, agrees, reduction, known):
    indices = APART if reduction == "none" else ROWS
    _check(
        model,
        agrees,
        "ScatterND",
        indices,
        RANDOM.standard_normal((2, 2, 3)).astype("float32"),
        known,
        reduction=reduction,
    )


@pytest.mark.parametrize("known", [True, False], ids=["known", "at run time"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_elements(model, agrees, reduction, axis, known):
    indices = ELEMENTS % DATA.shape[axis]
    if reduction == "none":  # ONNX leaves open which of several updates of an element stays.
        indices = np.argsort(RANDOM.random((3, 4, 2)), axis=axis)
    _check(
        model,
        agrees,
        "ScatterElements",
        indices,
        RANDOM.standard_normal(indices.shape).astype("float32"),
        known,
        axis=axis,
        reduction=reduction,
    )


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_one_index_for_whole_rows(model, agrees, reduction, axis):
    """As graphs of nodes and edges write it: an index per edge is expanded to all features."""
    count = 3 if reduction == "none" else 6  # ONNX leaves open which of several updates of an element stays.
    shape = [count if i == axis else extent for i, extent in enumerate(DATA.shape)]
    indices = RANDOM.permutation(DATA.shape[axis])[np.arange(count) % DATA.shape[axis]]
    nodes = [
        helper.make_node("Expand", ["i", "wide"], ["all"]),
        helper.make_node("ScatterElements", ["x", "all", "u"], ["y"], axis=axis, reduction=reduction),
    ]
    column = indices.reshape([count if i == axis else 1 for i in range(3)])
    feed = {"x": DATA, "u": RANDOM.standard_normal(shape).astype("float32"), "i": column}
    network = agrees(model(nodes, feed, {"wide": np.array(shape)}, opset=18), feed)
    assert ("octet.scatter_add" in str(network.module.script())) == (reduction == "add")


def test_a_known_index_outside_is_refused(model, load):
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"], name="put")
    proto = model([node], {"x": DATA, "u": DATA[:1]}, {"i": np.array([[4]])}, opset=18)
    with pytest.raises(UnsupportedModelError, match="put.*index 4 of an axis of extent 4"):
        load(proto)


def test_an_index_outside_at_run_time_goes_to_the_nearest_end(model, agrees):
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"])
    feed = {"x": DATA, "i": np.array([[9], [-9]]), "u": DATA[1:3]}
    want = DATA.copy()
    want[[3, 0]] = DATA[1:3]
    agrees(model([node], feed, opset=18), feed, [want])


def test_too_many_places_at_run_time_are_refused(model, load):
    big = np.zeros((1 << 14, 1), "float32")
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"], name="put")
    proto = model([node], {"x": big, "i": np.zeros((1 << 14, 1), "int64"), "u": big}, opset=18)
    with pytest.raises(UnsupportedModelError, match="put.*known at run time only"):
        load(proto)


@pytest.mark.parametrize("odd", [False, True], ids=["whole windows", "a row and a column left over"])
def test_what_a_pooling_took_goes_back_to_its_places(model, agrees, load, odd):
    """As ONNX Runtime has it: places are counted through what the pooling read."""
    x = RANDOM.standard_normal((2, 3, 6 + odd, 8 + odd)).astype("float32")
    nodes = [
        helper.make_node("MaxPool", ["x"], ["best", "i"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Neg", ["best"], ["back"]),
        helper.make_node("MaxUnpool", ["back", "i"] + ["s"] * odd, ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    tops = np.stack([x[:, :, i : i + 6 : 2, j : j + 8 : 2] for i in (0, 1) for j in (0, 1)]).max(0)
    want = np.zeros_like(x)
    want[:, :, :6, :8] = np.where(x[:, :, :6, :8] == tops.repeat(2, 2).repeat(2, 3), -x[:, :, :6, :8], 0)
    canonical = agrees(model(nodes, {"x": x}, {"s": np.array(x.shape)} if odd else {}), {"x": x}, [want])
    assert all(
        int(np.prod(v.var.ty.shape.values)) <= 4 * x.size for v in canonical.module["main"].body.blocks[0].bindings[:-1]
    )


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_determinant(model, agrees, rows):
    x = RANDOM.standard_normal((2, 3, rows, rows)).astype("float32")
    agrees(model([helper.make_node("Det", ["x"], ["y"])], {"x": x}), {"x": x}, [np.linalg.det(x)])
