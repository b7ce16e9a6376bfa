"""Symbolic dimensions: given by name or by input, shown by the data, refused with the option to add; and where the
batch lies."""

import numpy as np
import pytest
from onnx import helper

from octet.passes.frontend.shapes.dimensions import Said, fix_dimensions
from octet.targets.errors import UnsupportedModelError


def fixed(declared, **said):
    found, notes = fix_dimensions({"x": declared}, Said(**said), "model.onnx")
    return found["x"].shape, found["x"].batch_axis, notes


@pytest.mark.parametrize(
    "dims, said, shape, axis",
    [
        (("N", 3, "H", "W"), {"dims": {"H": 8, "W": 9}}, (1, 3, 8, 9), 0),
        (("N", 3, "H", "W"), {"shapes": {"x": (2, 3, 8, 9)}}, (2, 3, 8, 9), 0),
        (("N", 3, "H", "W"), {"data": {"x": (50, 3, 8, 9)}}, (1, 3, 8, 9), 0),
        (("N", 3, "H", "W"), {"data": {"x": (50, 3, 8, 9)}, "dims": {"H": 4}, "batch": 5}, (5, 3, 4, 9), 0),
        # That there are no samples is said by who reads them.
        (("N", 3, "H"), {"data": {"x": (0, 3, 5)}}, (1, 3, 5), 0),
        (("", 3, "", ""), {"data": {"x": (50, 3, 8, 9)}}, (1, 3, 8, 9), 0),
        (("N", "side", "side"), {"dims": {"side": 7}}, (1, 7, 7), 0),
        (
            ("p2o.DynamicDimension.0", 3, "p2o.DynamicDimension.1", 9),
            {"shapes": {"x": (2, 3, 8, 9)}},
            (2, 3, 8, 9),
            0,
        ),  # Nobody named it.
        (("rows", 3), {"dims": {"rows": 1}}, (1, 3), 0),
        (("time", 80), {"dims": {"time": 24}}, (24, 80), None),  # It is an extent like any other.
        (("time", 80), {"dims": {"time": "batch"}}, (1, 80), 0),
        (("time", 80), {"batch": 6}, (6, 80), 0),
        # The data have one axis more, so each sample is a whole input.
        (("time", 80), {"data": {"x": (50, 24, 80)}}, (24, 80), None),
        (("N", 80), {"data": {"x": (50, 24, 80)}}, (24, 80), None),
        (("N", 80), {"data": {"x": (50, 1, 80)}}, (1, 80), 0),
        (("T", "batch", 80), {"dims": {"T": 24}, "batch": 4}, (24, 4, 80), 1),
        (("T", "batch", 80), {"data": {"x": (50, 24, 80)}}, (24, 1, 80), 1),
        ((24, 1, 80), {"shapes": {"x": (24, "batch", 80)}}, (24, 1, 80), 1),
        ((2, "batch", 64), {}, (2, 1, 64), 1),
        ((1, "N", 16), {"data": {"x": (50, 7, 16)}}, (1, 7, 16), 0),
        (None, {"shapes": {"x": (1, 5)}}, (1, 5), 0),
        (None, {"data": {"x": (50, 5)}}, (1, 5), 0),
        ((), {}, (), 0),
        (("time", 80), {"batch": "none", "dims": {"time": 24}}, (24, 80), None),
        (("", 80), {"batch": "none", "shapes": {"x": (24, 80)}}, (24, 80), None),  # Nobody named it.
        (("N", 80), {"batch": "none", "data": {"x": (50, 24, 80)}}, (24, 80), None),
        ((24, 80), {"batch": "none"}, (24, 80), None),  # The file fixes it.
    ],
)
def test_fixed(dims, said, shape, axis):
    assert fixed(dims, **said)[:2] == (shape, axis)


@pytest.mark.parametrize(
    "dims, said, reason",
    [
        (("N", 3, "H", "W"), {}, "add --dim H=224 --dim W=224"),
        (("N", 3, "H", "W"), {"dims": {"H": 8}}, "leaves 'W' at axis 3 open; add --dim W=224"),
        (("N", 3, "", "W"), {"dims": {"W": 8}}, "add --shape x=1x3x224x8"),
        (("time", 80), {}, "is axis 0 ('time') the batch? Add --dim time=batch"),
        (("time", 80), {"data": {"x": (50, 80)}}, "is axis 0 ('time') the batch?"),
        (("N", 3), {"dims": {"M": 8}}, "--dim M: no input has a dimension of that name; the file's are N"),
        (("N", 3), {"shapes": {"y": (1, 3)}}, "--shape y: is no input; the inputs are x"),
        (("N", 3), {"shapes": {"x": (1, 4)}}, "axis 1 is 3 in the file, not 4"),
        (("N", "s", "s"), {"shapes": {"x": (1, 4, 5)}}, "'s' was given as 4 already"),
        (("N", 3), {"shapes": {"x": (1, 3, 4)}}, "has 3 extents, the input has 2"),
        (None, {}, "add --shape x="),
        (("time", 80), {"batch": "none"}, "leaves 'time' at axis 0 open; add --dim time=128"),
        (("", 80), {"batch": "none", "data": {"x": (50, 80)}}, "leaves axis 0 open"),
        (("N", 3, "h"), {"data": {"x": (8, 3, 0)}}, "input 'x': the data are [8, 3, 0], samples without a value"),
        (("time", 80), {"batch": "none", "data": {"x": (50, 0)}}, "samples without a value"),
        (("T", "N"), {"batch": "none", "dims": {"N": "batch"}}, "--batch none: says that no axis is the batch"),
    ],
)
def test_refused(dims, said, reason):
    with pytest.raises(UnsupportedModelError) as error:
        fixed(dims, **said)
    assert reason in str(error.value)


def test_a_batch_that_is_only_assumed_is_said():
    assert fixed(("", 3))[2] == (
        "input 'x': axis 0, which is symbolic, is taken for the batch; --batch none says that it is none",
    )
    assert "'rows'" in fixed(("rows", 3), data={"x": (50, 3)})[2][0] and fixed(("N", 3))[2] == ()


def test_dimensions_without_a_name_are_not_one(model, load):
    proto = model(
        [helper.make_node("Relu", ["x"], ["y"])],
        {"x": np.zeros((1, 3, 4, 5), "float32")},
        shapes={"x": ("?", 3, "?", "?")},
    )
    assert load(proto, data={"x": (9, 3, 4, 5)}).inputs[0].shape == (1, 3, 4, 5)


def test_the_batch_of_an_output(model, load):
    """[N, T, 3] -> [T, N, 3], with a batch of 2: onnx.shape_inference finds where it went."""
    proto = model(
        [helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0, 2])],
        {"x": np.zeros((2, 5, 3), "float32")},
        shapes={"x": ("N", 5, 3)},
    )
    assert load(proto, batch=2).outputs[0].batch_axis == 1 and load(proto, batch=2).outputs[0].shape == (5, 2, 3)


def test_samples_of_a_batch_on_another_axis(model, load):
    """The network's own answer, sample by sample, with time first in input and output."""
    import octet
    from octet.targets.batches import run_samples

    x = np.random.default_rng(0).standard_normal((4, 3, 5)).astype("float32")
    shapes = {"x": ("time", "batch", 5)}
    proto = model(
        [helper.make_node("CumSum", ["x", "zero"], ["s"]), helper.make_node("Relu", ["s"], ["y"])],
        {"x": x},
        {"zero": np.array(0)},
        shapes=shapes,
    )
    for value in proto.graph.output:
        value.CopyFrom(helper.make_tensor_value_info("y", 1, ["time", "batch", 5]))
    network = load(proto, batch=2, dims={"time": 3})
    assert network.inputs[0].shape == (3, 2, 5) and network.batch == 2
    package = octet.compile(
        octet.quantize(network, {"x": x}, threads=1), targets=["x86-64-v3"], threads=1, policy="float"
    )
    session = package.session(1)
    found = run_samples(session, {"x": x})["y"]
    assert session.run_many({"x": x[:3]})["y"].tobytes() == found[:3].tobytes()
    np.testing.assert_allclose(found, np.maximum(np.cumsum(x, axis=1), 0), rtol=1e-5)


def test_a_batch_of_nothing_is_open_where_somebody_says_so(model, load):
    """Some exporters write 0 for an open extent, others -1, which is no extent of anything."""
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": np.zeros((2, 3), "float32")}, shapes={"x": [0, 3]})
    with pytest.raises(
        UnsupportedModelError, match=r"input 'x' declares \[0, 3\], no element along axis 0; add --batch"
    ):
        load(proto)
    for said in ({"batch": 2}, {"shapes": {"x": (2, 3)}}, {"data": {"x": (9, 3)}}):
        assert load(proto, **said).inputs[0].shape == ((1 if "data" in said else 2), 3)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert load(proto).inputs[0].shape == (1, 3)


def test_an_input_that_always_has_one_value(model, load):
    proto = model(
        [helper.make_node("Mul", ["x", "rate"], ["y"])],
        {"x": np.zeros((1, 3), "float32"), "rate": np.zeros((), "float32")},
    )
    assert [spec.name for spec in load(proto, values={"rate": 2}).inputs] == ["x"]
    with pytest.raises(UnsupportedModelError, match="--fix pace: is no input"):
        load(proto, values={"pace": 2})


@pytest.mark.parametrize(
    "nodes, declared, given, reason",
    [
        (
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            ("N", 3, "H", "W"),
            (1, 3, 4, 9),
            r"extents \[1, 2, -1, 4\]; give other extents than --shape x=1x3x4x9, or export",
        ),
        (
            [helper.make_node("MatMul", ["x", "m"], ["y"])],
            ("N", "features"),
            (1, 64),
            "cannot be imported: .*; give other extents than --shape x=1x64, or export",
        ),
        (
            [helper.make_node("Reshape", ["x", "four"], ["y"])],
            ("N", 1, 1, 7),
            None,
            r"old shape is \[1, 1, 1, 7\].*; take other samples at once than --batch 1, or export",
        ),
        (
            [helper.make_node("MatMul", ["x", "m"], ["y"])],
            (1, 64),
            None,
            "cannot be imported: .*; export it with other",
        ),
    ],
)
def test_extents_that_do_not_fit_are_named(model, load, nodes, declared, given, reason):
    constants = {"w": np.ones((2, 3, 6, 6), "float32"), "m": np.ones((138, 5), "float32"), "four": np.array([4, -1])}
    proto = model(nodes, {"x": np.ones([3] * len(declared), "float32")}, constants, shapes={"x": declared})
    with pytest.raises(UnsupportedModelError, match=reason):
        load(proto, shapes={} if given is None else {"x": given})
